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
    window = _window()
    lead = (SIZE_SAMPLES - HOP_SAMPLES) // 2
    frames = num_frames(samples_16k)
    for first in range(0, frames, BLOCK_FRAMES):
        count = min(BLOCK_FRAMES, frames - first)
        start = first * HOP_SAMPLES - lead
        block = np.zeros((count - 1) * HOP_SAMPLES + SIZE_SAMPLES, np.float32)
        here = samples_16k[max(0, start) : max(0, start + len(block))]
        block[max(0, -start) : max(0, -start) + len(here)] = here
        framed = np.lib.stride_tricks.sliding_window_view(block, SIZE_SAMPLES)[::HOP_SAMPLES]
        spectra = scipy.fft.rfft(framed * window, axis=1)
        yield first, np.square(spectra.real) + np.square(spectra.imag)


def to_db(power: np.ndarray) -> np.ndarray:
    """Mean square to dB relative to full scale, never below the floor; float32."""
    level: np.ndarray = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)), dtype=np.float32)
    return level


def _edges_hz() -> np.ndarray:
    """Corners of the triangles, evenly spaced in mel: shape (bands + 2,)."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges: np.ndarray = 700 * (10 ** (np.linspace(lowest, highest, NUM_BANDS + 2) / 2595) - 1)
    return edges


@cache
def _bank() -> np.ndarray:
    """Triangles over the bins, shape (bins, bands); a band too narrow to meet a bin takes the nearest one."""
    edges = _edges_hz()
    hz = np.arange(SIZE_SAMPLES // 2 + 1)[:, None] * RATE_HZ / SIZE_SAMPLES
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0, None)
    nearest = np.argmin(np.abs(hz - edges[1:-1]), axis=0)
    bank[nearest, np.arange(NUM_BANDS)] = np.maximum(bank[nearest, np.arange(NUM_BANDS)], 0.5)
    return np.asarray(bank, np.float32)


@cache
def _window() -> np.ndarray:
    """A Hann window scaled so that the power of all bins sums to the mean square of the samples."""
    window = np.hanning(SIZE_SAMPLES + 1)[:-1]
    scaled: np.ndarray = window / np.sqrt(SIZE_SAMPLES / 2 * np.sum(window**2))
    return scaled.astype(np.float32)
