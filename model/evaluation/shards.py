"""Questions about annotated shards, with the answers that follow from their records, and the sound they are about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from model.evaluation.captions import Evidence
from model.evaluation.items import Item
from model.evaluation.score_answers import options_in
from schemas.asking.sample import AskRules, TaskSample, draw, music_of
from schemas.asking.tasks import samples_of
from schemas.audio import Waveform
from schemas.errors import EarmarkError, SchemaError
from schemas.record import Branch, Fact, Record
from schemas.shard import IndexRow, Status, read_index, read_record, read_sample, shards_in
from schemas.store import Store

BRANCHES = tuple(Branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An item and where its sound lies."""

    item: Item
    shard: str
    row: IndexRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """`troubles` name each shard and record that could not be read."""

    asked: tuple[Asked, ...]
    num_records: int
    troubles: tuple[str, ...]


def questions(
    store: Store,
    tasks: Sequence[str],
    *,
    rules: AskRules | None = None,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda number: None,
) -> Questions:
    """At most `limit` questions of each task, drawn by their names: the same for every model that is asked.

    They come task by task, in the order of `tasks`.
    """
    rules = rules or AskRules()
    found: dict[str, list[Asked]] = {task: [] for task in tasks}
    troubles: list[str] = []
    num_records = 0
    for shard, row, record in _records(store, troubles):
        num_records += 1
        progress(num_records)
        for sample in samples_of(record, rules, tasks):
            found[sample.task].append(Asked(item=item_of(record, sample), shard=shard, row=row))
    chosen = (_chosen(asked, limit, rules.seed) for asked in found.values())
    asked = tuple(one for drawn in chosen for one in drawn)
    return Questions(asked=asked, num_records=num_records, troubles=tuple(troubles))


def waveform_of(store: Store, asked: Asked) -> Waveform:
    """The sound of a question. Raises SchemaError, DecodeError or StoreError."""
    return read_sample(store, asked.shard, asked.row)[1]


def item_of(record: Record, sample: TaskSample) -> Item:
    """The sample as an item to be scored."""
    return Item(
        id=sample.id,
        task=sample.task,
        reference=sample.answer,
        question=sample.question,
        group=record.source.id,
        duration_ms=record.duration_ms,
        language=_language(record, sample.task),
        options=options_in(sample.question) if sample.task.startswith("choice_") else (),
        evidence=_evidence(record, sample) if sample.task.startswith("caption") else (),
    )


def _records(store: Store, troubles: list[str]) -> Iterator[tuple[str, IndexRow, Record]]:
    for shard in shards_in(store):
        try:
            rows = read_index(store, shard)
        except SchemaError as error:
            troubles.append(f"{shard}: {error}")
            continue
        for row in rows:
            if row.status is not Status.SAMPLE:
                continue
            try:
                yield shard, row, read_record(store, shard, row)
            except EarmarkError as error:
                troubles.append(f"{shard} {row.key}: {error}")


def _chosen(asked: Sequence[Asked], limit: int | None, seed: int) -> list[Asked]:
    if limit is None or len(asked) <= limit:
        return list(asked)
    kept = {one.item.id for one in nsmallest(limit, asked, key=lambda one: draw(seed, "evaluation", one.item.id))}
    return [one for one in asked if one.item.id in kept]


def _language(record: Record, task: str) -> str | None:
    if task.startswith("lyrics"):
        return music.lyrics_language if (music := music_of(record)) else None
    return record.branches.speech.language if record.branches.speech else None


def _evidence(record: Record, sample: TaskSample) -> tuple[Evidence, ...]:
    """The facts that the caption rests on, in times of the clip."""
    facts: list[Fact] = []
    for name in sample.evidence:
        if name.partition("/")[0] in BRANCHES:
            facts.append(record.branches.fact(name))
    return tuple(
        Evidence(
            text=fact.text,
            start_ms=fact.start_ms - record.start_ms,
            end_ms=fact.end_ms - record.start_ms,
            label=fact.label,
        )
        for fact in facts
    )
