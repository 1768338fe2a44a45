"""What the engine costs: python -m benchmarks.engine [--input FOLDER] [--lot-s 60] [--repeat N]

The same lots through one process and through Ray; decode, cut and write alone; and shard writing against
webdataset's ShardWriter and Ray's write_webdataset on the same samples. Without --input it makes its sound.
"""

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from jobs.demo import make_recordings
from jobs.recipes import embedded
from pipeline.annotate import plan_new, unfinished
from pipeline.lot import Lot
from pipeline.ray_runner import Tally, connected, run_ray
from pipeline.route import AnnotateConfig, route
from pipeline.steps import run_local
from schemas.shard import Receipt, TarWriter, read_tar, shards_in
from schemas.store import Store, store_at

Samples = Sequence[tuple[str, dict[str, bytes]]]

COPIES = 5  # of the samples, for the comparison of writers
CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="a folder of recordings; default: made here")
    parser.add_argument("--lot-s", type=int, default=60, help="sound in one lot")
    parser.add_argument("--repeat", type=int, default=6, help="copies of the made recordings")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="earmark-bench-"))
    try:
        measure(arguments.input or made(folder, arguments.repeat), folder, arguments.lot_s)
    finally:
        shutil.rmtree(folder)


def made(folder: Path, repeat: int) -> Path:
    for i in range(repeat):
        make_recordings(folder / "in" / str(i))
    return folder / "in"


def measure(recordings: Path, folder: Path, lot_s: int) -> None:
    config = replace(embedded(), lot_ms=lot_s * 1000, seam_window_ms=min(60_000, lot_s * 500))
    cores = len(os.sched_getaffinity(0))

    store, lots = planned(recordings, folder / "local", config)
    local: list[Receipt] = list(run_local(route(config, store.root), lots))
    local_s = sum(step.seconds for receipt in local for step in receipt.steps)
    side_s = side_by_side(recordings, folder / "side", config, cores)
    audio_s = sum(receipt.audio_ms for receipt in local) / 1000

    ray_store, lots = planned(recordings, folder / "ray", config)
    tally, begun = Tally(), time.perf_counter()
    with connected(None, code=CHECKOUT):
        connected_s = time.perf_counter() - begun
        begun = time.perf_counter()
        through_ray: list[Receipt] = list(run_ray(route(config, ray_store.root), lots, tally))
        ray_s = time.perf_counter() - begun
    steady_s = ray_s - tally.ready_s

    print(f"{len(lots)} lots, {audio_s / 60:.1f} minutes of sound, {cores} cores\n")
    print(f"{'':34}{'seconds':>9}{'x real time':>13}")
    print(f"{'one process':34}{local_s:9.1f}{audio_s / local_s:13.1f}")
    print(f"{f'{cores} processes, no engine':34}{side_s:9.1f}{audio_s / side_s:13.1f}")
    print(f"{'Ray, workers ready':34}{steady_s:9.1f}{audio_s / steady_s:13.1f}")
    print(f"{'Ray, with its start':34}{ray_s + connected_s:9.1f}{audio_s / (ray_s + connected_s):13.1f}\n")
    with_start = f"({local_s / (ray_s + connected_s):.2f} with its start)"
    print(f"Ray against one process          {local_s / steady_s:.2f} x {with_start}")
    print(f"{cores} processes against one          {local_s / side_s:.2f} x: what the machine has to give")
    busy_s = cpu_seconds(through_ray)
    print(f"workers' CPU time                {busy_s:.1f} s of {steady_s * cores:.1f} core-seconds")
    # what the first workers did while the last were still being built counts as well, so this reads a little low
    print(f"engine's overhead                {100 * (1 - busy_s / (steady_s * cores)):.1f} %")
    print(f"same bytes from both             {hashes(local) == hashes(through_ray)}\n")
    print_steps(local, audio_s)
    print_writers(store, folder)


def planned(recordings: Path, output: Path, config: AnnotateConfig) -> tuple[Store, list[Lot[Any]]]:
    store = store_at(str(output))
    plans = plan_new(store, str(recordings), config, limit=None, passed_over=Counter(), progress=lambda n: None)
    return store, list(unfinished(store, plans))


