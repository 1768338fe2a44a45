"""Short answers: labels, numbers, lists of labels, and the seconds in which a thing is heard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.errors import normalised
from schemas.formats.clock import TIME, UNIT, milliseconds
from schemas.formats.reading import alike
from schemas.span import Span, covered_ms, union

_ARTICLE = re.compile(r"^(?:an?|the) ")
_NUMBER = re.compile(r"(?<![\w.])[0-9]{1,9}(?:\.[0-9]{1,9})?(?![\w]|\.[0-9])", re.ASCII)
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_CHINESE = "零一二三四五六七八九十"
_STRETCH = re.compile(
    rf"({TIME}){UNIT} ?(?:-{{1,3}}>?|→|~|to|until|至|到|and) ?({TIME}){UNIT}", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """Two sets of stretches: how far they cover each other, and how far apart starts and ends of partners are."""

    num_reference: int
    num_predicted: int
    iou: float  # intersection over union, of the time they cover
    start_shifts_ms: tuple[int, ...]  # predicted minus true
    end_shifts_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """How many names of a list were found."""

    right: int
    wrong: int
    missed: int


def is_same(reference: str, predicted: str) -> bool:
    """Whether two labels are one, normalised and without an article before them."""
    return _bare(reference) == _bare(predicted)


def number_in(text: str) -> float | None:
    """The one number that `text` names, in digits or as an English or Chinese word up to twelve or ten.

    None where it names none, or several: "two or three" is no answer.
    """
    plain = alike(text).casefold()
    found = {float(number) for number in _NUMBER.findall(plain)}
    found |= {float(_WORDS.index(word)) for word in normalised(text).split() if word in _WORDS}
    if not found:
        found = {float(_CHINESE.index(letter)) for letter in plain if letter in _CHINESE}
    return found.pop() if len(found) == 1 else None


def names_found(reference: str, predicted: str) -> Listed:
    """Names parted by semicolons or line breaks, each once and in any order."""
    said, heard = _names(reference), _names(predicted)
    return Listed(right=len(said & heard), wrong=len(heard - said), missed=len(said - heard))


def stretches_in(text: str) -> list[Span]:
    """`1.20 - 3.40, 7.00 - 8.10` and its like: all stretches that `text` names. Those that end before they start are
    none."""
    times = [(milliseconds(match[1]), milliseconds(match[2])) for match in _STRETCH.finditer(alike(text))]
    return [Span.of(start_ms, end_ms) for start_ms, end_ms in times if start_ms < end_ms]


def stretches(reference: Sequence[Span], predicted: Sequence[Span]) -> Stretches:
    """Partners are those whose edges lie nearest, summed over all of them."""
    from scipy.optimize import linear_sum_assignment

    said, heard = union(reference), union(predicted)
    shared = sum(covered_ms(heard, one) for one in said)
    together = sum(one.duration_ms for one in union([*said, *heard]))
    pairs: list[tuple[int, int]] = []
    if said and heard:
        edges = [np.array([[one.start_ms, one.end_ms] for one in spans]) for spans in (said, heard)]
        apart = np.abs(edges[0][:, None] - edges[1][None]).sum(axis=2)
        pairs = [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(apart), strict=True)]
    return Stretches(
        num_reference=len(said),
        num_predicted=len(heard),
        iou=shared / together if together else 0.0,
        start_shifts_ms=tuple(heard[j].start_ms - said[i].start_ms for i, j in pairs),
        end_shifts_ms=tuple(heard[j].end_ms - said[i].end_ms for i, j in pairs),
    )


def _bare(text: str) -> str:
    return _ARTICLE.sub("", normalised(text))


def _names(text: str) -> set[str]:
    return {name for part in re.split(r"[;；\n]", text) if (name := _bare(part))}
