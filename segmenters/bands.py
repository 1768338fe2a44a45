"""Log band energies of sound every 10 ms: what the activity detector and the profiler measure on."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from segmenters.base import FRAME_MS

RATE_HZ = 16_000
HOP_SAMPLES = RATE_HZ * FRAME_MS // 1000
SIZE_SAMPLES = 512
NUM_BANDS = 32
LOWEST_HZ, HIGHEST_HZ = 60.0, 7_800.0
SMOOTH_FRAMES = 5  # one frame of noise wavers by 5 dB in a narrow band; five together by half of that
FLOOR_DB = -100.0  # below the least significant of 16 bits: what digital silence is given
BLOCK_FRAMES = 2_048  # spectra in memory at once


def band_levels_db(samples_16k: np.ndarray) -> np.ndarray:
    """Level in each mel-spaced band around each 10 ms, dB relative to full scale: float32, shape (frames, bands)."""
    powers = np.empty((num_frames(samples_16k), NUM_BANDS), np.float32)
    for first, spectra in spectra_blocks(samples_16k):
        powers[first : first + len(spectra)] = spectra @ _bank()
    return to_db(uniform_filter1d(powers, SMOOTH_FRAMES, axis=0, mode="nearest"))


def levels_db(samples_16k: np.ndarray) -> np.ndarray:
    """RMS level of each 10 ms, dB relative to full scale: float32, shape (frames,)."""
    padded = np.zeros(num_frames(samples_16k) * HOP_SAMPLES, np.float32)
    padded[: len(samples_16k)] = samples_16k
    frames = padded.reshape(-1, HOP_SAMPLES)
    return to_db(np.einsum("ij,ij->i", frames, frames) / HOP_SAMPLES)


def num_frames(samples_16k: np.ndarray) -> int:
    return max(1, -(-len(samples_16k) // HOP_SAMPLES))


def spectra_blocks(samples_16k: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Power spectra centred on each 10 ms, a block at a time: index of its first frame, and (frames, bins)."""
    lead = (SIZE_SAMPLES - HOP_SAMPLES) // 2
    frames = num_frames(samples_16k)
    for first in range(0, frames, BLOCK_FRAMES):
        count = min(BLOCK_FRAMES, frames - first)
        start = first * HOP_SAMPLES - lead
        block = np.zeros((count - 1) * HOP_SAMPLES + SIZE_SAMPLES, np.float32)
        here = samples_16k[max(0, start) : max(0, start + len(block))]
        block[max(0, -start) : max(0, -start) + len(here)] = here
        framed = np.lib.stride_tricks.sliding_window_view(block, SIZE_SAMPLES)[::HOP_SAMPLES]
        spectra = scipy.fft.rfft(framed * window(SIZE_SAMPLES), axis=1)
        yield first, np.square(spectra.real) + np.square(spectra.imag)


def to_db(power: np.ndarray) -> np.ndarray:
    """Mean square to dB relative to full scale, never below the floor; float32."""
    level: np.ndarray = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)), dtype=np.float32)
    return level


def mel_edges_hz(lowest_hz: float, highest_hz: float, num_bands: int) -> np.ndarray:
    """Corners of triangles evenly spaced in mel: shape (bands + 2,)."""
    lowest, highest = 2595 * np.log10(1 + np.array([lowest_hz, highest_hz]) / 700)
    edges: np.ndarray = 700 * (10 ** (np.linspace(lowest, highest, num_bands + 2) / 2595) - 1)
    return edges


def triangles(edges_hz: np.ndarray, size_samples: int) -> np.ndarray:
    """Triangles between corners over the bins, (bins, bands); a band too narrow to meet a bin takes the nearest one."""
    hz = np.arange(size_samples // 2 + 1)[:, None] * RATE_HZ / size_samples
    rising = (hz - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - hz) / (edges_hz[2:] - edges_hz[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0, None)
    nearest, bands = np.argmin(np.abs(hz - edges_hz[1:-1]), axis=0), np.arange(len(edges_hz) - 2)
    bank[nearest, bands] = np.maximum(bank[nearest, bands], 0.5)
    return np.asarray(bank, np.float32)


@cache
def window(size_samples: int) -> np.ndarray:
    """A Hann window scaled so that the power of all bins sums to the mean square of the samples: shape (size,)."""
    hann = np.hanning(size_samples + 1)[:-1]
    scaled: np.ndarray = hann / np.sqrt(size_samples / 2 * np.sum(hann**2))
    return scaled.astype(np.float32)


@cache
def _bank() -> np.ndarray:
    return triangles(mel_edges_hz(LOWEST_HZ, HIGHEST_HZ, NUM_BANDS), SIZE_SAMPLES)
