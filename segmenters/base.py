"""Where hearing ends and deciding begins: detectors hand a `Hearing` to the pure functions that cut.

Hearing needs models and samples; deciding sees nothing but this noun. A better detector, or a better
decision, replaces one side and leaves the other alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from schemas.audio import Waveform
from schemas.record import Event, Profile
from schemas.span import Span

FRAME_MS = 10  # one value of `Hearing.level_db` per frame
TAG_MS = 160  # one row of `Hearing.classes` per tag
CLASSES = tuple(f.name for f in fields(Profile))  # its columns
SPEECH = "Speech"  # the label of an event that the voice detector heard
MUSIC = "Music"  # of one that is surely music
SOUND = "Sound"  # the label of any other, where the detector cannot know


def no_classes() -> np.ndarray:
    """What stands for the scores of the classes where nobody asked for them: shape (0, classes)."""
    return np.zeros((0, len(CLASSES)), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A moment where the sound changes its character; it may lie in a silence, between two sounds that differ."""

    at_ms: int
    strength: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Span):
    """A stretch that no cut goes through where there is another way, such as a word that a person marked."""

    cost: float  # of a cut through it; one through a sound costs 1 at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hearing:
    """What was heard in one stretch of sound; times are of the recording."""

    span: Span
    events: tuple[Event, ...]  # in time order
    changes: tuple[Change, ...]  # in time order
    level_db: np.ndarray  # float32, shape (frames,): level of each 10 ms, dB relative to full scale
    phrases: tuple[Change, ...] = ()  # where long music is best divided, in time order
    kept: tuple[Kept, ...] = ()  # what is not to be cut, in time order; empty where nobody labelled the recording
    classes: np.ndarray = field(default_factory=no_classes)  # float32, shape (tags, classes): how likely each sounds


class Detector(Protocol):
    """Hears one stretch at a time. Building one loads its weights: a detector that exists is ready.

    The same samples give the same hearing, whatever was heard before.
    """

    model: str  # "name@revision", joined by "+" where several listen

    def hear(self, waveform: Waveform) -> Hearing: ...


class Profiler(Protocol):
    """Scores the nine coarse classes of each piece of one stretch; one profile per span, in order."""

    model: str

    def profile(self, waveform: Waveform, hearing: Hearing, spans: Sequence[Span]) -> list[Profile]: ...
