"""Where a long stretch of music is best divided: phrase ends, changes of section, at best where a bar begins.

Light on purpose: pitch classes, timbre and attacks of every tenth of a second, by numpy and scipy alone. A place is
strong where it is played otherwise for some seconds than for some seconds before, where the harmony changes, as it does
mostly where a bar begins, where the timbre changes, and where the sound has just thinned. Pure.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d, uniform_filter1d

RATE_HZ = 16_000
HOP_MS, SIZE_SAMPLES = 100, 4_096  # windows of a quarter of a second, which part neighbouring notes
HOP_SAMPLES = RATE_HZ * HOP_MS // 1000
BLOCK_FRAMES = 512
LOWEST_HZ, HIGHEST_HZ = 110.0, 2_000.0  # of the pitches
BANDS_HZ = 60.0 * 2 ** np.arange(0, 7.5, 0.5)  # edges of the timbre bands
PLAYING_FRAMES, HARMONY_FRAMES, TIMBRE_FRAMES = (50, 80), (8,), (15, 80)  # of what is compared, to each side
PLAYING, HARMONY, TIMBRE, DIP, ATTACK = 0.5, 0.5, 0.2, 0.1, 0.05  # what each is worth, before it is pressed into 0..1
FAR_DB = 12.0  # a change of timbre by so much in every band is as far as one goes
DIP_FRAMES = 15  # before a place, in which the sound may have thinned
DIP_DB = 12.0  # the deepest dip that counts
MIN_APART_FRAMES = 10
MIN_RISE_DB = 0.3  # per frame; steady sound has less, and its rises mean nothing
DEPTH_DB = 50.0  # below the loudest band a rise is not heard
FLOOR = 1e-9
SHORT_MS, SHORT_SAMPLES = 20, 640  # windows of 40 ms, in which the beginning of a note is heard
SHORT_PER_FRAME = HOP_MS // SHORT_MS


def phrase_points(samples_16k: np.ndarray) -> list[tuple[int, float]]:
    """Places to divide a stretch of music, in time order, each at the beginning of what follows: (at_ms, strength).

    The strength is 0..1; the strongest place of a stretch without changes is still weak. Two places are about a
    second apart or more, and none lies within about a second of either end.
    """
    if len(samples_16k) < 4 * MIN_APART_FRAMES * HOP_SAMPLES:
        return []
    rises_db = _rises_db(samples_16k)
    strength = _strength(*_looks(samples_16k), rises_db)
    return [(_attack_near(rises_db, frame), round(float(strength[frame]), 3)) for frame in _peaks(strength).tolist()]


def _looks(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch classes of length 1, shape (frames, 12), and timbre bands in dB, shape (frames, bands)."""
    num_frames = len(samples) // HOP_SAMPLES + 1
    classes, bands_db = np.zeros((num_frames, 12)), np.zeros((num_frames, len(BANDS_HZ) - 1))
    for here, magnitude in _spectra(samples, SIZE_SAMPLES, HOP_SAMPLES):
        above = np.maximum(magnitude - uniform_filter1d(magnitude, 41, axis=1), 0)
        classes[here] = np.sqrt(above) @ _classes_by_bin()
        bands_db[here] = _bands_db(magnitude)
    classes /= np.maximum(np.linalg.norm(classes, axis=1, keepdims=True), 1e-6)
    return classes, bands_db


