"""Word and character errors, by jiwer, after one normalisation that both sides go through.

`normalised` leaves numbers, spellings and disfluencies as they are: "twenty" and "20" are two words. Results name
whether they are normalised or raw, and are summed over clips before they are divided: see `intervals.ratio`.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.languages import SPACELESS

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´＇", "'"))
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_KEPT = "\ue000"  # a private letter that stands for an apostrophe within a word while the others go
_SPACELESS_SCRIPTS = ("CJK UNIFIED", "CJK COMPATIBILITY", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What it takes to make the reference of the prediction, in words or in characters."""

    hits: int
    substitutions: int
    deletions: int  # in the reference and not in the prediction
    insertions: int

    @property
    def num_reference(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors for each unit of the reference; may pass 1. An empty reference counts as one unit."""
        return self.errors / max(1, self.num_reference)


def word_errors(reference: str, predicted: str, *, raw: bool = False) -> Edits:
    """Words are what white space parts; `raw` compares them as they are written."""
    import jiwer

    found = jiwer.process_words(_spaced(reference, raw), _spaced(predicted, raw))
    return Edits(
        hits=found.hits, substitutions=found.substitutions, deletions=found.deletions, insertions=found.insertions
    )


def character_errors(reference: str, predicted: str, *, raw: bool = False) -> Edits:
    """White space is left out, raw too: in some languages it carries nothing, and in none is it said."""
    import jiwer

    said, heard = ("".join(_spaced(text, raw).split()) for text in (reference, predicted))
    found = jiwer.process_characters(said, heard)
    return Edits(
        hits=found.hits, substitutions=found.substitutions, deletions=found.deletions, insertions=found.insertions
    )


def total(edits: Iterable[Edits]) -> Edits:
    """All together: the corpus."""
    counted = list(edits)
    return Edits(
        hits=sum(one.hits for one in counted),
        substitutions=sum(one.substitutions for one in counted),
        deletions=sum(one.deletions for one in counted),
        insertions=sum(one.insertions for one in counted),
    )


def normalised(text: str) -> str:
    """`text` as it is compared: NFKC (so full width is ASCII), casefolded, each punctuation mark or symbol a space,
    apostrophes kept within words, single spaces."""
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold().replace(_KEPT, " ")
    marked = _APOSTROPHE.sub(_KEPT, unicodedata.normalize("NFKC", folded))
    kept = "".join(
        " " if unicodedata.category(letter)[0] in "PSZC" and letter != _KEPT else letter for letter in marked
    )
    return " ".join(kept.replace(_KEPT, "'").split())


def is_spaceless(text: str, language: str | None = None) -> bool:
    """Whether characters are to be counted rather than words: by the language, else by most of the letters."""
    if language is not None:
        return language in SPACELESS
    letters = [letter for letter in text if letter.isalpha()]
    spaceless = sum(unicodedata.name(letter, "").startswith(_SPACELESS_SCRIPTS) for letter in letters)
    return 2 * spaceless > len(letters)


def _spaced(text: str, raw: bool) -> str:
    return " ".join(text.split()) if raw else normalised(text)
