"""Praat's TextGrid, in its long and its short text form.

After Praat's manual, page "TextGrid file formats": what counts in a file are its free-standing numbers, its texts in
double quotes (a quote within is doubled) and its flags in angle brackets; all else is there for people. Both forms are
so read by one walk, which knows the line of whatever it finds.

Tiers named `words`, `sentences` (also `utterances`, `transcript`), `speakers` (also `turns`) and `events` hold what
they say; a tier of intervals by any other name is a speaker's, with what is said in it. Intervals without text hold
nothing. Points are events of an instant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.labels.parts import MAX_LABELS, Place, check_number, clean, decoded, labels_of, shown, span, words_in
from schemas.errors import LabelError
from schemas.labels import LabelledSentence, Labels
from schemas.record import Event, Turn, Word

TOKEN = re.compile(
    r'"(?P<text>[^"]*(?:""[^"]*)*)"|<(?P<flag>[a-z]+)>|(?P<number>[+-]?[0-9.][0-9.eE+-]*)(?=\s|$)|![^\n]*|[^\s"<]+|[<"]'
)
WORDS, SENTENCES, TURNS, EVENTS = "words", "sentences", "turns", "events"
TIERS = {
    "word": WORDS,
    "words": WORDS,
    "sentence": SENTENCES,
    "sentences": SENTENCES,
    "utterances": SENTENCES,
    "transcript": SENTENCES,
    "speaker": TURNS,
    "speakers": TURNS,
    "turns": TURNS,
    "event": EVENTS,
    "events": EVENTS,
}
MAX_TIERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A text, a number or a flag, and the line it begins on."""

    kind: str
    value: str
    line: int


def read(data: bytes, file: str, recordings: frozenset[str]) -> Labels:
    """The labels of the recording; the file is of one recording, whatever that is called."""
    if data.startswith(b"ooBinaryFile"):
        raise LabelError(f"{shown(file)}, line 1: it is a binary TextGrid; save it as a text file in Praat")
    walk = _Walk(decoded(data, file).replace("\r\n", "\n").replace("\r", "\n"), file)
    for wanted in ("ooTextFile", "TextGrid"):
        value, place = walk.text()
        if wanted not in value:
            raise place.error(f"{shown(value)!r} where {wanted!r} should stand: it is no TextGrid")
    walk.number()
    walk.number()
    walk.flag()
    words: list[Word] = []
    turns: list[Turn] = []
    sentences: list[LabelledSentence] = []
    events: list[Event] = []
    num_labels = 0
    for _ in range(walk.count(MAX_TIERS, "tiers")):
        kind, place = walk.text()
        if kind not in ("IntervalTier", "TextTier"):
            raise place.error(f"a tier of class {shown(kind)!r}; it should be IntervalTier or TextTier")
        name = clean(walk.text()[0])
        walk.number()
        walk.number()
        holds = EVENTS if kind == "TextTier" else TIERS.get(name.lower())
        for _ in range(walk.count(MAX_LABELS, "intervals")):
            start, place = walk.number()
            end = start if kind == "TextTier" else walk.number()[0]
            text = walk.text()[0]
            heard = span(start, end, place)
            if not clean(text):
                continue
            num_labels += 1
            check_number(num_labels, file)
            label, start_ms, end_ms = words_in(text, "its text", place), heard.start_ms, heard.end_ms
            if holds == WORDS:
                words.append(Word(start_ms=start_ms, end_ms=end_ms, text=label, score=1.0))
            elif holds == TURNS:
                turns.append(Turn(start_ms=start_ms, end_ms=end_ms, speaker=label))
            elif holds == EVENTS:
                events.append(Event(start_ms=start_ms, end_ms=end_ms, label=label, score=1.0))
            else:
                speaker = None if holds == SENTENCES else name or None
                sentences.append(LabelledSentence(start_ms=start_ms, end_ms=end_ms, text=label, speaker=speaker))
    return labels_of(file, words=words, turns=turns, sentences=sentences, events=events)


class _Walk:
    """Goes through what counts in a TextGrid, and says by line what it misses."""

    def __init__(self, text: str, file: str) -> None:
        self._tokens, self._file, self._line = _tokens(text), file, 1

    def text(self) -> tuple[str, Place]:
        token = self._next("text")
        return token.value.replace('""', '"'), self._place(token)

    def number(self) -> tuple[str, Place]:
        token = self._next("number")
        return token.value, self._place(token)

    def flag(self) -> None:
        token = self._next("flag")
        if token.value != "exists":
            raise self._place(token).error(f"<{token.value}>: it has no tiers")

    def count(self, most: int, what: str) -> int:
        value, place = self.number()
        if not value.isdecimal() or int(value[:12]) > most:
            raise place.error(f"{shown(value)} {what}; it should be a whole number up to {most}")
        return int(value)

    def _next(self, kind: str) -> Token:
        token = next(self._tokens, None)
        if token is None:
            raise Place(file=self._file, where=f"line {self._line}").error(f"it ends where a {kind} should stand")
        self._line = token.line
        if token.kind != kind:
            raise self._place(token).error(f"the {token.kind} {shown(token.value)!r} where a {kind} should stand")
        return token

    def _place(self, token: Token) -> Place:
        return Place(file=self._file, where=f"line {token.line}")


def _tokens(text: str) -> Iterator[Token]:
    line, done = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", done, match.start())
        done = match.start()
        if match.lastgroup:
            yield Token(kind=match.lastgroup, value=match[match.lastgroup], line=line)
