"""Answers to multiple choice: a letter where one is given, and never one that is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.choice import LETTERS, parse, write
from tests.texts import hostile, much

OPTIONS = ("cats", "a dog barks", "birds", "3 bees")
SHREDS = [
    "A",
    "B",
    "(b)",
    "d.",
    "E",
    "**",
    "Answer",
    "answer is",
    ":",
    " ",
    "\n",
    "the",
    "or",
    "not",
    "a dog",
    "I",
    "答案是",
    "选",
    "）",
    "birds",
]
texts = hostile(SHREDS)
WORDS = ["we", "hear", "rain", "loud", "cars", "of", "the", "in", "some", "while", "they", "talk"]


@given(st.integers(1, 26), st.data())
def test_every_letter_is_read_back(num_options, data):
    answer = data.draw(st.sampled_from(LETTERS[:num_options]))
    parsed = parse(write(answer, num_options=num_options), num_options=num_options)
    assert parsed.answer == answer
    assert LETTERS[parsed.index] == answer
    assert parsed.well_formed
    assert not parsed.unread


@given(texts, st.integers(1, 26))
def test_an_answer_is_one_of_those_offered_and_stands_in_the_text(text, num_options):
    parsed = parse(text, num_options=num_options)
    assert (parsed.answer is None) == bool(parsed.unread)
    if parsed.answer is not None:
        assert parsed.answer in LETTERS[:num_options]
        assert {parsed.answer, parsed.answer.lower(), chr(ord(parsed.answer) + 0xFEE0)} & set(text) or any(
            ord(letter) > 0x7F for letter in text
        )
        assert parse(write(parsed.answer, num_options=num_options), num_options=num_options).answer == parsed.answer


@given(st.lists(st.sampled_from(WORDS), min_size=2).map(" ".join))
def test_prose_without_a_letter_has_no_answer(text):
    assert parse(text).answer is None
    assert parse(text, options=OPTIONS).answer is None


@pytest.mark.parametrize(
    "text",
    [
        "B.",
        " B\n",
        "b",
        "(B)",
        "(b)",
        "[B]",
        "b)",
        "**B**",
        "`B`",
        '"B"',
        "Ｂ",
        "（Ｂ）",
        "Option B",
        "B. a dog barks",
        "**B.** a dog barks",
        "**B. a dog barks**",
        "(b) a dog barks",
        "B) a dog barks",
        "B: a dog barks",
        "B、狗叫",
        "B - a dog barks",
        "Answer: B",
        "answer: b",
        "Answer is: B.",
        "**Answer:** B",
        "Answer: (B) a dog barks",
        "The answer is B",
        "The answer is b.",
        "The correct answer is **B**, because of the growl.",
        "The answer is option B.",
        "The answer should be B, I think.",
        "The answer is B, a dog barks",
        "The correct option is B",
        "I would choose B.",
        "The answer is B because it growls.",
        "Answer: B\nThe growl gives it away.",
        "答案是B。",
        "答案：B",
        "应该选B",
        "我选择 B",
        "$\\boxed{B}$",
        "\\boxed{\\text{B}}",
        "<answer>B</answer>",
        "A cat would purr. C and D are too loud.\nAnswer: B",
        "The wrong answer is A. The right answer is B.",
        "B\n\nIt growls first, then barks.",
        "It growls first, then barks.\n\nB",
        "A) is wrong.\nThe answer is B",
    ],
)
def test_an_answer_in_other_words_is_read(text):
    parsed = parse(text)
    assert parsed.answer == "B"
    assert parse(text, options=OPTIONS).answer == "B"
    assert not parsed.unread
    assert parsed.well_formed == (text.rstrip() == "B")


@pytest.mark.parametrize(
    "text",
    [
        "a dog barks",
        "A dog barks.",
        "**A dog barks**",
        "The answer is a dog barks.",
        "Answer: a dog barks",
        "Ａ ｄｏｇ barks",
    ],
)
def test_the_text_of_an_option_is_its_letter(text):
    assert parse(text, options=OPTIONS).answer == "B"
    assert parse(text).answer is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "A dog barks in a yard",
        "A bird, I think",
        "I do not know",
        "a dog",
        "The answer is a bird",
        "The answer is a mystery",
        "The answer is I don't know",
        "The answer is not B",
        "The answer isn't B",
        "I would not choose B",
        "The wrong answer is B",
        "答案不是B",
        "不选B",
        "C major",
        "The answer is C major",
        "Answer: A minor, in three",
        "\\boxed{C sharp}",
        "The key is F#; answer: B♭",
        "Answer: A Bird Sings",
        "Choose A, B, C or D",
        "Choose the most suitable answer from options A, B, C, and D",
        "A or B",
        "A, B",
        "AB",
        "A/B",
        "The answer is A or B",
        "The answer is a or b",
        "The answer is A and C.",
        "Answer: A, B",
        "The answer is A. The answer is B.",
        "A. cats\nB. dogs\nC. birds",
        "A. cats B. dogs C. birds",
        "A\nB",
        "It is not birds",
        "E.g. rain",
        "BBC",
        "d'accord",
        "Dog",
    ],
)
def test_no_answer_is_made_up(text):
    parsed = parse(text, options=OPTIONS)
    assert parsed.answer is None
    assert parsed.index is None
    assert len(parsed.unread) == 1
    assert not parsed.well_formed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("E", "E is not offered; there are A, B, C, D"),
        ("The answer is Z", "Z is not offered; there are A, B, C, D"),
        ("The answer is A or B", "A, B are given as answers"),
        ("B. cats", "B is given with the text of A"),
        ("The answer is B: birds", "B is given with the text of C"),
        ("rain", "no letter is given as the answer"),
    ],
)
def test_the_reason_is_told(text, reason):
    assert [left.reason for left in parse(text, options=OPTIONS).unread] == [reason]


def test_an_option_that_begins_like_a_letter_is_not_that_letter():
    keys = ["C major", "A minor", "G major"]
    assert parse("The answer is C major.", options=keys).answer == "A"
    assert parse("A minor", options=keys).answer == "B"
    assert parse("C. G major", options=keys).answer == "C"


def test_options_that_read_the_same_are_not_told_apart():
    assert parse("dogs", options=["Dogs", "dogs!"]).answer is None
    assert parse("B. dogs", options=["Dogs", "dogs!"]).answer == "B"


@pytest.mark.parametrize("answer", ["E", "b", "", "AB", "A ", "Ａ"])
def test_only_a_letter_that_is_offered_is_written(answer):
    with pytest.raises(SchemaError, match="is not offered; there are A, B, C, D"):
        write(answer)


@pytest.mark.parametrize("num_options", [0, -1, 27])
def test_there_are_letters_for_26_options(num_options):
    with pytest.raises(SchemaError, match="letters for 1 to 26"):
        parse("A", num_options=num_options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred",
    [
        "A",
        "A ",
        "A.",
        "answer ",
        "answer A ",
        "answer A or ",
        "(",
        "*",
        " ",
        "\n",
        "A\n",
        "选",
        "not ",
        "A. ",
        "\\boxed{",
    ],
)
def test_much_of_it_does_no_harm(shred):
    assert parse(much(shred), options=OPTIONS).answer in (None, "A")


@pytest.mark.parametrize(
    "text", ["The answer isn't A, the answer is B.", "The answer is not A; choose B", "Don’t pick A: answer B"]
)
def test_what_is_denied_is_no_answer(text):
    assert parse(text).answer == "B"


def test_any_letter_given_with_the_text_of_another_option_contradicts():
    options = ["a dog barks", "a cat meows"]
    assert parse("Answer: A. a dog barks\nAnswer: A. a cat meows", options=options).answer is None
