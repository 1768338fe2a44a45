"""Recordings made of arithmetic, so that the first run needs no data: voices, music, bursts, rain and silence.

The voice is a source-filter synthesiser (Klatt, "Software for a cascade/parallel formant synthesizer",
1980, much reduced): a pulse train with a falling melody through three moving formants, with bursts of noise
for consonants. It says nothing; it only has to be heard as a voice.
"""

from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, lfilter, sosfilt

RATE_HZ = 16_000
VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
BANDWIDTHS_HZ = (80, 100, 140)


def make_recordings(folder: Path) -> list[Path]:
    """Four recordings of different containers and rates; the same bytes of sound every time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    conversation = [silence(1.2), voice(rng, 6, 118), silence(0.9), voice(rng, 5, 205), silence(2.5)]
    knock = [at_db(noise(rng, 0.25), -14), silence(1.1), voice(rng, 8, 118), silence(1.6)]
    interview = sequence([*conversation, *knock])
    concert = sequence([silence(2.0), music(24.0), silence(3.0), *[clap(rng) for _ in range(6)], silence(2.0)])
    street = over(
        at_db(rain(rng, 40.0), -44),
        sequence([silence(5), siren(4.0), silence(6), voice(rng, 7, 140), silence(4), music(8.0), silence(2)]),
    )
    recordings = {
        "interview.wav": (interview, RATE_HZ),
        "concert.flac": (concert, RATE_HZ),
        "street.ogg": (street, RATE_HZ),
        "night, nothing happens.wav": (silence(20.0) + 1e-5 * noise(rng, 20.0), RATE_HZ),
    }
    paths = []
    for name, (samples, rate_hz) in recordings.items():
        path = folder / name
        soundfile.write(path, np.clip(samples, -0.99, 0.99), rate_hz)
        paths.append(path)
    return paths


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ))


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    return rng.standard_normal(round(seconds * RATE_HZ))


def rain(rng: np.random.Generator, seconds: float) -> np.ndarray:
    return banded(noise(rng, seconds), 400, 6_000)


def clap(rng: np.random.Generator) -> np.ndarray:
    fading = noise(rng, 0.5) * np.exp(-np.arange(RATE_HZ // 2) / (0.02 * RATE_HZ))
    return at_db(fading, -24)


def siren(seconds: float) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = 900 + 300 * np.sin(2 * np.pi * 0.5 * time_s)
    return at_db(np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ), -22)


def music(seconds: float) -> np.ndarray:
    """Four chords of C major, plucked twice a second: 120 beats a minute."""
    chords_midi = ((60, 64, 67), (57, 60, 64), (65, 69, 72), (67, 71, 74))
    beats = []
    for beat in range(round(seconds * 2)):
        time_s = np.arange(RATE_HZ // 2) / RATE_HZ
        tones = [
            np.sin(2 * np.pi * harmonic * 440 * 2 ** ((note - 69) / 12) * time_s) / harmonic
            for note in chords_midi[beat // 4 % 4]
            for harmonic in (1, 2, 3)
        ]
        beats.append(np.sum(tones, axis=0) * np.exp(-4 * time_s) * np.minimum(1, time_s * 200))
    return at_db(np.concatenate(beats), -20)


def voice(rng: np.random.Generator, num_syllables: int, pitch_hz: float) -> np.ndarray:
    """Syllables of a consonant and a vowel, about four a second, the melody falling as in a statement."""
    melody = np.linspace(1.15, 0.85, num_syllables) * pitch_hz
    syllables = [_syllable(rng, VOWELS_HZ[rng.integers(len(VOWELS_HZ))], hz) for hz in melody]
    return at_db(np.concatenate(syllables), -22)


def _syllable(rng: np.random.Generator, formants_hz: tuple[int, ...], pitch_hz: float) -> np.ndarray:
    hiss = banded(noise(rng, 0.06), 2_500, 6_500) * np.hanning(960)
    length = round(rng.uniform(0.16, 0.24) * RATE_HZ)
    wobble = 1 + 0.02 * np.sin(2 * np.pi * 5 * np.arange(length) / RATE_HZ) + 0.01 * rng.standard_normal(length)
    phase = np.cumsum(pitch_hz * wobble / RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    sound = lfilter([1.0], [1.0, -0.97], pulses)  # the glottis: twelve decibels an octave down, six up at the lips
    for centre_hz, width_hz in zip(formants_hz, BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * width_hz / RATE_HZ)
        angle = 2 * np.pi * centre_hz / RATE_HZ
        sound = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
    sound = sound * np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / 480)
    return np.concatenate([at_db(hiss, -34), at_db(sound, -20)])


def at_db(samples: np.ndarray, level_db: float) -> np.ndarray:
    """The same sound with this RMS, in dB relative to full scale."""
    rms = np.sqrt(np.mean(samples**2))
    return samples * (10 ** (level_db / 20) / rms) if rms else samples


def banded(samples: np.ndarray, low_hz: int, high_hz: int) -> np.ndarray:
    filtered: np.ndarray = sosfilt(butter(2, (low_hz, high_hz), "band", fs=RATE_HZ, output="sos"), samples)
    return filtered


def sequence(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)


def over(background: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Both at once; the longer one decides the length."""
    mixed = np.zeros(max(len(background), len(foreground)))
    mixed[: len(background)] += background
    mixed[: len(foreground)] += foreground
    return mixed
