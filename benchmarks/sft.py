"""Is every answer of a set true by its record? python -m benchmarks.sft OUTPUT DEST

OUTPUT holds the annotated shards and DEST what `earmark build sft OUTPUT DEST` made of them. Each answer is derived
again from its record, by code that shares nothing with what wrote it: names are painted on a line of milliseconds and
read off it. Prints how many answers of each task were checked, how many are wrong, and one of these; ends with 1 where
any is.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.sft_checks import CHECKS
from benchmarks.sft_told import Told, is_there, paint
from schemas.record import Record
from schemas.shard import IndexRow, read_index, read_record
from schemas.store import Store, store_at

Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("dest")
    arguments = parser.parse_args()
    checked, wrong = check(store_at(arguments.output), store_at(arguments.dest))
    print(f"{'task':<22}{'checked':>9}{'wrong':>7}")
    for task in sorted(checked):
        print(f"{task:<22}{checked[task]:>9,}{len(wrong.get(task, [])):>7,}")
    for task, found in sorted(wrong.items()):
        print(f"\n{task}: {found[0]}")
    bad = sum(map(len, wrong.values()))
    print(f"\n{checked.total():,} answers derived again, {bad:,} wrong")
    sys.exit(1 if bad else 0)


def check(output: Store, dest: Store) -> tuple[Counter[str], dict[str, list[str]]]:
    """How many answers of each task were checked, and what is wrong with which."""
    receipt = json.loads(dest.read("build.json"))
    min_score = receipt["config"]["rules"]["min_score"]
    checked: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    indexes: dict[str, dict[str, IndexRow]] = {}
    record: Record | None = None
    for line in lines_of(dest):
        task, shard, key = line["task"], line["shard"], line["key"]
        if shard not in indexes:
            indexes[shard] = {row.key: row for row in read_index(output, shard)}
        row = indexes[shard][key]
        problem = None
        if record is None or record.key != key:
            record = read_record(output, shard, row)
            problem = sound_problem(output, dest, shard, row, line)
        problem = problem or line_problem(line, record, min_score)
        checked[task] += 1
        if problem:
            question, answer = line["conversation"][1]["content"], line["conversation"][2]["content"]
            wrong.setdefault(task, []).append(f"{line['id']}: {problem}\n  Q {question!r}\n  A {answer!r}")
    if checked.total() != receipt["samples"]:
        told = f"build.json tells of {receipt['samples']} samples, found {checked.total()}"
        wrong.setdefault("receipt", []).append(told)
    return checked, wrong


def lines_of(dest: Store) -> Iterator[Line]:
    for stored in list(dest.list("sft-")):
        for text in dest.read(stored.name).decode().split("\n"):
            if text:
                yield json.loads(text)


def sound_problem(output: Store, dest: Store, shard: str, row: IndexRow, line: Line) -> str | None:
    start = row.flac_offset or 0
    there = output.read(f"shards/{shard}.tar", start, start + (row.flac_bytes or 0))
    name = line["conversation"][0]["content"]
    if dest.stat(name) is None:
        return f"{name} is not there"
    return None if dest.read(name) == there else f"{name} is not the sound of the shard"


def line_problem(line: Line, record: Record, min_score: float) -> str | None:
    """What is wrong with one line, or None."""
    user, asked, replied = line["conversation"]
    shape = [(part["role"], part["message_type"]) for part in (user, asked, replied)]
    if shape != [("user", "audio"), ("user", "text"), ("assistant", "text")]:
        return f"the conversation has the shape {shape}"
    question, answer = asked["content"], replied["content"]
    for text in (question, answer):
        if "<|" in text or re.search(r"<\s*/?(think|tool_call)", text) or any(ord(c) < 32 and c != "\n" for c in text):
            return "it holds a control token or a control character"
    if not answer.strip() or not line["evidence"]:
        return "there is no answer or no evidence"
    told = Told(record, line["task"], question, answer, line["evidence"], min_score)
    for evidence in told.evidence:
        if not is_there(record, evidence):
            return f"the evidence {evidence} is not in the record"
    paint(told)
    if told.task not in CHECKS:
        return "there is no check for this task"
    try:
        return CHECKS[told.task](told)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        return f"it cannot be read: {error!r}"


if __name__ == "__main__":
    main()
