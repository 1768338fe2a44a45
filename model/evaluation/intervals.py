"""A ratio of sums over clips, and how far chance in the choice of recordings moves it.

The percentile bootstrap (Bisani and Ney, ICASSP 2004, for word error rates): whole recordings are drawn anew, because
clips of one recording share voices and rooms and would make the interval too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_DRAWS = 1_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`value` with its 95 % interval. None where there is nothing to divide by, and no interval of one recording."""

    value: float | None
    low: float | None = None
    high: float | None = None
    num_items: int = 0
    num_groups: int = 0


def ratio(
    numerators: Sequence[float], denominators: Sequence[float], groups: Sequence[str] = (), *, seed: int = 0
) -> Interval:
    """Sum of numerators by sum of denominators; `groups` names each one's recording, without it each is its own."""
    if not len(numerators) == len(denominators) == (len(groups) or len(numerators)):
        raise ValueError(f"{len(numerators)} numerators, {len(denominators)} denominators, {len(groups)} groups")
    names = {name: place for place, name in enumerate(sorted(set(groups)))}  # whatever order they come in
    place = np.array([names[name] for name in groups] if groups else range(len(numerators)), int)
    num_groups = int(place.max()) + 1 if len(place) else 0
    above = np.bincount(place, np.asarray(numerators, float), num_groups)
    below = np.bincount(place, np.asarray(denominators, float), num_groups)
    counted = {"num_items": len(numerators), "num_groups": num_groups}
    if below.sum() <= 0:
        return Interval(value=None, **counted)
    value = float(above.sum() / below.sum())
    if num_groups < 2:
        return Interval(value=value, **counted)
    chance = np.random.default_rng(seed)
    draws = [_drawn(above, below, chance) for _ in range(NUM_DRAWS)]
    found = [draw for draw in draws if draw is not None]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value=value, low=float(low), high=float(high), **counted)


def mean(values: Sequence[float], groups: Sequence[str] = (), *, seed: int = 0) -> Interval:
    """The mean of values that weigh the same."""
    return ratio(values, [1.0] * len(values), groups, seed=seed)


def _drawn(above: "np.ndarray", below: "np.ndarray", chance: np.random.Generator) -> float | None:
    places = chance.integers(len(above), size=len(above))
    parts = below[places].sum()
    return float(above[places].sum() / parts) if parts > 0 else None
