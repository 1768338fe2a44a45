"""A line of an instruction set beside its record, and what the record surely holds by name, painted on milliseconds."""

import re
from dataclasses import dataclass, field
from typing import Any

from schemas import audioset
from schemas.record import Event, Fact, Record

BRANCHES = ("speech", "sound", "music")


@dataclass
class Told:
    """One line of the set beside its record, with the runs of every name that is surely heard."""

    record: Record
    task: str
    question: str
    answer: str
    evidence: list[str]
    min_score: float
    runs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # by name, in ms of the recording
    vague: list[tuple[str, int, int]] = field(default_factory=list)  # names that are not sure


def well(record: Record, branch: str) -> Any:
    """What this branch says, or None where it says nothing or is not well."""
    said = getattr(record.branches, branch)
    return said if said is not None and said.outcome == "ok" else None


def is_there(record: Record, evidence: str) -> bool:
    """Facts must be of branches that are well; a branch that was passed over is evidence only as that."""
    path, _, index = evidence.partition("/")
    if path in BRANCHES:
        said = well(record, path)
        return said is not None and int(index) < len(said.facts)
    value: Any = record
    for step in path.split("."):
        if value is None:
            return False
        value = getattr(value, step)
    return value is not None and (not index or int(index) < len(value))


# ----------------------------------------------------------------------------------------- what is heard


def name_said(label: str) -> str:
    plain = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in label)
    plain = re.sub(r"<(?=\||\s*/?\s*(think|tool)[a-z_]*\s*>)", "\u2039", plain, flags=re.IGNORECASE)
    return " ".join(plain.split()).replace('"', "'").replace(";", ",")


def paint(told: Told) -> None:
    """Every name on a line of milliseconds of its own, and off it again as runs."""
    record = told.record
    found: dict[str, list[tuple[int, Event | Fact]]] = {}
    spelt: dict[str, str] = {}
    for event in record.events:
        found.setdefault(name_said(event.label).lower(), []).append((3, event))
    for name in BRANCHES:
        said = well(record, name)
        for fact in said.facts if said else ():
            if fact.label:
                found.setdefault(name_said(fact.label).lower(), []).append((1 if fact.human else 2, fact))
    for name, ones in found.items():
        if name in ("sound", ""):
            continue
        label = audioset.known(name)
        if label and (label.name == "Silence" or "Acoustic environment" in audioset.ancestors(label.name)):
            continue
        best = min(rank for rank, _ in ones)
        line = [False] * (record.end_ms - record.start_ms + 1)
        for rank, one in sorted(ones, key=lambda pair: (pair[1].start_ms, pair[1].end_ms)):
            if rank == best:
                spelt.setdefault(name, name_said(str(one.label)))
            if rank == best and (rank == 1 or one.score >= told.min_score):
                for ms in range(one.start_ms - record.start_ms, one.end_ms - record.start_ms):
                    line[ms] = True
        for rank, one in ones:
            low = rank == best and rank != 1 and one.score < told.min_score
            inside = range(one.start_ms - record.start_ms, one.end_ms - record.start_ms)
            apart = rank != best and sum(line[ms] for ms in inside) * 2 < len(inside)
            if low or apart:
                told.vague.append((spelt[name], one.start_ms, one.end_ms))
        runs, begun = [], None
        for ms, on in enumerate(line):
            if on and begun is None:
                begun = ms
            elif not on and begun is not None:
                runs.append((record.start_ms + begun, record.start_ms + ms))
                begun = None
        if runs:
            told.runs[spelt[name]] = runs


def in_row(told: Told) -> list[tuple[int, int, str]]:
    return sorted((start, end, name) for name, runs in told.runs.items() for start, end in runs)


def same_thing(one: str, other: str) -> bool:
    """Whether AudioSet knows one as a kind of the other."""
    a, b = audioset.known(one), audioset.known(other)
    if a is None or b is None:
        return one.lower() == other.lower()
    return a.name == b.name or a.name in audioset.ancestors(b.name) or b.name in audioset.ancestors(a.name)


def hundredths(told: Told, ms: int) -> str:
    n = (ms - told.record.start_ms + 5) // 10
    return f"{n // 100}.{n % 100:02d}"


def quoted(told: Told) -> list[str]:
    return re.findall(r'"([^"]*)"', told.question)


def asked_ms(told: Told) -> int:
    found = re.search(r"(\d+)\.(\d\d) s\b", told.question)
    if found is None:
        raise ValueError("no time is asked about")
    return told.record.start_ms + int(found[1]) * 1000 + int(found[2]) * 10


def bare(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def dense(text: str) -> str:
    text = text.replace("<", "\u2039")
    return "".join(c for c in text if not c.isspace() and not ord(c) < 32 and not 127 <= ord(c) < 160)


def differ(expected: object, found: object) -> str | None:
    return None if expected == found else f"the record says {expected!r}, the answer {found!r}"
