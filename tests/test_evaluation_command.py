"""`earmark evaluate`, as someone types it: a model that knows nothing scores so, the references score perfectly, and
whatever is not as it should be is told."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from jobs.model import write_fresh
from schemas.store import store_at
from tests.commands import run
from tests.make import beeps, write_wav
from tests.test_sidecar import annotated, with_labels

pytestmark = pytest.mark.slow
torch.set_num_threads(1)

TALK = {
    "words": [
        {"start": 0.5, "end": 0.9, "text": "good", "speaker": "ann"},
        {"start": 0.9, "end": 1.5, "text": "morning", "speaker": "ann"},
        {"start": 2.6, "end": 3.0, "text": "hello", "speaker": "bob"},
        {"start": 3.0, "end": 3.6, "text": "there", "speaker": "bob"},
    ],
    "sentences": [
        {"start": 0.5, "end": 1.5, "text": "good morning", "speaker": "ann"},
        {"start": 2.6, "end": 3.6, "text": "hello there", "speaker": "bob"},
    ],
    "events": [{"start": 4.5, "end": 5.4, "label": "Bark"}, {"start": 5.2, "end": 6.4, "label": "Siren"}],
}


SHORT = ("--max-new-tokens", 6)


def earmark(*arguments: object) -> tuple[int, str]:
    return run("evaluate", *arguments)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two recordings of which people wrote down everything, annotated, and a model that never learnt."""
    folder = tmp_path_factory.mktemp("evaluate")
    for number in range(2):
        late_ms = 100 * number
        spans = ((500, 1_500), (2_600, 3_600), (4_500 + late_ms, 6_400 + late_ms))
        write_wav(folder / "in" / f"talk{number}.wav", beeps(*spans, duration_ms=8_000))
        later = [
            {**one, "start": one["start"] + 0.1 * number, "end": one["end"] + 0.1 * number} for one in TALK["events"]
        ]
        (folder / "in" / f"talk{number}.json").write_text(json.dumps({**TALK, "events": later}))
    annotated(str(folder / "in"), str(folder / "shards"), with_labels())
    write_fresh("tiny", folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def asked(place) -> tuple[int, str]:
    return earmark(place / "tiny", "--data", place / "shards", "--out", place / "out", *SHORT)


def lines_of(folder: Path) -> dict[str, list[dict]]:
    return {
        file.stem: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted((folder / "predictions").glob("*.jsonl"))
    }


def perfect(place: Path, folder: Path) -> Path:
    """The references as a system's answers, in the shortest lines there are."""
    (folder / "predictions").mkdir(parents=True)
    for task, lines in lines_of(place / "out").items():
        told = [{"id": line["id"], "prediction": line["reference"]} for line in lines]
        (folder / "predictions" / f"{task}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return folder


def scores(folder: Path) -> list[dict]:
    return json.loads((folder / "scores.json").read_text())["systems"]


def metrics(system: dict) -> dict[tuple[str, str], float | None]:
    return {(task["task"], metric["name"]): metric["value"] for task in system["tasks"] for metric in task["metrics"]}


def test_a_model_that_never_learnt_scores_badly_and_everything_is_written(place, asked):
    code, printed = asked
    assert code == 0, printed
    found = metrics(scores(place / "out")[0])
    tasks = {task for task, _ in found}
    assert {"transcribe", "transcribe_sentences", "transcribe_words", "diarise", "turns", "timeline", "when"} <= tasks
    assert {"count", "first_of_two", "caption", "choice_present", "first", "sound_at"} <= tasks
    assert found["transcribe", "WER"] >= 90
    assert found["timeline", "event F1"] == 0
    assert found["when", "IoU"] == 0
    assert found["diarise", "DER"] == 100
    assert all(line["question"] for lines in lines_of(place / "out").values() for line in lines)
    for name in ("systems.png", "wer_by_duration.png", "classes.png"):
        assert (place / "out" / name).read_bytes().startswith(b"\x89PNG")
    num_items = sum(len(lines) for lines in lines_of(place / "out").values())
    assert f"{num_items:,} of {num_items:,} questions in {len(tasks):,} tasks scored for tiny ->" in printed


def test_the_references_score_perfectly(place, asked, tmp_path):
    peer = perfect(place, tmp_path / "peer")
    code, printed = earmark(
        *("--predictions", peer, "--predictions", place / "out"), "--data", place / "shards", "--out", tmp_path / "both"
    )
    assert code == 0, printed
    best, worst = scores(tmp_path / "both")
    assert (best["name"], worst["name"]) == ("peer", "out")
    nothing = {"mean error, of those read", "start error", "end error", "AAS", "CIDEr-D", "by chance"}
    for (task, name), value in metrics(best).items():
        if name in nothing:
            continue
        if name == "time error":
            assert value <= 100, task  # captions tell tenths of a second
        elif name.startswith(("WER", "CER", "cpWER", "DER")):
            assert value == 0, (task, name)
        else:
            assert value == pytest.approx(1 if name.startswith("PSDS") else 100), (task, name)
    assert all(metrics(best)[key] == 0 for key in metrics(best) if key[1] in nothing - {"CIDEr-D", "by chance"})
    for task in best["tasks"]:
        assert task["num_well_formed"] in (None, task["num_items"]), task["task"]
        assert (task["num_missing"], task["num_unread"]) == (0, 0)
    assert metrics(worst) == metrics(scores(place / "out")[0])
    assert (tmp_path / "both" / "shifts.png").is_file()


def test_predictions_that_carry_references_need_no_data(place, asked, tmp_path):
    code, printed = earmark("--predictions", place / "out", "--out", tmp_path / "again")
    assert code == 0, printed
    assert scores(tmp_path / "again")[0]["tasks"] == scores(place / "out")[0]["tasks"]


def test_missing_surplus_and_malformed_lines_are_told(place, asked, tmp_path):
    peer = perfect(place, tmp_path / "peer")
    file = peer / "predictions" / "transcribe.jsonl"
    lines = file.read_text().splitlines()
    bad = ["{", '{"id": "x"}', '{"prediction": "x"}', '{"id": "x", "prediction": 3}', lines[1]]
    file.write_text("\n".join([lines[1], *bad, '{"id": "nobody.transcribe.0", "prediction": "x"}']))
    data = ("--data", place / "shards", "--tasks", "transcribe")
    code, printed = earmark("--predictions", peer, *data, "--out", tmp_path / "out")
    assert code == 1
    assert "transcribe.jsonl, line 2: it is not JSON" in printed
    assert "line 3: it has no `prediction`" in printed
    assert "line 4: it has neither `id` nor `key`" in printed
    assert "line 5: prediction is 3; it should be text" in printed
    assert "line 6: " in printed
    assert "was answered before; the first answer counts" in printed
    assert f"{len(lines) - 1} answers of peer missing, which count as wrong" in printed
    found = metrics(scores(tmp_path / "out")[0])
    assert found["transcribe", "WER"] == pytest.approx(100 * (1 - 1 / len(lines)))
    assert "to what was not asked" in printed


def test_a_limit_asks_the_same_of_everybody(place, asked, tmp_path):
    peer = perfect(place, tmp_path / "peer")
    for name in ("one", "two"):
        code, printed = earmark(
            *("--predictions", peer, "--data", place / "shards", "--limit", 1), "--out", tmp_path / name
        )
        assert code == 0, printed
    assert scores(tmp_path / "one") == scores(tmp_path / "two")
    assert all(task["num_items"] == 1 for task in scores(tmp_path / "one")[0]["tasks"])


def test_a_stopped_run_goes_on_and_ends_the_same(place, asked, tmp_path):
    shutil.copytree(place / "out", tmp_path / "out")
    kept, gone, torn = (tmp_path / "out" / "predictions" / f"{task}.jsonl" for task in ("when", "count", "transcribe"))
    before, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-40])
    code, printed = earmark(*(place / "tiny", "--data", place / "shards"), "--out", tmp_path / "out", *SHORT)
    assert code == 0, printed
    assert gone.read_bytes() == before
    assert torn.read_bytes() == whole
    assert kept.stat().st_mtime_ns == stamp
    assert scores(tmp_path / "out") == scores(place / "out")


