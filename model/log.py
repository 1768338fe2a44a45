"""What a run tells: a line of JSON for each step, curves for TensorBoard, and progress in the terminal.

    run/log.jsonl       one object a step: the fields of StepReport, tokens_per_s and mfu
    run/tensorboard/    the same numbers, where the package `tensorboard` is installed

Steps count from 1: a report of step n is told after n updates, as a snapshot of step n is written. A run that goes on
from a snapshot first cuts off what it had told beyond it, so both are always the one course that led to the weights.
Only the first rank makes a log.
"""

import dataclasses
import json
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from schemas.errors import InputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LINES = "log.jsonl"
CURVES = "tensorboard"
SMOOTHED_STEPS = 20
"""What the terminal shows is the mean of the last so many steps."""
FOLLOW_S = 1.0
"""Between two looks at the log of another process."""
PLAIN_STEPS = 10
"""Steps between two lines where there is no terminal to draw a bar on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step, over all ranks."""

    step: int  # updates so far, this one among them
    steps: int  # of the whole run
    loss: float  # mean over the targets of the step
    grad_norm: float  # before clipping
    lr: float
    tokens: int  # audio placeholders among them, padding not
    targets: int
    audio_s: float
    seconds: float  # of the whole step
    data_seconds: float  # of those, waiting for the loader
    skipped: int  # updates left out because their gradients were not finite, so far
    passed_over: int  # samples the data has and this run does not learn from, so far
    troubles: int  # of reading data, so far
    losses: Mapping[str, tuple[float, int]]  # by group of tasks: added up, and over how many targets
    flops: float  # of the model (`flops.training_flops`)

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    def mfu(self, peak_flops: float | None) -> float | None:
        """Model FLOPs utilisation (arXiv:2204.02311, appendix B); `peak_flops` is that of all devices together."""
        return None if peak_flops is None else self.flops / self.seconds / peak_flops


class RunLog:
    """Tells every step of a run in `folder`; a context, or to be closed.

    `resume_step` is that of the snapshot the run goes on from, 0 for one that begins. `quiet`: nothing in the terminal.
    Raises InputError where the log there is cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int,
        peak_flops: float | None = None,
        resume_step: int = 0,
        console: Console | None = None,
        quiet: bool = False,
    ) -> None:
        self._peak_flops, self._total_steps = peak_flops, total_steps
        self._last: deque[StepReport] = deque(maxlen=SMOOTHED_STEPS)
        self._console = Console(quiet=True) if quiet else console or Console(highlight=False, soft_wrap=True)
        folder.mkdir(parents=True, exist_ok=True)
        num_kept = _cut(folder / LINES, resume_step)
        if num_kept != resume_step:
            self.say(f"{folder / LINES} has {num_kept} of the {resume_step} steps before; its curve has a gap")
        self._file = (folder / LINES).open("a", encoding="utf-8")
        self._curves = self._open_curves(folder / CURVES, resume_step)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if self._console.is_terminal and not quiet:
            self._bar = Progress(SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), console=self._console)
            self._task = self._bar.add_task("the first step", total=total_steps, completed=resume_step)
            self._bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
        if self._curves:
            self._curves.close()
        self._file.close()

    def write(self, report: StepReport) -> None:
        """Once a step, in order. What it wrote is there when it returns, also if the process is killed then."""
        self._file.write(json.dumps(line(report, self._peak_flops), allow_nan=False) + "\n")
        self._file.flush()
        if self._curves:
            for name, value in curves(report, self._peak_flops).items():
                self._curves.add_scalar(name, value, report.step)
            self._curves.flush()
        self._last.append(report)
        words = progress(self._last, self._peak_flops)
        if self._bar:
            self._bar.update(self._task, completed=report.step, description=words)
        elif report.step % PLAIN_STEPS == 0 or report.step in (1, self._total_steps):
            self.say(words)

    def say(self, words: str) -> None:
        """In the terminal alone."""
        self._console.print(words, markup=False)

    def _open_curves(self, folder: Path, resume_step: int) -> "SummaryWriter | None":
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.say(f"tensorboard is not installed, so there are no curves in {folder}; pip install tensorboard")
            return None
        _wait_for_another_second(folder)
        return SummaryWriter(str(folder), purge_step=resume_step + 1)


@contextmanager
def followed(folder: Path, console: Console) -> Iterator[None]:
    """Tells in this process's terminal what another one logs in `folder`, line by line, while the block lasts."""
    ended = threading.Event()

    def follow() -> None:
        told, last = _last_step(folder), deque[StepReport](maxlen=SMOOTHED_STEPS)
        while True:
            leaving = ended.wait(FOLLOW_S)
            for body in read(folder / LINES):
                if body["step"] <= told:
                    continue
                told = body["step"]
                last.append(report_of(body))
                if told % PLAIN_STEPS == 0 or told in (1, body["steps"]):
                    console.print(progress(last, body["peak_flops"]), markup=False)
            if leaving:
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _last_step(folder: Path) -> int:
    return max((body["step"] for body in read(folder / LINES)), default=0)


