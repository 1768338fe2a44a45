"""Music made from nothing: a second source of it beside the few real tracks.

A piece is a tempo, a key, a progression of chords and a handful of voices, each an instrument with its own rhythm:
struck and plucked strings, organs, winds, bowed strings, bells, basses and drums.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import fftconvolve, lfilter

RATE_HZ = 16_000
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 7, 10))
PROGRESSIONS = ((0, 4, 5, 3), (0, 3, 4, 0), (5, 3, 0, 4), (0, 5, 3, 4), (1, 4, 0, 0), (0, 0, 3, 4), (0, 2, 3, 4))
Rng = np.random.Generator
Instrument = Callable[[Rng, float, float], np.ndarray]  # (chance, hz, seconds) -> samples


def piece(rng: Rng, seconds: float = 12.0) -> np.ndarray:
    """One piece of music: float32 of shape (time,) at 16 kHz, peak 0.5."""
    mix = np.zeros(int(seconds * RATE_HZ))
    beat_s = 60.0 / rng.uniform(60, 170)
    tonic = rng.uniform(40, 56)
    scale = SCALES[rng.integers(len(SCALES))]
    chords = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    with_drums = rng.random() < 0.45
    kinds = ["chords", "melody", "arpeggio", "bass"]
    voices = list(rng.choice(kinds, size=rng.integers(1, 4), replace=False, p=(0.35, 0.3, 0.15, 0.2)))
    for kind in voices:
        level = rng.uniform(0.4, 1.0) * (1.3 if kind == "bass" else 1.0)
        mix += level * _voice(rng, kind, len(mix), beat_s, tonic, scale, chords)
    if with_drums:
        mix += rng.uniform(0.3, 1.0) * _drums(rng, len(mix), beat_s)
    if rng.random() < 0.7:
        mix = in_a_room(rng, mix, (0.2, 1.5), (0.1, 0.6))
    return (0.5 * mix / max(1e-9, float(np.abs(mix).max()))).astype(np.float32)


def _voice(
    rng: Rng, kind: str, size: int, beat_s: float, tonic: float, scale: tuple[int, ...], chords: tuple[int, ...]
) -> np.ndarray:
    out = np.zeros(size + 4 * RATE_HZ)
    instrument = INSTRUMENTS[rng.integers(len(INSTRUMENTS))]
    timbre = int(rng.integers(2**31))  # every note of a voice is played on the same instrument
    octave = {"bass": -12, "chords": 0, "arpeggio": 12, "melody": 12}[kind] + 12 * int(rng.integers(0, 2))
    step_beats = {"bass": (1, 2), "chords": (1, 2, 4), "arpeggio": (0.25, 0.5), "melody": (0.5, 1, 1.5, 2)}[kind]
    legato = rng.uniform(0.5, 1.2)
    at_beats, walk, turn = 0.0, int(rng.integers(7)), 0
    while at_beats * beat_s * RATE_HZ < size:
        length_beats = float(rng.choice(step_beats))
        root = chords[int(at_beats // 4) % len(chords)]
        if kind == "chords":
            degrees = [root, root + 2, root + 4] + ([root + 6] if rng.random() < 0.3 else [])
        elif kind == "bass":
            degrees = [root + int(rng.choice((0, 0, 0, 4)))]
        elif kind == "arpeggio":
            degrees = [root + (0, 2, 4, 7)[turn % 4]]
        else:
            walk = int(np.clip(walk + rng.integers(-2, 3), -3, 12))
            degrees = [] if rng.random() < 0.12 else [walk]
        for degree in degrees:
            note = tonic + octave + scale[degree % len(scale)] + 12 * (degree // len(scale))
            hz = 440 * 2 ** ((note - 69) / 12)
            sound = instrument(np.random.default_rng(timbre), hz, length_beats * beat_s * legato)
            start = int(max(0.0, at_beats * beat_s + rng.normal(0, 0.006)) * RATE_HZ)
            sound = sound[: len(out) - start]
            out[start : start + len(sound)] += sound * rng.uniform(0.6, 1.0)
        at_beats, turn = at_beats + length_beats, turn + 1
    return out[:size] / max(1e-9, float(np.abs(out).max()))


def _partials(
    hz: float, seconds: float, amplitudes: np.ndarray, stretch: float = 0.0, wobble: float = 0.0
) -> np.ndarray:
    """Harmonics 1.. with these amplitudes; `stretch` makes them sharp as strings do, `wobble` is vibrato."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    bend = 1 + wobble * 0.0595 * np.sin(2 * np.pi * 5.3 * t) * np.minimum(1, t / 0.3)
    phase = 2 * np.pi * hz * (t if wobble == 0 else np.cumsum(bend) / RATE_HZ)
    out = np.zeros(len(t))
    for k, amplitude in enumerate(amplitudes, start=1):
        factor = k * np.sqrt(1 + stretch * k * k)
        if hz * factor < 7_600:
            out += amplitude * np.sin(factor * phase)
    return out


def _shaped(sound: np.ndarray, attack_s: float, release_s: float) -> np.ndarray:
    up = np.minimum(1, np.arange(len(sound)) / max(1, int(attack_s * RATE_HZ)))
    down = np.minimum(1, np.arange(len(sound))[::-1] / max(1, int(release_s * RATE_HZ)))
    shaped: np.ndarray = sound * up * down
    return shaped


