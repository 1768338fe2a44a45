"""Metrics of speakers, sounds, captions and short answers, against what the packages of the field give, and by hand.

Numbers said to be of a package were computed with it: psds_eval 0.5.3, pycocoevalcap 1.2.
"""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation import answers, captions, sounds
from model.evaluation.captions import Evidence, cider_d, facts_told, rouge_l
from model.evaluation.errors import total, word_errors
from model.evaluation.sounds import CONFUSIONS, Clip, by_class, events_found, psds, segments_found
from model.evaluation.speakers import diarization_error, speaker_word_errors, turns_of
from schemas.formats.timeline import Event
from schemas.formats.transcript import Utterance
from schemas.span import Span


def events(*told: tuple[int, int, str]) -> tuple[Event, ...]:
    return tuple(Event(start_ms=start_ms, end_ms=end_ms, description=label) for start_ms, end_ms, label in told)


def said(*told: tuple[str, str]) -> list[Utterance]:
    """(speaker, words), a second each."""
    return [
        Utterance(start_ms=1_000 * place, end_ms=1_000 * place + 900, text=text, speaker=speaker)
        for place, (speaker, text) in enumerate(told)
    ]


def spans(*told: tuple[int, int]) -> list[Span]:
    return [Span.of(*one) for one in told]


# ----------------------------------------------------------------------------------------------- speakers


def test_diarization_error_is_parted_into_what_went_wrong():
    reference = turns_of([(0, 4_000, "S01"), (4_000, 8_000, "S02")])
    predicted = turns_of([(1_000, 4_000, "a"), (4_000, 6_000, "b"), (6_000, 8_000, "a"), (8_000, 9_000, "b")])
    found = diarization_error(reference, predicted, duration_ms=10_000, collar_ms=0)
    assert (found.total_ms, found.missed_ms, found.false_alarm_ms, found.confused_ms) == (8_000, 1_000, 1_000, 2_000)
    assert found.rate == 0.5


def test_within_the_collar_nothing_counts():
    reference, predicted = turns_of([(1_000, 4_000, "S01")]), turns_of([(1_100, 3_900, "x")])
    assert diarization_error(reference, predicted, duration_ms=5_000).errors_ms == 0
    assert diarization_error(reference, predicted, duration_ms=5_000, collar_ms=0).missed_ms == 200


def test_silence_has_no_rate_but_false_alarms():
    found = diarization_error([], turns_of([(0, 1_000, "x"), (500, 500, "y")]), duration_ms=2_000)
    assert (found.rate, found.false_alarm_ms) == (None, 1_000)
    assert diarization_error([], [], duration_ms=0).errors_ms == 0


def test_names_of_speakers_mean_nothing():
    reference = said(("S01", "good morning"), ("S02", "hello there"), ("S01", "how are you"))
    assert (
        speaker_word_errors(
            reference, said(("S02", "good morning"), ("S01", "hello there"), ("S02", "how are you"))
        ).errors
        == 0
    )
    swapped = said(("S01", "good morning"), ("S01", "hello there"), ("S01", "how are you"))
    assert speaker_word_errors(reference, swapped).errors == 2 + 2  # put in with one, left out with the other


@given(
    st.lists(st.tuples(st.sampled_from(["S01", "S02", "S03"]), st.sampled_from(["a", "b c", "d"])), max_size=5),
    st.data(),
)
def test_the_best_pairing_of_speakers_is_found(told, data):
    heard = data.draw(
        st.lists(st.tuples(st.sampled_from(["S01", "S02"]), st.sampled_from(["a", "b c", "d"])), max_size=4)
    )
    reference, predicted = said(*told), said(*heard)

    def text(row: list[Utterance], speaker: str) -> str:
        return " ".join(one.text for one in row if one.speaker == speaker)

    names = ["S01", "S02", "S03"]
    tried = [
        total(
            word_errors(text(reference, name), text(predicted, other)) for name, other in zip(names, order, strict=True)
        )
        for order in permutations(names)
    ]
    assert speaker_word_errors(reference, predicted).errors == min(one.errors for one in tried)


# ------------------------------------------------------------------------------------------------- sounds

