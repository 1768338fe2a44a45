"""The scorer says what is so: on scenes where the answer is plain, and as an independent one does."""

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks.baselines import ANY, fixed, packed
from benchmarks.scoring import ScoreRules, judge, score
from benchmarks.truth import Claimed, Scene, TrueEvent, read_segments, read_truth, write_segments
from schemas.audio import Waveform
from schemas.errors import InputError
from schemas.record import Branch
from schemas.span import Span
from tests.sounds import silence

SHARED = Path(__file__).parents[2] / "shared" / "scenes"
RULES = ScoreRules()


def event(start_ms: int, end_ms: int, kind: Branch = Branch.SOUND, regions: tuple[Span, ...] = ()) -> TrueEvent:
    return TrueEvent(
        start_ms=start_ms,
        end_ms=end_ms,
        kind=kind,
        label=str(kind),
        source="",
        level_db=-20,
        regions=regions or (Span.of(start_ms, end_ms),),
    )


def scene(*events: TrueEvent, duration_ms: int = 60_000) -> Scene:
    return Scene(name="a.wav", duration_ms=duration_ms, background=None, events=events)


def segments(*times_ms: tuple[int, int], kinds: frozenset[Branch] = ANY) -> list[Claimed]:
    return [Claimed(scene="a.wav", start_ms=start, end_ms=end, kinds=kinds) for start, end in times_ms]


APART = scene(event(5_000, 9_000), event(20_000, 26_000, Branch.SPEECH), event(40_000, 52_000, Branch.MUSIC))


def test_the_truth_itself_scores_full_marks():
    exact = [
        Claimed(scene="a.wav", start_ms=e.start_ms, end_ms=e.end_ms, kinds=frozenset({e.kind})) for e in APART.events
    ]
    got = score([APART], exact)
    assert (got.cut_through, got.boundary_f1, got.lost, got.routing_f1, got.over_cap) == (0, 1, 0, 1, 0)


def test_no_segments_lose_everything_and_cut_nothing():
    got = score([APART], [])
    assert (got.cut_through, got.boundary_recall, got.lost, got.num_segments, got.mean_s) == (0, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("cut_ms", "is_through"),
    [
        pytest.param(22_000, True, id="in the midst"),
        pytest.param(20_100, False, id="just inside the beginning"),
        pytest.param(20_101, True, id="a millisecond further"),
        pytest.param(15_000, False, id="in the pause before"),
    ],
)
def test_a_cut_well_inside_an_event_goes_through_it(cut_ms, is_through):
    judged = judge(APART, segments((0, cut_ms), (cut_ms, 60_000)), RULES)
    assert [e.kind for e in judged.cut_through] == [Branch.SPEECH] * is_through
    assert len(judged.kept) == 3 - is_through


def test_a_pause_inside_an_event_may_be_cut():
    said = scene(event(1_000, 9_000, regions=(Span.of(1_000, 4_000), Span.of(5_000, 9_000))))
    assert score([said], segments((0, 4_500), (4_500, 60_000))).cut_through == 0
    assert score([said], segments((0, 3_500), (3_500, 60_000))).cut_through == 1


def test_an_event_longer_than_the_cap_has_to_be_cut_and_does_not_count():
    rain = scene(event(1_000, 50_000), event(52_000, 55_000))
    got = score([rain], segments((0, 25_000), (25_000, 50_000), (50_000, 60_000)))
    assert (got.num_events, got.cut_through) == (1, 0)


@pytest.mark.parametrize(("off_ms", "found"), [(0, 6), (500, 6), (501, 0)])
def test_a_boundary_is_found_by_a_cut_near_it(off_ms, found):
    moved = segments(*((e.start_ms + off_ms, e.end_ms + off_ms) for e in APART.events))
    assert len(judge(APART, moved, RULES).found) == found


def test_a_cut_finds_one_boundary_and_no_more():
    two = scene(event(5_000, 10_000), event(10_600, 20_000))
    judged = judge(two, segments((5_000, 10_300), (10_300, 20_000)), RULES)
    assert (judged.found, judged.missed, judged.wrong) == ((5_000, 10_000, 20_000), (10_600,), ())


def test_boundaries_close_together_are_one():
    close = scene(event(5_000, 10_000), event(10_400, 20_000))
    assert score([close], segments((5_000, 10_200), (10_200, 20_000))).boundary_f1 == 1


