"""Forced alignment, the part that decides: which frames of a CTC model's emissions belong to which word.

    words -> tokens, a star for what cannot be spelled -> the best path (torchaudio) -> spans of frames

The star is a token that the model does not have and that anything may be: it costs nothing in any frame, so that a
number written in digits takes the frames that its neighbours do not need (Pratap et al. 2023, arXiv:2305.13516, section
4.1). It stands for what is spoken; a word without letters or digits is not, and takes no frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens of a CTC model by their writing; `blank` and `between` are ids."""

    ids: Mapping[str, int]
    blank: int
    between: int | None = None  # what stands between words, where the model has it

    def __post_init__(self) -> None:
        assert self.between != self.blank, "a blank between words is no token"

    def spelled(self, text: str) -> list[int]:
        """The tokens of the letters it knows, in the case it knows; empty where it knows none of them."""
        return [token for letter in text if (token := self._token(letter)) is not None]

    def knows(self, text: str) -> bool:
        """Whether there is a token for every letter in it."""
        return all(self._token(letter) is not None for letter in text if letter.isalpha())

    def lacks_digits(self, text: str) -> bool:
        """Whether it holds digits that the model cannot spell, and so sounds nobody knows the letters of."""
        return any(letter.isdigit() and self._token(letter) is None for letter in text)

    def _token(self, letter: str) -> int | None:
        if not (letter.isalnum() or letter == "'"):
            return None
        found = next((self.ids[form] for form in (letter, letter.lower(), letter.upper()) if form in self.ids), None)
        return None if found in (self.blank, self.between) else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is looked for: tokens in order, and the index of the word each belongs to, -1 for what stands between two.

    A star is owned by the first of the words in `shared` that it stands for.
    """

    tokens: tuple[int, ...] = ()
    owners: tuple[int, ...] = ()
    shared: tuple[tuple[int, ...], ...] = ()  # the words of each star

    @property
    def min_frames(self) -> int:
        """A frame each, and a blank between two of a kind."""
        return len(self.tokens) + sum(a == b for a, b in pairwise(self.tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFrames:
    """Frames [start, end) of a word, and how probable its tokens are there: None for a star and for what is silent."""

    start: float
    end: float
    score: float | None


def target_of(words: Sequence[str], vocabulary: Vocabulary, star: int, romanised: Callable[[str], str]) -> Target:
    """`romanised` is asked of words with letters that the vocabulary does not have."""
    tokens: list[int] = []
    owners: list[int] = []
    shared: list[list[int]] = []
    for index, word in enumerate(words):
        if not any(letter.isalnum() for letter in word):
            continue
        spelling = vocabulary.spelled(word if vocabulary.knows(word) else romanised(word))
        is_star = not spelling or vocabulary.lacks_digits(word)
        if is_star and tokens and tokens[-1] == star:
            shared[-1].append(index)  # two stars in a row are one: nothing tells them apart
            continue
        if is_star:
            shared.append([index])
            spelling = [star]
        if tokens and vocabulary.between is not None:
            tokens.append(vocabulary.between)
            owners.append(-1)
        tokens += spelling
        owners += [index] * len(spelling)
    return Target(tokens=tuple(tokens), owners=tuple(owners), shared=tuple(tuple(group) for group in shared))


def with_star(emissions: np.ndarray) -> np.ndarray:
    """Log probabilities, shape (frames, tokens), with the star as the last token: certain in every frame."""
    return np.pad(emissions, ((0, 0), (0, 1)))


def best_path(emissions: np.ndarray, tokens: Sequence[int], blank: int) -> list[tuple[int, int, float]]:
    """Frames [start, end) of every token on the most probable path, and its mean probability there.

    `emissions` are log probabilities, float32, shape (frames, tokens). Needs at least `Target.min_frames` frames.
    """
    import torch
    from torchaudio.functional import forced_align, merge_tokens

    log_probs = torch.from_numpy(np.ascontiguousarray(emissions, dtype=np.float32))[None]
    path, scores = forced_align(log_probs, torch.tensor([list(tokens)], dtype=torch.int32), blank=blank)
    spans = merge_tokens(path[0], scores[0].exp(), blank=blank)
    return [(span.start, span.end, float(span.score)) for span in spans]


def aligned(emissions: np.ndarray, target: Target, num_words: int, blank: int) -> list[WordFrames]:
    """Where every word lies, in order. Words that share a star have equal parts of it; a silent one is empty and
    stands where the one before ends."""
    by_word: dict[int, list[tuple[int, int, float]]] = {}
    for span, owner in zip(best_path(emissions, target.tokens, blank), target.owners, strict=True):
        by_word.setdefault(owner, []).append(span)
    found = {
        word: WordFrames(start=spans[0][0], end=spans[-1][1], score=sum(span[2] for span in spans) / len(spans))
        for word, spans in by_word.items()
    }
    for group in target.shared:
        whole = found[group[0]]
        part = (whole.end - whole.start) / len(group)
        for number, word in enumerate(group):
            start = whole.start + number * part
            found[word] = WordFrames(start=start, end=start + part, score=None)
    placed: list[WordFrames] = []
    for index in range(num_words):
        here = placed[-1].end if placed else 0.0
        placed.append(found.get(index, WordFrames(start=here, end=here, score=None)))
    return placed