TRUE = (
    events((0, 2_000, "dog"), (5_000, 5_500, "dog"), (1_000, 9_000, "rain")),
    events((500, 1_500, "cat"), (3_000, 6_000, "rain")),
)
TOLD = (
    events((150, 2_100, "Dog"), (5_050, 5_900, "dog"), (1_200, 8_000, "rain")),
    events((500, 1_500, "dog"), (3_100, 6_100, "rain"), (7_000, 7_500, "cat")),
)
PSDS = (0.4862437766434449, 0.5645761797177391)  # of both scenarios
CLIPS = [Clip(reference=true, predicted=told, duration_ms=10_000) for true, told in zip(TRUE, TOLD, strict=True)]


def test_events_are_found_where_both_edges_are_near():
    found = {
        one.label: (one.right, one.wrong, one.missed)
        for one in by_class(events_found(*both) for both in zip(TRUE, TOLD, strict=True))
    }
    assert found == {"dog": (1, 2, 1), "cat": (0, 1, 1), "rain": (2, 0, 0)}


def test_segments_are_whole_seconds():
    found = {
        one.label: (one.right, one.wrong, one.missed)
        for one in by_class(segments_found(*both) for both in zip(TRUE, TOLD, strict=True))
    }
    assert found == {"dog": (3, 3, 0), "cat": (0, 1, 2), "rain": (10, 1, 1)}


def test_pairs_of_events_are_as_many_as_there_can_be():
    reference, predicted = events((0, 1_000, "a"), (200, 1_200, "a")), events((150, 1_150, "a"), (0, 1_000, "a"))
    assert events_found(reference, predicted)[0].right == 2
    assert events_found(events((0, 1_000, "a")), predicted)[0].wrong == 1


@pytest.mark.parametrize(("late_ms", "right"), [(200, 1), (201, 0)])
def test_the_collar_is_met_to_the_millisecond(late_ms, right):
    assert events_found(events((0, 500, "a")), events((late_ms, 500, "a")))[0].right == right
    assert events_found(events((0, 500, "a")), events((0, 500 + late_ms, "a")))[0].right == right
    assert events_found(events((0, 10_000, "a")), events((0, 12_000, "a")))[0].right == 1


def test_psds_is_that_of_the_package():
    right = events(*((0, 300_000, label) for label in ("dog", "cat", "rain")))
    told = [*zip(TRUE, TOLD, strict=True), (right, right)]
    hour = [Clip(reference=true, predicted=heard, duration_ms=400_000) for true, heard in told]
    assert psds(hour) == pytest.approx(PSDS[0], abs=1e-9)
    assert psds(hour, CONFUSIONS) == pytest.approx(PSDS[1], abs=1e-9)


def test_psds_of_the_references_is_one_and_of_nothing_none():
    perfect = [Clip(reference=one.reference, predicted=one.reference, duration_ms=10_000) for one in CLIPS]
    assert psds(perfect) == psds(perfect, CONFUSIONS) == 1.0
    assert psds([Clip(reference=(), predicted=TOLD[0], duration_ms=10_000)]) is None
    assert psds([Clip(reference=TRUE[0], predicted=(), duration_ms=10_000)]) == 0.0


def test_a_time_as_late_as_there_is_costs_no_memory():
    late = events((0, 9_999_999_990, "dog"))
    assert segments_found(TRUE[0], late)[0].wrong == 9_999_997


# ----------------------------------------------------------------------------------------------- captions


def test_cider_and_rouge_are_those_of_the_package():
    references = ["a dog barks twice", "rain falls on a roof", "a dog runs in the rain"]
    predicted = ["a dog barks", "rain falls on the roof", "someone speaks"]
    assert cider_d(references, predicted) == pytest.approx([5.339599969235209, 4.260247641355719, 0.0], abs=1e-12)
    rouge = [rouge_l(*both) for both in zip(references, predicted, strict=True)]
    assert rouge == pytest.approx([0.8356164383561644, 0.8, 0.0], abs=1e-12)


def test_captions_without_spaces_are_compared_by_character():
    assert rouge_l("狗在叫", "狗叫") > 0.7
    assert rouge_l("", "") == 1.0
    assert rouge_l("a", "") == 0.0


