"""What the tagger looks at: 64 mel bands every 20 ms, freed of how loud the recording is.

The level is taken out against the mean power of the three seconds around, so that a sound looks alike near and far; but
not below a floor, so that silence does not come out as a picture of its own noise.
"""

from functools import cache

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from segmenters.bands import RATE_HZ, mel_edges_hz, triangles, window
from segmenters.base import TAG_MS

HOP_SAMPLES = 320
HOP_MS = 1000 * HOP_SAMPLES // RATE_HZ
SIZE_SAMPLES = 512
NUM_BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 50.0, 7_800.0
AROUND_FRAMES = 75  # to each side: the sound whose mean power the level is taken against
POWER_FLOOR = 1e-10  # mean square of a band, -100 dB: below the least significant of 16 bits
LEVEL_FLOOR = 10**-6.2  # mean square, -62 dB: sound below it is pictured as faint as it is
RANGE_DB = (-50.0, 20.0)  # around the level; what lies outside is clipped
FRAMES_PER_TAG = TAG_MS // HOP_MS  # what the network makes one row of scores of
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
    spectra = scipy.fft.rfft(framed * window(SIZE_SAMPLES), axis=1)
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
    """Corners of the bands' triangles: shape (bands + 2,)."""
    return mel_edges_hz(LOWEST_HZ, HIGHEST_HZ, NUM_BANDS)


@cache
def _bank() -> np.ndarray:
    return triangles(edges_hz(), SIZE_SAMPLES)
