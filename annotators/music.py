"""The music branch on any CPU: tempo and beats, key, chords and loudness over time, each where it is clear.

It does not know instruments, genres or moods and says nothing of them. What the profiler called music is
described where the segment's sounds are; a tempo or a key that does not stand out is not told.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotators.beat import beat_of
from annotators.frames import FLOOR_DB, levels_db
from annotators.harmony import ChordSpan, chords_of, chroma_of, key_of
from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Chord, Clip, Fact, MusicAnnotation, Outcome
from schemas.span import Span, union

MODEL = "rhythm-and-harmony@2"  # counts up when a rule or a measurement changes

DYNAMICS = {
    "steady": "at a steady level",
    "rising": "growing louder",
    "falling": "growing softer",
    "varied": "at a varying level",
}
DYNAMICS_MS = 1_000
SILENT_DB = 40.0  # below the loudest second
WARM_UP = Span(start_ms=0, end_ms=4_000)  # heard once, because librosa loads and compiles at its first use
MIN_DYNAMICS = 3  # seconds
STEADY_DB = 3.0  # standard deviation
TREND_DB = 6.0  # from first to last second


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    name: str  # a key of DYNAMICS
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicConfig:
    min_profile: float = 0.4  # of profile.music
    min_ms: int = 2_000  # less holds neither beat nor key
    bridge_ms: int = 3_000  # sounds this close are one piece of music; a rest may last a bar
    min_beat_score: float = 0.3
    min_key_score: float = 0.6
    min_key_margin: float = 0.03  # a key that its neighbour fits as well is not told
    min_chord_score: float = 0.75
    max_chords_told: int = 8  # more than these in a row are told as the most frequent three

    def build(self) -> "MusicAnnotator":
        return MusicAnnotator(self)


class MusicAnnotator:
    branch = Branch.MUSIC
    model = MODEL

    def __init__(self, config: MusicConfig) -> None:
        self._config = config
        noise = np.random.default_rng(0).standard_normal(WARM_UP.duration_ms * 16) / 10
        self._told(Waveform.from_float(noise, rate_hz=16_000), WARM_UP, score=1.0)

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        return [self._annotate(clip) for clip in clips]

    def _annotate(self, clip: Clip) -> MusicAnnotation:
        config, score = self._config, clip.segment.profile.music
        span = music_span(clip, config.bridge_ms)
        if score < config.min_profile or span is None or span.duration_ms < config.min_ms:
            heard_s = span.duration_ms / 1000 if span else 0.0
            reason = f"music scores {score:.2f} over {heard_s:.1f} s: too little to describe"
            return MusicAnnotation(outcome=Outcome.SKIPPED, model=MODEL, reason=reason)
        return self._told(clip.waveform.cut(span), span, score)

    def _told(self, waveform: Waveform, span: Span, score: float) -> MusicAnnotation:
        config, chroma = self._config, chroma_of(waveform)
        heard_beat, heard_key, dynamics = beat_of(waveform), key_of(chroma), dynamics_of(waveform)
        beat = heard_beat if heard_beat and heard_beat.score >= config.min_beat_score else None
        clear = heard_key.score >= config.min_key_score and heard_key.margin >= config.min_key_margin
        key = heard_key if clear else None
        chords = chords_of(chroma, span.duration_ms)
        told = [("music", "music", score)]
        if beat:
            told.append(("tempo", f"about {round(beat.tempo_bpm)} beats a minute", beat.score))
        if key:
            told.append(("key", key.name, key.score))
        if chord_words := chords_told(chords, config):
            told.append(("chords", chord_words, mean_score(chords)))
        if dynamics:
            told.append(("dynamics", DYNAMICS[dynamics.name], dynamics.score))
        return MusicAnnotation(
            outcome=Outcome.OK,
            model=MODEL,
            text=", ".join(text for _, text, _ in told),
            facts=tuple(
                Fact(start_ms=span.start_ms, end_ms=span.end_ms, kind=kind, text=text, score=round(sure, 3))
                for kind, text, sure in told
            ),
            tempo_bpm=beat.tempo_bpm if beat else None,
            beats_ms=tuple(span.start_ms + at_ms for at_ms in beat.beats_ms) if beat else (),
            key=key.name if key else None,
            key_score=key.score if key else None,
            chords=tuple(
                Chord(start_ms=span.start_ms + c.start_ms, end_ms=span.start_ms + c.end_ms, name=c.name, score=c.score)
                for c in chords
            ),
            dynamics=dynamics.name if dynamics else None,
        )


def music_span(clip: Clip, bridge_ms: int) -> Span | None:
    """The longest run of sounds other than speech; all that is marked where there is only speech, or all there is."""
    segment, waveform = clip.segment, clip.waveform
    whole = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1)).clipped(segment)
    if whole is None or not segment.events:
        return whole
    marked = [event for event in segment.events if event.label != "Speech"] or segment.events
    sounds = union((part for event in marked if (part := event.clipped(whole))), bridge_ms=bridge_ms)
    return max(sounds, key=lambda span: span.duration_ms, default=None)


def dynamics_of(waveform: Waveform) -> Dynamics | None:
    """How the loudness moves from second to second; None where few seconds are left without the silent ones."""
    level_db = levels_db(waveform.samples, waveform.rate_hz, DYNAMICS_MS)
    index = np.flatnonzero(level_db > max(FLOOR_DB, float(level_db.max()) - SILENT_DB))
    heard_db = level_db[index]
    if len(heard_db) < MIN_DYNAMICS:
        return None
    spread_db = float(heard_db.std())
    slope_db, start_db = np.polyfit(index, heard_db, 1)
    left_db = float((heard_db - start_db - slope_db * index).std())  # what a straight line does not explain
    change_db = float(slope_db) * float(index[-1] - index[0])
    explained = 1 - (left_db / spread_db) ** 2 if spread_db else 0.0
    if abs(change_db) >= TREND_DB and explained >= 0.5:
        return Dynamics(name="rising" if change_db > 0 else "falling", score=round(explained, 2))
    if spread_db <= STEADY_DB:
        return Dynamics(name="steady", score=round(1 - spread_db / (2 * STEADY_DB), 2))
    return Dynamics(name="varied", score=round(1 - STEADY_DB / (2 * spread_db), 2))


def chords_told(chords: Sequence[ChordSpan], config: MusicConfig) -> str | None:
    """The chords in order if they are few, else those that sound longest; None where they are unsure."""
    named = [chord for chord in chords if chord.name != "N"]
    named_ms = sum(chord.end_ms - chord.start_ms for chord in named)
    if mean_score(chords) < config.min_chord_score or 2 * named_ms < chords[-1].end_ms:
        return None
    if len(named) <= config.max_chords_told:
        return "the chord " + named[0].name if len(named) == 1 else "the chords " + ", ".join(c.name for c in named)
    sounding_ms: Counter[str] = Counter()
    for chord in named:
        sounding_ms[chord.name] += chord.end_ms - chord.start_ms
    most = sorted(sounding_ms, key=lambda name: (-sounding_ms[name], name))[:3]
    return f"the chords {', '.join(most)} most of all"


def mean_score(chords: Sequence[ChordSpan]) -> float:
    """Of their similarities, by how long they sound."""
    lasting_ms = sum(chord.end_ms - chord.start_ms for chord in chords)
    return round(sum(chord.score * (chord.end_ms - chord.start_ms) for chord in chords) / max(1, lasting_ms), 2)
