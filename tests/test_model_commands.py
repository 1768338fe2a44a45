"""`earmark model`, as someone types it: what it prints, and an exit code that agrees with it."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from jobs.model import commands
from model.checkpoint import load, read_config
from model.memory import inference, training
from model.sizes import MOSS_4B, TINY
from model.tokens import Tokenizer
from tests.commands import run
from tests.models import tiny
from tests.references import write_references

PARITY = Path(__file__).parents[2] / "shared" / "parity"


def earmark(*arguments: object) -> tuple[int, str]:
    return run("model", *arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "made"
    code, printed = earmark("init", "tiny", folder, "--seed", 3)
    assert code == 0
    assert "882,656 parameters, seed 3, 264 tokens" in printed
    return folder


def test_show_prints_what_is_counted():
    code, printed = earmark("show", "4b")
    assert code == 0
    assert re.search(r"audio encoder +643,624,320 +12\.3 % +1\.20 GiB", printed)
    assert re.search(r"^all +5,222,820,736", printed, re.MULTILINE)
    assert "147,456 bytes a token" in printed
    for prompt in inference(MOSS_4B).prompts:
        assert re.search(rf" {prompt.batch} +{prompt.prompt_tokens:,} ", printed)
    assert re.search(r"together, checkpointed .* 24\.86 GiB", printed)


def test_show_as_json_has_the_same_numbers(made):
    code, printed = earmark("show", "4b", "--json")
    body = json.loads(printed)
    assert code == 0
    assert body["parameters"]["total"] == sum(n for part, n in body["parameters"].items() if part != "total")
    assert body["inference"]["prompts"][0]["cache_bytes"] == 403 * 147_456
    assert body["training"]["everything learns"][1]["total_bytes"] == training(MOSS_4B, gpus=8).total_bytes
    assert json.loads(earmark("show", made, "--json")[1])["parameters"]["total"] == 882_656


def test_init_writes_a_model_and_the_tokenizer_it_speaks(made):
    config = read_config(made)
    assert config == TINY
    Tokenizer.open(made).check(config)
    assert all(torch.isfinite(parameter).all() for parameter in load(made).parameters())


def test_init_again_gives_the_same_files_and_another_seed_others(made, tmp_path):
    earmark("init", "tiny", tmp_path / "same", "--seed", 3)
    earmark("init", "tiny", tmp_path / "other", "--seed", 4)
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "same").iterdir()}
    other = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert [name for name in files if files[name] != other[name]] == ["model.safetensors"]


def test_init_learns_words_from_texts(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("a dog barks and a dog barks again\n" * 20)
    code, printed = earmark("init", "tiny", tmp_path / "c", "--texts", texts)
    assert code == 0
    assert "--texts learns words" not in printed
    assert len(Tokenizer.open(tmp_path / "c").encode("a dog barks")) < len("a dog barks")


def test_init_writes_over_nothing(made):
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    code, printed = earmark("init", "tiny", made)
    assert code == 1
    assert "already holds something" in printed
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.slow
@pytest.mark.skipif(not PARITY.is_dir(), reason="the reference activations are not beside this checkout")
@pytest.mark.parametrize("scope", ["block_4s", "full"])
def test_check_finds_what_the_published_code_computed_and_nothing_else(tmp_path, scope):
    code, printed = earmark("check", PARITY / scope)
    assert code == 0
    assert "!" not in printed
    assert {"mel", "logits", "loss", "greedy_ids"} <= set(printed.splitlines()[0].split())
    for path in (PARITY / scope).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = (PARITY / scope / "config.json").read_text().replace(f'"{scope}"', '"sliding_window"')
    (tmp_path / "config.json").write_text(other)
    code, printed = earmark("check", tmp_path)
    assert code == 1
    names, *rows = [line.split() for line in printed.splitlines() if "as close" not in line]
    wrong = {name for row in rows for name, number in zip(names, row, strict=True) if number.endswith("!")}
    assert "logits" in wrong
    assert "mel" not in wrong


def test_check_cuts_no_number_of_many_cases(tmp_path):
    model = tiny()
    write_references(tmp_path, model, [1_280 * (1 + case) for case in range(12)], text=[60, 61, 62, 63, 64])
    code, printed = earmark("check", tmp_path)
    assert code == 0
    names, *rows = [line.split() for line in printed.splitlines()[:-1]]
    assert [row[0] for row in rows] == [*map(str, range(12)), "allowed"]
    assert {len(row) for row in rows} == {len(names)} == {9}
    assert all(float(number) >= 0 for row in rows for number in row[1:])
    assert printed.endswith("96 of 96 are as close as they must be\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("show", "5b"), "5b is neither a size (tiny, small, 4b, 8b) nor a folder", id="no such size"),
        pytest.param(("show", "\x1b[31m"), "\ufffd[31m is neither", id="no control characters"),
        pytest.param(("show", "{folder}"), "config.json is not there", id="a folder that is no checkpoint"),
        pytest.param(("init", "5b", "{folder}/c"), "there is no size '5b'", id="no such size to begin with"),
        pytest.param(("check", "{folder}"), "{folder}", id="nothing to compare with"),
        pytest.param(("init", "tiny", "{folder}/c", "--texts", "nope.txt"), "nope.txt cannot be read", id="no texts"),
    ],
)
def test_what_cannot_work_is_told_in_one_sentence(tmp_path, arguments, words):
    code, printed = earmark(*(argument.format(folder=tmp_path) for argument in arguments))
    assert code == 1
    assert printed.startswith("error: ")
    assert words.format(folder=tmp_path) in printed
    assert "\n" not in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("show",), ("init", "tiny"), ("init", "tiny", "x", "--seed", "a"), ("check",), ("dance",)]
)
def test_a_wrong_call_is_exit_code_two(arguments):
    assert earmark(*arguments)[0] == 2


@pytest.mark.parametrize("missing", [["safetensors"], ["tokenizers"], ["safetensors", "tokenizers"]])
@pytest.mark.parametrize("arguments", [("show", "4b"), ("init", "tiny", "x"), ("check", "x")])
def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch, missing, arguments):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    code, printed = earmark(*arguments)
    assert code == 1
    assert printed.startswith(f"error: {' and '.join(missing)} ")
    assert "pip install -c constraints.txt -e '.[model]'" in printed


def test_every_command_shows_two_examples_in_its_help():
    for command in commands.registered_commands:
        name = command.name or command.callback.__name__
        assert earmark(name, "--help")[1].count(f"earmark model {name} ") >= 2
