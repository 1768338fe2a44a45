"""The detector that works anywhere: Silero VAD hears voices, band energies hear everything, a small tagger names it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from schemas.audio import Waveform
from schemas.gaps import gaps
from schemas.record import Event
from schemas.span import Span, covered_ms, union
from segmenters.activity import ActivityRules, active, runs, stands_out_db, timbre_changes
from segmenters.bands import band_levels_db, levels_db
from segmenters.base import CLASSES, FRAME_MS, MUSIC, SOUND, SPEECH, TAG_MS, Change, Hearing, no_classes
from segmenters.phrases import phrase_points
from segmenters.tagging.tagger import Tagger
from segmenters.vad import RATE_HZ, WINDOW_MS, SileroVad, SpeechRules, at_16k, speech_spans

VOICE_MEMORY_MS = 8_000  # left to itself, the voice detector goes deaf in long steady sound
TAIL_MS = 500  # breath, reverberation and room noise this near to a voice belong to it
OVERHANG_MS = 200  # the voice detector lets go this late at most
MOSTLY_SPEECH = 0.6  # what is speech to this share is a sound of its own only where it outlasts the speech
OUTLASTS_MS = 150
SURELY_MUSIC = 0.5  # mean score of music over an event: 99 of 100 that reach it on unheard clips are
LONG_MUSIC_MS = 20_000  # shorter music is seldom divided, and never needs to be


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDetectorConfig:
    speech: SpeechRules = field(default_factory=lambda: SpeechRules(memory_ms=VOICE_MEMORY_MS))
    activity: ActivityRules = field(default_factory=ActivityRules)
    tags: bool = True  # whether the coarse classes are scored; a seam is found without

    def build(self) -> "EmbeddedDetector":
        return EmbeddedDetector(self)


class EmbeddedDetector:
    """Hears speech, music and sound; it does not tell one sound from another."""

    def __init__(self, config: EmbeddedDetectorConfig | None = None) -> None:
        self._config = config or EmbeddedDetectorConfig()
        self._vad = SileroVad(self._config.speech)
        self._tagger = Tagger() if self._config.tags else None
        models = [self._vad.model, "band-activity@2", *([self._tagger.model] if self._tagger else [])]
        self.model = "+".join(models)

    def hear(self, waveform: Waveform) -> Hearing:
        """Events and changes; of sound shorter than a millisecond, a hearing of one silent millisecond."""
        samples = _centred(at_16k(waveform))
        return self._hear(waveform, samples, self._tagger.scores(samples) if self._tagger else no_classes())

    def hear_with(self, waveform: Waveform, classes: np.ndarray) -> Hearing:
        """As `hear`, with scores of the classes, shape (tags, classes), that another tagger gave."""
        return self._hear(waveform, _centred(at_16k(waveform)), classes)

    def _hear(self, waveform: Waveform, samples: np.ndarray, classes: np.ndarray) -> Hearing:
        whole = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1))
        level_db, bands_db = levels_db(samples), band_levels_db(samples)
        stands_out = stands_out_db(bands_db, level_db, self._config.activity)
        flags = active(stands_out, self._config.activity)
        heard = [stretch for first, last in runs(flags) if (stretch := _frames(first, last, whole))]
        probabilities = self._vad.probabilities(samples)
        speech = _with_tails(self._voices(probabilities, whole), heard)
        events = [_event(SPEECH, part, probabilities, WINDOW_MS, whole) for part in speech]
        certainty = 1 - np.exp(-stands_out / self._config.activity.on_db)
        sounds = [_event(SOUND, part, certainty, FRAME_MS, whole) for part in _sounds(heard, speech)]
        events += [_named(sound, classes, whole) for sound in sounds]
        changes = tuple(
            Change(at_ms=whole.start_ms + frame * FRAME_MS, strength=strength)
            for frame, strength in timbre_changes(bands_db, flags, self._config.activity)
        )
        in_order = sorted(events, key=lambda event: (event.start_ms, event.end_ms, event.label))
        return Hearing(
            span=whole,
            events=tuple(in_order),
            changes=changes,
            phrases=tuple(_phrases(in_order, samples, whole)),
            level_db=level_db,
            classes=classes,
        )

    def _voices(self, probabilities: np.ndarray, whole: Span) -> list[Span]:
        found = speech_spans(probabilities, whole.duration_ms, self._config.speech)
        return [Span.of(whole.start_ms + voice.start_ms, whole.start_ms + voice.end_ms) for voice in found]


def _centred(samples: np.ndarray) -> np.ndarray:
    """Without the constant offset that some recorders add: it is no sound."""
    offset = np.float32(samples.mean(dtype=np.float64)) if len(samples) else np.float32(0)
    return samples - offset


def _frames(first: int, last: int, whole: Span) -> Span | None:
    return Span.of(whole.start_ms + first * FRAME_MS, whole.start_ms + last * FRAME_MS).clipped(whole)


def _with_tails(voices: list[Span], heard: list[Span]) -> list[Span]:
    """The voices, each with what is heard right beside it; so a pause with room noise does not part them."""
    parts: list[Span] = []
    for voice in voices:
        beside = Span.of(max(0, voice.start_ms - TAIL_MS), voice.end_ms + TAIL_MS)
        tails = [tail for stretch in heard if stretch.overlap_ms(voice) and (tail := stretch.clipped(beside))]
        last_heard_ms = max((tail.end_ms for tail in tails), default=voice.end_ms)
        end_ms = min(voice.end_ms, max(last_heard_ms, voice.end_ms - OVERHANG_MS, voice.start_ms + 1))
        parts += [Span.of(voice.start_ms, end_ms), *tails]
    return union(parts)


def _sounds(heard: list[Span], speech: list[Span]) -> list[Span]:
    """Each stretch of activity, or what of it outlasts the speech where it is mostly speech."""
    sounds: list[Span] = []
    for stretch in heard:
        if covered_ms(speech, stretch) < MOSTLY_SPEECH * stretch.duration_ms:
            sounds.append(stretch)
        else:
            sounds += [part for part in gaps(speech, stretch) if part.duration_ms >= OUTLASTS_MS]
    return sounds


def _event(label: str, part: Span, scores: np.ndarray, step_ms: int, whole: Span) -> Event:
    """An event whose score is the mean of the scores, one per `step_ms`, over its span."""
    first, last = (part.start_ms - whole.start_ms) // step_ms, -(-(part.end_ms - whole.start_ms) // step_ms)
    here = scores[first:last]
    score = float(np.clip(here.mean(), 0, 1)) if len(here) else 0.0
    return Event(start_ms=part.start_ms, end_ms=part.end_ms, label=label, score=score)


def _named(sound: Event, classes: np.ndarray, whole: Span) -> Event:
    """The event, called music where it surely is. No other class is heard surely enough to be told of an event."""
    first, last = (sound.start_ms - whole.start_ms) // TAG_MS, -(-(sound.end_ms - whole.start_ms) // TAG_MS)
    here = classes[first:last, CLASSES.index("music")]
    score = float(here.mean()) if len(here) else 0.0
    return replace(sound, label=MUSIC, score=score) if score >= SURELY_MUSIC else sound


def _phrases(events: list[Event], samples_16k: np.ndarray, whole: Span) -> Iterator[Change]:
    """Where the long music among the events is best divided."""
    for event in events:
        if event.label == MUSIC and event.duration_ms >= LONG_MUSIC_MS:
            first, last = ((at_ms - whole.start_ms) * RATE_HZ // 1000 for at_ms in (event.start_ms, event.end_ms))
            for at_ms, strength in phrase_points(samples_16k[first:last]):
                yield Change(at_ms=event.start_ms + at_ms, strength=strength)
