"""The sound branch on any CPU: every sound event as physics, from measurements on its samples.

It does not know what made a sound and never says so. A sound is measured where nobody speaks; one that lies
under speech is left out, because what would be measured there is the voice, unless it stands out as a bang.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotators.describe import Described, describe
from annotators.frames import levels_db
from annotators.timbre import LEVEL_MS, Measured, measured
from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Clip, Event, Fact, Outcome, SoundAnnotation
from schemas.span import Span, covered_ms, union

MODEL = "measurements@1"  # counts up when a rule or a measurement changes
SHORT_KINDS = ("click", "burst")
MIN_REST_MS = 200  # less sound around an event is nothing to stand out of


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundConfig:
    max_covered: float = 0.5  # share of a sound that may lie under speech
    bang_db: float = 6.0  # a short sound this far above all else in the segment is a bang
    bang_floor_db: float = -50.0  # what all else must reach; standing out of silence is no art
    row_gap_ms: int = 2_000  # short sounds this close are told as one row
    min_row: int = 3

    def build(self) -> "SoundAnnotator":
        return SoundAnnotator(self)


class SoundAnnotator:
    branch = Branch.SOUND
    model = MODEL

    def __init__(self, config: SoundConfig) -> None:
        self._config = config

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        return [self._annotate(clip) for clip in clips]

    def _annotate(self, clip: Clip) -> SoundAnnotation:
        events = [event for event in clip.segment.events if event.label != "Speech"]
        facts = [fact for event in events if (fact := measured_fact(clip, event, self._config))]
        if not facts:
            reason = "every sound event lies under speech" if events else "no sound event"
            return SoundAnnotation(outcome=Outcome.SKIPPED, model=MODEL, reason=reason)
        told = in_rows(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind)), self._config)
        text = "; ".join(fact.text for fact in told)
        return SoundAnnotation(outcome=Outcome.OK, model=MODEL, text=text, facts=tuple(told))


def measured_fact(clip: Clip, event: Event, config: SoundConfig) -> Fact | None:
    """The event as physics; None where it lies under speech, or there is no sound of it."""
    span = inside(clip, event)
    if span is None:
        return None
    speech = [e for e in clip.segment.events if e.label == "Speech"]
    heard = measured(clip.waveform.cut(span))
    whole = describe(heard)
    if whole.kind in SHORT_KINDS and height_db(clip.waveform, span, config.bang_floor_db) >= config.bang_db:
        text = f"a loud {whole.text.removeprefix('a ')}"
        return fact(active(span, heard), replace(whole, kind="bang", text=text), event.score)
    alone = longest_outside(span, speech)
    covered = covered_ms(speech, span) / span.duration_ms
    if covered > config.max_covered or alone is None:
        return None
    heard = measured(clip.waveform.cut(alone))
    return fact(active(alone, heard), describe(heard), event.score)


def active(span: Span, heard: Measured) -> Span:
    """The part of the span in which the sound is anywhere near its peak."""
    start_ms = span.start_ms + heard.level.first_ms
    return Span.of(start_ms, start_ms + heard.level.lasts_ms).clipped(span) or span


def inside(clip: Clip, event: Event) -> Span | None:
    """The part of the event of which there is sound."""
    waveform = clip.waveform
    heard = Span.of(waveform.start_ms, max(waveform.end_ms, waveform.start_ms + 1)).clipped(clip.segment)
    return event.clipped(heard) if heard else None


def height_db(waveform: Waveform, span: Span, floor_db: float) -> float:
    """How far the peak in the span stands above all else; 0 where all else is silence."""
    level_db = levels_db(waveform.samples, waveform.rate_hz, LEVEL_MS)
    first = (span.start_ms - waveform.start_ms) // LEVEL_MS
    last = max(first + 1, -(-(span.end_ms - waveform.start_ms) // LEVEL_MS))
    here_db, rest_db = level_db[first:last], np.delete(level_db, slice(first, last))
    if not len(here_db) or len(rest_db) * LEVEL_MS < MIN_REST_MS:
        return 0.0
    others_db = float(rest_db.max())
    return float(here_db.max()) - others_db if others_db > floor_db else 0.0


def longest_outside(span: Span, covers: Sequence[Span]) -> Span | None:
    """The longest part of the span that none of the others covers."""
    marks = [span.start_ms]
    for cover in union(c for other in covers if (c := other.clipped(span))):
        marks += [cover.start_ms, cover.end_ms]
    edges = zip(marks[::2], [*marks[1::2], span.end_ms], strict=True)
    parts = [Span.of(start_ms, end_ms) for start_ms, end_ms in edges if start_ms < end_ms]
    return max(parts, key=lambda part: part.duration_ms, default=None)


def fact(span: Span, described: Described, score: float) -> Fact:
    score = round(score * described.score, 3)
    return Fact(start_ms=span.start_ms, end_ms=span.end_ms, kind=described.kind, text=described.text, score=score)


def in_rows(facts: Sequence[Fact], config: SoundConfig) -> list[Fact]:
    """The facts in order, with short sounds of one kind that follow each other closely told as one row."""
    rows: list[list[Fact]] = []
    for fact in facts:
        last = rows[-1][-1] if rows else None
        joins = last and fact.kind == last.kind and fact.kind in SHORT_KINDS
        if last and joins and fact.start_ms - last.end_ms <= config.row_gap_ms:
            rows[-1].append(fact)
        else:
            rows.append([fact])
    return [fact for row in rows for fact in (row if len(row) < config.min_row else [_row(row)])]


def _row(facts: Sequence[Fact]) -> Fact:
    start_ms, end_ms = facts[0].start_ms, max(fact.end_ms for fact in facts)
    starts_s = np.array([fact.start_ms for fact in facts]) / 1000
    gaps_s = np.diff(starts_s)
    even = gaps_s.std() < 0.25 * gaps_s.mean()
    pace = f", about {round(float(1 / gaps_s.mean()), 1)} a second" if even else " at uneven intervals"
    noun = {"click": "clicks", "burst": "short bursts"}[facts[0].kind]
    score = round(min(fact.score for fact in facts), 3)
    return Fact(start_ms=start_ms, end_ms=end_ms, kind="repeated", text=f"{len(facts)} {noun}{pace}", score=score)
