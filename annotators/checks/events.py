"""Holds what a claim names against what the detector heard: pure, without a model of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from annotators.base import Verdict
from annotators.checks.windows import unquoted
from schemas import audioset
from schemas.errors import ConfigError, SchemaError
from schemas.record import Claim, Clip
from schemas.span import Span

MODEL = "audioset-agreement@1"  # counts up when a rule changes

SPOKEN_OTHERWISE = frozenset(
    {
        "inside, small room",
        "outside, urban or manmade",
        "run",
        "tick",
        "pulse",
        "static",
        "echo",
        "noise",
        "crack",
        "rub",
    }
)
"""Labels whose words mean something else in a sentence more often than not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsCheckConfig:
    reach_ms: int = 500  # beyond a claim's ends; detectors hear in frames, and late
    least_score: float = 0.0  # of an event that counts

    def __post_init__(self) -> None:
        if self.reach_ms < 0 or not 0 <= self.least_score <= 1:
            raise ConfigError(
                f"the check by events has reach_ms {self.reach_ms} and least_score {self.least_score}; "
                "the one is not negative, and the other lies in 0..1"
            )

    def build(self) -> "EventsCheck":
        return EventsCheck(self)


class EventsCheck:
    """A claim agrees where an event of the family of what it names is heard in its time.

    One family are a class of AudioSet, all above it and all below it: "a dog barks" agrees with `Animal`, `Dog` and
    `Bark`, and not with `Cat`. Of several names one is enough: in "a car door slams" no car is heard. A claim that
    names nothing, or lies where the detector heard something it had no name for, is not judged.
    """

    name = "events"
    model = MODEL

    def __init__(self, config: EventsCheckConfig) -> None:
        self._config = config

    def check(self, asked: Sequence[tuple[Clip, Claim]]) -> list[Verdict]:
        return [agreement(clip, claim, self._config) for clip, claim in asked]


def agreement(clip: Clip, claim: Claim, config: EventsCheckConfig) -> Verdict:
    """The highest score of an event that agrees, or 0 and the objection."""
    names = named(clip, claim)
    if not names:
        return Verdict()
    around = Span.of(max(0, claim.start_ms - config.reach_ms), claim.end_ms + config.reach_ms)
    near = [event for event in clip.segment.events if event.overlap_ms(around)]
    heard = [(event, label.name) for event in near if (label := audioset.known(event.label))]
    agreeing = [
        event.score
        for event, label in heard
        if event.score >= config.least_score and any(audioset.is_family(label, name) for name in names)
    ]
    if agreeing:
        return Verdict(score=max(agreeing))
    if len(heard) < len(near):
        return Verdict()
    found = ", ".join(sorted({label for _, label in heard})) or "nothing"
    return Verdict(score=0.0, objection=f"it names {', '.join(names)}; heard there: {found}")


def named(clip: Clip, claim: Claim) -> tuple[str, ...]:
    """The classes of AudioSet that the sentence names outside of quotes, else those its facts are labelled with."""
    return named_in(unquoted(claim.text)) or _labels(clip, claim)


def named_in(text: str) -> tuple[str, ...]:
    """The classes whose name, or a part of it between commas, stands in the text, whatever the endings of its words.

    Of names within a longer one ("Guitar" in "Electric guitar") only the longest counts.
    """
    words = tuple(_stem(word) for word in _WORD.findall(text.casefold()))
    found: list[str] = []
    position = 0
    while position < len(words):
        for length in range(min(_longest(), len(words) - position), 0, -1):
            if names := _by_words().get(words[position : position + length]):
                found += names
                position += length
                break
        else:
            position += 1
    return tuple(dict.fromkeys(found))


_WORD = re.compile(r"[a-z]+")


@cache
def _by_words() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Stems of the words of each class, to its name."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for label in audioset.labels():
        if label.coarse is None or label.name.casefold() in SPOKEN_OTHERWISE:
            continue
        for part in _parts(label.name):
            words = tuple(_stem(word) for word in _WORD.findall(part.casefold()))
            if words:
                found[words] = (*found.get(words, ()), label.name)
    return found


def _parts(name: str) -> list[str]:
    """ "Male speech, man speaking" by both names, and "Cough" by its one; "(s)" and what stands in brackets goes."""
    return [part.strip() for part in re.sub(r"\([^)]*\)", "", name).split(",") if part.strip()]


@cache
def _longest() -> int:
    return max(map(len, _by_words()), default=0)


def _stem(word: str) -> str:
    """The word without the commonest endings: "barks", "barking" and "bark" are one."""
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl" else word


def _labels(clip: Clip, claim: Claim) -> tuple[str, ...]:
    names: list[str] = []
    for evidence in claim.evidence:
        try:
            fact = clip.branches.fact(evidence)
        except SchemaError:  # evidence that names nothing is for whoever made the claim to refuse
            continue
        if fact.label and (label := audioset.known(fact.label)):
            names.append(label.name)
    return tuple(dict.fromkeys(names))
