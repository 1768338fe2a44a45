"""The results of `benchmarks.digits` as a table and a picture: each variant's seeds, and what is in their middle."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.errors import InputError

SIDES = {"known": "known voices", "unknown": "unknown voice"}
MEASURES = {"wer": ("word error rate, %", 100.0), "aas_ms": ("shift (AAS), ms", 1.0)}


def tell(out: Path) -> None:
    """Prints the table and draws OUT/digits.png. Raises InputError where there is no result."""
    results = read_results(out / "results")
    print(table(results))
    draw(results, out / "digits.png")


def read_results(folder: Path) -> list[dict[str, Any]]:
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise InputError(f"{folder} holds no results; `python -m benchmarks.digits run` makes them")
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line for each size and variant, medians of the seeds and in brackets the least and the most."""
    measures = [f"{side}: {words}" for side in SIDES.values() for words, _ in MEASURES.values()]
    lines = [f"| size, variant | seeds | {' | '.join(measures)} |", "|---" * (2 + len(measures)) + "|"]
    for name, runs in by_variant(results).items():
        cells = [cell(values(runs, side, measure)) for side in SIDES for measure in MEASURES]
        seeds = ", ".join(str(run["seed"]) for run in runs)
        lines.append(f"| {name} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_variant(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(f"{result['size']}, {result['variant']}", []).append(result)
    return groups


def values(runs: Sequence[dict[str, Any]], side: str, measure: str) -> list[float]:
    """In the unit that is told; a shift that no run has is left out."""
    return [run[side][measure] * MEASURES[measure][1] for run in runs if run[side][measure] is not None]


def cell(found: Sequence[float]) -> str:
    if not found:
        return "-"
    return f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Each seed is a dot, the median a line; a column for each measure, a row for each testing side."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    groups = by_variant(results)
    figure, axes = pyplot.subplots(len(SIDES), len(MEASURES), figsize=(10, 7), squeeze=False, layout="constrained")
    for row, (side, voices) in zip(axes, SIDES.items(), strict=True):
        for axis, (measure, (words, _)) in zip(row, MEASURES.items(), strict=True):
            for place, runs in enumerate(groups.values()):
                found = values(runs, side, measure)
                axis.plot([place] * len(found), found, "o", color="C0", alpha=0.7)
                if found:
                    axis.hlines(statistics.median(found), place - 0.2, place + 0.2, color="C1")
            axis.set_xticks(range(len(groups)), groups)
            axis.set_xlim(-0.5, len(groups) - 0.5)
            axis.set_ylim(bottom=0)
            axis.set_title(f"{voices}: {words}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
