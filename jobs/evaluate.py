"""`earmark evaluate`: a checkpoint asked what annotated shards or a benchmark know, and answers scored."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.answers import Asking, answers_of, others
from jobs.model import check_installed
from jobs.scores import score, tell, write
from jobs.show import Counting, counting, safe
from schemas.asking.sample import draw
from schemas.asking.tasks import TASKS
from schemas.errors import ConfigError, InputError
from schemas.store import store_at

if TYPE_CHECKING:
    from model.evaluation.items import Item, System
    from model.mel import Floats

NEEDED = {"jiwer": "jiwer", "pyannote": "pyannote.metrics", "matplotlib": "matplotlib"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is asked, and how to hear it. `troubles` are what was there and cannot be asked."""

    items: "tuple[Item, ...]"
    mels_of: "Callable[[Item], Sequence[Floats]]"
    troubles: tuple[str, ...]


def evaluate(
    checkpoint: Annotated[Path | None, typer.Argument(help="The folder of a model to ask.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Annotated shards (folder or s3://), or a benchmark's folder.")
    ] = None,
    predictions: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Another system's answers; may be given several times.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where answers, scores and plots go.")] = Path(
        "evaluation"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Ask at most N questions of each task.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these, parted by commas.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Say at most so many tokens.")] = 1024,
    thinking_budget: Annotated[int | None, typer.Option(min=0, help="Tokens to think for; 0 is no thinking.")] = None,
    time_markers: Annotated[bool, typer.Option(help="Tell the model the seconds, as it was taught.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU where there is one.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; as stored.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the model: slow to begin, then faster.")] = False,
) -> None:
    """Score a checkpoint, or answers that other systems gave, against annotated shards or a benchmark.

    Missing answers count as wrong. FOLDER gets predictions/TASK.jsonl, scores.json and plots; the same command goes on
    where one was stopped.

    \b
    earmark evaluate checkpoints/small --data shards/ --out evaluation/small
    earmark evaluate --predictions evaluation/small --predictions peers/whisper --data shards/ --tasks transcribe
    """
    _check(checkpoint, data, predictions or [])
    wanted = _named(tasks)
    with counting("reading records:") as progress:
        place = _place(data, wanted, limit, progress) if data else None
    systems: list[System] = []
    if checkpoint and data and place:
        asking = Asking(
            checkpoint=checkpoint,
            data=data,
            max_new_tokens=max_new_tokens,
            thinking_budget=thinking_budget,
            time_markers=time_markers,
            device=device,
            dtype=dtype,
            compiled=compiled,
        )
        systems.append(answers_of(asking, place.items, place.mels_of, out))
    systems += others(predictions or [], taken={system.name for system in systems})
    from model.evaluation.items import items_of

    told = list(place.troubles) if place else []
    items: Sequence[Item] = place.items if place else ()
    if place is None:
        carried, differing = items_of(systems)
        items, told = _limited([item for item in carried if not wanted or item.task in wanted], limit), differing
    if not items:
        raise InputError("there is nothing to score: no question and no reference was found; give --data")
    told += [f"{system.name}: {trouble}" for system in systems for trouble in system.troubles]
    scored = [score(items, system) for system in systems]
    write(out, scored, told)
    tell(scored, told, len(items), out)


# --------------------------------------------------------------------------------------------- what is asked


def _place(data: str, tasks: tuple[str, ...], limit: int | None, progress: Counting) -> Place:
    store = store_at(data)
    if any(stored.name.endswith(".json") for stored in store.list("shards/")):
        return _shards(data, tasks, limit, progress)
    if not Path(data).is_dir():
        raise InputError(f"{safe(data)} holds no finished shards and is no folder of a benchmark")
    return _benchmark(Path(data), tasks, limit)


def _shards(data: str, tasks: tuple[str, ...], limit: int | None, progress: Counting) -> Place:
    from model.evaluation.shards import questions, waveform_of
    from model.mel import log_mel
    from model.sound import at_16_khz

    if unknown := sorted(set(tasks) - set(TASKS)):
        raise ConfigError(f"there is no task {', '.join(map(repr, unknown))}; there is {', '.join(TASKS)}")
    store = store_at(data)
    found = questions(store, [task for task in TASKS if not tasks or task in tasks], limit=limit, progress=progress)
    in_order = sorted(found.asked, key=lambda one: (one.shard, one.row.flac_offset or 0))  # each sound is heard once
    where = {one.item.id: one for one in in_order}
    last: dict[str, Sequence[Floats]] = {}

    def mels_of(item: "Item") -> "Sequence[Floats]":
        asked = where[item.id]
        if asked.row.key not in last:
            waveform = waveform_of(store, asked)
            last.clear()
            last[asked.row.key] = (log_mel(at_16_khz([waveform.samples], waveform.rate_hz)),)
        return last[asked.row.key]

    return Place(items=tuple(one.item for one in in_order), mels_of=mels_of, troubles=found.troubles)


def _benchmark(folder: Path, tasks: tuple[str, ...], limit: int | None) -> Place:
    from model.evaluation.benchmarks import read
    from model.mel import log_mel
    from model.sound import at_16_khz
    from pipeline.decode import reading

    found = read(folder)
    questions = {question.id: question for question in found.questions}

    def mels_of(item: "Item") -> "Sequence[Floats]":
        mels = []
        for path in questions[item.id].audios:
            with path.open("rb") as file, reading(file) as reader:
                mels.append(log_mel(at_16_khz(reader.blocks(), reader.rate_hz)))
                reader.check()
        return mels

    items = [question.item for question in found.questions if not tasks or question.benchmark in tasks]
    return Place(items=tuple(_limited(items, limit)), mels_of=mels_of, troubles=found.passed_over)


def _limited(items: "Sequence[Item]", limit: int | None) -> "list[Item]":
    """At most so many of each task, drawn by their names."""
    if limit is None:
        return list(items)
    of_task: dict[str, list[Item]] = {}
    for item in items:
        of_task.setdefault(item.task, []).append(item)
    kept = {
        item.id
        for asked in of_task.values()
        for item in nsmallest(limit, asked, key=lambda one: draw(0, "evaluation", one.id))
    }
    return [item for item in items if item.id in kept]


# ------------------------------------------------------------------------------------------ behind the door


def _check(checkpoint: Path | None, data: str | None, predictions: Sequence[Path]) -> None:
    missing = [whole for name, whole in NEEDED.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; scoring needs the extra "
            "`evaluate`: pip install -c constraints.txt -e '.[evaluate]'"
        )
    if not checkpoint and not predictions:
        raise ConfigError("there is nobody to score: name a CHECKPOINT, or give --predictions")
    if checkpoint and not data:
        raise ConfigError("there is nothing to ask the checkpoint: give --data with annotated shards or a benchmark")
    if checkpoint:
        check_installed()


def _named(tasks: str | None) -> tuple[str, ...]:
    """The tasks asked for; none for all."""
    return tuple(name.strip() for name in (tasks or "").split(",") if name.strip())
