"""The tempo curve: stretches of stable tempo, and how one passes into the next, from the times of the beats.

An interval that is twice or half of those around it is a beat that was missed or added, not a tempo, and is counted as
what it must be. What is left is explained by one tempo, or by passages from one to another, in a step or over some
bars: each is the least-squares fit of the log interval over beats, taken greedily and only where it explains much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import median_filter

MIN_BEATS = 16  # less holds no two tempi
MIN_SIDE = 6  # beats on either side of the middle of a passage
MIN_SIDE_MS = 3_000
MAX_PASSAGES = 3
MIN_RISE = 0.07  # log ratio of two tempi
MIN_EXPLAINED = 0.4  # of what the passages before it leave
WIDER = 0.85  # of what a step leaves unexplained: a ramp must leave less
STEP_BEATS = 2  # a passage no longer than this is a step
FACTORS = np.array([1 / 3, 1 / 2, 1.0, 2.0, 3.0])  # of an interval, to what it should be
AROUND = 9  # beats, whose median says what it should be
PIECE_LOG = 0.06  # log ratio between neighbours of the pieces that a ramp is told in
PLACED_MS = 8.0  # no beat is placed finer


@dataclass(frozen=True, slots=True, kw_only=True)
class TempoSpan:
    start_ms: int  # from the start of the sound
    end_ms: int
    bpm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TempoChange:
    start_ms: int  # from the start of the sound: the beat on which the tempo begins to change
    end_ms: int  # the beat on which it no longer does; the same for a step
    from_bpm: float
    to_bpm: float
    explained: float  # 0..1: of the spread of the intervals

    @property
    def is_step(self) -> bool:
        return self.start_ms == self.end_ms

    @property
    def log_ratio(self) -> float:
        return float(np.log(self.to_bpm / self.from_bpm))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    spans: tuple[TempoSpan, ...]  # they tile the sound; neighbours differ in tempo
    changes: tuple[TempoChange, ...]  # in time order


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    first: int  # interval from which the tempo changes
    last: int  # interval from which it no longer does
    rise: float  # of the log interval
    explained: float


def curve_of(beats_ms: Sequence[float] | np.ndarray, duration_ms: int) -> Curve | None:
    """The tempo over time; None where there are fewer than three beats."""
    if len(beats_ms) < 3:
        return None
    at_ms, gaps_log = _folded(np.asarray(beats_ms, float))
    passages, level = _passages(at_ms, gaps_log)
    steady = _steady(passages, level)
    changes = tuple(
        TempoChange(
            start_ms=round(at_ms[passage.first]),
            end_ms=round(at_ms[passage.last]),
            from_bpm=_bpm(before),
            to_bpm=_bpm(after),
            explained=round(passage.explained, 2),
        )
        for passage, (before, after) in zip(passages, pairwise(steady), strict=True)
    )
    return Curve(spans=_spans(at_ms, passages, steady, duration_ms), changes=changes)


def _folded(beats_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of the beats and the log of each interval between them, in ms, as long as it is to the next true beat."""
    gaps = np.log(np.maximum(1.0, np.diff(beats_ms)))
    around = median_filter(gaps, min(AROUND, len(gaps)), mode="nearest")
    whole = np.full(len(gaps), float(np.median(gaps)))
    for usual in (whole, around):  # a run of doubled intervals, then a single one
        off = np.abs(gaps[:, None] - usual[:, None] - np.log(FACTORS))
        gaps = gaps - np.log(FACTORS)[off.argmin(axis=1)]
    return beats_ms, median_filter(gaps, min(3, len(gaps)), mode="nearest")


def _passages(at_ms: np.ndarray, gaps_log: np.ndarray) -> tuple[list[_Passage], float]:
    """The passages in order, and the log interval before the first."""
    passages: list[_Passage] = []
    while len(gaps_log) >= MIN_BEATS and len(passages) < MAX_PASSAGES:
        left = gaps_log - _shape(passages, len(gaps_log))
        found = _best_passage(at_ms, left, passages)
        if found is None:
            break
        passages = sorted([*passages, found], key=lambda passage: passage.first)
    return passages, float(np.median(gaps_log - _shape(passages, len(gaps_log))))


def _best_passage(at_ms: np.ndarray, left: np.ndarray, others: list[_Passage]) -> _Passage | None:
    num = len(left)
    floor = num * float(PLACED_MS / np.exp(np.median(left))) ** 2
    spread = float(np.sum((left - left.mean()) ** 2)) + floor
    best: tuple[float, _Passage] | None = None
    for width in sorted({0, *np.unique(np.rint(np.geomspace(4, num, 10)).astype(int))}):
        for first in range(num - width + 1):
            last, middle = first + int(width), first + int(width) // 2
            sides_ms = at_ms[middle] - at_ms[0], at_ms[-1] - at_ms[middle]
            if not MIN_SIDE <= middle <= num - MIN_SIDE or min(sides_ms) < MIN_SIDE_MS:
                continue
            if any(
                (first < other.last and other.first < last) or abs(middle - other.first) < MIN_SIDE for other in others
            ):
                continue
            shape = _ramp(first, last, num)
            shape = shape - shape.mean()
            rise = float(shape @ left / (shape @ shape))
            unexplained = spread - rise * float(shape @ left)
            price = unexplained * (WIDER if width == 0 else 1.0)
            if best is None or price < best[0]:
                best = price, _Passage(first=first, last=last, rise=rise, explained=1 - unexplained / spread)
    if best is None or abs(best[1].rise) < MIN_RISE or best[1].explained < MIN_EXPLAINED:
        return None
    return best[1]


def _ramp(first: int, last: int, num: int) -> np.ndarray:
    """0 before it, 1 after it: shape (num,)."""
    index = np.arange(num)
    return (index >= first).astype(float) if first == last else np.clip((index - first + 0.5) / (last - first), 0, 1)


def _shape(passages: Sequence[_Passage], num: int) -> np.ndarray:
    return sum((passage.rise * _ramp(passage.first, passage.last, num) for passage in passages), np.zeros(num))


def _steady(passages: Sequence[_Passage], level: float) -> list[float]:
    """Log intervals before, between and after the passages."""
    return [level, *(level + float(rise) for rise in np.cumsum([passage.rise for passage in passages]))]


def _spans(
    at_ms: np.ndarray, passages: Sequence[_Passage], steady: Sequence[float], duration_ms: int
) -> tuple[TempoSpan, ...]:
    """Where a ramp is long enough it is told in pieces, none much faster than the last."""
    edges: list[float] = [0.0]
    logs = [steady[0]]
    for passage, (before, after) in zip(passages, pairwise(steady), strict=True):
        num = min(passage.last - passage.first, int(np.ceil(abs(after - before) / PIECE_LOG)) - 1)
        bounds = np.rint(np.linspace(passage.first, passage.last, max(0, num) + 1)).astype(int)
        edges += [float(at_ms[index]) for index in bounds]
        logs += [before + (after - before) * (step + 0.5) / num for step in range(num)] + [after]
    whole = [*(round(edge) for edge in edges), duration_ms]
    return tuple(
        TempoSpan(start_ms=start, end_ms=end, bpm=_bpm(log))
        for log, (start, end) in zip(logs, pairwise(whole), strict=True)
        if start < end
    )


def _bpm(gap_log: float) -> float:
    return round(60_000 / float(np.exp(gap_log)), 1)
