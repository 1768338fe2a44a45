"""Sound in short frames: their levels and their spectra. What every measurement here begins with."""

import numpy as np

FLOOR_DB = -100.0  # 10 log10 of 1e-10, below the least significant of 16 bits: what digital silence is given


def framed(samples: np.ndarray, size_samples: int, hop_samples: int) -> np.ndarray:
    """Overlapping frames, shape (frames, size); the end is padded with zeros, so there is at least one."""
    num_frames = 1 + max(0, -(-(len(samples) - size_samples) // hop_samples))
    padded = np.zeros(size_samples + (num_frames - 1) * hop_samples, dtype=np.float32)
    padded[: len(samples)] = samples
    frames: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, size_samples)[::hop_samples]
    return frames


def db(power: np.ndarray | float) -> np.ndarray:
    """Mean square to dB relative to full scale, never below the floor."""
    level_db: np.ndarray = 10 * np.log10(np.maximum(power, 1e-10))
    return level_db


def rms_db(samples: np.ndarray) -> float:
    return float(db(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else FLOOR_DB


def levels_db(samples: np.ndarray, rate_hz: int, frame_ms: int) -> np.ndarray:
    """RMS level of frames laid end to end, shape (frames,)."""
    size = max(1, rate_hz * frame_ms // 1000)
    whole = samples[: max(size, len(samples) // size * size)]  # a last frame of padding would read as a fade
    return db(np.mean(np.square(framed(whole, size, size), dtype=np.float64), axis=1))


def power_spectra(samples: np.ndarray, size_samples: int, hop_samples: int) -> np.ndarray:
    """Hann-windowed power spectra, shape (frames, size // 2 + 1)."""
    window = np.hanning(size_samples + 1)[:-1].astype(np.float32)
    spectra = np.fft.rfft(framed(samples, size_samples, hop_samples) * window, axis=1)
    return np.square(spectra.real) + np.square(spectra.imag)


def centred_spectra(samples: np.ndarray, size_samples: int, hop_samples: int) -> np.ndarray:
    """The same, with frame i centred on sample i * hop: frames for all of the sound, edges included."""
    edge = np.zeros(size_samples // 2, np.float32)
    return power_spectra(np.concatenate([edge, samples, edge]), size_samples, hop_samples)
