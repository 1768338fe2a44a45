"""Captions: how like the reference the words are (ROUGE-L, CIDEr-D), and what of the evidence they tell, and when.

ROUGE-L: Lin, ACL 2004, with recall weighed as coco-caption does. CIDEr-D: Vedantam et al., CVPR 2015; its weights come
from the references that are scored together, so it depends on the set: compare only over the same one.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.errors import is_spaceless, normalised
from schemas.formats.clock import CLOCK, TIME, milliseconds
from schemas.formats.reading import alike

BETA = 1.2  # ROUGE-L: recall counts so much more than precision
NUM_GRAMS = 4
SIGMA = 6.0  # CIDEr-D: of the penalty for another length, in words
MIN_WORDS_TOLD = 0.5
IN_TIME_MS = 1_000

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_LASTS = r"(?P<lasts>\b(?:for|lasts|lasting|every)\s(?:about\s)?)?"
_UNIT = r" ?(?:seconds?|secs?|s|秒)(?![A-Za-z])"
_TIMES = re.compile(
    rf"{_LASTS}(?<![0-9.,:])(?:(?P<from>{TIME})(?:{_UNIT})? ?(?:-|~|to|until|till|and|到|至) ?)?"
    rf"(?:(?P<to>{TIME}){_UNIT}|(?P<clock>{CLOCK}))",
    re.IGNORECASE,
)
_FILLING = frozenset(
    (*"a an and at by for from in is it of on or s that the to with".split(), *"的了在和")  # noqa: SIM905
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact that a caption may tell, in [start_ms, end_ms) of the clip."""

    text: str
    start_ms: int
    end_ms: int
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whether a caption tells a fact; `shift_ms` is named minus true start, None where no time is named with it."""

    is_told: bool
    shift_ms: int | None = None

    @property
    def is_in_time(self) -> bool:
        return self.shift_ms is not None and abs(self.shift_ms) <= IN_TIME_MS


def facts_told(facts: Sequence[Evidence], caption: str) -> tuple[Told, ...]:
    """What becomes of each fact: some sentence tells it by a name of its label, or by half of its words in their order.

    Of the times that the sentence names ("at 3.2 s", "from 0.3 to 4.3 s", "[00:03]"), the nearest to the fact's start
    counts; of several sentences that tell it, the nearest too. Lengths ("for 3 s") are no times. So this flatters a
    caption that strews times: read it beside the other scores. It does not see what is told and is not so.
    """
    sentences = [(_stems(sentence), _times_ms(sentence)) for sentence in _SENTENCE.split(caption) if sentence.strip()]
    found = []
    for fact in facts:
        telling = [times_ms for words, times_ms in sentences if _tells(words, fact)]
        shifts = [time_ms - fact.start_ms for times_ms in telling for time_ms in times_ms]
        nearest = min(shifts, key=lambda shift: (abs(shift), shift), default=None)
        found.append(Told(is_told=bool(telling), shift_ms=nearest))
    return tuple(found)


def rouge_l(reference: str, predicted: str) -> float:
    """F-measure of the longest common row of words, 0..1."""
    said, heard = words_of(reference), words_of(predicted)
    common = _common(said, heard)
    if not common:
        return float(not said and not heard)
    recall, precision = common / len(said), common / len(heard)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def cider_d(references: Sequence[str], predicted: Sequence[str]) -> tuple[float, ...]:
    """Of each caption, 0..10, one reference each. A word row that is in every reference weighs nothing, so of a single
    reference all are 0."""
    said, heard = ([_grams(words_of(text)) for text in texts] for texts in (references, predicted))
    frequency = Counter(gram for grams in said for gram in grams)
    rarity = {gram: math.log(len(said)) - math.log(count) for gram, count in frequency.items()}
    unseen = math.log(max(1, len(said)))
    scores = []
    for true, told in zip(said, heard, strict=True):
        likeness = 0.0
        for size in range(1, NUM_GRAMS + 1):
            a = {gram: count * rarity[gram] for gram, count in true.items() if len(gram) == size}
            b = {gram: count * rarity.get(gram, unseen) for gram, count in told.items() if len(gram) == size}
            norms = math.hypot(*a.values()) * math.hypot(*b.values())
            shared = sum(min(weight, a[gram]) * a[gram] for gram, weight in b.items() if gram in a)
            likeness += shared / norms if norms else 0.0
        num_true, num_told = (sum(n for gram, n in grams.items() if len(gram) == 2) for grams in (true, told))
        scores.append(10 * likeness / NUM_GRAMS * math.exp(-((num_true - num_told) ** 2) / (2 * SIGMA**2)))
    return tuple(scores)


def words_of(text: str) -> list[str]:
    """Normalised words; characters where the language has no spaces."""
    plain = normalised(text)
    return [letter for letter in plain if letter != " "] if is_spaceless(plain) else plain.split()


def _grams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + size]) for size in range(1, NUM_GRAMS + 1) for start in range(len(words) - size + 1)
    )


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest row of words that both have, gaps allowed."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(other))}
    heard = np.array([numbers[word] for word in other], int)
    row = np.zeros(len(other) + 1, int)
    for word in one:
        if word in numbers:
            row[1:] = np.maximum.accumulate(np.where(heard == numbers[word], row[:-1] + 1, row[1:]))
    return int(row[-1])


def _tells(stems: Sequence[str], fact: Evidence) -> bool:
    for name in (fact.label or "").split(","):
        wanted = _stems(name)
        if wanted and set(wanted) <= set(stems):
            return True
    wanted = _stems(fact.text)
    return bool(wanted) and _common(wanted, stems) >= MIN_WORDS_TOLD * len(wanted)


def _stems(text: str) -> list[str]:
    """Words without the endings of several and of doing, and without those that fill."""
    return [_stem(word) for word in words_of(text) if word not in _FILLING]


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _times_ms(sentence: str) -> list[int]:
    found = []
    for match in _TIMES.finditer(alike(sentence)):
        if match["lasts"] and not match["from"]:
            continue
        found += [milliseconds(match[name]) for name in ("from", "to", "clock") if match[name]]
    return found
