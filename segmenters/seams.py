"""Where to split a long recording between two lots. Pure, so both neighbours find the same point."""

import numpy as np

from schemas.gaps import gaps
from schemas.span import Span
from segmenters.base import FRAME_MS, Hearing
from segmenters.marks import quietness_db

SHORTEST_MS = 100  # a shorter silence is none
LONG_ENOUGH_MS = 1_000  # a longer silence is no better to split in
LENGTH_STEP_MS = 200  # silences whose lengths differ by less are equals
LOUDNESS_STEP_DB = 6.0  # and so are those whose levels do
AWAY_DB_PER_S = 0.1  # what a second away from the nominal time costs, where no silence helps
DIP_DB = 6.0  # below the median level: a quiet moment worth taking
CLEAR_CHANGE = 0.6


def seam(hearing: Hearing, nominal_ms: int) -> int:
    """The time near `nominal_ms` at which a split harms least, strictly inside the window that was heard.

    The window is at least two milliseconds long. Best is a long silence, then a quiet moment, then a change.
    """
    window = hearing.span
    silences = [gap for gap in gaps(hearing.events, window) if gap.duration_ms >= SHORTEST_MS]
    if silences:
        best = min(silences, key=lambda gap: _harm(gap, hearing, nominal_ms))
        at_ms = _inside(best, nominal_ms)
    else:
        at_ms = _quietest_or_change(hearing, nominal_ms)
    return max(window.start_ms + 1, min(at_ms, window.end_ms - 1))


def _harm(gap: Span, hearing: Hearing, nominal_ms: int) -> tuple[int, int, int, int]:
    """Shorter, then louder, then farther silences are worse."""
    length = min(gap.duration_ms, LONG_ENOUGH_MS) // LENGTH_STEP_MS
    first = (gap.start_ms - hearing.span.start_ms) // FRAME_MS
    level_db = hearing.level_db[first : first + max(1, gap.duration_ms // FRAME_MS)]
    loudness = int(np.median(level_db) // LOUDNESS_STEP_DB) if len(level_db) else 0
    return -length, loudness, abs(_inside(gap, nominal_ms) - nominal_ms), gap.start_ms


def _inside(gap: Span, nominal_ms: int) -> int:
    """The point nearest to the nominal time that keeps clear of both ends: of a short silence its middle."""
    clear_ms = min(LONG_ENOUGH_MS, gap.duration_ms) // 2
    return max(gap.start_ms + clear_ms, min(nominal_ms, gap.end_ms - clear_ms))


def _quietest_or_change(hearing: Hearing, nominal_ms: int) -> int:
    level_db = quietness_db(hearing)
    if not len(level_db):
        return nominal_ms
    times_ms = hearing.span.start_ms + np.arange(len(level_db)) * FRAME_MS + FRAME_MS // 2
    harm = level_db + AWAY_DB_PER_S * np.abs(times_ms - nominal_ms) / 1000 + _through_kept(hearing, times_ms)
    quietest = int(np.argmin(harm))
    clear = [
        change
        for change in hearing.changes
        if change.strength >= CLEAR_CHANGE and not any(k.start_ms < change.at_ms < k.end_ms for k in hearing.kept)
    ]
    if clear and level_db[quietest] > np.median(level_db) - DIP_DB:
        return min(clear, key=lambda c: (-round(c.strength, 1), abs(c.at_ms - nominal_ms), c.at_ms)).at_ms
    return int(times_ms[quietest])


def _through_kept(hearing: Hearing, times_ms: np.ndarray) -> np.ndarray:
    """What a split at each time costs where something is not to be cut: shape of the times."""
    cost = np.zeros(len(times_ms))
    for kept in hearing.kept:
        first, last = np.searchsorted(times_ms, (kept.start_ms + 1, kept.end_ms))
        cost[first:last] += kept.cost
    return cost
