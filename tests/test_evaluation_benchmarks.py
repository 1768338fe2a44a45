"""Benchmarks are read as they are published, each answer finds its option, and what cannot be asked is told."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.model import write_fresh
from model.evaluation.benchmarks import prompt, read
from schemas.errors import InputError
from tests.make import tone, write_wav
from tests.test_evaluation_command import earmark, lines_of, metrics, scores

CHOICES = ["Man", "Woman", "Child", "Robot"]


def sound(path: Path) -> None:
    write_wav(path, tone(1_000))


def mmau(folder: Path) -> Path:
    rows = []
    for number, task in enumerate(("sound", "music", "speech")):
        sound(folder / "test-mini-audios" / f"{number}.wav")
        rows.append(
            {
                "id": f"uuid-{number}",
                "audio_id": f"./test-mini-audios/{number}.wav",
                "question": "Who is speaking?",
                "choices": CHOICES,
                "answer": CHOICES[number],
                "dataset": "AudioSet",
                "task": task,
                "split": "test-mini",
                "category": "Reasoning",
                "sub-category": "Acoustic Source Inference",
                "difficulty": "medium",
            }
        )
    (folder / "mmau-test-mini.json").write_text(json.dumps(rows))
    return folder


def mmau_pro(folder: Path) -> Path:
    for name in ("a", "b", "c"):
        sound(folder / "data" / f"{name}.wav")
    row = {"perception_skills": ["x"], "length_type": "short", "task_classname": "t"}
    rows = [
        {"id": "1", "audio_path": ["data/a.wav", "data/b.wav"], "question": "Which differs?", "choices": CHOICES[:3]},
        {"id": "2", "audio_path": ["data/c.wav"], "question": "Tell me more.", "choices": []},
    ]
    answers = [{"answer": "Child", "category": "multi"}, {"answer": "A long story.", "category": "open"}]
    pq.write_table(
        pa.Table.from_pylist([{**one, **other, **row} for one, other in zip(rows, answers, strict=True)]),
        folder / "test.parquet",
    )
    return folder


def mmar(folder: Path) -> Path:
    sound(folder / "audio" / "x y.wav")
    row = {
        "id": "x y",
        "audio_path": "./audio/x y.wav",
        "question": "What instrument?",
        "choices": ["B", "A", "C"],
        "answer": "A",
        "modality": "mix-sound-music",
        "category": "Semantic Layer",
        "sub-category": "Content Analysis",
        "language": "en",
        "source": "youtube",
        "url": "…",
        "timestamp": "00:00:00,00:00:20",
    }
    (folder / "MMAR-meta.json").write_text(json.dumps([row]))
    return folder


def mmsu(folder: Path) -> Path:
    sound(folder / "audio" / "1.wav")
    row = {
        "id": "emotion_1",
        "task_name": "emotion_recognition",
        "audio_path": "audio/1.wav",
        "question": "How does he feel?",
        **{
            f"choice_{letter}": text for letter, text in zip("abcd", ("Sad.", "Glad.", "Angry.", "Bored."), strict=True)
        },
        "answer_gt": "Glad",
        "category": "Perception",
        "sub-category": "Paralinguistics",
    }
    (folder / "mmsu.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.mark.parametrize(
    ("make", "name", "answers", "categories"),
    [
        pytest.param(mmau, "mmau", [0, 1, 2], ["sound", "music", "speech"], id="MMAU"),
        pytest.param(mmau_pro, "mmau_pro", [2], ["multi"], id="MMAU-Pro"),
        pytest.param(mmar, "mmar", [1], ["mix-sound-music"], id="MMAR, where an option is itself a letter"),
        pytest.param(mmsu, "mmsu", [1], ["Perception"], id="MMSU"),
    ],
)
def test_published_layouts_are_read(tmp_path, make, name, answers, categories):
    found = read(make(tmp_path)).questions
    assert {one.benchmark for one in found} == {name}
    assert [one.answer for one in found] == answers
    assert [one.category for one in found] == categories
    assert all(path.is_file() for one in found for path in one.audios)


def test_a_question_may_be_about_several_sounds_and_an_open_one_is_told(tmp_path):
    found = read(mmau_pro(tmp_path))
    (one,) = found.questions
    assert [path.name for path in one.audios] == ["a.wav", "b.wav"]
    assert found.passed_over == ("test.parquet, question 2: it has 0 options; only multiple choice is scored",)


@pytest.mark.parametrize(
    ("choices", "answer", "place"),
    [
        (["(A) yes", "(B) no"], "(B) no", 1),
        (["(A) yes", "(B) no"], "no", 1),
        (["yes", "no"], "(b) no", 1),
        (["yes", "no"], "B", 1),
        (["yes", "no"], "(B)", 1),
        (["A major", "B major"], "B major", 1),
        (["yes", "no"], "NO.", 1),
        (["yes", "no"], "C", None),
        (["yes", "no"], "perhaps", None),
        (["yes", "yes", "no"], "yes", None),
    ],
)
def test_an_answer_is_a_text_or_a_letter(tmp_path, choices, answer, place):
    sound(tmp_path / "a.wav")
    row = {"id": "1", "audio_id": "a.wav", "question": "?", "choices": choices, "answer": answer}
    (tmp_path / "x.json").write_text(json.dumps([row]))
    if place is None:
        with pytest.raises(InputError, match="is none of its options"):
            read(tmp_path)
    else:
        (one,) = read(tmp_path).questions
        assert one.answer == place
        assert one.item.reference == "AB"[place]
        assert not any(option.startswith("(") for option in one.options)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": ""}, "its answer is not published"),
        ({"audio_id": "b.wav"}, "its sound .* is not in"),
        ({"audio_id": "../../a.wav"}, None),
        ({"audio_id": "/etc/passwd"}, "its sound .* is not in"),
        ({"audio_id": "x" * 5_000}, "its sound .* is not in"),
        ({"choices": ["one"]}, "it has 1 options"),
        ({"question": None}, "it has no question"),
    ],
)
def test_what_cannot_be_asked_is_told(tmp_path, change, reason):
    sound(tmp_path / "a.wav")
    row = {"id": "1", "audio_id": "a.wav", "question": "?", "choices": ["yes", "no"], "answer": "no", **change}
    (tmp_path / "x.json").write_text(json.dumps([row]))
    if reason is None:
        assert read(tmp_path).questions[0].audios == (tmp_path / "a.wav",)  # never one outside the folder
    else:
        with pytest.raises(InputError, match=reason):
            read(tmp_path)


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b"\xff\xfe", b"[1, 2]", b'{"data": 3}', b'"x"'])
def test_a_file_that_is_none_is_told(tmp_path, data):
    mmau(tmp_path)
    (tmp_path / "other.json").write_bytes(data)
    found = read(tmp_path)
    assert len(found.questions) == 3
    (tmp_path / "mmau-test-mini.json").unlink()
    with pytest.raises(InputError, match="no multiple-choice questions"):
        read(tmp_path)


def test_it_is_asked_as_published():
    assert prompt("What?", CHOICES) == (
        "Choose the most suitable answer from options A, B, C, and D. Output only A, B, C, or D.\n"
        "Question: What?\nA. Man\nB. Woman\nC. Child\nD. Robot"
    )


@pytest.mark.slow
def test_a_benchmark_is_scored_by_category_and_what_cannot_be_read_is_wrong(tmp_path):
    write_fresh("tiny", tmp_path / "tiny")
    place = mmau(tmp_path / "mmau")
    code, printed = earmark(tmp_path / "tiny", "--data", place, "--out", tmp_path / "out", "--max-new-tokens", 3)
    assert code == 0, printed
    assert metrics(scores(tmp_path / "out")[0])["mmau", "by chance"] == 25
    lines = lines_of(tmp_path / "out")["mmau"]
    said = ["A", "The answer is (C) Child", "I do not know"]
    peer = tmp_path / "peer.jsonl"
    peer.write_text(
        "".join(
            json.dumps({"id": line["id"], "task": "mmau", "prediction": text}) + "\n"
            for line, text in zip(lines, said, strict=True)
        )
    )
    code, printed = earmark("--predictions", peer, "--data", place, "--out", tmp_path / "both")
    assert code == 0, printed
    (task,) = scores(tmp_path / "both")[0]["tasks"]
    assert task["metrics"][0]["value"] == pytest.approx(100 / 3)
    assert task["num_unread"] == 1
    assert {one["name"]: one["num_right"] for one in task["categories"]} == {"sound": 1, "music": 0, "speech": 0}
    assert "sound 100.0 % of 1" in printed


@pytest.mark.slow
def test_open_questions_end_with_a_note(tmp_path):
    write_fresh("tiny", tmp_path / "tiny")
    place = mmau_pro(tmp_path / "pro")
    code, printed = earmark(tmp_path / "tiny", "--data", place, "--out", tmp_path / "out", "--max-new-tokens", 2)
    assert code == 1
    assert "only multiple choice is scored" in printed
    assert "1 of 1 questions in 1 tasks scored" in printed
