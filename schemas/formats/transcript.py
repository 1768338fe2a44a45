"""Transcripts with times, by sentence or by word, and with or without who speaks.

    [0.00]hello there[2.01][2.01]the weather[4.32]          one utterance after the other, nothing between
    [0.00][S01]hello there[2.01][1.80][S02]hi[2.40]         diarised: the speaker follows the start

Seconds have two decimals. Utterances stand in the order of their starts; with several speakers they may overlap. A
word-timestamped transcript is the same with a word in each.

Read as well: full-width brackets and colons, commas for points, more or fewer decimals, mm:ss and h:mm:ss, white space
and line breaks anywhere, `[S1]`, `[Speaker 1]` or `S01:` for `[S01]`, the speaker before the start, one time where one
utterance ends and the next begins, both times in one bracket (`[0.00-2.01]hello`), and a last utterance without its
end where the audio's duration is known. Text that has no start or no end is no utterance, and is told as unread.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from schemas.errors import SchemaError
from schemas.formats.clock import TIME, UNIT, check_span, milliseconds, rounded, seconds
from schemas.formats.reading import Unread, alike, collapsed, same, shown, unfenced

_SPEAKER = r"(?:speaker|spk|s|说话人|發言人|发言人)[ _#-]{0,2}(?P<number>[0-9]{1,4})"
_MARK = re.compile(
    rf"\[ ?(?:(?P<start>{TIME}){UNIT}(?: ?(?:->|-{{1,3}}>?|~|to) ?(?P<end>{TIME}){UNIT})? ?"
    rf"|{_SPEAKER}:? ?|(?P<digits>[0-9][0-9 .,:~-]{{0,60}}))\]",
    re.ASCII | re.IGNORECASE,
)
_SAID_BY = re.compile(rf"{_SPEAKER} ?:", re.ASCII | re.IGNORECASE)
_LABEL = re.compile(r"S(?:[0-9]{2}|[1-9][0-9]{2,3})", re.ASCII)
_COLONS = " :："


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Words in [start_ms, end_ms), which may be empty, of `speaker` ("S01") where it is told."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None

    def __post_init__(self) -> None:
        check_span(self.start_ms, self.end_ms, f"utterance {shown(self.text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTranscript:
    text: str
    items: tuple[Utterance, ...]
    unread: tuple[Unread, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the text is, to the character, what `write` makes of its items. An empty one tells no utterances."""
        return same(write(self.items), self.text)

    @property
    def diarised(self) -> bool:
        """Whether there are utterances and every one tells its speaker."""
        return bool(self.items) and all(item.speaker for item in self.items)


def parse(text: str, *, duration_ms: int | None = None) -> ParsedTranscript:
    """What is said when in `text`, sorted by start; all times are multiples of 10 ms.

    An utterance at the end that has a start and no end lasts to `duration_ms`, or is unread without one.
    """
    last_ms = None if duration_ms is None else rounded(duration_ms)
    items: list[Utterance] = []
    unread: list[Unread] = []
    speaker, spent = None, False  # spent: the last time was the end of something
    for stretch in _stretches(collapsed(unfenced(text))):
        said, before = _said(stretch, speaker), stretch.before
        unread += said.unread
        if before and before.start_ms is None:
            unread.append(Unread(fragment=before.text, reason="digits that are no time"))
        elif before and not said.words and not spent:
            unread.append(Unread(fragment=before.text, reason="a time that nothing is said at"))
        if said.words:
            item = _utterance(said, stretch, None if spent else last_ms)
            if isinstance(item, Utterance):
                items.append(item)
            else:
                unread.append(item)
        spent = bool(said.words) and not stretch.ranged
        speaker = said.next_speaker
    if speaker:
        unread.append(Unread(fragment=f"[{speaker}]", reason="a speaker who says nothing"))
    items.sort(key=lambda item: item.start_ms)
    return ParsedTranscript(text=text, items=tuple(items), unread=tuple(unread))


def write(items: Sequence[Utterance]) -> str:
    """The transcript, which `parse` reads as `items` with their times rounded to 10 ms, half up.

    Raises SchemaError that names the utterance which would not be read back: out of order, blank, with white space
    other than single spaces between words, a speaker not like "S01", or something in its text that reads as a time or a
    speaker. `plain` makes any text writable that is not blank.
    """
    return "".join(_written(index, item, items[max(0, index - 1)]) for index, item in enumerate(items))


def plain(text: str) -> str:
    """`text` as it can stand in a transcript: the brackets of what reads as a time or a speaker become parentheses, the
    colon after a speaker becomes a comma, one that begins the text goes, and white space becomes single spaces."""
    text = collapsed(text)
    letters = list(text)
    for mark in _MARK.finditer(alike(text)):
        letters[mark.start()], letters[mark.end() - 1] = "()"
    text = "".join(letters).lstrip(_COLONS)
    if named := _SAID_BY.match(alike(text)):
        text = f"{text[: named.end() - 1].rstrip()}, {text[named.end() :].lstrip()}".rstrip()
    return text


