"""Whether what a sentence tells as first, or as at once, is so in its evidence."""

from collections.abc import Callable, Sequence

from annotators.merging import lexicon
from annotators.merging.clauses import Clause, Parsed, quoted_by
from annotators.merging.evidence import Evidence
from annotators.merging.tokens import Piece
from schemas.span import Span

Order = Callable[[Span, Span, int], bool]


def is_out_of_order(parsed: Parsed, tolerance_ms: int) -> str | None:
    """Each clause that a word of order joins to another is held against it."""
    clauses = parsed.clauses
    for index, clause in enumerate(clauses):
        word = _joining(parsed, clause)
        if word is None:
            continue
        if index == 0 and (len(clauses) < 2 or word in lexicon.IN_TURN):
            continue
        other = clauses[index - 1] if index else clauses[1]
        first, second = (clause, other) if word == "after" else (other, clause)
        holds: Order = _at_once if word in lexicon.AT_ONCE else _in_turn
        one, two = _supports(parsed, first), _supports(parsed, second)
        pairs = [(a.fact, b.fact) for a in one for b in two]
        pairs = [(a, b) for a, b in pairs if a is not b] or pairs  # of a word that two facts have, it is the other's
        if pairs and not any(holds(a, b, tolerance_ms) for a, b in pairs):
            return f"its evidence is not in the order that {word!r} tells"
    return None


def _joining(parsed: Parsed, clause: Clause) -> str | None:
    """The word of order that the clause begins with, or holds."""
    for token in parsed.tokens[clause.first : clause.last]:
        if token.piece is not Piece.WORD:
            continue
        if token.word in lexicon.AT_ONCE | lexicon.IN_TURN | {"before", "after"}:
            return token.word
    return None


def _supports(parsed: Parsed, clause: Clause) -> Sequence[Evidence]:
    """The facts that the clause rests on: those that hold the words which the fewest hold."""
    holding = [parsed.licensing(index) for index in range(clause.first, clause.last) if index in parsed.content]
    holding += [
        tuple(quoted_by(token, clause.evidence))
        for token in parsed.tokens[clause.first : clause.last]
        if token.piece is Piece.QUOTE
    ]
    holding += [
        tuple(one for one in clause.evidence if one.holds(number))
        for number in parsed.numbers
        if clause.first <= number.first < clause.last
    ]
    fewest = min((len(held) for held in holding if held), default=0)
    return [one for held in holding if len(held) == fewest for one in held]


def _in_turn(one: Span, other: Span, tolerance_ms: int) -> bool:
    return one.start_ms <= other.start_ms + tolerance_ms


def _at_once(one: Span, other: Span, tolerance_ms: int) -> bool:
    return one.start_ms <= other.end_ms + tolerance_ms and other.start_ms <= one.end_ms + tolerance_ms
