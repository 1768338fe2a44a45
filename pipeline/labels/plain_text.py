"""Text files, which are read as what their content shows them to be:

    0.500<TAB>2.250<TAB>Bark          labels exported from Audacity: every line has two times and a label
    [0.00]hello there[2.01]           a transcript with times, as `schemas/formats/transcript.py` writes it
    anything else                     a transcript without times

In Audacity's form a label is an event ("Bark"), unless it is marked as speech: in double quotes ("hello there"), or
after a speaker (S01: hello there). Lines that begin with a backslash hold frequencies, and are passed over.
"""

import re

from pipeline.labels.parts import (
    MAX_TEXT,
    Place,
    check_number,
    clean,
    decoded,
    labels_of,
    lines_of,
    ordered,
    shown,
    span,
    words_in,
)
from schemas.errors import LabelError
from schemas.formats import transcript
from schemas.labels import LabelledSentence, Labels
from schemas.record import Event

FREQUENCIES = "\\"
TIMED = re.compile(r"\s*\[ ?[0-9]", re.ASCII)
TABLE = re.compile(r"[^\t\n]{1,40}\t[^\t\n]{1,40}\t", re.ASCII)
NUMERIC = re.compile(r"\s*[+-]?(?:[0-9.]|nan|inf)", re.ASCII | re.IGNORECASE)
SAID_BY = re.compile(r"(S[0-9]{1,4}): ?(.+)", re.ASCII)
MAX_TRANSCRIPT = 2_000_000  # characters


def read(data: bytes, file: str, recordings: frozenset[str]) -> Labels:
    """The labels of the recording; the file is of one recording, whatever that is called."""
    text = decoded(data, file)
    first = next((line for _, line in lines_of(text, file) if not line.startswith(FREQUENCIES)), "")
    if TABLE.match(first) and NUMERIC.match(first):
        return _audacity(text, file)
    if TIMED.match(text):
        return _timed(text, file)
    if not clean(text):
        return labels_of(file)
    if len(text) > MAX_TRANSCRIPT:
        raise LabelError(f"{shown(file)}: {len(text)} characters; a transcript may have {MAX_TRANSCRIPT}")
    return labels_of(file, text=clean(text))


def _audacity(text: str, file: str) -> Labels:
    events: list[Event] = []
    sentences: list[LabelledSentence] = []
    for place, line in lines_of(text, file):
        if line.startswith(FREQUENCIES):
            continue
        fields = line.split("\t", 2)
        if len(fields) != 3:
            raise place.error(f"{len(fields)} fields; a line has three with tabs between: start, end and label")
        # where the decimal mark is a comma, Audacity writes one
        heard = span(fields[0].replace(",", "."), fields[1].replace(",", "."), place)
        label = words_in(fields[2], "its label", place)
        said_by = SAID_BY.fullmatch(label)
        quoted = len(label) > 2 and label[0] == label[-1] == '"'
        if said_by or quoted:
            said = said_by[2] if said_by else label[1:-1]
            sentences.append(
                LabelledSentence(
                    start_ms=heard.start_ms,
                    end_ms=heard.end_ms,
                    text=words_in(said, "what is said", place),
                    speaker=said_by[1] if said_by else None,
                )
            )
        else:
            events.append(Event(start_ms=heard.start_ms, end_ms=heard.end_ms, label=label, score=1.0))
        check_number(len(events) + len(sentences), file)
    return labels_of(file, events=events, sentences=sentences)


def _timed(text: str, file: str) -> Labels:
    if len(text) > MAX_TRANSCRIPT:
        raise LabelError(f"{shown(file)}: {len(text)} characters; a transcript may have {MAX_TRANSCRIPT}")
    parsed = transcript.parse(text)
    if parsed.unread:
        first = parsed.unread[0]
        place = Place(file=file, where=f"line {_line_of(first.fragment, text)}")
        raise place.error(f"{shown(first.fragment)!r} cannot be read ({first.reason}); write [0.00]words[2.01]")
    sentences = []
    for item in parsed.items:
        place = Place(file=file, where=f"the utterance at {item.start_ms / 1000:.2f} s")
        heard = ordered(item.start_ms, item.end_ms, place)
        if len(item.text) > MAX_TEXT:
            raise place.error(f"an utterance of {len(item.text)} characters; it may have {MAX_TEXT}")
        sentences.append(
            LabelledSentence(
                start_ms=heard.start_ms,
                end_ms=heard.end_ms,
                text=words_in(item.text, "what is said", place),
                speaker=item.speaker,
            )
        )
    return labels_of(file, sentences=sentences)


def _line_of(fragment: str, text: str) -> int:
    """The line a fragment begins on, as far as white space lets it be found."""
    at = text.find(fragment.split(" ")[0] if fragment not in text else fragment)
    return text.count("\n", 0, at) + 1 if at >= 0 else 1
