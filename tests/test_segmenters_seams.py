"""Where a long recording is split between lots."""

from hypothesis import given, settings

from segmenters.base import Change
from segmenters.seams import seam
from tests.test_segmenters_boundaries import hearing, hearings, sound


@settings(max_examples=150, deadline=None)
@given(hearings().filter(lambda heard: heard.span.duration_ms >= 2))
def test_a_seam_lies_strictly_inside_its_window(heard):
    for nominal_ms in (heard.span.start_ms, (heard.span.start_ms + heard.span.end_ms) // 2, heard.span.end_ms):
        assert heard.span.start_ms < seam(heard, nominal_ms) < heard.span.end_ms


def test_silence_is_split_at_the_nominal_time():
    assert seam(hearing(), 30_000) == 30_000


def test_a_long_silence_is_preferred_to_a_short_one_that_is_nearer():
    assert seam(hearing(sound(0, 29_800), sound(30_200, 45_000), sound(47_000, 60_000)), 30_000) == 45_500


def test_a_short_silence_is_split_in_its_middle():
    assert seam(hearing(sound(0, 25_000), sound(25_600, 60_000)), 30_000) == 25_300


def test_of_equal_silences_the_nearest_is_taken():
    heard = hearing(sound(0, 10_000), sound(12_000, 28_000), sound(30_000, 60_000))
    assert seam(heard, 30_000) == 29_500


def test_unbroken_sound_is_split_where_it_is_quietest():
    heard = hearing(sound(0, 60_000))
    heard.level_db[3_500:3_530] = -50
    assert 35_000 <= seam(heard, 30_000) <= 35_300


def test_unbroken_even_sound_is_split_at_a_change():
    assert seam(hearing(sound(0, 60_000), changes=(Change(at_ms=22_220, strength=0.8),)), 30_000) == 22_220
