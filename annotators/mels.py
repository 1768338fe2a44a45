"""Mel power spectra as librosa computes them by default, for the networks that were trained on those."""

from functools import cache

import numpy as np

LINEAR_HZ = 200 / 3  # Slaney's scale: so much is a mel below 1 kHz
KNEE_HZ = 1_000.0  # and above it a mel is a step of the logarithm
STEP = float(np.log(6.4)) / 27


def mel_power(samples: np.ndarray, rate_hz: int, size_samples: int, hop_samples: int, num_mels: int) -> np.ndarray:
    """float32 of shape (frames, mels); a frame is centred on its time, with silence before and after the samples."""
    padded = np.pad(samples.astype(np.float32), size_samples // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size_samples)[::hop_samples]
    spectra = np.fft.rfft(frames * np.hanning(size_samples + 1)[:-1].astype(np.float32), axis=1)
    power = np.square(spectra.real) + np.square(spectra.imag)
    return np.asarray(power.astype(np.float32) @ _filters(rate_hz, size_samples, num_mels).T)


@cache
def _filters(rate_hz: int, size_samples: int, num_mels: int) -> np.ndarray:
    """Triangles of one area, evenly spaced on Slaney's mel scale: float32, shape (mels, size // 2 + 1)."""
    hz = np.fft.rfftfreq(size_samples, 1 / rate_hz)
    edges_hz = _hz_of(np.linspace(0.0, KNEE_HZ / LINEAR_HZ + np.log(rate_hz / 2 / KNEE_HZ) / STEP, num_mels + 2))
    low_hz, middle_hz, high_hz = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = np.minimum((hz - low_hz) / (middle_hz - low_hz), (high_hz - hz) / (high_hz - middle_hz))
    return np.asarray((np.maximum(0, triangles) * 2 / (high_hz - low_hz)).astype(np.float32))


def _hz_of(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < KNEE_HZ / LINEAR_HZ, mel * LINEAR_HZ, KNEE_HZ * np.exp(STEP * (mel - KNEE_HZ / LINEAR_HZ)))
