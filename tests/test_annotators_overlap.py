"""Two voices at once: the deciding on made scores, the hearing on real voices where there are some."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from annotators.speakers.overlap import (
    FEATURES,
    FRAMES_PER_STEP,
    RATE_HZ,
    STEP_MS,
    OverlapDetector,
    OverlapRules,
    features,
    marked,
    met,
    overlaps_of,
)
from annotators.speech import SpeechConfig
from schemas.audio import Waveform
from schemas.record import Profile, Turn
from schemas.span import Span
from segmenters.embedded import EmbeddedDetector
from tests.make_clips import band, clip, event, noise, plucked, quiet, tone

starts = st.integers(0, 3_000)
RULES = OverlapRules()
STEP_SAMPLES = STEP_MS * RATE_HZ // 1000
SPEECH = Path(__file__).parents[2] / "shared" / "speech"
needs_speech = pytest.mark.skipif(not SPEECH.is_dir(), reason="recordings of real speech are not beside this checkout")


@pytest.fixture(scope="module")
def detector():
    return OverlapDetector()


def heard(detector, samples, rate_hz=RATE_HZ):
    return detector.hear(Waveform.from_float(samples, rate_hz))


def scores_with(*loud, num_steps=100):
    scores = np.zeros(num_steps, np.float32)
    for first, last in loud:
        scores[first:last] = 0.9
    return scores


@given(st.lists(st.floats(0, 1, width=32), min_size=50, max_size=50), st.integers(0, 1_900), st.integers(1, 1_900))
def test_overlaps_lie_in_the_speech_in_order_and_none_is_too_short(scores, start_ms, duration_ms):
    whole = Span.of(5_000, 7_000)
    speech = Span.of(5_000 + start_ms, min(7_000, 5_000 + start_ms + duration_ms))
    overlaps = overlaps_of(np.array(scores, np.float32), [speech], whole, RULES)
    assert all(speech.contains(one) and one.duration_ms >= RULES.min_ms for one in overlaps)
    assert all(before.end_ms < after.start_ms for before, after in itertools.pairwise(overlaps))
    assert all(0 <= one.score <= 1 for one in overlaps)


def test_a_moment_is_no_overlap_and_a_gap_in_one_is_bridged():
    whole = Span.of(1_000, 5_000)
    overlaps = overlaps_of(scores_with((10, 12), (20, 30), (32, 40)), [whole], whole, RULES)
    assert [(one.start_ms, one.end_ms) for one in overlaps] == [(1_800, 2_600)]


def test_a_voice_that_seems_two_all_the_time_is_one():
    whole = Span.of(0, 4_000)
    scores = scores_with((20, 40))
    assert len(overlaps_of(scores, [whole], whole, RULES)) == 1
    assert overlaps_of(np.maximum(scores, 0.4), [whole], whole, RULES) == []


def test_a_turn_is_marked_where_another_voice_is_heard_with_it():
    turns = [Turn(start_ms=a, end_ms=b, speaker=s) for a, b, s in [(0, 900, "S01"), (900, 2_000, "S02")]]
    beginning_ms = 900 - RULES.min_ms
    assert [t.overlap for t in marked(turns, [Span.of(beginning_ms, 950)], RULES.min_ms)] == [True, False]
    assert [t.overlap for t in marked(turns, [], RULES.min_ms)] == [False, False]


def test_speakers_who_follow_each_other_meet_in_an_overlap_and_one_speaker_does_not():
    turns = [Turn(start_ms=a, end_ms=b, speaker=s) for a, b, s in [(0, 900, "S01"), (950, 2_000, "S02")]]
    overlaps = [Span.of(700, 1_100), Span.of(1_500, 1_900)]
    assert [(t.start_ms, t.end_ms) for t in met(turns, overlaps, RULES.reach_ms)] == [(0, 1_100), (700, 2_000)]
    alone = [replace(turn, speaker="S01") for turn in turns]
    assert met(alone, overlaps, RULES.reach_ms) == alone


@given(st.lists(st.tuples(st.integers(1, 900), st.sampled_from(["S01", "S02"])), max_size=6), starts, starts)
def test_turns_that_meet_stay_in_order_and_lose_nothing(sizes, one_ms, other_ms):
    edges = itertools.accumulate((size for size, _ in sizes), initial=0)
    turns = [
        Turn(start_ms=a, end_ms=b, speaker=speaker)
        for (a, b), (_, speaker) in zip(itertools.pairwise(edges), sizes, strict=True)
    ]
    longer = met(turns, [Span.of(one_ms, one_ms + 400), Span.of(other_ms, other_ms + 1_000)], RULES.reach_ms)
    assert all(after.contains(before) for before, after in zip(turns, longer, strict=True))
    assert [t.start_ms for t in longer] == sorted(t.start_ms for t in longer)
    assert max((t.end_ms for t in longer), default=0) == max((t.end_ms for t in turns), default=0)


def test_a_picture_is_a_whole_number_of_steps_and_moves_with_the_sound():
    sound = noise(2_000)
    picture, later = features(sound), features(np.concatenate([quiet(STEP_MS * 5), sound]))
    assert picture.shape == (2_000 // STEP_MS * FRAMES_PER_STEP, FEATURES)
    assert features(sound[: STEP_SAMPLES + 1]).shape[0] == 2 * FRAMES_PER_STEP
    inside = slice(20, 80)
    shifted = slice(20 + 5 * FRAMES_PER_STEP, 80 + 5 * FRAMES_PER_STEP)
    assert np.allclose(picture[inside, 64:], later[shifted, 64:], atol=1e-4)


def test_a_louder_copy_looks_and_is_heard_alike(detector):
    sound = np.concatenate([plucked((48, 52, 55)), plucked((50,)), noise(1_000, 0.02)])
    assert np.allclose(features(sound), features(sound * 4), atol=0.02)
    assert np.allclose(heard(detector, sound), heard(detector, sound * 4), atol=0.15)


NO_VOICES = {
    "silence": quiet(4_000),
    "noise": noise(4_000),
    "a tone": tone(4_000),
    "a rumble": band(noise(4_000), 0, 200),
    "clicks": np.tile(np.concatenate([noise(10, 0.3), quiet(390)]), 10),
}


@pytest.mark.parametrize("name", NO_VOICES)
def test_what_is_no_voice_is_not_two(detector, name):
    whole = Span.of(0, 4_000)
    assert overlaps_of(heard(detector, NO_VOICES[name]), [whole], whole, RULES) == []


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_there_is_a_score_for_every_step_begun(detector, rate_hz):
    for duration_ms in (10, 40, 41, 1_000):
        assert len(heard(detector, np.zeros(rate_hz * duration_ms // 1000), rate_hz)) == -(-duration_ms // STEP_MS)


@needs_speech
def test_in_a_real_telephone_call_most_of_what_is_marked_is_two_voices():
    samples, rate_hz = soundfile.read(SPEECH / "pyannote_sample.wav", dtype="float32")
    events = [e for e in EmbeddedDetector().hear(Waveform.from_float(samples, rate_hz)).events if e.label == "Speech"]
    (said,) = SpeechConfig().build().annotate([clip(samples, *events)])
    parts = [line.split() for line in (SPEECH / "pyannote_sample.rttm").read_text().splitlines()]
    spoken = [(int(1000 * float(p[3])), int(1000 * (float(p[3]) + float(p[4]))), p[7]) for p in parts]
    truly = [
        both
        for (a, b, one), (c, d, other) in itertools.combinations(spoken, 2)
        if one != other and (both := Span.of(a, b).clipped(Span.of(c, d)))
    ]
    right_ms = sum(span.overlap_ms(true) for span in said.overlaps for true in truly)
    assert right_ms > 0.6 * sum(span.duration_ms for span in said.overlaps)
    assert right_ms > 0.25 * sum(true.duration_ms for true in truly)
    assert {turn.overlap for turn in said.turns} == {True, False}


def test_in_music_it_is_not_asked():
    samples = band(noise(3_000), 100, 3_000)
    music, speech = (
        SpeechConfig().build().annotate([clip(samples, event(0, 3_000, "Speech"), profile=profile)])[0]
        for profile in (Profile(speech=0.9, music=0.9), Profile(speech=0.9))
    )
    assert {turn.overlap for turn in music.turns} == {None}
    assert {turn.overlap for turn in speech.turns} == {False}


@needs_speech
def test_two_readers_at_once_are_heard_and_each_alone_is_not(detector):
    one, other = (soundfile.read(SPEECH / name)[0][:80_000] for name in ("libri_2412_0.flac", "libri_1088.wav"))
    one, other = (samples / np.std(samples) * 0.05 for samples in (one, other))
    whole = Span.of(0, 5_000)
    both = overlaps_of(heard(detector, one + other), [whole], whole, RULES)
    assert sum(span.duration_ms for span in both) > 1_000
    for alone in (one, other):
        assert sum(span.duration_ms for span in overlaps_of(heard(detector, alone), [whole], whole, RULES)) < 300
