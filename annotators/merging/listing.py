"""What the branches said, as one list of facts with ids: what the language model is shown, and what claims may cite.

The list goes out as a JSON document. All text of facts is on one line, without control characters, and what begins or
ends markup is escaped, so that no transcript can end the string it stands in, or look like anything but data.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotators.sentences import Told
from schemas.record import Branch, Segment
from schemas.span import Span

ESCAPED = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&`\u007f\u2028\u2029"}
CUT = " ..."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRules:
    max_facts: int = 80
    max_text: int = 600  # characters of one fact that are shown; the whole of it is evidence
    max_characters: int = 24_000  # of the whole document


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Span):
    """A fact as it can be cited; times are of the recording, as everywhere."""

    id: str  # "speech/0"
    branch: Branch
    kind: str
    text: str  # harmless, and whole
    score: float
    label: str | None = None
    speaker: str | None = None
    human: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The facts in time order, those that there was no room for, and the document."""

    segment: Segment
    facts: tuple[Listed, ...]
    left_out: tuple[Listed, ...]
    document: str

    @property
    def by_id(self) -> dict[str, Listed]:
        return {fact.id: fact for fact in self.facts}


def listing_of(told: Iterable[Told], segment: Segment, rules: ListingRules) -> Listing:
    """As many facts as there is room for: people's first, then the surest, and of equals the shorter texts."""
    facts = [listed(one) for one in told]
    ranked = sorted(facts, key=lambda fact: (not fact.human, -fact.score, len(fact.text), fact.start_ms, fact.id))
    kept: set[str] = set()
    room = rules.max_characters - len(_document([], segment, len(facts), rules))
    for fact in ranked:
        length = len(_written(fact, segment, rules)) + 2
        if len(kept) < rules.max_facts and length <= room:
            kept.add(fact.id)
            room -= length
    shown = tuple(fact for fact in facts if fact.id in kept)
    left_out = tuple(fact for fact in facts if fact.id not in kept)
    return Listing(
        segment=segment, facts=shown, left_out=left_out, document=_document(shown, segment, len(left_out), rules)
    )


def listed(told: Told) -> Listed:
    fact = told.fact
    return Listed(
        start_ms=fact.start_ms,
        end_ms=fact.end_ms,
        id=told.evidence,
        branch=told.branch,
        kind=fact.kind,
        text=told.text,
        score=fact.score,
        label=fact.label,
        speaker=fact.speaker,
        human=fact.human,
    )


def _document(facts: Sequence[Listed], segment: Segment, num_left_out: int, rules: ListingRules) -> str:
    rows = ",\n".join(_written(fact, segment, rules) for fact in facts)
    head = f'"duration_s": {segment.duration_ms / 1000:.2f}, "facts_left_out": {num_left_out}'
    return f'{{{head}, "facts": [\n{rows}\n]}}'


def _written(fact: Listed, segment: Segment, rules: ListingRules) -> str:
    """One fact as JSON on one line; what it has not is left out."""
    text = fact.text if len(fact.text) <= rules.max_text else fact.text[: rules.max_text - len(CUT)] + CUT
    row = {
        "id": fact.id,
        "kind": fact.kind[:40],
        "start_s": round((fact.start_ms - segment.start_ms) / 1000, 2),
        "end_s": round((fact.end_ms - segment.start_ms) / 1000, 2),
        "text": text,
        "label": fact.label[:80] if fact.label else None,
        "speaker": fact.speaker[:20] if fact.speaker else None,
        "score": round(fact.score, 2),
        "by_a_person": fact.human or None,
    }
    written = json.dumps({key: value for key, value in row.items() if value is not None}, ensure_ascii=False)
    return _without_surrogates(written).translate(ESCAPED)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
