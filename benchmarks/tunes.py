"""Music made by arithmetic: chords, a bass, a melody and drums, played by instruments that differ in how they sound.

Everything is float64 of shape (time,) at the rate of `jobs.demo`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.noises import Rng, dying, low, swept, times_s
from jobs.demo import RATE_HZ, banded, noise

SCALE = (0, 2, 4, 5, 7, 9, 11)
PROGRESSIONS = ((0, 5, 3, 4), (0, 3, 4, 0), (5, 3, 0, 4), (0, 4, 5, 3), (1, 4, 0, 0))  # steps of the scale
BEATS_A_CHORD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """How a note sounds."""

    harmonics: int
    fall: float  # the n-th harmonic is weaker by n to this power
    attack_s: float
    half_s: float  # falls by half in this time
    vibrato: float = 0.0  # share of the pitch, up and down


PIANO = Instrument(harmonics=8, fall=1.4, attack_s=0.004, half_s=0.35)
GUITAR = Instrument(harmonics=12, fall=1.0, attack_s=0.002, half_s=0.2)
ORGAN = Instrument(harmonics=6, fall=0.7, attack_s=0.03, half_s=30.0)
STRINGS = Instrument(harmonics=14, fall=0.9, attack_s=0.15, half_s=20.0, vibrato=0.004)
FLUTE = Instrument(harmonics=3, fall=2.0, attack_s=0.06, half_s=10.0, vibrato=0.006)
TRUMPET = Instrument(harmonics=14, fall=0.5, attack_s=0.03, half_s=3.0, vibrato=0.003)
BASS = Instrument(harmonics=6, fall=1.2, attack_s=0.005, half_s=0.4)

Part = Callable[["Song", int], np.ndarray]  # the sound of one beat and what rings on after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    beat_s: float
    key_midi: int
    progression: tuple[int, ...]
    steps: tuple[int, ...]  # of the scale: the melody, two a beat

    def chord_at(self, beat: int) -> int:
        return self.progression[beat // BEATS_A_CHORD % len(self.progression)]

    def hz(self, step: int, octave: int = 0) -> float:
        octaves, degree = divmod(step, len(SCALE))
        return float(440 * 2 ** ((self.key_midi + 12 * (octaves + octave) + SCALE[degree] - 69) / 12))


def music(rng: Rng, style: str, seconds: float) -> np.ndarray:
    """A piece of one style, in a tempo and key of its own; it ends with its last beat."""
    song = Song(
        beat_s=60 / rng.uniform(75, 150),
        key_midi=int(rng.integers(48, 64)),
        progression=PROGRESSIONS[rng.integers(len(PROGRESSIONS))],
        steps=tuple((7 + np.cumsum(rng.integers(-2, 3, 64)).clip(-5, 6)).tolist()),
    )
    played = np.zeros(round(seconds * RATE_HZ))
    for part in STYLES[style](rng):
        for beat in range(int(seconds / song.beat_s)):
            first = round(beat * song.beat_s * RATE_HZ)
            sound = part(song, beat)[: len(played) - first]
            played[first : first + len(sound)] += sound
    return played


def note(instrument: Instrument, hz: float, seconds: float) -> np.ndarray:
    at = times_s(seconds)
    pitch_hz = hz * (1 + instrument.vibrato * np.sin(2 * np.pi * 5.5 * at))
    release = np.minimum(1, at[::-1] / 0.03)
    return (
        swept(pitch_hz, instrument.harmonics, instrument.fall)
        * np.minimum(1, at / instrument.attack_s)
        * dying(seconds, instrument.half_s)
        * release
    )


def chords(instrument: Instrument, beats: int = 1) -> Part:
    """All three notes together, held for so many beats."""

    def part(song: Song, beat: int) -> np.ndarray:
        if beat % beats:
            return np.zeros(0)
        root = song.chord_at(beat)
        return 0.4 * sum(note(instrument, song.hz(root + step), beats * song.beat_s) for step in (0, 2, 4))

    return part


def arpeggio(instrument: Instrument) -> Part:
    """One note of the chord after another, two a beat."""

    def part(song: Song, beat: int) -> np.ndarray:
        root, half_s = song.chord_at(beat), song.beat_s / 2
        steps = ((0, 2), (4, 7), (4, 2), (7, 4))[beat % 4]
        return 0.5 * np.concatenate([note(instrument, song.hz(root + step), half_s) for step in steps])

    return part


def melody(instrument: Instrument) -> Part:
    def part(song: Song, beat: int) -> np.ndarray:
        here = [song.steps[(2 * beat + half) % len(song.steps)] for half in (0, 1)]
        if here[0] == here[1]:
            return 0.6 * note(instrument, song.hz(here[0]), song.beat_s)
        return 0.6 * np.concatenate([note(instrument, song.hz(step), song.beat_s / 2) for step in here])

    return part


def bass(song: Song, beat: int) -> np.ndarray:
    return 0.8 * note(BASS, song.hz(song.chord_at(beat) + (4 if beat % 4 == 3 else 0), -1), song.beat_s)


def drums(rng: Rng) -> Part:
    """A kick and a snare in turn, and a hat on every half."""
    kick = swept(50 + 120 * dying(0.3, 0.03)) * dying(0.3, 0.06)
    snare = 0.7 * banded(noise(rng, 0.2), 300, 6_000) * dying(0.2, 0.03)
    hat = 0.2 * (noise(rng, 0.06) - low(noise(rng, 0.06), 3_000)) * dying(0.06, 0.01)

    def part(song: Song, beat: int) -> np.ndarray:
        struck = np.zeros(round((song.beat_s + 0.3) * RATE_HZ))
        drum = snare if beat % 2 else kick
        struck[: len(drum)] += drum
        for first in (0, round(song.beat_s / 2 * RATE_HZ)):
            struck[first : first + len(hat)] += hat
        return struck

    return part


STYLES: dict[str, Callable[[Rng], list[Part]]] = {
    "piano": lambda rng: [chords(PIANO), melody(PIANO)],
    "guitar": lambda rng: [arpeggio(GUITAR)],
    "organ": lambda rng: [chords(ORGAN, 4), melody(ORGAN), bass],
    "strings": lambda rng: [chords(STRINGS, 2), melody(STRINGS)],
    "flute": lambda rng: [melody(FLUTE)],
    "trumpet": lambda rng: [melody(TRUMPET), chords(PIANO, 2)],
    "band": lambda rng: [drums(rng), bass, chords(GUITAR), melody(TRUMPET)],
    "drums and bass": lambda rng: [drums(rng), bass],
    "dance": lambda rng: [drums(rng), bass, arpeggio(ORGAN)],
}
