"""Thoughts in what the model says: `<think>` ⏎ a thought ⏎ `</think>` ⏎ ⏎ the answer.

Where a row stands is told by a state that each token moves on: it counts what thoughts have cost and, once the budget
is spent, holds the tokens that close the thought.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.tokens import SpecialIds, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingRules:
    """`closing`: what is said for the model when its `budget` of tokens is spent. None for no budget."""

    think: int
    end_think: int
    closing: tuple[int, ...]
    budget: int | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer, budget: int | None) -> "ThinkingRules":
        special = tokenizer.special
        closing = (*tokenizer.encode("\n"), special.end_think, *tokenizer.encode("\n\n"))
        return cls(think=special.think, end_think=special.end_think, closing=closing, budget=budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """`spent_tokens`: in thoughts so far, what was said for the model left out. `owed`: what must be said next."""

    is_open: bool = False
    spent_tokens: int = 0
    owed: tuple[int, ...] = ()


def after(thought: Thought, token: int, rules: ThinkingRules) -> Thought:
    """Where a row stands once it has said `token`."""
    is_open, spent, owed = thought.is_open, thought.spent_tokens, thought.owed
    if owed:  # one of them was said
        return Thought(is_open=is_open and token != rules.end_think, spent_tokens=spent, owed=owed[1:])
    if token == rules.end_think:
        return Thought(spent_tokens=spent)
    if is_open:
        spent += 1
    is_open = is_open or token == rules.think
    if is_open and rules.budget is not None and spent >= rules.budget:
        owed = rules.closing
    return Thought(is_open=is_open, spent_tokens=spent, owed=owed)


def at_start(ids: Sequence[int], special: SpecialIds, rules: ThinkingRules) -> Thought:
    """Where a row stands after its prompt, which may end within a thought of the assistant's."""
    begins = max((at for at, number in enumerate(ids) if number == special.im_start), default=0)
    thought = Thought()
    for number in ids[begins:]:
        thought = after(Thought(is_open=thought.is_open, spent_tokens=thought.spent_tokens), number, rules)
    return thought


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text of an answer, or of a thought before it."""

    text: str
    is_thought: bool


class Speech:
    """Text from ids as they come, thoughts told apart, without the line ends between a thought's marks and text."""

    __slots__ = ("_held", "_is_begun", "_is_thought", "_special", "_strips", "_text")

    def __init__(self, tokenizer: Tokenizer, *, in_thought: bool = False) -> None:
        self._special, self._text = tokenizer.special, tokenizer.stream()
        self._is_thought = in_thought
        self._strips = in_thought  # an answer without thoughts is left as it is
        self._is_begun, self._held = False, ""

    def push(self, number: int) -> list[Piece]:
        if number not in (self._special.think, self._special.end_think):
            return self._told(self._text.push(number))
        pieces = self._told(self._text.flush())
        self._is_thought = number == self._special.think
        self._strips, self._is_begun, self._held = True, False, ""
        return pieces

    def flush(self) -> list[Piece]:
        """What is left when nothing more comes."""
        return self._told(self._text.flush())

    def _told(self, text: str) -> list[Piece]:
        if self._strips and not self._is_begun:
            text = text.lstrip("\n")
        if self._is_thought:  # its last line ends are not known to be the last
            text = self._held + text
            said = text.rstrip("\n")
            self._held, text = text[len(said) :], said
        self._is_begun = self._is_begun or bool(text)
        return [Piece(text=text, is_thought=self._is_thought)] if text else []


def told(ids: Iterable[int], tokenizer: Tokenizer, *, in_thought: bool = False) -> tuple[str, str]:
    """The answer, and the thoughts before it, one after the other."""
    speech = Speech(tokenizer, in_thought=in_thought)
    pieces = [piece for number in ids for piece in speech.push(number)] + speech.flush()
    answer, thinking = ("".join(p.text for p in pieces if p.is_thought is kind) for kind in (False, True))
    return answer, thinking
