"""The whole job in this process, and what it leaves behind."""

from collections import Counter
from pathlib import Path

from pipeline.annotate import plan_new, unfinished
from pipeline.route import AnnotateConfig, route
from pipeline.steps import run_local
from schemas.record import Record
from schemas.shard import Status, read_index, read_record, shards_in
from schemas.store import Store, store_at
from tests.make import quick


def annotated(folder: Path | str, output: Path | str, config: AnnotateConfig | None = None, **options: int) -> Store:
    """The whole job in this process."""
    config = config or quick()
    store = store_at(str(output))
    arguments = {"limit": None, "passed_over": Counter(), "progress": lambda n: None}
    plans = plan_new(store, str(folder), config, **(arguments | options))
    for _ in run_local(route(config, store.root), unfinished(store, plans)):
        pass
    return store


def rows_of(store: Store) -> list:
    return [row for shard in shards_in(store) for row in read_index(store, shard)]


def records_of(store: Store) -> list[Record]:
    rows = [(shard, row) for shard in shards_in(store) for row in read_index(store, shard)]
    return [read_record(store, shard, row) for shard, row in rows if row.status is Status.SAMPLE]


def files_of(store: Store) -> dict[str, bytes]:
    """Every tar and index by name."""
    return {s.name: store.read(s.name) for s in store.list("shards/") if not s.name.endswith(".json")}
