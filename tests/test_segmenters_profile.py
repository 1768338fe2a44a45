"""Speech is speech, music is music, and what is neither is a sound."""

from dataclasses import asdict

import numpy as np
import pytest

from schemas.errors import ConfigError
from schemas.record import Branch, Profile
from schemas.span import Span
from segmenters.embedded import EmbeddedDetector, EmbeddedDetectorConfig
from segmenters.profile import MeasuringProfiler, MeasuringProfilerConfig, Routing, branches_for
from tests.sounds import click, melody, noise, one_after_another, silence, together, tone, voice, waveform


@pytest.fixture(scope="module")
def profiles():
    detector, profiler = EmbeddedDetector(), MeasuringProfiler()

    def profiles(samples, *spans):
        sound = waveform(samples)
        heard = detector.hear(sound)
        return profiler.profile(sound, heard, spans or [heard.span])

    return profiles


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(voice(5_000), {Branch.SPEECH}, id="a voice"),
        pytest.param(melody(5_000), {Branch.MUSIC}, id="chords"),
        pytest.param(noise(5_000), {Branch.SOUND}, id="noise"),
        pytest.param(tone(5_000), {Branch.SOUND}, id="one tone is no music"),
        pytest.param(one_after_another(silence(500), click(100), silence(500)), {Branch.SOUND}, id="a click alone"),
        pytest.param(
            one_after_another(voice(4_000), silence(1_000), melody(4_000)),
            {Branch.SPEECH, Branch.MUSIC},
            id="one after another",
        ),
        pytest.param(
            one_after_another(voice(4_000), silence(1_000), noise(3_000)),
            {Branch.SPEECH, Branch.SOUND},
            id="a noise after speech",
        ),
        pytest.param(silence(5_000), set(), id="silence"),
    ],
)
def test_branches(profiles, samples, expected):
    (profile,) = profiles(samples)
    assert branches_for(profile) == expected


def test_each_piece_has_its_own_profile_in_order(profiles):
    samples = one_after_another(voice(4_000), silence(2_000), melody(6_000))
    first, second = profiles(samples, Span.of(0, 5_000), Span.of(5_000, 12_000))
    assert branches_for(first) == {Branch.SPEECH}
    assert branches_for(second) == {Branch.MUSIC}


def test_what_nobody_was_taught_is_not_guessed(profiles):
    (profile,) = profiles(together(melody(5_000), noise(5_000, -30)))
    assert (profile.singing, profile.environment) == (0, 0)


def test_a_piece_is_of_an_ambiguous_source_as_far_as_it_is_nothing_else(profiles):
    for samples in (tone(5_000), noise(5_000), melody(5_000), voice(5_000)):
        (profile,) = profiles(samples)
        known = max(value for name, value in asdict(profile).items() if name != "source_ambiguous")
        assert profile.source_ambiguous == pytest.approx(1 - known)
    assert profiles(silence(5_000)) == [Profile()]


def test_a_profile_can_be_had_without_scores_of_the_classes():
    sound = waveform(noise(5_000))
    hearing = EmbeddedDetectorConfig(tags=False).build().hear(sound)
    (profile,) = MeasuringProfiler().profile(sound, hearing, [hearing.span])
    assert branches_for(profile) == {Branch.SOUND}


@pytest.mark.parametrize("samples", [np.zeros(0), noise(20), np.sign(tone(1_000)), noise(3_000, -3)], ids=len)
def test_any_sound_has_a_profile(profiles, samples):
    assert len(profiles(samples)) == 1


def test_no_pieces_no_profiles(profiles):
    sound = waveform(tone(1_000))
    assert MeasuringProfiler().profile(sound, EmbeddedDetector().hear(sound), []) == []


def test_what_is_heard_is_never_left_to_nobody():
    assert branches_for(Profile(music=0.65, source_ambiguous=0.35)) == {Branch.SOUND}
    assert branches_for(Profile()) == set()


def test_a_known_source_wakes_the_sound_branch():
    assert branches_for(Profile(animal=0.9)) == {Branch.SOUND}
    assert branches_for(Profile(singing=0.9)) == {Branch.MUSIC}


@pytest.mark.parametrize(
    "build", [lambda: MeasuringProfilerConfig(enough_ms=0), lambda: Routing(speech=0.0)], ids=["enough_ms", "speech"]
)
def test_settings_that_cannot_work_are_refused(build):
    with pytest.raises(ConfigError, match="=0"):
        build()
