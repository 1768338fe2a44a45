"""What there is to train from: the sources, their parts, and how many items each holds.

A part is a shard, a file of conversations, or a file of text. The catalogue is made once, before a run begins, and kept
with it: a run is resumed on the data it began with, whatever has been added beside them since.
"""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from model.objectives.mix import TEXT, kinds_of, may_give
from schemas.errors import ConfigError, EarmarkError, InputError, SchemaError, StoreError
from schemas.rows import from_row, to_row
from schemas.shard import IndexRow, read_index, read_receipt, shards_in
from schemas.store import Store, place, store_at

READERS = 32
CONVERSATIONS_GROUP = "conversations"
MAX_TEXT_BYTES = 1 << 30


class SourceKind(StrEnum):
    SHARDS = "shards"  # what `earmark annotate` wrote
    CONVERSATIONS = "conversations"  # what `earmark build sft` wrote, or a JSONL in MOSS-Audio's conversation format
    TEXT = "text"  # .txt files, a document each, and .jsonl files, a document ("text") each line


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """Where to learn from, and what. A place may serve several groups, as a source for each."""

    place: str  # a folder, a file, or s3://bucket/prefix
    kind: SourceKind = SourceKind.SHARDS
    group: str = "instructions"  # of `objectives.mix.GROUPS`; "text" for text, "conversations" for conversations
    kinds: tuple[str, ...] | None = None  # of the group's samples; None for all

    def __post_init__(self) -> None:
        wanted = {SourceKind.TEXT: TEXT, SourceKind.CONVERSATIONS: CONVERSATIONS_GROUP}.get(self.kind)
        if wanted is None:
            kinds_of(self.group, self.kinds)
        elif self.group != wanted:
            raise ConfigError(f"{self.place}: a source of {self.kind} is of the group {wanted!r}, not {self.group!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str  # a shard, or a file below the source's place
    num_items: int
    digest: str  # of what the items are found by: changes when they do


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogued:
    """A source with its parts, by name."""

    config: SourceConfig
    parts: tuple[Part, ...]

    @property
    def num_items(self) -> int:
        return sum(part.num_items for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    sources: tuple[Catalogued, ...]
    troubles: tuple[str, ...] = ()  # parts that could not be read and are left out

    def weights(self, shares: dict[str, float]) -> list[float]:
        """How often each source is drawn: the group's share, divided within it by the square root of their sizes.

        A group without items leaves its share to the others. Raises ConfigError where a group has no share, and
        InputError where nothing at all is left to draw.
        """
        if unnamed := sorted({source.config.group for source in self.sources} - shares.keys()):
            raise ConfigError(f"the task group {', '.join(unnamed)} has no share; there are {shares}")
        roots = [math.sqrt(source.num_items) for source in self.sources]
        whole = dict.fromkeys(shares, 0.0)
        for source, root in zip(self.sources, roots, strict=True):
            whole[source.config.group] += root
        drawn = [
            shares[source.config.group] * root / whole[source.config.group] if root else 0.0
            for source, root in zip(self.sources, roots, strict=True)
        ]
        if not sum(drawn) > 0:
            raise InputError(f"nothing to learn from in {', '.join(source.config.place for source in self.sources)}")
        return [weight / sum(drawn) for weight in drawn]

    def to_json(self) -> bytes:
        return json.dumps(to_row(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Catalogue":
        try:
            return from_row(cls, json.loads(data))
        except (ValueError, RecursionError, SchemaError) as error:
            raise SchemaError(f"{where} is not a catalogue of data: {error}") from error


def catalogue(
    configs: Sequence[SourceConfig], *, strict: bool = False, progress: Callable[[int], None] = lambda number: None
) -> Catalogue:
    """Looks through all sources. `progress` hears how many parts were read.

    A part that cannot be read is left out and told as trouble; where `strict`, it raises what is wrong with it. Raises
    InputError for a source with nothing in it.
    """
    troubles: list[str] = []
    sources = []
    done = 0
    for config in configs:
        store, names = _parts_of(config)
        parts: list[Part] = []
        with ThreadPoolExecutor(READERS) as readers:
            for name, found in zip(
                names, readers.map(lambda name, c=config, s=store: _part(s, name, c), names), strict=True
            ):
                done += 1
                progress(done)
                if isinstance(found, Part):
                    parts.append(found)
                    continue
                if strict:
                    raise found
                troubles.append(f"{store.uri(name)}: {found}")
        if not sum(part.num_items for part in parts):
            first = f"; first trouble: {troubles[0]}" if troubles else ""
            raise InputError(
                f"{config.place} holds nothing for the group {config.group!r} "
                f"({len(names)} parts were looked at){first}"
            )
        sources.append(Catalogued(config=config, parts=tuple(parts)))
    return Catalogue(sources=tuple(sources), troubles=tuple(troubles))


def store_of(config: SourceConfig) -> Store:
    """Where the parts of a source lie; their names count from there."""
    if config.kind is SourceKind.SHARDS or not _is_file(config):
        return store_at(config.place)
    return place(config.place)[0]


def _is_file(config: SourceConfig) -> bool:
    return config.place.endswith((".txt", ".jsonl"))


def _parts_of(config: SourceConfig) -> tuple[Store, list[str]]:
    store = store_of(config)
    if config.kind is SourceKind.SHARDS:
        names = shards_in(store)
        advice = "`earmark annotate` makes shards"
    elif _is_file(config):
        names, advice = [place(config.place)[1]], ""
    else:
        endings = (".jsonl",) if config.kind is SourceKind.CONVERSATIONS else (".txt", ".jsonl")
        names = sorted(stored.name for stored in store.list() if stored.name.endswith(endings))
        advice = f"a source of {config.kind} is of {' and '.join(endings)} files"
    if not names:
        raise InputError(f"{config.place} holds nothing to learn from; {advice}")
    return store, names


def _part(store: Store, name: str, config: SourceConfig) -> Part | EarmarkError:
    try:
        if config.kind is SourceKind.SHARDS:
            receipt = read_receipt(store, name)
            num_items = sum(may_give(row, config.group) for row in read_index(store, name, receipt.index_sha256))
            return Part(name=name, num_items=num_items, digest=receipt.index_sha256)
        stored = store.stat(name)
        if stored is None:
            raise SchemaError("it is gone")
        if stored.num_bytes > MAX_TEXT_BYTES:
            raise SchemaError(f"it has {stored.num_bytes:,} bytes; no more than {MAX_TEXT_BYTES:,} are read at once")
        return Part(name=name, num_items=len(lines_of(store.read(name), name)), digest=stored.etag)
    except (SchemaError, StoreError) as error:
        return error


def rows_of(store: Store, part: Part, group: str) -> list[IndexRow]:
    """The rows of a shard's index that may give something to a group: its items, in order.

    Raises SchemaError where the index is not the one that was catalogued.
    """
    try:
        rows = read_index(store, part.name, part.digest)
    except SchemaError as error:
        raise SchemaError(f"{error}; it was changed since the run began") from error
    return [row for row in rows if may_give(row, group)]


def lines_of(data: bytes, name: str) -> list[bytes]:
    """The items of a file of text or conversations: its lines that are not blank, or the whole of a .txt."""
    if name.endswith(".txt"):
        return [data] if data.strip() else []
    return [line for line in data.split(b"\n") if line.strip()]