def _piano(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    seconds = seconds + 0.4
    amplitudes = np.exp(-rng.uniform(0.25, 0.7) * np.arange(14)) * rng.uniform(0.5, 1.0, 14)
    sound = _partials(hz, seconds, amplitudes, stretch=rng.uniform(1e-4, 6e-4))
    t = np.arange(len(sound)) / RATE_HZ
    return _shaped(sound * np.exp(-rng.uniform(1.0, 4.0) * t * (hz / 260) ** 0.3), 0.003, 0.1)


def _pluck(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    """A string after Karplus and Strong: a burst of noise that goes round a delay and loses its treble."""
    period = max(2, round(RATE_HZ / hz))
    size = int((seconds + 0.5) * RATE_HZ)
    burst = np.zeros(size)
    burst[:period] = lfilter(
        [1 - (dark := rng.uniform(0, 0.7))], [1, -dark], np.random.default_rng(period).uniform(-1, 1, period)
    )[:size]
    loss = rng.uniform(0.985, 0.998)
    feedback = np.zeros(period + 2)
    feedback[0], feedback[period], feedback[period + 1] = 1, -loss / 2, -loss / 2
    return _shaped(lfilter([1.0], feedback, burst), 0.001, 0.1)


def _organ(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    amplitudes = rng.uniform(0, 1, 8) * (rng.random(8) < 0.7)
    amplitudes[0] = 1
    return _shaped(_partials(hz, seconds, amplitudes), 0.02, 0.05)


def _wind(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    """Flutes where the treble falls fast, brass and reeds where it does not; some leave out the even harmonics."""
    amplitudes = np.exp(-rng.uniform(0.15, 1.3) * np.arange(16))
    if rng.random() < 0.3:
        amplitudes[1::2] *= 0.15
    sound = _partials(hz, seconds, amplitudes, wobble=rng.uniform(0, 0.4))
    breath = np.random.default_rng(len(sound)).standard_normal(len(sound)) * rng.uniform(0, 0.05)
    return _shaped(sound + breath, rng.uniform(0.02, 0.1), 0.06)


def _bowed(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    """Several strings a little out of tune with each other."""
    amplitudes = 1 / np.arange(1, 18) ** rng.uniform(0.8, 1.4) * rng.uniform(0.4, 1.0, 17)
    players = [
        _partials(hz * (1 + rng.normal(0, 0.002)), seconds, amplitudes, wobble=rng.uniform(0.1, 0.4)) for _ in range(2)
    ]
    return _shaped(np.sum(players, axis=0), rng.uniform(0.04, 0.2), 0.1)


def _struck_metal(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    """Vibraphones, electric pianos and small bells: one sine bends another."""
    t = np.arange(int((seconds + 0.8) * RATE_HZ)) / RATE_HZ
    ratio, depth = float(rng.choice((1, 2, 3, 3.5, 4, 7))), rng.uniform(0.3, 3) * np.exp(-rng.uniform(3, 9) * t)
    sound = np.sin(2 * np.pi * hz * t + depth * np.sin(2 * np.pi * hz * ratio * t))
    return _shaped(sound * np.exp(-rng.uniform(1.5, 5) * t), 0.002, 0.1)


def _synthesizer(rng: Rng, hz: float, seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    saw = 2 * ((hz * t) % 1) - 1 + 2 * ((hz * 1.006 * t) % 1) - 1
    square = np.sign(np.sin(2 * np.pi * hz * t))
    closed = rng.uniform(0.3, 0.9)
    return _shaped(lfilter([1 - closed], [1, -closed], saw if rng.random() < 0.6 else square), 0.005, 0.05)


INSTRUMENTS: tuple[Instrument, ...] = (
    _piano,
    _piano,
    _pluck,
    _organ,
    _wind,
    _wind,
    _bowed,
    _bowed,
    _struck_metal,
    _synthesizer,
)


def _drums(rng: Rng, size: int, beat_s: float) -> np.ndarray:
    out = np.zeros(size + RATE_HZ)
    t = np.arange(RATE_HZ // 3) / RATE_HZ
    kick = np.sin(2 * np.pi * (rng.uniform(40, 60) * t + 8 * (1 - np.exp(-30 * t)) / 6)) * np.exp(
        -rng.uniform(8, 16) * t
    )
    hiss = rng.standard_normal(len(t))
    snare = (hiss + np.sin(2 * np.pi * 190 * t)) * np.exp(-rng.uniform(14, 30) * t) * 0.6
    hat = np.diff(hiss, prepend=0.0) * np.exp(-rng.uniform(40, 120) * t) * rng.uniform(0.1, 0.4)
    patterns = {
        "kick": (kick, rng.random(16) < 0.15),
        "snare": (snare, rng.random(16) < 0.08),
        "hat": (hat, rng.random(16) < 0.1),
    }
    patterns["kick"][1][[0, 8]] = True
    patterns["snare"][1][[4, 12]] = True
    patterns["hat"][1][:: int(rng.choice((1, 2, 4)))] = True
    for sixteenth in range(int(size / RATE_HZ / beat_s * 4)):
        start = int(sixteenth * beat_s / 4 * RATE_HZ)
        for sound, hits in patterns.values():
            if hits[sixteenth % 16]:
                out[start : start + len(sound)] += sound * rng.uniform(0.7, 1.0)
    return out[:size]


def in_a_room(rng: Rng, dry: np.ndarray, room_s: tuple[float, float], wet: tuple[float, float]) -> np.ndarray:
    """With the reverberation of a room whose length and strength are drawn from these ranges."""
    seconds = rng.uniform(*room_s)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / seconds)
    echo = fftconvolve(dry, tail / np.sqrt(np.sum(tail**2)))[: len(dry)]
    mixed: np.ndarray = dry + rng.uniform(*wet) * echo
    return mixed
