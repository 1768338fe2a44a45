"""A recording of many hours: python -m benchmarks.long [--hours 6]

Makes one FLAC of voices, music and sounds between pauses, annotates it as a command of its own, and prints
the largest memory of any process, and whether a seam cut through a sound.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.processes import family, memory_kib, title
from jobs.demo import RATE_HZ, at_db, clap, music, noise, silence, siren, voice
from pipeline.annotate import standing
from schemas.shard import Status, read_index
from schemas.store import Store, store_at

CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--recipe", default="embedded")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="earmark-long-"))
    try:
        sounds_ms = make_recording(folder / "in" / "long.flac", arguments.hours)
        begun = time.monotonic()
        peaks = run(folder, arguments.recipe)
        wall_s = time.monotonic() - begun
        print(f"{arguments.hours:g} h in {wall_s:.0f} s: {arguments.hours * 3600 / wall_s:.1f} x real time")
        print("largest resident memory, MiB, by process:")
        for name, kib in sorted(peaks.items(), key=lambda item: -item[1])[:10]:
            print(f"  {name:40} {kib / 1024:8.0f}")
        print_seams(store_at(str(folder / "out")), sounds_ms)
    finally:
        shutil.rmtree(folder)


def make_recording(path: Path, hours: float) -> list[tuple[int, int]]:
    """Writes the recording block by block; returns where each sound begins and ends."""
    path.parent.mkdir(parents=True)
    rng, at, sounds_ms = np.random.default_rng(5), 0, []
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        while at < hours * 3600 * RATE_HZ:
            kind = rng.integers(5)
            sound = [
                lambda: voice(rng, int(rng.integers(3, 40)), float(rng.uniform(90, 230))),
                lambda: music(float(rng.integers(4, 60))),
                lambda: at_db(noise(rng, float(rng.uniform(0.3, 12))), -26),
                lambda: siren(float(rng.uniform(1, 8))),
                lambda: np.concatenate([clap(rng) for _ in range(rng.integers(1, 9))]),
            ][kind]()
            for block, is_sound in ((silence(rng.uniform(0.4, 6)), False), (sound, True)):
                if is_sound:
                    sounds_ms.append((at * 1000 // RATE_HZ, (at + len(block)) * 1000 // RATE_HZ))
                file.write(np.clip(block + 1e-4 * noise(rng, len(block) / RATE_HZ)[: len(block)], -0.99, 0.99))
                at += len(block)
    return sounds_ms


def run(folder: Path, recipe: str) -> dict[str, int]:
    """Annotates, and watches the largest resident memory (KiB, not shared) of each kind of process."""
    command = [sys.executable, "-m", "jobs", "annotate", str(folder / "in"), str(folder / "out"), "--recipe", recipe]
    process = subprocess.Popen(command, cwd=CHECKOUT)
    peaks: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            for pid in family(process.pid):
                name = title(pid).split(" ")[0].rpartition("/")[2] or "ended"
                peaks[name] = max(peaks.get(name, 0), memory_kib(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    done.set()
    watcher.join()
    return peaks


def print_seams(store: Store, sounds_ms: list[tuple[int, int]]) -> None:
    now = standing(store)
    row = now.plans[0].rows[0]
    rows = [row for receipt in now.receipts for row in read_index(store, receipt.shard)]
    firsts = {receipt.shard: min(r.start_ms for r in read_index(store, receipt.shard)) for receipt in now.receipts}
    seams = sorted(firsts.values())[1:]
    cut = [seam for seam in seams if any(a + 100 < seam < b - 100 for a, b in sounds_ms)]
    spans = sorted((r.start_ms, r.end_ms) for r in rows)
    tiled = all(a[1] == b[0] for a, b in itertools.pairwise(spans)) and spans[-1][1] >= row.duration_ms
    print(
        json.dumps(
            {
                "seams": len(seams),
                "seams inside a sound": len(cut),
                "segments": sum(r.status is Status.SAMPLE for r in rows),
                "failures": len(now.failures),
                "every millisecond accounted for, once": tiled,
            }
        )
    )


if __name__ == "__main__":
    main()
