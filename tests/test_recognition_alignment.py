"""Forced alignment is exact where the answer is known, and loses no word where it is not."""

from itertools import groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.base import Transcript
from annotators.recognition.alignment import Unaligned, romanised, spread, unaligned, words_of
from annotators.recognition.forced import Target, Vocabulary, WordFrames, aligned, best_path, target_of, with_star
from schemas.audio import Waveform
from schemas.record import Word
from schemas.span import Span

LETTERS = "-abcdefghijklmnopqrstuvwxyz'"  # the first is the blank
VOCABULARY = Vocabulary(ids={letter: n for n, letter in enumerate(LETTERS)}, blank=0)
WITH_BETWEEN = Vocabulary(ids={letter: n for n, letter in enumerate(LETTERS + "|")}, blank=0, between=len(LETTERS))


def emissions(frames: str, vocabulary: Vocabulary = VOCABULARY, sure: float = 0.9) -> np.ndarray:
    """A model that hears one letter in every frame, and is as sure of it; ? is a sound like every letter."""
    size = len(vocabulary.ids)
    heard = np.full((len(frames), size), (1 - sure) / (size - 1))
    for frame, letter in enumerate(frames):
        heard[frame] = 1 / size if letter == "?" else heard[frame]
        if letter != "?":
            heard[frame, vocabulary.ids[letter]] = sure
    return np.log(heard).astype(np.float32)


def align(frames, words, vocabulary=VOCABULARY, romanise=lambda word: word):
    heard = emissions(frames, vocabulary)
    target = target_of(words, vocabulary, heard.shape[1], romanise)
    placed = aligned(with_star(heard), target, len(words), vocabulary.blank)
    return [(one.start, one.end) for one in placed], [one.score for one in placed]


@pytest.mark.parametrize(
    ("frames", "words", "spans"),
    [
        pytest.param("--hh-i---", ["hi"], [(2, 6)], id="a word"),
        pytest.param("hi-you", ["hi", "you"], [(0, 2), (3, 6)], id="two words"),
        pytest.param("-hel-lo-", ["Hello!"], [(1, 7)], id="a repeated letter with its blank, and other spelling"),
        pytest.param("-hel?lo-", ["hello"], [(1, 7)], id="the blank is found where nothing is heard"),
        pytest.param("aa-a-", ["a", "a"], [(0, 2), (3, 4)], id="the same letter in two words"),
        pytest.param("-a-?????-b-", ["a", "1984", "b"], [(1, 2), (2, 9), (9, 10)], id="a number is a star"),
        pytest.param("a????b", ["a", "7", "8", "b"], [(0, 1), (1, 3), (3, 5), (5, 6)], id="two numbers share one"),
        pytest.param("a?b", ["7", "—", "a", "…", "b", "!"], None, id="what has no letters is silent"),
        pytest.param("-don't-", ["don’t"], [(1, 6)], id="an apostrophe it does not know is left out"),
    ],
)
def test_known_answers(frames, words, spans):
    placed, scores = align(frames, words)
    if spans is None:
        assert placed[1][0] == placed[1][1] == placed[0][1]
        assert placed[5] == (3, 3)
        assert [score is None for score in scores] == [True, True, False, True, False, True]
    else:
        assert placed == spans


def test_the_score_is_the_mean_probability_of_the_letters():
    (_, (score,)) = align("-hh-i-", ["hi"])
    assert score == pytest.approx(0.9, abs=1e-5)
    (_, (other,)) = align("-hh-?-", ["hi"])
    assert other == pytest.approx((0.9 + 1 / len(LETTERS)) / 2, abs=1e-5)
    (_, (number,)) = align("-hh-i-", ["42"])
    assert number is None


def test_a_sign_between_words_is_heard_and_belongs_to_none():
    placed, _ = align("hi||you|me", ["Hi", "you", "me"], WITH_BETWEEN)
    assert placed == [(0, 2), (4, 7), (8, 10)]


@pytest.mark.slow  # uroman reads its tables
def test_other_scripts_are_heard_in_latin_letters():
    placed, _ = align("-privet-mir-", ["Привет", "мир"], romanise=romanised)
    assert placed == [(1, 7), (8, 11)]
    assert romanised("日本", None).isascii()


def test_case_follows_the_vocabulary():
    upper = Vocabulary(ids={letter: n for n, letter in enumerate("-ABC")}, blank=0)
    assert upper.spelled("aBc!") == [1, 2, 3]
    assert upper.knows("abc 12")
    assert not upper.knows("abd")
    assert upper.lacks_digits("a1")


