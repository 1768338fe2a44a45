"""From annotated shards to a set for fine-tuning: `sft-00000.jsonl`, the sound it speaks of, and a receipt.

    DEST/begun.json           while a build goes on: which shards and which config it is of
    DEST/audio/<key>.flac     the sound of each record that is asked about, its bytes as in the shard
    DEST/sft-00000.jsonl      a sample a line, in the conversation format of MOSS-Audio's fine-tuning script
    DEST/build.json           the receipt, written last: a build exists when it does

The records are read twice: once to see how many samples each task has, once to write those that are taken. Of a build
only the numbers drawn are kept in memory. The same shards and the same config give the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.instructions.drawing import MAX_KEPT, Lots, lot, spread, wanted
from pipeline.instructions.shelves import Shelf, Trouble, Troubles, fingerprint, read_flac, records_in, shelves
from schemas.asking.sample import AskRules, TaskSample
from schemas.asking.tasks import Mix, samples_of
from schemas.errors import ConfigError, InputError, SchemaError
from schemas.rows import from_row, to_row
from schemas.shard import shards_in
from schemas.store import Store

VERSION = 1
BEGUN, BUILT = "begun.json", "build.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """All that decides what a build holds."""

    rules: AskRules = field(default_factory=AskRules)
    mix: Mix = field(default_factory=Mix)
    limit: int | None = None  # samples in all; None for all there are
    part_samples: int = 20_000
    part_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for name in ("limit", "part_samples", "part_bytes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCount:
    """How much one task gave, and one of its samples."""

    task: str
    possible: int  # samples that records could give, after the bound for each record
    taken: int
    question: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Omitted:
    """What was left out, and why."""

    what: str  # "records" or "samples"
    reason: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReceipt:
    """What a build holds and what it does not; nothing in it depends on the clock."""

    version: int
    shards: int
    shards_sha256: str
    seed: int
    config: BuildConfig
    records: int  # that were read
    records_used: int
    samples: int
    parts: int
    audio_bytes: int
    tasks: tuple[TaskCount, ...]
    omitted: tuple[Omitted, ...]
    damaged_shards: int  # with anything in them that could not be used
    damaged_records: int
    damaged: tuple[Trouble, ...]  # the first of them


def build(
    store: Store,
    dest: Store,
    config: BuildConfig,
    *,
    strict: bool = False,
    progress: Callable[[int], None] = lambda number: None,
) -> tuple[BuildReceipt, bool]:
    """The receipt, and whether anything was done for it. `progress` hears how many records were read.

    Raises InputError where there is nothing to build from or `dest` holds something else, ConfigError where it holds
    another build, SchemaError where `strict` and anything is damaged.
    """
    troubles = Troubles(strict=strict)
    names = shards_in(store)
    if not names:
        raise InputError(f"{store.root} holds no finished shard; `earmark annotate` makes them")
    found = shelves(store, names, troubles)
    mark = {
        "version": VERSION,
        "shards": len(names),
        "shards_sha256": fingerprint(found),
        "config": to_row(config),
    }
    if done := _standing(dest, mark):
        dest.remove(BEGUN)
        return done, False
    dest.sweep()
    lots, seen = _count(store, found, config, troubles, progress)
    take = wanted(lots.counts, config.mix, config.limit)
    if not sum(take.values()):
        raise InputError(
            f"{store.root}: none of {seen.records:,} records is sure enough of anything to be asked; "
            f"{_damage(troubles)}lower --min-score, or annotate with another recipe"
        )
    dest.put(BEGUN, _json(mark))
    unread = troubles.records
    wrote = _write(store, dest, found, config, lots.last_taken(take), troubles, progress)
    receipt = BuildReceipt(
        version=VERSION,
        shards=len(names),
        shards_sha256=fingerprint(found),
        seed=config.rules.seed,
        config=config,
        records=seen.records,
        records_used=wrote.records,
        samples=sum(wrote.taken.values()),
        parts=wrote.parts,
        audio_bytes=wrote.audio_bytes,
        tasks=tuple(
            TaskCount(
                task=task,
                possible=lots.counts.get(task, 0),
                taken=wrote.taken.get(task, 0),
                question=wrote.examples[task].question if task in wrote.examples else None,
                answer=wrote.examples[task].answer if task in wrote.examples else None,
            )
            for task in config.mix.tasks
        ),
        omitted=(
            Omitted(what="records", reason="nothing in them is sure enough to be asked", number=seen.empty),
            Omitted(what="records", reason="their sound could not be read", number=troubles.records - unread),
            Omitted(what="samples", reason="beyond what one record may give", number=seen.beyond),
            Omitted(
                what="samples",
                reason="not drawn: beyond the number wanted, or the share of their task",
                number=sum(lots.counts.values()) - sum(take.values()),
            ),
        ),
        damaged_shards=len(troubles.shards),
        damaged_records=troubles.records,
        damaged=tuple(troubles.named),
    )
    dest.put(BUILT, _json(to_row(receipt)))
    dest.remove(BEGUN)
    return receipt, True


def _standing(dest: Store, mark: dict[str, Any]) -> BuildReceipt | None:
    """The receipt of this very build where it stands already. Raises ConfigError where another is there or begun."""
    for name, what in ((BUILT, "is of another build"), (BEGUN, "is of another build that was begun and not ended")):
        if dest.stat(name) is None:
            continue
        there = _read(dest, name)
        differ = [key for key in mark if there.get(key) != mark[key]]
        if differ:
            told = "; ".join(f"{key}: {_short(there.get(key))}, here {_short(mark[key])}" for key in differ)
            raise ConfigError(f"{dest.uri(name)} {what} ({told}); give another DEST, or remove that one")
        return from_row(BuildReceipt, there) if name == BUILT else None
    if any(True for _ in dest.list("sft-")) or any(True for _ in dest.list("audio/")):
        raise InputError(f"{dest.root} holds sft-* or audio/ that no build here made; give an empty DEST")
    return None


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the first reading saw."""

    records: int = 0
    empty: int = 0
    beyond: int = 0


