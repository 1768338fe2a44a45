"""Moments mentioned in prose, and the prose between them.

    The first bell is at [00:03], and [00:12]-[00:20] is applause.     chains of thought: in brackets
    **Structure**: intro 0:03-0:16, then the first verse.              captions of music: bare, always a range

A text is a row of pieces: words, and moments in whole seconds. So nothing of it is lost, and it can be written again.

Read as well: full-width brackets and colons, `[0:03]`, `[00:03-00:16]`, `[00:03] to [00:16]`, en dashes, tildes,
h:mm:ss, decimals (rounded half up to the second), and seconds in brackets where they have a decimal or a unit
(`[3.20]`, `[12s]`). A bare `3:16` is no moment, and neither is `[12]`: it may be a score, a time of day, a reference.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.errors import SchemaError
from schemas.formats.clock import CLOCK, SECOND_MS, check_span, milliseconds, minutes, rounded
from schemas.formats.reading import Unread, alike, same, shown

LATEST_MS = 599_999 * SECOND_MS
"""The last second that mm:ss tells with four digits of minutes."""

_INNER = rf"(?:{CLOCK}(?: ?s)?|[0-9]{{1,7}}[.,][0-9]{{1,9}}(?: ?s)?|[0-9]{{1,7}} ?s)"
_BARE = r"(?:[0-9]{1,3}:[0-5]?[0-9]:[0-5][0-9]|[0-9]{1,4}:[0-5][0-9])(?:\.[0-9]{1,9})?(?![0-9]|[.:][0-9])"
_TO = r" ?(?:-{1,3}>?|→|~|to|until|至|到) ?"
_BRACKET = rf"\[ ?{_INNER}(?:{_TO}{_INNER})? ?\]"
_MENTION = re.compile(
    rf"(?P<brackets>{_BRACKET}(?:{_TO}{_BRACKET})*)|(?<![0-9:.,]){_BARE}(?:{_TO}{_BARE})+",
    re.ASCII | re.IGNORECASE,
)
_TIME = re.compile(r"[0-9:.,]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A mention of [start_ms, end_ms), or of a point where `end_ms` is None. A bare one is always a range."""

    start_ms: int
    end_ms: int | None = None
    bare: bool = False

    def __post_init__(self) -> None:
        check_span(self.start_ms, self.start_ms if self.end_ms is None else self.end_ms, "moment")
        if max(self.start_ms, self.end_ms or 0) > LATEST_MS:
            raise SchemaError(f"moment: it is at {self.start_ms} ms; mm:ss goes to {LATEST_MS} ms")
        if self.bare and self.end_ms is None:
            raise SchemaError(f"moment at {self.start_ms} ms: a bare one must be a range; give it an end or brackets")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMoments:
    """`unread` holds mentions that no moment is like, as [00:09]-[00:03]; they stay among the words too."""

    text: str
    pieces: tuple[str | Moment, ...]
    unread: tuple[Unread, ...]

    @property
    def items(self) -> tuple[Moment, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Moment))

    @property
    def well_formed(self) -> bool:
        """Whether the text is, to the character, what `write` makes of its pieces."""
        return not self.unread and same(write(self.pieces), self.text)


def parse(text: str) -> ParsedMoments:
    pieces: list[str | Moment] = []
    unread: list[Unread] = []
    done = 0
    for found in _MENTION.finditer(alike(text)):
        moment = _moment(found)
        if isinstance(moment, Moment):
            pieces += [text[done : found.start()], moment]
            done = found.end()
        else:
            unread.append(Unread(fragment=text[found.start() : found.end()], reason=moment))
    pieces.append(text[done:])
    return ParsedMoments(text=text, pieces=tuple(piece for piece in pieces if piece), unread=tuple(unread))


def write(pieces: Sequence[str | Moment]) -> str:
    """The text, which `parse` reads as `pieces` with their times rounded to whole seconds, half up.

    Raises SchemaError that names the first piece that would not be read back: words that hold a mention or are empty,
    two pieces of words in a row, pieces that become a mention only together (a moment, "-" and a moment). `plain` makes
    words without mentions.
    """
    text = "".join(piece if isinstance(piece, str) else mention(piece) for piece in pieces)
    read = parse(text).pieces
    for index, piece in enumerate(pieces):
        expected = piece if isinstance(piece, str) else _rounded(piece)
        if index >= len(read) or read[index] != expected:
            found = shown(read[index]) if index < len(read) else "nothing"
            raise SchemaError(f"piece {index}, {shown(piece)}, would be read back as {found}; plain() unmakes moments")
    return text


def mention(moment: Moment) -> str:
    """`[00:03]`, `[00:03]-[00:16]`, or `0:03-0:16` where it is bare."""
    if moment.bare:
        return f"{minutes(moment.start_ms, 1)}-{minutes(moment.end_ms or 0, 1)}"
    times = [moment.start_ms] if moment.end_ms is None else [moment.start_ms, moment.end_ms]
    return "-".join(f"[{minutes(time_ms)}]" for time_ms in times)


def plain(text: str) -> str:
    """`text` that mentions no moment: its mentions have periods for colons and parentheses for brackets."""
    letters = list(text)
    for found in _MENTION.finditer(alike(text)):
        for index in range(found.start(), found.end()):
            letters[index] = {"[": "(", "]": ")", ":": "."}.get(alike(letters[index]), letters[index])
    return "".join(letters)


def _moment(found: re.Match[str]) -> Moment | str:
    """What a mention mentions, or why it is nothing."""
    times_ms = [rounded(milliseconds(time), SECOND_MS) for time in _TIME.findall(found.group())]
    if len(times_ms) > 2:
        return f"{len(times_ms)} times in a row"
    if max(times_ms) > LATEST_MS:
        return "no audio is that long"
    if times_ms[-1] < times_ms[0]:
        return "it ends before it starts"
    end_ms = times_ms[1] if len(times_ms) == 2 else None
    return Moment(start_ms=times_ms[0], end_ms=end_ms, bare=found["brackets"] is None)


def _rounded(moment: Moment) -> Moment:
    end_ms = None if moment.end_ms is None else rounded(moment.end_ms, SECOND_MS)
    return replace(moment, start_ms=rounded(moment.start_ms, SECOND_MS), end_ms=end_ms)
