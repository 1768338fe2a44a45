"""True claims with one word put in at random, or in the place of another: how many stand, and what of."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.merging.words import words_of
from benchmarks.merge_captions import Honest, honest
from benchmarks.merge_cases import Case, case
from schemas import audioset

LEXICAL = words_of("""
    one two three four five six seven eight nine ten eleven first second third fourth fifth both half dozen couple
    several many few no not never without another other loud quiet soft low high male female man woman boy girl child
    young old happy sad angry calm fast slow major minor sharp flat piano guitar drum before after while during then
    until S01 S02 S03 A B C D E F G Am 12 440 3.5 0:07 120 minute hour second seconds minutes begins ends starts stops
    voices speakers sings shouts whispers whole throughout last long short steady rising falling grows dies away
""")
_QUOTATION = re.compile(r'["“][^"”]*["”]')
_WORD = re.compile(r"[A-Za-z0-9.:'#-]*[A-Za-z0-9#]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    source: str  # of the word: "dictionary", "labels", "lexical"
    how: str  # "swap" or "insert"
    word: str
    made: Case
    claim: Honest
    row: dict[str, Any]

    @property
    def is_of_its_facts(self) -> bool:
        """Whether the word stands in the facts that the claim cites: then it repeats, and need not invent."""
        words = " ".join(f"{one.fact.text} {one.fact.label or ''} {one.fact.kind}" for one in self.claim.of).lower()
        own = re.findall(r"[a-z0-9.:#]+", words)
        return any(word == self.word.lower() or word[:4] == self.word.lower()[:4] for word in own)


def vocabularies() -> dict[str, list[str]]:
    """134,000 words of the pronouncing dictionary of the recogniser, the words of AudioSet, and words of each rule."""
    import pocketsphinx

    path = Path(pocketsphinx.__file__).parent / "model" / "en-us" / "cmudict-en-us.dict"
    words = {line.split()[0].partition("(")[0] for line in path.read_text().splitlines() if line.strip()}
    labels = {word for label in audioset.labels() for word in re.findall("[a-z]+", label.name.lower())}
    return {
        "dictionary": sorted(word for word in words if word.isalpha() and len(word) > 1),
        "labels": sorted(labels),
        "lexical": sorted(LEXICAL),
    }


def mutations(seed: int) -> Iterator[Mutation]:
    """Without end; one for each true claim, one segment after the other."""
    rng, words = random.Random(seed), vocabularies()
    while True:
        seed += 1
        made = case(seed)
        for claim in honest(made, random.Random(seed)):
            source, how = rng.choice(sorted(words)), rng.choice(("swap", "insert"))
            word, text = rng.choice(words[source]), str(claim.row["text"])
            quoted = [found.span() for found in _QUOTATION.finditer(text)]
            places = [found.span() for found in _WORD.finditer(text)]
            free = [(a, b) for a, b in places if not any(start <= a < end for start, end in quoted)]
            start, end = rng.choice(free)
            if text[start:end].lower() == word.lower():
                continue
            changed = text[:start] + word + (text[end:] if how == "swap" else f" {text[start:]}")
            yield Mutation(
                source=source, how=how, word=word, made=made, claim=claim, row={**claim.row, "text": changed}
            )
