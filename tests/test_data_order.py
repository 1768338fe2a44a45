"""Every item comes once a round, however the visits are dealt out."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.order import Order

COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(sum)


def all_items(counts: list[int]) -> Counter[tuple[int, int]]:
    return Counter((part, item) for part, count in enumerate(counts) for item in range(count))


def slow(counts: list[int], seed: int, window: int, number: int) -> list[tuple[int, int]]:
    """A whole round: the shuffled parts end to end, then cut into windows that are shuffled each."""

    def chance(place: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, number, place))))

    end_to_end = [(int(p), item) for p in chance(0).permutation(len(counts)) for item in range(counts[p])]
    shuffled = []
    for index, start in enumerate(range(0, len(end_to_end), window)):
        piece = end_to_end[start : start + window]
        shuffled += [piece[i] for i in chance(1 + index).permutation(len(piece))]
    return shuffled


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 5), window=st.integers(1, 40))
def test_a_round_is_what_the_slow_obvious_version_gives(counts, seed, window):
    order = Order(counts, seed, window)
    size = order.num_items
    for number in range(3):
        assert [order.at(number * size + i) for i in range(size)] == slow(counts, seed, window, number)


@settings(deadline=None)
@given(counts=COUNTS, lanes=st.integers(1, 7), window=st.integers(1, 40), rounds=st.integers(1, 4))
def test_lanes_together_visit_every_item_exactly_once_a_round(counts, lanes, window, rounds):
    order = Order(counts, 3, window)
    visits = rounds * order.num_items
    dealt = [[order.at(visit) for visit in range(lane, visits, lanes)] for lane in range(lanes)]
    whole = Counter(item for lane in dealt for item in lane)
    assert whole == Counter(dict.fromkeys(all_items(counts), rounds))


def test_seeds_and_rounds_differ_and_the_same_seed_does_not():
    def order(seed: int, number: int) -> list[tuple[int, int]]:
        found = Order([10] * 10, seed, 16)
        return [found.at(number * 100 + i) for i in range(100)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 1)


def test_visits_may_be_asked_for_in_any_order():
    order = Order([3, 4, 5], 1, 4)
    forth = [order.at(visit) for visit in range(60)]
    assert [order.at(visit) for visit in reversed(range(60))] == forth[::-1]


def test_items_that_are_near_each_other_are_of_few_parts():
    order = Order([100] * 50, 0, 100)
    assert all(len({order.at(w * 100 + i)[0] for i in range(100)}) <= 2 for w in range(50))


@pytest.mark.parametrize(("counts", "window"), [([], 1), ([0, 0], 1), ([1, -1, 3], 1), ([1], 0)])
def test_no_items_and_no_window_are_refused(counts, window):
    with pytest.raises(ValueError, match="item"):
        Order(counts, 0, window)
