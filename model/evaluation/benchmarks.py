"""Multiple-choice benchmarks as they are published: MMAU, MMAU-Pro, MMAR and MMSU, each a folder with its sound.

    MMAU      mmau-test-mini.json          id audio_id question choices answer task category        arXiv:2410.19168
    MMAU-Pro  test.parquet                 id audio_path [..] question choices answer category      arXiv:2508.13992
    MMAR      MMAR-meta.json               id audio_path question choices answer modality category  arXiv:2505.13032
    MMSU      mmsu.jsonl                   id audio_path question choice_a .. choice_d answer_gt    arXiv:2506.04779

Answers are the text of an option or its letter. Questions without options, as MMAU-Pro has some, and those whose answer
is not published, are told and not asked.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.evaluation.items import Item
from schemas.errors import InputError
from schemas.formats.choice import LETTERS
from schemas.formats.reading import shown

ENDINGS = (".json", ".jsonl", ".parquet")
PROMPT = (
    "Choose the most suitable answer from options {letters}. Output only {either}.\nQuestion: {question}\n{options}"
)

_LETTERED = re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:、]\s*(?=\S)")
_LETTER = re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:]?\s*$")
_QUESTION = ("question", "instruction", "prompt")
_AUDIO = ("audio_path", "audio_id", "audio_paths", "audio", "path", "wav")
_ANSWER = ("answer", "answer_gt", "answer_text", "correct_answer", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`answer` is the place of the right option, from 0."""

    id: str
    benchmark: str
    audios: tuple[Path, ...]
    text: str
    options: tuple[str, ...]
    answer: int
    category: str | None

    @property
    def item(self) -> Item:
        return Item(
            id=self.id,
            task=self.benchmark,
            reference=LETTERS[self.answer],
            question=prompt(self.text, self.options),
            group=str(self.audios[0].name) if self.audios else "",
            options=self.options,
            category=self.category,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    questions: tuple[Question, ...]
    passed_over: tuple[str, ...]  # what cannot be asked, and why


def read(folder: Path) -> Benchmark:
    """All questions of the files in `folder` and the folders in it.

    Raises InputError where there are none.
    """
    questions: dict[str, Question] = {}
    passed_over: list[str] = []
    files = sorted(path for depth in ("*", "*/*") for path in folder.glob(depth) if path.suffix in ENDINGS)
    for file in files:
        for number, row in enumerate(_rows(file, passed_over), start=1):
            where = f"{file.relative_to(folder)}, question {number}"
            if not isinstance(row, Mapping) or not _first(row, _QUESTION):
                found = sorted(map(str, row)) if isinstance(row, Mapping) else row
                passed_over.append(f"{where}: it has no question; it has {shown(found)}")
                continue
            read = _question(row, folder, file, number)
            if isinstance(read, str):
                passed_over.append(f"{where}: {read}")
            elif read.id in questions:
                passed_over.append(f"{where}: {read.id} was asked before")
            else:
                questions[read.id] = read
    if not questions:
        found = f"; of {len(passed_over)} that cannot be asked the first is {passed_over[0]}" if passed_over else ""
        raise InputError(f"{folder} holds no multiple-choice questions in {', '.join(ENDINGS)} files{found}")
    return Benchmark(questions=tuple(questions.values()), passed_over=tuple(passed_over))


def prompt(question: str, options: Iterable[str]) -> str:
    """As MOSS-Audio's makers ask (github.com/OpenMOSS/MOSS-Audio, issues 3, 7 and 14)."""
    listed = list(options)
    letters = list(LETTERS[: len(listed)])
    several = len(letters) > 1
    return PROMPT.format(
        letters=", ".join(letters[:-1]) + f", and {letters[-1]}" if several else letters[0],
        either=", ".join(letters[:-1]) + f", or {letters[-1]}" if several else letters[0],
        question=question.strip(),
        options="\n".join(f"{letter}. {option}" for letter, option in zip(letters, listed, strict=True)),
    )


def _rows(file: Path, passed_over: list[str]) -> Iterator[Any]:
    """The rows of a file, one mapping each where it is what it should be, up to where it cannot be read."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            yield from (
                row for batch in pq.ParquetFile(file).iter_batches(use_threads=False) for row in batch.to_pylist()
            )
        elif file.suffix == ".jsonl":
            with file.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
        else:
            found = json.loads(file.read_text(encoding="utf-8"))
            listed = found.get("data") if isinstance(found, dict) else found
            yield from listed if isinstance(listed, list) else []
    except (OSError, ValueError, RecursionError) as error:  # Arrow's errors are of these
        passed_over.append(f"{file.name} cannot be read: {error}")


def _question(row: Mapping[str, Any], folder: Path, file: Path, number: int) -> Question | str:
    """The question of a row, or why there is none."""
    options = [_LETTERED.sub("", option) for option in _options(row)]
    if not 2 <= len(options) <= len(LETTERS):
        return f"it has {len(options)} options; only multiple choice is scored"
    answer = _first(row, _ANSWER)
    place = _place(str(answer), options, _options(row)) if answer not in (None, "") else None
    if answer in (None, ""):
        return "its answer is not published"
    if place is None:
        return f"its answer {shown(answer)} is none of its options {shown(options)}"
    audios = _audios(row)
    found = [_located(name, folder, file.parent) for name in audios]
    if not audios or not all(found):
        return f"its sound {shown(audios)} is not in {folder}"
    benchmark = _benchmark(row, file)
    return Question(
        id=f"{benchmark}.{row.get('id') or row.get('audio_id') or number}",
        benchmark=benchmark,
        audios=tuple(path for path in found if path),
        text=str(_first(row, _QUESTION)),
        options=tuple(options),
        answer=place,
        category=_category(row, benchmark),
    )


def _benchmark(row: Mapping[str, Any], file: Path) -> str:
    if "choice_a" in row:
        return "mmsu"
    if "perception_skills" in row or "length_type" in row or isinstance(row.get("audio_path"), list):
        return "mmau_pro"
    if "modality" in row:
        return "mmar"
    return "mmau" if "audio_id" in row else file.stem


def _category(row: Mapping[str, Any], benchmark: str) -> str | None:
    """What each benchmark's own table is by: MMAU's task, MMAR's modality, the category of the others."""
    names = {"mmau": ("task", "category"), "mmar": ("modality", "category")}.get(benchmark, ("category", "task_name"))
    found = _first(row, names)
    return str(found) if found else None


def _options(row: Mapping[str, Any]) -> list[str]:
    if "choice_a" in row:
        named = (row.get(f"choice_{letter.lower()}") for letter in LETTERS)
        return [str(option) for option in named if option not in (None, "")]
    listed = _first(row, ("choices", "options"))
    if isinstance(listed, Mapping):
        listed = [listed[name] for name in sorted(listed)]
    return [str(option) for option in listed] if isinstance(listed, list) else []


def _place(answer: str, options: list[str], written: list[str]) -> int | None:
    """The option that an answer means: by its text, as it is written or bare, else by its letter."""
    for said, listed in ((answer, written), (_LETTERED.sub("", answer), options)):
        alike = [place for place, option in enumerate(listed) if _bare(option) == _bare(said)]
        if len(alike) == 1:
            return alike[0]
    if letter := _LETTER.match(answer):
        place = LETTERS.index(letter[1].upper())
        return place if place < len(options) else None
    return None


def _audios(row: Mapping[str, Any]) -> list[str]:
    found = _first(row, _AUDIO)
    if isinstance(found, Mapping):
        found = found.get("path")
    return [str(name) for name in found] if isinstance(found, list) else [str(found)] if found else []


def _located(name: str, *folders: Path) -> Path | None:
    """The file within `folders` that a row names, wherever in them its sound was unpacked; never one outside."""
    parts = [part for part in Path(name).parts if part not in ("/", ".", "..")]
    for folder in folders:
        for start in range(len(parts)):
            for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
                with suppress(OSError):  # as a name that is too long
                    if (path := place.joinpath(*parts[start:])).is_file():
                        return path
    return None


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "", [])), None)


def _bare(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".")
