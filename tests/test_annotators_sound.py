"""Sounds made of arithmetic are called what they are."""

import numpy as np
import pytest

from annotators.sound import SoundConfig, longest_outside
from schemas.record import Outcome
from schemas.span import Span
from tests.make_clips import band, clip, event, noise, quiet, tone

ANNOTATOR = SoundConfig().build()
CRACK = noise(250) * np.exp(-np.arange(4_000) / 800)
GLIDE = 0.3 * np.sin(2 * np.pi * np.cumsum(np.geomspace(300, 900, 32_000)) / 16_000)


def said_of(samples, *events, lead_ms=500):
    """What is said of one sound between two stretches of silence."""
    around = np.concatenate([quiet(lead_ms), samples, quiet(lead_ms)])
    marked = events or (event(lead_ms, lead_ms + max(1, len(samples) // 16)),)
    return ANNOTATOR.annotate([clip(around, *marked)])[0]


@pytest.mark.parametrize(
    ("samples", "kind", "words"),
    [
        pytest.param(CRACK, "burst", "a short broadband burst", id="a crack"),
        pytest.param(noise(5), "click", "click", id="a click"),
        pytest.param(tone(2_000), "tonal", "a steady tone at about 440 Hz", id="a tone"),
        pytest.param(tone(200, 1_000), "tonal", "a short tone at about 1000 Hz", id="a beep"),
        pytest.param(tone(2_000, 100) + tone(2_000, 200, 0.1), "hum", "hum at about 100 Hz", id="mains"),
        pytest.param(GLIDE, "rising", "a tone that rises from about", id="a rising whistle"),
        pytest.param(GLIDE[::-1], "falling", "a tone that falls from about", id="a falling whistle"),
        pytest.param(noise(2_000), "noise", "a steady broadband noise", id="white noise"),
        pytest.param(band(noise(2_000), 20, 150), "rumble", "low rumble", id="a lorry far away"),
        pytest.param(band(noise(2_000), 4_000, 7_500), "hiss", "a steady hiss", id="steam"),
        pytest.param(noise(3_000) * np.geomspace(1, 0.05, 48_000), "noise", "that dies away", id="fading noise"),
        pytest.param(np.tile(np.r_[tone(100), quiet(300)], 5), "repeated", "5 tones, about 2.5 a second", id="beeps"),
        pytest.param(quiet(500), "faint", "too faint", id="silence that was called a sound"),
    ],
)
def test_a_sound_is_called_what_it_is(samples, kind, words):
    (fact,) = said_of(samples).facts
    assert fact.kind == kind
    assert words in fact.text


@pytest.mark.parametrize("gain", [0.25, 0.5, 1.5])
def test_how_loud_it_is_does_not_change_what_it_is(gain):
    assert said_of(CRACK * gain).facts[0].kind == said_of(CRACK).facts[0].kind
    assert said_of(GLIDE * gain).text == said_of(GLIDE).text


def test_short_sounds_in_a_row_are_told_once():
    times = [500, 1_000, 1_500, 2_000]
    row = np.concatenate([np.r_[CRACK, quiet(250)]] * len(times))
    (fact,) = said_of(row, *(event(t, t + 200) for t in times)).facts
    assert (fact.start_ms, fact.text) == (500, "4 short bursts, about 2.0 a second")
    assert 2_000 < fact.end_ms <= 2_200  # where the last one has died away


def test_a_sound_under_speech_is_left_out_unless_it_stands_out():
    speech = event(0, 4_000, "Speech")
    murmur = tone(4_000, 200, 0.05)
    hidden, bang = murmur.copy(), murmur.copy()
    hidden[32_000:36_000] += 0.1 * CRACK
    bang[32_000:36_000] += 3 * CRACK
    marked = event(2_000, 2_250)
    assert ANNOTATOR.annotate([clip(hidden, speech, marked)])[0].outcome is Outcome.SKIPPED
    assert [f.kind for f in ANNOTATOR.annotate([clip(bang, speech, marked)])[0].facts] == ["bang"]


def test_a_sound_that_outlasts_speech_is_measured_where_nobody_speaks():
    (fact,) = ANNOTATOR.annotate([clip(noise(6_000), event(1_000, 2_000, "Speech"), event(0, 6_000))])[0].facts
    assert (fact.start_ms, fact.end_ms) == (2_000, 6_000)


def test_the_longest_part_outside_meets_no_cover():
    covers = [Span.of(0, 10), Span.of(40, 50), Span.of(45, 60)]
    assert longest_outside(Span.of(5, 100), covers) == Span.of(60, 100)
    assert longest_outside(Span.of(5, 9), covers) is None
    assert longest_outside(Span.of(70, 80), covers) == Span.of(70, 80)
