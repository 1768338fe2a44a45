"""Where anything is to be heard above the background, and where its timbre changes.

The background is listened for twice. First roughly: in each band, the level that even the quiet half-seconds of
the surroundings reach. Then closely: mean and spread of what the first listening left as background. So steady
hum, rain and crickets are background, and what stands out from them is sound.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label, maximum_filter1d, percentile_filter, uniform_filter1d
from scipy.ndimage import maximum as label_maximum

from schemas.errors import ConfigError
from segmenters.base import FRAME_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRules:
    """What counts as standing out. The thresholds were chosen on composed scenes with known event times."""

    on_db: float = 6.0  # an event must somewhere exceed the background by this
    off_db: float = 1.0  # and lasts as long as it exceeds it by this
    floor_db: float = -85.0  # in one band; what is quieter is silence, whatever the background
    loud_db: float = -36.0  # over all bands; what is louder is sound, however steady
    alone_db: float = -52.0  # a steady sound above this is heard where nothing stands out from it
    surroundings_ms: int = 15_000  # how far to each side the background is looked for
    bridge_ms: int = 200  # shorter gaps do not part two events
    blip_ms: int = 60  # shorter events are dropped

    def __post_init__(self) -> None:
        if not 0.0 < self.off_db <= self.on_db:
            raise ConfigError(
                f"off_db={self.off_db} and on_db={self.on_db} must be positive and in this order, "
                "or an event would end before it began"
            )


LOUDEST_BANDS = 5  # an event need not fill the spectrum: the bands it stands out in most decide
ROUGH_BLOCK_MS = 500
ROUGH_PERCENTILE = 10
ROUGH_MARGIN_DB = 5.0
LIFT_DB = 12.0  # how far the local background may lie above that of the whole stretch
CLOSE_MS = 6_000  # to each side; background that wavers slowly is followed
CLOSE_SPREADS = 2.5  # standard deviations above the mean that are still background
MIN_SPREAD_DB = 1.5
TAIL_MS = 150  # around what the first listening heard: not yet background
ENOUGH_MS = 200  # of background, to measure it closely


def stands_out_db(bands_db: np.ndarray, level_db: np.ndarray, rules: ActivityRules) -> np.ndarray:
    """How far each frame stands out from the background: float32 of at least 0, shape (frames,)."""
    always = np.where(maximum_filter1d(level_db, 5) > rules.loud_db, np.float32(2 * rules.on_db), np.float32(0))
    rough = _excess(bands_db, _rough_background(bands_db, rules) + ROUGH_MARGIN_DB)
    first = np.maximum(rough, always)
    background = ~binary_dilation(active(first, rules), iterations=TAIL_MS // FRAME_MS)
    if np.count_nonzero(background) < ENOUGH_MS // FRAME_MS:
        return np.asarray(first)
    close = _excess(bands_db, np.maximum(_close_background(bands_db, background), rules.floor_db + ROUGH_MARGIN_DB))
    out = np.maximum(close, always)
    if not np.any(out > rules.on_db) and np.median(level_db) > rules.alone_db:
        return np.full_like(first, 2 * rules.on_db)
    return np.asarray(out)


def active(stands_out: np.ndarray, rules: ActivityRules) -> np.ndarray:
    """Frames that belong to an event, by hysteresis; short gaps bridged, blips dropped: bool, shape (frames,)."""
    labels, count = label(stands_out > rules.off_db)
    strongest = np.append(0.0, label_maximum(stands_out, labels, np.arange(1, count + 1)))
    heard = np.zeros(len(stands_out), bool)
    for start, end in bridged(runs((strongest > rules.on_db)[labels]), rules.bridge_ms // FRAME_MS):
        heard[start:end] = end - start >= rules.blip_ms // FRAME_MS
    return heard


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Half-open ranges of indices where the flags are set."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def bridged(ranges: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """The ranges, joined where no more than `gap` lies between."""
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


GAP_REACH_MS = 1_000  # how much sound is compared on each side of a silence
CHANGE_REACH_MS = 4_000  # and within a sound, where every note and word is a change of its own
CHANGE_STEP_MS = 50
CHANGE_DB = 10.0  # difference of two spectra that makes a strength of 0.63
CHANGE_APART_MS = 1_500
NOT_AT_GAP_MS = 500  # a change this near to a silence is the one at the silence
WEAKEST_CHANGE = 0.3  # within a sound; at a silence a weak change says something too


def timbre_changes(bands_db: np.ndarray, flags: np.ndarray, rules: ActivityRules) -> list[tuple[int, float]]:
    """Frames where the sound before differs from the sound after, each with a strength of 0..1.

    There is one in every silence, which tells whether what follows it is the same sound, and one where the sound
    before and after differ most.
    """
    heard = np.flatnonzero(flags)
    if len(heard) < 2 * CHANGE_STEP_MS // FRAME_MS:
        return []
    gaps = np.flatnonzero(np.diff(heard) > 1) + 1
    steady = np.arange(CHANGE_STEP_MS // FRAME_MS, len(heard), CHANGE_STEP_MS // FRAME_MS)
    spectra = np.maximum(bands_db[heard], rules.floor_db)
    novelty = _novelty(spectra, steady)
    widest = maximum_filter1d(novelty, 2 * (CHANGE_APART_MS // CHANGE_STEP_MS) + 1, mode="nearest")
    peaks = np.flatnonzero((novelty == widest) & (widest > 0))
    across = _shape_change_db(spectra, gaps) if len(gaps) else np.zeros(0)
    found = [((int(heard[i - 1]) + int(heard[i])) // 2, _strength(db)) for i, db in zip(gaps, across, strict=True)]
    taken = [frame for frame, _ in found]
    for frame, db in zip(heard[steady[peaks]].tolist(), novelty[peaks], strict=True):
        near = any(abs(frame - other) < NOT_AT_GAP_MS // FRAME_MS for other in _around(taken, frame))
        if not near and _strength(db) >= WEAKEST_CHANGE:
            found.append((frame, _strength(db)))
    return sorted(found)


def _strength(change_db: float) -> float:
    return 1 - float(np.exp(-change_db / CHANGE_DB))


def _around(frames: list[int], frame: int) -> list[int]:
    """The neighbours of a frame in a list that is in order."""
    right = bisect_left(frames, frame)
    return frames[max(0, right - 1) : right + 1]


def _rough_background(bands_db: np.ndarray, rules: ActivityRules) -> np.ndarray:
    """What even the quiet half-seconds of the surroundings reach at their loudest: shape (frames, bands)."""
    block = min(ROUGH_BLOCK_MS // FRAME_MS, len(bands_db))
    num_blocks = len(bands_db) // block
    loudest = bands_db[: num_blocks * block].reshape(num_blocks, block, -1).max(axis=1)
    reach = 2 * (rules.surroundings_ms // ROUGH_BLOCK_MS) + 1
    around = percentile_filter(loudest, ROUGH_PERCENTILE, size=(reach, 1), mode="nearest")
    whole = np.percentile(loudest, ROUGH_PERCENTILE / 2, axis=0)
    background = np.maximum(np.minimum(around, whole + LIFT_DB), rules.floor_db).astype(np.float32)
    of_frame = np.minimum(np.arange(len(bands_db)) // block, num_blocks - 1)
    return np.asarray(background[of_frame])


def _close_background(bands_db: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The level that background frames nearby hardly ever exceed: shape (frames, bands)."""
    width = 2 * (CLOSE_MS // FRAME_MS) + 1
    mean, spread = bands_db[background].mean(axis=0), bands_db[background].std(axis=0)
    pull = np.float32(0.3 / (2 * CLOSE_MS / 1000))  # 0.3 s worth of the whole stretch, for where none is near
    weight = background[:, None].astype(np.float32)
    weighed = uniform_filter1d(weight, width, axis=0, mode="constant") + pull
    off = (bands_db - mean) * weight
    drift = uniform_filter1d(off, width, axis=0, mode="constant") / weighed
    square = (uniform_filter1d(off * off, width, axis=0, mode="constant") + pull * spread**2) / weighed
    local = np.sqrt(np.maximum(square - drift**2, MIN_SPREAD_DB**2))
    reached: np.ndarray = (mean + drift + CLOSE_SPREADS * local).astype(np.float32)
    return reached


def _excess(bands_db: np.ndarray, background_db: np.ndarray) -> np.ndarray:
    """Mean excess of the bands that stand out most, each counted up to 20 dB: shape (frames,)."""
    excess = np.clip(bands_db - background_db, 0, 20)
    most: np.ndarray = np.partition(excess, -LOUDEST_BANDS, axis=1)[:, -LOUDEST_BANDS:].mean(axis=1)
    return most


def _novelty(spectra_db: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """RMS difference in dB of the mean spectra before and after each position: shape of the positions."""
    reach = CHANGE_REACH_MS // FRAME_MS
    left, right = np.maximum(positions - reach, 0), np.minimum(positions + reach, len(spectra_db))
    change = _means(spectra_db, positions, right) - _means(spectra_db, left, positions)
    novelty: np.ndarray = np.sqrt(np.mean(change**2, axis=1))
    return novelty


def _shape_change_db(spectra_db: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """How much the shapes of the spectra next to each gap differ, whatever their levels: shape of the gaps.

    The standard deviation over the bands, in dB, of the difference between the mean powers on both sides, as far as the
    next gap.
    """
    reach = GAP_REACH_MS // FRAME_MS
    left = np.maximum(gaps - reach, np.concatenate([[0], gaps[:-1]]))
    right = np.minimum(gaps + reach, np.concatenate([gaps[1:], [len(spectra_db)]]))
    power = 10 ** (spectra_db / 10)
    change_db = 10 * np.log10(_means(power, gaps, right) / _means(power, left, gaps))
    shape: np.ndarray = np.std(change_db, axis=1)
    return shape


def _means(spectra: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mean spectrum of each range of frames: shape (ranges, bands)."""
    sums = np.concatenate([np.zeros((1, spectra.shape[1])), np.cumsum(spectra, axis=0, dtype=np.float64)])
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
    return means
