"""How far two recognisers agree on the same sound, and what follows from it.

Both texts are put in one form first (`normalised`): NFKC, folded case, no punctuation, single spaces. Then the word
error rate between them is counted, the first taken as the reference; the character error rate where words are not
parted by spaces. Two recognisers that err alike agree, so agreement is no proof; disagreement is what this is for.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from annotators.recognition.stretches import is_spaceless
from schemas.errors import ConfigError

MAX_UNITS = 5_000  # words or characters that are compared; a stretch of speech has no more
_JOINED = frozenset("'’ʼ＇`´")  # "don't" is one word, and so is "l'eau"


class Verdict(StrEnum):
    KEEP = "keep"
    FLAG = "flag"  # it is told, with the doubt
    DROP = "drop"  # it is not told


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """KEEP where there is none."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.KEEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRules:
    """Above `flag_above` the words are doubted, above `drop_above` they are dropped.

    The published pipelines drop what recognisers disagree on strongly without saying at which rate (MOSS-Audio, section
    3.2). A quarter is about what good recognisers differ by in conversation across a room; where half of the words
    differ, one of the two has heard something else.
    """

    flag_above: float = 0.25
    drop_above: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.flag_above <= self.drop_above:
            raise ConfigError(
                f"flag_above={self.flag_above} must lie between 0 and drop_above={self.drop_above}, "
                "or words are dropped that are not even doubted"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`reason` is None where the words are kept."""

    verdict: Verdict
    disagreement: float | None  # None where there is nothing to compare with
    reason: str | None = None


def normalised(text: str) -> str:
    """In the one form that texts are compared in.

    >>> normalised("  Don’t — STOP,\\u3000ＮＯＷ!")
    'dont stop now'
    """
    letters = (
        "" if letter in _JOINED else letter if unicodedata.category(letter)[0] in "LMN" else " "
        for letter in unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    )
    return " ".join("".join(letters).split())


def units(text: str, language: str | None) -> list[str]:
    """What is counted: words, or characters where words are not parted."""
    plain = normalised(text)
    return list(plain.replace(" ", "")) if is_spaceless(plain, language) else plain.split()


def error_rate(reference: str, hypothesis: str, language: str | None = None) -> float:
    """Insertions, deletions and substitutions for each unit of the reference; it may pass 1.

    Nothing against nothing is 0. Where only one of the two is nothing, it is 1.
    """
    if language is None and is_spaceless(reference, None) != is_spaceless(hypothesis, None):
        language = "zh" if is_spaceless(reference or hypothesis, None) else "en"
    first, second = units(reference, language)[:MAX_UNITS], units(hypothesis, language)[:MAX_UNITS]
    if not first or not second:
        return 0.0 if first == second else 1.0
    import jiwer

    return float(jiwer.wer(" ".join(first), " ".join(second)))


def judged(first: str, second: str | None, rules: AgreementRules, language: str | None = None) -> Judgement:
    """What becomes of the words of the first, by those of the second; None where nobody else has heard it."""
    if second is None:
        return Judgement(verdict=Verdict.KEEP, disagreement=None)
    rate = error_rate(first, second, language)
    if rate <= rules.flag_above:
        return Judgement(verdict=Verdict.KEEP, disagreement=rate)
    what = "characters" if is_spaceless(first or second, language) else "words"
    drop = rate > rules.drop_above
    limit, verdict = (rules.drop_above, Verdict.DROP) if drop else (rules.flag_above, Verdict.FLAG)
    reason = f"two recognisers differ in {100 * rate:.0f} of 100 {what}, more than {100 * limit:.0f}"
    return Judgement(verdict=verdict, disagreement=rate, reason=reason)
