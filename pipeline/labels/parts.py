"""What all readers of label files share: bytes to text, times to milliseconds, and complaints that name the line.

A label file is written by hand or by any tool, and may be anything: it is bounded in bytes and in labels, its text
loses control characters, and what cannot be a label is refused with the file and the line.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.errors import LabelError
from schemas.labels import LabelledMusic, LabelledSentence, Labels
from schemas.record import Event, Turn, Word
from schemas.span import Span

MAX_BYTES = 16 << 20
MAX_LABELS = 200_000  # in one file
MAX_PER_MINUTE = 6_000  # labels of one recording that any minute may touch
MAX_TEXT = 20_000  # characters of one label
MAX_MS = 9_999_999_990  # about 116 days
MAX_SHOWN = 400  # characters of a file that a complaint looks at
INSTANT_MS = 1  # how long a label lasts that begins when it ends
JOINERS = "\u200c\u200d"  # invisible, but part of the spelling in Persian and Hindi
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a label file, or what stands for one where it has none."""

    file: str
    where: str  # "line 3", "events[2]"

    def error(self, found: str) -> LabelError:
        return LabelError(f"{shown(self.file)}, {self.where}: {found}")


def decoded(data: bytes, file: str) -> str:
    """The text of a file: UTF-8, or UTF-16 with its byte order mark. Raises LabelError for anything else."""
    if len(data) > MAX_BYTES:
        raise LabelError(f"{shown(file)}: {len(data)} bytes; a label file has at most {MAX_BYTES}")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LabelError(
            f"{shown(file)}, line {line}: it is not {encoding.upper().removesuffix('-SIG')} ({error.reason}); "
            "save it as UTF-8, or as UTF-16 with a byte order mark"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise LabelError(f"{shown(file)}, line {line}: a zero byte: it is no text file; save it as UTF-8")
    return text


def lines_of(text: str, file: str) -> Iterator[tuple[Place, str]]:
    """Every line that is not blank, with its place. Only line ends part lines: other separators may be in a label."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            yield Place(file=file, where=f"line {number}"), line


def seconds(value: object, what: str, place: Place) -> int:
    """A time in seconds, a number or the text of one, as milliseconds."""
    if isinstance(value, str):
        if not NUMBER.fullmatch(value.strip()):
            raise place.error(f"{what} is {shown(value)}; it should be seconds, like 12.34")
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.error(f"{what} is {shown(repr(value))}; it should be seconds, like 12.34")
    if not (value == value and abs(value) < math.inf):
        raise place.error(f"{what} is {value}; it should be seconds, like 12.34")
    if value < 0:
        raise place.error(f"{what} is {shown(str(value))} s; it cannot lie before the recording begins")
    if value * 1000 > MAX_MS:
        raise place.error(f"{what} is {shown(str(value))} s, which is over {MAX_MS // 86_400_000} days; it is too late")
    return round(value * 1000)


def span(start: object, end: object, place: Place) -> Span:
    """From seconds to seconds; what has no length lasts an instant."""
    return ordered(seconds(start, "its start", place), seconds(end, "its end", place), place)


def lasting(start: object, duration: object, place: Place) -> Span:
    start_ms, end_ms = seconds(start, "its start", place), seconds(duration, "its duration", place)
    return ordered(start_ms, start_ms + end_ms, place)


def ordered(start_ms: int, end_ms: int, place: Place) -> Span:
    if end_ms < start_ms:
        raise place.error(f"it ends at {end_ms / 1000:.3f} s, before it begins at {start_ms / 1000:.3f} s")
    return Span.of(start_ms, max(end_ms, start_ms + INSTANT_MS))


def share(value: object, what: str, place: Place) -> float:
    """A number from 0 to 1, or the text of one."""
    number = float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise place.error(f"{what} is {shown(str(value))}; it should lie in 0..1")
    return float(number)


def words_in(text: object, what: str, place: Place) -> str:
    """Words of a person on one line, without control characters."""
    if not isinstance(text, str):
        raise place.error(f"{what} is {shown(repr(text))}; it should be text")
    if len(text) > MAX_TEXT:
        raise place.error(f"{what} has {len(text)} characters; it may have {MAX_TEXT}")
    cleaned = clean(text)
    if not cleaned:
        raise place.error(f"{what} is empty; write what is heard, or take the line out")
    return cleaned


def clean(text: str) -> str:
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = (c if c in JOINERS or unicodedata.category(c)[0] not in "CZ" else " " for c in text)
    return " ".join("".join(kept).split())


def shown(text: str) -> str:
    """As much of it as fits into a sentence."""
    plain = clean(text[:MAX_SHOWN])
    return plain if len(plain) <= 80 else f"{plain[:77]}..."


def labels_of(
    file: str,
    *,
    words: Iterable[Word] = (),
    turns: Iterable[Turn] = (),
    sentences: Iterable[LabelledSentence] = (),
    events: Iterable[Event] = (),
    music: Iterable[LabelledMusic] = (),
    language: str | None = None,
    text: str | None = None,
    notes: Iterable[str] = (),
) -> Labels:
    """Labels of one file, each kind in time order. Raises LabelError where there are too many."""
    by_time = tuple(tuple(sorted(kind, key=_time)) for kind in (words, turns, sentences, events, music))
    check_number(sum(map(len, by_time)), file)
    return Labels(
        files=(file,),
        words=by_time[0],  # type: ignore[arg-type]
        turns=by_time[1],  # type: ignore[arg-type]
        sentences=by_time[2],  # type: ignore[arg-type]
        events=by_time[3],  # type: ignore[arg-type]
        music=by_time[4],  # type: ignore[arg-type]
        language=language,
        text=text,
        notes=tuple(notes),
    )


def check_number(count: int, file: str) -> None:
    """Raises LabelError where there are too many; readers ask as they go, so that no file fills the memory."""
    if count > MAX_LABELS:
        raise LabelError(f"{shown(file)}: over {MAX_LABELS} labels; one file may have that many")


def check_density(labels: Labels, file: str) -> None:
    """Raises LabelError where more labels touch one minute than any person or aligner writes.

    Whatever is done with the labels of a segment is so bounded by its length.
    """
    steps: Counter[int] = Counter()
    for kind in (labels.words, labels.turns, labels.sentences, labels.events, labels.music):
        for one in kind:
            steps[one.start_ms // 60_000] += 1
            steps[(one.end_ms - 1) // 60_000 + 1] -= 1
    touching = 0
    for minute in sorted(steps):
        touching += steps[minute]
        if touching > MAX_PER_MINUTE:
            raise LabelError(
                f"{shown(file)}: {touching} labels touch the minute from {minute * 60} s; one minute may have "
                f"{MAX_PER_MINUTE}: is the file of one recording?"
            )


def _time(one: Span) -> tuple[int, int]:
    return one.start_ms, one.end_ms
