"""How sure the measurements are that a piece holds each coarse class, and which branches therefore listen.

Speech is what the voice detector hears, music is where partials hold as notes do, and the tagger scores the rest. A
piece is `source_ambiguous` as far as it is heard and nothing else. Classes that nobody was taught stay at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.gaps import joined
from schemas.record import Branch, Event, Profile
from schemas.span import Span, covered_ms
from segmenters.base import CLASSES, FRAME_MS, SPEECH, TAG_MS, Hearing
from segmenters.partials import HOP_MS, held_partials, music_scores
from segmenters.vad import at_16k

SPEECH_COLUMN, MUSIC_COLUMN = CLASSES.index("speech"), CLASSES.index("music")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringProfilerConfig:
    enough_ms: int = 500  # of a class on end, for its full score; less where a piece holds less of anything
    around_ms: int = 1_500  # to each side: how much sound is judged together as music or not
    music_in_speech: float = 0.8  # what likeness to music counts for while someone speaks: vowels can hold like notes

    def __post_init__(self) -> None:
        if self.enough_ms < FRAME_MS or self.around_ms < HOP_MS:
            raise ConfigError(
                f"enough_ms={self.enough_ms} must be at least {FRAME_MS} and around_ms={self.around_ms} at least "
                f"{HOP_MS}, the lengths of the frames they are measured in"
            )

    def build(self) -> "MeasuringProfiler":
        return MeasuringProfiler(self)


class MeasuringProfiler:
    model = "held-partials@2"

    def __init__(self, config: MeasuringProfilerConfig | None = None) -> None:
        self._config = config or MeasuringProfilerConfig()

    def profile(self, waveform: Waveform, hearing: Hearing, spans: Sequence[Span]) -> list[Profile]:
        """One profile per span; the spans lie within the waveform."""
        scores = self._scores(waveform, hearing)
        return [self._of(span, hearing, scores) for span in spans]

    def _scores(self, waveform: Waveform, hearing: Hearing) -> np.ndarray:
        """How much each 10 ms is of each class, 0 where nothing is heard: float32, shape (frames, classes)."""
        heard = _flags(hearing.events, hearing.span)
        speech = _flags([event for event in hearing.events if event.label == SPEECH], hearing.span)
        tags = _tags(hearing, len(heard))
        music = self._music(waveform, heard) * np.where(speech, np.float32(self._config.music_in_speech), 1)
        # what the tagger hears besides speech or music is often a consonant or a note
        neither = (1 - tags[:, SPEECH_COLUMN]) * (1 - np.maximum(music, tags[:, MUSIC_COLUMN]))
        scores = tags * neither[:, None]
        scores[:, MUSIC_COLUMN] = music
        masked: np.ndarray = scores * heard[:, None]
        return masked

    def _music(self, waveform: Waveform, heard: np.ndarray) -> np.ndarray:
        """How much each 10 ms is like music."""
        partials = held_partials(at_16k(waveform))
        there = np.minimum(np.arange(len(partials.counts)) * HOP_MS // FRAME_MS, len(heard) - 1)
        scores = music_scores(partials, heard[there], self._config.around_ms // HOP_MS)
        back = np.minimum(np.arange(len(heard)) * FRAME_MS // HOP_MS, len(scores) - 1)
        return np.asarray(scores[back])

    def _of(self, span: Span, hearing: Hearing, scores: np.ndarray) -> Profile:
        first = (span.start_ms - hearing.span.start_ms) // FRAME_MS
        here = scores[first : first + max(1, span.duration_ms // FRAME_MS)]
        heard_ms = covered_ms(hearing.events, span)
        enough_ms = max(FRAME_MS, min(self._config.enough_ms, heard_ms))
        on_end = uniform_filter1d(here, min(enough_ms // FRAME_MS, len(here)), axis=0, mode="constant")
        best = dict(zip(CLASSES, np.clip(on_end.max(axis=0), 0, 1).tolist(), strict=True))
        best["speech"] = speech_score(hearing, span, enough_ms)
        best["source_ambiguous"] = 1 - max(best.values()) if heard_ms else 0.0
        return Profile(**best)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """From which score on a branch listens. The thresholds were chosen on composed scenes."""

    speech: float = 0.45
    music: float = 0.7
    sound: float = 0.5
    ambiguous: float = 0.4  # for the sound branch as well: what nobody else can tell of, it can at least measure

    def __post_init__(self) -> None:
        for name in ("speech", "music", "sound", "ambiguous"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..1, and 0 would wake the branch always")


def branches_for(profile: Profile, routing: Routing | None = None) -> frozenset[Branch]:
    """The branches that have something to describe in a piece of this profile."""
    least = routing or Routing()
    told: set[Branch] = set()
    if profile.speech >= least.speech:
        told.add(Branch.SPEECH)
    if max(profile.music, profile.singing) >= least.music:
        told.add(Branch.MUSIC)
    named = max(
        profile.human_voice, profile.natural_sounds, profile.sounds_of_things, profile.environment, profile.animal
    )
    untold = not told and profile != Profile()
    if named >= least.sound or profile.source_ambiguous >= least.ambiguous or untold:
        told.add(Branch.SOUND)
    return frozenset(told)


def speech_score(hearing: Hearing, span: Span, enough_ms: int) -> float:
    """Mean certainty of the speech in the span, less where there is less than enough of it."""
    heard = [(event.score, event.overlap_ms(span)) for event in hearing.events if event.label == SPEECH]
    total_ms = sum(overlap_ms for _, overlap_ms in heard)
    return min(1.0, sum(score * overlap_ms for score, overlap_ms in heard) / max(total_ms, enough_ms))


def _tags(hearing: Hearing, num_frames: int) -> np.ndarray:
    """The scores of the classes at each frame: float32, shape (frames, classes); 0 where nobody asked for them."""
    if not len(hearing.classes):
        return np.zeros((num_frames, len(CLASSES)), np.float32)
    tag_of_frame = np.minimum(np.arange(num_frames) * FRAME_MS // TAG_MS, len(hearing.classes) - 1)
    tags: np.ndarray = hearing.classes[tag_of_frame]
    return tags


def _flags(events: Sequence[Event], whole: Span) -> np.ndarray:
    """Which frames the events cover: bool, shape (frames,)."""
    flags = np.zeros(-(-whole.duration_ms // FRAME_MS), bool)
    for part in joined(events, whole):
        flags[(part.start_ms - whole.start_ms) // FRAME_MS : -(-(part.end_ms - whole.start_ms) // FRAME_MS)] = True
    return flags
