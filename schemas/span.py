"""Time: whole milliseconds from the start of the recording, in half-open spans [start_ms, end_ms).

A cut point belongs to the right-hand piece, so pieces tile without gaps. Milliseconds meet samples
here and nowhere else, by one integer division, so neighbours share their border at any sample rate.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from schemas.errors import SchemaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a recording that is not empty."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms < self.end_ms:
            raise SchemaError(f"{type(self).__name__}: span [{self.start_ms}, {self.end_ms}) ms is empty or negative")

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms

    def contains(self, other: "Span") -> bool:
        return self.start_ms <= other.start_ms and other.end_ms <= self.end_ms

    def overlap_ms(self, other: "Span") -> int:
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))

    def clipped(self, other: "Span") -> "Span | None":
        """The part of this span inside the other, or None where they do not meet."""
        start, end = max(self.start_ms, other.start_ms), min(self.end_ms, other.end_ms)
        return Span(start_ms=start, end_ms=end) if start < end else None

    @classmethod
    def of(cls, start_ms: int, end_ms: int) -> "Span":
        return Span(start_ms=start_ms, end_ms=end_ms)


def union(spans: Iterable[Span], *, bridge_ms: int = 0) -> list[Span]:
    """The spans merged where they touch or lie no more than `bridge_ms` apart, in order."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start_ms, s.end_ms)):
        if merged and span.start_ms - merged[-1].end_ms <= bridge_ms:
            merged[-1] = Span.of(merged[-1].start_ms, max(merged[-1].end_ms, span.end_ms))
        else:
            merged.append(Span.of(span.start_ms, span.end_ms))
    return merged


def at_once(groups: Iterable[Iterable[Span]]) -> list[Span]:
    """Where spans of two groups or more lie over each other, merged where they touch."""
    stretches = [stretch for group in groups for stretch in union(group)]
    edges = sorted((at_ms, step) for one in stretches for at_ms, step in ((one.start_ms, 1), (one.end_ms, -1)))
    depth, shared = 0, []
    for (at_ms, step), (next_ms, _) in pairwise(edges):
        depth += step
        if depth > 1 and at_ms < next_ms:
            shared.append(Span.of(at_ms, next_ms))
    return union(shared)


class Union:
    """The spans merged where they touch, to be asked often: each answer takes logarithmic time."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = union(spans)
        self._ends_ms = [span.end_ms for span in self.spans]

    def meets(self, span: Span) -> bool:
        """Whether any of the spans overlaps this one."""
        index = bisect_right(self._ends_ms, span.start_ms)
        return index < len(self.spans) and self.spans[index].start_ms < span.end_ms


def covered_ms(spans: Iterable[Span], within: Span) -> int:
    """How many milliseconds of `within` at least one of the spans covers."""
    return sum(span.overlap_ms(within) for span in union(spans))


def sample_at(time_ms: int, rate_hz: int) -> int:
    """Index of the first sample at or after `time_ms`."""
    return -(-time_ms * rate_hz // 1000)


def ms_of(num_samples: int, rate_hz: int) -> int:
    """Whole milliseconds that `num_samples` cover, rounded up so that no sample is left outside."""
    return -(-num_samples * 1000 // rate_hz)
