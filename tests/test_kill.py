"""Killed at any moment and run again, the job ends with the very bytes of a run that was left in peace."""

import random

import pytest

from benchmarks.kill import annotate, hashes, kill_and_resume
from schemas.store import Store, store_at
from tests.make import beeps, wav_bytes

SLOW = "tests/recipes.py:slow"


def put_recordings(store: Store) -> None:
    for i in range(6):
        spans = [(500 + 3_000 * k, 2_500 + 3_000 * k) for k in range(3 + i)]
        store.put(f"r{i}.wav", wav_bytes(beeps(*spans, duration_ms=3_000 * (3 + i))))
    store.put("broken.wav", b"hello")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_killed_job_run_again_gives_the_same_bytes(kind, tmp_path, request):
    base = str(tmp_path) if kind == "folder" else f"s3://{request.getfixturevalue('bucket')}"
    put_recordings(store_at(f"{base}/in"))
    peaceful = annotate(f"{base}/in", f"{base}/calm", SLOW)
    printed, _ = peaceful.communicate()
    assert peaceful.returncode == 1, printed  # one recording is broken, and said to be
    assert printed.rstrip().endswith("1 failures")

    told = kill_and_resume(f"{base}/in", f"{base}/killed", SLOW, times=3, calm_s=0, rng=random.Random(11))
    assert told[-1] == printed.rstrip().splitlines()[-1]
    assert hashes(store_at(f"{base}/killed")) == hashes(store_at(f"{base}/calm"))
