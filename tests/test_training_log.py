"""The log of a run is the one course that led to its weights, wherever the run was interrupted."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from model.log import RunLog, StepReport, curves, progress, read
from schemas.errors import InputError

PEAK = 1e12


def report(step: int, **changes) -> StepReport:
    """Numbers that only `step` decides, none of them round."""
    made = StepReport(
        step=step,
        steps=40,
        loss=1 / (step + 0.3),
        grad_norm=math.sqrt(step),
        lr=1e-4 / step,
        tokens=1000 + step,
        targets=100 + step,
        audio_s=30.0,
        seconds=0.5 + step / 7,
        data_seconds=0.1,
        skipped=0,
        passed_over=0,
        troubles=0,
        losses={"transcribe": (step / 3, 3 * step), "count": (0.7, 2), "order": (0.0, 0)},
        flops=1e11 * step,
    )
    return replace(made, **changes)


def write(folder: Path, steps: range, **settings) -> None:
    with RunLog(folder, total_steps=40, peak_flops=PEAK, quiet=True, **settings) as log:
        for step in steps:
            log.write(report(step))


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {name: {event.step: event.value for event in found.Scalars(name)} for name in found.Tags()["scalars"]}


def test_a_line_holds_every_number_to_the_bit(tmp_path):
    write(tmp_path, range(1, 4))
    for step, found in enumerate(read(tmp_path / "log.jsonl"), 1):
        made = report(step)
        assert found.pop("tokens_per_s") == made.tokens_per_s
        assert found.pop("mfu") == made.flops / made.seconds / PEAK
        assert found.pop("peak_flops") == PEAK
        losses = {name: tuple(loss) for name, loss in found.pop("losses").items()}
        assert StepReport(**found, losses=losses) == made


def test_what_is_not_finite_is_null(tmp_path):
    with RunLog(tmp_path, total_steps=1, quiet=True) as log:
        log.write(report(1, loss=math.nan, grad_norm=math.inf, losses={"count": (math.nan, 2)}))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=refuse)
    assert (found["loss"], found["grad_norm"], found["losses"], found["mfu"]) == (
        None,
        None,
        {"count": [None, 2]},
        None,
    )


@pytest.mark.parametrize("reached", [20, 21, 33])
def test_a_log_that_goes_on_is_that_of_a_run_without_interruption(tmp_path, reached):
    write(tmp_path / "whole", range(1, 41))
    write(tmp_path / "other", range(1, reached + 1))
    write(tmp_path / "other", range(21, 41), resume_step=20)
    whole, other = ((tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "other"))
    assert whole == other
    assert scalars(tmp_path / "whole") == scalars(tmp_path / "other")
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["log.jsonl", "tensorboard"]


@pytest.mark.parametrize("left", [1, 100, -1])
def test_a_last_line_that_was_cut_short_is_dropped(tmp_path, left):
    """Cut anywhere in it, down to the line's end alone."""
    write(tmp_path / "whole", range(1, 6))
    whole = (tmp_path / "whole" / "log.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "log.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:left])
    write(tmp_path / "cut", range(5, 6), resume_step=4)
    assert (tmp_path / "cut" / "log.jsonl").read_bytes() == whole


def test_a_run_that_begins_anew_keeps_nothing(tmp_path):
    write(tmp_path, range(1, 9))
    write(tmp_path, range(1, 3))
    assert [found["step"] for found in read(tmp_path / "log.jsonl")] == [1, 2]
    assert set(scalars(tmp_path)["loss"]) == {1, 2}


@pytest.mark.parametrize(
    ("middle", "told"),
    [
        (b"{", "line 2: not JSON"),
        (b"\xff\xfe", "line 2: not JSON"),
        (b"[1]", "line 2: an object"),
        (b'{"step": true}', "line 2: an object"),
        (b"", "line 2: not JSON"),
        (b"[" * 100_000, "line 2: not JSON"),
    ],
)
def test_a_log_with_another_line_damaged_is_refused_and_kept(tmp_path, middle, told):
    text = b'{"step": 1}\n' + middle + b'\n{"step": 3}\n'
    (tmp_path / "log.jsonl").write_bytes(text)
    with pytest.raises(InputError, match=told):
        RunLog(tmp_path, total_steps=9, resume_step=3, quiet=True)
    assert (tmp_path / "log.jsonl").read_bytes() == text


