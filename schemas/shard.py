"""The contract between the pipeline that writes shards and whoever reads them.

A shard is three files. `<shard>.tar` holds two adjacent members per sample, `<key>.flac` and `<key>.json`.
`<shard>.parquet` is its index: one row per sample, silent stretch and failure, so that every millisecond of
every recording is accounted for. `<shard>.json` is its receipt, written last: a shard exists when it does.

Both directions stand side by side here, so that a change to one is a change to the other.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.audio import Waveform, decode_flac, encode_flac
from schemas.errors import SchemaError
from schemas.record import Record
from schemas.rows import arrow_schema, from_row, to_row
from schemas.store import Store

VERSION = 1
MAX_MEMBER_BYTES = 1 << 30  # a reader refuses more: no sample of ours comes near
_BLOCK = tarfile.BLOCKSIZE


class Status(StrEnum):
    """What an index row stands for."""

    SAMPLE = "sample"
    SILENCE = "silence"  # nothing was heard; not written as a sample
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One stretch of one recording and what became of it."""

    key: str
    status: Status
    source_id: str
    uri: str
    etag: str
    start_ms: int
    end_ms: int
    speech: str | None = None  # outcome of each branch
    sound: str | None = None
    music: str | None = None
    caption: str | None = None
    step: str | None = None  # where it failed
    reason: str | None = None
    exception: str | None = None
    seam_before: bool = False  # of a failure: its start is the plan's, not yet moved to a seam
    seam_after: bool = False
    abandoned: bool = False  # its whole lot was given up; the fault may be another recording's
    flac_offset: int | None = None  # first byte of the member's content in the tar
    flac_bytes: int | None = None
    json_offset: int | None = None
    json_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeconds:
    step: str
    seconds: float  # wall time in the worker
    cpu_seconds: float
    gpus: float = 0.0  # that the worker holds, a fraction where it shares a card


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The last file of a shard. Its presence says: whole, and not to be made again."""

    version: int
    shard: str
    plan: str
    lot: int
    recipe: str
    config: str  # fingerprint of the whole config
    models: tuple[str, ...]
    samples: int
    silences: int
    failures: int
    notes: tuple[str, ...]  # what had to be put up with, recording by recording
    audio_ms: int  # of recordings heard in this lot
    sample_ms: int
    tar_bytes: int
    tar_sha256: str
    index_bytes: int
    index_sha256: str
    attempts: int  # how often the lot was tried
    steps: tuple[StepSeconds, ...]


# ---------------------------------------------------------------------------------------- one sample


def to_members(record: Record, waveform: Waveform) -> dict[str, bytes]:
    """The members of one sample by extension, in the order they lie in the tar."""
    body = {"version": VERSION, "record": to_row(record)}
    return {
        "flac": encode_flac(waveform),
        "json": json.dumps(body, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
    }


def from_members(members: Mapping[str, bytes]) -> tuple[Record, Waveform]:
    """What `to_members` wrote. Raises SchemaError or DecodeError where it is not that."""
    if missing := {"flac", "json"} - members.keys():
        raise SchemaError(f"a sample lacks its {sorted(missing)} member; it has {sorted(members)}")
    record = parse_record(members["json"])
    return record, decode_flac(members["flac"], start_ms=record.start_ms)


def parse_record(data: bytes) -> Record:
    body = _object(data, "record")
    if body.get("version") != VERSION:
        raise SchemaError(
            f"record version {body.get('version')!r}, but this code reads {VERSION}: "
            "annotate again, or use the code that wrote it"
        )
    return from_row(Record, body.get("record", {}))


# -------------------------------------------------------------------------------------------- the tar


class TarWriter:
    """Writes members one after another, without clock or owner, and knows where each one lies."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.num_bytes = file, hashlib.sha256(), 0

    def add(self, name: str, data: bytes) -> int:
        """Appends one member; returns the offset of its content."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        self._write(info.tobuf(tarfile.USTAR_FORMAT))
        offset = self.num_bytes
        self._write(data + bytes(-len(data) % _BLOCK))
        return offset

    def close(self) -> str:
        """Ends the tar; returns its sha256."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self.num_bytes % tarfile.RECORDSIZE))
        return self._hash.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.num_bytes += len(data)


