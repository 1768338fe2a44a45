"""The places where a listener might cut, each with the points it offers. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter1d

from schemas.errors import ConfigError
from schemas.gaps import gaps, joined
from schemas.record import Event
from schemas.span import Span
from segmenters.base import FRAME_MS, SPEECH, Hearing, Kept
from segmenters.pauses import HAIR_MS, between, other_follows, speech_edges_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """Where a recording may be cut. Costs are in units of one cut through a sound."""

    min_ms: int = 1_000  # shorter pieces carry no scene; they are made only where there is no other way
    max_ms: int = 30_000  # what one annotator call can hear; never exceeded
    margin_ms: int = 350  # of silence that an event keeps on each side, where there is so much
    longest_event_ms: int = 60_000  # a longer sound is a bed that others lie on; its ends are no place to cut
    cut_cost: float = 0.03  # of any cut, so that there are no more than it takes
    short_cost: float = 0.5  # of a piece of no length; less the nearer it comes to min_ms
    silence_cost: float = 0.2  # of each second of silence that a piece holds
    passed_cost: float = 0.3  # of a silence between two sounds that a piece goes over
    pause_cost: float = 0.5  # of a cut in a pause of one sound

    def __post_init__(self) -> None:
        if self.min_ms < 1 or self.max_ms < 2 * self.min_ms:
            raise ConfigError(
                f"max_ms={self.max_ms} must be at least twice min_ms={self.min_ms}, and that at least 1, "
                "or a long stretch cannot be halved without leaving a piece that is too short"
            )
        if not 0 <= self.margin_ms <= self.min_ms:
            raise ConfigError(
                f"margin_ms={self.margin_ms} must lie in 0..min_ms={self.min_ms}, or silence alone would make a piece"
            )
        for name in ("cut_cost", "short_cost", "silence_cost", "passed_cost", "pause_cost"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must not be negative, or cutting would never end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place to cut: points in time order, each with what a cut there costs."""

    points: tuple[tuple[int, float], ...]  # (at_ms, cost)
    silent: bool = False  # between two of its points nothing is heard
    passed_cost: float = 0.0  # of a piece that goes over it
    parted_cost: float = 0.0  # of a piece that ends at it, wherever in it


LONG_PAUSE_MS = 3_000  # a silence this long is a place to cut whatever follows it; a shorter one by its share
MARGIN_WORTH = 1.5  # what a second of margin left off costs, in seconds of silence held
BED_SHARE = 0.5  # of what it costs to cut a sound, where it is a bed
BED_PASSED_COST = 0.1  # of a piece that goes over a second or more of bed alone
LOUD_COST, QUIET_COST = 1.0, 0.6  # of a cut through a sound, at its loudest and at its quietest
CHANGE_HELP = 0.7  # how much of that a change of timbre or the end of a phrase takes off, by its strength
EDGE_COST = 0.6  # of a cut where one of several sounds begins or ends
QUIET_DB = 25.0  # below the loud moments of a stretch, a moment is as quiet as it need be
QUIET_MS = 200  # over which quiet is measured
CHOICES = 30  # quiet points that a stretch as long as the cap offers


def marks_of(hearing: Hearing, rules: CutRules) -> list[Mark]:
    """All marks in time order; the first point is the start of the stretch, the last one its end.

    Two neighbouring points are never further apart than the cap, unless there is silence between them.
    """
    whole = hearing.span
    figures = [e for e in hearing.events if e.label == SPEECH or e.duration_ms <= rules.longest_event_ms]
    sounding, regions = (joined(events, whole, bridge_ms=HAIR_MS) for events in (hearing.events, figures))
    silences, spoken_ms = gaps(sounding, whole), speech_edges_ms(hearing)
    likely = {one.end_ms: other_follows(one, other, hearing, spoken_ms) for one, other in pairwise(sounding)}
    marks = [_silence(gap, likely.get(gap.start_ms, 1.0), whole, rules) for gap in silences]
    marks += [_bed(gap, hearing, rules) for gap in gaps([*regions, *silences], whole)]
    for region in regions:
        if region.duration_ms + 2 * rules.margin_ms > rules.max_ms:
            marks += _inside(region, figures, hearing, rules)
    marks.sort(key=lambda mark: mark.points[0])
    return _sparing(hearing.kept, _without_long_steps(_with_ends(marks, whole), rules.max_ms))