def side_by_side(recordings: Path, output: Path, config: AnnotateConfig, cores: int) -> float:
    """Seconds that as many processes as cores take for their shares of the lots, with nothing between them."""
    shares = [(recordings, output / str(part), config, part, cores) for part in range(cores)]
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        times = pool.starmap(one_share, shares, chunksize=1)
    return max(end for _, end in times) - min(begun for begun, _ in times)


def one_share(recordings: Path, output: Path, config: AnnotateConfig, part: int, cores: int) -> tuple[float, float]:
    """When this process began its share, all workers built, and when it ended; the clock is the machine's."""
    store, lots = planned(recordings, output, config)
    results = run_local(route(config, store.root), lots[part::cores])
    first = next(results)
    begun = time.perf_counter() - sum(step.seconds for step in first.steps)
    for _ in results:
        pass
    return begun, time.perf_counter()


def cpu_seconds(receipts: Sequence[Receipt]) -> float:
    return sum(step.cpu_seconds for receipt in receipts for step in receipt.steps)


def hashes(receipts: Sequence[Receipt]) -> set[tuple[str, str]]:
    return {(receipt.tar_sha256, receipt.index_sha256) for receipt in receipts}


def print_steps(receipts: Sequence[Receipt], audio_s: float) -> None:
    spent: Counter[str] = Counter()
    for receipt in receipts:
        for step in receipt.steps:
            spent[step.step] += step.seconds  # type: ignore[assignment]
    print(f"{'step, one process':34}{'seconds':>9}{'x real time':>13}")
    for step, seconds in spent.items():
        print(f"{step:34}{seconds:9.2f}{audio_s / max(seconds, 1e-9):13.0f}")
    print()


def print_writers(store: Store, folder: Path) -> None:
    """The members of every sample written again, by three writers."""
    once = [
        (key, members) for shard in shards_in(store) for key, members in read_tar(store.open(f"shards/{shard}.tar"))
    ]
    samples = [(f"{key}-{copy}", members) for copy in range(COPIES) for key, members in once]
    num_bytes = sum(len(data) for _, members in samples for data in members.values())
    writers: dict[str, Callable[[Path, Samples], None]] = {
        "ours (sha256, fsync, rename)": write_ours,
        "webdataset ShardWriter": write_webdataset,
        "ray.data write_webdataset": write_ray,
    }
    print(f"{f'{len(samples)} samples, {num_bytes / 1e6:.1f} MB':34}{'seconds':>9}{'MB/s':>13}")
    for name, write in writers.items():
        path = folder / name.split()[0]
        path.mkdir()
        (path / "warm").mkdir()
        with connected(None, code=CHECKOUT) if "ray" in name else contextlib.nullcontext():
            write(path / "warm", samples[:8])  # imports and workers are not what is compared
            seconds = timed(write, path, samples)
        print(f"{name:34}{seconds:9.3f}{num_bytes / 1e6 / seconds:13.0f}")


def timed(write: Callable[[Path, Samples], None], path: Path, samples: Samples) -> float:
    begun = time.perf_counter()
    write(path, samples)
    return time.perf_counter() - begun


def write_ours(path: Path, samples: Samples) -> None:
    with (path / "spool").open("wb") as file:
        tar = TarWriter(file)
        for key, members in samples:
            for extension, data in members.items():
                tar.add(f"{key}.{extension}", data)
        tar.close()
    store_at(str(path)).put_file("shard.tar", path / "spool")


def write_webdataset(path: Path, samples: Samples) -> None:
    import webdataset

    with webdataset.ShardWriter(str(path / "shard-%06d.tar"), verbose=0) as writer:
        for key, members in samples:
            writer.write({"__key__": key, **members})


def write_ray(path: Path, samples: Samples) -> None:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"__key__": key, "flac": members["flac"], "json": json.loads(members["json"])} for key, members in samples]
    ray.data.from_items(rows).write_webdataset(str(path))


if __name__ == "__main__":
    main()
