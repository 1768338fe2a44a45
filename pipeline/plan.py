"""The plan: which recordings there are, and which lot each belongs to. Once written it never changes.

    OUTPUT/plan/<plan>.parquet     one row a recording (or, in a retry, a stretch of one)

The name of a plan is a hash of what it holds and of the config, so shards are named by content and never
by who finished first. A run with new or changed recordings, and every retry, adds a plan.
"""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.decode import probe
from pipeline.lot import Lot, Piece
from pipeline.sources import Found
from schemas.errors import DecodeError, SchemaError, StoreError
from schemas.record import Source
from schemas.rows import arrow_schema, from_row, to_row
from schemas.store import Store, place

PROBES_AT_ONCE = 16
RECORDINGS_PER_PLAN = 50_000
PIECES_PER_LOT = 2_000  # however short they are


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One recording, or one stretch of it, and the lots it goes into."""

    uri: str
    source_id: str
    etag: str
    num_bytes: int
    duration_ms: int
    codec: str | None
    rate_hz: int | None
    channels: int | None
    start_ms: int  # 0 and the duration, except in a retry
    end_ms: int
    lot: int  # the first, where a long recording goes into several
    num_lots: int
    seam_before: bool  # in a retry: this end has a neighbour, and the seam is still to be found
    seam_after: bool
    alone: bool  # in a retry: a lot of its own, because its last one was given up as a whole
    error: str | None  # why it could not be opened
    sequence: int  # plans of one output are numbered as they come

    @property
    def source(self) -> Source:
        return Source(id=self.source_id, uri=self.uri, etag=self.etag, duration_ms=self.duration_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    name: str
    rows: tuple[PlanRow, ...]

    @property
    def num_lots(self) -> int:
        return max((row.lot + row.num_lots for row in self.rows), default=0)

    @property
    def audio_ms(self) -> int:
        return sum(row.end_ms - row.start_ms for row in self.rows)

    def lots(self) -> Iterator[Lot[Piece]]:
        """Every lot, in order, with the pieces it holds."""
        pieces = (numbered for row in self.rows for numbered in _pieces(row))
        for number, group in itertools.groupby(pieces, key=lambda numbered: numbered[0]):
            yield Lot(plan=self.name, number=number, items=tuple(piece for _, piece in group))


def make_plans(
    found: Iterator[Found], *, config: str, lot_ms: int, sequence: int, progress: Callable[[int], None]
) -> Iterator[Plan]:
    """Opens every recording found, once, to read its header, and deals them into lots."""
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        for offset in itertools.count():
            batch = list(itertools.islice(found, RECORDINGS_PER_PLAN))
            if not batch:
                return
            rows = []
            for row in pool.map(probed, batch):
                rows.append(row)
                progress(len(rows))
            yield plan_of(rows, config=config, lot_ms=lot_ms, sequence=sequence + offset)


def plan_of(rows: Sequence[PlanRow], *, config: str, lot_ms: int, sequence: int) -> Plan:
    """The rows dealt into lots: filled in order, and a recording longer than a lot gets lots of its own."""
    dealt: list[PlanRow] = []
    lot, filled_ms, num_pieces = 0, 0, 0
    for row in rows:
        duration_ms = row.end_ms - row.start_ms
        num_lots = max(1, round(duration_ms / lot_ms))
        alone = row.alone or num_lots > 1
        if num_pieces and (alone or filled_ms + duration_ms > lot_ms or num_pieces == PIECES_PER_LOT):
            lot, filled_ms, num_pieces = lot + 1, 0, 0
        dealt.append(replace(row, lot=lot, num_lots=num_lots, sequence=sequence))
        if alone:
            lot += num_lots
        else:
            filled_ms, num_pieces = filled_ms + duration_ms, num_pieces + 1
    return Plan(name=_name(dealt, config), rows=tuple(dealt))


def write_plan(store: Store, plan: Plan) -> None:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([to_row(row) for row in plan.rows], schema=arrow_schema(PlanRow))
    pq.write_table(table, buffer, compression="zstd")
    store.put(f"plan/{plan.name}.parquet", buffer.getvalue())


def read_plans(store: Store) -> list[Plan]:
    """All plans of an output, in the order they were made."""
    plans = []
    for stored in store.list("plan/"):
        name = stored.name.removeprefix("plan/").removesuffix(".parquet")
        try:
            table = pq.read_table(io.BytesIO(store.read(stored.name)), use_threads=False)
        except pa.ArrowException as error:
            raise SchemaError(f"{store.uri(stored.name)} is not a readable plan: {error}") from error
        plans.append(Plan(name=name, rows=tuple(from_row(PlanRow, row) for row in table.to_pylist())))
    return sorted(plans, key=lambda plan: (plan.rows[0].sequence if plan.rows else -1, plan.name))


def probed(found: Found) -> PlanRow:
    row = PlanRow(
        uri=found.uri,
        source_id=found.id,
        etag=found.etag,
        num_bytes=found.num_bytes,
        duration_ms=0,
        codec=None,
        rate_hz=None,
        channels=None,
        start_ms=0,
        end_ms=0,
        lot=0,
        num_lots=1,
        seam_before=False,
        seam_after=False,
        alone=False,
        error=None,
        sequence=0,
    )
    try:
        if not found.etag:
            raise DecodeError("it is not there")
        if not found.num_bytes:
            raise DecodeError("the file is empty (0 bytes)")
        store, name = place(found.uri)
        with store.open(name) as file:
            info = probe(file)
    except (DecodeError, StoreError) as error:
        return replace(row, error=str(error))
    return replace(
        row,
        duration_ms=info.duration_ms,
        end_ms=info.duration_ms,
        codec=info.codec,
        rate_hz=info.rate_hz,
        channels=info.channels,
    )


def _pieces(row: PlanRow) -> Iterator[tuple[int, Piece]]:
    """The row as one piece, or as several of equal length that meet at seams."""
    length_ms = row.end_ms - row.start_ms
    edges = [row.start_ms + length_ms * i // row.num_lots for i in range(row.num_lots + 1)]
    for i, (start_ms, end_ms) in enumerate(itertools.pairwise(edges)):
        yield (
            row.lot + i,
            Piece(
                source=row.source,
                start_ms=start_ms,
                end_ms=end_ms,
                seam_before=i > 0 or row.seam_before,
                seam_after=i + 1 < row.num_lots or row.seam_after,
                error=row.error,
            ),
        )


def _name(rows: Sequence[PlanRow], config: str) -> str:
    digest = hashlib.sha256(config.encode())
    for row in rows:
        digest.update(
            repr((row.uri, row.source_id, row.etag, row.start_ms, row.end_ms, row.lot, row.sequence)).encode()
        )
    return digest.hexdigest()[:10]