def report_of(body: Mapping[str, Any]) -> StepReport:
    """The report that a line of the log holds; what was not finite is told as not a number."""
    values: dict[str, Any] = {field.name: body[field.name] for field in dataclasses.fields(StepReport)}
    whole: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
    whole["losses"] = {
        name: (math.nan if total is None else total, count) for name, (total, count) in body["losses"].items()
    }
    return StepReport(**whole)


def line(report: StepReport, peak_flops: float | None) -> dict[str, Any]:
    """What the log holds of a step, floats to the bit; those that are not finite become null, which JSON has."""
    body = dataclasses.asdict(report) | {"losses": {name: list(loss) for name, loss in report.losses.items()}}
    body |= {"tokens_per_s": report.tokens_per_s, "mfu": report.mfu(peak_flops), "peak_flops": peak_flops}
    return {name: _finite(value) for name, value in body.items()}


def curves(report: StepReport, peak_flops: float | None) -> dict[str, float]:
    """What TensorBoard shows of a step."""
    mfu = report.mfu(peak_flops)
    return {
        "loss": report.loss,
        **{f"loss/{name}": total / targets for name, (total, targets) in report.losses.items() if targets},
        "grad_norm": report.grad_norm,
        "lr": report.lr,
        "tokens_per_s": report.tokens_per_s,
        **({} if mfu is None else {"mfu": mfu}),
        "audio_s": report.audio_s,
        "seconds": report.seconds,
        "data_seconds": report.data_seconds,
        "skipped": report.skipped,
        "passed_over": report.passed_over,
        "troubles": report.troubles,
    }


def progress(reports: Sequence[StepReport], peak_flops: float | None) -> str:
    """The last of `reports` in words, its loss and its rates smoothed over all of them."""
    last = reports[-1]
    seconds = sum(report.seconds for report in reports)
    losses = [report.loss for report in reports if math.isfinite(report.loss)]
    loss = sum(losses) / len(losses) if losses else last.loss
    mfu = [] if peak_flops is None else [f"{sum(r.flops for r in reports) / seconds / peak_flops:.0%} MFU"]
    left_s = (last.steps - last.step) * seconds / len(reports)
    lost = {"updates skipped": last.skipped, "samples passed over": last.passed_over, "troubles": last.troubles}
    words = [
        f"step {last.step:,} of {last.steps:,}",
        f"loss {loss:.4f}",
        f"{sum(report.tokens for report in reports) / seconds:,.0f} tokens/s",
        *mfu,
        f"{sum(report.data_seconds for report in reports) / seconds:.0%} waiting for data",
        *(f"{number:,} {what}" for what, number in lost.items() if number),
        f"{_duration(left_s)} left",
    ]
    return ", ".join(words)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The steps a log tells, in order; a last line that was cut short is left out.

    Raises InputError where it cannot be read or another line is no step.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, text in enumerate(lines, 1):
        if not text.strip() and number == len(lines):
            return
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            raise InputError(
                f"{path}, line {number}: not JSON ({error}); mend the line or move the file away"
            ) from error
        if not isinstance(body, dict) or type(body.get("step")) is not int:
            raise InputError(f"{path}, line {number}: an object with a whole number `step` should be there")
        yield body


def _cut(path: Path, resume_step: int) -> int:
    """Leaves the steps up to `resume_step`, whole or not at all; how many there are."""
    kept = [body for body in read(path) if body["step"] <= resume_step]
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(body) + "\n" for body in kept)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return len(kept)


def _wait_for_another_second(folder: Path) -> None:
    """TensorBoard reads its files by name, which holds the second they were begun: one a second is in order."""
    names = (re.match(r"events\.out\.tfevents\.(\d+)\.", path.name) for path in folder.glob("events.*"))
    begun_s = max((int(name[1]) for name in names if name), default=0)
    time.sleep(min(1.0, max(0.0, begun_s + 1 - time.time())))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(held) for name, held in value.items()}
    return [_finite(held) for held in value] if isinstance(value, list) else value


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
