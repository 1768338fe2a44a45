"""Where a row stands with its thoughts, alone: no model is asked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.thinking import Speech, ThinkingRules, Thought, after, at_start, told
from model.tokens import Tokenizer
from model.vocabulary import build

TOKENIZER = Tokenizer(build())
SPECIAL = TOKENIZER.special
THINK, END = SPECIAL.think, SPECIAL.end_think
RULES = ThinkingRules.of(TOKENIZER, 3)
NEWLINE, BLANK = TOKENIZER.encode("\n"), TOKENIZER.encode("\n\n")

wishes = st.lists(st.sampled_from([THINK, END, *NEWLINE, 100, 101]), max_size=60)
budgets = st.none() | st.integers(0, 8)


def spoken(wished: list[int], rules: ThinkingRules, thought: Thought | None = None) -> tuple[list[int], list[bool]]:
    """What a row says that would say `wished`, and which of it was said for it."""
    thought = thought or Thought()
    said, forced = [], []
    for number in wished:
        forced.append(bool(thought.owed))
        said.append(thought.owed[0] if thought.owed else number)
        thought = after(thought, said[-1], rules)
    return said, forced


def test_the_closing_is_the_formats():
    assert RULES.closing == (*NEWLINE, END, *BLANK)


@pytest.mark.parametrize(
    ("budget", "wished", "said"),
    [
        pytest.param(
            3, [1, THINK, 7, 8, 9, 10, 10, 10, 10], [1, THINK, 7, 8, 9, "closing", 10], id="closed when spent"
        ),
        pytest.param(0, [THINK, 9, 9, 9, 9], [THINK, "closing", 9], id="closed at once"),
        pytest.param(3, [THINK, 7, END, 8, 8, 8, 8], [THINK, 7, END, 8, 8, 8, 8], id="the model's own end"),
        pytest.param(
            2, [THINK, 7, END, THINK, 8, 9, 9, 9, 9], [THINK, 7, END, THINK, 8, "closing"], id="one budget for all"
        ),
        pytest.param(3, [7, 7, 7, 7, END, 7], [7, 7, 7, 7, END, 7], id="no thought costs nothing"),
        pytest.param(
            2, [THINK, THINK, 7, 9, 9, 9, 9], [THINK, THINK, 7, "closing"], id="a mark in a thought is a token"
        ),
        pytest.param(None, [THINK, *[7] * 50], [THINK, *[7] * 50], id="no budget"),
    ],
)
def test_what_is_said(budget, wished, said):
    rules = replace(RULES, budget=budget)
    wanted = [n for part in said for n in (rules.closing if part == "closing" else (part,))]
    found, _ = spoken(wished, rules)
    assert found == wanted[: len(found)]
    assert len(found) == len(wished)


@given(wishes, budgets)
def test_thoughts_never_cost_more_than_the_budget(wished, budget):
    said, forced = spoken(wished, replace(RULES, budget=budget))
    cost, is_open = 0, False
    for number, is_forced in zip(said, forced, strict=True):
        if number == END:
            is_open = False
        elif is_open and not is_forced:
            cost += 1
        is_open = is_open or number == THINK
    assert budget is None or cost <= budget
    if budget is None:
        assert said == wished


@given(wishes, st.integers(0, 8))
def test_the_model_is_left_alone_but_for_closings(wished, budget):
    rules = replace(RULES, budget=budget)
    said, forced = spoken(wished, rules)
    assert [n for n, f in zip(said, forced, strict=True) if not f] == [
        n for n, f in zip(wished, forced, strict=True) if not f
    ]
    runs = "".join("f" if is_forced else " " for is_forced in forced).split()
    assert all(len(run) % len(rules.closing) == 0 for run in runs[:-1])
    at = [i for i, is_forced in enumerate(forced) if is_forced and not (i and forced[i - 1])]
    for start in at:
        assert tuple(said[start : start + len(rules.closing)]) == rules.closing[: len(said) - start]


@given(wishes, wishes, budgets)
def test_a_thought_begun_in_the_prompt_goes_on(before, wished, budget):
    rules = replace(RULES, budget=budget)
    standing = at_start([SPECIAL.im_start, THINK, 9, SPECIAL.im_end, SPECIAL.im_start, *before], SPECIAL, rules)
    at_the_end = Thought()
    for number in before:
        at_the_end = after(replace(at_the_end, owed=()), number, replace(rules, budget=None))
    assert (standing.is_open, standing.spent_tokens) == (at_the_end.is_open, at_the_end.spent_tokens)
    said, _ = spoken(wished, rules, standing)
    if budget is not None and standing.is_open and standing.spent_tokens >= budget and wished:
        assert said[0] == rules.closing[0]


def test_an_earlier_turns_thought_is_not_this_ones():
    ids = [SPECIAL.im_start, THINK, 9, 9, 9, 9, SPECIAL.im_end, SPECIAL.im_start, 9]
    assert at_start(ids, SPECIAL, RULES) == Thought()
    assert at_start([], SPECIAL, RULES) == Thought()


@pytest.mark.parametrize(
    ("parts", "answer", "thinking"),
    [
        (["an answer\n"], "an answer\n", ""),
        (["\nan answer"], "\nan answer", ""),
        ([THINK, "\nfirst\n\nthis\n", END, "\n\nthe answer\n", SPECIAL.im_end], "the answer\n", "first\n\nthis"),
        ([THINK, "\n", END, "\n\nstripped"], "stripped", ""),
        ([THINK, "\nnever ended\n"], "", "never ended"),
        ([THINK, "é", END, "ü"], "ü", "é"),
        ([THINK, "a\n", END, "x", THINK, "b", END], "x", "ab"),
        ([THINK, *TOKENIZER.encode("é")[:1], END, "a"], "a", "\ufffd"),
    ],
)
def test_thoughts_and_answer_are_told_apart(parts, answer, thinking):
    ids = [n for part in parts for n in (TOKENIZER.encode(part) if isinstance(part, str) else [part])]
    assert told(ids, TOKENIZER) == (answer, thinking)
    if ids[0] == THINK:
        assert told(ids[1:], TOKENIZER, in_thought=True) == (answer, thinking)


@given(st.text(alphabet="a\n é😀", max_size=20), st.text(alphabet="b\n ü", max_size=20))
def test_what_was_thought_and_said_comes_back(thought, text):
    ids = [THINK, *TOKENIZER.encode(f"\n{thought}\n"), END, *TOKENIZER.encode(f"\n\n{text}"), SPECIAL.im_end]
    wanted = (
        TOKENIZER.decode(TOKENIZER.encode(text)).lstrip("\n"),
        TOKENIZER.decode(TOKENIZER.encode(thought)).strip("\n"),
    )
    assert told(ids, TOKENIZER) == wanted


@given(st.lists(st.integers(0, 263), max_size=40))
def test_any_ids_give_text(ids):
    speech = Speech(TOKENIZER)
    pieces = [piece for number in ids for piece in speech.push(number)] + speech.flush()
    assert all(piece.text for piece in pieces)
    answer, thinking = told(ids, TOKENIZER)
    assert answer == "".join(piece.text for piece in pieces if not piece.is_thought)
    assert thinking == "".join(piece.text for piece in pieces if piece.is_thought)
