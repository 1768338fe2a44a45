"""From what a language model answered to proposals and plans: typed, bounded, every defect named, nothing trusted."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotators.merging.listing import Listed
from annotators.merging.prompts import MAX_CLAIMS, MAX_EVIDENCE
from annotators.sentences import harmless
from schemas.formats.reading import unfenced
from schemas.record import Branch, Rejected

MAX_ANSWER = 200_000  # characters; a longer one is no answer to what was asked
MAX_DEPTH = 8
MAX_SHOWN = 300  # characters of what is refused, as it is kept
MAX_REASON = 200
MAX_TEXT = 4_000  # of a proposal; longer ones are refused before they are looked at
KEYS = frozenset({"text", "start_s", "end_s", "branch", "evidence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A claim as the model would have it; times are seconds from the segment's start."""

    text: str
    start_s: float
    end_s: float
    branch: Branch
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """`refused` says why the whole answer is not read; `rejected` what of it is not."""

    proposals: tuple[Proposal, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ids of facts that were listed, and no others. `left_out` has the model's reasons, made harmless."""

    groups: tuple[tuple[str, ...], ...] = ()
    doubted: tuple[str, ...] = ()  # the second of each pair that contradicts the first
    left_out: Mapping[str, str]
    refused: str | None = None


class _RefusedError(Exception):
    """Why an answer cannot be read at all."""


def claims_of_answer(text: str) -> Answered:
    """The proposals in an answer; what is wrong with one costs that one."""
    try:
        found = _value(text)
    except _RefusedError as refused:
        return Answered(refused=str(refused))
    rows = found.get("claims") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        return Answered(refused="it has no list of claims")
    proposals: list[Proposal] = []
    rejected: list[Rejected] = []
    for row in rows[:MAX_CLAIMS]:
        read = _proposal(row)
        if isinstance(read, Proposal):
            proposals.append(read)
        else:
            rejected.append(read)
    if len(rows) > MAX_CLAIMS:
        over = len(rows) - MAX_CLAIMS
        rejected.append(Rejected(text=shown(rows[MAX_CLAIMS]), reason=f"{over} claims beyond the first {MAX_CLAIMS}"))
    return Answered(proposals=tuple(proposals), rejected=tuple(rejected))


def plan_of_answer(text: str, by_id: Mapping[str, Listed]) -> Plan:
    """What of a plan names facts; a plan that cannot be read plans nothing and says why."""
    try:
        found = _value(text)
    except _RefusedError as refused:
        return Plan(left_out={}, refused=str(refused))
    if not isinstance(found, dict):
        return Plan(left_out={}, refused="it is no object")
    groups = [_ids(row, by_id) for row in _rows(found.get("groups"))]
    pairs = [_ids(row, by_id) for row in _rows(found.get("contradictions"))]
    left_out: dict[str, str] = {}
    for row in _rows(found.get("leave_out")):
        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"] in by_id:
            left_out.setdefault(row["id"], harmless(str(row.get("reason", "")))[:MAX_REASON])
    return Plan(
        groups=tuple(group for group in groups if group),
        doubted=tuple(dict.fromkeys(pair[1] for pair in pairs if len(pair) == 2 and pair[0] != pair[1])),
        left_out=left_out,
    )


def shown(value: object) -> str:
    """What is refused, as it is kept in a record: on one line and not too long."""
    text = harmless(value if isinstance(value, str) else repr(value)[: 2 * MAX_SHOWN])
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _value(text: str) -> Any:
    """The JSON value that the answer is, or holds between fences or sentences."""
    if len(text) > MAX_ANSWER:
        raise _RefusedError(f"it has {len(text)} characters; {MAX_ANSWER} are read")
    body = unfenced(text).strip()
    if not body:
        raise _RefusedError("it is empty")
    if (at := _first(body)) is None:
        kind = "HTML" if body[:200].lstrip().lower().startswith(("<!doctype", "<html")) else "no JSON"
        raise _RefusedError(f"it is {kind}: {shown(body)[:60]!r}")
    _check_depth(body[at:])
    try:
        value, _ = _DECODER.raw_decode(body, at)
    except ValueError as error:
        if whole := _whole_claims(body):
            return {"claims": [*whole, "the answer breaks off here"]}
        raise _RefusedError(f"its JSON is broken: {str(error)[:100]}") from error
    except RecursionError as error:
        raise _RefusedError("its JSON is nested too deeply") from error
    return value


def _whole_claims(body: str) -> list[Any]:
    """The claims before the place where an answer breaks off, or breaks its JSON."""
    key = body.find('"claims"')
    at = body.find("[", key) + 1 if key >= 0 else 0
    found: list[Any] = []
    while at and len(found) <= MAX_CLAIMS:
        while body[at : at + 1] in (" ", "\n", "\r", "\t", ","):
            at += 1
        try:
            value, at = _DECODER.raw_decode(body, at)
        except (ValueError, RecursionError):
            break
        found.append(value)
    return found


def _first(body: str) -> int | None:
    return min((at for mark in "{[" if (at := body.find(mark)) >= 0), default=None)


def _check_depth(text: str) -> None:
    """Before it is parsed; brackets in strings do not count."""
    depth, inside, escaped = 0, False, False
    for letter in text:
        if inside:
            inside = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            inside = True
        elif letter in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise _RefusedError(f"its JSON is nested more than {MAX_DEPTH} deep")
        elif letter in "}]":
            depth -= 1
            if depth <= 0:
                return


def _no_number(name: str) -> float:
    """NaN and Infinity are no JSON, and cost the claim they stand in."""
    return math.nan


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        return {"duplicate keys": sorted({key for key, _ in pairs})}
    return dict(pairs)


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number of more than 20 digits")
    return int(digits)


_DECODER = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_once, parse_int=_whole)


