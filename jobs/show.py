"""What people see: progress while a run goes on, and its tables at the end."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from pipeline.report import GpuReport, StepReport
from schemas.record import Branch, Record
from schemas.shard import IndexRow, Receipt, Status

QUIET_S = 15.0  # between two lines where there is no terminal to draw a bar on

console = Console(highlight=False, soft_wrap=True)


class RunProgress:
    """Audio-hours done, rate, failures and time left; a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, *, total_ms: int, done_ms: int, num_lots: int) -> None:
        self._total_ms, self._begun_ms, self._done_ms = total_ms, done_ms, done_ms
        self._num_lots, self._lots, self._failures = num_lots, 0, 0
        self._start = self._last = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if console.is_terminal:
            self._bar = Progress(SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), console=console)
            self._task = self._bar.add_task(self._words(), total=self._total_ms, completed=self._done_ms)
            self._bar.start()
        else:
            console.print(self._words())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, receipt: Receipt, planned_ms: int) -> None:
        self._lots += 1
        self._failures += receipt.failures
        self._done_ms += planned_ms
        if self._bar:
            self._bar.update(self._task, completed=self._done_ms, description=self._words())
        elif time.monotonic() - self._last > QUIET_S or self._lots == self._num_lots:
            self._last = time.monotonic()
            console.print(self._words())

    def _words(self) -> str:
        spent_s, done_ms = time.monotonic() - self._start, self._done_ms - self._begun_ms
        rate = done_ms / 1000 / spent_s if spent_s else 0.0
        left = duration((self._total_ms - self._done_ms) / 1000 / rate) if rate else "?"
        return (
            f"{self._done_ms / 3_600_000:.2f} of {self._total_ms / 3_600_000:.2f} h, shard {self._lots} of "
            f"{self._num_lots}, {rate:.1f} x real time, {self._failures} failures, {left} left"
        )


@contextmanager
def counting(what: str) -> Iterator["Counting"]:
    """Counts up on a terminal while something of unknown length goes on."""
    counter = Counting(what)
    yield counter
    counter.end()


class Counting:
    def __init__(self, what: str) -> None:
        self._what, self._shown = what, 0.0

    def __call__(self, number: int) -> None:
        if console.is_terminal and time.monotonic() - self._shown > 0.2:
            self._shown = time.monotonic()
            sys.stdout.write(f"\r{self._what} {number:,}")
            sys.stdout.flush()

    def end(self) -> None:
        if self._shown:
            sys.stdout.write("\r\x1b[2K")


def duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def step_table(reports: Sequence[StepReport]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("step")
    on_gpus = any(report.gpus for report in reports)
    gpu_columns = ("GPUs", "audio-h per GPU-h") if on_gpus else ()
    for name in ("workers", "seconds", "audio-h per worker-h", "busy %", "retries", *gpu_columns):
        table.add_column(name, justify="right")
    for report in reports:
        per_gpu_hour = report.audio_hours_per_gpu_hour
        gpu_cells = (f"{report.gpus:g}", f"{per_gpu_hour:.1f}") if per_gpu_hour is not None else ("", "")
        table.add_row(
            report.step,
            str(report.workers),
            f"{report.seconds:.1f}",
            f"{report.audio_hours_per_worker_hour:.1f}",
            f"{100 * report.busy:.0f}",
            str(report.retries),
            *(gpu_cells if on_gpus else ()),
        )
    return table


def gpu_line(report: GpuReport) -> str:
    cards = f"{report.num_cards:g} GPU" + ("" if report.num_cards == 1 else "s")
    busy = "busy unknown" if report.busy is None else f"{100 * report.busy:.0f} % busy"
    peak = "" if report.peak_bytes is None else f", {report.peak_bytes / 2**30:.1f} GiB at most"
    cost = "" if report.cost_per_audio_hour is None else f", {report.cost_per_audio_hour:.4f} per audio-hour"
    return f"{cards}, {busy}{peak}: {report.audio_hours_per_gpu_hour:.1f} audio-hours per GPU-hour{cost}"


def failure_lines(failures: Sequence[IndexRow], limit: int = 20) -> Iterator[str]:
    """Each failure where it happened, and why; the first so many of them."""
    for row in failures[:limit]:
        yield safe(f"FAILED at {row.step}: {row.uri}  {_seconds(row)}")
        yield safe(f"    {row.reason}")
    if len(failures) > limit:
        yield f"... and {len(failures) - limit:,} more: `earmark inspect OUTPUT --json` has them all"


def index_line(row: IndexRow) -> str:
    """A row that is no sample, in one line."""
    what = "silence" if row.status is Status.SILENCE else f"FAILED at {row.step}: {row.reason}"
    return safe(f"{row.key}  {_seconds(row)}  {what}")


def record_text(record: Record) -> str:
    """A record for human eyes: where it is from, what each branch said, and each claim with its evidence."""
    profile = {name: score for name, score in _profile(record) if score >= 0.05}
    lines = [
        f"{record.key}",
        f"  from     {record.source.uri}  {record.start_ms / 1000:.2f}-{record.end_ms / 1000:.2f} s",
        f"  profile  {', '.join(f'{name} {score:.2f}' for name, score in profile.items()) or 'nothing clear'}",
    ]
    for branch in Branch:
        annotation = record.branches.get(branch)
        if annotation is None:
            continue
        what = annotation.text or (annotation.reason or "")
        lines.append(f"  {branch.value:<8} {annotation.outcome.value}: {what}  [{annotation.model}]")
        if annotation.caption:
            lines.append(f"           described: {annotation.caption}")
        if annotation.text and annotation.reason:
            lines.append(f"           but {annotation.reason}")
    by = f"  [{record.caption.merger}]" if record.caption.merger else ""
    lines.append(f"  caption{by}")
    for claim in record.caption.claims:
        span = f"{(claim.start_ms - record.start_ms) / 1000:.2f}-{(claim.end_ms - record.start_ms) / 1000:.2f} s"
        checks = "".join(f"  {check.name} {check.score:.2f}" for check in claim.checks)
        lines.append(f"    {claim.text}  <- {', '.join(claim.evidence)}  {span}  {claim.score:.2f}{checks}")
    lines += [f"    left out: {rejected.text}  ({rejected.reason})" for rejected in record.caption.rejected]
    if not record.caption.claims:
        lines.append("    (nothing is claimed)")
    if record.caption.note:
        lines.append(f"    note: {record.caption.note}")
    return "\n".join(safe(line) for line in lines)


def _profile(record: Record) -> Iterator[tuple[str, float]]:
    for name in record.profile.__dataclass_fields__:
        yield name, getattr(record.profile, name)


def _seconds(row: IndexRow) -> str:
    return f"{row.start_ms / 1000:.2f}-{row.end_ms / 1000:.2f} s"


def safe(text: str) -> str:
    """Names and transcripts may hold anything: control characters must not reach a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
