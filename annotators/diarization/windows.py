"""What of a recording is heard at once: consecutive clips, laid out at their places in windows of bounded length. Pure.

Between two clips of a window lies the silence that lies between them in the recording, a long one shortened. Clips
that do not fit into one window are spread over as few as will hold them, and evenly: speakers are told apart by how
much is heard of them, and a last window of a few seconds would know nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Span):
    """A stretch of the recording, and where it begins in its window."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Stretches in time order; none overlaps another, in the recording nor in the window."""

    pieces: tuple[Placed, ...]

    @property
    def duration_ms(self) -> int:
        return self.pieces[-1].at_ms + self.pieces[-1].duration_ms

    def in_recording(self, start_ms: int, end_ms: int) -> list[Span]:
        """The stretch [start_ms, end_ms) of this window, as times of the recording: one for each piece it meets."""
        spans: list[Span] = []
        for piece in self.pieces:
            first_ms, last_ms = max(start_ms, piece.at_ms), min(end_ms, piece.at_ms + piece.duration_ms)
            if first_ms < last_ms:
                shift_ms = piece.start_ms - piece.at_ms
                spans.append(Span.of(first_ms + shift_ms, last_ms + shift_ms))
        return spans


def layers(spans: Sequence[Span]) -> list[list[int]]:
    """Indices of the spans in time order, those that overlap in lists of their own."""
    made: list[list[int]] = []
    for index in sorted(range(len(spans)), key=lambda index: (spans[index].start_ms, spans[index].end_ms, index)):
        free = (layer for layer in made if spans[layer[-1]].end_ms <= spans[index].start_ms)
        if layer := next(free, None):
            layer.append(index)
        else:
            made.append([index])
    return made


def laid_out(spans: Sequence[Span], window_ms: int, gap_ms: int) -> list[Window]:
    """Windows of at most `window_ms` that hold all of `spans`, which are in time order and do not overlap.

    A span longer than a window is parted. Gaps are at most `gap_ms` long.
    """
    pieces = [piece for span in spans for piece in _parted(span, window_ms)]
    if not pieces:
        return []
    fewest = len(_packed(pieces, window_ms, gap_ms))
    too_little, enough = 0, window_ms
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        fits = all(piece.duration_ms <= middle for piece in pieces)
        if fits and len(_packed(pieces, middle, gap_ms)) == fewest:
            enough = middle
        else:
            too_little = middle
    return _packed(pieces, enough, gap_ms)


def _parted(span: Span, window_ms: int) -> list[Span]:
    """In as few parts of about one length as are not longer than a window."""
    num_parts = -(-span.duration_ms // window_ms)
    edges_ms = [span.start_ms + span.duration_ms * part // num_parts for part in range(num_parts + 1)]
    return [Span.of(edges_ms[part], edges_ms[part + 1]) for part in range(num_parts)]


def _packed(pieces: Sequence[Span], window_ms: int, gap_ms: int) -> list[Window]:
    """One piece after the other into a window, until the next does not fit."""
    windows: list[list[Placed]] = []
    for piece in pieces:
        last = windows[-1][-1] if windows else None
        at_ms = last.at_ms + last.duration_ms + min(piece.start_ms - last.end_ms, gap_ms) if last else 0
        if last and at_ms + piece.duration_ms <= window_ms:
            windows[-1].append(Placed(start_ms=piece.start_ms, end_ms=piece.end_ms, at_ms=at_ms))
        else:
            windows.append([Placed(start_ms=piece.start_ms, end_ms=piece.end_ms, at_ms=0)])
    return [Window(pieces=tuple(window)) for window in windows]
