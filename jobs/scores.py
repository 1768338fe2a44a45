"""Scores as people see them: the table of `earmark evaluate`, its file, its plots, its last line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.show import console, safe
from schemas.errors import StoreError
from schemas.rows import to_row

if TYPE_CHECKING:
    from model.evaluation.items import Item, System
    from model.evaluation.scores import Metric, TaskScore

VERSION = 1
WIDE = 400  # columns: however narrow a terminal is, numbers are never cut
MAX_TOLD = 20  # sentences that are printed; all are in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One system's scores, and what is to be told of it."""

    name: str
    tasks: "tuple[TaskScore, ...]"
    unscored: dict[str, int]  # items of tasks that nothing scores
    num_missing: int
    num_surplus: int


def score(items: "Sequence[Item]", system: "System") -> Scored:
    from model.evaluation.items import pairs_of
    from model.evaluation.scoring import scores_of

    pairs = list(pairs_of(items, system))
    scores, unscored = scores_of(pairs)
    return Scored(
        name=system.name,
        tasks=tuple(scores),
        unscored=unscored,
        num_missing=sum(pair.is_missing for pair in pairs),
        num_surplus=len(system.predictions.keys() - {item.id for item in items}),
    )


def write(out: Path, scored: Sequence[Scored], told: Sequence[str]) -> None:
    from model.evaluation.plots import plots_of

    body = {
        "version": VERSION,
        "systems": [
            {
                "name": one.name,
                "missing": one.num_missing,
                "surplus": one.num_surplus,
                "unscored": one.unscored,
                "tasks": [_row(task) for task in one.tasks],
            }
            for one in scored
        ],
        "told": list(told),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        (out / "scores.json").write_text(text, encoding="utf-8", errors="backslashreplace")  # as JSON spells it
        for name, png in plots_of({one.name: one.tasks for one in scored}):
            (out / name).write_bytes(png)
    except OSError as error:
        raise StoreError(f"{safe(str(out))} cannot be written: {error.strerror or error}") from error


def _row(task: "TaskScore") -> dict[str, Any]:
    """All numbers of a task but each single shift."""
    row = to_row(task)
    row.pop("shifts_ms")
    return row


def tell(scored: Sequence[Scored], told: Sequence[str], num_items: int, out: Path) -> None:
    """The table, what is to be noted, and the last line; ends the command with 1 where not all could be scored."""
    Console(width=max(console.width, WIDE), highlight=False).print(_table(scored))
    for one in scored:
        for task in one.tasks:
            if task.categories:
                shares = (
                    f"{c.name} {100 * c.num_right / c.num_items:.1f} % of {c.num_items:,}" for c in task.categories
                )
                console.print(safe(f"{one.name}, {task.task}: {'; '.join(shares)}"), markup=False)
    for trouble in told[:MAX_TOLD]:
        console.print(safe(f"NOTED {trouble}"), markup=False)
    if len(told) > MAX_TOLD:
        console.print(f"… and {len(told) - MAX_TOLD:,} more, all in {safe(str(out))}/scores.json", markup=False)
    left = [f"{len(told):,} noted above"] if told else []
    left += [
        f"{one.num_missing:,} answers of {one.name} missing, which count as wrong" for one in scored if one.num_missing
    ]
    left += [f"{number:,} of {task} that nothing scores" for task, number in scored[0].unscored.items()]
    surplus = [f"{one.num_surplus:,} answers of {one.name} to what was not asked" for one in scored if one.num_surplus]
    num_scored, num_tasks = sum(task.num_items for task in scored[0].tasks), len(scored[0].tasks)
    systems = ", ".join(one.name for one in scored)
    notes = "".join(f"; {note}" for note in [*left, *surplus])
    line = f"{num_scored:,} of {num_items:,} questions in {num_tasks:,} tasks scored for {systems} -> {out}{notes}"
    console.print(safe(line), markup=False)
    if left:
        raise typer.Exit(1)


def _table(scored: Sequence[Scored]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("questions", justify="right", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for one in scored:
        table.add_column(safe(one.name), justify="right", no_wrap=True)
    for place, task in enumerate(scored[0].tasks):
        of_each = [one.tasks[place] for one in scored]
        for row, metric in enumerate(task.metrics):
            first = (safe(task.task), f"{task.num_items:,}") if row == 0 else ("", "")
            table.add_row(*first, metric.name, *(_shown(other.metrics[row]) for other in of_each))
        if task.num_well_formed is not None:
            shares = (f"{100 * (other.num_well_formed or 0) / other.num_items:.1f} %" for other in of_each)
            table.add_row("", "", "well formed", *shares)
        if any(other.num_unread for other in of_each):
            table.add_row("", "", "unread", *(f"{other.num_unread:,}" for other in of_each))
        if any(other.num_missing for other in of_each):
            table.add_row("", "", "missing", *(f"{other.num_missing:,}" for other in of_each))
    return table


def _shown(metric: "Metric") -> str:
    """`12.3 % (10.1-14.5)`"""
    if metric.value is None:
        return "-"
    digits = 3 if not metric.unit else 1
    unit = f" {metric.unit}" if metric.unit else ""
    between = "" if metric.low is None else f" ({metric.low:.{digits}f}-{metric.high:.{digits}f})"
    return f"{metric.value:.{digits}f}{unit}{between}"
