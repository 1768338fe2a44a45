"""Time stamps find their partners by words first and by nearness second, and every shift counts."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.shift import aas, aligned
from schemas.formats import transcript
from schemas.formats.transcript import Utterance


def units(*told: tuple[str, int, int]) -> list[Utterance]:
    return [Utterance(start_ms=start_ms, end_ms=end_ms, text=text) for text, start_ms, end_ms in told]


@st.composite
def words(draw) -> list[Utterance]:
    texts = draw(st.lists(st.sampled_from("abc"), max_size=7))
    starts = sorted(draw(st.lists(st.integers(0, 40), min_size=len(texts), max_size=len(texts))))
    return units(*((text, start, start + draw(st.integers(0, 5))) for text, start in zip(texts, starts, strict=True)))


def best_slowly(reference: list[Utterance], predicted: list[Utterance]) -> tuple[int, int, int]:
    """(edits, minus matches, shift) of the best alignment, over all there are."""

    @cache
    def best(i: int, j: int) -> tuple[int, int, int]:
        if i == len(reference) or j == len(predicted):
            return (len(reference) - i + len(predicted) - j, 0, 0)
        a, b = reference[i], predicted[j]
        same = a.text == b.text
        shift = abs(a.start_ms - b.start_ms) + abs(a.end_ms - b.end_ms) if same else 0
        ways = [
            plus(best(i + 1, j + 1), (int(not same), -int(same), shift)),
            plus(best(i + 1, j), (1, 0, 0)),
            plus(best(i, j + 1), (1, 0, 0)),
        ]
        return min(ways)

    def plus(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
        return (one[0] + other[0], one[1] + other[1], one[2] + other[2])

    return best(0, 0)


@settings(max_examples=400)
@given(words(), words())
def test_the_alignment_is_the_best_of_all(reference, predicted):
    pairs = aligned(reference, predicted)
    assert all(reference[i].text == predicted[j].text for i, j in pairs)
    assert pairs == sorted(set(pairs))
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    edits, matches, shift = best_slowly(reference, predicted)
    found = aas(reference, predicted)
    assert found.num_matched == -matches
    assert sum(map(abs, found.shifts_ms)) == shift
    i_before, j_before, least = -1, -1, 0  # the fewest edits these matches allow
    for i, j in [*pairs, (len(reference), len(predicted))]:
        least += max(i - i_before, j - j_before) - 1
        i_before, j_before = i, j
    assert least == edits


@given(words())
def test_the_same_has_no_shift(reference):
    found = aas(reference, reference)
    assert found.num_matched == len(reference)
    assert not any(found.shifts_ms)


def test_a_repeated_word_is_matched_to_the_nearer_twin():
    reference = units(("no", 0, 100), ("no", 5_000, 5_100))
    assert aligned(reference, units(("no", 4_990, 5_100))) == [(1, 0)]
    assert aligned(reference, units(("no", 20, 100))) == [(0, 0)]
    assert aas(reference, units(("no", 4_990, 5_100))).shifts_ms == (-10, 0)


def test_shifts_are_signed_and_both_edges_count():
    found = aas(units(("a", 0, 100), ("b", 100, 300)), units(("A", 10, 90), ("x", 100, 200), ("b,", 160, 300)))
    assert found.shifts_ms == (10, -10, 60, 0)
    assert found.aas_ms == 20.0
    assert (found.num_reference, found.num_predicted, found.matched_share) == (2, 3, 1.0)


def test_where_nothing_matches_there_is_no_average():
    found = aas(units(("a", 0, 100)), units(("b", 0, 100)))
    assert (found.aas_ms, found.matched_share) == (None, 0.0)
    assert aas([], []).aas_ms is None
    assert aas([], units(("b", 0, 100))).matched_share == 0.0


def test_nothing_is_clipped():
    assert aas(units(("a", 0, 100)), units(("a", 3_600_000, 3_600_100))).aas_ms == 3_600_000


def test_sentences_may_have_some_wrong_words():
    reference = units(("the cat sat down", 0, 1_000), ("and it rained", 1_200, 2_000))
    predicted = units(("the cat sat town", 50, 1_000), ("something else", 1_200, 2_000))
    assert aas(reference, predicted).num_matched == 0
    assert aas(reference, predicted, max_error=0.5).shifts_ms == (50, 0)


@pytest.mark.parametrize("text", ["...", "!"])
def test_marks_alone_match_themselves_only(text):
    assert aas(units((text, 0, 10)), units((text, 0, 10))).num_matched == 1
    assert aas(units((text, 0, 10)), units(("?", 0, 10))).num_matched == 0


def test_thousands_of_words_are_aligned():
    reference = units(*((f"w{n % 97}", 10 * n, 10 * n + 9) for n in range(3_000)))
    predicted = [Utterance(start_ms=u.start_ms + 5, end_ms=u.end_ms, text=u.text) for u in reference if u.start_ms % 7]
    found = aas(reference, predicted)
    assert found.num_matched == len(predicted)
    assert found.aas_ms == 2.5


def test_what_a_model_writes_is_measured():
    reference = transcript.parse("[0.00]hello[0.50][0.50]there[1.00]").items
    predicted = transcript.parse("[0:00.1] Hello, [0.50] [0.60]there[1.00] and", duration_ms=None).items
    assert aas(reference, predicted).shifts_ms == (100, 0, 100, 0)
