"""Thought and answer are told apart, and put together again as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.thinking import CUT, Reply, parse, plain, write
from tests.texts import hostile, much

SHREDS = [
    "<think>",
    "</think>",
    "<Think>",
    "< think >",
    "</ thinking>",
    "<",
    "think",
    ">",
    "/",
    "\n",
    "\n\n",
    " ",
    "hm",
    CUT,
    CUT[:9],
    "B",
]
texts = hostile(SHREDS)
replies = st.builds(Reply, thought=texts.map(plain), answer=texts.map(plain), cut=st.booleans()) | st.builds(
    Reply, thought=st.none(), answer=texts.map(plain)
)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(thought="hm", answer="B"), "<think>\nhm\n</think>\n\nB"),
        (Reply(thought="", answer="B"), "<think>\n</think>\n\nB"),
        (Reply(thought=None, answer="B"), "B"),
        (Reply(thought="hm", answer="B", cut=True), f"<think>\nhm\n\n{CUT}\n</think>\n\nB"),
        (Reply(thought="hm", answer=""), "<think>\nhm\n</think>"),
    ],
)
def test_the_forms_there_are(reply, text):
    assert write(reply).rstrip() == text
    parsed = parse(text)
    assert (parsed.reply, parsed.unread) == (reply, ())
    assert parsed.closed
    assert parsed.well_formed


@given(replies)
def test_what_is_written_is_read_back(reply):
    parsed = parse(write(reply))
    assert parsed.reply == reply
    assert parsed.well_formed
    assert not parsed.unread


@given(texts)
def test_whatever_is_read_can_be_written(text):
    reply = parse(text).reply
    assert parse(write(reply)).reply == reply


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<think>hm</think>B", id="no white space"),
        pytest.param("\n<think>\n\n\nhm\n</think>\n\n\n\n B\n", id="more white space"),
        pytest.param("<THINK>\nhm\n</ think >\n\nB", id="other spellings"),
        pytest.param("<thinking>\nhm\n</thinking>\n\nB", id="another name"),
        pytest.param("hm\n</think>\n\nB", id="opened in the prompt"),
        pytest.param("<think>\n</think>\n\n<think>\nhm\n</think>\n\nB", id="an empty block first"),
    ],
)
def test_what_is_nearly_so_is_read_as_such(text):
    parsed = parse(text)
    assert (parsed.reply, parsed.unread) == (Reply(thought="hm", answer="B"), ())
    assert not parsed.well_formed


def test_the_empty_block_of_the_prompt_template_is_empty_too():
    assert parse("<think>\n\n</think>\n\nB").reply == Reply(thought="", answer="B")


@pytest.mark.parametrize("space", ["\n", "\n\n", "\n\n ", " "])
def test_a_spent_budget_is_known_by_its_sentence(space):
    assert parse(f"<think>\nhm{space}{CUT}\n</think>\n\nB").reply == Reply(thought="hm", answer="B", cut=True)


@pytest.mark.parametrize("text", ["<think>\nthe answer is B", "<think>", "<think>a</think>B<think>C", "B\n<think>C"])
def test_thinking_that_never_ends_has_no_answer(text):
    parsed = parse(text)
    assert parsed.reply.answer == ""
    assert not parsed.closed
    assert not parsed.well_formed
    assert "not closed" in parsed.unread[-1].reason


def test_what_is_said_before_a_block_is_no_answer_and_not_lost():
    parsed = parse("I say A. <think>hm</think> or C <think>no</think> B")
    assert parsed.reply == Reply(thought="hm\n\nno", answer="B")
    assert [left.fragment for left in parsed.unread] == ["I say A.", "or C"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(thought="a </think> b", answer=""), "thought holds the tag '</think>'"),
        (Reply(thought=None, answer="<think>"), "answer holds the tag '<think>'"),
        (Reply(thought="a", answer=" B"), "answer ' B' has white space"),
        (Reply(thought="a\n", answer="B"), "thought .* has white space"),
        (Reply(thought=f"a\n\n{CUT}", answer="B"), "spent budget"),
        (Reply(thought=None, answer="B", cut=True), "cut is True"),
    ],
)
def test_what_would_not_be_read_back_is_refused(reply, message):
    with pytest.raises(SchemaError, match=message):
        write(reply)


@given(texts)
def test_plain_text_is_always_writable(text):
    words = plain(text)
    assert plain(words) == words
    assert parse(write(Reply(thought=words, answer=words))).reply == Reply(thought=words, answer=words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred", ["<", "<think>", "</think>", "<think></think>", "< ", CUT, f"{CUT}\n", " ", "\n", "<think"]
)
def test_much_of_it_does_no_harm(shred):
    text = much(shred)
    plain(text)
    assert len(parse(text).reply.answer) <= len(text)
    assert not parse(f"<think>{text}").closed or "</think>" in text
