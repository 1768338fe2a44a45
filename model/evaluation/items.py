"""What is asked with its reference, what a system answered, and the JSON lines both travel in.

    {"id": "street-…-000014640.transcribe.0", "task": "transcribe", "prediction": "hello there"}

is a whole line: the reference is looked up by `id`. A line that carries `reference` needs nothing beside it; `Item` has
the other fields a line may have. In place of `id` a line may name `key`, the record, where its task asks once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from model.evaluation.captions import Evidence
from schemas.errors import SchemaError
from schemas.formats.choice import LETTERS
from schemas.formats.reading import shown
from schemas.formats.thinking import parse as parse_reply
from schemas.rows import from_row, to_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question and the answer that counts as right."""

    id: str
    task: str
    reference: str
    question: str = ""
    group: str = ""  # the recording: intervals draw all of one together
    duration_ms: int | None = None  # of the sound
    language: str | None = None  # ISO 639-1, of what is said
    options: tuple[str, ...] = ()  # of multiple choice, whose reference is a letter
    category: str | None = None
    evidence: tuple[Evidence, ...] = ()  # of captions

    def __post_init__(self) -> None:
        if len(self.options) > len(LETTERS):
            raise SchemaError(f"{self.id}: {len(self.options)} options; there are letters for {len(LETTERS)}")
        letters = LETTERS[: len(self.options)]
        if self.options and self.reference not in tuple(letters):
            raise SchemaError(f"{self.id}: the reference is {shown(self.reference)}; it should be one of {letters}")
        if self.duration_ms is not None and self.duration_ms < 1:
            raise SchemaError(f"{self.id}: duration_ms is {self.duration_ms}; it should be above 0, or left out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one system answered. `item` is there where the line carries its reference."""

    id: str
    task: str
    text: str | None  # None where it could not answer
    line: int
    item: Item | None = None

    @property
    def answer(self) -> str:
        """The text behind the last block of thought."""
        return parse_reply(self.text or "").reply.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All that one system answered, by id, and what was wrong with its lines."""

    name: str
    predictions: Mapping[str, Prediction]
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question with one system's answer, "" where there is none."""

    item: Item
    text: str
    is_missing: bool = False


ITEM_FIELDS = tuple(field.name for field in fields(Item))


def write_line(item: Item, prediction: str | None, **more: Any) -> str:
    """One line, without its end; `more` is for the reader and is not scored."""
    return json.dumps({**to_row(item), "prediction": prediction, **more}, ensure_ascii=False)


def read_line(text: str, number: int, task: str) -> Prediction:
    """`task` is that of lines which name none: their file's. Raises SchemaError that says what is wrong."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"it is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise SchemaError(f"it is {type(body).__name__}; it should be an object")
    if "prediction" not in body:
        raise SchemaError(f"it has no `prediction`; it has {shown(sorted(body))}")
    for name in ("id", "key", "task", "prediction"):
        if name in body and not isinstance(body[name], str) and not (name == "prediction" and body[name] is None):
            raise SchemaError(f"{name} is {shown(body[name])}; it should be text")
    task = body.get("task", task)
    name = body.get("id") or (f"{body['key']}.{task}.0" if body.get("key") else "")
    if not name:
        raise SchemaError("it has neither `id` nor `key`, so nobody knows what it answers")
    item = None
    if body.get("reference") is not None:
        told = {field: body[field] for field in ITEM_FIELDS if field in body}
        item = from_row(Item, {**told, "id": name, "task": task})
    return Prediction(id=name, task=task, text=body["prediction"], line=number, item=item)


def read_system(name: str, files: Iterable[tuple[str, str, Iterable[str]]]) -> System:
    """The system that answered in `files`: each by its name, the task of its lines, and its lines.

    Bad lines are told and passed over. Of two that answer the same, the first counts.
    """
    found: dict[str, Prediction] = {}
    troubles: list[str] = []
    for file, task, lines in files:
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                one = read_line(text, number, task)
            except SchemaError as error:
                troubles.append(f"{file}, line {number}: {error}")
                continue
            if one.id in found:
                troubles.append(f"{file}, line {number}: {one.id} was answered before; the first answer counts")
                continue
            found[one.id] = one
    return System(name=name, predictions=found, troubles=tuple(troubles))


def items_of(systems: Iterable[System]) -> tuple[list[Item], list[str]]:
    """All items that the systems' lines carry, the first of each id, and where two do not agree on one."""
    items: dict[str, Item] = {}
    troubles = []
    for system in systems:
        for one in system.predictions.values():
            if one.item is None:
                continue
            known = items.setdefault(one.id, one.item)
            if known.reference != one.item.reference:
                troubles.append(f"{system.name}: {one.id} has another reference than before; the first one counts")
    return list(items.values()), troubles


def pairs_of(items: Iterable[Item], system: System) -> Iterator[Pair]:
    """Each item with the system's answer."""
    for item in items:
        one = system.predictions.get(item.id)
        missing = one is None or one.text is None
        yield Pair(item=item, text=one.answer if one else "", is_missing=missing)
