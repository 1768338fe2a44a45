"""Transcripts: what is written is read back, what is nearly so is read too, and nothing is lost or made up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.clock import MAX_MS, rounded
from schemas.formats.transcript import Utterance, parse, plain, words_only, write
from tests.texts import hostile, much

HELLO = (
    Utterance(start_ms=0, end_ms=2010, text="hello there"),
    Utterance(start_ms=2010, end_ms=4320, text="the weather"),
)
TWO = (
    Utterance(start_ms=0, end_ms=2010, text="hello there", speaker="S01"),
    Utterance(start_ms=1800, end_ms=4320, text="the weather", speaker="S02"),
)
SHREDS = [
    "[",
    "]",
    "【",
    "］",
    "0.00",
    "1.5",
    "2，0",
    "1:02",
    "：",
    " ",
    "\n",
    "S1",
    "[S01]",
    "[Speaker 2]",
    "S3:",
    "[1.00]",
]
SHREDS += ["[0.5-1.5]", "[1.2.3]", "-", "hi", "你好", ":", "(", "```", "[99999999999]", "\u3000", "\x1c", "[2.00]", "s"]

texts = hostile(SHREDS)
speakers = st.none() | st.integers(0, 9999).map(lambda number: f"S{number:02d}")


@st.composite
def transcripts(draw):
    starts_ms = sorted(draw(st.lists(st.integers(0, 3_600_000), max_size=8)))
    return tuple(
        Utterance(start_ms=start_ms, end_ms=start_ms + draw(st.integers(0, 60_000)), text=text, speaker=draw(speakers))
        for start_ms in starts_ms
        if (text := plain(draw(texts)))
    )


def in_hundredths(items):
    return tuple(replace(item, start_ms=rounded(item.start_ms), end_ms=rounded(item.end_ms)) for item in items)


def test_it_is_written_as_published():
    assert write(HELLO) == "[0.00]hello there[2.01][2.01]the weather[4.32]"
    assert write(TWO) == "[0.00][S01]hello there[2.01][1.80][S02]the weather[4.32]"


@given(transcripts())
def test_what_is_written_is_read_back_to_the_hundredth(items):
    parsed = parse(write(items))
    assert parsed.items == in_hundredths(items)
    assert parsed.well_formed
    assert not parsed.unread


@given(texts, st.none() | st.integers(0, 10_000))
def test_whatever_is_read_can_be_written(text, duration_ms):
    items = parse(text, duration_ms=duration_ms).items
    assert parse(write(items)).items == items


@pytest.mark.parametrize(
    ("time_ms", "written"), [(4, "0.00"), (5, "0.01"), (14, "0.01"), (15, "0.02"), (994, "0.99"), (995, "1.00")]
)
def test_times_are_rounded_half_up(time_ms, written):
    assert write([Utterance(start_ms=time_ms, end_ms=time_ms, text="a")]) == f"[{written}]a[{written}]"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("  [0.00] hello  there [2.01]\n[2.01]\nthe\nweather [4.32]\n", id="white space and line breaks"),
        pytest.param("[0.0]hello there[2.010][2.0099]the weather[4.324]", id="other decimals"),
        pytest.param("[0]hello there[2,01][2,01]the weather[4,32]", id="commas and none"),
        pytest.param("【0.00】hello there【2.01】【2.01】the weather【4.32】", id="lenticular brackets"),
        pytest.param(
            "［０．００］hello there［２．０１］［2.01］the weather［4.32］", id="full-width brackets and digits"
        ),
        pytest.param("[00:00]hello there[00:02.01][00:00:02,01]the weather[0：04.32]", id="minutes and hours"),
        pytest.param("[0.00s]hello there[2.01 s][2.01 sec]the weather[4.32秒]", id="units"),
        pytest.param("[0.00]hello there[2.01]the weather[4.32]", id="one time for an end and a start"),
        pytest.param("[0.00 - 2.01] hello there\n[2.01 – 4.32] the weather", id="both times in one bracket"),
        pytest.param("[2.01]the weather[4.32][0.00]hello there[2.01]", id="out of order"),
        pytest.param("```text\n[0.00]hello there[2.01][2.01]the weather[4.32]\n```", id="a fence"),
        pytest.param("[0.00]hello there[2.01][2.01]the weather", id="no last end"),
    ],
)
def test_what_is_nearly_a_transcript_is_read_as_one(text):
    parsed = parse(text, duration_ms=4320)
    assert (parsed.items, parsed.unread) == (HELLO, ())
    assert not parsed.well_formed


@pytest.mark.parametrize(
    "text",
    [
        "[0.00][S1]hello there[2.01][1.80][S2]the weather[4.32]",
        "[0.00][Speaker 1]hello there[2.01][1.80][SPEAKER_02]: the weather[4.32]",
        "[0.00] S01: hello there[2.01] [1.80]speaker 2： the weather[4.32]",
        "[S01][0.00]hello there[2.01][S02][1.80]the weather[4.32]",
        "【0.00】【S01】hello there【2.01】【1.80】【说话人2】the weather【4.32】",
        "[0.00-2.01][S1] hello there [1.80-4.32][S2] the weather",
    ],
)
def test_speakers_are_known_by_many_labels(text):
    parsed = parse(text)
    assert (parsed.items, parsed.unread) == (TWO, ())
    assert parsed.diarised
    assert not parsed.well_formed


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("Here it is: [0.00]a[1.00]", [("Here it is:", "no start time")]),
        ("[0.00]a[1.00] and so on", [("and so on", "no end time")]),
        ("[0.00]a[1.00][1.00]b", [("b", "no end time")]),
        ("no times at all", [("no times at all", "no start time")]),
        ("[0.00]a[1.00][5.00]b[3.00]", [("b", "it ends at 3.00, before it starts at 5.00")]),
        ("[0.00]a[1.00][1.2.3]b[3.00]", [("[1.2.3]", "digits that are no time"), ("b", "no start time")]),
        ("[0.00]a[1.00][00:75]b[3.00]", [("[00:75]", "digits that are no time"), ("b", "no start time")]),
        ("[0.00]a[S02]b[1.00]", [("b", "S02 speaks without a time")]),
        ("[0.00]a[1.00][2.00]", [("[2.00]", "a time that nothing is said at")]),
        ("[0.00][1.00]", [("[0.00]", "a time that nothing is said at"), ("[1.00]", "a time that nothing is said at")]),
        ("[0.00]a[1.00][S02]", [("[S02]", "a speaker who says nothing")]),
    ],
)
def test_what_is_not_read_is_told_with_its_reason(text, unread):
    parsed = parse(text)
    assert [item.text for item in parsed.items] in (["a"], [])
    assert [(left.fragment, left.reason) for left in parsed.unread] == unread
    assert not parsed.well_formed


def test_the_end_of_the_audio_is_no_end_for_what_follows_a_finished_utterance():
    assert [item.text for item in parse("[0.00]a[1.00] I hope this helps!", duration_ms=9000).items] == ["a"]


@given(st.lists(st.sampled_from(["one", "two", "三"]), min_size=1, max_size=9), st.data())
def test_no_word_is_lost_whatever_is_wrong_with_the_times(words, data):
    junk = ["[0.00]", "[5.00]", "[1.00][S01]", "[1.2.3]", "\n", " [2.00] [1.00] "]
    text = "".join(word + " " + data.draw(st.sampled_from(junk)) for word in words)
    assert words_only(text).split() == words
    read = [item.text for item in parse(text).items] + [left.fragment for left in parse(text).unread]
    assert all(word in " ".join(read) for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "at [1.00] he",
        "at 【1.00】",
        "[S02] hi",
        "S02: hi",
        "[1-2]",
        "[1.2.3]",
        "two\nlines",
        "two  spaces",
        " a",
        "",
        " ",
        "[0:01]",
    ],
)
def test_text_that_would_be_read_as_something_else_is_refused_by_name(text):
    with pytest.raises(SchemaError, match=r"utterance 1 at 1\.00 s"):
        write([Utterance(start_ms=0, end_ms=1, text="fine"), Utterance(start_ms=1000, end_ms=2000, text=text)])


@given(texts, speakers)
def test_plain_text_is_always_writable(text, speaker):
    words = plain(text)
    assert plain(words) == words
    if words:
        item = Utterance(start_ms=0, end_ms=10, text=words, speaker=speaker)
        assert parse(write([item])).items == (item,)


@pytest.mark.parametrize(
    "text", ["a [laughter] b", "up to [12", "3.00 dollars", "he said: yes", "(1.00)", "S01 is a film"]
)
def test_plain_leaves_alone_what_is_no_mark(text):
    assert plain(text) == text


def test_plain_keeps_the_words_of_marks():
    assert plain("S01: at [1.00] 【S02】 left") == "S01, at (1.00) (S02) left"


@pytest.mark.parametrize("speaker", ["1", "S1", "s01", "Anna", "S", "S012", "S01]", ""])
def test_speakers_have_one_spelling(speaker):
    with pytest.raises(SchemaError, match="must be like S01"):
        write([Utterance(start_ms=0, end_ms=1, text="a", speaker=speaker)])


def test_order_is_demanded():
    with pytest.raises(SchemaError, match=r"utterance 1 .*sort them"):
        write(HELLO[::-1])


@pytest.mark.parametrize(("start_ms", "end_ms"), [(2, 1), (-1, 1), (0, MAX_MS + 1), (0.0, 1), (True, 1)])
def test_times_that_are_none_are_refused(start_ms, end_ms):
    with pytest.raises(SchemaError, match="utterance 'a'"):
        Utterance(start_ms=start_ms, end_ms=end_ms, text="a")


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred", ["[", "]", "[0.00", "[0.00]", "[S01]", "[S1", "【", "[1-", "a[0.00]", "[ ", "9", "```", "S1:", "\n"]
)
def test_much_of_it_does_no_harm(shred):
    text = much(shred)
    assert len(words_only(text)) <= len(text)
    assert len(plain(text)) <= len(text) + 1
    parse(text, duration_ms=10)
