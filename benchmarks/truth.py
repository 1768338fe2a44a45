"""What is known of a made scene: the nouns of the answer key, and `truth.jsonl`, one line a scene.

In memory time is whole milliseconds as everywhere; in the file it is seconds with three decimals, which is the same.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.record import Branch
from schemas.span import Span

TRUTH = "truth.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueEvent(Span):
    """One sound that was put into a scene, from its onset to its offset."""

    kind: Branch
    label: str
    source: str  # which sound of the library it was
    level_db: float  # RMS from onset to offset, relative to full scale
    regions: tuple[Span, ...]  # where it is really to be heard, in time order


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A steady sound beneath a whole scene: no event."""

    label: str
    level_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    name: str  # of the file beside the answer key
    duration_ms: int
    background: Background | None
    events: tuple[TrueEvent, ...]  # by onset


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Span):
    """A segment as somebody cut it, and which kinds of sound it is said to hold."""

    scene: str
    kinds: frozenset[Branch] = frozenset()


def read_truth(path: Path) -> list[Scene]:
    """Scenes of an answer key. Raises InputError where the file is not one."""
    return [_scene(row) for row in read_rows(path)]


def write_truth(path: Path, scenes: Iterable[Scene]) -> None:
    _write(path, (_scene_row(scene) for scene in scenes))


def read_segments(path: Path) -> list[Claimed]:
    """Segments as `write_segments` writes them. Raises InputError where the file holds something else."""
    return [
        Claimed(scene=row["scene"], kinds=frozenset(map(Branch, row.get("kinds", ()))), **_span_of(row, "start", "end"))
        for row in read_rows(path)
    ]


def write_segments(path: Path, segments: Iterable[Claimed]) -> None:
    """One line a segment: {"scene", "start", "end", "kinds"}; other scorers read this too."""
    _write(
        path,
        (
            {"scene": s.scene, "start": s.start_ms / 1000, "end": s.end_ms / 1000, "kinds": sorted(s.kinds)}
            for s in segments
        ),
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file as they are. Raises InputError where the file holds something else."""
    if not path.is_file():
        raise InputError(f"{path} is not there; it should hold one JSON object a line")
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise InputError(f"{path} does not hold one JSON object a line: {error}") from error


def in_ms(seconds: float) -> int:
    return round(seconds * 1000)


def _scene(row: dict[str, Any]) -> Scene:
    below = row["background"]
    return Scene(
        name=row["scene"],
        duration_ms=in_ms(row["duration"]),
        background=Background(label=below["label"], level_db=below["level_db"]) if below else None,
        events=tuple(
            TrueEvent(
                kind=Branch(event["kind"]),
                label=event["label"],
                source=event["source"],
                level_db=event["level_db"],
                regions=tuple(Span.of(in_ms(a), in_ms(b)) for a, b in event["regions"]),
                **_span_of(event, "onset", "offset"),
            )
            for event in row["events"]
        ),
    )


def _scene_row(scene: Scene) -> dict[str, Any]:
    below = scene.background
    return {
        "scene": scene.name,
        "duration": scene.duration_ms / 1000,
        "background": {"label": below.label, "level_db": below.level_db} if below else None,
        "events": [
            {
                "onset": event.start_ms / 1000,
                "offset": event.end_ms / 1000,
                "kind": str(event.kind),
                "label": event.label,
                "source": event.source,
                "level_db": event.level_db,
                "regions": [[region.start_ms / 1000, region.end_ms / 1000] for region in event.regions],
            }
            for event in scene.events
        ],
    }


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _span_of(row: dict[str, Any], start: str, end: str) -> dict[str, int]:
    return {"start_ms": in_ms(row[start]), "end_ms": in_ms(row[end])}
