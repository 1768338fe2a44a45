"""Killed at any moment and started again, a run ends with the very losses and weights of one left in peace."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.training import MODEL, SNAPSHOTS
from tests.training import changed, curve, material, told

ROOT = Path(__file__).parents[1]
STEPS = 24
KILLS = 4


def started(given: Path, run: Path, workers: int) -> subprocess.Popen[str]:
    """`earmark train pretrain`, in a group of processes of its own."""
    words = [sys.executable, "-m", "jobs", "train", "pretrain", "--data", given / "shards", "--text", given / "texts"]
    words += ["--start", given / "start", "--checkpoint", run, "--steps", STEPS, "--lr", 1e-3, "--snapshot-every", 2]
    words += ["--packs-per-step", 2, "--pack-tokens", 512, "--workers", workers, "--device", "cpu"]
    return subprocess.Popen(
        list(map(str, words)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def steps_told(run: Path) -> int:
    """Whole lines of the log, which may be cut short at this moment."""
    path = run / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_a_killed_run_started_again_is_the_run_left_in_peace(tmp_path):
    given = material(tmp_path)
    peaceful = started(given, tmp_path / "calm", workers=0)
    printed, _ = peaceful.communicate()
    assert peaceful.returncode == 0, printed

    chance = random.Random(5)
    killed = tmp_path / "killed"
    told_at_kills = []
    for kill in range(KILLS):
        process = started(given, killed, workers=kill % 3)
        before = steps_told(killed)
        while process.poll() is None and steps_told(killed) <= min(before + chance.randrange(4), STEPS - 4):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))  # anywhere in a step, or while a snapshot is written
        assert process.poll() is None, process.communicate()[0]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        told_at_kills.append(steps_told(killed))
    assert not (killed / MODEL).exists(), "it was killed before its end, each time"
    last = started(given, killed, workers=1)
    printed, _ = last.communicate()
    assert last.returncode == 0, printed

    assert [line["step"] for line in told(killed)] == list(range(1, STEPS + 1))
    assert curve(killed) == curve(tmp_path / "calm")
    same = ("loss", "grad_norm", "lr", "targets", "tokens", "losses", "passed_over", "troubles", "skipped")
    for one, other in zip(told(killed), told(tmp_path / "calm"), strict=True):
        assert [one[name] for name in same] == [other[name] for name in same]
    assert changed(tmp_path / "calm" / MODEL, killed / MODEL) == set()
    assert changed(given / "start", killed / MODEL)
    assert not list((killed / SNAPSHOTS).glob(".*")), "nothing half written is left"
