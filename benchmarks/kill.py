"""Killed at random moments: python -m benchmarks.kill INPUT [--times 10] [--recipe embedded] [--s3] [--seed 1]

Annotates INPUT once in peace; then again, with SIGKILL to the driver or to a worker at random moments and a new
start after each; and compares the SHA-256 of every tar and index. With --s3, INPUT is first put into a bucket of
a local S3 server, and everything goes over HTTP.
"""

import argparse
import contextlib
import hashlib
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import family, title
from schemas.store import Store, store_at

CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--recipe", default="embedded")
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="earmark-kill-"))
    try:
        with s3_server() if arguments.s3 else contextlib.nullcontext(str(folder)) as base:
            source = f"{base}/in"
            put_all(store_at(str(arguments.input)), store_at(source))
            begun = time.monotonic()
            peaceful = annotate(source, f"{base}/calm", arguments.recipe)
            sys.stdout.write(peaceful.communicate()[0])
            calm_s = time.monotonic() - begun
            killed = kill_and_resume(
                source, f"{base}/killed", arguments.recipe, arguments.times, calm_s, random.Random(arguments.seed)
            )
            print("\n".join(killed))
            calm, resumed = hashes(store_at(f"{base}/calm")), hashes(store_at(f"{base}/killed"))
            print(f"{len(calm)} tars and indexes; the same after {arguments.times} kills: {calm == resumed}")
    finally:
        shutil.rmtree(folder)
    sys.exit(calm != resumed)


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """A bucket of moto's threaded server over real HTTP; the environment points at it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client("s3").create_bucket(Bucket="earmark")
    yield "s3://earmark"
    server.stop()


def put_all(source: Store, target: Store) -> None:
    for stored in source.list():
        target.put(stored.name, source.read(stored.name))


def annotate(source: str, output: str, recipe: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs", "annotate", source, output, "--recipe", recipe]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_and_resume(source: str, output: str, recipe: str, times: int, calm_s: float, rng: random.Random) -> list[str]:
    """Starts, kills and starts again, then lets the last one end; tells what was killed when."""
    told = []
    for number in range(times):
        driver, begun = annotate(source, output, recipe), time.monotonic()
        if number % 3 == 2:
            victim = kill_in_mid_commit(driver, output, timeout_s=calm_s)
        else:
            time.sleep(rng.uniform(0.5, 0.4 * calm_s + 15))
            victim = kill_somebody(driver, rng)
        after_s = time.monotonic() - begun
        if victim == "a worker":
            time.sleep(rng.uniform(0, 8))  # it goes on without its worker; then the driver goes as well
        for pid in family(driver.pid):
            kill(pid)
        driver.communicate()
        done = num_receipts(output)
        told.append(f"kill {number + 1}: after {after_s:.1f} s, {victim}; {done} shards were done")
        if driver.returncode >= 0:
            told[-1] += " (it had ended by itself)"
    last = annotate(source, output, recipe)
    told.append(last.communicate()[0].rstrip().splitlines()[-1])
    return told


def kill_somebody(driver: subprocess.Popen[str], rng: random.Random) -> str:
    """SIGKILL to the driver, or as likely to one of its workers; says to whom."""
    workers = [pid for pid in family(driver.pid) if title(pid).startswith("ray::_Actor")]
    if not workers or rng.random() < 0.5:
        driver.kill()
        return "the driver"
    kill(rng.choice(workers))
    return "a worker"


def kill_in_mid_commit(driver: subprocess.Popen[str], output: str, timeout_s: float) -> str:
    """SIGKILL to everybody at once, at the first sight of a tar that has no receipt yet."""
    store, begun, before = store_at(output), time.monotonic(), None
    while driver.poll() is None and time.monotonic() - begun < timeout_s:
        names = {stored.name.rpartition(".")[0] for stored in store.list("shards/") if stored.name.endswith(".tar")}
        num_half = len(names) - num_receipts(output)
        before = num_half if before is None else min(before, num_half)
        if num_half > before:
            for pid in family(driver.pid)[::-1]:
                kill(pid)
            return "everybody, between a tar and its receipt"
        time.sleep(0.02)
    return "nobody: no shard was seen half-written"


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def num_receipts(output: str) -> int:
    return sum(stored.name.endswith(".json") for stored in store_at(output).list("shards/"))


def hashes(store: Store) -> dict[str, str]:
    """SHA-256 of every tar and index."""
    return {
        stored.name: hashlib.sha256(store.read(stored.name)).hexdigest()
        for stored in store.list("shards/")
        if not stored.name.endswith(".json")
    }


if __name__ == "__main__":
    main()
