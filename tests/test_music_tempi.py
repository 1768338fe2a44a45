"""The tempo over time: one where it does not change, and where it does, when and by how much."""

import itertools

import numpy as np
import pytest

from annotators.music import MusicConfig
from annotators.tempi import curve_of
from schemas.record import Profile
from tests.make_clips import clip, four_chords, noise

GAPS_MS = {"steady": [500] * 40, "step": [600] * 24 + [450] * 30, "ramp": np.geomspace(600, 420, 48)}
ANNOTATOR = MusicConfig().build()


def beats(gaps_ms, jitter_ms=0.0, seed=0):
    at = np.concatenate([[300.0], 300.0 + np.cumsum(gaps_ms)])
    return at + jitter_ms * np.random.default_rng(seed).standard_normal(len(at))


def curve(at_ms):
    return curve_of(at_ms, round(at_ms[-1]) + 400)


@pytest.mark.parametrize("kind", GAPS_MS)
@pytest.mark.parametrize("seed", range(5))
def test_the_stretches_tile_the_sound_and_neighbours_differ(kind, seed):
    at_ms = beats(GAPS_MS[kind], 8.0, seed)
    spans = curve(at_ms).spans
    assert spans[0].start_ms == 0
    assert spans[-1].end_ms == round(at_ms[-1]) + 400
    assert all(a.end_ms == b.start_ms and a.bpm != b.bpm for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("bpm", [60, 97, 133, 180])
@pytest.mark.parametrize("seed", range(10))
def test_one_tempo_stays_one_however_human(bpm, seed):
    found = curve(beats([60_000 / bpm] * 50, 12.0, seed))
    assert found.changes == ()
    assert found.spans[0].bpm == pytest.approx(bpm, rel=0.02)


def test_a_step_is_told_where_it_is():
    (change,) = curve(beats(GAPS_MS["step"], 5.0)).changes
    assert change.is_step
    assert change.start_ms == pytest.approx(300 + 24 * 600, abs=700)
    assert (change.from_bpm, change.to_bpm) == (pytest.approx(100, rel=0.02), pytest.approx(133.3, rel=0.02))


def test_a_ramp_is_told_from_its_beginning_to_its_end():
    gaps_ms = [600] * 12 + list(np.geomspace(600, 420, 30)) + [420] * 12
    (change,) = curve(beats(gaps_ms, 5.0)).changes
    assert not change.is_step
    assert change.start_ms == pytest.approx(300 + 12 * 600, abs=2_500)
    assert change.to_bpm / change.from_bpm == pytest.approx(600 / 420, rel=0.05)


def test_faster_backwards_is_slower():
    forth, back = (curve(beats(gaps)).changes[0] for gaps in (GAPS_MS["step"], GAPS_MS["step"][::-1]))
    assert forth.log_ratio == pytest.approx(-back.log_ratio, abs=0.01)


@pytest.mark.parametrize("times", [0.6, 1.5])
def test_time_stretched_stretches_tempi(times):
    plain, stretched = (curve(times_ms) for times_ms in (beats(GAPS_MS["step"]), times * beats(GAPS_MS["step"])))
    assert stretched.changes[0].from_bpm == pytest.approx(plain.changes[0].from_bpm / times, rel=0.01)
    assert stretched.changes[0].log_ratio == pytest.approx(plain.changes[0].log_ratio, abs=0.01)


@pytest.mark.parametrize("missed", [[10], [10, 25], [20, 21], [10, 20, 30, 35]])
def test_beats_that_are_missed_change_no_tempo(missed):
    assert curve(np.delete(beats(GAPS_MS["steady"], 5.0), missed)).changes == ()


def test_a_run_at_half_the_level_of_the_beat_is_no_change():
    at_ms = beats(GAPS_MS["steady"], 5.0)
    assert curve(np.concatenate([at_ms[:20], at_ms[20::2]])).changes == ()


@pytest.mark.parametrize("num", [0, 1, 2])
def test_too_few_beats_have_no_tempo(num):
    assert curve_of(list(range(0, 500 * num, 500)), 2_000) is None


# ----------------------------------------------------------------------------------------- in the sound


def said(samples, start_ms=0):
    return ANNOTATOR.annotate([clip(samples, start_ms=start_ms, profile=Profile(music=0.9))])[0]


def test_a_song_that_turns_faster_is_told_so_where_it_does():
    annotation = said(four_chords([600] * 20 + [480] * 24), start_ms=5_000)
    (fact,) = [fact for fact in annotation.facts if fact.kind == "tempo_change"]
    assert fact.text == "the tempo goes up at once from about 100 to about 125 beats a minute"
    assert fact.start_ms == pytest.approx(5_000 + 12_000, abs=700)
    assert [round(tempo.bpm) for tempo in annotation.tempi] == [100, 125]
    assert (annotation.tempi[0].start_ms, annotation.tempi[-1].end_ms) == (5_000, 5_000 + 12_000 + 24 * 480)
    assert all(0 <= tempo.score <= 1 for tempo in annotation.tempi)
    assert "tempo" not in {fact.kind for fact in annotation.facts}


def test_a_song_at_one_tempo_has_one():
    annotation = said(four_chords([500] * 40))
    assert [round(tempo.bpm) for tempo in annotation.tempi] == [120]
    assert "tempo_change" not in {fact.kind for fact in annotation.facts}


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_tempo_that_moves(seed):
    assert said(noise(15_000, seed=seed)).tempi == ()