def read_tar(file: BinaryIO) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Streams (key, members by extension) out of a tar, front to back, touching no disk.

    Raises SchemaError for a damaged tar, a member that is no plain file or too large, or a key that comes twice.
    """
    seen: set[str] = set()
    key = ""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for info in tar:
                stem, _, extension = info.name.partition(".")
                if not info.isfile() or not extension or info.size > MAX_MEMBER_BYTES:
                    raise SchemaError(f"member {info.name!r} of {info.size} bytes has no place in a shard")
                if stem != key:
                    if members:
                        yield key, members
                    if stem in seen:
                        raise SchemaError(f"the members of {stem!r} are not adjacent")
                    seen.add(stem)
                    key, members = stem, {}
                content = tar.extractfile(info)
                members[extension] = content.read() if content else b""
    except (tarfile.TarError, EOFError) as error:
        raise SchemaError(f"damaged tar after {key or 'no'!r}: {error}") from error
    if members:
        yield key, members


# ------------------------------------------------------------------------------------------ the index


def write_index(rows: Sequence[IndexRow]) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([to_row(row) for row in rows], schema=arrow_schema(IndexRow))
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_index(store: Store, shard: str, sha256: str | None = None) -> list[IndexRow]:
    """The rows of a shard's index. Raises SchemaError where it cannot be read, or is not that of the hash given."""
    name = f"shards/{shard}.parquet"
    data = store.read(name)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise SchemaError(f"{store.uri(name)} is not the index it was: its hash is another")
    try:
        table = pq.read_table(
            io.BytesIO(data), use_threads=False
        )  # its threads may outlive a short process, and abort it
    except pa.ArrowException as error:
        raise SchemaError(f"{store.uri(name)} is not a readable index: {error}") from error
    return [from_row(IndexRow, row) for row in table.to_pylist()]


def read_record(store: Store, shard: str, row: IndexRow) -> Record:
    """The record an index row points at, by one range read."""
    return parse_record(_member(store, shard, row.json_offset, row.json_bytes))


def read_sample(store: Store, shard: str, row: IndexRow) -> tuple[Record, Waveform]:
    """Record and sound an index row points at, by one range read."""
    return from_members(read_members(store, shard, row))


def read_members(store: Store, shard: str, row: IndexRow) -> dict[str, bytes]:
    """The members an index row points at, by one range read: they lie side by side."""
    spans = {"flac": (row.flac_offset, row.flac_bytes), "json": (row.json_offset, row.json_bytes)}
    bounds = {name: (start, start + size) for name, (start, size) in spans.items() if start is not None and size}
    if len(bounds) < len(spans):
        raise SchemaError(f"{shard}: the row is not a sample; only samples have members")
    first, last = min(start for start, _ in bounds.values()), max(end for _, end in bounds.values())
    if not 0 <= first < last <= first + 2 * MAX_MEMBER_BYTES:
        raise SchemaError(f"{shard}: the members of {row.key!r} are said to lie from byte {first} to {last}")
    data = store.read(f"shards/{shard}.tar", first, last)
    if len(data) < last - first:
        raise SchemaError(f"{shard}: its tar ends within the members of {row.key!r}")
    return {name: data[start - first : end - first] for name, (start, end) in bounds.items()}


def _member(store: Store, shard: str, offset: int | None, num_bytes: int | None) -> bytes:
    if offset is None or num_bytes is None:
        raise SchemaError(f"{shard}: the row is not a sample; only samples have members")
    return store.read(f"shards/{shard}.tar", offset, offset + num_bytes)


# ---------------------------------------------------------------------------------------- the receipt


def write_receipt(receipt: Receipt) -> bytes:
    return json.dumps(to_row(receipt), indent=1, allow_nan=False).encode() + b"\n"


def read_receipt(store: Store, shard: str) -> Receipt:
    name = f"shards/{shard}.json"
    try:
        return from_row(Receipt, _object(store.read(name), "receipt"))
    except SchemaError as error:
        raise SchemaError(f"{store.uri(name)}: {error}") from error


def shards_in(store: Store) -> list[str]:
    """The names of the finished shards, sorted."""
    names = (stored.name for stored in store.list("shards/"))
    return sorted(name[len("shards/") : -len(".json")] for name in names if name.endswith(".json"))


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        body = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the {what} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise SchemaError(f"the {what} is {type(body).__name__}; it should be a JSON object")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number JSON knows")
