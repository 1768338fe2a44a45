"""The commands, as someone types them: what they print, and an exit code that agrees with it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import cli
from pipeline.route import config_row
from schemas.store import store_at
from schemas.weights import MODELS
from tests.commands import run as earmark
from tests.make import beeps, quick, write_wav
from tests.runs import annotated

ROOT = Path(__file__).parents[1]
QUICK = f"{ROOT}/tests/recipes.py:quick"


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_wav(folder / "in" / "one.wav", beeps((1_000, 2_000), (4_000, 5_500), duration_ms=7_000))
    write_wav(folder / "in" / "two\x1b[31m.wav", beeps((1_000, 2_000), duration_ms=3_000))
    (folder / "in" / "broken.wav").write_bytes(b"hello")
    annotated(folder / "in", folder / "out")
    return folder / "out"


def test_status_tells_what_is_done_and_what_failed(output):
    code, printed = earmark("status", output)
    assert code == 1
    assert re.search(r"decode.*broken\.wav.*not audio", printed.replace("\n", " "))
    assert printed.rstrip().splitlines()[-1].endswith("1 failures")


def test_status_verify_names_a_damaged_shard(output, tmp_path):
    assert "every tar and index is what its receipt says" in earmark("status", output, "--verify")[1]
    copy = store_at(str(tmp_path))
    for stored in store_at(str(output)).list():
        copy.put(stored.name, store_at(str(output)).read(stored.name))
    (tar,) = (s.name for s in copy.list("shards/") if s.name.endswith(".tar"))
    data = bytearray(copy.read(tar))
    data[700] ^= 1
    copy.put(tar, bytes(data))
    code, printed = earmark("status", tmp_path, "--verify")
    assert code == 1
    assert f"{tar} is damaged: SHA-256" in printed.replace("\n", "")


def test_inspect_shows_records_with_their_evidence(output):
    code, printed = earmark("inspect", output)
    assert code == 0
    assert "A tone.  <- sound/0" in printed
    assert "FAILED at decode" in printed
    assert "silence" not in printed
    assert "silence" in earmark("inspect", output, "--all")[1]


def test_inspect_json_is_one_object_a_line(output):
    lines = earmark("inspect", output, "--json", "--limit", "100")[1].splitlines()
    samples = [json.loads(line) for line in lines if "record" in json.loads(line)]
    assert len(samples) == 3
    assert len(lines) == 4
    assert all(row["index"]["key"] == row["record"]["key"] for row in samples)


def test_inspect_takes_a_shard_a_key_and_a_limit(output):
    shard = next((output / "shards").glob("*.tar"))
    assert len(earmark("inspect", shard, "--key", "one-", "--json")[1].splitlines()) > 1
    assert len(earmark("inspect", shard, "--limit", "1", "--json")[1].splitlines()) == 1
    assert earmark("inspect", output, "--key", "three") == (
        1,
        f"error: {output} holds nothing whose key begins with 'three'",
    )


def test_no_name_can_reach_the_terminal_with_its_control_characters(output):
    for command in (["inspect", output], ["status", output]):
        assert "\x1b" not in earmark(*command)[1]


def test_inspect_reads_only_what_it_shows_from_a_bucket(output, bucket, monkeypatch):
    store = store_at(f"s3://{bucket}/out")
    for stored in store_at(str(output)).list():
        store.put(stored.name, store_at(str(output)).read(stored.name))
    num_bytes = []
    fetch = type(store).fetch
    monkeypatch.setattr(type(store), "fetch", lambda *a, **k: num_bytes.append(fetch(*a, **k)) or num_bytes[-1])
    assert earmark("inspect", store.root, "--key", "one-", "--limit", "1", "--json")[0] == 0
    (tar,) = (s for s in store.list("shards/") if s.name.endswith(".tar"))
    assert sum(map(len, num_bytes)) < tar.num_bytes / 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("annotate", "{tmp}/nowhere", "{tmp}/out"), "is not there", id="no such folder"),
        pytest.param(("annotate", "{tmp}", "{tmp}/out"), "holds nothing to annotate", id="empty folder"),
        pytest.param(("annotate", "{in}", "{in}/one.wav"), "file stands where a folder", id="output is a file"),
        pytest.param(("annotate", "{in}", "{tmp}/o", "--recipe", "gpuu"), "there is no recipe 'gpuu'", id="recipe"),
        pytest.param(("annotate", "{in}", "{tmp}/o", "--recipe", "x.py:y"), "x.py is not there", id="recipe file"),
        pytest.param(("annotate", "{in}", "gs://b/o"), "of a kind this cannot reach", id="another store"),
        pytest.param(("annotate", "{in}", "{out}"), "was begun with another config", id="another config"),
        pytest.param(("status", "{tmp}"), "has no run.json", id="status of no output"),
        pytest.param(("inspect", "{tmp}"), "has no run.json", id="inspect of no output"),
        pytest.param(("inspect", "{tmp}/x.tar"), "it is not there", id="no such shard"),
        pytest.param(("retry", "{tmp}"), "has no run.json", id="retry of no output"),
        pytest.param(("submit", "--address", "http://127.0.0.1:1"), "nothing to submit", id="nothing to submit"),
    ],
)
def test_a_call_that_cannot_work_is_told_in_one_sentence(output, tmp_path, arguments, words):
    places = {"tmp": tmp_path, "in": output.parent / "in", "out": output}
    code, printed = earmark(*(a.format(**places) for a in arguments))
    assert code == 1
    assert printed.startswith("error: ")
    assert words in printed
    assert "\n" not in printed


def test_a_missing_bucket_is_told(s3_server, tmp_path):
    assert "there is no such bucket" in earmark("annotate", "s3://no-such-bucket-here/raw", tmp_path)[1]


def test_a_wrong_call_is_exit_code_two():
    assert earmark("annotat")[0] == 2
    assert earmark("annotate", "only-one")[0] == 2
    assert earmark("inspect", "x", "--limit", "0")[0] == 2


def test_doctor_finds_everything_here_and_tries_the_output(tmp_path):
    code, printed = earmark("doctor", tmp_path / "out")
    assert code == 0
    assert "silero-vad" in printed
    assert "can be written and read" in printed
    (tmp_path / "file").touch()
    code, printed = earmark("doctor", tmp_path / "file")
    assert code == 1
    assert "a file stands where a folder should be" in printed.replace("\n", " ")


def test_doctor_tells_what_a_recipe_lacks_and_the_command_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS, "")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    asked = ("doctor", "--recipe", f"{ROOT}/tests/recipes.py:downloads", "--models", tmp_path)
    code, printed = earmark(*asked)
    assert code == 1
    (line,) = [line for line in printed.splitlines() if "someone/ears" in line]
    assert line.startswith("missing someone/ears")
    assert "MIT, 1.6 GB; first accept its terms; fetch it with: hf download someone/ears --local-dir" in line
    assert "server: writer" in printed
    assert "does not answer" in printed
    (tmp_path / "someone" / "ears").mkdir(parents=True)
    code, printed = earmark(*asked)
    assert code == 0
    assert f"ok      someone/ears             MIT, 1.6 GB, in {tmp_path}/someone/ears" in printed
    code, printed = earmark("annotate", tmp_path, tmp_path / "out", "--models", tmp_path / "nothing")
    assert code == 1
    assert "is no folder" in printed


def test_every_command_is_in_the_readme_with_two_examples_in_its_help():
    readme = (ROOT / "README.md").read_text()
    for command in cli.cli.registered_commands:
        name = command.name or command.callback.__name__
        assert f"earmark {name}" in readme
        assert command.callback.__doc__.count("\n    earmark ") >= 2


def test_the_default_recipe_can_be_written_down():
    assert json.dumps(config_row(cli.load("embedded")[0]))
    assert config_row(quick())["class"] == "AnnotateConfig"


@pytest.mark.slow
def test_a_whole_run_from_the_command_line(tmp_path):
    write_wav(tmp_path / "in" / "it's ü.wav", beeps((1_000, 2_000), duration_ms=3_000))
    (tmp_path / "in" / "notes.txt").write_text("x")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))

    first = run("annotate", tmp_path / "in", tmp_path / "out", "--recipe", QUICK)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "passed over, not named like recordings: 1 .txt" in first.stdout
    last = "1 recordings, 0.00 h -> 1 of 1 shards, 1 segments (0.00 h), 2 silent stretches, 0 failures"
    assert first.stdout.rstrip().endswith(last)
    again = run("annotate", tmp_path / "in", tmp_path / "out", "--recipe", QUICK)
    assert again.stdout == f"passed over, not named like recordings: 1 .txt\nnothing is left to do\n{last}\n"
    assert again.returncode == 0


@pytest.mark.slow
def test_a_command_that_reads_an_index_ends_well_every_time(output):
    """Threads of the library that reads it could outlive the command, and abort the process after its last line."""
    for _ in range(6):
        done = subprocess.run([sys.executable, "-m", "jobs", "inspect", str(output)], capture_output=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
