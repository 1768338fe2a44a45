"""What an instruction sample is, and the rules by which a record may be asked."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from schemas.errors import ConfigError, SchemaError
from schemas.formats import timeline
from schemas.formats.clock import seconds
from schemas.record import MusicAnnotation, Outcome, Record, SpeechAnnotation
from schemas.span import Span

_CONTROL_TOKEN = re.compile(r"<(?=\||\s*/?\s*(?:think|tool)[a-z_]*\s*>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSample:
    """One question about one record. The answer follows from the evidence and from nothing else."""

    key: str  # of the record
    task: str
    index: int  # among those of its task and record
    question: str
    answer: str
    evidence: tuple[str, ...]  # "speech/0": a fact, as claims name it; "events/2", "branches.speech.words": a field
    thought: str | None = None  # the way to the answer, where it is to be told

    @property
    def id(self) -> str:
        return f"{self.key}.{self.task}.{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRules:
    """When a record is sure enough to be asked."""

    seed: int = 0  # another seed, other wordings, moments and distractors
    min_score: float = 0.5  # of whatever a model heard; what a person wrote counts as sure
    edge_ms: int = 300  # a moment that is asked about lies no nearer to where something begins or ends
    order_ms: int = 500  # what comes first begins earlier by more than this
    apart_ms: int = 300  # what is counted is parted by this
    max_disagreement: float = 0.1  # error rate between two recognisers
    absent: float = 0.05  # a profile score below this says that a class is not there
    untold_ms: int = 1_000  # on end, of speech that nobody wrote down or gave a speaker, makes that no whole
    min_voice_ms: int = 500  # whoever counts as a speaker speaks so long
    min_caption_words: int = 3  # fewer describe nothing
    per_record: int = 3  # of a task that can be asked several times

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_score <= 1.0:
            raise ConfigError(f"min_score is {self.min_score}; a score lies in 0..1")
        if self.per_record < 1:
            raise ConfigError(f"per_record is {self.per_record}; it must be at least 1")


def draw(*names: object) -> int:
    """64 bits that depend on the names alone: the chance of everything here."""
    data = "\x1f".join(map(str, names)).encode("utf-8", "replace")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def second(record: Record, at_ms: int) -> str:
    """`12.34`: a time as every answer tells it, from the segment's start, hundredths rounded half up."""
    return seconds(at_ms - record.start_ms)


def speech_of(record: Record) -> SpeechAnnotation | None:
    """What the branch said, where it is well."""
    speech = record.branches.speech
    return speech if speech and speech.outcome is Outcome.OK else None


def music_of(record: Record) -> MusicAnnotation | None:
    music = record.branches.music
    return music if music and music.outcome is Outcome.OK else None


def timeline_of(record: Record, told: Iterable[tuple[Span, str]]) -> str:
    """`0.00 - 57.00: birds chirping`, a line for each; nothing where one of them cannot be written."""
    events = [
        timeline.Event(
            start_ms=span.start_ms - record.start_ms, end_ms=span.end_ms - record.start_ms, description=words
        )
        for span, words in told
    ]
    try:
        return timeline.write(events)
    except SchemaError:
        return ""


def line(text: str) -> str:
    """`text` on one line, with nothing in it that a tokenizer or a terminal would obey."""
    return " ".join(_harmless(text).split())


def paragraphs(text: str) -> str:
    """As `line`, with its line breaks kept."""
    lines = (line(part) for part in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip()


def name_of(label: str) -> str:
    """A label as it can stand in quotes and in a list parted by semicolons."""
    return line(label).replace('"', "'").replace(";", ",")


def _harmless(text: str) -> str:
    kept = "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (kind := unicodedata.category(letter)) == "Cs"
        else letter
        if kind != "Cc" or letter.isspace()
        else " "
        for letter in text
    )
    return _CONTROL_TOKEN.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", kept)