def test_curves_are_the_log(tmp_path):
    write(tmp_path, range(1, 13))
    found = scalars(tmp_path)
    for body in read(tmp_path / "log.jsonl"):
        for name in ("loss", "grad_norm", "lr", "tokens_per_s", "mfu", "seconds", "data_seconds", "audio_s"):
            assert found[name][body["step"]] == np.float32(body[name]), name
        total, targets = body["losses"]["transcribe"]
        assert found["loss/transcribe"][body["step"]] == np.float32(total / targets)
    assert "loss/order" not in found  # a group without targets has no loss
    assert found.keys() == curves(report(1), PEAK).keys()


def test_without_the_package_there_are_no_curves_and_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    told = io.StringIO()
    with RunLog(tmp_path, total_steps=2, console=Console(file=told)) as log:
        log.write(report(1))
    assert "tensorboard is not installed" in told.getvalue()
    assert len(list(read(tmp_path / "log.jsonl"))) == 1
    assert not (tmp_path / "tensorboard").exists()


def test_a_gap_is_told(tmp_path):
    told = io.StringIO()
    RunLog(tmp_path, total_steps=9, resume_step=7, console=Console(file=told, width=300)).close()
    assert "has 0 of the 7 steps before" in told.getvalue()


def test_plain_lines_come_now_and_then(tmp_path):
    told = io.StringIO()
    with RunLog(tmp_path, total_steps=25, peak_flops=PEAK, console=Console(file=told, width=300)) as log:
        for step in range(1, 26):
            log.write(report(step, steps=25, seconds=2.0, data_seconds=0.5, flops=1e12, tokens=3000))
    lines = told.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [f"step {step} of 25" for step in (1, 10, 20, 25)]
    assert lines[1].endswith("1,500 tokens/s, 50% MFU, 25% waiting for data, 0:30 left")


def test_a_terminal_shows_a_bar(tmp_path):
    told = io.StringIO()
    with RunLog(tmp_path, total_steps=2, console=Console(file=told, force_terminal=True, width=200)) as log:
        log.write(report(1, steps=2))
        log.write(report(2, steps=2))
    assert "step 2 of 2" in told.getvalue()


def test_progress_smooths_and_names_what_was_lost():
    reports = [report(step, loss=loss, skipped=step - 1) for step, loss in ((1, 2.0), (2, math.nan), (3, 4.0))]
    told = progress(reports, None)
    assert "loss 3.0000" in told
    assert "MFU" not in told
    assert "2 updates skipped" in told
    assert "nan" in progress(reports[1:2], None)


KILLED = """
import itertools, sys
from pathlib import Path
from tests.test_training_log import report, RunLog
with RunLog(Path(sys.argv[1]), total_steps=10**6, peak_flops=1e12, quiet=True) as log:
    for step in itertools.count(1):
        log.write(report(step))
"""


@pytest.mark.slow
def test_after_a_kill_the_log_goes_on(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "run")], cwd=Path(__file__).parents[1])
    path = tmp_path / "run" / "log.jsonl"
    try:
        deadline = time.monotonic() + 120
        while not path.exists() or path.stat().st_size < 20_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    steps = [found["step"] for found in read(path)]
    assert steps == list(range(1, len(steps) + 1))
    resume_step = len(steps) - 3
    write(tmp_path / "run", range(resume_step + 1, resume_step + 9), resume_step=resume_step)
    write(tmp_path / "whole", range(1, resume_step + 9))
    assert path.read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()
    assert scalars(tmp_path / "run") == scalars(tmp_path / "whole")
