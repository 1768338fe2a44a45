"""Pictures of scores, each with every system side by side. A picture that there is nothing for is not drawn."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from model.evaluation.scores import LENGTHS_S, Metric, TaskScore

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#444444")  # Okabe and Ito
MAX_CLASSES = 20
WIDE_MS = 2_000  # shifts beyond are counted in the outermost bars


def plots_of(scores: Mapping[str, Sequence[TaskScore]]) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of each picture; `scores` are those of each system by its name."""
    drawn = {
        "systems.png": _systems(scores),
        "shifts.png": _shifts(scores),
        "wer_by_duration.png": _lengths(scores),
        "classes.png": _classes(scores),
    }
    for name, figure in drawn.items():
        if figure is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
            yield name, buffer.getvalue()


def _systems(scores: Mapping[str, Sequence[TaskScore]]) -> Any:
    """The first metric of each task, where it is a share, with its interval."""
    panels: list[tuple[str, dict[str, dict[str, Metric]]]] = []
    for lower, title in ((True, "errors in %: lower is better"), (False, "scores in %: higher is better")):
        rows: dict[str, dict[str, Metric]] = {}
        for system, tasks in scores.items():
            for task in tasks:
                first = task.metrics[0]
                if first.unit == "%" and first.lower_is_better is lower and first.value is not None:
                    rows.setdefault(f"{task.task}: {first.name}", {})[system] = first
        if rows:
            panels.append((title, rows))
    if not panels:
        return None
    heights = [len(rows) * max(1, 0.45 * len(scores)) + 1.5 for _, rows in panels]
    figure, axes = _figure(len(panels), (8, max(2.5, 0.35 * sum(heights))), height_ratios=heights)
    for (title, rows), axis in zip(panels, axes, strict=True):
        for place, (system, colour) in enumerate(_coloured(scores)):
            shown = [(at, metrics[system]) for at, metrics in enumerate(rows.values()) if system in metrics]
            values = [metric.value or 0.0 for _, metric in shown]
            low = [0.0 if metric.low is None else max(0.0, (metric.value or 0.0) - metric.low) for _, metric in shown]
            high = [
                0.0 if metric.high is None else max(0.0, metric.high - (metric.value or 0.0)) for _, metric in shown
            ]
            offsets = [at + _offset(place, len(scores)) for at, _ in shown]
            axis.barh(
                offsets, values, 0.8 / len(scores), color=colour, label=system, xerr=[low, high], ecolor="#222222"
            )
        axis.set_yticks(range(len(rows)), list(rows))
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10, loc="left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _shifts(scores: Mapping[str, Sequence[TaskScore]]) -> Any:
    """How far times lie off, task by task."""
    tasks = list(dict.fromkeys(task.task for found in scores.values() for task in found if task.shifts_ms))
    if not tasks:
        return None
    figure, axes = _figure(len(tasks), (8, 1.2 + 2.0 * len(tasks)))
    edges = [(edge - 0.5) * WIDE_MS / 40 for edge in range(-40, 42)]  # one bar around 0
    for task, axis in zip(tasks, axes, strict=True):
        for system, colour in _coloured(scores):
            for found in scores[system]:
                if found.task == task and found.shifts_ms:
                    kept = [min(max(shift, -WIDE_MS), WIDE_MS) for shift in found.shifts_ms]
                    axis.hist(kept, edges, color=colour, alpha=0.6, label=f"{system}: {len(kept):,} times")
        axis.set_title(f"{task}: predicted minus true time, ms (outermost bars: all beyond)", fontsize=10, loc="left")
        axis.legend(fontsize=8)
    return figure


def _lengths(scores: Mapping[str, Sequence[TaskScore]]) -> Any:
    """Errors in words (characters where there are no spaces) by how long clips last."""
    tasks = list(dict.fromkeys(task.task for found in scores.values() for task in found if task.lengths))
    if not tasks:
        return None
    figure, axes = _figure(len(tasks), (8, 1.2 + 2.0 * len(tasks)))
    for task, axis in zip(tasks, axes, strict=True):
        for system, colour in _coloured(scores):
            for found in scores[system]:
                if found.task == task and found.lengths:
                    places = [LENGTHS_S.index(one.from_s) for one in found.lengths]
                    rates = [100 * one.errors / max(1, one.num_reference) for one in found.lengths]
                    axis.plot(places, rates, "o-", color=colour, label=system)
        spans = [*(f"{a}-{b} s" for a, b in pairwise(LENGTHS_S)), f"over {LENGTHS_S[-1]} s"]
        last = max(LENGTHS_S.index(one.from_s) for found in scores.values() for t in found for one in t.lengths)
        axis.set_xticks(range(last + 1), spans[: last + 1], fontsize=8)
        axis.set_ylim(bottom=0)
        axis.set_title(f"{task}: errors in % of the reference, by duration", fontsize=10, loc="left")
        axis.legend(fontsize=8)
    return figure


def _classes(scores: Mapping[str, Sequence[TaskScore]]) -> Any:
    """F1 of the most frequent classes."""
    counts: dict[str, int] = {}
    of_system: dict[str, dict[str, float]] = {}
    for system, found in scores.items():
        for one in (one for task in found if task.task == "timeline" for one in task.classes):
            of_system.setdefault(system, {})[one.label] = 100 * one.f1
            counts[one.label] = max(counts.get(one.label, 0), one.right + one.missed)
    labels = sorted((label for label in counts if counts[label]), key=lambda label: (-counts[label], label))[
        :MAX_CLASSES
    ]
    if not labels:
        return None
    figure, (axis,) = _figure(1, (8, 1.5 + 0.35 * len(labels)))
    for place, (system, colour) in enumerate(_coloured(scores)):
        offsets = [at + _offset(place, len(scores)) for at in range(len(labels))]
        values = [of_system.get(system, {}).get(label, 0.0) for label in labels]
        axis.barh(offsets, values, 0.8 / len(scores), color=colour, label=system)
    axis.set_yticks(range(len(labels)), [f"{_short(label)} ({counts[label]:,})" for label in labels])
    axis.invert_yaxis()
    axis.set_title("event F1 in %, by class (with how many there are)", fontsize=10, loc="left")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _figure(rows: int, size: tuple[float, float], **grid: Any) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, gridspec_kw=grid)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, list(axes.flat)


def _offset(place: int, number: int) -> float:
    """Of the bar of a system from the middle of its row."""
    return (place - (number - 1) / 2) * 0.8 / number


def _coloured(names: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names):
        yield name, COLOURS[index % len(COLOURS)]


def _short(label: str) -> str:
    return label if len(label) <= 32 else f"{label[:31]}…"
