"""Stretches of time with names, those that should be and those that were told: how much they share, how near they are.

R stretches of the reference   P of the prediction
"""

import math
import re
from collections.abc import Sequence

import numpy as np

from schemas.formats.clock import TIME, milliseconds
from schemas.formats.reading import alike

Stretch = tuple[str, int, int]
"""A name, and from when to when in ms."""

MAX_TIMES = 4
SPARE = 8
"""So many times the stretches of the reference, and so many more, are looked at; longer lists are near nothing."""

_SPAN = re.compile(rf"(?P<start>{TIME}) ?(?:-|~|to) ?(?P<end>{TIME})", re.ASCII)


def stretches_in(text: str) -> list[Stretch]:
    """What is written as `1.20 - 3.40, 7.00 - 8.10`, in order and without a name; not what ends before it starts."""
    found = ((milliseconds(span["start"]), milliseconds(span["end"])) for span in _SPAN.finditer(alike(text)))
    return [("", *span) for span in sorted(found) if span[0] <= span[1]]


def shared_by_name(reference: Sequence[Stretch], predicted: Sequence[Stretch]) -> float:
    """Intersection over union of the time that each name covers: the mean over all names on either side."""
    names = {name for name, _, _ in (*reference, *predicted)}
    first, second = _by_name(reference), _by_name(predicted)
    return math.fsum(_shared(first.get(name, []), second.get(name, [])) for name in names) / max(1, len(names))


def nearness_of(reference: Sequence[Stretch], predicted: Sequence[Stretch], scale_ms: float) -> float:
    """How near starts and ends are of stretches that go by one name, paired in order and at best.

    What has no pair counts 0, on either side: so making up, leaving out and cutting up all cost.
    """
    if len(predicted) > MAX_TIMES * len(reference) + SPARE:
        return 0.0
    first, second = _by_name(reference), _by_name(predicted)
    summed = math.fsum(_best_in_order(first[name], second[name], scale_ms) for name in first.keys() & second.keys())
    return summed / max(1, len(reference), len(predicted))


def near(error_ms: float, scale_ms: float) -> float:
    """1 where there is no error, 0.37 where it is as large as the scale."""
    return math.exp(-abs(error_ms) / scale_ms)


def _by_name(stretches: Sequence[Stretch]) -> dict[str, list[Stretch]]:
    found: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        found.setdefault(stretch[0], []).append(stretch)
    return found


def _shared(first: Sequence[Stretch], second: Sequence[Stretch]) -> float:
    if not first or not second:
        return 0.0
    together_ms = _covered_ms([*first, *second])
    return (_covered_ms(first) + _covered_ms(second) - together_ms) / together_ms if together_ms else 1.0


def _covered_ms(stretches: Sequence[Stretch]) -> int:
    covered_ms = reached_ms = 0
    for _, start_ms, end_ms in sorted(stretches, key=lambda stretch: stretch[1:]):
        covered_ms += max(0, end_ms - max(start_ms, reached_ms))
        reached_ms = max(reached_ms, end_ms)
    return covered_ms


def _best_in_order(first: Sequence[Stretch], second: Sequence[Stretch], scale_ms: float) -> float:
    """The largest sum over pairs that do not cross, each stretch in at most one."""
    first_R2, second_P2 = (np.array([stretch[1:] for stretch in side], np.float64) for side in (first, second))
    near_RP = np.exp(-np.abs(first_R2[:, None] - second_P2[None]) / scale_ms).mean(axis=2)
    best_P = np.zeros(len(second) + 1)
    for near_P in near_RP:
        best_P[1:] = np.maximum(best_P[1:], best_P[:-1] + near_P)
        best_P = np.maximum.accumulate(best_P)
    return float(best_P[-1])
