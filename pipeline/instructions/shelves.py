"""Annotated shards as a stream of records, with everything that could not be read told by name."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemas.asking.sample import draw
from schemas.errors import SchemaError
from schemas.record import Record
from schemas.shard import IndexRow, Receipt, Status, read_index, read_receipt, read_record
from schemas.store import Store

MAX_NAMED = 200  # troubles that are told one by one
_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What of a shard could not be used, and why."""

    shard: str
    key: str | None  # of the record; None for the whole shard
    reason: str


@dataclass(slots=True, kw_only=True)
class Troubles:
    """All troubles counted once, the first of them told. Strict ones raise."""

    strict: bool
    shards: set[str] = field(default_factory=set)  # with any trouble in them
    records: int = 0
    named: list[Trouble] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)

    def add(self, shard: str, key: str | None, reason: str) -> None:
        if (number := draw(shard, key)) in self._met:
            return
        self._met.add(number)
        if self.strict:
            raise SchemaError(f"{shard}{f', {key}' if key else ''}: {reason}")
        self.shards.add(shard)
        self.records += key is not None
        if len(self.named) < MAX_NAMED:
            self.named.append(Trouble(shard=shard, key=key, reason=reason[:500]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One shard that may be read."""

    shard: str
    receipt: Receipt


def shelves(store: Store, shards: Sequence[str], troubles: Troubles) -> list[Shelf]:
    """The shards by name whose receipts can be read and whose tars are as long as these say."""
    found = []
    for shard in sorted(shards):
        try:
            receipt = read_receipt(store, shard)
            tar = store.stat(f"shards/{shard}.tar")
            if tar is None or store.stat(f"shards/{shard}.parquet") is None:
                raise SchemaError("its tar or its index is gone")
            if tar.num_bytes != receipt.tar_bytes:
                raise SchemaError(f"its tar has {tar.num_bytes} bytes where the receipt says {receipt.tar_bytes}")
            found.append(Shelf(shard=shard, receipt=receipt))
        except SchemaError as error:
            troubles.add(shard, None, str(error))
    return found


def fingerprint(found: Sequence[Shelf]) -> str:
    """What changes when any shard does."""
    lines = "".join(f"{shelf.shard} {shelf.receipt.tar_sha256} {shelf.receipt.index_sha256}\n" for shelf in found)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def records_in(store: Store, found: Sequence[Shelf], troubles: Troubles) -> Iterator[tuple[str, IndexRow, Record]]:
    """Each sample's record, one at a time, by range reads. A key that comes again is trouble."""
    seen: set[int] = set()
    for shelf in found:
        try:
            index = store.read(f"shards/{shelf.shard}.parquet")
            if hashlib.sha256(index).hexdigest() != shelf.receipt.index_sha256:
                raise SchemaError("its index is not the one that its receipt tells of")
            rows = read_index(store, shelf.shard)
        except SchemaError as error:
            troubles.add(shelf.shard, None, str(error))
            continue
        for row in rows:
            if row.status is not Status.SAMPLE:
                continue
            try:
                record = _record(store, shelf.shard, row)
                if (number := draw(row.key)) in seen:
                    raise SchemaError("a record of this key came before; only the first is used")
                seen.add(number)
            except SchemaError as error:
                troubles.add(shelf.shard, row.key, str(error))
                continue
            yield shelf.shard, row, record


def read_flac(store: Store, shard: str, row: IndexRow) -> bytes:
    """The sound of a record as it lies in the shard. Raises SchemaError where there is none."""
    if row.flac_offset is None or not row.flac_bytes:
        raise SchemaError("the index does not tell where its sound lies")
    data = store.read(f"shards/{shard}.tar", row.flac_offset, row.flac_offset + row.flac_bytes)
    if len(data) != row.flac_bytes or not data.startswith(b"fLaC"):
        raise SchemaError(f"its sound is not FLAC, but {data[:4]!r} and {len(data)} bytes of {row.flac_bytes}")
    return data


def _record(store: Store, shard: str, row: IndexRow) -> Record:
    if not _KEY.fullmatch(row.key):
        raise SchemaError(f"the key {row.key[:80]!r} cannot name a file")
    record = read_record(store, shard, row)
    if record.key != row.key:
        raise SchemaError(f"the index calls {row.key!r} what calls itself {record.key[:80]!r}")
    return record
