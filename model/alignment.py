"""Words side by side: which of the one text are which of the other."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai and Lao, Burmese, Khmer, kana, and Han."""

_WORD = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
_APOSTROPHES = str.maketrans("", "", "'’ʼ`")


def words_of(text: str) -> list[str]:
    """Words without case and marks, and single characters of scripts that have no spaces."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES))


def word_score(reference: Sequence[str], predicted: Sequence[str]) -> float:
    """1 - word error rate, at least 0."""
    if not reference:
        return float(not predicted)
    if len(predicted) >= 2 * len(reference):
        return 0.0  # those too many alone are as many as the reference has
    return max(0.0, 1 - aligned(reference, predicted)[0] / len(reference))


def aligned(reference: Sequence[str], predicted: Sequence[str]) -> tuple[int, list[tuple[int, int]]]:
    """The edit distance (insertions, deletions, substitutions), and the index pairs of equal words on one way to it.

    Time and memory are the product of the lengths; a row is computed at once.
    """
    names = {word: number for number, word in enumerate(dict.fromkeys((*reference, *predicted)))}
    first, second = ([names[word] for word in words] for words in (reference, predicted))
    second_P = np.array(second, dtype=np.int64)
    index = np.arange(len(second) + 1)
    cost = np.zeros((len(first) + 1, len(second) + 1), np.int32)
    cost[0] = index
    for i, number in enumerate(first, 1):
        cost[i, 0] = i
        cost[i, 1:] = np.minimum(cost[i - 1, 1:] + 1, cost[i - 1, :-1] + (second_P != number))
        cost[i] = np.minimum.accumulate(cost[i] - index) + index  # insertions, each one more than the cell before
    pairs: list[tuple[int, int]] = []
    i, j = len(first), len(second)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (first[i - 1] != second[j - 1]):
            i, j = i - 1, j - 1
            if first[i] == second[j]:
                pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return int(cost[-1, -1]), pairs[::-1]
