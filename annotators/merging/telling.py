"""What is told twice, and what is not told at all."""

from collections.abc import Sequence

from annotators.merging import lexicon
from annotators.merging.tokens import Piece, heard_of, sentence_of
from annotators.merging.words import stems
from annotators.sentences import WORDS, Told
from schemas.record import Claim, Rejected


def told_once(claims: Sequence[Claim]) -> tuple[list[Claim], list[Rejected]]:
    """The claims without those that tell again, of the same facts, what another of them tells."""
    kept: list[Claim] = []
    rejected: list[Rejected] = []
    for index, claim in enumerate(claims):
        others = [*kept, *(other for other in claims[index + 1 :] if not _repeats(other, claim))]
        if again := next((other for other in others if _repeats(claim, other)), None):
            rejected.append(Rejected(text=claim.text, reason=f"it tells again what is told in {again.text[:80]!r}"))
        else:
            kept.append(claim)
    return kept, rejected


def is_told(told: Told, claims: Sequence[Claim], min_quoted: float) -> bool:
    """Whether claims rest on the fact; of what was said, whether enough of its words are quoted."""
    resting = [claim for claim in claims if told.evidence in claim.evidence]
    if told.fact.kind != WORDS:
        return bool(resting)
    heard = heard_of(told.text)
    quoted: set[int] = set()
    for claim in resting:
        for quote in sentence_of(claim.text).quotes:
            words = heard_of(quote.text).words
            for run in heard.runs(words):
                quoted |= set(range(run, run + len(words)))
    return bool(resting) and len(quoted) >= min_quoted * len(heard.words)


def _repeats(claim: Claim, other: Claim) -> bool:
    """Whether nothing in the one is new after the other."""
    return set(claim.evidence) <= set(other.evidence) and _words(claim) <= _words(other)


def _words(claim: Claim) -> frozenset[str]:
    found: set[str] = set()
    for token in sentence_of(claim.text).tokens:
        if token.piece is Piece.QUOTE:
            found |= {f'"{word}' for word in heard_of(token.text).words}
        elif token.piece is not Piece.MARK and token.word not in lexicon.FUNCTION:
            found.add(min(stems(token.word), key=len))
    return frozenset(found)