def _rises_db(samples: np.ndarray) -> np.ndarray:
    """How far each band rises from one short window to the next, 0 or more: shape (short frames, bands)."""
    hop = RATE_HZ * SHORT_MS // 1000
    bands_db = np.zeros((len(samples) // hop + 1, len(BANDS_HZ) - 1))
    for here, magnitude in _spectra(samples, SHORT_SAMPLES, hop):
        bands_db[here] = _bands_db(magnitude)
    quiet_db = bands_db.max() - DEPTH_DB
    return np.asarray(np.maximum(np.diff(np.maximum(bands_db, quiet_db), axis=0, prepend=bands_db[:1]), 0))


def _spectra(samples: np.ndarray, size: int, hop: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Magnitudes of frames centred on i * hop, block by block: which frames, and (frames, bins)."""
    num_frames = len(samples) // hop + 1
    padded = np.zeros((num_frames - 1) * hop + size, np.float32)
    padded[size // 2 :][: len(samples)] = samples[: len(padded) - size // 2]
    framed = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = np.hanning(size + 1)[:-1]
    window = (window / np.sum(window)).astype(np.float32)
    for first in range(0, num_frames, BLOCK_FRAMES):
        here = slice(first, first + BLOCK_FRAMES)
        yield here, np.abs(scipy.fft.rfft(framed[here] * window, axis=1))


def _bands_db(magnitude: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.square(magnitude) @ _bands_by_bin(magnitude.shape[1]) + FLOOR))


def _strength(classes: np.ndarray, bands_db: np.ndarray, rises_db: np.ndarray) -> np.ndarray:
    """How good a place each frame is, 0..1: shape (frames,)."""
    whole = rises_db[: len(rises_db) // SHORT_PER_FRAME * SHORT_PER_FRAME]
    rises_db = whole.reshape(-1, SHORT_PER_FRAME, whole.shape[1]).mean(axis=1)  # of the 100 ms from each frame on
    rises_db = np.pad(rises_db, ((0, len(classes) - len(rises_db)), (0, 0)), mode="edge")
    usual_db = max(MIN_RISE_DB, float(rises_db.mean()))
    playing = _change(rises_db, PLAYING_FRAMES) / usual_db / np.sqrt(rises_db.shape[1])
    harmony = _change(classes, HARMONY_FRAMES) / np.sqrt(2)
    timbre = _change(bands_db, TIMBRE_FRAMES) / FAR_DB / np.sqrt(bands_db.shape[1])
    attack = np.minimum(rises_db.mean(axis=1) / usual_db / 4, 1)
    dips = _dips(bands_db.max(axis=1))
    total = PLAYING * playing + HARMONY * harmony + TIMBRE * timbre + DIP * dips + ATTACK * attack
    return np.asarray(1 - np.exp(-np.maximum(total, 0)))


def _change(rows: np.ndarray, reaches: tuple[int, ...]) -> np.ndarray:
    """How far the means before and after each frame are apart, shape (frames,)."""
    return np.asarray(np.mean([np.linalg.norm(_before_and_after(rows, reach), axis=1) for reach in reaches], axis=0))


def _before_and_after(rows: np.ndarray, reach: int) -> np.ndarray:
    """Mean of the frames after less mean of the frames before; 0 where either side is half missing."""
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    here = np.arange(len(rows))
    first, last = np.maximum(here - reach, 0), np.minimum(here + reach, len(rows))
    before = (sums[here] - sums[first]) / np.maximum(here - first, 1)[:, None]
    after = (sums[last] - sums[here]) / np.maximum(last - here, 1)[:, None]
    whole = np.minimum(here - first, last - here) / reach
    return np.asarray((after - before) * np.clip(2 * whole - 0.5, 0, 1)[:, None])


def _dips(level_db: np.ndarray) -> np.ndarray:
    """How far the sound has thinned just before each frame, against its surroundings: 0..1."""
    smooth = gaussian_filter1d(level_db, 1.0)
    lowest = minimum_filter1d(smooth, DIP_FRAMES, origin=DIP_FRAMES // 2)
    usual = uniform_filter1d(smooth, 8 * DIP_FRAMES)
    dips: np.ndarray = np.clip((usual - lowest) / DIP_DB, 0, 1)
    return dips


def _peaks(strength: np.ndarray) -> np.ndarray:
    """Frames that are strongest for a second around, in order; the ends do not count."""
    is_peak = strength >= maximum_filter1d(strength, 2 * MIN_APART_FRAMES + 1, mode="nearest")
    is_peak[:MIN_APART_FRAMES], is_peak[-MIN_APART_FRAMES:] = False, False
    frames = np.flatnonzero(is_peak)
    apart = np.diff(frames, prepend=-MIN_APART_FRAMES) >= MIN_APART_FRAMES
    return np.asarray(frames[apart])


def _attack_near(rises_db: np.ndarray, frame: int) -> int:
    """The moment just before the steepest rise within 150 ms or so of a frame, in ms."""
    first = max(0, frame * SHORT_PER_FRAME - SHORT_PER_FRAME)
    here = rises_db[first : first + 3 * SHORT_PER_FRAME].sum(axis=1)
    return (first + int(here.argmax())) * SHORT_MS


@cache
def _classes_by_bin() -> np.ndarray:
    """Which pitch class each bin belongs to, most at its centre: shape (bins, 12)."""
    hz = np.maximum(1.0, np.arange(SIZE_SAMPLES // 2 + 1) * RATE_HZ / SIZE_SAMPLES)
    pitch = 69 + 12 * np.log2(hz / 440.0)
    away = np.abs((pitch[:, None] - np.arange(12) + 6) % 12 - 6)
    inside = (hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ)
    return np.asarray(np.maximum(0.0, 1 - away) * inside[:, None])


@cache
def _bands_by_bin(num_bins: int) -> np.ndarray:
    """Which timbre band each bin belongs to; a band narrower than a bin has the nearest: shape (bins, bands)."""
    hz = np.arange(num_bins) * RATE_HZ / 2 / (num_bins - 1)
    belongs = (hz[:, None] >= BANDS_HZ[:-1]) & (hz[:, None] < BANDS_HZ[1:])
    for band in np.flatnonzero(~belongs.any(axis=0)):
        belongs[np.argmin(np.abs(hz - BANDS_HZ[band])), band] = True
    return np.asarray(belongs, float)
