"""Whose words they are: rules on quotations and on speakers."""

from collections.abc import Sequence

from annotators.merging import lexicon
from annotators.merging.cases import Case, speakers_in_words
from annotators.merging.clauses import quoted_by
from annotators.merging.evidence import Evidence, evidence_of
from annotators.merging.tokens import Heard, Piece, heard_of


def quotes_what_was_not_heard(case: Case) -> str | None:
    for index, token in enumerate(case.parsed.tokens):
        if token.piece is not Piece.QUOTE:
            continue
        if not (said := quoted_by(token, case.cited)):
            return f"nobody is heard to say {token.text[:80]!r} in its evidence"
        if all(_cuts_a_negation(one.heard, heard_of(token.text).words) for one in said if one.heard):
            return f"{token.text[:80]!r} leaves out the negation before it"
        if reason := _said_by_another(case, index, said):
            return reason
    return None


def names_another_speaker(case: Case) -> str | None:
    known = {number for one in case.cited for number in one.speakers}
    for mention in case.parsed.mentions:
        if mention.number is None:
            heard = {number for fact in case.listing.facts for number in evidence_of(fact).speakers}
            if len(heard) < 2 or not known or min(heard) in known:
                return "it tells of another speaker, and its evidence is of none"
        elif mention.number not in known:
            return f"it names the speaker {mention.number}, and its evidence is of {speakers_in_words(known)}"
    return None


def _said_by_another(case: Case, quote: int, said: Sequence[Evidence]) -> str | None:
    """Whether the sentence gives these words to somebody else. Two names before a quotation are one too many."""
    speakers = frozenset[int]().union(*(one.speakers for one in said))
    if not speakers:
        return None
    quotes = [i for i, token in enumerate(case.parsed.tokens) if token.piece is Piece.QUOTE]
    before = max((i for i in quotes if i < quote), default=-1)
    after = min((i for i in quotes if i > quote), default=len(case.parsed.tokens))
    named = [mention for mention in case.parsed.mentions if mention.number is not None]
    near = [mention for mention in named if before < mention.first < quote]
    near = near or [mention for mention in named if mention.first < quote][-1:]
    near = near or [mention for mention in named if quote < mention.first < after][:1]
    for mention in near:
        if mention.number not in speakers:
            words = case.parsed.tokens[quote].text[:80]
            return f"{words!r} is said by {speakers_in_words(speakers)}, not by {mention.number}"
    return None


def _cuts_a_negation(heard: Heard, words: tuple[str, ...]) -> bool:
    """Whether every place where these words stand has a negation just before them, in the same breath."""
    runs = heard.runs(words)
    return bool(runs) and all(is_negated(heard.words[max(0, run - 2) : run]) for run in runs)


def is_negated(before: tuple[str, ...]) -> bool:
    is_contracted = before[-1:] == ("t",) and before[-2:-1] != () and before[-2].endswith("n")
    return is_contracted or any(word in lexicon.NEGATIONS for word in before)
