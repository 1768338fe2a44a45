"""Moments in prose: found where they are meant, left where they are not, and the prose is kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.clock import SECOND_MS, rounded
from schemas.formats.moments import LATEST_MS, Moment, mention, parse, plain, write
from tests.texts import hostile, much

SHREDS = [
    "[00:03]",
    "[0:16",
    "]",
    "[",
    "-",
    "–",
    " to ",
    "0:03-0:16",
    "0:03",
    "：",
    "【",
    "】",
    "[3.2s]",
    "[12]",
    "[00:01-00:02]",
]
SHREDS += [
    "[00:09]-[00:03]",
    "1:02:03",
    ".5",
    ",",
    "bell",
    "鼓",
    " ",
    "\n",
    "9",
    "s",
    "9999:59",
    "[99999.5]",
    "[700000s]",
]
texts = hostile(SHREDS)


@st.composite
def moments(draw):
    start_ms, length_ms = draw(st.integers(0, 400_000_000)), draw(st.none() | st.integers(0, 90_000))
    bare = length_ms is not None and draw(st.booleans())
    return Moment(start_ms=start_ms, end_ms=None if length_ms is None else start_ms + length_ms, bare=bare)


@st.composite
def proses(draw):
    """Words and moments by turns, the words such that nothing at their ends runs into a moment."""
    pieces = []
    for moment in draw(st.lists(moments(), max_size=5)):
        pieces += [f"so {plain(draw(texts))} at ", moment]
    return (*pieces, " it ends.")


def in_seconds(moment):
    end_ms = None if moment.end_ms is None else rounded(moment.end_ms, SECOND_MS)
    return replace(moment, start_ms=rounded(moment.start_ms, SECOND_MS), end_ms=end_ms)


def point(second):
    return Moment(start_ms=second * 1000)


def stretch(start, end, *, bare=False):
    return Moment(start_ms=start * 1000, end_ms=end * 1000, bare=bare)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (point(3), "[00:03]"),
        (stretch(3, 16), "[00:03]-[00:16]"),
        (stretch(3, 16, bare=True), "0:03-0:16"),
        (stretch(61, 6000, bare=True), "1:01-100:00"),
        (Moment(start_ms=3499, end_ms=3500), "[00:03]-[00:04]"),
    ],
)
def test_they_are_written_as_published(moment, written):
    assert mention(moment) == written
    assert parse(written).items == (in_seconds(moment),)
    assert parse(written).well_formed


@given(proses())
def test_what_is_written_is_read_back_to_the_second(pieces):
    parsed = parse(write(pieces))
    assert parsed.pieces == tuple(piece if isinstance(piece, str) else in_seconds(piece) for piece in pieces)


@given(texts)
def test_whatever_is_read_can_be_written(text):
    pieces = parse(text).pieces
    assert parse(write(pieces)).pieces == pieces


@given(texts)
def test_all_words_are_kept(text):
    words = [piece for piece in parse(text).pieces if isinstance(piece, str)]
    place = 0
    for piece in words:
        place = text.index(piece, place) + len(piece)
    assert parse(text).items or "".join(words) == text


@pytest.mark.parametrize(
    "written",
    [
        "[0:03]-[0:16]",
        "[00:03] - [00:16]",
        "[00:03]–[00:16]",
        "[00:03] to [00:16]",
        "【00：03】-【00：16】",
        "[00:03-00:16]",
        "[00:00:03]~[00:00:16]",
        "[3.00s-16.00s]",
        "[00:02.50]-[00:16.49]",
    ],
)
def test_what_is_nearly_a_mention_is_read_as_one(written):
    parsed = parse(f"The bell ({written}) rings.")
    assert parsed.pieces == ("The bell (", stretch(3, 16), ") rings.")
    assert not parsed.well_formed
    assert write(parsed.pieces) == "The bell ([00:03]-[00:16]) rings."


def test_a_caption_of_music_keeps_its_punctuation():
    text = "**Structure**: intro 0:03-0:16, verse 0:16-1:05. Chorus (1:05-1:30)."
    parsed = parse(text)
    assert [(m.start_ms, m.end_ms) for m in parsed.items] == [(3000, 16_000), (16_000, 65_000), (65_000, 90_000)]
    assert parsed.well_formed


@pytest.mark.parametrize(
    "text", ["John 3:16", "in 4:4", "see [12]", "[laughter]", "[00:75]", "10:00", "1.5-2.5", "0:03", "[-1.5]"]
)
def test_what_is_no_mention_stays_prose(text):
    assert parse(text).pieces == (text,)
    assert parse(text).well_formed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[00:09]-[00:03]", "it ends before it starts"),
        ("0:09-0:03", "it ends before it starts"),
        ("[00:01]-[00:02]-[00:03]", "3 times in a row"),
        ("[700000s]", "no audio is that long"),
    ],
)
def test_a_mention_of_no_moment_is_told(text, reason):
    parsed = parse(f"so {text}.")
    assert parsed.pieces == (f"so {text}.",)
    assert [(left.fragment, left.reason) for left in parsed.unread] == [(text, reason)]
    assert not parsed.well_formed


@pytest.mark.parametrize(
    ("pieces", "index"),
    [
        (["at [00:03]"], 0),
        (["a", ""], 1),
        (["a", "b"], 0),
        ([point(3), "-", point(5)], 0),
        (["at 1", stretch(3, 4, bare=True)], 0),
        (["at ", stretch(3, 4, bare=True), "5"], 0),
    ],
)
def test_pieces_that_would_not_be_read_back_are_refused_by_name(pieces, index):
    with pytest.raises(SchemaError, match=f"piece {index}, "):
        write(pieces)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "bare"), [(2, 1, False), (-1, None, False), (0, LATEST_MS + 1, False), (1, None, True)]
)
def test_moments_that_are_none_are_refused(start_ms, end_ms, bare):
    with pytest.raises(SchemaError, match="moment"):
        Moment(start_ms=start_ms, end_ms=end_ms, bare=bare)


@given(texts)
def test_plain_words_hold_no_moment(text):
    words = plain(text)
    assert len(words) == len(text)
    assert parse(words).pieces == ((words,) if words else ())


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred", ["[", "[00:03", "[00:03]", "[00:03]-", "0:03-", "0:03-0:16 ", "9", ":", "[1-", "1:", " ", "[0:01-0:02]"]
)
def test_much_of_it_does_no_harm(shred):
    text = much(shred)
    assert len(plain(text)) == len(text)
    write(parse(text).pieces)


@pytest.mark.parametrize("text", ["see 3.0:16-0:20", "verse 1,0:03-0:16", "at :0:03-0:16"])
def test_what_goes_on_from_other_digits_is_no_range(text):
    assert parse(text).items == ()
