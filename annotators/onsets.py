"""Where something begins, in three registers: what tempo, beats and meter are found in.

Rises of the log spectrum beyond what vibrato explains, after the SuperFlux of Böck and Widmer ("Maximum filter
vibrato suppression for onset detection", 2013), in a low, a middle and a high register.
"""

from functools import cache
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from annotators.frames import centred_spectra
from annotators.notes import RATE_HZ

HOP_MS = 10
SIZE_SAMPLES, HOP_SAMPLES = 1_024, RATE_HZ * HOP_MS // 1000  # windows of 64 ms
REGISTERS_HZ = (30.0, 250.0, 2_000.0, 7_800.0)  # edges of the low, the middle and the high one
BANDS_PER_OCTAVE = 12
RISE_FRAMES = 2  # a rise is judged against the frame this far back
QUIET = 0.03  # of the mean magnitude: below it hardly anything counts
LOCAL_FRAMES = 50  # around which a rise must stand out, as the deviation of a bell curve
SMOOTH_FRAMES = 1.5


def onset_strengths(samples_16k: np.ndarray) -> np.ndarray:
    """Rises in dB per band every 10 ms, in the low, the middle and the high register: shape (3, frames).

    Frame i is centred on i * HOP_MS. How loud the whole is does not matter.
    """
    triangles, edges = _bands()
    magnitude = np.sqrt(centred_spectra(samples_16k, SIZE_SAMPLES, HOP_SAMPLES)) @ triangles
    mean = float(magnitude.mean())
    if mean <= 1e-7:
        return np.zeros((3, len(magnitude)))
    level_db = 20 * np.log10(magnitude / mean + QUIET)
    around = maximum_filter1d(level_db, 3, axis=1)
    before = np.concatenate([np.repeat(around[:1], RISE_FRAMES, axis=0), around[:-RISE_FRAMES]])[: len(around)]
    rise_db = np.maximum(level_db - before, 0.0)
    return np.stack([rise_db[:, low:high].mean(axis=1) for low, high in edges])


def standing_out(strengths: np.ndarray) -> np.ndarray:
    """What rises above its own second, in units of its spread; the last axis is frames."""
    around = gaussian_filter1d(strengths, LOCAL_FRAMES, axis=-1, mode="reflect")
    rest = np.maximum(gaussian_filter1d(strengths, SMOOTH_FRAMES, axis=-1) - around, 0.0)
    spread = rest.std(axis=-1, keepdims=True)
    out: np.ndarray = np.divide(rest, spread, out=np.zeros_like(rest), where=spread > 1e-9)
    return out


@cache
def _bands() -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Triangles of equal area over the bins, shape (bins, bands), and the bands of each register."""
    num_octaves = np.log2(REGISTERS_HZ[-1] / REGISTERS_HZ[0])
    centres_hz = REGISTERS_HZ[0] * 2 ** np.arange(0, num_octaves, 1 / BANDS_PER_OCTAVE)
    bins = np.unique(np.maximum(1, np.rint(centres_hz * SIZE_SAMPLES / RATE_HZ))).astype(int)
    triangles = np.zeros((SIZE_SAMPLES // 2 + 1, len(bins) - 2), np.float32)
    for band, (low, middle, high) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        triangles[low : middle + 1, band] = np.linspace(0, 1, middle - low + 1)
        triangles[middle : high + 1, band] = np.linspace(1, 0, high - middle + 1)
    edges = np.searchsorted(bins[1:-1] * RATE_HZ / SIZE_SAMPLES, REGISTERS_HZ)
    return triangles / triangles.sum(axis=0), tuple((int(a), int(b)) for a, b in pairwise(edges))