def test_a_cut_in_silence_is_never_wrong_and_one_in_sound_is():
    judged = judge(APART, segments((0, 15_000), (15_000, 45_000), (45_000, 60_000)), RULES)
    assert judged.wrong == (45_000,)


def test_lost_and_kept_make_up_what_is_heard():
    got = judge(APART, segments((0, 7_000), (23_000, 60_000)), RULES)
    assert (got.heard_ms, got.lost_ms) == (22_000, 2_000 + 3_000)


def test_overlapping_events_are_heard_once():
    both = scene(event(0, 10_000), event(8_000, 12_000))
    assert judge(both, [], RULES).heard_ms == 12_000


def test_a_kind_counts_in_a_segment_that_holds_enough_of_it():
    got = judge(APART, segments((0, 20_499), (20_499, 60_000), kinds=frozenset({Branch.SPEECH})), RULES)
    assert (got.kinds_right, got.kinds_wrong, got.kinds_missed) == (1, 1, 2)


def test_long_and_short_segments_are_counted():
    got = score([APART], segments((0, 30_010), (30_010, 60_021), (60_021, 61_020)))
    assert (got.over_cap, got.under_short, got.mean_s) == (1, 1, pytest.approx(20.34))


def test_a_grid_covers_a_recording_and_packing_keeps_to_its_limits():
    grid = [span for span, _ in fixed(10_000)(Waveform.from_float(silence(25_000), 16_000))]
    assert [(span.start_ms, span.end_ms) for span in grid] == [(0, 10_000), (10_000, 20_000), (20_000, 25_000)]
    spans = [Span.of(s, s + 4_000) for s in (0, 4_500, 9_000, 20_000, 24_999)]
    assert packed(spans, 1_000, 9_000) == [Span.of(0, 8_500), Span.of(9_000, 13_000), Span.of(20_000, 28_999)]


def test_segments_are_read_as_they_were_written(tmp_path):
    written = segments((0, 1_234), (1_234, 20_000))
    write_segments(tmp_path / "s.jsonl", written)
    assert read_segments(tmp_path / "s.jsonl") == written


@pytest.mark.parametrize("text", [None, "no json"])
def test_what_is_no_answer_key_is_refused(tmp_path, text):
    path = tmp_path / "truth.jsonl"
    if text:
        path.write_text(text)
    with pytest.raises(InputError, match=r"truth\.jsonl"):
        read_truth(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="scenes with another scorer are not beside this checkout")
@pytest.mark.parametrize("every_ms", [700, 3_300, 10_000, 30_000])
def test_another_scorer_comes_to_the_same(tmp_path, every_ms):
    spec = importlib.util.spec_from_file_location("score_scenes", SHARED / "score_scenes.py")
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    scenes = read_truth(SHARED / "truth.jsonl")
    claimed = [
        Claimed(scene=s.name, start_ms=at, end_ms=min(at + every_ms, s.duration_ms), kinds=kinds)
        for s in scenes
        for turn, at in enumerate(range(0, s.duration_ms, every_ms))
        if turn % 5 and (kinds := frozenset(list(Branch)[: turn % 4]))
    ]
    write_segments(tmp_path / "s.jsonl", claimed)
    rows = [
        [json.loads(line) for line in p.read_text().splitlines()]
        for p in (SHARED / "truth.jsonl", tmp_path / "s.jsonl")
    ]
    theirs, ours = other.score(*rows), score(scenes, claimed)
    assert theirs["cut_through"] == pytest.approx(ours.cut_through, abs=1e-4)
    assert theirs["lost_activity"] == pytest.approx(ours.lost, abs=1e-4)
    assert theirs["boundary_f1@0.5s"] == pytest.approx(ours.boundary_f1, abs=1e-3)
    assert theirs["routing_f1"] == pytest.approx(ours.routing_f1, abs=1e-3)
    assert theirs["mean_len_s"] == pytest.approx(ours.mean_s, abs=0.01)
    assert (theirs["over_cap"], theirs["under_1s"]) == (ours.over_cap, ours.under_short)
    assert theirs["cut_by_kind"] == {str(k): f"{a}/{b}" for k, (a, b) in sorted(ours.cut_by_kind.items())}
