"""How sure a trained tagger is that a piece holds each coarse class.

Unlike the measurements of `segmenters/profile.py`, a tagger trained on AudioSet has heard consonants beside dogs and
notes beside bells, so nothing is weighed down by speech or music, and singing and environments are scored like the
rest. Only speech is still what the voice detector hears, less where the tagger hears singing rather than speech.

The scores of AudioSet's taggers are low: labels are missing in the data, so a score of a third is as good as even. They
are raised by a power until that is so, and `Routing` means the same for both profilers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.record import Profile
from schemas.span import Span, covered_ms
from segmenters.base import CLASSES, TAG_MS, Hearing
from segmenters.profile import speech_score

MODEL = "audioset-profile@1"  # counts up when a rule changes


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSetProfilerConfig:
    enough_ms: int = 500  # of a class on end, for its full score; less where a piece holds less of anything
    even: float = 0.3  # the tagger's score at which a class is as likely heard as not: where its events begin

    def __post_init__(self) -> None:
        if self.enough_ms < 1 or not 0 < self.even < 1:
            raise ConfigError(f"enough_ms={self.enough_ms} must be positive and even={self.even} lie within 0..1")

    def build(self) -> "AudioSetProfiler":
        return AudioSetProfiler(self)


class AudioSetProfiler:
    model = MODEL

    def __init__(self, config: AudioSetProfilerConfig) -> None:
        self._config = config

    def profile(self, waveform: Waveform, hearing: Hearing, spans: Sequence[Span]) -> list[Profile]:
        """One profile per span, from the classes that the detector scored."""
        power = math.log(0.5) / math.log(self._config.even)
        scores = np.clip(hearing.classes, 0, 1) ** power
        return [self._of(span, hearing, scores) for span in spans]

    def _of(self, span: Span, hearing: Hearing, scores: np.ndarray) -> Profile:
        heard_ms = covered_ms(hearing.events, span)
        enough_ms = max(1, min(self._config.enough_ms, heard_ms or self._config.enough_ms))
        best = dict(zip(CLASSES, _best(span, hearing, scores, enough_ms), strict=True))
        sung = max(0.0, best["singing"] - best["speech"])
        best["speech"] = speech_score(hearing, span, enough_ms) * (1 - sung)
        known = max(value for name, value in best.items() if name != "source_ambiguous")
        best["source_ambiguous"] = max(best["source_ambiguous"], 1 - known) if heard_ms else 0.0
        return Profile(**best)


def _best(span: Span, hearing: Hearing, scores: np.ndarray, enough_ms: int) -> list[float]:
    """The best mean score of each class over so long a stretch of the span."""
    first, last = ((at_ms - hearing.span.start_ms) // TAG_MS for at_ms in (span.start_ms, span.end_ms - 1))
    here = scores[first : last + 1]
    if not len(here):
        return [0.0] * len(CLASSES)
    size = max(1, min(round(enough_ms / TAG_MS), len(here)))
    on_end = uniform_filter1d(here, size, axis=0, mode="nearest")
    best: list[float] = np.clip(on_end.max(axis=0), 0, 1).tolist()
    return best
