"""A proposal on its way through the rules: its words laid open, and the facts that it cites."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from annotators.merging import lexicon
from annotators.merging.clauses import Parsed
from annotators.merging.coherence import is_reply
from annotators.merging.evidence import Evidence, evidence_of
from annotators.merging.listing import Listed, Listing
from annotators.merging.reading import Proposal
from schemas.record import Segment
from schemas.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingRules:
    tolerance_ms: int = 500  # between a time that is written and that of its evidence
    max_letters: int = 400  # of one claim
    covers_all: float = 0.9  # share of the segment that "throughout" takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A proposal before the rules; `parsed` is its text, `cited` its evidence, as far as it exists."""

    proposal: Proposal
    parsed: Parsed
    cited: tuple[Evidence, ...]
    listing: Listing
    rules: VerifyingRules

    @property
    def segment(self) -> Segment:
        return self.listing.segment


def in_context(fact: Listed, listing: Listing) -> Evidence:
    evidence = evidence_of(fact)
    if fact.kind in lexicon.HEARD_KINDS and is_reply(fact, listing.facts):
        return replace(evidence, stems=evidence.stems | lexicon.REPLIES)
    return evidence


def speakers_in_words(numbers: Iterable[int]) -> str:
    return ", ".join(f"S{number:02d}" for number in sorted(numbers)) or "nobody in particular"


def hull_of(cited: Sequence[Evidence]) -> Span:
    return Span.of(min(one.fact.start_ms for one in cited), max(one.fact.end_ms for one in cited))


def proposed_ms(case: Case) -> tuple[int, int]:
    start, end = (round(at_s * 1000) for at_s in (case.proposal.start_s, case.proposal.end_s))
    return case.segment.start_ms + start, case.segment.start_ms + end
