"""Times as answers write them: read back to the hundredth, or to the second."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.formats.clock import CLOCK, MAX_MS, TIME, milliseconds, minutes, rounded, seconds

times_ms = st.integers(0, MAX_MS)


@given(times_ms)
def test_seconds_are_read_back_to_the_hundredth(time_ms):
    assert re.fullmatch(r"[0-9]+\.[0-9]{2}", seconds(time_ms))
    assert re.fullmatch(TIME, seconds(time_ms))
    assert milliseconds(seconds(time_ms)) == rounded(time_ms)


@given(st.integers(0, 599_999_000))
def test_minutes_are_read_back_to_the_second(time_ms):
    assert re.fullmatch(CLOCK, minutes(time_ms))
    assert milliseconds(minutes(time_ms)) == rounded(time_ms, 1000)


@given(times_ms, times_ms)
def test_rounding_keeps_order_and_moves_no_time_by_more_than_half_a_step(one_ms, other_ms):
    assert (rounded(one_ms) <= rounded(other_ms)) or one_ms > other_ms
    assert -5 < rounded(one_ms) - one_ms <= 5


@pytest.mark.parametrize(
    ("time", "time_ms"),
    [
        ("0", 0),
        ("1.5", 1500),
        ("1,5", 1500),
        ("1.004", 1000),
        ("1.005", 1010),
        ("1.0049999", 1000),
        ("1.999", 2000),
        ("01:02", 62_000),
        ("1:2.25", 62_250),
        ("1:02:03", 3_723_000),
        ("100:00", 6_000_000),
        ("9999999.999", MAX_MS),
    ],
)
def test_times_are_read(time, time_ms):
    assert re.fullmatch(TIME, time)
    assert milliseconds(time) == time_ms


@pytest.mark.parametrize(
    "time", ["", "-1", "1.", ".5", "1:75", "75:75:75", "1:2:3:4", "12345678", "1.5.2", "1e3", "٣", "one"]
)
def test_what_is_no_time(time):
    assert not re.fullmatch(TIME, time)
