"""One run over one output: plan what is new, do what is not done, retry what failed.

Running again is resuming: what has a receipt is finished and is not looked at twice.
"""

import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import chain, islice
from typing import Any

from pipeline.lot import Lot, Piece
from pipeline.plan import Plan, PlanRow, make_plans, plan_of, probed, read_plans, write_plan
from pipeline.route import AnnotateConfig, config_row, fingerprint
from pipeline.sources import find, found_at
from schemas.errors import ConfigError, SchemaError
from schemas.shard import IndexRow, Receipt, Status, read_index, read_receipt, shards_in
from schemas.store import Store

READS_AT_ONCE = 64
TOLD_VERSIONS = (  # of what decides how a run comes out, for whoever wonders later
    "earmark",
    "av",
    "numpy",
    "onnxruntime",
    "pocketsphinx",
    "pyloudnorm",
    "ray",
    "scipy",
    "silero-vad",
    "soxr",
    "speechmos",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an output stands: what was planned, what is done, what failed and was not made good since."""

    plans: tuple[Plan, ...]
    receipts: tuple[Receipt, ...]
    failures: tuple[IndexRow, ...]

    @property
    def num_recordings(self) -> int:
        return len({row.source_id for plan in self.plans for row in plan.rows})

    @property
    def num_lots(self) -> int:
        return sum(plan.num_lots for plan in self.plans)

    @property
    def is_done(self) -> bool:
        return len(self.receipts) == self.num_lots


def check_run(store: Store, source: str, config: AnnotateConfig) -> None:
    """Writes `run.json`, or refuses an output that another config has begun."""
    body = run_row(source, config)
    data = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    if store.put("run.json", data, if_absent=True):
        return
    begun = read_run(store)
    if begun.get("fingerprint") != body["fingerprint"]:
        changed = _differences(begun.get("config"), body["config"])
        raise ConfigError(
            f"{store.root} was begun with another config ({'; '.join(changed[:3]) or 'another version'}): "
            "shards of both would not go together; use another output, or the recipe it was begun with"
        )


def read_run(store: Store) -> dict[str, Any]:
    if store.stat("run.json") is None:
        raise SchemaError(f"{store.root} is no output of `earmark annotate`: it has no run.json")
    try:
        body: dict[str, Any] = json.loads(store.read("run.json"))
    except ValueError as error:
        raise SchemaError(f"{store.uri('run.json')} is not JSON: {error}") from error
    return body


def run_row(source: str, config: AnnotateConfig) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in TOLD_VERSIONS if _installed(name)}
    return {
        "input": source,
        "recipe": config.recipe,
        "config": config_row(config),
        "fingerprint": fingerprint(config),
        "versions": versions | {"python": platform.python_version()},
    }


def plan_new(
    store: Store,
    source: str,
    config: AnnotateConfig,
    *,
    limit: int | None,
    passed_over: Counter[str],
    progress: Callable[[int], None],
) -> list[Plan]:
    """All plans of the output, after adding what the source holds that no plan has yet."""
    recordings = find(source, passed_over, config.labels)
    first = next(recordings)  # where there is nothing, the output is left untouched
    check_run(store, source, config)
    plans = read_plans(store)
    known = {(row.uri, row.etag) for plan in plans for row in plan.rows}
    found = islice(chain([first], recordings), limit)
    new = (recording for recording in found if (recording.uri, recording.etag) not in known)
    sequence = len(plans)
    for plan in make_plans(new, config=fingerprint(config), lot_ms=config.lot_ms, sequence=sequence, progress=progress):
        write_plan(store, plan)
        plans.append(plan)
    return plans


def plan_retry(store: Store, config: AnnotateConfig, standing: Standing) -> tuple[Plan | None, list[IndexRow]]:
    """A plan of what failed and nothing else; and the failures left out because the recording has changed."""
    rows, changed = [], []
    for failure in standing.failures:
        row = _retried(failure, config)
        if failure.etag and row.etag and row.etag != failure.etag:
            changed.append(failure)
        else:
            rows.append(row)
    if not rows:
        return None, changed
    plan = plan_of(rows, config=fingerprint(config), lot_ms=config.lot_ms, sequence=len(standing.plans))
    write_plan(store, plan)
    return plan, changed


def unfinished(store: Store, plans: Sequence[Plan]) -> Iterator[Lot[Piece]]:
    """Every lot without a receipt, in order."""
    done = set(shards_in(store))
    return (lot for plan in plans for lot in plan.lots() if lot.shard not in done)


def standing(store: Store) -> Standing:
    """Reads plans, receipts, and the indexes of those shards that have failures."""
    plans = tuple(read_plans(store))
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        receipts = tuple(pool.map(lambda shard: read_receipt(store, shard), shards_in(store)))
        indexes = pool.map(lambda r: (r, read_index(store, r.shard)), (r for r in receipts if r.failures))
        failures = [(r.plan, row) for r, index in indexes for row in index if row.status is Status.FAILURE]
    return Standing(plans=plans, receipts=receipts, failures=tuple(_still_open(failures, plans)))


def _still_open(failures: Sequence[tuple[str, IndexRow]], plans: Sequence[Plan]) -> Iterator[IndexRow]:
    """The failures that no later plan takes up again, whether as the same stretch or as a newer recording."""
    sequences = {plan.name: plan.rows[0].sequence for plan in plans if plan.rows}
    wanted = {row.source_id for _, row in failures}
    later: dict[str, list[PlanRow]] = {}
    for plan in plans:
        for row in plan.rows:
            if row.source_id in wanted:
                later.setdefault(row.source_id, []).append(row)
    for plan_name, failure in failures:
        if not any(
            row.sequence > sequences.get(plan_name, -1)
            and (row.etag != failure.etag or (row.start_ms <= failure.start_ms and failure.end_ms <= row.end_ms))
            for row in later.get(failure.source_id, ())
        ):
            yield failure


def _retried(failure: IndexRow, config: AnnotateConfig) -> PlanRow:
    row = probed(found_at(failure.uri, failure.source_id, config.labels))
    if row.error or failure.end_ms == 0:
        return replace(row, alone=failure.abandoned)
    return replace(
        row,
        alone=failure.abandoned,
        start_ms=failure.start_ms,
        end_ms=failure.end_ms,
        seam_before=failure.seam_before,
        seam_after=failure.seam_after,
    )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where two configs differ, as `path: old, now new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        return [d for name in names for d in _differences(old.get(name), new.get(name), f"{path}.{name}".strip("."))]
    return [] if old == new else [f"{path}: {old!r} then, {new!r} now"]
