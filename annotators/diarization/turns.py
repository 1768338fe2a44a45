"""What was heard in the windows of a recording, as the turns of each clip with names of its own. Pure."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotators.base import Diarization
from annotators.diarization.stitching import is_known, stitched
from schemas.record import Speaker, Turn
from schemas.span import Span, at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken(Span):
    """One voice speaks; times are of the recording."""

    voice: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """What was heard in one window, whose voices count from 0."""

    spoken: tuple[Spoken, ...]
    exclusive: tuple[Spoken, ...]
    embeddings: tuple[np.ndarray | None, ...]  # one per voice: float, shape (size,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules:
    min_ms: int = 50  # a shorter piece of a turn is the edge of a frame
    min_overlap_ms: int = 100  # of two speakers; less is where one takes over from the other
    score: float = 0.85  # of every turn: the pipeline tells none, and errs in about one second of seven


def diarizations_of(
    clips: Sequence[Span], heard: Sequence[Heard], likeness: float, rules: TurnRules
) -> list[Diarization]:
    """One for each clip of a recording, out of all that was heard in its windows.

    A voice whose embedding is not known has a name only where there is one window: elsewhere it may be anyone.
    """
    voices = stitched([one.embeddings for one in heard], likeness)
    known = {
        voice
        for one, of_window in zip(heard, voices, strict=True)
        for voice, embedding in zip(of_window, one.embeddings, strict=True)
        if len(heard) == 1 or is_known(embedding)
    }
    spoken = [turn for one, own in zip(heard, voices, strict=True) for turn in _called(one.spoken, own)]
    exclusive = [turn for one, own in zip(heard, voices, strict=True) for turn in _called(one.exclusive, own)]
    names = voice_names(spoken, known, rules)
    return [diarization_of(clip, spoken, exclusive, names, rules) for clip in clips]


def diarization_of(
    clip: Span,
    spoken: Sequence[Spoken],
    exclusive: Sequence[Spoken],
    name_of_voice: Mapping[int, str],
    rules: TurnRules,
) -> Diarization:
    """Speakers are S01, S02, ... in the order they begin; of two that begin together, the one who ends first."""
    inside = sorted(_clipped(spoken, clip, rules.min_ms), key=lambda one: (one.start_ms, one.end_ms, one.voice))
    alone = sorted(_clipped(exclusive, clip, rules.min_ms), key=lambda one: (one.start_ms, one.end_ms, one.voice))
    names: dict[int, str] = {}
    for one in sorted((*inside, *alone), key=lambda one: (one.start_ms, one.end_ms, one.voice)):
        names.setdefault(one.voice, f"S{len(names) + 1:02d}")
    overlaps = overlaps_of(inside, rules.min_overlap_ms)
    return Diarization(
        turns=tuple(_turn(one, names[one.voice], overlaps, rules.score) for one in inside),
        exclusive=tuple(_turn(one, names[one.voice], overlaps, rules.score) for one in _one_at_a_time(alone)),
        overlaps=tuple(overlaps),
        speakers=tuple(Speaker(name=name, voice=name_of_voice.get(voice)) for voice, name in names.items()),
    )


def overlaps_of(spoken: Sequence[Spoken], min_ms: int) -> list[Span]:
    """Where two voices or more are heard at once for at least `min_ms`."""
    by_voice: dict[int, list[Spoken]] = {}
    for one in spoken:
        by_voice.setdefault(one.voice, []).append(one)
    return [span for span in at_once(by_voice.values()) if span.duration_ms >= min_ms]


def voice_names(spoken: Sequence[Spoken], known: Set[int], rules: TurnRules) -> dict[int, str]:
    """V01, V02, ... in the order they begin; voices that are not `known` have no name."""
    names: dict[int, str] = {}
    for one in sorted(spoken, key=lambda one: (one.start_ms, one.end_ms, one.voice)):
        if one.voice in known and one.duration_ms >= rules.min_ms:
            names.setdefault(one.voice, f"V{len(names) + 1:02d}")
    return names


def _called(spoken: Sequence[Spoken], voices: Sequence[int]) -> list[Spoken]:
    return [Spoken(start_ms=one.start_ms, end_ms=one.end_ms, voice=voices[one.voice]) for one in spoken]


def _clipped(spoken: Sequence[Spoken], clip: Span, min_ms: int) -> list[Spoken]:
    parts = [(one.voice, part) for one in spoken if (part := one.clipped(clip))]
    return [Spoken(start_ms=p.start_ms, end_ms=p.end_ms, voice=v) for v, p in parts if p.duration_ms >= min_ms]


def _one_at_a_time(spoken: Sequence[Spoken]) -> list[Spoken]:
    """Shared edges that rounding has moved over each other are parted again; the later one gives way."""
    kept: list[Spoken] = []
    for one in spoken:
        start_ms = max(one.start_ms, kept[-1].end_ms if kept else 0)
        if start_ms < one.end_ms:
            kept.append(Spoken(start_ms=start_ms, end_ms=one.end_ms, voice=one.voice))
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(kept)), "one at a time"
    return kept


def _turn(one: Spoken, speaker: str, overlaps: Sequence[Span], score: float) -> Turn:
    overlap = any(one.overlap_ms(span) for span in overlaps)
    return Turn(start_ms=one.start_ms, end_ms=one.end_ms, speaker=speaker, score=score, overlap=overlap)
