"""Sound in overlapping windows, and back from scores of windows to scores of moments. Pure."""

import numpy as np


def window_starts(num_samples: int, window: int, hop: int) -> list[int]:
    """First sample of each window, one every `hop`, and one that ends with the sound; none where there is no sound.

    Every sample lies in one of them. Sound shorter than a window is one window.
    """
    if num_samples <= 0:
        return []
    last = max(0, num_samples - window)
    starts = list(range(0, last, hop))
    return [*starts, last]


def at_moments(scores: np.ndarray, centres_ms: np.ndarray, moments_ms: np.ndarray, reach_ms: float) -> np.ndarray:
    """The scores of windows at moments: float32, shape (moments, columns).

    `scores` has shape (windows, columns), one row for each of the centres, which are in order. Each moment has the
    mean of the windows within `reach_ms` of it, the nearest counting most; where there is none, the nearest one's.
    """
    if not len(scores):
        return np.zeros((0, scores.shape[1]), np.float32)
    first = np.searchsorted(centres_ms, moments_ms - reach_ms, side="right")
    last = np.searchsorted(centres_ms, moments_ms + reach_ms, side="left")
    total = np.zeros((len(moments_ms), scores.shape[1]), np.float64)
    weights = np.zeros(len(moments_ms))
    for step in range(int((last - first).max(initial=0))):
        window = np.minimum(first + step, len(centres_ms) - 1)
        weight = np.where(first + step < last, 1 - np.abs(centres_ms[window] - moments_ms) / reach_ms, 0.0)
        total += weight[:, None] * scores[window]
        weights += weight
    alone = weights <= 0
    total[alone], weights[alone] = scores[_nearest(centres_ms, moments_ms[alone])], 1.0
    return np.asarray(total / weights[:, None], np.float32)


def _nearest(centres_ms: np.ndarray, moments_ms: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(centres_ms, moments_ms), 1, max(1, len(centres_ms) - 1))
    right = np.minimum(right, len(centres_ms) - 1)
    left = np.maximum(right - 1, 0)
    is_left = np.abs(moments_ms - centres_ms[left]) <= np.abs(centres_ms[right] - moments_ms)
    return np.asarray(np.where(is_left, left, right))
