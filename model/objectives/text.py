"""Text without sound, so that the language model keeps its language: every token is learnt.

    targets    The weather had been fine all week, and nobody expected … <|endoftext|>

A document longer than a window is cut into windows of equal length, none of them lost.
"""

from collections.abc import Sequence
from itertools import pairwise

from model.prompt import Sample
from model.tokens import Tokenizer


def windows(ids: Sequence[int], tokenizer: Tokenizer, max_tokens: int) -> list[Sample]:
    """The document of these ids, with the end of text behind it, in windows of at most `max_tokens` inputs.

    Each window but the last also predicts the first token of the next. Raises ValueError for windows of no token.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}; a window holds at least one token")
    whole = [*ids, tokenizer.special.end_of_text]
    num_inputs = len(whole) - 1
    num_windows = max(1, -(-num_inputs // max_tokens))
    bounds = [round(index * num_inputs / num_windows) for index in range(num_windows + 1)]
    return [
        Sample(ids=tuple(whole[a:b]), targets=tuple(whole[a + 1 : b + 1]), frames=())
        for a, b in pairwise(bounds)
        if b > a
    ]
