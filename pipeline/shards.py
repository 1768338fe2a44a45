"""The store at the end of the route: a lot becomes a shard, whole or not at all.

Tar, index, receipt, in that order; each appears under its name only when it is complete. The same lot gives
the same tar and the same index, byte for byte; only the receipt knows how long it took.
"""

import hashlib
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.lot import Failure, Lot, attempted
from schemas.errors import SchemaError
from schemas.record import Branch, Clip, Outcome, Provenance, Record, Source, key_of
from schemas.shard import (
    VERSION,
    IndexRow,
    Receipt,
    Status,
    StepSeconds,
    TarWriter,
    to_members,
    write_index,
    write_receipt,
)
from schemas.store import Store, store_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """What every shard of a run says about the run."""

    recipe: str
    config: str  # fingerprint of the whole config
    max_shard_bytes: int


class Write:
    """Writes one lot as one shard, and hands back its receipt."""

    def __init__(self, output: str, imprint: Imprint) -> None:
        self._store, self._imprint = store_at(output), imprint

    def __call__(self, lot: Lot[Clip]) -> Receipt:
        return write_shard(self._store, lot, self._imprint)


def write_shard(store: Store, lot: Lot[Clip], imprint: Imprint) -> Receipt:
    """Tar, index, receipt. Raises StoreError where the store cannot be written."""
    wall, cpu = time.perf_counter(), time.process_time()
    name = f"shards/{lot.shard}"
    with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
        path = Path(folder) / "shard.tar"
        with path.open("wb") as file:
            tar = TarWriter(file)
            rows, models = _write_samples(tar, lot, imprint)
            tar_sha256 = tar.close()
        index = write_index(rows)
        store.put_file(f"{name}.tar", path)
    store.put(f"{name}.parquet", index)

    samples = [row for row in rows if row.status is Status.SAMPLE]
    spent = StepSeconds(
        step="write",
        seconds=round(time.perf_counter() - wall, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )
    receipt = Receipt(
        version=VERSION,
        shard=lot.shard,
        plan=lot.plan,
        lot=lot.number,
        recipe=imprint.recipe,
        config=imprint.config,
        models=models,
        samples=len(samples),
        silences=sum(row.status is Status.SILENCE for row in rows),
        failures=sum(row.status is Status.FAILURE for row in rows),
        notes=lot.notes,
        audio_ms=lot.audio_ms,
        sample_ms=sum(row.end_ms - row.start_ms for row in samples),
        tar_bytes=tar.num_bytes,
        tar_sha256=tar_sha256,
        index_bytes=len(index),
        index_sha256=hashlib.sha256(index).hexdigest(),
        attempts=lot.attempts,
        steps=(*lot.steps, spent),
    )
    store.put(f"{name}.json", write_receipt(receipt), if_absent=True)
    return receipt


def _write_samples(tar: TarWriter, lot: Lot[Clip], imprint: Imprint) -> tuple[list[IndexRow], tuple[str, ...]]:
    """Every clip into the tar, in key order; every clip, silence and failure into the index."""
    rows: list[IndexRow] = []
    failures: list[Failure] = list(lot.failures)
    models: set[str] = set(lot.models)
    for clip in sorted(lot.items, key=lambda clip: clip.segment.key):
        segment = clip.segment
        blank = Failure(source=segment.source, start_ms=segment.start_ms, end_ms=segment.end_ms, step="write")
        made, failure = attempted(lambda clip: _members(clip, lot.models, imprint), clip, blank)
        if made is None:
            failures += [failure] if failure else []
            continue
        record, members = made
        if tar.num_bytes + sum(map(len, members.values())) > imprint.max_shard_bytes:
            reason = f"the shard would pass {imprint.max_shard_bytes} bytes; give the recipe a smaller lot_ms"
            failures.append(replace(blank, reason=reason))
            continue
        flac_offset = tar.add(f"{record.key}.flac", members["flac"])
        json_offset = tar.add(f"{record.key}.json", members["json"])
        models.update(record.provenance.models)
        rows.append(_sample_row(record, flac_offset, len(members["flac"]), json_offset, len(members["json"])))
    rows += [_row(Status.SILENCE, segment.source, segment.start_ms, segment.end_ms) for segment in lot.silences]
    rows += [_failure_row(failure) for failure in failures]
    return sorted(rows, key=lambda row: (row.key, row.status, row.step or "")), tuple(sorted(models))


def _members(clip: Clip, models: tuple[str, ...], imprint: Imprint) -> tuple[Record, dict[str, bytes]]:
    segment = clip.segment
    if clip.caption is None or clip.quality is None:
        raise SchemaError(f"{segment.key} reached the store without its caption or its quality")
    said = [annotation for branch in Branch if (annotation := clip.branches.get(branch))]
    record = Record(
        key=segment.key,
        source=segment.source,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        profile=segment.profile,
        events=segment.events,
        branches=clip.branches,
        caption=clip.caption,
        quality=clip.quality,
        provenance=Provenance(
            recipe=imprint.recipe,
            config=imprint.config,
            models=tuple(sorted({*models, *(a.model for a in said if a.outcome is not Outcome.SKIPPED)})),
            prompts=tuple(sorted({*clip.caption.prompts, *(prompt for a in said for prompt in a.prompts)})),
        ),
    )
    return record, to_members(record, clip.waveform)


def _sample_row(record: Record, flac_offset: int, flac_bytes: int, json_offset: int, json_bytes: int) -> IndexRow:
    def outcome(branch: Branch) -> str | None:
        annotation = record.branches.get(branch)
        return annotation.outcome.value if annotation else None

    return replace(
        _row(Status.SAMPLE, record.source, record.start_ms, record.end_ms),
        speech=outcome(Branch.SPEECH),
        sound=outcome(Branch.SOUND),
        music=outcome(Branch.MUSIC),
        caption=record.caption.text,
        flac_offset=flac_offset,
        flac_bytes=flac_bytes,
        json_offset=json_offset,
        json_bytes=json_bytes,
    )


def _failure_row(failure: Failure) -> IndexRow:
    return replace(
        _row(Status.FAILURE, failure.source, failure.start_ms, failure.end_ms),
        step=failure.step,
        reason=failure.reason,
        exception=failure.exception,
        seam_before=failure.seam_before,
        seam_after=failure.seam_after,
        abandoned=failure.abandoned,
    )


def _row(status: Status, source: Source, start_ms: int, end_ms: int) -> IndexRow:
    return IndexRow(
        key=key_of(source, start_ms, end_ms),
        status=status,
        source_id=source.id,
        uri=source.uri,
        etag=source.etag,
        start_ms=start_ms,
        end_ms=end_ms,
    )
