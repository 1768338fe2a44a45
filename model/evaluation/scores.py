"""What scoring gives: metrics with their intervals and counts, task by task."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from model.evaluation.errors import Edits
from model.evaluation.intervals import Interval, mean, ratio
from model.evaluation.items import Pair
from model.evaluation.sounds import Found

LENGTHS_S = (0, 2, 5, 10, 20, 30, 60, 600)
"""Where the classes of duration begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of one task. `value` is in `unit`; None where nothing could be measured."""

    name: str
    unit: str  # "%", "ms", or nothing
    value: float | None
    low: float | None = None
    high: float | None = None
    num_items: int = 0
    num_groups: int = 0
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    name: str
    num_items: int
    num_right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfLength:
    """Errors of the clips that last from `from_s` on, up to the next class."""

    from_s: int
    num_items: int
    errors: int
    num_reference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """`metrics` begin with the one to look at first. `num_well_formed` is None where a task has no strict form."""

    task: str
    num_items: int
    num_missing: int
    metrics: tuple[Metric, ...]
    num_unread: int = 0  # answers in which nothing could be read
    num_well_formed: int | None = None
    num_words: int | None = None  # of the references
    classes: tuple[Found, ...] = ()
    categories: tuple[Category, ...] = ()
    lengths: tuple[OfLength, ...] = ()
    shifts_ms: tuple[int, ...] = ()


def percent(name: str, found: Interval, *, lower_is_better: bool = False) -> Metric:
    return _metric(name, "%", found, 100.0, lower_is_better)


def milliseconds(name: str, found: Interval) -> Metric:
    return _metric(name, "ms", found, 1.0, True)


def plain(name: str, found: Interval, *, lower_is_better: bool = False) -> Metric:
    return _metric(name, "", found, 1.0, lower_is_better)


def share(name: str, pairs: Sequence[Pair], numerators: Sequence[float], denominators: Sequence[float]) -> Metric:
    """A share of all, in percent, more of which is better."""
    return percent(name, ratio(numerators, denominators, groups_of(pairs)))


def mean_share(name: str, pairs: Sequence[Pair], values: Sequence[float]) -> Metric:
    return percent(name, mean(values, groups_of(pairs)))


def error_rate(name: str, pairs: Sequence[Pair], edits: Sequence[Edits]) -> Metric:
    found = ratio([one.errors for one in edits], [one.num_reference for one in edits], groups_of(pairs))
    return percent(name, found, lower_is_better=True)


def mean_shift(name: str, pairs: Sequence[Pair], shifts_ms: Sequence[Sequence[int]]) -> Metric:
    """The mean of |shift|, each weighing the same."""
    distances = [sum(map(abs, shifts)) for shifts in shifts_ms]
    return milliseconds(name, ratio(distances, [len(shifts) for shifts in shifts_ms], groups_of(pairs)))


def by_length(pairs: Sequence[Pair], edits: Sequence[Edits]) -> tuple[OfLength, ...]:
    counted = []
    for from_s, to_s in zip(LENGTHS_S, (*LENGTHS_S[1:], 10**9), strict=True):
        inside = [
            one
            for pair, one in zip(pairs, edits, strict=True)
            if pair.item.duration_ms is not None and from_s * 1000 <= pair.item.duration_ms < to_s * 1000
        ]
        if inside:
            counted.append(
                OfLength(
                    from_s=from_s,
                    num_items=len(inside),
                    errors=sum(one.errors for one in inside),
                    num_reference=sum(one.num_reference for one in inside),
                )
            )
    return tuple(counted)


def groups_of(pairs: Iterable[Pair]) -> list[str]:
    """The recording of each; where it is not told, the item stands for itself."""
    return [pair.item.group or pair.item.id for pair in pairs]


def num_missing(pairs: Iterable[Pair]) -> int:
    return sum(pair.is_missing for pair in pairs)


def num_well_formed(pairs: Iterable[Pair], is_well_formed: Callable[[Pair], bool]) -> int:
    """An answer that says nothing is well formed only where there is nothing to say."""
    return sum(bool(pair.text.strip() or not pair.item.reference.strip()) and is_well_formed(pair) for pair in pairs)


def _metric(name: str, unit: str, found: Interval, scale: float, lower_is_better: bool) -> Metric:
    value, low, high = (None if x is None else scale * x for x in (found.value, found.low, found.high))
    return Metric(
        name=name,
        unit=unit,
        value=value,
        low=low,
        high=high,
        num_items=found.num_items,
        num_groups=found.num_groups,
        lower_is_better=lower_is_better,
    )
