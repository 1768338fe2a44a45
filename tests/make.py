"""Builders with good defaults, and fakes that keep the contracts: what the tests are made of."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from pipeline.lot import Lot, Piece
from pipeline.route import AnnotateConfig
from schemas.audio import Waveform
from schemas.record import (
    Annotation,
    Branch,
    Branches,
    Caption,
    Claim,
    Clip,
    Event,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    Provenance,
    Quality,
    Record,
    Segment,
    SoundAnnotation,
    Source,
    SpeechAnnotation,
    Word,
)
from schemas.span import Span
from segmenters.base import FRAME_MS, Change, Hearing
from segmenters.boundaries import CutRules
from segmenters.profile import Routing

RATE_HZ = 16_000


# --------------------------------------------------------------------------------------------- sound


def tone(duration_ms: int, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """float64, shape (time,)."""
    return level * np.sin(2 * np.pi * hz * np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ)


def quiet(duration_ms: int) -> np.ndarray:
    return np.zeros(duration_ms * RATE_HZ // 1000)


def beeps(*spans_ms: tuple[int, int], duration_ms: int) -> np.ndarray:
    """Silence with a tone in each span, each at its own pitch."""
    samples = quiet(duration_ms)
    for i, (start_ms, end_ms) in enumerate(spans_ms):
        samples[start_ms * 16 : end_ms * 16] = tone(end_ms - start_ms, 300.0 + 50 * i)
    return samples


def waveform(samples: np.ndarray, start_ms: int = 0) -> Waveform:
    return Waveform.from_float(samples, RATE_HZ, start_ms)


def wav_bytes(samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype=subtype)
    return buffer.getvalue()


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(samples, rate_hz, subtype))
    return path


# --------------------------------------------------------------------------------------------- nouns


def source(name: str = "a1", duration_ms: int = 8_000, uri: str = "/nowhere/a1.wav", etag: str = "e") -> Source:
    return Source(id=name, uri=uri, etag=etag, duration_ms=duration_ms)


def segment(start_ms: int = 0, end_ms: int = 2_000, of: Source | None = None) -> Segment:
    return Segment(source=of or source(), start_ms=start_ms, end_ms=end_ms, profile=Profile(source_ambiguous=1.0))


def fact(start_ms: int = 0, end_ms: int = 2_000, text: str = "a tone", kind: str = "tonal") -> Fact:
    return Fact(start_ms=start_ms, end_ms=end_ms, kind=kind, text=text, score=0.5)


def claim(text: str = "A tone.", evidence: tuple[str, ...] = ("sound/0",), **span: int) -> Claim:
    return Claim(
        **({"start_ms": 0, "end_ms": 2_000} | span), text=text, branch=Branch.SOUND, evidence=evidence, score=0.5
    )


def caption(*claims: Claim) -> Caption:
    return Caption(text=" ".join(c.text for c in claims), claims=claims)


def clip(samples: np.ndarray | None = None, start_ms: int = 0, of: Source | None = None, **changes: object) -> Clip:
    sound = waveform(tone(2_000) if samples is None else samples, start_ms)
    piece = segment(start_ms, start_ms + sound.duration_ms, of)
    return Clip(segment=piece, waveform=sound, **changes)  # type: ignore[arg-type]


def branches(start_ms: int = 0, end_ms: int = 2_000) -> Branches:
    return Branches(
        speech=SpeechAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            text="[0.00]hi[0.50]",
            words=(Word(start_ms=start_ms, end_ms=start_ms + 500, text="hi", score=0.9),),
        ),
        sound=SoundAnnotation(outcome=Outcome.OK, model="ears@1", text="a tone", facts=(fact(start_ms, end_ms),)),
        music=MusicAnnotation(outcome=Outcome.SKIPPED, model="ears@1", reason="no music here"),
    )


def quality() -> Quality:
    return Quality(loudness_lufs=-20.0, peak_db=-6.0, clipped_ratio=0.0, snr_db=None, bandwidth_hz=8_000)


def record(**changes: object) -> Record:
    piece = segment()
    fields = {
        "key": piece.key,
        "source": piece.source,
        "start_ms": piece.start_ms,
        "end_ms": piece.end_ms,
        "profile": piece.profile,
        "events": (Event(start_ms=0, end_ms=2_000, label="Sound", score=0.5),),
        "branches": branches(),
        "caption": caption(claim()),
        "quality": quality(),
        "provenance": Provenance(recipe="quick", config="sha256:0", models=("ears@1",)),
    }
    return Record(**(fields | changes))  # type: ignore[arg-type]


def finished_clip(start_ms: int = 0, name: str = "a1") -> Clip:
    """A clip ready to be written."""
    return clip(
        start_ms=start_ms,
        of=source(name),
        quality=quality(),
        branches=branches(start_ms, start_ms + 2_000),
        caption=caption(claim(start_ms=start_ms, end_ms=start_ms + 2_000)),
    )


def lot_of(*pieces: Piece, number: int = 0) -> Lot[Piece]:
    return Lot(plan="0123456789", number=number, items=pieces)


# --------------------------------------------------------------------------------------------- fakes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessDetector:
    """Hears loudness and nothing else: what passes -50 dB is a sound, and no two are the same."""

    model: str = "loudness@1"

    def build(self) -> "LoudnessDetector":
        return self

    def hear(self, waveform: Waveform) -> Hearing:
        span = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1))
        frame = waveform.rate_hz * FRAME_MS // 1000
        padded = np.pad(waveform.samples, (0, -len(waveform.pcm) % frame))
        level_db = 10 * np.log10(np.mean(padded.reshape(-1, frame) ** 2, axis=1) + 1e-10)
        edges = np.flatnonzero(np.diff(level_db > -50, prepend=False, append=False))
        events = [
            Event(
                start_ms=waveform.start_ms + int(a) * FRAME_MS,
                end_ms=min(waveform.start_ms + int(b) * FRAME_MS, span.end_ms),
                label="Sound",
                score=1.0,
            )
            for a, b in edges.reshape(-1, 2)
        ]
        changes = tuple(Change(at_ms=(a.end_ms + b.start_ms) // 2, strength=1.0) for a, b in pairwise(events))
        return Hearing(span=span, events=tuple(events), changes=changes, level_db=level_db.astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoProfiler:
    model: str = "none@1"

    def build(self) -> "NoProfiler":
        return self

    def profile(self, waveform: Waveform, hearing: Hearing, spans: Sequence[Span]) -> list[Profile]:
        return [Profile(source_ambiguous=1.0) for _ in spans]


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """An annotator that says one thing of every clip."""

    branch: Branch
    model: str = "says@1"

    def build(self) -> "Says":
        return self

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Annotation:
        kinds: dict[Branch, Callable[..., Annotation]] = {
            Branch.SPEECH: SpeechAnnotation,
            Branch.SOUND: SoundAnnotation,
            Branch.MUSIC: MusicAnnotation,
        }
        if self.branch is not Branch.SOUND:
            return kinds[self.branch](outcome=Outcome.SKIPPED, model=self.model, reason="it only hears sounds")
        heard = fact(clip.segment.start_ms, clip.segment.end_ms)
        return SoundAnnotation(outcome=Outcome.OK, model=self.model, text=heard.text, facts=(heard,))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClaim:
    """Makes one sentence of the first sound."""

    model: str = "claims@1"

    def build(self) -> "OneClaim":
        return self

    def merge(self, clips: Sequence[Clip]) -> list[Caption]:
        return [caption(claim(start_ms=c.segment.start_ms, end_ms=c.segment.end_ms)) for c in clips]


def quick(**changes: object) -> AnnotateConfig:
    """A recipe of fakes: the whole engine, at thousands of times real time."""
    fields = {
        "recipe": "quick",
        "detector": LoudnessDetector(),
        "seam_detector": LoudnessDetector(),
        "profiler": NoProfiler(),
        "speech": Says(branch=Branch.SPEECH),
        "sound": Says(branch=Branch.SOUND),
        "music": Says(branch=Branch.MUSIC),
        "merger": OneClaim(),
        "rules": CutRules(),
        "routing": Routing(),
        "lot_ms": 10_000,
        "seam_window_ms": 4_000,
    }
    return AnnotateConfig(**(fields | changes))  # type: ignore[arg-type]
