"""Clips and claims on them, for the tests of what is heard."""

from dataclasses import replace

import numpy as np

from schemas.record import Branch, Branches, Claim, Clip, Event, Fact, MusicAnnotation, Outcome, SoundAnnotation
from tests import make


def clip(samples: np.ndarray, *events: Event, start_ms: int = 0, label: str | None = None, kind: str = "event") -> Clip:
    """With one fact of the sound branch, and one of the music branch that is measured."""
    end_ms = start_ms + len(samples) // 16
    span = {"start_ms": start_ms, "end_ms": end_ms, "score": 0.9}
    heard = Fact(**span, kind=kind, text="a dog", label=label)
    measured = Fact(**span, kind="tempo", text="120 bpm")
    branches = Branches(
        sound=SoundAnnotation(outcome=Outcome.OK, model="ears@1", facts=(heard,)),
        music=MusicAnnotation(outcome=Outcome.OK, model="ears@1", facts=(measured, replace(heard, kind="music"))),
    )
    made = make.clip(samples, start_ms, branches=branches)
    return replace(made, segment=replace(made.segment, events=events))


def claim(text: str, start_ms: int = 0, end_ms: int = 1_000, **changes) -> Claim:
    usual = {"branch": Branch.SOUND, "evidence": ("sound/0",), "score": 0.9}
    return Claim(**(usual | changes), text=text, start_ms=start_ms, end_ms=end_ms)


def event(label: str, start_ms: int = 0, end_ms: int = 1_000, heard: float = 0.7) -> Event:
    return Event(start_ms=start_ms, end_ms=end_ms, label=label, score=heard)
