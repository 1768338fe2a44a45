"""What a person wrote down of a recording: the evidence that outranks whatever a model hears.

Labels come from files beside the recording (`pipeline/labels/`). Their times are of the recording, their names of
speakers are the person's own until a branch numbers them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from schemas.record import Event, Turn, Word
from schemas.span import Span

S = TypeVar("S", bound=Span)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSentence(Span):
    """Words that a person wrote down together."""

    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMusic(Span):
    """What a person knows of a stretch of music; None and empty where they did not say."""

    text: str | None = None  # in their own words: "a slow waltz for piano"
    tempo_bpm: float | None = None
    key: str | None = None  # "G major"
    meter: str | None = None  # "3/4"
    instruments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """All that the label files of one recording say, each kind in time order."""

    files: tuple[str, ...]  # addresses of what was read
    words: tuple[Word, ...] = ()
    turns: tuple[Turn, ...] = ()
    sentences: tuple[LabelledSentence, ...] = ()
    events: tuple[Event, ...] = ()  # AudioSet display names, or any words
    music: tuple[LabelledMusic, ...] = ()
    language: str | None = None  # ISO 639-1
    text: str | None = None  # a transcript of the whole recording without times
    speakers: tuple[str, ...] = ()  # of the whole recording, in the order they are first heard; `cut` keeps it
    notes: tuple[str, ...] = ()  # what of the files could not be taken over as it stands

    def __bool__(self) -> bool:
        """Whether anything is said that has a time."""
        return bool(self.words or self.turns or self.sentences or self.events or self.music)

    @property
    def speech(self) -> tuple[Span, ...]:
        """Wherever somebody is said to speak."""
        return (*self.words, *self.turns, *self.sentences)

    def named(self) -> tuple[str, ...]:
        """Whoever is named as speaking, in the order they begin."""
        spoken = [(one.start_ms, one.speaker) for one in self.turns]
        spoken += [(one.start_ms, one.speaker) for one in self.sentences if one.speaker]
        spoken += [(one.start_ms, one.speaker) for one in self.words if one.speaker]
        return tuple(dict.fromkeys(speaker for _, speaker in sorted(spoken)))

    def cut(self, span: Span) -> "Labels":
        """What of it lies inside `span`, without the transcript that has no times.

        Turns, events and music are clipped. A word belongs where its middle lies, so that of two neighbours one has
        it. A sentence that the border parts keeps the words of it that have times of their own; where none have, it is
        left out, and `notes` says so.
        """
        words = tuple(_clipped(word, span) for word in self.words if _middle_in(word, span))
        sentences: list[LabelledSentence] = []
        notes: list[str] = []
        for sentence in self.sentences:
            if span.contains(sentence):
                sentences.append(sentence)
            elif sentence.overlap_ms(span):
                said = [word for word in words if word.overlap_ms(sentence) and _is_by(word, sentence)]
                if said:
                    hull = Span.of(min(w.start_ms for w in said), max(w.end_ms for w in said))
                    text = " ".join(word.text for word in said)
                    sentences.append(replace(sentence, start_ms=hull.start_ms, end_ms=hull.end_ms, text=text))
                else:
                    notes.append(
                        f"the labelled sentence from {sentence.start_ms / 1000:.2f} to {sentence.end_ms / 1000:.2f} s "
                        "goes over a cut and its words have no times: it is not told"
                    )
        return replace(
            self,
            words=words,
            turns=_all_clipped(self.turns, span),
            sentences=tuple(sentences),
            events=_all_clipped(self.events, span),
            music=_all_clipped(self.music, span),
            text=None,
            notes=(*self.notes, *notes),
        )


def _middle_in(word: Word, span: Span) -> bool:
    return span.start_ms <= (word.start_ms + word.end_ms) // 2 < span.end_ms


def _is_by(word: Word, sentence: LabelledSentence) -> bool:
    return None in (word.speaker, sentence.speaker) or word.speaker == sentence.speaker


def _clipped(one: S, span: Span) -> S:
    return replace(one, start_ms=max(one.start_ms, span.start_ms), end_ms=min(one.end_ms, span.end_ms))


def _all_clipped(many: Sequence[S], span: Span) -> tuple[S, ...]:
    return tuple(_clipped(one, span) for one in many if one.overlap_ms(span))
