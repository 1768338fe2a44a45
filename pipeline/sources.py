"""What there is to annotate: a bucket, a folder, a file or a manifest becomes a stream of recordings found."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.labels.beside import LabelsConfig, beside, etag_with, is_label_file, names_beside
from schemas.errors import InputError
from schemas.store import Store, Stored, local_path, local_uri, place, store_at

AUDIO_SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("wav", "wave", "flac", "mp3", "ogg", "oga", "opus", "m4a", "m4b", "aac", "wma", "aif", "aiff", "aifc"),
        *("au", "caf", "amr", "wv", "webm", "mka", "mkv", "mp4", "mov", "avi", "3gp", "ts", "m2ts"),
    )
)
MANIFEST_SUFFIXES = frozenset([".jsonl", ".parquet"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording as the listing or the manifest names it, not yet opened."""

    id: str
    uri: str
    etag: str  # "" where it is not there; of the recording and of its label files, where those are read
    num_bytes: int


def find(address: str, passed_over: Counter[str], labels: LabelsConfig | None = None) -> Iterator[Found]:
    """Every recording at an address, in a fixed order, as it is listed. Raises InputError where there is none.

    Files in a folder whose names are neither those of recordings nor of their labels are counted in `passed_over`, by
    ending.
    """
    suffix = PurePosixPath(address).suffix.lower()
    count = 0
    for found in _manifest(address, labels) if suffix in MANIFEST_SUFFIXES else _listed(address, passed_over, labels):
        count += 1
        yield found
    if not count:
        raise InputError(
            f"{address} holds nothing to annotate; "
            f"it should have files that end in one of {', '.join(sorted(AUDIO_SUFFIXES))}, or be a manifest"
        )


def found_at(uri: str, name: str, labels: LabelsConfig | None = None) -> Found:
    """The recording as it lies there now; without etag where it does not."""
    store, file = place(uri)
    stored = store.stat(file)
    if not stored:
        return Found(id=name, uri=uri, etag="", num_bytes=0)
    etag = etag_with(stored.etag, beside(store, file, labels)) if labels else stored.etag
    return Found(id=name, uri=uri, etag=etag, num_bytes=stored.num_bytes)


def source_id(uri: str) -> str:
    """A stable, readable name without dot or slash: the end of the file's name and a hash of its address."""
    stem = PurePosixPath(uri).stem
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-")[:40].strip("-") or "recording"
    return f"{readable}-{hashlib.sha256(uri.encode()).hexdigest()[:10]}"


def _listed(address: str, passed_over: Counter[str], labels: LabelsConfig | None) -> Iterator[Found]:
    store, name = place(address)
    if name and store.stat(name) and not _is_folder(address):
        yield found_at(store.uri(name), source_id(store.uri(name)), labels)
        return
    if not address.startswith("s3://") and not _is_folder(address):
        raise InputError(f"{address} is not there; give a folder, a file, a manifest or an s3:// address")
    folder = store_at(address)
    label_files = _label_files(folder, labels) if labels else {}
    used: set[str] = set()
    for stored in folder.list():
        suffix = PurePosixPath(stored.name).suffix.lower()
        if suffix not in AUDIO_SUFFIXES:
            if stored.name not in label_files:
                passed_over[suffix or "no ending"] += 1
            continue
        own = [label_files[name] for name in names_beside(stored.name, labels) if name in label_files] if labels else []
        used.update(file.name for file in own)
        uri = folder.uri(stored.name)
        yield Found(id=source_id(uri), uri=uri, etag=etag_with(stored.etag, own), num_bytes=stored.num_bytes)
    for name in label_files.keys() - used:  # they lie beside no recording
        passed_over[PurePosixPath(name).suffix.lower()] += 1


def _label_files(folder: Store, labels: LabelsConfig) -> dict[str, Stored]:
    """By name. They are listed before the recordings, because a name may come before or after that of its recording."""
    return {stored.name: stored for stored in folder.list() if is_label_file(stored.name, labels)}


def _is_folder(address: str) -> bool:
    return not address.startswith("s3://") and local_path(address).is_dir()


def _manifest(address: str, labels: LabelsConfig | None) -> Iterator[Found]:
    store, name = place(address)
    if store.stat(name) is None:
        raise InputError(f"{address} is not there")
    rows = _parquet_rows(store, name) if name.endswith(".parquet") else _jsonl_rows(store, name)
    line_by_uri: dict[str, str] = {}
    line_by_id: dict[str, str] = {}
    for line, row in rows:
        uri = _absolute(row["uri"], store)
        name_of = _manifest_id(row, uri, line)
        for seen, value in ((line_by_uri, uri), (line_by_id, name_of)):
            if value in seen:
                raise InputError(f"{line}: {value!r} stands in {seen[value]} too; each recording may come once")
            seen[value] = line
        yield found_at(uri, name_of, labels)


def _manifest_id(row: dict[str, Any], uri: str, line: str) -> str:
    if row.get("id") is None:
        return source_id(uri)
    if not isinstance(row["id"], str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", row["id"]):
        raise InputError(f"{line}: id {row['id']!r} should be 1 to 60 letters, digits, - or _")
    return row["id"]


def _absolute(uri: str, store: Store) -> str:
    """A manifest may name files relative to itself."""
    if "://" in uri:
        return uri
    if uri.startswith(("/", "~")):
        return local_uri(local_path(uri))
    return f"{store.root}/{uri}" if store.root.startswith("s3://") else local_uri(local_path(f"{store.root}/{uri}"))


def _jsonl_rows(store: Store, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with store.open(name) as file:
        for number, text in enumerate(file, 1):
            line = f"{name} line {number}"
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{line} is not JSON ({error}); it needs one object with `uri` per line") from error
            yield line, _checked(row, line)


def _parquet_rows(store: Store, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with store.open(name) as file:
        try:
            table = pq.ParquetFile(file)
            columns = [column for column in ("uri", "id") if column in table.schema_arrow.names]
            for start, batch in enumerate(table.iter_batches(4096, columns=columns, use_threads=False)):
                for i, row in enumerate(batch.to_pylist()):
                    line = f"{name} row {start * 4096 + i}"
                    yield line, _checked(row, line)
        except pa.ArrowException as error:
            raise InputError(f"{store.uri(name)} is not a readable Parquet manifest: {error}") from error


def _checked(row: Any, line: str) -> dict[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("uri"), str) or not row["uri"].strip():
        raise InputError(f"{line} has no `uri`; it needs one object with `uri` per line")
    return row
