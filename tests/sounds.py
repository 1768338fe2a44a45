"""Sound made in the test: always the same, in plain numpy. Everything is float64 of shape (time,) at 16 kHz."""

import numpy as np

from schemas.audio import Waveform

RATE_HZ = 16_000
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480))  # formants in Hz, of a man


def silence(duration_ms: int) -> np.ndarray:
    return np.zeros(duration_ms * RATE_HZ // 1000)


def tone(duration_ms: int, hz: float = 440.0, db: float = -20.0) -> np.ndarray:
    return at_level(np.sin(2 * np.pi * hz * _seconds(duration_ms)), db)


def noise(duration_ms: int, db: float = -20.0, seed: int = 0) -> np.ndarray:
    """White."""
    return at_level(np.random.default_rng(seed).standard_normal(duration_ms * RATE_HZ // 1000), db)


def click(duration_ms: int = 20, db: float = -20.0) -> np.ndarray:
    """A burst that dies away."""
    burst = noise(duration_ms, seed=1) * np.exp(-5 * np.linspace(0, 1, duration_ms * RATE_HZ // 1000))
    return at_level(burst, db)


def melody(duration_ms: int, note_ms: int = 400, db: float = -20.0) -> np.ndarray:
    """Chords that change with every note, with overtones, struck and dying away."""
    chords = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16))
    notes = []
    for i in range(-(-duration_ms // note_ms)):
        seconds = _seconds(note_ms)
        pitches_hz = [220 * 2 ** (step / 12) for step in chords[i % len(chords)]]
        partials = [np.sin(2 * np.pi * hz * k * seconds) / k for hz in pitches_hz for k in (1, 2, 3)]
        notes.append(np.sum(partials, axis=0) * np.exp(-2 * seconds))
    return at_level(np.concatenate(notes)[: duration_ms * RATE_HZ // 1000], db)


def voice(duration_ms: int, db: float = -20.0) -> np.ndarray:
    """Vowels in syllables, spoken by a gliding pulse through three resonances; the voice detector hears a person."""
    seconds = _seconds(duration_ms)
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * seconds) + 4 * np.sin(2 * np.pi * 5 * seconds)
    phase = np.cumsum(pitch_hz) / RATE_HZ
    pulses = np.diff(np.floor(phase), prepend=0.0)
    breath = np.random.default_rng(2).standard_normal(len(seconds)) * 0.02
    syllable = (seconds / 0.22).astype(int)
    spoken = np.zeros(len(seconds))
    for index, formants_hz in enumerate(VOWELS):
        here = syllable % len(VOWELS) == index
        spoken += _resonated(pulses + breath, formants_hz) * here
    loudness = 0.15 + np.sin(np.pi * (seconds / 0.22 % 1)) ** 2
    return at_level(spoken * loudness, db)


def at_level(samples: np.ndarray, db: float) -> np.ndarray:
    """Scaled so that its RMS lies at `db`, relative to full scale."""
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return samples * (10 ** (db / 20) / rms) if rms else samples


def together(*sounds: np.ndarray) -> np.ndarray:
    """The sum; the shorter ones end early."""
    mixed = np.zeros(max(map(len, sounds)))
    for sound in sounds:
        mixed[: len(sound)] += sound
    return mixed


def one_after_another(*sounds: np.ndarray) -> np.ndarray:
    return np.concatenate(sounds)


def waveform(samples: np.ndarray, start_ms: int = 0, rate_hz: int = RATE_HZ) -> Waveform:
    return Waveform.from_float(samples, rate_hz, start_ms)


def _seconds(duration_ms: int) -> np.ndarray:
    return np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ


def _resonated(source: np.ndarray, formants_hz: tuple[int, ...]) -> np.ndarray:
    """Through one resonance after another, in the spectrum."""
    hz = np.fft.rfftfreq(len(source), 1 / RATE_HZ)
    spectrum = np.fft.rfft(source)
    for formant_hz, width_hz in zip(formants_hz, (80, 110, 160), strict=False):
        spectrum *= formant_hz**2 / (formant_hz**2 - hz**2 + 1j * hz * width_hz)
    return np.fft.irfft(spectrum, len(source))