def slow_best(heard, tokens, blank):
    """Every path there is, by the definition of CTC: repeats made one, then blanks left out."""
    best = -np.inf
    for path in product(range(heard.shape[1]), repeat=len(heard)):
        if [token for token, _ in groupby(path) if token != blank] == list(tokens):
            best = max(best, sum(heard[frame, token] for frame, token in enumerate(path)))
    return best


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_path_is_better(data):
    num_tokens = data.draw(st.integers(2, 3))
    num_frames = data.draw(st.integers(1, 6))
    tokens = data.draw(st.lists(st.integers(1, num_tokens - 1), min_size=1, max_size=4))
    target = Target(tokens=tuple(tokens), owners=tuple(range(len(tokens))))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    logits = random.normal(size=(num_frames, num_tokens)) * 3
    heard = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    expected = slow_best(heard, tokens, 0)
    assert np.isfinite(expected) == (target.min_frames <= num_frames)
    if target.min_frames > num_frames:
        return
    spans = best_path(heard, tokens, 0)
    assert len(spans) == len(tokens)
    path = [0] * num_frames
    for (start, end, score), token in zip(spans, tokens, strict=True):
        path[start:end] = [token] * (end - start)
        assert score == pytest.approx(float(np.exp(heard[start:end, token]).mean()), rel=1e-4)
    assert [token for token, _ in groupby(path) if token] == tokens
    assert sum(heard[frame, token] for frame, token in enumerate(path)) == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(st.sampled_from(["hello", "a", "42", "—", "Öl", "7up", "мир", "see"]), min_size=1, max_size=8),
    num_frames=st.integers(45, 80),
    seed=st.integers(0, 99),
)
def test_every_word_has_its_frames_in_order(words, num_frames, seed):
    heard = np.log(np.random.default_rng(seed).dirichlet(np.ones(len(LETTERS)), num_frames)).astype(np.float32)
    target = target_of(words, VOCABULARY, len(LETTERS), lambda word: "mir" if word == "мир" else "ol")
    if not target.tokens or target.min_frames > num_frames:
        return
    placed = aligned(with_star(heard), target, len(words), 0)
    assert len(placed) == len(words)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(placed))
    for word, one in zip(words, placed, strict=True):
        assert (one.end > one.start) == any(letter.isalnum() for letter in word)


def stretch(duration_ms=2_000, start_ms=5_000):
    return Waveform(pcm=np.zeros(duration_ms * 16, np.int16), rate_hz=16_000, start_ms=start_ms)


def test_frames_become_times_of_the_recording_and_words_keep_what_is_known_of_them():
    timed = (
        Word(start_ms=5_000, end_ms=5_100, text="Hi,", score=0.4, speaker="S01"),
        Word(start_ms=5_200, end_ms=5_300, text="42", score=0.3, speaker="S02"),
    )
    asked = Unaligned(waveform=stretch(), words=("Hi,", "42"), timed=timed)
    frames = [WordFrames(start=10, end=20, score=0.8), WordFrames(start=20, end=30, score=None)]
    assert words_of(asked, frames, 20.0) == (
        Word(start_ms=5_200, end_ms=5_400, text="Hi,", score=0.8, speaker="S01"),
        Word(start_ms=5_400, end_ms=5_600, text="42", score=0.3, speaker="S02"),
    )


def test_words_are_taken_from_the_transcript_as_its_language_is_written():
    def words(text, language, timed=()):
        return unaligned(stretch(), Transcript(text=text, language=language, words=timed)).words

    assert words("hello there, you", "en") == ("hello", "there,", "you")
    assert words("你好，我用Python写。", "zh") == ("你", "好，", "我", "用", "Python", "写。")
    assert words("x", "en", (Word(start_ms=0, end_ms=1, text="timed", score=1.0),)) == ("timed",)
    assert words("", "en") == ()


def test_words_without_times_can_be_spread():
    words = spread(["one", "twenty"], Span.of(1_000, 1_900))
    assert [(word.start_ms, word.end_ms, word.score) for word in words] == [(1_000, 1_300, 0.0), (1_300, 1_900, 0.0)]
    assert spread([], Span.of(0, 10)) == ()


def test_a_word_whose_digits_cannot_be_spelled_is_a_star():
    vocabulary = Vocabulary(ids={"t": 1, "h": 2}, blank=0)
    assert target_of(["4th", "th"], vocabulary, 9, str).tokens == (9, 1, 2)
