"""What every branch promises, and what the models behind it do; nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Caption, Claim, Clip, Quality, Speaker, Turn, Word
from schemas.span import Span


class Annotator(Protocol):
    """Describes clips for one branch.

    Building one loads its weights: an annotator that exists is ready. It is built inside the worker that
    runs it, so nothing heavy is ever pickled. The same clips give the same annotations, whatever came before.

    `annotate` returns exactly one annotation per clip, in order. A clip the branch has nothing to say about
    comes back SKIPPED with a reason; it never goes missing. Every time lies inside the clip's segment.
    """

    branch: Branch
    model: str  # "name@revision"

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]: ...


class Meter(Protocol):
    """Measures the sound of clips, one quality per clip, in order."""

    model: str

    def measure(self, clips: Sequence[Clip]) -> list[Quality]: ...


class Merger(Protocol):
    """Makes one caption per clip out of what the branches said, in order. Every claim points at its facts."""

    model: str

    def merge(self, clips: Sequence[Clip]) -> list[Caption]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What a recogniser understood of one stretch of sound; times are of the recording."""

    text: str
    words: tuple[Word, ...] = ()  # in time order; empty where the recogniser tells no times
    language: str | None = None  # ISO 639-1
    language_score: float | None = None  # 0..1
    score: float | None = None  # 0..1: mean probability of what was written
    no_speech: float | None = None  # 0..1: how likely nobody speaks, as the recogniser sees it
    error: str | None = None  # why there is no text, or only part of it: the recogniser did not answer


class Transcriber(Protocol):
    """Writes down what is said, or sung: one transcript per stretch of sound, in order."""

    model: str

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Diarization:
    """Who speaks when in one clip; all times lie in its segment, all names are those of `speakers`."""

    turns: tuple[Turn, ...] = ()  # in time order; two of different speakers may overlap
    exclusive: tuple[Turn, ...] = ()  # in time order, one at a time: whose the words are
    overlaps: tuple[Span, ...] = ()  # where turns of two speakers meet, in time order
    speakers: tuple[Speaker, ...] = ()  # in the order they begin


class Diarizer(Protocol):
    """Tells who speaks when: one diarization per clip, in order. Clips of one recording are heard together."""

    model: str

    def diarize(self, clips: Sequence[Clip]) -> list[Diarization]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """Something to ask an audio language model about a stretch of sound."""

    waveform: Waveform
    text: str
    schema: Mapping[str, Any] | None = None  # the JSON schema the answer is to follow, where it is to be JSON
    max_tokens: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`text` is empty where `error` says why there is no answer."""

    text: str
    error: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be made of it; a model that says bytes which are no letters has lost the thread."""
        if self.error:
            return self.error
        if not self.text.strip():
            return "its reply is empty"
        return "its reply holds bytes that are no letters" if "\ufffd" in self.text else None


class Captioner(Protocol):
    """An audio language model: one reply per question, in order. A question that fails costs that reply alone."""

    model: str

    def ask(self, questions: Sequence[Question]) -> list[Reply]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the audio says of a claim: `score` is None where it could not be asked, and `objection` then too."""

    score: float | None = None  # 0..1: how well the two agree
    objection: str | None = None  # why the claim is not let into the caption


class ClaimCheck(Protocol):
    """Asks the audio whether claims hold: one verdict per pair, in order."""

    name: str  # as in `Check.name`
    model: str

    def check(self, asked: Sequence[tuple[Clip, Claim]]) -> list[Verdict]: ...