def silences_of(hearing: Hearing) -> list[Span]:
    """Where nothing was heard, in order."""
    return gaps(hearing.events, hearing.span)


def _silence(gap: Span, other: float, whole: Span, rules: CutRules) -> Mark:
    """Points at several distances from the sounds on both sides; the ends of the recording are no sounds.

    `other` is how likely it is that another sound follows.
    """
    sound_before, sound_after = gap.start_ms > whole.start_ms, gap.end_ms < whole.end_ms
    margin_ms = min(rules.margin_ms, gap.duration_ms // 3)
    cost_at: dict[int, float] = {}
    for at_ms in _points_beside_sound(gap, sound_before, sound_after, margin_ms):
        before = at_ms - gap.start_ms if sound_before else margin_ms
        after = gap.end_ms - at_ms if sound_after else margin_ms
        missing_ms = margin_ms - min(before, after, margin_ms)
        cost_at[at_ms] = MARGIN_WORTH * rules.silence_cost * missing_ms / 1000
    return Mark(
        points=tuple(sorted(cost_at.items())),
        silent=True,
        passed_cost=rules.passed_cost * other,
        parted_cost=rules.pause_cost * (1 - other) * max(0.0, 1 - gap.duration_ms / LONG_PAUSE_MS),
    )


def _points_beside_sound(gap: Span, sound_before: bool, sound_after: bool, margin_ms: int) -> set[int]:
    points = {(gap.start_ms + gap.end_ms) // 2} if sound_before and sound_after else set()
    for distance in (0, margin_ms // 2, margin_ms, 2 * margin_ms):
        reach = min(distance, gap.duration_ms)
        points |= {gap.start_ms + reach} if sound_before else {gap.start_ms}
        points |= {gap.end_ms - reach} if sound_after else {gap.end_ms}
    return points


def _bed(gap: Span, hearing: Hearing, rules: CutRules) -> Mark:
    """Between two events, while a long sound goes on."""
    costs = _costs_within(gap, hearing, rules) | dict.fromkeys(
        _points_beside_sound(gap, True, True, rules.margin_ms), QUIET_COST
    )
    points = tuple((at_ms, BED_SHARE * cost) for at_ms, cost in sorted(costs.items()))
    return Mark(points=points, passed_cost=BED_PASSED_COST * min(1.0, gap.duration_ms / 1000))


def _inside(region: Span, figures: list[Event], hearing: Hearing, rules: CutRules) -> list[Mark]:
    """Points within a stretch of sound that is too long for one piece."""
    edges = {t for event in figures for t in (event.start_ms, event.end_ms) if region.start_ms < t < region.end_ms}
    costs = _between_kept(region, hearing.kept) | _costs_within(region, hearing, rules)
    costs |= dict.fromkeys(edges, EDGE_COST)
    return [Mark(points=((at_ms, cost),)) for at_ms, cost in costs.items()]


def _costs_within(stretch: Span, hearing: Hearing, rules: CutRules) -> dict[int, float]:
    """Where a stretch of sound might be divided, and what that costs: at quiet moments, changes and ends of phrases."""
    costs = dict(_quiet_points(stretch, hearing, rules))
    for changes in (hearing.changes, hearing.phrases):
        for change in between(changes, stretch.start_ms + 1, stretch.end_ms - 1):
            costs[change.at_ms] = LOUD_COST - CHANGE_HELP * change.strength
    return costs


def _between_kept(region: Span, kept: Sequence[Kept]) -> dict[int, float]:
    """Points where what is not to be cut ends and begins, best in the middle of what lies between."""
    edges = {t for one in kept for t in (one.start_ms, one.end_ms) if region.start_ms < t < region.end_ms}
    middles = {(gap.start_ms + gap.end_ms) // 2 for gap in gaps(kept, region)} if edges else set()
    inside = {t for t in middles if region.start_ms < t < region.end_ms}
    return dict.fromkeys(edges, LOUD_COST) | dict.fromkeys(inside, QUIET_COST)


def _sparing(kept: Sequence[Kept], marks: list[Mark]) -> list[Mark]:
    """The marks with what it costs to cut through what is not to be cut."""
    if not kept:
        return marks
    starts, ends = (sorted((edge, k.cost) for edge, k in zip(edges, kept, strict=True)) for edges in _edges_ms(kept))
    begun, ended = (np.concatenate([[0.0], np.cumsum([cost for _, cost in edges])]) for edges in (starts, ends))
    starts_ms, ends_ms = [at_ms for at_ms, _ in starts], [at_ms for at_ms, _ in ends]

    def through(at_ms: int) -> float:
        cost = begun[bisect_left(starts_ms, at_ms)] - ended[bisect_right(ends_ms, at_ms)]
        return float(max(0.0, cost))

    return [replace(mark, points=tuple((t, cost + through(t)) for t, cost in mark.points)) for mark in marks]


def _edges_ms(spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    return [span.start_ms for span in spans], [span.end_ms for span in spans]


def _quiet_points(stretch: Span, hearing: Hearing, rules: CutRules) -> list[tuple[int, float]]:
    """The quietest moment of each window of the stretch, and what a cut there costs."""
    level_db = quietness_db(hearing)
    first, last = (
        min((t - hearing.span.start_ms) // FRAME_MS, len(level_db)) for t in (stretch.start_ms, stretch.end_ms)
    )
    here = level_db[first:last]
    if not len(here):
        return []
    loud_db = np.percentile(here, 95)
    window = max(1, rules.max_ms // CHOICES // FRAME_MS)
    points = []
    for start in range(0, len(here), window):
        quietest = start + int(np.argmin(here[start : start + window]))
        share = float(np.clip(1 - (loud_db - here[quietest]) / QUIET_DB, 0, 1))
        at_ms = hearing.span.start_ms + (first + quietest) * FRAME_MS + FRAME_MS // 2
        if stretch.start_ms < at_ms < stretch.end_ms:
            points.append((at_ms, QUIET_COST + (LOUD_COST - QUIET_COST) * share))
    return points


def quietness_db(hearing: Hearing) -> np.ndarray:
    """The level around each frame, evened out over a moment: shape (frames,)."""
    evened: np.ndarray = uniform_filter1d(hearing.level_db, QUIET_MS // FRAME_MS, mode="nearest")
    return evened


def _with_ends(marks: list[Mark], whole: Span) -> list[Mark]:
    """The marks with a point at each end of the stretch."""
    if not marks or marks[0].points[0][0] > whole.start_ms:
        marks = [Mark(points=((whole.start_ms, 0.0),)), *marks]
    if marks[-1].points[-1][0] < whole.end_ms:
        marks = [*marks, Mark(points=((whole.end_ms, 0.0),))]
    return marks


def _without_long_steps(marks: list[Mark], max_ms: int) -> list[Mark]:
    """The marks with even cuts added wherever the next point would be out of the cap's reach."""
    whole = [marks[0]]
    for mark in marks[1:]:
        start, end = whole[-1].points[-1][0], mark.points[0][0]
        steps = -(-(end - start) // max_ms)
        whole += [Mark(points=((start + (end - start) * i // steps, LOUD_COST),)) for i in range(1, steps)]
        whole.append(mark)
    return whole
