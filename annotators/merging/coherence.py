"""Which facts cannot be true together, and which of them is believed: what a person wrote, then the surer."""

from collections.abc import Iterable, Sequence

from annotators.merging.lexicon import SINGLE_KINDS
from annotators.merging.listing import Listed

MIN_OVERLAP = 0.5  # of the shorter of the two


def contradiction(fact: Listed, facts: Iterable[Listed]) -> str | None:
    """Why this fact is not to be believed beside the others, or None."""
    for other in facts:
        if other.human and not fact.human and differ(fact, other):
            return f"a person says otherwise in {other.id}"
        if fact.human == other.human and fact.kind in SINGLE_KINDS and differ(fact, other) and _is_surer(other, fact):
            return f"{other.id} is surer ({other.score:.2f} to {fact.score:.2f}) and says otherwise"
    return None


def believed(facts: Sequence[Listed]) -> tuple[list[Listed], list[tuple[Listed, str]]]:
    """Those that stand, and those that do not with the reason."""
    judged = [(fact, contradiction(fact, facts)) for fact in facts]
    return (
        [fact for fact, reason in judged if reason is None],
        [(fact, reason) for fact, reason in judged if reason is not None],
    )


def differ(one: Listed, other: Listed) -> bool:
    """Whether they tell different things of one kind, of one voice, at one time."""
    if one.id == other.id or (one.branch, one.kind) != (other.branch, other.kind):
        return False
    if one.speaker and other.speaker and one.speaker != other.speaker:
        return False
    if one.overlap_ms(other) < MIN_OVERLAP * min(one.duration_ms, other.duration_ms):
        return False
    return _content(one) != _content(other)


def _content(fact: Listed) -> tuple[str, str]:
    words = "".join(letter if letter.isalnum() else " " for letter in fact.text.casefold())
    return " ".join(words.split()), (fact.label or "").casefold()


def _is_surer(one: Listed, other: Listed) -> bool:
    return (one.score, other.id) > (other.score, one.id)
