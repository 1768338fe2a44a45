"""Where to cut: from what was heard to pieces that tile the stretch. Pure: no sound, no model.

A *mark* (`segmenters/marks.py`) is a place where a listener might cut, and offers points. The cuts are the
cheapest way from the first point to the last: each cut costs a little, cutting into a sound costs much, and so do
passing a silence uncut, holding silence, and being short. One pass of dynamic programming finds it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.span import Span
from segmenters.base import Hearing
from segmenters.marks import CutRules, Mark, marks_of, silences_of

__all__ = ["CutRules", "Piece", "decide"]

EVEN_COST = 0.02  # of a piece as long as the cap: what is equal otherwise is cut evenly


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece(Span):
    """A stretch between two cuts."""

    silent: bool  # nothing was heard in it: it is accounted for, and not kept


def decide(hearing: Hearing, rules: CutRules) -> list[Piece]:
    """Pieces that tile `hearing.span`, none longer than the cap, cut where events begin or end.

    Silence beyond the margins around events becomes silent pieces.
    """
    way = _Way(marks_of(hearing, rules), silences_of(hearing), rules)
    pieces: list[Piece] = []
    for start_ms, end_ms, silent in way.cheapest():
        pieces += _capped(start_ms, end_ms, silent, rules.max_ms)
    return pieces


class _Way:
    """The points of all marks in time order, and the cheapest way through them."""

    def __init__(self, marks: list[Mark], silences: list[Span], rules: CutRules) -> None:
        self.rules = rules
        self.times_ms = np.array([at_ms for mark in marks for at_ms, _ in mark.points], dtype=np.int64)
        self.cut_costs = np.array([cost for mark in marks for _, cost in mark.points]) + rules.cut_cost
        self.mark_index = np.repeat(np.arange(len(marks)), [len(mark.points) for mark in marks])
        self.silent = np.array([mark.silent for mark in marks])
        self.parted_costs = np.array([mark.parted_cost for mark in marks])
        self.passed = np.concatenate([[0.0], np.cumsum([mark.passed_cost for mark in marks])])
        self.held = _silence_until(self.times_ms, silences) * rules.silence_cost / 1000

    def cheapest(self) -> list[tuple[int, int, bool]]:
        """(start_ms, end_ms, silent) of each piece on the way."""
        num_points = len(self.times_ms)
        cost, came_from = np.full(num_points, np.inf), np.zeros(num_points, dtype=np.int64)
        cost[0] = 0.0
        first_in_reach = np.searchsorted(self.times_ms, self.times_ms - self.rules.max_ms)
        first_of_mark = np.searchsorted(self.mark_index, self.mark_index)
        for point in range(1, num_points):
            same_silence = first_of_mark[point] if self.silent[self.mark_index[point]] else point
            first = min(first_in_reach[point], same_silence)
            before = cost[first:point] + self._piece_costs(first, point)
            before[: first_in_reach[point] - first] = np.inf
            before[same_silence - first :] = cost[same_silence:point]
            best = int(np.argmin(before))
            cost[point], came_from[point] = before[best] + self.cut_costs[point], first + best
        return self._pieces(came_from)

    def _piece_costs(self, first: int, point: int) -> np.ndarray:
        """What pieces that end at the point cost, one for each start from `first` on."""
        durations_ms = self.times_ms[point] - self.times_ms[first:point]
        short = np.maximum(0.0, 1 - durations_ms / self.rules.min_ms) * self.rules.short_cost
        held = self.held[point] - self.held[first:point]
        passed = self.passed[self.mark_index[point]] - self.passed[self.mark_index[first:point] + 1]
        even = EVEN_COST * (durations_ms / self.rules.max_ms) ** 2
        parted = self.parted_costs[self.mark_index[point]]
        costs: np.ndarray = short + held + np.maximum(passed, 0.0) + even + parted
        return costs

    def _pieces(self, came_from: np.ndarray) -> list[tuple[int, int, bool]]:
        pieces, end = [], len(came_from) - 1
        while end > 0:
            start = int(came_from[end])
            same_mark = self.mark_index[start] == self.mark_index[end]
            silent = bool(same_mark and self.silent[self.mark_index[end]])
            pieces.append((int(self.times_ms[start]), int(self.times_ms[end]), silent))
            end = start
        return pieces[::-1]


def _silence_until(times_ms: np.ndarray, silences: list[Span]) -> np.ndarray:
    """Milliseconds of silence before each time, shape of the times."""
    edges = np.array([edge for s in silences for edge in (s.start_ms, s.end_ms)], dtype=np.int64)
    if not len(edges):
        return np.zeros(len(times_ms))
    lengths = np.diff(edges, prepend=edges[0])
    lengths[::2] = 0  # from the end of one silence to the start of the next there is sound
    until: np.ndarray = np.interp(times_ms, edges, np.cumsum(lengths))
    return until


def _capped(start_ms: int, end_ms: int, silent: bool, max_ms: int) -> list[Piece]:
    """One piece, or several even ones where it is a silence longer than the cap."""
    parts = -(-(end_ms - start_ms) // max_ms)
    cuts = [start_ms + (end_ms - start_ms) * i // parts for i in range(parts + 1)]
    return [Piece(start_ms=a, end_ms=b, silent=silent) for a, b in pairwise(cuts)]
