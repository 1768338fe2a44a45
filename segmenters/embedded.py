"""The detector that works anywhere: Silero VAD for voices, band energies for everything else."""

from dataclasses import dataclass

import numpy as np

from schemas.audio import Waveform
from schemas.record import Event
from schemas.span import Span, covered_ms
from segmenters.activity import ActivityRules, active, runs, stands_out_db, timbre_changes
from segmenters.bands import band_levels_db, levels_db
from segmenters.base import FRAME_MS, Change, Hearing
from segmenters.vad import WINDOW_MS, SileroVad, SpeechRules, at_16k, speech_spans

SPEECH, SOUND = "Speech", "Sound"
MOSTLY_SPEECH = 0.6  # a sound that is speech to this share is only reported where it outlasts the speech
OUTLASTS_MS = 500
SPEECH_TAIL_MS = 250  # breath and reverberation beside speech belong to it


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDetectorConfig:
    speech: SpeechRules = SpeechRules()
    activity: ActivityRules = ActivityRules()

    def build(self) -> "EmbeddedDetector":
        return EmbeddedDetector(self)


class EmbeddedDetector:
    """Hears speech and sound; it cannot tell one sound from another."""

    def __init__(self, config: EmbeddedDetectorConfig | None = None) -> None:
        self._config = config or EmbeddedDetectorConfig()
        self._vad = SileroVad(self._config.speech)
        self.model = f"{self._vad.model}+band-activity@1"

    def hear(self, waveform: Waveform) -> Hearing:
        span = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1))
        samples = at_16k(waveform)
        level_db = levels_db(samples)
        bands_db = band_levels_db(samples)
        rules = self._config.activity
        stands_out = stands_out_db(bands_db, level_db, rules)
        heard = active(stands_out, rules)
        speech = self._speech(samples, span)
        sounds = _sounds(heard, stands_out, speech, span)
        changes = tuple(
            Change(at_ms=span.start_ms + frame * FRAME_MS, strength=strength)
            for frame, strength in timbre_changes(bands_db, rules)
            if heard[frame]
        )
        events = sorted((*speech, *sounds), key=lambda event: (event.start_ms, event.end_ms, event.label))
        return Hearing(span=span, events=tuple(events), changes=changes, level_db=level_db)

    def _speech(self, samples: np.ndarray, span: Span) -> list[Event]:
        probabilities = self._vad.probabilities(samples)
        spans = speech_spans(probabilities, span.duration_ms, self._config.speech)
        return [
            Event(
                start_ms=span.start_ms + s.start_ms,
                end_ms=span.start_ms + s.end_ms,
                label=SPEECH,
                score=float(np.clip(probabilities[s.start_ms // WINDOW_MS : -(-s.end_ms // WINDOW_MS)].mean(), 0, 1)),
            )
            for s in spans
        ]


def _sounds(heard: np.ndarray, stands_out: np.ndarray, speech: list[Event], span: Span) -> list[Event]:
    """Sound events: each stretch of activity, or what of it outlasts the speech where it is mostly speech."""
    sounds = []
    for first, last in runs(heard):
        score = 1 - float(np.exp(-np.mean(stands_out[first:last]) / 6))
        start, end = span.start_ms + first * FRAME_MS, min(span.start_ms + last * FRAME_MS, span.end_ms)
        if start >= end:
            continue
        stretch = Span.of(start, end)
        mostly_speech = covered_ms(speech, stretch) >= MOSTLY_SPEECH * stretch.duration_ms
        parts = _without(stretch, speech) if mostly_speech else [stretch]
        sounds += [Event(start_ms=p.start_ms, end_ms=p.end_ms, label=SOUND, score=score) for p in parts]
    return sounds


def _without(stretch: Span, speech: list[Event]) -> list[Span]:
    """What of the stretch lies beside the speech, where it is long enough to be something else."""
    left, parts = stretch.start_ms, []
    for event in (*speech, Span.of(stretch.end_ms + SPEECH_TAIL_MS, stretch.end_ms + SPEECH_TAIL_MS + 1)):
        right = min(event.start_ms - SPEECH_TAIL_MS, stretch.end_ms)
        if right - left >= OUTLASTS_MS:
            parts.append(Span.of(left, right))
        left = max(left, event.end_ms + SPEECH_TAIL_MS)
    return parts
