"""Labels as JSON, for those who write their own. All times are seconds from the start of the recording.

    {
      "language": "en",
      "words":     [{"start": 0.32, "end": 0.71, "text": "hello", "speaker": "alice", "score": 0.9}],
      "sentences": [{"start": 0.32, "end": 1.90, "text": "hello there", "speaker": "alice"}],
      "turns":     [{"start": 0.30, "end": 2.00, "speaker": "alice"}],
      "events":    [{"start": 2.10, "end": 3.00, "label": "Bark"}],
      "music":     [{"start": 4.00, "end": 9.00, "tempo_bpm": 96, "key": "G major", "meter": "3/4",
                     "instruments": ["Piano"], "text": "a slow waltz"}],
      "text": "a transcript of the whole recording without times"
    }

Each part may be missing; so may `speaker`, `score` and whatever is not known of the music, and its times where it is
music throughout. A label is an AudioSet display name ("Bark", "Music", "Speech"), or any words.

A line of the answer key of composed scenes is read as well: {"scene", "duration", "background", "events": [{"onset",
"offset", "kind", "label", "text", "words": [[word, start, end]]}]}.
"""

import json
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

from pipeline.labels.parts import MAX_LABELS, MAX_MS, Place, decoded, labels_of, ordered, share, shown, span, words_in
from schemas.errors import LabelError
from schemas.labels import LabelledMusic, LabelledSentence, Labels
from schemas.record import Event, Turn, Word
from schemas.span import Span

PARTS = ("language", "words", "sentences", "turns", "events", "music", "text")
KINDS = {"speech": "Speech", "music": "Music"}
METERS = ("2/4", "3/4", "4/4", "5/4", "6/8", "7/8", "9/8", "12/8", "2/2", "3/8")
TEMPI_BPM = (20.0, 400.0)
LANGUAGE_LETTERS = (2, 3)

T = TypeVar("T")
Row = dict[str, Any]


def read(data: bytes, file: str, recordings: frozenset[str]) -> Labels:
    """The labels of the recording; the file is of one recording, whatever that is called."""
    body = _object(decoded(data, file), file)
    if "scene" in body and "duration" in body:
        return _scene(body, file)
    whole = Place(file=file, where="at its top")
    _only(body, PARTS, whole)
    return labels_of(
        file,
        words=_rows(body, "words", file, _word),
        sentences=_rows(body, "sentences", file, _sentence),
        turns=_rows(body, "turns", file, _turn),
        events=_rows(body, "events", file, _event),
        music=_rows(body, "music", file, _music),
        language=_language(body.get("language"), whole),
        text=None if body.get("text") is None else words_in(body["text"], "text", whole),
    )


