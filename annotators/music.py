"""The music branch on any CPU: tempo, beats, meter, key, chords, sections and loudness, each where it is clear.

It does not know instruments, genres or moods and says nothing of them. What the profiler called music is
described where the segment's sounds are; a tempo or a key that does not stand out is not told.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from annotators.beat import Beat, beat_of
from annotators.form import SectionSpan, sections_of
from annotators.frames import FLOOR_DB, levels_db
from annotators.harmony import ChordSpan, Key, chords_of, key_of
from annotators.meter import Meter, meter_of
from annotators.notes import RATE_HZ, notes_of
from annotators.onsets import onset_strengths
from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Chord, Clip, Fact, MusicAnnotation, Outcome, Section
from schemas.span import Span, union

MODEL = "rhythm-and-harmony@3"  # counts up when a rule or a measurement changes

METERS = {"4/4": "in four", "3/4": "in three", "6/8": "in six-eight"}
DYNAMICS = {
    "steady": "at a steady level",
    "rising": "growing louder",
    "falling": "growing softer",
    "varied": "at a varying level",
}
DYNAMICS_MS = 1_000
SILENT_DB = 40.0  # below the loudest second
MIN_DYNAMICS = 3  # seconds
STEADY_DB = 3.0  # standard deviation
TREND_DB = 6.0  # from first to last second


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    name: str  # a key of DYNAMICS
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is clear of a stretch of music, in times from its start."""

    beat: Beat | None
    meter: Meter | None
    key: Key | None
    chords: list[ChordSpan]
    sections: list[SectionSpan]
    dynamics: Dynamics | None
    tuning_cents: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicConfig:
    min_profile: float = 0.4  # of profile.music
    min_ms: int = 2_000  # less holds neither beat nor key
    bridge_ms: int = 3_000  # sounds this close are one piece of music; a rest may last a bar
    min_beat_score: float = 0.3
    min_meter_score: float = 0.55
    min_downbeat_score: float = 0.3  # bars whose beginning is not clear are not told, though their length may be
    min_key_score: float = 0.5
    min_chord_score: float = 0.45
    min_section_score: float = 0.45
    max_chords_told: int = 8  # more than these in a row are told as the most frequent three

    def build(self) -> "MusicAnnotator":
        return MusicAnnotator(self)


class MusicAnnotator:
    branch = Branch.MUSIC
    model = MODEL

    def __init__(self, config: MusicConfig) -> None:
        self._config = config

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        return [self._annotate(clip) for clip in clips]

    def _annotate(self, clip: Clip) -> MusicAnnotation:
        config, score = self._config, clip.segment.profile.music
        span = music_span(clip, config.bridge_ms)
        if score < config.min_profile or span is None or span.duration_ms < config.min_ms:
            heard_s = span.duration_ms / 1000 if span else 0.0
            reason = f"music scores {score:.2f} over {heard_s:.1f} s: too little to describe"
            return MusicAnnotation(outcome=Outcome.SKIPPED, model=MODEL, reason=reason)
        heard = heard_in(clip.waveform.cut(span), span.duration_ms, config)
        return annotation_of(heard, span, score, config)


def heard_in(waveform: Waveform, duration_ms: int, config: MusicConfig) -> Heard:
    """All that can be measured of a piece of music, and of that what is clear."""
    samples = waveform.samples
    if waveform.rate_hz != RATE_HZ:
        samples = soxr.resample(samples, waveform.rate_hz, RATE_HZ)
    onsets, notes = onset_strengths(samples), notes_of(samples)
    beat = beat_of(onsets, notes, duration_ms)
    beat = beat if beat and beat.score >= config.min_beat_score else None
    beats_ms = beat.beats_ms if beat else ()
    meter = meter_of(onsets, notes, beats_ms)
    meter = meter if meter and meter.score >= config.min_meter_score else None
    downbeats_ms = meter.downbeats_ms if meter else ()
    chords = chords_of(notes, duration_ms, beats_ms)
    key = key_of(notes, chords)
    sections = sections_of(onsets, notes, beats_ms, downbeats_ms, duration_ms)
    return Heard(
        beat=beat,
        meter=meter,
        key=key if key and key.score >= config.min_key_score else None,
        chords=chords,
        sections=sections if min((s.score for s in sections), default=0.0) >= config.min_section_score else [],
        dynamics=dynamics_of(waveform),
        tuning_cents=round(100 * notes.tuning_semitones, 1) if key else None,
    )


def annotation_of(heard: Heard, span: Span, score: float, config: MusicConfig) -> MusicAnnotation:
    beat, meter, key = heard.beat, heard.meter, heard.key
    told = told_of(heard, score, config)
    bars = meter if meter and meter.downbeat_score >= config.min_downbeat_score else None
    return MusicAnnotation(
        outcome=Outcome.OK,
        model=MODEL,
        text=", ".join(text for _, text, _ in told),
        facts=tuple(
            Fact(start_ms=span.start_ms, end_ms=span.end_ms, kind=kind, text=text, score=round(sure, 3))
            for kind, text, sure in told
        ),
        tempo_bpm=beat.tempo_bpm if beat else None,
        tempo_score=beat.score if beat else None,
        beats_ms=tuple(span.start_ms + at_ms for at_ms in beat.beats_ms) if beat else (),
        meter=meter.name if meter else None,
        meter_score=meter.score if meter else None,
        downbeats_ms=tuple(span.start_ms + at_ms for at_ms in bars.downbeats_ms) if bars else (),
        key=key.name if key else None,
        key_score=key.score if key else None,
        chords=tuple(
            Chord(start_ms=span.start_ms + c.start_ms, end_ms=span.start_ms + c.end_ms, name=c.name, score=c.score)
            for c in heard.chords
        ),
        sections=tuple(
            Section(start_ms=span.start_ms + s.start_ms, end_ms=span.start_ms + s.end_ms, label=s.label, score=s.score)
            for s in heard.sections
        ),
        dynamics=heard.dynamics.name if heard.dynamics else None,
        tuning_cents=heard.tuning_cents,
    )


def told_of(heard: Heard, score: float, config: MusicConfig) -> list[tuple[str, str, float]]:
    """Kind, words and score of each thing to tell; the first is that there is music."""
    told = [("music", "music", score)]
    if heard.beat:
        told.append(("tempo", f"about {round(heard.beat.tempo_bpm)} beats a minute", heard.beat.score))
    if heard.meter:
        told.append(("meter", METERS[heard.meter.name], heard.meter.score))
    if heard.key:
        told.append(("key", heard.key.name, heard.key.score))
    if chord_words := chords_told(heard.chords, config):
        told.append(("chords", chord_words, mean_score(heard.chords)))
    if heard.sections:
        letters = ", ".join(section.label for section in heard.sections)
        told.append(("sections", f"the parts {letters}", min(section.score for section in heard.sections)))
    if heard.dynamics:
        told.append(("dynamics", DYNAMICS[heard.dynamics.name], heard.dynamics.score))
    return told


def music_span(clip: Clip, bridge_ms: int) -> Span | None:
    """The longest run of what is called music, else of any sound but speech, else of speech; else all there is."""
    segment, waveform = clip.segment, clip.waveform
    whole = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1)).clipped(segment)
    if whole is None or not segment.events:
        return whole
    music = [event for event in segment.events if event.label == "Music"]
    marked = music or [event for event in segment.events if event.label != "Speech"] or segment.events
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
    """Of their scores, by how long they sound."""
    lasting_ms = sum(chord.end_ms - chord.start_ms for chord in chords)
    return round(sum(chord.score * (chord.end_ms - chord.start_ms) for chord in chords) / max(1, lasting_ms), 2)
