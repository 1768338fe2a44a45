"""Timelines of events: what is written is read back, what is nearly so is read too, and nothing is lost or made up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.clock import MAX_MS, rounded
from schemas.formats.timeline import Event, parse, plain, write
from tests.texts import hostile, much

SHREDS = ["0.00", "57.00", " - ", ": ", "–", "1:02", "2，5", "\n", "* ", "- ", "1. ", "**", "[", "]", "(", "`", "to"]
SHREDS += ["birds", "鸟叫", "s", "|", " ", "\u2028", "\x1d", "```", "0.00 - 5.00", "0.00 - 5.00: dog", "9" * 12, "。"]
texts = hostile(SHREDS)

DAWN = (
    Event(start_ms=0, end_ms=57_000, description="birds chirping"),
    Event(start_ms=12_400, end_ms=13_100, description="a car door slams"),
)


@st.composite
def timelines(draw):
    starts_ms = sorted(draw(st.lists(st.integers(0, 3_600_000), max_size=8)))
    return tuple(
        Event(start_ms=start_ms, end_ms=start_ms + draw(st.integers(0, 60_000)), description=description)
        for start_ms in starts_ms
        if (description := plain(draw(texts)))
    )


def test_it_is_written_as_published():
    assert write(DAWN) == "0.00 - 57.00: birds chirping\n12.40 - 13.10: a car door slams"


@given(timelines())
def test_what_is_written_is_read_back_to_the_hundredth(items):
    parsed = parse(write(items))
    hundredths = [replace(e, start_ms=rounded(e.start_ms), end_ms=rounded(e.end_ms)) for e in items]
    assert parsed.items == tuple(hundredths)
    assert parsed.well_formed
    assert not parsed.unread


@given(texts)
def test_whatever_is_read_can_be_written(text):
    items = parse(text).items
    assert parse(write(items)).items == items


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0.00  -  57.00 :birds  chirping \n\n\n 12.40-13.10:a car door slams", id="white space"),
        pytest.param("- 0.00 - 57.00: birds chirping\n• 12.40 - 13.10: a car door slams", id="bullets"),
        pytest.param("1. 0.00 - 57.00: birds chirping\n2) 12.40 - 13.10: a car door slams", id="numbers"),
        pytest.param("0.00 – 57.00: birds chirping\n12.40—13.10: a car door slams", id="dashes"),
        pytest.param("0.00 to 57.00: birds chirping\n12.40 ~ 13.10: a car door slams", id="words and tildes"),
        pytest.param("0.00 --> 57.00 birds chirping\n12.40 → 13.10 a car door slams", id="arrows and no colon"),
        pytest.param("[0.00 - 57.00] birds chirping\n[12.40] - [13.10]: a car door slams", id="brackets"),
        pytest.param("(0.00 - 57.00): birds chirping\n【12.40 - 13.10】：a car door slams", id="other brackets"),
        pytest.param("**0.00 - 57.00**: birds chirping\n* **12.40 - 13.10:** a car door slams", id="bold"),
        pytest.param("`0.00 - 57.00`: birds chirping\n`12.40 - 13.10` - a car door slams", id="backticks"),
        pytest.param("0:00 - 0:57: birds chirping\n00:00:12.40 - 00:00:13.10: a car door slams", id="clock"),
        pytest.param("0 - 57: birds chirping\n12.4 - 13.1: a car door slams", id="fewer decimals"),
        pytest.param("0.000 - 57.0004: birds chirping\n12.395 - 13.1049: a car door slams", id="more decimals"),
        pytest.param("0,00 - 57,00: birds chirping\n12，40 - 13，10：a car door slams", id="commas and full width"),
        pytest.param("0s - 57 s: birds chirping\n12.40 sec - 13.10 seconds: a car door slams", id="units"),
        pytest.param("12.40 - 13.10: a car door slams\n0.00 - 57.00: birds chirping", id="out of order"),
        pytest.param("```\n0.00 - 57.00: birds chirping\n12.40 - 13.10: a car door slams\n```", id="a fence"),
    ],
)
def test_what_is_nearly_a_timeline_is_read_as_one(text):
    parsed = parse(text)
    assert (parsed.items, parsed.unread) == (DAWN, ())
    assert not parsed.well_formed


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Here are the events:", "no two times"),
        ("3.00: a bell", "no two times"),
        ("3.00 - : a bell", "no two times"),
        ("0:75 - 0:80: a bell", "no two times"),
        ("3.00 - 4.00:", "no description"),
        ("4.00 - 3.00: a bell", "it ends at 3.00, before it starts at 4.00"),
        ("1234567890.00 - 2.00: a bell", "no two times"),
    ],
)
def test_a_line_that_is_no_event_is_told_with_its_reason(line, reason):
    parsed = parse(f"{line}\n0.00 - 57.00: birds chirping")
    assert parsed.items == DAWN[:1]
    assert [(left.fragment, left.reason) for left in parsed.unread] == [(line, reason)]
    assert not parsed.well_formed


@pytest.mark.parametrize(
    "description", ["- a bell", ": a bell", "5.00 - 6.00: a bell", "**a bell**", "1. a bell", "a [1.00]", "```"]
)
def test_descriptions_may_look_like_anything(description):
    item = Event(start_ms=10, end_ms=20, description=description)
    assert parse(write([item])).items == (item,)


@pytest.mark.parametrize("description", ["", " ", "two\nlines", "two  spaces", " a", "a\u2028b", "a\t"])
def test_a_description_that_would_change_is_refused_by_name(description):
    with pytest.raises(SchemaError, match=r"event 1 at 60\.00 s"):
        write([*DAWN[:1], Event(start_ms=60_000, end_ms=61_000, description=description)])


def test_order_is_demanded():
    with pytest.raises(SchemaError, match=r"event 1 .*sort them"):
        write(DAWN[::-1])


@pytest.mark.parametrize(("start_ms", "end_ms"), [(2, 1), (-1, 1), (0, MAX_MS + 1), (0.5, 1)])
def test_times_that_are_none_are_refused(start_ms, end_ms):
    with pytest.raises(SchemaError, match="event 'a'"):
        Event(start_ms=start_ms, end_ms=end_ms, description="a")


def test_no_line_is_lost():
    text = "one\n0.00 - 1.00: two\n1.00 - : three\n\n5 - 4: four"
    parsed = parse(text)
    assert len(parsed.items) + len(parsed.unread) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred", ["[", "- ", "0.00 - ", "0.00", "0.00 - 1.00: a\n", "9", "*", "\n", " ", "1:", "**0 - 1"]
)
def test_much_of_it_does_no_harm(shred):
    assert len(parse(much(shred)).items) <= much(shred).count("\n") + 1
