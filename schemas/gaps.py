"""What lies between spans."""

from collections.abc import Sequence

from schemas.span import Span, union


def joined(spans: Sequence[Span], whole: Span, bridge_ms: int = 0) -> list[Span]:
    """What the spans cover of `whole`, with gaps of up to `bridge_ms` closed."""
    return union([part for span in spans if (part := span.clipped(whole))], bridge_ms=bridge_ms)


def gaps(spans: Sequence[Span], whole: Span) -> list[Span]:
    """What of `whole` none of the spans covers, in order."""
    covered = joined(spans, whole)
    starts = [whole.start_ms, *(span.end_ms for span in covered)]
    ends = [*(span.start_ms for span in covered), whole.end_ms]
    return [Span.of(start, end) for start, end in zip(starts, ends, strict=True) if start < end]
