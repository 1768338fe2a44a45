"""Which samples a record gives, by task group: what is drawn when a source of a group is visited.

A group is what shares of the mix are given to: "asr", "captions" and "text" in pretraining (30, 40 and 30 in a hundred,
as MOSS-Audio's report is said to have it), "instructions" and "reasoning" in post-training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from model.objectives import asr, captions, diarised, facts, reasoning, sentence_times, time_qa, timeline, word_times
from schemas.asking.sample import AskRules, TaskSample, draw
from schemas.errors import ConfigError
from schemas.record import Branch, Outcome, Record
from schemas.shard import IndexRow, Status

Samples = Callable[[Record, AskRules], list[TaskSample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of sample, and how often it is drawn beside the others of its group."""

    name: str
    samples: Samples
    weight: float = 1.0


ASR = (
    Kind(name="asr", samples=asr.samples),
    Kind(name="sentence_times", samples=sentence_times.samples),
    Kind(name="word_times", samples=word_times.samples),
    Kind(name="diarised", samples=diarised.samples, weight=0.5),
)
CAPTIONS = (
    Kind(name="captions", samples=captions.samples, weight=2.0),
    Kind(name="timeline", samples=timeline.samples),
    Kind(name="time_qa", samples=time_qa.samples),
)
GROUPS: dict[str, tuple[Kind, ...]] = {
    "asr": ASR,
    "captions": CAPTIONS,
    "instructions": (*ASR, *CAPTIONS, Kind(name="facts", samples=facts.samples)),
    "reasoning": (Kind(name="reasoning", samples=reasoning.samples),),
}
TEXT = "text"
PRETRAINING = {"asr": 30.0, "captions": 40.0, TEXT: 30.0}
"""Shares of the groups (facts of the report: 30, 40 and 30 in a hundred)."""


def kinds_of(group: str, names: tuple[str, ...] | None = None) -> tuple[Kind, ...]:
    """The kinds of a group, or those of these names. Raises ConfigError for names that are not there."""
    if group not in GROUPS:
        raise ConfigError(f"there is no task group {group!r}; there is {', '.join([*GROUPS, TEXT])}")
    kinds = GROUPS[group]
    if names is None:
        return kinds
    if unknown := sorted(set(names) - {kind.name for kind in kinds}):
        raise ConfigError(
            f"the group {group!r} has no samples {', '.join(unknown)}; it has {', '.join(kind.name for kind in kinds)}"
        )
    return tuple(kind for kind in kinds if kind.name in names)


def may_give(row: IndexRow, group: str) -> bool:
    """Whether an index row's record can give anything to a group: its branches' outcomes say so without reading it."""
    if row.status is not Status.SAMPLE:
        return False
    if group == "asr":
        return Outcome.OK in (row.speech, row.music)
    return bool(row.caption) or any(getattr(row, branch) == Outcome.OK for branch in Branch)


def sample_of(record: Record, kinds: tuple[Kind, ...], rules: AskRules, visit: int) -> TaskSample | None:
    """What this record teaches at its `visit`-th visit: one kind by weight, then one of its samples, drawn by hashes.

    None where the record gives none of these kinds. Over the visits all that it gives comes up.
    """
    for kind in _in_drawn_order(kinds, record.key, rules.seed, visit):
        if samples := kind.samples(record, rules):
            return samples[draw(rules.seed, "sample", record.key, visit, kind.name) % len(samples)]
    return None


def told_until_ms(record: Record, sample: TaskSample) -> int | None:
    """When the last of what a transcript tells has ended, from the segment's start; None where all of it is needed.

    What an answer says of the whole (a caption, a count, a timeline) is only true of the whole.
    """
    if not sample.task.startswith("transcribe"):
        return None
    speech = record.branches.speech
    if speech is None:
        return None
    spans = [*speech.words, *(fact for fact in speech.facts if fact.kind == "transcript")]
    return max((span.end_ms - record.start_ms for span in spans), default=None)


def _in_drawn_order(kinds: tuple[Kind, ...], key: str, seed: int, visit: int) -> list[Kind]:
    """Drawn by weight without putting back (Efraimidis and Spirakis, 2006): the first is drawn by weight."""

    def arrival(kind: Kind) -> float:
        uniform = (draw(seed, "kind", key, visit, kind.name) + 1) / 2.0**64
        return -math.log(uniform) / kind.weight

    return sorted(kinds, key=arrival)
