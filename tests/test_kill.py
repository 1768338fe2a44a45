"""Killed at any moment and run again, the job ends with the very bytes of a run that was left in peace."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.store import Store, store_at
from tests.make import beeps, wav_bytes

ROOT = Path(__file__).parents[1]
NUM_KILLS = 4


def put_recordings(store: Store) -> None:
    for i in range(6):
        spans = [(500 + 3_000 * k, 2_500 + 3_000 * k) for k in range(3 + i)]
        store.put(f"r{i}.wav", wav_bytes(beeps(*spans, duration_ms=3_000 * (3 + i))))
    store.put("broken.wav", b"hello")


def annotate(source: str, output: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs", "annotate", source, output, "--recipe", "tests/recipes.py:slow"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def kill_somebody(driver: subprocess.Popen[bytes], rng: random.Random) -> None:
    """SIGKILL to the driver, or to one of its workers."""
    workers = [pid for pid in descendants(driver.pid) if b"ray::" in command_line(pid)]
    os.kill(rng.choice(workers) if workers and rng.random() < 0.5 else driver.pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    found = []
    for child in Path("/proc").iterdir():
        if child.name.isdecimal():
            try:
                parent = int((child / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(child.name), *descendants(int(child.name))]
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def shards_of(store: Store) -> dict[str, bytes]:
    return {s.name: store.read(s.name) for s in store.list("shards/") if not s.name.endswith(".json")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_killed_job_run_again_gives_the_same_bytes(kind, tmp_path, request):
    base = str(tmp_path) if kind == "folder" else f"s3://{request.getfixturevalue('bucket')}"
    put_recordings(store_at(f"{base}/in"))
    calm, killed = (store_at(f"{base}/{name}") for name in ("calm", "killed"))
    peaceful = annotate(f"{base}/in", calm.root)
    printed, _ = peaceful.communicate()
    assert peaceful.returncode == 1, printed.decode()  # one recording is broken, and said to be
    assert printed.decode().rstrip().endswith("1 failures")

    rng = random.Random(11)
    for _ in range(NUM_KILLS):
        driver = annotate(f"{base}/in", killed.root)
        time.sleep(rng.uniform(1, 16))
        if driver.poll() is None:
            kill_somebody(driver, rng)
            if rng.random() < 0.5:  # let it try to go on, then end it for good
                time.sleep(rng.uniform(0, 6))
            driver.kill()
        driver.communicate()
    last = annotate(f"{base}/in", killed.root)
    printed, _ = last.communicate()
    assert last.returncode == 1, printed.decode()
    assert shards_of(killed) == shards_of(calm)
