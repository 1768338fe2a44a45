"""Times in a sentence, in whatever form, and whether facts agree with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from annotators.merging import lexicon
from annotators.merging.numbers import Number, Sort
from annotators.merging.tokens import Token
from schemas.record import Segment
from schemas.span import Span

EDGE_MS = 1_000  # how near "at the beginning" is
WHOLE_MS = 600  # a time in whole seconds was rounded, and of what was rounded before
CLOCK_MS = 1_000  # "0:12" is a whole second, wherever in it


class Means(StrEnum):
    START = "start"
    END = "end"
    SPAN = "span"
    LASTS = "lasts"
    LATER = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """What stands in `tokens[first:last]`; milliseconds from the segment's start, or a length."""

    means: Means
    from_ms: float
    to_ms: float
    first: int
    last: int
    tolerance_ms: float
    brief: bool = False  # a moment, which may lie anywhere in what is short


BRIEF_MS = 1_000
_JOINS = frozenset({"to", "and", "-", "until", "till", "through"})
_LENGTHS = frozenset({"for", "of", "lasting", "lasts", "lasted", "last"})
_UNTIL = frozenset({"until", "till", "to", "by"})
_LATER = frozenset({"later", "after", "afterwards", "apart", "before"})
_EDGES = {"beginning": Means.START, "start": Means.START, "outset": Means.START, "end": Means.END}


def times_of(tokens: Sequence[Token], numbers: Sequence[Number], segment: Segment, tolerance_ms: float) -> list[Time]:
    """All of them in order; a figure without a unit is none, unless it begins a span whose end has one."""
    found: list[Time] = []
    spent: set[int] = set()
    for number, following in zip(numbers, (*numbers[1:], None), strict=False):
        if number.first in spent:
            continue
        joined = (
            following is not None
            and following.sort is Sort.TIME
            and following.first == number.last + 1
            and tokens[number.last].word in _JOINS
            and number.sort in (Sort.TIME, Sort.COUNT)
        )
        if joined and following is not None:
            from_ms = number.value if number.sort is Sort.TIME else number.value * following.unit_ms
            spent.add(following.first)
            found.append(
                Time(
                    means=Means.SPAN,
                    from_ms=from_ms,
                    to_ms=following.value,
                    first=number.first,
                    last=following.last,
                    tolerance_ms=max(_tolerance_ms(one, tolerance_ms) for one in (number, following)),
                )
            )
        elif number.sort is Sort.TIME:
            found.append(_single(tokens, number, _tolerance_ms(number, tolerance_ms)))
    return sorted([*found, *_edges(tokens, segment, tolerance_ms)], key=lambda time: time.first)


def agrees(time: Time, span: Span, segment: Segment) -> bool:
    """Whether what lies in `span` begins, ends or lasts as the sentence says."""
    start, end = span.start_ms - segment.start_ms, span.end_ms - segment.start_ms
    near_start = abs(time.from_ms - start) <= time.tolerance_ms
    near_end = abs(time.to_ms - end) <= time.tolerance_ms
    match time.means:
        case Means.SPAN:
            return near_start and near_end
        case Means.END:
            return near_end
        case Means.LASTS:
            return abs(time.from_ms - span.duration_ms) <= max(time.tolerance_ms, span.duration_ms / 10)
        case Means.START:
            inside = start - time.tolerance_ms <= time.from_ms <= end + time.tolerance_ms
            return near_start or (time.brief and span.duration_ms <= BRIEF_MS and inside)
        case Means.LATER:
            return False


def agree_together(time: Time, spans: Sequence[Span], segment: Segment) -> bool:
    """Whether several facts do: as one stretch, or by how far they lie apart."""
    if len(spans) < 2:
        return False
    if time.means is Means.SPAN:
        hull = Span.of(min(span.start_ms for span in spans), max(span.end_ms for span in spans))
        return agrees(time, hull, segment)
    if time.means is Means.LATER:
        gaps = [abs(b.start_ms - at) for a in spans for b in spans if a is not b for at in (a.start_ms, a.end_ms)]
        return any(abs(gap - time.from_ms) <= time.tolerance_ms for gap in gaps)
    return False


def _tolerance_ms(number: Number, tolerance_ms: float) -> float:
    """More for what is written in whole seconds."""
    if "." in number.text:
        return tolerance_ms
    if ":" in number.text:
        return max(tolerance_ms, CLOCK_MS)
    return max(tolerance_ms, WHOLE_MS) if number.unit_ms == 1_000 else tolerance_ms


def _single(tokens: Sequence[Token], number: Number, tolerance_ms: float) -> Time:
    before = [token.word for token in tokens[max(0, number.first - 3) : number.first]]
    while before and before[-1] in lexicon.HEDGES:
        before.pop()
    previous = before[-1] if before else ""
    after = tokens[number.last].word if number.last < len(tokens) else ""
    last = number.last + (after in ("long", "later", "in"))
    means, brief = Means.START, False
    if after in _LATER and previous not in ("at", "from"):
        means = Means.LATER
    elif previous in _LENGTHS or after == "long" or any(token.text == "-" for token in tokens[number.first : last]):
        means = Means.LASTS
    elif previous in _UNTIL or _verb_before(tokens, number.first) == "end":
        means = Means.END
    else:
        brief = previous in ("at", "around", "") or after == "in"
    return Time(
        means=means,
        from_ms=number.value,
        to_ms=number.value,
        first=number.first,
        last=last,
        tolerance_ms=tolerance_ms,
        brief=brief,
    )


def _verb_before(tokens: Sequence[Token], at: int) -> str:
    """Whether what was said last, before a time, was that something begins or that it ends."""
    for token in reversed(tokens[max(0, at - 6) : at]):
        if token.word in lexicon.ENDING:
            return "end"
        if token.word in lexicon.BEGINNING or token.text in ",;.":
            return "start"
    return ""


def _edges(tokens: Sequence[Token], segment: Segment, tolerance_ms: float) -> list[Time]:
    """ "at the beginning", "initially", "at the end"."""
    found: list[Time] = []
    for index, token in enumerate(tokens):
        means = None
        if token.word in lexicon.AT_FIRST:
            means = Means.START
        elif token.word in _EDGES and index >= 1 and tokens[index - 1].word in ("the", "very"):
            means = _EDGES[token.word]
        if means:
            at_ms = 0.0 if means is Means.START else float(segment.duration_ms)
            wide = max(EDGE_MS, tolerance_ms)
            found.append(Time(means=means, from_ms=at_ms, to_ms=at_ms, first=index, last=index + 1, tolerance_ms=wide))
    return found