def _rows(value: object) -> list[Any]:
    return value[:MAX_CLAIMS] if isinstance(value, list) else []


def _ids(value: object, by_id: Mapping[str, Listed]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in _rows(value) if isinstance(one, str) and one in by_id))


def _proposal(row: object) -> Proposal | Rejected:
    if not isinstance(row, dict):
        return Rejected(text=shown(row), reason="it is no object with text, times and evidence")
    text = row.get("text")
    if reason := _defect(row):
        return Rejected(text=shown(text) if isinstance(text, str) and text.strip() else shown(row), reason=reason)
    return Proposal(
        text=row["text"],
        start_s=float(row["start_s"]),
        end_s=float(row["end_s"]),
        branch=Branch(row["branch"]),
        evidence=tuple(dict.fromkeys(row["evidence"])),
    )


def _defect(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the shape of a claim."""
    if "duplicate keys" in row:
        return "one of its keys stands there twice"
    if missing := sorted(KEYS - row.keys()):
        return f"it has no {', '.join(missing)}"
    if extra := sorted(str(key) for key in row.keys() - KEYS):
        return f"it has keys that were not asked for: {shown(', '.join(extra))[:80]}"
    if not isinstance(row["text"], str) or not row["text"].strip():
        return "its text is no text"
    if len(row["text"]) > MAX_TEXT:
        return f"its text has {len(row['text'])} characters"
    for key in ("start_s", "end_s"):
        if isinstance(row[key], bool) or not isinstance(row[key], int | float) or not math.isfinite(row[key]):
            return f"its {key} is no number of seconds"
    if not 0 <= row["start_s"] <= row["end_s"] <= 1e7:
        return "its times are no span"
    if row["branch"] not in list(Branch):
        return f"its branch is {shown(row['branch'])[:40]!r}"
    return _evidence_defect(row["evidence"])


def _evidence_defect(evidence: object) -> str | None:
    if not isinstance(evidence, Sequence) or isinstance(evidence, str) or not evidence:
        return "it names no evidence"
    if not all(isinstance(one, str) for one in evidence):
        return "its evidence are no ids"
    if len(evidence) > MAX_EVIDENCE:
        return f"it names {len(evidence)} facts; one sentence rests on {MAX_EVIDENCE} at most"
    return None
