"""Parts of the branches of trained models that keep their contracts and say what a test wants them to."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from annotators.base import Diarization, Question, Reply, Transcript
from schemas.audio import Waveform
from schemas.formats.speech_caption import KEYS
from schemas.record import Clip, Speaker, Turn, Word
from schemas.span import Span

DESCRIBED = {key: f"some {key}" for key in KEYS} | {"summary": "A young man speaks slowly."}


@dataclass(frozen=True, kw_only=True)
class Writes:
    """A recogniser that understands what `text_of` says of the start of a stretch, its words evenly over it."""

    text_of: Callable[[Waveform], str] = lambda waveform: "so it goes"
    name: str = "writes@1"
    language: str | None = "en"
    score: float = 0.9
    timed: bool = True
    error: str | None = None
    asked: list[tuple[int, str | None]] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.name

    def build(self) -> "Writes":
        return self

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]:
        self.asked.extend((stretch.start_ms, language) for stretch in stretches)
        return [self._transcript(stretch) for stretch in stretches]

    def _transcript(self, stretch: Waveform) -> Transcript:
        texts = self.text_of(stretch).split()
        words = []
        for n, text in enumerate(texts):
            start_ms = stretch.start_ms + n * stretch.duration_ms // len(texts)
            end_ms = stretch.start_ms + (n + 1) * stretch.duration_ms // len(texts)
            words.append(Word(start_ms=start_ms, end_ms=end_ms, text=text, score=self.score))
        return Transcript(
            text=" ".join(texts),
            words=tuple(words) if self.timed else (),
            language=self.language,
            language_score=0.8,
            score=self.score,
            error=self.error,
        )


@dataclass(frozen=True, kw_only=True)
class Knows:
    """A diarizer that knows who speaks when: (start, end, speaker) in the recording; one may overlap another."""

    said: tuple[tuple[int, int, str], ...] = ()
    model: str = "knows@1"

    def build(self) -> "Knows":
        return self

    def diarize(self, clips: Sequence[Clip]) -> list[Diarization]:
        return [self._diarization(clip.segment) for clip in clips]

    def _diarization(self, segment: Span) -> Diarization:
        inside = [(who, part) for a, b, who in self.said if (part := Span.of(a, b).clipped(segment))]
        names = {who: f"S{n + 1:02d}" for n, who in enumerate(dict.fromkeys(who for who, _ in inside))}
        overlaps = [
            part
            for n, (who, one) in enumerate(inside)
            for other, two in inside[:n]
            if who != other and (part := one.clipped(two))
        ]
        turns = [
            Turn(
                start_ms=span.start_ms,
                end_ms=span.end_ms,
                speaker=names[who],
                score=0.8,
                overlap=any(span.overlap_ms(one) for one in overlaps),
            )
            for who, span in inside
        ]
        exclusive: list[Turn] = []
        for turn in turns:
            start_ms = max(turn.start_ms, exclusive[-1].end_ms if exclusive else 0)
            if start_ms < turn.end_ms:
                exclusive.append(Turn(start_ms=start_ms, end_ms=turn.end_ms, speaker=turn.speaker, score=0.8))
        return Diarization(
            turns=tuple(turns),
            exclusive=tuple(exclusive),
            overlaps=tuple(overlaps),
            speakers=tuple(Speaker(name=name, voice=who) for who, name in names.items()),
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A captioner; what it answers is a function of the question: a text, or a `Reply`."""

    answer: Callable[[Question], str | Reply] = lambda question: json.dumps(DESCRIBED)
    model: str = "answers@1"
    asked: list[Question] = field(default_factory=list)

    def build(self) -> "Answers":
        return self

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        self.asked.extend(questions)
        answers = [self.answer(question) for question in questions]
        return [one if isinstance(one, Reply) else Reply(text=one) for one in answers]