def words_only(text: str) -> str:
    """All that is said in a transcript, read or not, without times and speakers: for counting wrong words."""
    said = (part for part in _parts(collapsed(unfenced(text))) if isinstance(part, str))
    return " ".join(words for part in said if (words := _name_and_words(part, named=False)[1].lstrip(_COLONS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """A bracket with a time, with two, or with digits that are none."""

    text: str
    start_ms: int | None
    end_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speaker:
    label: str


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """What stands between two times, or before the first, or after the last."""

    before: _Time | None
    within: list[str | _Speaker] = field(default_factory=list)
    after: _Time | None = None

    @property
    def ranged(self) -> bool:
        """Whether the bracket before tells the end as well."""
        return self.before is not None and self.before.end_ms is not None


@dataclass(slots=True, kw_only=True)
class _Said:
    """What a stretch says. `next_speaker` is named after it, or without it, and so says what comes next."""

    words: str = ""
    speaker: str | None = None
    next_speaker: str | None = None
    unread: list[Unread] = field(default_factory=list)


def _stretches(line: str) -> Iterator[_Stretch]:
    stretch = _Stretch(before=None)
    for part in _parts(line):
        if isinstance(part, _Time):
            stretch.after = part
            yield stretch
            stretch = _Stretch(before=part)
        else:
            stretch.within.append(part)
    yield stretch


def _parts(line: str) -> Iterator[str | _Speaker | _Time]:
    done = 0
    for mark in _MARK.finditer(alike(line)):
        if words := line[done : mark.start()].strip():
            yield words
        done = mark.end()
        if mark["number"]:
            yield _Speaker(label=_label(mark["number"]))
        else:
            start_ms, end_ms = (milliseconds(mark[name]) if mark[name] else None for name in ("start", "end"))
            yield _Time(text=line[mark.start() : done], start_ms=start_ms, end_ms=end_ms)
    if words := line[done:].strip():
        yield words


def _said(stretch: _Stretch, speaker: str | None) -> _Said:
    said = _Said(next_speaker=speaker)
    for part in stretch.within:
        if isinstance(part, _Speaker):
            if said.next_speaker:
                said.unread.append(Unread(fragment=f"[{said.next_speaker}]", reason="a speaker who says nothing"))
            said.next_speaker = part.label
        elif said.words:
            said.unread.append(Unread(fragment=part, reason=f"{said.next_speaker} speaks without a time"))
            said.next_speaker = None
        else:
            name, said.words = _name_and_words(part, named=said.next_speaker is not None)
            speaker = said.next_speaker or name
            said.speaker, said.next_speaker = (speaker, None) if said.words else (None, speaker)
    return said


def _utterance(said: _Said, stretch: _Stretch, last_ms: int | None) -> Utterance | Unread:
    """What is said in a stretch, or why it is no utterance. What nothing follows lasts to `last_ms`."""
    start_ms, end_ms = (stretch.before.start_ms, stretch.before.end_ms) if stretch.before else (None, None)
    if not stretch.ranged:
        end_ms = stretch.after.start_ms if stretch.after else last_ms
    if start_ms is None:
        return Unread(fragment=said.words, reason="no start time")
    if end_ms is None:
        return Unread(fragment=said.words, reason="no end time")
    if end_ms < start_ms:
        reason = f"it ends at {seconds(end_ms)}, before it starts at {seconds(start_ms)}"
        return Unread(fragment=said.words, reason=reason)
    return Utterance(start_ms=start_ms, end_ms=end_ms, text=said.words, speaker=said.speaker)


def _name_and_words(text: str, *, named: bool) -> tuple[str | None, str]:
    """Who is said to speak at the start of `text` ("S01:"), unless it is known (`named`), and the words after it."""
    if named:
        return None, text.lstrip(_COLONS)
    if said_by := _SAID_BY.match(alike(text)):
        return _label(said_by["number"]), text[said_by.end() :].lstrip(_COLONS)
    return None, text


def _label(number: str) -> str:
    return f"S{int(number):02d}"


def _written(index: int, item: Utterance, before: Utterance) -> str:
    where = f"utterance {index} at {seconds(item.start_ms)} s, {shown(item.text)}"
    if item.start_ms < before.start_ms:
        raise SchemaError(f"{where}: it starts before the one it follows, at {seconds(before.start_ms)} s: sort them")
    if item.speaker is not None and not _LABEL.fullmatch(item.speaker):
        raise SchemaError(f"{where}: its speaker is {shown(item.speaker)}; it must be like S01")
    speaker = f"[{item.speaker}]" if item.speaker else ""
    text = f"[{seconds(item.start_ms)}]{speaker}{item.text}[{seconds(item.end_ms)}]"
    expected = replace(item, start_ms=rounded(item.start_ms), end_ms=rounded(item.end_ms))
    read = parse(text)
    if read.items != (expected,) or read.unread:
        reason = "it says nothing" if not item.text.strip() else "its text would be read back as something else"
        raise SchemaError(f"{where}: {reason}; plain() makes any words writable")
    return text
