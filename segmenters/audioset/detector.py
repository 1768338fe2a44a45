"""The detector that knows names: what the embedded one hears, and what of it a tagger of AudioSet can name.

Voices, activity, changes and phrases are heard as before, and they alone make the cuts: a fine label is sure of what,
not of when, and hundreds of labels would cut everything to pieces. The tagger says which of the events are music,
scores the coarse classes every 160 ms, and names events, which are told beside the others in `Hearing.labelled`.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from schemas import audioset
from schemas.audio import Waveform
from schemas.span import Span, union
from segmenters.audioset.events import EventRules, named_events
from segmenters.audioset.tagger import AudioSetTaggerConfig
from segmenters.audioset.windows import at_moments
from segmenters.base import CLASSES, TAG_MS, Hearing
from segmenters.embedded import EmbeddedDetector, EmbeddedDetectorConfig
from segmenters.vad import RATE_HZ, at_16k


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSetDetectorConfig:
    tagger: AudioSetTaggerConfig = field(default_factory=AudioSetTaggerConfig)
    embedded: EmbeddedDetectorConfig = field(default_factory=lambda: EmbeddedDetectorConfig(tags=False))
    events: EventRules = field(default_factory=EventRules)

    def build(self) -> "AudioSetDetector":
        return AudioSetDetector(self)


class AudioSetDetector:
    def __init__(self, config: AudioSetDetectorConfig) -> None:
        self._config = config
        self._embedded = EmbeddedDetector(replace(config.embedded, tags=False))
        self._tagger = config.tagger.build()
        self.model = f"{self._embedded.model}+{self._tagger.model}"

    def hear(self, waveform: Waveform) -> Hearing:
        """As of any detector; `labelled` are the events that the tagger names."""
        samples = at_16k(waveform)
        scores, centres_ms = self._tagger.scores(samples), self._tagger.centres_ms(len(samples))
        tags_ms = (np.arange(-(-len(samples) * 1000 // (RATE_HZ * TAG_MS))) + 0.5) * TAG_MS
        reach_ms = self._tagger.window_ms / 2
        classes = at_moments(coarse_scores(scores, self._tagger.labels), centres_ms, tags_ms, reach_ms)
        hearing = self._embedded.hear_with(waveform, classes)
        heard: list[Span] = union(hearing.events)
        labels, rules = self._tagger.labels, self._config.events
        labelled = named_events(scores, labels, centres_ms, hearing.span, heard, rules, round(reach_ms))
        return replace(hearing, labelled=labelled)


def coarse_scores(scores: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """The surest label of each coarse class: float32, shape (windows, classes); 0 for a class without labels."""
    coarse = np.zeros((len(scores), len(CLASSES)), np.float32)
    kinds = np.array([audioset.coarse(label) or "" for label in labels])
    for column, name in enumerate(CLASSES):
        if (kinds == name).any():
            coarse[:, column] = scores[:, kinds == name].max(axis=1, initial=0.0)
    return coarse
