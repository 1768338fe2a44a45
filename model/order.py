"""In which order the items of a source are visited: shuffled anew for every round, and computed, never stored.

    parts        a  b  c  d            shards, shuffled
                 c  a  d  b            laid end to end
                 └─ window ─┘└─ window … shuffled within windows of `window` items

Visit v is item `v % num_items` of round `v // num_items`. Any process finds any visit without asking another, so visits
are dealt out like cards: lane l of S takes l, l + S, l + 2S, ... and none is taken twice or forgotten.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


class Order:
    """The order of a source whose parts hold `counts` items each. At least one item."""

    def __init__(self, counts: Sequence[int], seed: int, window: int = 2048) -> None:
        if min(counts, default=0) < 0 or not sum(counts):
            raise ValueError(f"parts of {list(counts)[:8]} items: there must be items, and none less than zero")
        if window < 1:
            raise ValueError(f"the window is {window}; it holds at least one item")
        self.num_items = sum(counts)
        self._counts, self._seed, self._window = tuple(counts), seed, window
        self._round = lru_cache(maxsize=2)(self._shuffled_parts)
        self._within = lru_cache(maxsize=8)(self._shuffled_window)

    def at(self, visit: int) -> tuple[int, int]:
        """The part and the item in it, from 0, of visit number `visit`."""
        number, place = divmod(visit, self.num_items)
        window, offset = divmod(place, self._window)
        place = window * self._window + int(self._within(number, window)[offset])
        parts, ends = self._round(number)
        index = bisect_right(ends, place)
        return parts[index], place - (ends[index] - self._counts[parts[index]])

    def _shuffled_parts(self, number: int) -> tuple[list[int], list[int]]:
        """The parts of a round in their order, and where each of them ends."""
        parts = [int(part) for part in _chance(self._seed, number, 0).permutation(len(self._counts))]
        return parts, list(accumulate(self._counts[part] for part in parts))

    def _shuffled_window(self, number: int, window: int) -> Numbers:
        size = min(self._window, self.num_items - window * self._window)
        return _chance(self._seed, number, 1 + window).permutation(size)


def _chance(seed: int, number: int, place: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, number, place))))
