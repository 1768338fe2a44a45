"""From scores of windows to events: exact on known scores, and the same as a slow and obvious way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import audioset
from schemas.errors import ConfigError
from schemas.record import Event
from schemas.span import Span
from segmenters.audioset.events import (
    EventRules,
    Found,
    events_of,
    hysteresis,
    most_specific,
    named_events,
    refined,
    without_rivals,
)
from segmenters.audioset.windows import at_moments, window_starts
from segmenters.base import Hearing
from segmenters.names import told

RULES = EventRules()


def event(start_ms, end_ms, label="Dog", score=0.8):
    return Event(start_ms=start_ms, end_ms=end_ms, label=label, score=score)


# --------------------------------------------------------------------------------------------- windows


@settings(deadline=None)
@given(st.integers(0, 5_000), st.integers(1, 800), st.integers(1, 800))
def test_windows_cover_every_sample_and_end_with_the_sound(num_samples, window, hop):
    hop = min(hop, window)
    starts = window_starts(num_samples, window, hop)
    heard = np.zeros(num_samples, bool)
    for start in starts:
        heard[start : start + window] = True
    assert heard.all()
    assert starts == sorted(set(starts))
    assert all(start + min(window, num_samples) <= num_samples for start in starts)
    assert (starts == []) == (num_samples == 0)


def test_windows_lie_a_hop_apart():
    assert window_starts(100, 40, 20) == [0, 20, 40, 60]
    assert window_starts(105, 40, 20) == [0, 20, 40, 60, 65]
    assert window_starts(30, 40, 20) == [0]


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_moments_are_weighted_means_of_the_windows_around(num_windows, num_moments, chance):
    centres = np.cumsum([chance.randint(1, 900) for _ in range(num_windows)]).astype(float)
    moments = np.array(sorted(chance.randint(0, 9_000) for _ in range(num_moments)), float)
    scores = np.array([[chance.random(), chance.random()] for _ in range(num_windows)], np.float32)
    slow = []
    for moment in moments:
        weights = [max(0.0, 1 - abs(centre - moment) / 1_000) for centre in centres]
        if not sum(weights):
            weights = [0.0] * num_windows
            weights[min(range(num_windows), key=lambda i, at=moment: (abs(centres[i] - at), i))] = 1.0
        slow.append(np.average(scores, axis=0, weights=weights))
    assert np.allclose(at_moments(scores, centres, moments, 1_000), slow, atol=1e-6)


def test_no_windows_no_moments():
    assert at_moments(np.zeros((0, 3)), np.zeros(0), np.zeros(0), 1_000).shape == (0, 3)


# --------------------------------------------------------------------------------------------- events of scores


def test_an_event_lasts_while_its_score_is_above_the_low_threshold():
    scores = np.array([0.0, 0.2, 0.2, 0.9, 0.9, 0.2, 0.1, 0.2, 0.1, 0.5, 0.5])
    assert hysteresis(scores, 0.5, 0.15) == [(1, 6), (9, 11)]
    assert hysteresis(np.zeros(5), 0.5, 0.15) == []
    assert hysteresis(np.ones(5), 0.5, 0.15) == [(0, 5)]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.3, 0.6]), max_size=30))
def test_hysteresis_as_one_would_do_it_by_hand(values):
    slow, start = [], None
    for i, value in enumerate([*values, 0.0]):
        if value > 0.15 and start is None:
            start = i
        elif value <= 0.15 and start is not None:
            if any(v >= 0.3 for v in values[start:i]):
                slow.append((start, i))
            start = None
    assert hysteresis(np.array(values), 0.3, 0.15) == slow


def test_events_of_known_scores():
    labels = ("Dog", "Rain")
    centres = np.array([1_000.0, 1_500.0, 2_000.0, 2_500.0, 3_000.0])
    dog = [0.0, 0.6, 0.8, 0.7, 0.0]
    rain = [0.4, 0.4, 0.4, 0.4, 0.4]
    scores = np.array([dog, rain], np.float32).T
    found = events_of(scores, labels, centres, Span.of(10_000, 14_000), RULES, 1_000)
    assert [(e.label, e.start_ms, e.end_ms) for e in found] == [("Dog", 11_250, 12_750), ("Rain", 10_000, 14_000)]
    assert found[0].score == pytest.approx((0.6 + 0.7 + 0.7) / 3)  # the medians of three
    assert found[1].score == pytest.approx(0.4)


def test_one_odd_window_is_no_event():
    scores = np.zeros((9, 1), np.float32)
    scores[4] = 0.99
    centres = np.arange(9) * 500.0 + 1_000
    assert events_of(scores, ("Dog",), centres, Span.of(0, 6_000), RULES, 1_000) == []
    assert len(events_of(scores, ("Dog",), centres, Span.of(0, 6_000), EventRules(smooth_windows=1), 1_000)) == 1


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 50))
def test_events_lie_inside_the_sound_and_are_the_same_again(num_windows, seed):
    scores = np.random.default_rng(seed).random((num_windows, 4)).astype(np.float32)
    labels, whole = ("Dog", "Bark", "Rain", "Siren"), Span.of(500, 500 + 2_000 + 500 * num_windows)
    centres = 1_000 + 500.0 * np.arange(num_windows)
    heard = [Span.of(700, 900), Span.of(1_000, 2_400)]
    found = named_events(scores, labels, centres, whole, heard, RULES, 1_000)
    assert all(whole.contains(e) and 0 <= e.score <= 1 for e in found)
    assert list(found) == sorted(found, key=lambda e: (e.start_ms, e.end_ms, e.label))
    assert found == named_events(scores, labels, centres, whole, heard, RULES, 1_000)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 20), st.permutations(range(4)))
def test_the_order_of_the_labels_changes_nothing(num_windows, seed, order):
    scores = np.random.default_rng(seed).random((num_windows, 4)).astype(np.float32)
    labels, whole = np.array(["Dog", "Bark", "Rain", "Siren"]), Span.of(0, 2_000 + 500 * num_windows)
    centres = 1_000 + 500.0 * np.arange(num_windows)
    one, other = (
        named_events(scores[:, columns], tuple(labels[columns]), centres, whole, [], RULES, 1_000)
        for columns in (list(range(4)), list(order))
    )
    assert one == other


# --------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        pytest.param([], (2_000, 4_000), id="background: nothing stands out"),
        pytest.param([(2_500, 3_700)], (2_500, 3_700), id="what stands out inside is the event"),
        pytest.param([(2_500, 3_000), (3_200, 3_800)], (2_500, 3_800), id="from the first to the last"),
        pytest.param([(1_400, 2_800), (3_400, 4_800)], (1_400, 4_800), id="out to an edge within reach"),
        pytest.param([(0, 9_000)], (2_000, 4_000), id="not out to an edge far away"),
        pytest.param([(0, 3_500)], (2_000, 3_500), id="one edge far, one inside"),
        pytest.param([(0, 1_900), (4_100, 5_000)], (2_000, 4_000), id="what does not meet it"),
    ],
)
def test_edges_are_those_of_what_stands_out(heard, expected):
    rough = Found(start_ms=2_000, end_ms=4_000, label="Dog", score=0.8)
    found = refined(rough, [Span.of(*span) for span in heard], 1_000)
    assert type(found) is Event
    assert (found.start_ms, found.end_ms) == expected


@settings(deadline=None)
@given(st.integers(0, 26_000), st.integers(100, 4_000), st.sampled_from([100, 300, 1_000]))
def test_what_an_ideal_tagger_hears_has_the_edges_of_what_stands_out(start_ms, duration_ms, enough_ms):
    """A tagger that is sure of every window which holds enough of the sound, and hears nothing in the others.

    Another sound, a second before or after a short one that must be heard whole, is not taken for it.
    """
    truth = Span.of(start_ms, start_ms + duration_ms)
    windows = [Span.of(at_ms, at_ms + 2_000) for at_ms in range(0, 28_001, 500)]
    least_ms = min(enough_ms, duration_ms)
    scores = np.array([[0.9 * (w.overlap_ms(truth) >= least_ms)] for w in windows], np.float32)
    centres = np.array([w.start_ms + 1_000.0 for w in windows])
    before = [Span.of(start_ms - 1_300, start_ms - 1_000)] if start_ms >= 1_300 else []
    after = [Span.of(truth.end_ms + 1_000, truth.end_ms + 1_300)]
    heard = [*before, truth, *after] if duration_ms <= min(500, enough_ms) else [truth]
    (found,) = named_events(scores, ("Dog",), centres, Span.of(0, 30_000), heard, RULES, 1_000)
    assert (found.start_ms, found.end_ms) == (truth.start_ms, truth.end_ms)


def test_a_short_event_is_what_stands_out_where_all_its_windows_are():
    rough = Found(start_ms=2_000, end_ms=4_500, label="Dog", score=0.8, shared=Span.of(3_000, 3_500))
    heard = [Span.of(2_100, 2_300), Span.of(3_400, 3_600), Span.of(4_000, 4_100)]
    found = refined(rough, heard, 1_000)
    assert (found.start_ms, found.end_ms) == (3_400, 3_600)


def test_what_stands_out_of_the_rain_does_not_shorten_it():
    scores = np.full((37, 1), 0.8, np.float32)
    centres = 1_000 + 500.0 * np.arange(37)
    whole, slam = Span.of(0, 20_000), Span.of(5_000, 5_400)
    (rain,) = named_events(scores, ("Rain",), centres, whole, [slam], RULES, 1_000)
    assert (rain.start_ms, rain.end_ms) == (0, 20_000)


# --------------------------------------------------------------------------------------------- names


def names(events):
    return [e.label for e in events]


def test_the_narrower_name_is_told_instead_of_the_wider():
    heard = [event(0, 2_000, "Animal"), event(0, 2_000, "Dog"), event(100, 1_900, "Bark"), event(0, 2_000, "Rain")]
    assert names(most_specific(heard, 0.5)) == ["Bark", "Rain"]


def test_the_wider_name_stays_where_the_narrower_is_not_heard():
    heard = [event(0, 10_000, "Animal"), event(0, 2_000, "Dog")]
    assert names(most_specific(heard, 0.5)) == ["Animal", "Dog"]
    assert names(most_specific([event(0, 2_000, "Animal"), event(3_000, 5_000, "Dog")], 0.5)) == ["Animal", "Dog"]


def test_two_narrower_names_together_cover_the_wider():
    heard = [event(0, 4_000, "Animal"), event(0, 1_500, "Dog"), event(2_000, 3_500, "Cat")]
    assert names(most_specific(heard, 0.5)) == ["Dog", "Cat"]


some_events = st.lists(
    st.builds(
        lambda label, start, length, score: event(start, start + length, label, score),
        st.sampled_from(["Animal", "Dog", "Bark", "Yip", "Howl", "Rain", "Growling", "Cat"]),
        st.integers(0, 40),
        st.integers(1, 40),
        st.sampled_from([0.3, 0.5, 0.9]),
    ),
    max_size=8,
)


def is_covered(one, others, share=0.5):
    """By half, counted millisecond by millisecond."""
    there = [any(o.start_ms <= at_ms < o.end_ms for o in others) for at_ms in range(one.start_ms, one.end_ms)]
    return sum(there) >= share * len(there)


@settings(deadline=None)
@given(some_events)
def test_names_are_resolved_as_one_would_by_hand(heard):
    narrower = {
        one.label: [o for o in heard if o.label != one.label and audioset.is_a(o.label, one.label)] for one in heard
    }
    assert most_specific(heard, 0.5) == [one for one in heard if not is_covered(one, narrower[one.label])]
    surer = [
        [
            o
            for o in heard
            if o.label != one.label
            and set(audioset.by_name(o.label).parents) & set(audioset.by_name(one.label).parents)
            and one.score < 0.7 * o.score
        ]
        for one in heard
    ]
    expected = [one for one, rivals in zip(heard, surer, strict=True) if not is_covered(one, rivals)]
    assert without_rivals(heard, RULES) == expected


def test_a_much_surer_sibling_is_the_one_that_is_told():
    barks = [event(0, 2_000, "Bark", 0.8), event(0, 2_000, "Bow-wow", 0.4), event(0, 2_000, "Rain", 0.3)]
    assert names(without_rivals(barks, RULES)) == ["Bark", "Rain"]
    assert names(without_rivals([event(0, 2_000, "Bark", 0.8), event(0, 2_000, "Yip", 0.7)], RULES)) == ["Bark", "Yip"]
    assert names(without_rivals([event(0, 1_000, "Bark"), event(1_500, 3_000, "Yip", 0.3)], RULES)) == ["Bark", "Yip"]


def test_instruments_are_no_rivals():
    band = [event(0, 2_000, "Acoustic guitar", 0.9), event(0, 2_000, "Electric guitar", 0.3)]
    assert without_rivals(band, RULES) == band


def test_what_others_tell_is_not_told_again():
    scores = np.full((5, 4), 0.9, np.float32)
    centres = 1_000 + 500.0 * np.arange(5)
    labels = ("Speech", "Music", "Silence", "Laughter")
    assert names(named_events(scores, labels, centres, Span.of(0, 4_000), [], RULES, 1_000)) == ["Laughter"]


# --------------------------------------------------------------------------------------------- segments


def hearing_of(events, labelled=()):
    whole = Span.of(0, 20_000)
    return Hearing(
        span=whole, events=tuple(events), changes=(), level_db=np.zeros(2_000, np.float32), labelled=labelled
    )


def told_of(events, *labelled):
    return [(e.label, e.start_ms, e.end_ms) for e in told(hearing_of(events, labelled))]


def test_without_names_a_segment_is_told_the_events_as_they_are():
    events = [event(0, 900, "Sound"), event(500, 2_000, "Speech"), event(3_000, 3_100, "Sound")]
    assert told(hearing_of(events)) == events


def test_a_sound_that_has_a_name_is_told_by_name_alone():
    barks = [event(1_000, 1_300, "Sound"), event(1_700, 2_000, "Sound")]
    assert told_of(barks, event(1_000, 2_000, "Dog")) == [("Dog", 1_000, 2_000)]


def test_a_name_for_the_background_names_no_sound_in_it():
    slam = event(5_000, 5_400, "Sound")
    assert ("Sound", 5_000, 5_400) in told_of([slam], event(0, 20_000, "Rain"))
    assert ("Sound", 5_000, 5_400) in told_of([slam], event(5_000, 5_400, "Inside, small room"))


def test_names_take_nothing_from_speech_and_music():
    events = [event(0, 2_000, "Speech"), event(0, 3_000, "Music")]
    heard = told_of(events, event(0, 2_000, "Laughter"), event(0, 3_000, "Guitar"))
    assert heard == [("Laughter", 0, 2_000), ("Speech", 0, 2_000), ("Guitar", 0, 3_000), ("Music", 0, 3_000)]


@pytest.mark.parametrize(
    "wrong", [{"on": 0.1}, {"off": 0.0}, {"smooth_windows": 2}, {"covered": 0.0}, {"rival_share": 2.0}], ids=str
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        EventRules(**wrong)
