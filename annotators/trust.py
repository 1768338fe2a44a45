"""Which of a recogniser's words are told, by what speaks against each stretch of them. Pure.

The rules that need no second hearing (`recognition.doubts`) and what a second recogniser understood
(`recognition.agreement`) each keep, flag or drop a stretch; the gravest counts. What is dropped is not told, what is
flagged is, and both leave their reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from annotators.base import Transcript
from annotators.recognition.agreement import AgreementRules, Verdict, error_rate, gravest, judged
from annotators.recognition.doubts import DoubtRules, Said, doubts_of
from annotators.recognition.stretches import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A stretch of words, and what speaks against it; `second` is None where nobody else was asked."""

    said: Said
    second: Transcript | None
    verdict: Verdict
    doubts: tuple[str, ...] = ()
    grave: str | None = None  # the doubt for which it is not told

    @property
    def is_told(self) -> bool:
        return self.verdict is not Verdict.DROP and bool(self.said.text.strip())


def weighed(said: Said, second: Transcript | None, agreement: AgreementRules, rules: DoubtRules) -> Weighed:
    doubts = [(doubt.verdict, doubt.reason) for doubt in doubts_of(said, rules)]
    if second and second.error:
        doubts.append((Verdict.KEEP, f"no second recogniser heard it: {second.error}"))
    elif second:
        judgement = judged(said.text, second.text, agreement, said.transcript.language)
        doubts += [(judgement.verdict, judgement.reason)] if judgement.reason else []
    verdict = gravest(verdict for verdict, _ in doubts)
    grave = next((reason for verdict, reason in doubts if verdict is Verdict.DROP), None)
    return Weighed(said=said, second=second, verdict=verdict, doubts=tuple(reason for _, reason in doubts), grave=grave)


def withheld(stretches: Sequence[Weighed]) -> str | None:
    """Why words of a clip are not told; None where all are."""
    worded = [one for one in stretches if one.said.text.strip()]
    dropped = [one.grave for one in worded if one.grave]
    if not worded:
        return "no words were understood"
    if not dropped:
        return None
    reasons = "; ".join(dict.fromkeys(dropped))
    if len(dropped) == len(worded):
        return f"the words are withheld: {reasons}"
    return f"the words of {len(dropped)} of {len(worded)} stretches are withheld: {reasons}"


def second_text(stretches: Sequence[Weighed]) -> str | None:
    """What the second recogniser understood of those it heard; None where it heard none."""
    heard = _heard_twice(stretches)
    return text_of((two.text for _, two in heard), heard[0][0].language) if heard else None


def disagreement(stretches: Sequence[Weighed]) -> float | None:
    """Error rate between the two over all that both heard; None where that is nothing."""
    heard = _heard_twice(stretches)
    if not heard:
        return None
    language = heard[0][0].language
    first, second = (text_of(texts, language) for texts in zip(*((a.text, b.text) for a, b in heard), strict=True))
    return round(error_rate(first, second, language), 3)


def _heard_twice(stretches: Sequence[Weighed]) -> list[tuple[Transcript, Transcript]]:
    return [(one.said.transcript, one.second) for one in stretches if one.second and not one.second.error]
