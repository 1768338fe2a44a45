"""Which facts cannot be true together, and which of them is believed: what a person wrote, then the surer."""

from collections.abc import Iterable, Sequence

from annotators.merging.lexicon import OF_A_MOMENT, SINGLE_KINDS
from annotators.merging.listing import Listed
from schemas import audioset
from schemas.record import Branch

MIN_OVERLAP = 0.5  # of the shorter of the two


def contradiction(fact: Listed, facts: Iterable[Listed]) -> str | None:
    """Why this fact is not to be believed beside the others, or None."""
    for other in facts:
        if other.human and not fact.human and differ(fact, other):
            return f"a person says {other.text!r} there, {other.id}"
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


def are_of_one_thing(a: Listed, b: Listed) -> bool:
    """Whether facts of different kinds are on one voice, or on the music of one time."""
    if a.branch is not b.branch or a.branch is Branch.SOUND or a.kind == b.kind or not a.overlap_ms(b):
        return False
    return a.speaker is None or b.speaker is None or a.speaker == b.speaker


def is_told_with(quality: Listed, of: Listed, tolerance_ms: float) -> bool:
    """Whether the one is how the other is all the while: the voice of what is said, the key of what is played."""
    lasts = quality.start_ms - tolerance_ms <= of.start_ms and of.end_ms <= quality.end_ms + tolerance_ms
    return lasts and quality.kind not in OF_A_MOMENT and are_of_one_thing(quality, of)


def is_reply(fact: Listed, facts: Iterable[Listed]) -> bool:
    """Whether another speaker had the word just before."""
    before = [one for one in facts if one.kind == fact.kind and one.start_ms < fact.start_ms and one.speaker]
    last = max(before, key=lambda one: (one.start_ms, one.id), default=None)
    return last is not None and fact.speaker is not None and last.speaker != fact.speaker


def differ(one: Listed, other: Listed) -> bool:
    """Whether they tell different things of one kind, of one voice, at one time."""
    if one.id == other.id or (one.branch, one.kind) != (other.branch, other.kind):
        return False
    if one.speaker and other.speaker and one.speaker != other.speaker:
        return False
    if one.overlap_ms(other) < MIN_OVERLAP * min(one.duration_ms, other.duration_ms):
        return False
    if one.label and other.label and audioset.is_family(one.label, other.label):
        return False
    return _content(one) != _content(other)


def _content(fact: Listed) -> tuple[str, str]:
    words = "".join(letter if letter.isalnum() else " " for letter in fact.text.casefold())
    return " ".join(words.split()), (fact.label or "").casefold()


def _is_surer(one: Listed, other: Listed) -> bool:
    return (one.score, other.id) > (other.score, one.id)
