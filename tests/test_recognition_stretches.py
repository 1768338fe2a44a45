"""Stretches are cut at quiet moments into pieces that tile them, and words are put in order without losing one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.base import Transcript
from annotators.recognition.stretches import Timed, is_spaceless, joined, pieces, placed, text_of
from schemas.audio import Waveform, resampled
from schemas.record import Word
from schemas.span import Span
from tests.make import RATE_HZ, quiet, tone, waveform


def test_a_piece_without_words_does_not_say_that_nobody_speaks():
    said, silent = Transcript(text="so", no_speech=0.5), Transcript(text="", no_speech=0.1)
    assert joined([said, silent]).no_speech == 0.5


@given(duration_ms=st.integers(0, 9_000), max_ms=st.integers(200, 4_000), start_ms=st.integers(0, 5_000))
def test_pieces_tile_the_stretch(duration_ms, max_ms, start_ms):
    random = np.random.default_rng(duration_ms)
    whole = Waveform(pcm=random.integers(-99, 99, duration_ms * 16, dtype=np.int16), rate_hz=RATE_HZ, start_ms=start_ms)
    cut = pieces(whole, max_ms, search_ms=500)
    assert np.array_equal(np.concatenate([piece.pcm for piece in cut]), whole.pcm)
    assert [piece.start_ms for piece in cut[1:]] == [piece.end_ms for piece in cut[:-1]]
    assert max(piece.duration_ms for piece in cut) <= max_ms


def test_a_cut_is_where_it_is_quiet():
    sound = np.concatenate([tone(2_700), quiet(200), tone(2_700)])
    (first, _) = pieces(waveform(sound, start_ms=1_000), 4_000, search_ms=2_000)
    assert 3_700 <= first.end_ms <= 3_900


def test_sound_is_resampled_to_what_recognisers_hear():
    assert len(resampled(Waveform(pcm=np.zeros(44_100, np.int16), rate_hz=44_100), RATE_HZ)) == RATE_HZ
    assert len(resampled(Waveform(pcm=np.zeros(0, np.int16), rate_hz=44_100), RATE_HZ)) == 0


@given(
    spans=st.lists(st.tuples(st.floats(-500, 3_000), st.floats(-500, 3_000)), max_size=30),
    start_ms=st.integers(0, 1_000),
    duration_ms=st.integers(1, 1_500),
)
def test_placed_words_are_in_order_inside_and_all_there(spans, start_ms, duration_ms):
    timed = [Timed(text=str(n), start_ms=a, end_ms=b, score=0.5) for n, (a, b) in enumerate(spans)]
    within = Span.of(start_ms, start_ms + duration_ms)
    words = placed(timed, within)
    assert [word.text for word in words] == ([one.text for one in timed] if len(timed) <= duration_ms else [])
    assert all(within.contains(word) for word in words)
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(words))


def test_times_that_are_in_order_stay():
    timed = [Timed(text="a", start_ms=100, end_ms=250, score=1.5), Timed(text="b", start_ms=250, end_ms=400, score=-1)]
    assert placed(timed, Span.of(0, 500)) == (
        Word(start_ms=100, end_ms=250, text="a", score=1.0),
        Word(start_ms=250, end_ms=400, text="b", score=0.0),
    )


@pytest.mark.parametrize(
    ("words", "language", "text"),
    [
        (["hello", "there"], "en", "hello there"),
        (["你好", "，", "世界"], "zh", "你好，世界"),
        (["我", "用", "Python", "3", "写"], "zh", "我用Python 3写"),
        (["안녕", "하세요"], "ko", "안녕 하세요"),
        (["สวัสดี", "ครับ"], None, "สวัสดีครับ"),
        (["", "a", "", "b"], None, "a b"),
        ([], "en", ""),
    ],
)
def test_words_are_joined_as_the_language_is_written(words, language, text):
    assert text_of(words, language) == text


@pytest.mark.parametrize(
    ("text", "language", "spaceless"),
    [("hello", "zh", True), ("你好", "en", False), ("你好 ok", None, True), ("", None, False), ("x", "zh-TW", True)],
)
def test_which_writing_has_spaces(text, language, spaceless):
    assert is_spaceless(text, language) is spaceless


def test_pieces_are_joined_with_what_was_said_most_deciding():
    first = Transcript(text="yes", language="da", language_score=0.4, score=0.5, no_speech=0.3)
    second = Transcript(text="that is how it is", language="en", language_score=0.9, score=1.0, no_speech=0.1)
    both = joined([first, Transcript(text=""), second])
    assert (both.text, both.language, both.language_score, both.no_speech) == ("yes that is how it is", "en", 0.9, 0.1)
    assert both.score == pytest.approx((3 * 0.5 + 17 * 1.0) / 20)
    assert joined([first]) is first
    assert joined([Transcript(text="", error="gone"), second]).error == "gone"
