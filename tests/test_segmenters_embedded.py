"""What the embedded detector hears: activity above a background, speech, changes of timbre."""

import numpy as np
import pytest

from schemas.errors import ConfigError
from schemas.span import Span, covered_ms
from segmenters.activity import ActivityRules, active, runs
from segmenters.base import CLASSES, MUSIC, SOUND, SPEECH, TAG_MS, Hearing
from segmenters.embedded import EmbeddedDetector, EmbeddedDetectorConfig
from tests.sounds import click, melody, noise, one_after_another, silence, together, tone, voice, waveform


@pytest.fixture(scope="module")
def detector():
    return EmbeddedDetector()


def heard_ms(hearing: Hearing, start_ms: int, end_ms: int) -> int:
    return covered_ms(hearing.events, Span.of(start_ms, end_ms))


@pytest.mark.parametrize(
    "background",
    [
        pytest.param(silence(30_000), id="digital silence"),
        pytest.param(noise(30_000, -75), id="a quiet room"),
        pytest.param(noise(30_000, -48), id="rain"),
        pytest.param(together(tone(30_000, 100, -45), tone(30_000, 200, -50), noise(30_000, -65)), id="hum"),
    ],
)
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(tone(2_000, 700, -25), id="tone"),
        pytest.param(noise(2_000, -25, seed=5), id="burst"),
        pytest.param(melody(2_000, db=-25), id="melody"),
    ],
)
def test_an_event_above_a_background_is_heard_where_it_is(detector, background, event):
    hearing = detector.hear(waveform(together(background, one_after_another(silence(12_000), event))))
    assert heard_ms(hearing, 12_000, 14_000) >= 1_900
    assert heard_ms(hearing, 0, 11_900) + heard_ms(hearing, 14_100, 30_000) <= 300


def test_a_click_is_heard(detector):
    hearing = detector.hear(waveform(one_after_another(silence(3_000), click(100), silence(3_000))))
    assert [(e.label, abs(e.start_ms - 3_000) < 50) for e in hearing.events] == [(SOUND, True)]


@pytest.mark.parametrize("sound", [noise(26_000, -35, seed=3), melody(26_000, db=-30)], ids=["noise", "music"])
def test_a_long_sound_between_silences_is_active_throughout(detector, sound):
    samples = together(one_after_another(silence(10_000), sound, silence(10_000)), noise(46_000, -70))
    assert heard_ms(detector.hear(waveform(samples)), 10_000, 36_000) >= 25_500


@pytest.mark.parametrize(
    "sound", [noise(40_000, -25), melody(40_000), noise(40_000, -46)], ids=["loud", "music", "soft"]
)
def test_a_stretch_that_sounds_from_begin_to_end_is_active(detector, sound):
    assert heard_ms(detector.hear(waveform(sound)), 0, 40_000) >= 39_500


def test_a_voice_is_speech_and_nothing_else(detector):
    hearing = detector.hear(waveform(one_after_another(silence(2_000), voice(3_000), silence(2_000))))
    assert {event.label for event in hearing.events} == {SPEECH}


def test_a_voice_over_a_longer_sound_is_both(detector):
    samples = together(melody(20_000, db=-30), one_after_another(silence(8_000), voice(4_000, db=-15)))
    hearing = detector.hear(waveform(samples))
    assert {event.label for event in hearing.events} == {SPEECH, MUSIC}


def test_noise_is_called_neither_speech_nor_music(detector):
    hearing = detector.hear(waveform(one_after_another(silence(2_000), noise(5_000), silence(2_000))))
    assert {event.label for event in hearing.events} == {SOUND}


def test_long_music_has_places_to_divide_it_and_noise_has_none(detector):
    music = detector.hear(waveform(melody(40_000), start_ms=60_000))
    assert music.phrases
    assert all(61_000 <= phrase.at_ms <= 99_000 for phrase in music.phrases)
    assert not detector.hear(waveform(noise(40_000))).phrases


def test_the_classes_are_scored_over_the_whole_stretch_or_not_at_all(detector):
    sound = waveform(melody(5_000))
    assert detector.hear(sound).classes.shape == (-(-5_000 // TAG_MS), len(CLASSES))
    assert EmbeddedDetectorConfig(tags=False).build().hear(sound).classes.shape == (0, len(CLASSES))


def test_a_change_of_timbre_is_found(detector):
    hearing = detector.hear(waveform(one_after_another(noise(5_000, -20), tone(5_000, 500, -20))))
    strongest = max(hearing.changes, key=lambda change: change.strength)
    assert strongest.at_ms == pytest.approx(5_000, abs=100)
    assert strongest.strength > 0.6


def test_times_are_of_the_recording(detector):
    samples = one_after_another(silence(2_000), tone(1_000), silence(2_000))
    first = detector.hear(waveform(samples))
    later = detector.hear(waveform(samples, start_ms=60_000))
    assert later.span == Span.of(60_000, 65_000)
    assert [e.start_ms - 60_000 for e in later.events] == [e.start_ms for e in first.events]
    assert [c.at_ms - 60_000 for c in later.changes] == [c.at_ms for c in first.changes]


def test_the_same_samples_give_the_same_hearing_whatever_was_heard_before(detector):
    sound = waveform(together(noise(9_000, -40), one_after_another(silence(2_000), voice(3_000), click())))
    first = detector.hear(sound)
    detector.hear(waveform(melody(5_000)))
    again = detector.hear(sound)
    assert (again.events, again.changes) == (first.events, first.changes)
    np.testing.assert_array_equal(again.level_db, first.level_db)
    np.testing.assert_array_equal(again.classes, first.classes)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros(0), id="nothing"),
        pytest.param(np.ones(1), id="one sample"),
        pytest.param(noise(20), id="20 ms"),
        pytest.param(silence(5_000), id="zeros"),
        pytest.param(np.full(80_000, 0.5), id="a constant"),
        pytest.param(np.sign(tone(5_000)), id="clipped"),
        pytest.param(noise(5_000, -3), id="white noise"),
    ],
)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_any_sound_is_heard_without_complaint(detector, samples, rate_hz):
    hearing = detector.hear(waveform(samples, rate_hz=rate_hz))
    assert np.all(np.isfinite(hearing.level_db))
    assert all(hearing.span.contains(event) and 0 <= event.score <= 1 for event in hearing.events)


@pytest.mark.parametrize(
    "samples", [silence(5_000), np.full(80_000, 0.5), noise(5_000, -80)], ids=["zeros", "dc", "hiss"]
)
def test_where_nothing_sounds_nothing_is_heard(detector, samples):
    assert detector.hear(waveform(samples)).events == ()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        pytest.param([0] * 10 + [9] * 20 + [0] * 10, [(10, 30)], id="above"),
        pytest.param([0] * 10 + [3] * 20 + [0] * 10, [], id="never above the upper threshold"),
        pytest.param([0] * 10 + [9] * 9 + [3] * 20 + [0] * 10, [(10, 39)], id="lasts above the lower one"),
        pytest.param([9] * 10 + [0] * 15 + [9] * 10, [(0, 35)], id="a short gap is bridged"),
        pytest.param([9] * 10 + [0] * 30 + [9] * 10, [(0, 10), (40, 50)], id="a long gap is not"),
        pytest.param([0] * 10 + [9] * 3 + [0] * 10, [], id="a blip is dropped"),
    ],
)
def test_hysteresis(levels, expected):
    assert runs(active(np.array(levels, np.float32), ActivityRules())) == expected


def test_rules_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="off_db=9"):
        ActivityRules(off_db=9.0)