def test_without_time_markers_it_still_answers(place, tmp_path):
    data = ("--data", place / "shards", "--tasks", "count", "--max-new-tokens", 2)
    code, printed = earmark(place / "tiny", *data, "--no-time-markers", "--out", tmp_path / "out")
    assert code == 0, printed


def test_sound_that_cannot_be_read_is_told_and_counts_as_wrong(place, asked, tmp_path):
    shutil.copytree(place / "shards", tmp_path / "shards")
    for tar in (tmp_path / "shards" / "shards").glob("*.tar"):
        tar.write_bytes(tar.read_bytes().replace(b"fLaC", b"xxxx"))
    data_options = ("--data", tmp_path / "shards", "--tasks", "transcribe", "--max-new-tokens", 2)
    code, printed = earmark(place / "tiny", *data_options, "--out", tmp_path / "out")
    assert code == 1
    assert "could not be asked: " in printed
    assert "should be FLAC" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is nobody to score"),
        (["{place}/tiny"], "there is nothing to ask the checkpoint"),
        (["{place}/tiny", "--data", "{place}/shards", "--tasks", "transcrib"], "there is no task 'transcrib'"),
        (["{place}/tiny", "--data", "{place}/nowhere"], "is no folder of a benchmark"),
        (["{place}/tiny", "--data", "{place}/in"], "holds no multiple-choice questions"),
        (["{place}/tiny", "--data", "{place}/shards", "--out", "{place}/out"], "holds answers of another checkpoint"),
        (["--predictions", "{place}/in"], "holds no predictions"),
        (["--predictions", "{place}/out", "--tasks", "nothing"], "there is nothing to score"),
    ],
)
def test_wrong_calls_are_told_in_a_sentence(place, asked, arguments, words):
    code, printed = earmark(*(argument.format(place=place) for argument in arguments))
    assert code == 1
    assert words in printed


def test_shards_in_a_bucket_are_asked_alike(place, asked, bucket, tmp_path):
    store = store_at(f"s3://{bucket}/shards")
    for file in (place / "shards").rglob("*"):
        if file.is_file():
            store.put(str(file.relative_to(place / "shards")), file.read_bytes())
    data = ("--data", f"s3://{bucket}/shards", "--tasks", "when,transcribe")
    code, printed = earmark(place / "tiny", *data, "--out", tmp_path / "out", *SHORT)
    assert code == 0, printed
    here, there = lines_of(tmp_path / "out"), lines_of(place / "out")
    assert here == {task: there[task] for task in ("transcribe", "when")}
