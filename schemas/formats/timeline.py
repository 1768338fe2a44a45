"""Timelines of sound events: what is heard from when to when, one line each.

    0.00 - 57.00: birds chirping
    12.40 - 13.10: a car door slams

Seconds have two decimals, and lines stand in the order of their starts; events may overlap.

Read as well: bullets and numbers before a line, brackets, bold or backticks around the times, en dashes, tildes, arrows
and "to" between them, mm:ss and h:mm:ss, commas for points, other decimals, a unit, another mark than the colon or
none, blank lines and fences. A line without two times is no event, and is told as unread.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.errors import SchemaError
from schemas.formats.clock import TIME, UNIT, check_span, milliseconds, rounded, seconds
from schemas.formats.reading import Unread, alike, collapsed, same, shown

_LINE = re.compile(
    r"(?:[-*+>#•·●▪]{1,6} |[*•·●▪]|\(?[0-9]{1,3}[.)] )?"
    rf"(?P<opened>[\[(*_`<]{{0,4}}) ?(?P<start>{TIME}){UNIT} ?[\])]? ?"
    rf"(?:-{{1,3}}>?|=>|→|~|to|until|至|到) ?[\[(]? ?(?P<end>{TIME}){UNIT} ?"
    r"(?P<closed>[\])*_`>]{0,4})(?: ?[:|;,-])? ?(?P<description>.*)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is heard in [start_ms, end_ms), which may be empty."""

    start_ms: int
    end_ms: int
    description: str

    def __post_init__(self) -> None:
        check_span(self.start_ms, self.end_ms, f"event {shown(self.description)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTimeline:
    text: str
    items: tuple[Event, ...]
    unread: tuple[Unread, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the text is, to the character, what `write` makes of its items. An empty one tells no events."""
        return same(write(self.items), self.text)


def parse(text: str) -> ParsedTimeline:
    """The events that `text` tells line by line, sorted by start."""
    items: list[Event] = []
    unread: list[Unread] = []
    for line in map(collapsed, text.splitlines()):
        if line and not line.startswith("```"):
            read = _event(line)
            if isinstance(read, Event):
                items.append(read)
            else:
                unread.append(Unread(fragment=line, reason=read))
    items.sort(key=lambda item: item.start_ms)
    return ParsedTimeline(text=text, items=tuple(items), unread=tuple(unread))


def write(items: Sequence[Event]) -> str:
    """The timeline, which `parse` reads as `items` with their times rounded to 10 ms, half up.

    Raises SchemaError that names the event which would not be read back: out of order, blank, or with a line break or
    other white space than single spaces between words in its description. `plain` makes any words writable.
    """
    return "\n".join(_written(index, item, items[max(0, index - 1)]) for index, item in enumerate(items))


def plain(text: str) -> str:
    """`text` as it can stand in a timeline: on one line, with single spaces."""
    return collapsed(text)


def _event(line: str) -> Event | str:
    """The event of a line, or why there is none."""
    match = _LINE.match(alike(line))
    if not match:
        return "no two times"
    start_ms, end_ms = milliseconds(match["start"]), milliseconds(match["end"])
    description = line[match.start("description") :]
    if "*" in match["opened"] and "*" not in match["closed"]:
        description = description.lstrip("* ")
    if not description:
        return "no description"
    if end_ms < start_ms:
        return f"it ends at {seconds(end_ms)}, before it starts at {seconds(start_ms)}"
    return Event(start_ms=start_ms, end_ms=end_ms, description=description)


def _written(index: int, item: Event, before: Event) -> str:
    where = f"event {index} at {seconds(item.start_ms)} s, {shown(item.description)}"
    if item.start_ms < before.start_ms:
        raise SchemaError(f"{where}: it starts before the one it follows, at {seconds(before.start_ms)} s: sort them")
    line = f"{seconds(item.start_ms)} - {seconds(item.end_ms)}: {item.description}"
    read = parse(line)
    if read.items != (replace(item, start_ms=rounded(item.start_ms), end_ms=rounded(item.end_ms)),) or read.unread:
        blank = not item.description.strip()
        reason = "it describes nothing" if blank else "its description would be read back as something else"
        raise SchemaError(f"{where}: {reason}; plain() makes any words writable")
    return line
