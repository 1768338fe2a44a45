"""What the tagger looks at: 64 mel bands every 20 ms, freed of how loud the recording is.

The level is taken out against the mean power of the three seconds around, so that a sound looks alike near and far; but
not below a floor, so that silence does not come out as a picture of its own noise.
"""

from functools import cache

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

RATE_HZ = 16_000
HOP_SAMPLES = 320
HOP_MS = 1000 * HOP_SAMPLES // RATE_HZ
SIZE_SAMPLES = 512
NUM_BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 50.0, 7_800.0
AROUND_FRAMES = 75  # to each side: the sound whose mean power the level is taken against
POWER_FLOOR = 1e-10  # mean square of a band, -100 dB: below the least significant of 16 bits
LEVEL_FLOOR = 10**-6.2  # mean square, -62 dB: sound below it is pictured as faint as it is
RANGE_DB = (-50.0, 20.0)  # around the level; what lies outside is clipped
FRAMES_PER_TAG = 8  # what the network makes one row of scores of
SCALE_DB = 20.0  # one unit of the network's input


def features(samples_16k: np.ndarray) -> np.ndarray:
    """Level-free log bands of each 20 ms begun: float32, shape (frames, bands). Beyond the samples lies silence."""
    return level_free(band_powers(samples_16k))


def band_powers(samples_16k: np.ndarray) -> np.ndarray:
    """Mean square in each mel-spaced band around each 20 ms begun: float32, shape (frames, bands)."""
    frames = -(-len(samples_16k) // HOP_SAMPLES)
    if not frames:
        return np.zeros((0, NUM_BANDS), np.float32)
    lead = (SIZE_SAMPLES - HOP_SAMPLES) // 2
    padded = np.zeros((frames - 1) * HOP_SAMPLES + SIZE_SAMPLES, np.float32)
    here = samples_16k[: len(padded) - lead]
    padded[lead : lead + len(here)] = here
    framed = np.lib.stride_tricks.sliding_window_view(padded, SIZE_SAMPLES)[::HOP_SAMPLES]
    spectra = scipy.fft.rfft(framed * _window(), axis=1)
    powers: np.ndarray = (np.square(spectra.real) + np.square(spectra.imag)) @ _bank()
    return powers


def level_free(powers: np.ndarray) -> np.ndarray:
    """Band powers as the network takes them: log, against the level around, clipped and scaled; the same shape."""
    level = uniform_filter1d(powers.sum(axis=1), 2 * AROUND_FRAMES + 1, mode="constant")
    reference = np.maximum(level, 0) + LEVEL_FLOOR
    relative_db = 10 * np.log10(np.maximum(powers, POWER_FLOOR) / reference[:, None])
    scaled: np.ndarray = np.clip(relative_db, *RANGE_DB) / SCALE_DB
    return scaled.astype(np.float32)


def edges_hz() -> np.ndarray:
    """Corners of the bands' triangles, evenly spaced in mel: shape (bands + 2,)."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges: np.ndarray = 700 * (10 ** (np.linspace(lowest, highest, NUM_BANDS + 2) / 2595) - 1)
    return edges


@cache
def _bank() -> np.ndarray:
    """Triangles over the bins, shape (bins, bands); a band too narrow to meet a bin takes the nearest one."""
    edges = edges_hz()
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
