"""How well segments fit what is in the scenes. Pure: an answer key and segments in, numbers out.

* cut through: an event that a segment border falls into, well inside a region where it is heard. Events longer than
  the cap have to be cut and do not count.
* boundary: an onset or offset of an event; those near an earlier one are one with it. A cut near it finds it, and each
  cut finds one. A cut that finds none is wrong unless it lies in silence between sounds: a pause may be cut anywhere.
* lost: what is heard in no segment.
* routing: the kinds a segment is said to hold against the kinds heard in it for long enough.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.truth import Claimed, Scene, TrueEvent
from schemas.record import Branch
from schemas.span import Span, covered_ms, union


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRules:
    cap_ms: int = 30_000  # no segment should be longer
    cap_slack_ms: int = 10
    inside_ms: int = 100  # a cut this near to the edge of a region does not cut through it
    near_ms: int = 500  # a cut this near finds a boundary
    edge_ms: int = 50  # cuts and boundaries this near to either end of the scene are none
    short_ms: int = 1_000  # segments below this are counted
    enough_ms: int = 500  # of a kind, for a segment to hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One scene against the segments that were cut from it; times in milliseconds of the scene."""

    scene: Scene
    kept: tuple[TrueEvent, ...]  # events no longer than the cap that no cut goes through
    cut_through: tuple[TrueEvent, ...]
    found: tuple[int, ...]  # boundaries
    missed: tuple[int, ...]  # boundaries that no cut is near
    wrong: tuple[int, ...]  # cuts that are at no boundary and in no silence
    heard_ms: int
    lost_ms: int
    num_segments: int
    segments_ms: int  # length of all together
    over_cap: int
    under_short: int
    kinds_right: int
    kinds_wrong: int
    kinds_missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """All scenes together; shares lie in 0..1."""

    num_events: int
    cut_through: float
    cut_by_kind: dict[Branch, tuple[int, int]]  # how many were cut through, and of how many
    boundary_precision: float
    boundary_recall: float
    boundary_f1: float
    lost: float
    num_segments: int
    over_cap: int
    under_short: int
    mean_s: float
    routing_f1: float


def score(scenes: Iterable[Scene], segments: Iterable[Claimed], rules: ScoreRules | None = None) -> Score:
    return total(judge_all(scenes, segments, rules or ScoreRules()))


def judge_all(scenes: Iterable[Scene], segments: Iterable[Claimed], rules: ScoreRules) -> list[Judged]:
    of_scene: dict[str, list[Claimed]] = defaultdict(list)
    for segment in segments:
        of_scene[segment.scene].append(segment)
    return [judge(scene, of_scene[scene.name], rules) for scene in scenes]


def judge(scene: Scene, segments: Sequence[Claimed], rules: ScoreRules) -> Judged:
    heard = union(region for event in scene.events for region in event.regions)
    inner = range(rules.edge_ms + 1, scene.duration_ms - rules.edge_ms)
    cuts = sorted({ms for segment in segments for ms in (segment.start_ms, segment.end_ms) if ms in inner})
    boundaries = _apart(sorted(ms for e in scene.events for ms in (e.start_ms, e.end_ms) if ms in inner), rules.near_ms)
    found_by = _matched(boundaries, cuts, rules.near_ms)
    within_cap = [event for event in scene.events if event.duration_ms <= rules.cap_ms]
    hit = [event for event in within_cap if _goes_through(cuts, event, rules.inside_ms)]
    covered = union(segments)
    holds = [(_kinds_in(scene, segment, rules.enough_ms), segment.kinds) for segment in segments]
    return Judged(
        scene=scene,
        kept=tuple(event for event in within_cap if event not in hit),
        cut_through=tuple(hit),
        found=tuple(found_by),
        missed=tuple(ms for ms in boundaries if ms not in found_by),
        wrong=tuple(c for c in cuts if c not in found_by.values() and not _in_silence(c, heard, rules.inside_ms)),
        heard_ms=sum(stretch.duration_ms for stretch in heard),
        lost_ms=sum(stretch.duration_ms - covered_ms(covered, stretch) for stretch in heard),
        num_segments=len(segments),
        segments_ms=sum(segment.duration_ms for segment in segments),
        over_cap=sum(segment.duration_ms > rules.cap_ms + rules.cap_slack_ms for segment in segments),
        under_short=sum(segment.duration_ms < rules.short_ms for segment in segments),
        kinds_right=sum(len(true & said) for true, said in holds),
        kinds_wrong=sum(len(said - true) for true, said in holds),
        kinds_missed=sum(len(true - said) for true, said in holds),
    )


def total(judged: Sequence[Judged]) -> Score:
    cut = [event for scene in judged for event in scene.cut_through]
    events = cut + [event for scene in judged for event in scene.kept]
    found, missed, wrong = (sum(len(getattr(j, name)) for j in judged) for name in ("found", "missed", "wrong"))
    num_segments = sum(j.num_segments for j in judged)
    right, false, absent = (sum(getattr(j, f"kinds_{name}") for j in judged) for name in ("right", "wrong", "missed"))
    return Score(
        num_events=len(events),
        cut_through=len(cut) / max(1, len(events)),
        cut_by_kind={k: (sum(e.kind is k for e in cut), sum(e.kind is k for e in events)) for k in Branch},
        boundary_precision=found / max(1, found + wrong),
        boundary_recall=found / max(1, found + missed),
        boundary_f1=_f1(found, wrong, missed),
        lost=sum(j.lost_ms for j in judged) / max(1, sum(j.heard_ms for j in judged)),
        num_segments=num_segments,
        over_cap=sum(j.over_cap for j in judged),
        under_short=sum(j.under_short for j in judged),
        mean_s=sum(j.segments_ms for j in judged) / 1000 / max(1, num_segments),
        routing_f1=_f1(right, false, absent),
    )


def _goes_through(cuts: Sequence[int], event: TrueEvent, inside_ms: int) -> bool:
    return any(r.start_ms + inside_ms < cut < r.end_ms - inside_ms for r in event.regions for cut in cuts)


def _apart(times_ms: Sequence[int], near_ms: int) -> list[int]:
    """The times, without those that lie near the last one kept."""
    kept: list[int] = []
    for ms in times_ms:
        if not kept or ms - kept[-1] > near_ms:
            kept.append(ms)
    return kept


def _matched(boundaries: Sequence[int], cuts: Sequence[int], near_ms: int) -> dict[int, int]:
    """The cut that finds each boundary: the nearest that has found none before it."""
    found_by: dict[int, int] = {}
    free = set(cuts)
    for boundary in boundaries:
        nearest = min(free, key=lambda cut: (abs(cut - boundary), cut), default=None)
        if nearest is not None and abs(nearest - boundary) <= near_ms:
            found_by[boundary] = nearest
            free.remove(nearest)
    return found_by


def _in_silence(cut: int, heard: Sequence[Span], slack_ms: int) -> bool:
    """Whether a cut lies in a silence between two sounds, or right beside it."""
    return any(a.end_ms - slack_ms <= cut <= b.start_ms + slack_ms for a, b in pairwise(heard))


def _kinds_in(scene: Scene, segment: Span, enough_ms: int) -> frozenset[Branch]:
    return frozenset(
        event.kind for event in scene.events if sum(r.overlap_ms(segment) for r in event.regions) >= enough_ms
    )


def _f1(right: int, wrong: int, missed: int) -> float:
    return 2 * right / max(1, 2 * right + wrong + missed)
