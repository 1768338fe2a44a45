"""Who answers: a checkpoint, its answers written as they come and taken up again, or files of another system."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from jobs.show import counting, safe
from schemas.errors import ConfigError, InputError, SchemaError, StoreError

if TYPE_CHECKING:
    from model.evaluation.items import Item, System
    from model.mel import Floats

PREDICTIONS = "predictions"
ASKED = "asked.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a checkpoint is asked. Answers under one folder are all of one asking."""

    checkpoint: Path
    data: str
    max_new_tokens: int
    thinking_budget: int | None
    time_markers: bool
    device: str | None
    dtype: str | None
    compiled: bool

    def identity(self) -> dict[str, Any]:
        """What decides the answers: the weights by size and time, and how they are asked."""
        weights = sorted(self.checkpoint.glob("*.safetensors"))
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in weights]
        return {
            "checkpoint": str(self.checkpoint.resolve()),
            "weights": [list(file) for file in files],
            "data": self.data,
            "max_new_tokens": self.max_new_tokens,
            "thinking_budget": self.thinking_budget,
            "time_markers": self.time_markers,
            "dtype": self.dtype,
        }


def answers_of(
    asking: Asking, items: "Sequence[Item]", mels_of: "Callable[[Item], Sequence[Floats]]", out: Path
) -> "System":
    """The checkpoint's answers to `items`, in `out`/predictions; those that are there already are not asked again.

    Raises ConfigError where `out` holds answers of another asking.
    """
    from model.evaluation.items import read_system

    try:
        folder = _begun(asking, out)
        known = {file.stem: _whole_lines(file) for file in sorted(folder.glob("*.jsonl"))}
        done = {json.loads(line)["id"] for lines in known.values() for line in lines}
        if left := [item for item in items if item.id not in done]:
            _ask(asking, left, mels_of, folder)
        files = sorted(folder.glob("*.jsonl"))
        told = {file.stem: _whole_lines(file) for file in files}
    except OSError as error:
        raise StoreError(f"{safe(str(out))} cannot be written: {error.strerror or error}") from error
    system = read_system(name_of(asking.checkpoint), ((str(file), file.stem, told[file.stem]) for file in files))
    asked = {item.id for item in items}
    reasons = [
        f"{body['id']} could not be asked: {body['reason']}"
        for lines in told.values()
        for line in lines
        if (body := json.loads(line)).get("reason") and body["id"] in asked
    ]
    return dataclasses.replace(system, troubles=(*system.troubles, *reasons))


def others(folders: Sequence[Path], taken: set[str]) -> "Iterator[System]":
    """The systems whose answers lie in `folders`, each under a name of its own."""
    from model.evaluation.items import read_system

    for folder in folders:
        place = folder / PREDICTIONS if (folder / PREDICTIONS).is_dir() else folder
        files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
        if not files or not all(file.is_file() for file in files):
            raise InputError(
                f"{safe(str(folder))} holds no predictions: give a folder with TASK.jsonl files, or one such file"
            )
        base = name_of(folder.parent if folder.name == PREDICTIONS else folder)
        name = next(name for name in _numbered(base) if name not in taken)
        taken.add(name)
        yield read_system(name, ((safe(str(file)), file.stem, _lines(file)) for file in files))


def name_of(path: Path) -> str:
    return safe(path.resolve().name.removesuffix(".jsonl")) or "system"


def _begun(asking: Asking, out: Path) -> Path:
    """The folder for answers, marked as this asking's."""
    folder, mark = out / PREDICTIONS, out / ASKED
    wanted = json.dumps(asking.identity(), indent=1, ensure_ascii=False) + "\n"
    if any(folder.glob("*.jsonl")) and (not mark.is_file() or mark.read_text(encoding="utf-8") != wanted):
        raise ConfigError(
            f"{safe(str(out))} holds answers of another checkpoint, or asked in another way: score them with "
            f"--predictions {safe(str(out))}, or name another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(wanted, encoding="utf-8")
    return folder


def _ask(asking: Asking, items: "Sequence[Item]", mels_of: "Callable[[Item], Sequence[Floats]]", folder: Path) -> None:
    from jobs.ask import device_called, dtype_called, loaded, threads_for
    from model.evaluation.answering import answers_to
    from model.evaluation.items import write_line
    from model.generate import Generator
    from model.tokens import Tokenizer

    tokenizer = Tokenizer.open(asking.checkpoint)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    model = loaded(asking.checkpoint, dtype_called(asking.dtype), device_called(asking.device), errors)
    generator = Generator(model, tokenizer, compiled=asking.compiled)
    with threads_for(model), counting(f"answers of {len(items):,}:") as progress:
        answers = answers_to(
            generator,
            items,
            mels_of,
            max_new_tokens=asking.max_new_tokens,
            thinking_budget=asking.thinking_budget,
            time_markers=asking.time_markers and tokenizer.time_markers,
        )
        for number, answered in enumerate(answers, start=1):
            more = {"thinking": answered.thinking, "finish": answered.finish, "reason": answered.reason}
            line = write_line(answered.item, answered.text, **{name: value for name, value in more.items() if value})
            with (folder / f"{answered.item.task}.jsonl").open(
                "a", encoding="utf-8", errors="backslashreplace"
            ) as file:
                file.write(line + "\n")
            progress(number)


def _whole_lines(file: Path) -> list[str]:
    """The lines that were written to their end; one that was not, when the run was stopped, is taken out."""
    from model.evaluation.items import read_line

    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    whole = []
    for number, line in enumerate(lines, start=1):
        try:
            read_line(line, number, file.stem)
        except SchemaError:
            continue
        if line.endswith("\n"):
            whole.append(line)
    if len(whole) < len(lines):
        beside = file.with_suffix(".part")
        beside.write_text("".join(whole), encoding="utf-8")
        beside.replace(file)
    return whole


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield from lines
    except OSError as error:
        raise InputError(f"{safe(str(file))} cannot be read: {error.strerror or error}") from error


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} {number}" for number in range(2, 10_000))
