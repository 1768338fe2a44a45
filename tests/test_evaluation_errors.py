"""Words and characters are counted as one would by hand, both sides alike, and summed before they are divided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.errors import character_errors, is_spaceless, normalised, total, word_errors
from model.evaluation.intervals import mean, ratio

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dé"]), max_size=7).map(" ".join)


def slowly(reference: list[str], predicted: list[str]) -> int:
    """The fewest edits, by trying them all."""
    if not reference or not predicted:
        return len(reference) + len(predicted)
    return min(
        slowly(reference[1:], predicted[1:]) + (reference[0] != predicted[0]),
        slowly(reference[1:], predicted) + 1,
        slowly(reference, predicted[1:]) + 1,
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("Hello, World!", "hello world", id="case and punctuation"),
        pytest.param("it’s the dogs' bone", "it's the dogs bone", id="an apostrophe stays within a word"),
        pytest.param("well-known", "well known", id="a hyphen parts"),
        pytest.param("ＡＢＣ１２", "abc12", id="full width"),
        pytest.param("今天，天气。", "今天 天气", id="Chinese marks"),
        pytest.param("straße STRASSE", "strasse strasse", id="casefolded"),
        pytest.param(" a\n\tb\u00a0c ", "a b c", id="white space"),
        pytest.param("กำลัง", "กําลัง", id="combining marks stay"),
        pytest.param("\ue000", "", id="a private letter is no word"),
        pytest.param("!?", "", id="nothing said"),
    ],
)
def test_normalised(text, plain):
    assert normalised(text) == plain
    assert normalised(plain) == plain


@given(st.text())
def test_what_is_normalised_stays_so(text):
    assert normalised(normalised(text)) == normalised(text)


@given(WORDS, WORDS)
def test_edits_are_the_fewest(reference, predicted):
    found = word_errors(reference, predicted)
    assert found.errors == slowly(reference.split(), predicted.split())
    assert found.num_reference == len(reference.split())


def test_raw_is_as_written_and_normalised_is_not():
    assert word_errors("Hello, you.", "hello you").errors == 0
    assert word_errors("Hello, you.", "hello you", raw=True).errors == 2
    assert character_errors("你好 吗", "你好吗").errors == 0
    assert character_errors("你好。", "你好", raw=True).deletions == 1


@pytest.mark.parametrize(
    ("reference", "predicted", "rate"),
    [("", "", 0.0), ("a b", "", 1.0), ("", "a b c", 3.0), ("a", "b c", 2.0)],
)
def test_the_empty_cases_have_rates(reference, predicted, rate):
    assert word_errors(reference, predicted).rate == rate


def test_a_corpus_is_the_sum():
    edits = [word_errors("a b c d", "a b c x"), word_errors("a", "b")]
    assert total(edits).rate == 2 / 5
    assert total([]).rate == 0


@pytest.mark.parametrize(
    ("text", "language", "spaceless"),
    [("hello", None, False), ("今天好", None, True), ("今天 ok", "en", False), ("", None, False), ("x", "yue", True)],
)
def test_languages_without_spaces_are_known_or_seen(text, language, spaceless):
    assert is_spaceless(text, language) is spaceless


def test_an_interval_holds_its_value_and_is_the_same_again():
    drawn = np.random.default_rng(3)
    below = drawn.integers(1, 20, 200)
    above = drawn.binomial(below, 0.3)
    found = ratio(above, below)
    assert found.value == above.sum() / below.sum()
    assert found.low < found.value < found.high
    assert found.low < 0.3 < found.high
    assert found == ratio(above, below)


def test_clips_of_one_recording_are_drawn_together():
    values = [0.0] * 50 + [1.0] * 50
    apart = mean(values)
    together = mean(values, ["x"] * 50 + ["y"] * 50)
    assert (together.low, together.high) == (0.0, 1.0)
    assert apart.high - apart.low < 0.3
    assert (together.num_items, together.num_groups) == (100, 2)


def test_nothing_to_divide_by_is_no_number():
    assert ratio([1], [0]).value is None
    assert ratio([], []).value is None
    assert mean([0.5]) == ratio([0.5], [1.0])
    assert mean([0.5]).low is None
