"""How sure the measurements are that a piece holds each coarse class, and which branches therefore listen.

Three things can be measured without a trained tagger: that the voice detector hears speech, that partials hold as
notes do, and that something else is to be heard. Classes that need more than this stay at 0 rather than be guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.record import Branch, Event, Profile
from schemas.span import Span, covered_ms
from segmenters.base import FRAME_MS, SPEECH, Hearing
from segmenters.gaps import joined
from segmenters.partials import HOP_MS, held_partials, music_scores
from segmenters.vad import at_16k


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProfilerConfig:
    enough_ms: int = 800  # of a class, for its full score; less where a piece holds less of anything
    around_ms: int = 1_500  # to each side: how much sound is judged together as music or not
    beside_speech_ms: int = 300  # sound this near to speech is taken for its breath and its room
    music_in_speech: float = 0.65  # what likeness to music counts for while someone speaks: vowels can hold like notes

    def __post_init__(self) -> None:
        if self.enough_ms < FRAME_MS or self.around_ms < HOP_MS:
            raise ConfigError(
                f"enough_ms={self.enough_ms} must be at least {FRAME_MS} and around_ms={self.around_ms} at least "
                f"{HOP_MS}, the lengths of the frames they are measured in"
            )

    def build(self) -> "RuleProfiler":
        return RuleProfiler(self)


class RuleProfiler:
    """Scores speech, music and sound of no known source."""

    model = "held-partials@1"

    def __init__(self, config: RuleProfilerConfig | None = None) -> None:
        self._config = config or RuleProfilerConfig()

    def profile(self, waveform: Waveform, hearing: Hearing, spans: Sequence[Span]) -> list[Profile]:
        """One profile per span; the spans lie within the waveform."""
        heard = _flags(hearing.events, hearing.span)
        speech = _flags([event for event in hearing.events if event.label == SPEECH], hearing.span)
        beside = maximum_filter1d(speech, 2 * (self._config.beside_speech_ms // FRAME_MS) + 1, mode="nearest")
        music = self._music(waveform, heard) * np.where(speech, np.float32(self._config.music_in_speech), 1)
        measured = _Measured(music=music * heard, other=(1 - music) * (heard & ~beside))
        return [self._of(span, hearing, measured) for span in spans]

    def _music(self, waveform: Waveform, heard: np.ndarray) -> np.ndarray:
        """How much each 10 ms is like music."""
        partials = held_partials(at_16k(waveform))
        there = np.minimum(np.arange(len(partials.counts)) * HOP_MS // FRAME_MS, len(heard) - 1)
        scores = music_scores(partials, heard[there], self._config.around_ms // HOP_MS)
        back = np.minimum(np.arange(len(heard)) * FRAME_MS // HOP_MS, len(scores) - 1)
        return np.asarray(scores[back])

    def _of(self, span: Span, hearing: Hearing, measured: "_Measured") -> Profile:
        first = (span.start_ms - hearing.span.start_ms) // FRAME_MS
        here = slice(first, first + max(1, span.duration_ms // FRAME_MS))
        heard_ms = covered_ms(hearing.events, span)
        enough_ms = max(FRAME_MS, min(self._config.enough_ms, heard_ms))
        return Profile(
            speech=_speech_score(hearing, span, enough_ms),
            music=_best(measured.music[here], enough_ms),
            source_ambiguous=_best(measured.other[here], enough_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    """What each 10 ms of a stretch is like: all of shape (frames,)."""

    music: np.ndarray  # 0..1, 0 where nothing is heard
    other: np.ndarray  # 0..1, sound that is neither speech nor music


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """From which score on a branch listens. The thresholds were chosen on composed scenes."""

    speech: float = 0.4
    music: float = 0.55
    sound: float = 0.65

    def __post_init__(self) -> None:
        for name in ("speech", "music", "sound"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..1, and 0 would wake the branch always")


def branches_for(profile: Profile, routing: Routing | None = None) -> frozenset[Branch]:
    """The branches that have something to describe in a piece of this profile."""
    least = routing or Routing()
    sound = max(
        profile.source_ambiguous,
        profile.natural_sounds,
        profile.sounds_of_things,
        profile.environment,
        profile.animal,
    )
    scores = {
        Branch.SPEECH: (profile.speech, least.speech),
        Branch.SOUND: (sound, least.sound),
        Branch.MUSIC: (max(profile.music, profile.singing), least.music),
    }
    return frozenset(branch for branch, (score, enough) in scores.items() if score >= enough)


def _speech_score(hearing: Hearing, span: Span, enough_ms: int) -> float:
    """Mean certainty of the speech in the span, less where there is less than enough of it."""
    heard = [(event.score, event.overlap_ms(span)) for event in hearing.events if event.label == SPEECH]
    total_ms = sum(overlap_ms for _, overlap_ms in heard)
    return min(1.0, sum(score * overlap_ms for score, overlap_ms in heard) / max(total_ms, enough_ms))


def _best(scores: np.ndarray, enough_ms: int) -> float:
    """Mean of the highest scores, as many as make up enough; those that are missing count as 0."""
    enough = enough_ms // FRAME_MS
    return float(np.clip(np.sort(scores)[-enough:].sum() / enough, 0, 1))


def _flags(events: Sequence[Event], whole: Span) -> np.ndarray:
    """Which frames the events cover: bool, shape (frames,)."""
    flags = np.zeros(-(-whole.duration_ms // FRAME_MS), bool)
    for part in joined(events, whole):
        flags[(part.start_ms - whole.start_ms) // FRAME_MS : -(-(part.end_ms - whole.start_ms) // FRAME_MS)] = True
    return flags