def _object(text: str, file: str) -> Row:
    def refused(constant: str) -> float:
        raise LabelError(f"{shown(file)}: {constant} is no number; a time is seconds, like 12.34")

    try:
        body = json.loads(text, parse_constant=refused)
    except json.JSONDecodeError as error:
        raise LabelError(f"{shown(file)}, line {error.lineno}: it is not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # digits without end, brackets without end
        raise LabelError(f"{shown(file)}: it is not JSON this can read ({shown(str(error))})") from error
    if not isinstance(body, dict):
        raise LabelError(f"{shown(file)}, line 1: it holds {type(body).__name__}; it should be an object with {PARTS}")
    return body


def _only(row: Row, known: tuple[str, ...], place: Place) -> None:
    for name in row:
        if name not in known:
            near = get_close_matches(name[:40], known, n=1)
            advice = f"is {near[0]!r} meant?" if near else f"there is {', '.join(known)}"
            raise place.error(f"a field {shown(name)!r} is not known; {advice}")


def _rows(body: Row, part: str, file: str, make: Callable[[Row, Place], T]) -> list[T]:
    rows = body.get(part)
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise Place(file=file, where=part).error(f"{type(rows).__name__}; it should be a list of objects")
    if len(rows) > MAX_LABELS:
        raise Place(file=file, where=part).error(f"{len(rows)} labels; one file may have {MAX_LABELS}")
    made = []
    for index, row in enumerate(rows):
        place = Place(file=file, where=f"{part}[{index}]")
        if not isinstance(row, dict):
            raise place.error(f"{type(row).__name__}; it should be an object")
        made.append(make(row, place))
    return made


def _times(row: Row, place: Place) -> Span:
    for name in ("start", "end"):
        if name not in row:
            raise place.error(f"it has no {name!r}; write it in seconds")
    return span(row["start"], row["end"], place)


def _speaker(row: Row, place: Place) -> str | None:
    return None if row.get("speaker") is None else words_in(row["speaker"], "speaker", place)


def _word(row: Row, place: Place) -> Word:
    _only(row, ("start", "end", "text", "speaker", "score"), place)
    heard, score = _times(row, place), share(row.get("score", 1.0), "score", place)
    text, speaker = words_in(row.get("text"), "text", place), _speaker(row, place)
    return Word(start_ms=heard.start_ms, end_ms=heard.end_ms, text=text, score=score, speaker=speaker)


def _sentence(row: Row, place: Place) -> LabelledSentence:
    _only(row, ("start", "end", "text", "speaker"), place)
    heard, text = _times(row, place), words_in(row.get("text"), "text", place)
    return LabelledSentence(start_ms=heard.start_ms, end_ms=heard.end_ms, text=text, speaker=_speaker(row, place))


def _turn(row: Row, place: Place) -> Turn:
    _only(row, ("start", "end", "speaker"), place)
    heard, speaker = _times(row, place), words_in(row.get("speaker"), "speaker", place)
    return Turn(start_ms=heard.start_ms, end_ms=heard.end_ms, speaker=speaker)


def _event(row: Row, place: Place) -> Event:
    _only(row, ("start", "end", "label"), place)
    heard, label = _times(row, place), words_in(row.get("label"), "label", place)
    return Event(start_ms=heard.start_ms, end_ms=heard.end_ms, label=label, score=1.0)


def _music(row: Row, place: Place) -> LabelledMusic:
    _only(row, ("start", "end", "text", "tempo_bpm", "key", "meter", "instruments"), place)
    throughout = "start" not in row and "end" not in row
    heard = ordered(0, MAX_MS, place) if throughout else _times(row, place)
    tempo, meter, names = row.get("tempo_bpm"), row.get("meter"), row.get("instruments") or []
    if tempo is not None and (
        isinstance(tempo, bool) or not isinstance(tempo, int | float) or not TEMPI_BPM[0] <= tempo <= TEMPI_BPM[1]
    ):
        raise place.error(f"tempo_bpm is {shown(str(tempo))}; it should be beats a minute, {TEMPI_BPM}")
    if meter is not None and meter not in METERS:
        raise place.error(f"meter is {shown(str(meter))}; it should be one of {', '.join(METERS)}")
    if not isinstance(names, list) or len(names) > 100:
        raise place.error("instruments should be a list of up to 100 names")
    return LabelledMusic(
        start_ms=heard.start_ms,
        end_ms=heard.end_ms,
        text=None if row.get("text") is None else words_in(row["text"], "text", place),
        tempo_bpm=None if tempo is None else float(tempo),
        key=None if row.get("key") is None else words_in(row["key"], "key", place),
        meter=meter,
        instruments=tuple(words_in(name, "an instrument", place) for name in names),
    )


def _language(value: object, place: Place) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) not in LANGUAGE_LETTERS or not (value.isascii() and value.isalpha()):
        raise place.error(f"language is {shown(str(value))}; it should be a code of ISO 639, like en")
    return value.lower()


def _scene(body: Row, file: str) -> Labels:
    """A line of the answer key: speech whose words are known is a sentence, all else an event."""
    sentences: list[LabelledSentence] = []
    events: list[Event] = []
    words: list[Word] = []

    def take(row: Row, place: Place) -> None:
        heard = span(row.get("onset"), row.get("offset"), place)
        if row.get("text") is not None:
            text = words_in(row["text"], "text", place)
            sentences.append(LabelledSentence(start_ms=heard.start_ms, end_ms=heard.end_ms, text=text))
        else:
            kind = row.get("kind")
            label = KINDS.get(kind) if isinstance(kind, str) else None
            name = label or words_in(row.get("label"), "label", place)
            events.append(Event(start_ms=heard.start_ms, end_ms=heard.end_ms, label=name, score=1.0))
        for word in row.get("words") or ():
            if not isinstance(word, list) or len(word) != 3:
                raise place.error("a word should be [word, start, end]")
            at = span(word[1], word[2], place)
            text = words_in(word[0], "a word", place)
            words.append(Word(start_ms=at.start_ms, end_ms=at.end_ms, text=text, score=1.0))

    _rows(body, "events", file, take)
    return labels_of(file, words=words, sentences=sentences, events=events)
