"""The music branch on any CPU: tempo, beats, meter, key, chords, sections, loudness, and what changes, where clear.

It does not know instruments, genres or moods and says nothing of them. What the profiler called music is
described where the segment's sounds are; a tempo or a key that does not stand out is not told.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from annotators.beat import Beat, beat_of
from annotators.following import Moving, moving_beat
from annotators.form import SectionSpan, sections_of
from annotators.frames import FLOOR_DB, levels_db
from annotators.harmony import ChordSpan, Key, chords_of, key_of
from annotators.meter import Meter, meter_of
from annotators.modulation import Keys, keys_of
from annotators.notes import RATE_HZ, notes_of
from annotators.onsets import onset_strengths
from annotators.tempi import TempoChange
from schemas import audioset
from schemas.audio import Waveform, resampled
from schemas.record import Annotation, Branch, Chord, Clip, Fact, KeySpan, MusicAnnotation, Outcome, Section, Tempo
from schemas.span import Span, union

MODEL = "rhythm-and-harmony@4"  # counts up when a rule or a measurement changes

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
MOMENT_MS = 400  # a change that happens at once is told as this long
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
    moving: Moving | None = None  # where the tempo changes; `beat` has its beats then
    keys: Keys | None = None  # where the key changes


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
    min_tempo_change_score: float = 0.65
    min_key_change_score: float = 0.5
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
        reason = too_little(clip, span, config)
        if span is None or reason:
            return MusicAnnotation(outcome=Outcome.SKIPPED, model=MODEL, reason=reason)
        heard = heard_in(clip.waveform.cut(span), span.duration_ms, config)
        return annotation_of(heard, span, score, config)


def too_little(clip: Clip, span: Span | None, config: MusicConfig) -> str | None:
    """Why this music is not described; None where there is enough of it."""
    score = clip.segment.profile.music
    if span and score >= config.min_profile and span.duration_ms >= config.min_ms:
        return None
    return f"music scores {score:.2f} over {span.duration_ms / 1000 if span else 0.0:.1f} s: too little to describe"


def heard_in(waveform: Waveform, duration_ms: int, config: MusicConfig) -> Heard:
    """All that can be measured of a piece of music, and of that what is clear."""
    samples = resampled(waveform, RATE_HZ)
    onsets, notes = onset_strengths(samples), notes_of(samples)
    beat = beat_of(onsets, notes, duration_ms)
    moving = moving_beat(onsets, notes, beat, duration_ms) if beat else None
    moving = moving if moving and moving.score >= config.min_tempo_change_score else None
    beat = followed_by(beat, moving) if beat and moving else beat
    beat = beat if beat and beat.score >= config.min_beat_score else None
    beats_ms = beat.beats_ms if beat else ()
    meter = meter_of(onsets, notes, beats_ms)
    meter = meter if meter and meter.score >= config.min_meter_score else None
    downbeats_ms = meter.downbeats_ms if meter else ()
    chords = chords_of(notes, duration_ms, beats_ms)
    key, keys = key_of(notes, chords), keys_of(notes, chords, duration_ms)
    keys = keys if keys and len(keys.runs) > 1 and keys.score >= config.min_key_change_score else None
    if keys:
        key = Key(name=max(keys.runs, key=lambda run: run.end_ms - run.start_ms).name, score=keys.score)
    sections = sections_of(onsets, notes, beats_ms, downbeats_ms, duration_ms)
    return Heard(
        beat=beat,
        meter=meter,
        key=key if key and key.score >= config.min_key_score else None,
        chords=chords,
        sections=sections if min((s.score for s in sections), default=0.0) >= config.min_section_score else [],
        dynamics=dynamics_of(waveform),
        tuning_cents=round(100 * notes.tuning_semitones, 1) if key else None,
        moving=moving,
        keys=keys,
    )


def followed_by(beat: Beat, moving: Moving) -> Beat:
    """The beats that follow, at the tempo that lasts longest."""
    longest = max(moving.curve.spans, key=lambda span: span.end_ms - span.start_ms)
    return replace(beat, tempo_bpm=longest.bpm, beats_ms=moving.beats_ms, score=moving.score)


def annotation_of(heard: Heard, span: Span, score: float, config: MusicConfig) -> MusicAnnotation:
    beat, meter, key = heard.beat, heard.meter, heard.key
    told = told_of(heard, score, config)
    whole = [
        Fact(start_ms=span.start_ms, end_ms=span.end_ms, kind=kind, text=text, score=round(sure, 3))
        for kind, text, sure in told
    ]
    changes = changes_of(heard, span)
    bars = meter if meter and meter.downbeat_score >= config.min_downbeat_score else None
    return MusicAnnotation(
        outcome=Outcome.OK,
        model=MODEL,
        text=", ".join(fact.text for fact in (*whole, *changes)),
        facts=tuple(sorted((*whole, *changes), key=lambda fact: fact.start_ms)),
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
        tempi=tempi_of(heard, span),
        keys=key_spans_of(heard, span),
    )


def tempi_of(heard: Heard, span: Span) -> tuple[Tempo, ...]:
    if heard.beat is None:
        return ()
    if heard.moving is None:
        bpm, score = heard.beat.tempo_bpm, heard.beat.score
        return (Tempo(start_ms=span.start_ms, end_ms=span.end_ms, bpm=bpm, score=score),)
    return tuple(
        Tempo(start_ms=span.start_ms + t.start_ms, end_ms=span.start_ms + t.end_ms, bpm=t.bpm, score=heard.moving.score)
        for t in heard.moving.curve.spans
    )


def key_spans_of(heard: Heard, span: Span) -> tuple[KeySpan, ...]:
    if heard.keys:
        return tuple(
            KeySpan(
                start_ms=span.start_ms + run.start_ms,
                end_ms=span.start_ms + run.end_ms,
                name=run.name,
                score=heard.keys.score,
            )
            for run in heard.keys.runs
        )
    if heard.key:
        return (KeySpan(start_ms=span.start_ms, end_ms=span.end_ms, name=heard.key.name, score=heard.key.score),)
    return ()


def changes_of(heard: Heard, span: Span) -> list[Fact]:
    """The changes of tempo and of key, each where it happens."""
    told: list[tuple[str, str, int, int, float]] = []
    if moving := heard.moving:
        told += [("tempo_change", change_told(c), c.start_ms, c.end_ms, moving.score) for c in moving.curve.changes]
    if keys := heard.keys:
        for before, after in pairwise(keys.runs):
            words = f"the key changes from {before.name} to {after.name}"
            told.append(("key_change", words, after.start_ms, after.start_ms, keys.score))
    facts = []
    for kind, words, start_ms, end_ms, score in told:
        first_ms = span.start_ms + min(start_ms, span.duration_ms - 1)
        last_ms = min(span.end_ms, max(span.start_ms + end_ms, first_ms + MOMENT_MS))
        facts.append(Fact(start_ms=first_ms, end_ms=last_ms, kind=kind, text=words, score=score))
    return sorted(facts, key=lambda fact: fact.start_ms)


def change_told(change: TempoChange) -> str:
    """
    >>> change_told(TempoChange(start_ms=0, end_ms=4_000, from_bpm=90.2, to_bpm=119.7, explained=0.9))
    'the music speeds up from about 90 to about 120 beats a minute'
    """
    faster = change.to_bpm > change.from_bpm
    words = ("goes up at once" if faster else "drops at once") if change.is_step else None
    words = words or ("speeds up" if faster else "slows down")
    what = "the tempo" if change.is_step else "the music"
    return f"{what} {words} from about {round(change.from_bpm)} to about {round(change.to_bpm)} beats a minute"


def told_of(heard: Heard, score: float, config: MusicConfig) -> list[tuple[str, str, float]]:
    """Kind, words and score of each thing to tell; the first is that there is music."""
    told = [("music", "music", score)]
    if heard.beat and not heard.moving:
        told.append(("tempo", f"about {round(heard.beat.tempo_bpm)} beats a minute", heard.beat.score))
    if heard.meter:
        told.append(("meter", METERS[heard.meter.name], heard.meter.score))
    if heard.key and not heard.keys:
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
    music = [event for event in segment.events if is_music(event.label)]
    marked = music or [event for event in segment.events if event.label != "Speech"] or segment.events
    sounds = union((part for event in marked if (part := event.clipped(whole))), bridge_ms=bridge_ms)
    return max(sounds, key=lambda span: span.duration_ms, default=None)


def is_music(label: str) -> bool:
    """Whether a detector means music by it: music as such, an instrument, a genre."""
    return audioset.class_of(label) == "music"


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
