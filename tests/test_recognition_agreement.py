"""Two recognisers are compared in one form, and what follows from their disagreement is decided at its thresholds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.recognition.agreement import MAX_UNITS, AgreementRules, Verdict, error_rate, judged, normalised
from schemas.errors import ConfigError

RULES = AgreementRules(flag_above=0.25, drop_above=0.5)


def test_no_more_is_compared_than_a_stretch_may_hold():
    most = "a " * MAX_UNITS
    assert error_rate(most + "b", most + "c", "en") == 0.0
    assert error_rate(most[2:] + "b", most[2:] + "c", "en") > 0.0


@pytest.mark.parametrize(
    ("first", "second", "language", "rate"),
    [
        pytest.param("the cat sat down", "the cat sat down", "en", 0.0, id="the same"),
        pytest.param("The cat — sat down!", "the ＣＡＴ sat, down", "en", 0.0, id="written otherwise"),
        pytest.param("I don't know", "i dont know", "en", 0.0, id="an apostrophe"),
        pytest.param("the cat sat down", "the cat sat", "en", 0.25, id="a word less"),
        pytest.param("the cat", "the cat sat on a mat", "en", 2.0, id="may pass 1"),
        pytest.param("今天天气很好", "今天天汽很好。", "zh", 1 / 6, id="Chinese by characters"),
        pytest.param(
            "今天天气很好", "今天 天汽 很好", None, 1 / 6, id="by the letters where nobody knows the language"
        ),
        pytest.param("สวัสดีครับ", "สวัสดีคับ", "th", 0.1, id="Thai by characters"),
        pytest.param("오늘 날씨가 좋다", "오늘 날씨는 좋다", "ko", 1 / 3, id="Korean by words"),
        pytest.param("", "", "en", 0.0, id="nothing against nothing"),
        pytest.param("", "hello there", "en", 1.0, id="nothing against words"),
        pytest.param("hello there", "...", "en", 1.0, id="words against nothing"),
    ],
)
def test_error_rates(first, second, language, rate):
    assert error_rate(first, second, language) == pytest.approx(rate)


@given(st.text(max_size=40))
def test_the_form_is_a_form(text):
    assert normalised(normalised(text)) == normalised(text)
    assert error_rate(text, text) == 0


def slow_distance(first, second):
    if not first or not second:
        return len(first) + len(second)
    return min(
        slow_distance(first[1:], second) + 1,
        slow_distance(first, second[1:]) + 1,
        slow_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5), st.lists(st.sampled_from("ab"), max_size=5))
def test_it_is_the_edit_distance(first, second):
    expected = slow_distance(first, second) / len(first) if second else 1.0
    assert error_rate(" ".join(first), " ".join(second), "en") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ("a b c d e f g h", Verdict.KEEP),
        ("a b c d e f x y", Verdict.KEEP),  # at the threshold
        ("a b c d e x y z", Verdict.FLAG),
        ("a b c d w x y z", Verdict.FLAG),  # at the threshold
        ("a b c v w x y z", Verdict.DROP),
        ("", Verdict.DROP),
        (None, Verdict.KEEP),
    ],
)
def test_what_follows(second, verdict):
    told = judged("a b c d e f g h", second, RULES, "en")
    assert told.verdict is verdict
    assert (told.reason is None) == (verdict is Verdict.KEEP)
    assert (told.disagreement is None) == (second is None)


def test_the_reason_is_a_sentence_with_its_numbers():
    assert judged("你好吗", "你坏了", RULES, "zh").reason == (
        "two recognisers differ in 67 of 100 characters, more than 50"
    )


def test_rules_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"flag_above=0\.6 must lie between 0 and drop_above=0\.5"):
        AgreementRules(flag_above=0.6)