BARK = Evidence(text="a dog barks", start_ms=3_200, end_ms=3_900, label="Bark")
WORDS = Evidence(text="good morning to you", start_ms=500, end_ms=1_500)


@pytest.mark.parametrize(
    ("caption", "told", "shifts"),
    [
        pytest.param("A dog is barking at 3.0 s.", 1, (-200,), id="by its label"),
        pytest.param("From 3.2 to 3.9 s a dog barks.", 1, (0,), id="a span"),
        pytest.param("A bark is heard [00:03].", 1, (-200,), id="a clock"),
        pytest.param("A dog barks for 3.2 seconds.", 1, (), id="a length is no time"),
        pytest.param("At 3.2 s it rains.", 0, (), id="a time tells nothing alone"),
        pytest.param('Someone says "good morning" at 0.6 s. Rain at 9 s.', 1, (100,), id="half of the words said"),
        pytest.param("Barking at 9 s, more barking at 4 s.\nA bark at 3.4 s", 1, (200,), id="the nearest of all"),
        pytest.param("", 0, (), id="nothing"),
    ],
)
def test_facts_are_told_by_name_or_words_and_timed_by_their_sentence(caption, told, shifts):
    found = facts_told([BARK, WORDS], caption)
    assert len(found) == 2
    assert sum(one.is_told for one in found) == told
    assert tuple(one.shift_ms for one in found if one.shift_ms is not None) == shifts


def test_a_label_of_several_names_is_told_by_any_of_them():
    plane = Evidence(text="x", start_ms=0, end_ms=1, label="Fixed-wing aircraft, airplane")
    assert facts_told([plane], "An airplane passes.")[0].is_told
    assert not facts_told([plane], "An aircraft passes.")[0].is_told


@given(st.text(max_size=200))
def test_no_caption_is_too_strange(text):
    assert len(facts_told([BARK, WORDS], text)) == 2
    assert 0 <= rouge_l("a dog barks", text) <= 1
    assert captions.words_of(text) is not None
    assert answers.number_in(text) is None or answers.number_in(text) >= 0
    assert all(one.duration_ms > 0 for one in answers.stretches_in(text))


# ------------------------------------------------------------------------------------------- short answers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("It is heard three times.", 3),
        ("120 BPM", 120),
        ("2 or 3", None),
        ("many", None),
        ("三次", 3),
        ("3, yes, 3", 3),
        ("1.5", 1.5),
        ("a1", None),
    ],
)
def test_the_one_number_of_an_answer_is_read(text, number):
    assert answers.number_in(text) == number


@pytest.mark.parametrize(
    ("text", "right"), [("Dog", True), ("the dog.", True), ("A dog", True), ("dogs", False), ("", False)]
)
def test_labels_are_the_same_but_for_case_and_articles(text, right):
    assert answers.is_same("Dog", text) is right


def test_lists_are_sets_of_names():
    found = answers.names_found("Bark; Rain; Fixed-wing aircraft, airplane", "rain;the bark; Meow; rain")
    assert (found.right, found.wrong, found.missed) == (2, 1, 1)


@pytest.mark.parametrize(
    "text", ["1.20 - 3.40, 7.00 - 8.10", "from 1.2 s to 3.4 s and 7-8.1 seconds", "[1.20] - [3.40]; 0:07 – 0:08.1"]
)
def test_stretches_are_read_however_they_are_written(text):
    assert answers.stretches_in(text.replace("[", "").replace("]", "")) == spans((1_200, 3_400), (7_000, 8_100))


def test_stretches_overlap_and_their_edges_are_compared():
    found = answers.stretches(spans((0, 1_000), (5_000, 6_000)), spans((5_100, 6_000), (500, 1_500)))
    assert found.iou == pytest.approx((500 + 900) / (1_500 + 1_000))
    assert (found.start_shifts_ms, found.end_shifts_ms) == ((500, 100), (500, 0))
    assert answers.stretches(spans((0, 1_000)), []).iou == 0


def test_shares_need_no_numpy_scalars():
    assert isinstance(sounds.psds(CLIPS), float)
    assert not isinstance(answers.stretches(spans((0, 10)), spans((0, 10))).start_shifts_ms[0], np.generic)
