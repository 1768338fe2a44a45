"""Several ranks learn what one does, and a rank that dies costs the steps since the last snapshot and nothing else."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.distributed.device_mesh import DeviceMesh

from benchmarks.processes import family, title
from model.pretrain import PretrainConfig, pretrain, stage_2
from model.training import MODEL, Rank
from tests.processes import RANKS, together
from tests.training import ALONE, QUIET, brief, curve, material, stored, told, work

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parents[1]
STEPS = 6
CONFIG = PretrainConfig(training=brief(stage_2(STEPS), snapshot_every=2))


def learn(mesh: DeviceMesh, number: int, folder: Path) -> None:
    pretrain(
        folder / "start", work(folder, text=True), CONFIG, folder / "two", Rank(number=number, of=mesh.size()), QUIET
    )


def assert_close(one: Path, other: Path) -> None:
    """The same curve and the same weights, but for the order in which float32 adds up."""
    assert curve(one) == pytest.approx(curve(other), abs=1e-5)
    weights = stored(other / MODEL)
    for name, weight in stored(one / MODEL).items():
        torch.testing.assert_close(weight, weights[name], atol=1e-4, rtol=0.0, msg=name)


def test_two_ranks_learn_what_one_does(tmp_path):
    given = material(tmp_path)
    pretrain(given / "start", work(given, text=True), CONFIG, given / "one", ALONE, QUIET)
    together(learn, given)
    assert_close(given / "two", given / "one")
    for one, two in zip(told(given / "one"), told(given / "two"), strict=True):
        assert [one[name] for name in ("tokens", "targets", "audio_s")] == [
            two[name] for name in ("tokens", "targets", "audio_s")
        ]
    assert RANKS == 2


# ------------------------------------------------------------------------------------------------ through Ray


def started(given: Path, run: Path, steps: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "jobs", "train", "pretrain", "--data", given / "shards", "--start", given / "start"]
    words += ["--checkpoint", run, "--steps", steps, "--lr", 1e-3, "--snapshot-every", 2, "--packs-per-step", 2]
    words += ["--pack-tokens", 512, "--workers", 0, "--device", "cpu", "--ranks", 2]
    return subprocess.Popen(
        list(map(str, words)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """Ray's workers that train, below this command alone."""
    return [pid for pid in family(process.pid) if "RayTrainWorker" in title(pid)]


def num_told(run: Path) -> int:
    path = run / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def waited(process: subprocess.Popen[str], run: Path, steps: int) -> None:
    while num_told(run) < steps:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def test_a_rank_that_is_killed_costs_the_steps_since_the_last_snapshot(tmp_path):
    given = material(tmp_path)
    config = PretrainConfig(training=brief(stage_2(12)))
    pretrain(given / "start", work(given), config, given / "calm", ALONE, QUIET)
    process = started(given, given / "killed", 12)
    waited(process, given / "killed", 5)
    os.kill(ranks_of(process)[-1], signal.SIGKILL)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert [line["step"] for line in told(given / "killed")] == list(range(1, 13))
    assert_close(given / "killed", given / "calm")


def test_what_a_rank_raises_on_purpose_ends_the_run_in_a_sentence(tmp_path):
    given = material(tmp_path)
    process = started(given, given / "run", 1000)
    waited(process, given / "run", 3)
    shutil.rmtree(given / "shards")
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in printed
    last = printed.rstrip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "shards" in last