def _count(
    store: Store, found: list[Shelf], config: BuildConfig, troubles: Troubles, progress: Callable[[int], None]
) -> tuple[Lots, _Seen]:
    """Every sample draws its lot."""
    lots, seen = Lots(room=config.limit or MAX_KEPT), _Seen()
    for _, _, record in records_in(store, found, troubles):
        samples = samples_of(record, config.rules, config.mix.tasks)
        kept = spread(samples, config.mix, config.rules.seed)
        for sample in kept:
            lots.add(sample.task, lot(sample, config.rules.seed))
        seen.records += 1
        seen.empty += not samples
        seen.beyond += len(samples) - len(kept)
        progress(seen.records)
    return lots, seen


@dataclass(slots=True, kw_only=True)
class _Wrote:
    """What was written so far, and the lines of the part that is not full."""

    records: int = 0
    audio_bytes: int = 0
    parts: int = 0
    taken: dict[str, int] = field(default_factory=dict)
    examples: dict[str, TaskSample] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    line_bytes: int = 0


def _write(
    store: Store,
    dest: Store,
    found: list[Shelf],
    config: BuildConfig,
    bounds: dict[str, int],
    troubles: Troubles,
    progress: Callable[[int], None],
) -> _Wrote:
    """Sound first, then the part that speaks of it, so that what stands is whole."""
    wrote, seed = _Wrote(), config.rules.seed
    for number, (shard, row, record) in enumerate(records_in(store, found, troubles), 1):
        progress(number)
        samples = spread(samples_of(record, config.rules, config.mix.tasks), config.mix, seed)
        samples = [sample for sample in samples if lot(sample, seed) <= bounds[sample.task]]
        if not samples:
            continue
        try:
            sound = read_flac(store, shard, row)
        except SchemaError as error:
            troubles.add(shard, row.key, str(error))
            continue
        audio = f"audio/{record.key}.flac"
        there = dest.stat(audio)
        if there is None or there.num_bytes != len(sound):
            dest.put(audio, sound)
        wrote.records += 1
        wrote.audio_bytes += len(sound)
        for sample in samples:
            wrote.taken[sample.task] = wrote.taken.get(sample.task, 0) + 1
            wrote.examples.setdefault(sample.task, sample)
            line = to_line(sample, audio, shard)
            if wrote.lines and (
                len(wrote.lines) >= config.part_samples or wrote.line_bytes + len(line) > config.part_bytes
            ):
                _put_part(dest, wrote)
            wrote.lines.append(line)
            wrote.line_bytes += len(line)
    if wrote.lines:
        _put_part(dest, wrote)
    for stored in list(dest.list("sft-")):  # a part too many, of a build begun when more could be read
        if stored.name not in {_part(number) for number in range(wrote.parts)}:
            dest.remove(stored.name)
    return wrote


def to_line(sample: TaskSample, audio: str, shard: str) -> bytes:
    """A line of the set: the conversation as the fine-tuning script reads it, and where it is from."""
    row = {
        "conversation": [
            {"role": "user", "message_type": "audio", "content": audio},
            {"role": "user", "message_type": "text", "content": sample.question},
            {"role": "assistant", "message_type": "text", "content": sample.answer},
        ],
        "id": sample.id,
        "task": sample.task,
        "key": sample.key,
        "evidence": list(sample.evidence),
        "shard": shard,
    }
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _put_part(dest: Store, wrote: _Wrote) -> None:
    name, data = _part(wrote.parts), b"".join(wrote.lines)
    there = dest.stat(name)
    if there is None or there.num_bytes != len(data) or dest.read(name) != data:
        dest.put(name, data)
    wrote.parts += 1
    wrote.lines, wrote.line_bytes = [], 0


def _part(number: int) -> str:
    return f"sft-{number:05d}.jsonl"


def _read(dest: Store, name: str) -> dict[str, Any]:
    try:
        body = json.loads(dest.read(name))
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{dest.uri(name)} is not JSON: {error}; remove it, or give another DEST") from error
    if not isinstance(body, dict):
        raise SchemaError(f"{dest.uri(name)} is not a JSON object; remove it, or give another DEST")
    return body


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _damage(troubles: Troubles) -> str:
    if not troubles.named:
        return ""
    first = troubles.named[0]
    return f"{len(troubles.shards):,} shards are damaged, first {first.shard}: {first.reason}; "
