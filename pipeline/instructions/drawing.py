"""Which of all the samples a build takes: by weight and by lot, whoever comes first."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.asking.sample import TaskSample, draw
from schemas.asking.tasks import Mix

MAX_KEPT = 1_000_000
"""Lots kept of a task whose share is bounded, where no number is wanted."""


def lot(sample: TaskSample, seed: int) -> int:
    """The number a sample draws; the lowest are taken."""
    return draw(seed, "lot", sample.id)


def spread(samples: Sequence[TaskSample], mix: Mix, seed: int) -> list[TaskSample]:
    """At most `mix.per_record` samples of one record, tasks of more weight more likely, in their own order."""
    ranked = sorted(samples, key=lambda sample: (lot(sample, seed) / mix.share(sample.task).weight, sample.id))
    kept = {sample.id for sample in ranked[: mix.per_record]}
    return [sample for sample in samples if sample.id in kept]


@dataclass(slots=True, kw_only=True)
class Lots:
    """The lowest lots of each task so far, as many as could be wanted: 8 bytes each."""

    room: int
    counts: dict[str, int] = field(default_factory=dict)
    lowest: dict[str, "array[int]"] = field(default_factory=dict)

    def add(self, task: str, number: int) -> None:
        self.counts[task] = self.counts.get(task, 0) + 1
        kept = self.lowest.setdefault(task, array("Q"))
        kept.append(number)
        if len(kept) > 2 * self.room + 1024:
            self.lowest[task] = self._cut(kept)

    def last_taken(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """The highest lot of each task that is still taken; -1 where none is, and no bound where all are."""
        bounds: dict[str, int] = {}
        for task, number in wanted.items():
            if number >= self.counts.get(task, 0):
                bounds[task] = (1 << 64) - 1
            else:
                kept = self._cut(self.lowest[task])
                bounds[task] = kept[min(number, len(kept)) - 1] if number else -1
        return bounds

    def _cut(self, kept: "array[int]") -> "array[int]":
        return array("Q", sorted(kept)[: self.room])


def wanted(counts: Mapping[str, int], mix: Mix, limit: int | None) -> dict[str, int]:
    """How many samples of each task to take: `limit` in all, by weight, no task over its share.

    What a task cannot give goes to the others by their weights. A share is of what the tasks without one give, and does
    not hold where every task has one.
    """
    free = sum(number for task, number in counts.items() if mix.share(task).max_share == 1)
    base = free if limit is None else min(limit, free)
    room = {
        task: number if not free else min(number, _portion(base, mix.share(task).max_share))
        for task, number in counts.items()
    }
    left = sum(room.values()) if limit is None else min(limit, sum(room.values()))
    taken = dict.fromkeys(counts, 0)
    while left > 0:
        open_tasks = [task for task in counts if taken[task] < room[task]]
        weights = sum(mix.share(task).weight for task in open_tasks)
        pot = left
        for task in open_tasks:
            number = min(room[task] - taken[task], max(1, int(pot * mix.share(task).weight / weights)), left)
            taken[task] += number
            left -= number
    return taken


def _portion(base: int, share: float) -> int:
    return base if share == 1 else max(1, int(base * share))
