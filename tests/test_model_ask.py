"""`earmark ask`, as someone types it, on a tiny model with random weights."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torchaudio.functional import resample
from typer.testing import CliRunner

from jobs import cli
from jobs.ask import Ask, printable, show, threads_for
from jobs.ask import ask as asking
from model import companions
from model.checkpoint import load, save
from model.generate import Generator, Request
from model.mel import log_mel
from model.model import AudioLM
from model.prompt import question, render
from model.sampling import Sampling
from model.sizes import SMALL, TINY
from model.thinking import Piece
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.errors import StoreError
from tests.models import tiny

torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]
WHAT = "What is heard?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("ask")
    tokenizer = Tokenizer(build())
    save(tiny(), place / "model", config=TINY, write_companions=lambda at: companions.write(at, TINY, tokenizer))
    for name, rate_hz, channels in (("mono.wav", 16_000, 1), ("stereo.flac", 44_100, 2), ("note.ogg", 24_000, 1)):
        seconds = np.arange(rate_hz * 3) / rate_hz
        rows = [np.sin(2 * np.pi * (300 + 200 * row) * seconds**1.5) * 0.3 for row in range(channels)]
        soundfile.write(place / name, np.stack(rows, axis=1), rate_hz)
    (place / "broken.wav").write_bytes(b"RIFF no such thing")
    soundfile.write(place / "silent.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(place / "loud.wav", np.tile(np.float32([1e38, -1e38]), 8_000), 16_000, subtype="FLOAT")
    return place


def ask(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.cli, ["ask", *map(str, arguments)])
    if isinstance(result.exception, cli.EarmarkError):
        return 1, result.stdout, f"error: {result.exception}"
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def wanted(folder: Path, samples: list[np.ndarray], sampling: Sampling) -> str:
    """The same through the library."""
    tokenizer, model = Tokenizer.open(folder / "model"), load(folder / "model")
    mels = tuple(log_mel(part) for part in samples)
    prompt = render(question(WHAT, [mel.shape[1] for mel in mels]), tokenizer)
    request = Request(prompt=prompt, mels=mels)
    (answer,) = Generator(model, tokenizer).generate([request], sampling)
    return answer.text


def heard(path: Path) -> np.ndarray:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resample(torch.from_numpy(samples.mean(axis=1)), rate_hz, 16_000).numpy()


@pytest.mark.parametrize("name", ["mono.wav", "stereo.flac"])
def test_says_what_the_library_says(folder, name):
    code, out, err = ask(folder / "model", folder / name, WHAT, "--temperature", 0, "--max-new-tokens", 20)
    assert code == 0
    assert out == printable(wanted(folder, [heard(folder / name)], Sampling(temperature=0.0, max_new_tokens=20))) + "\n"
    assert re.fullmatch(
        r"3\.0 s of audio, \d+ prompt tokens at [\d,]+/s, \d+ said at [\d,.]+/s(, cut at the limit)?\n", err
    )


def test_several_recordings_and_a_part_of_each(folder):
    names = ["mono.wav", "stereo.flac", "note.ogg"]
    paths = [folder / name for name in names]
    code, out, err = ask(
        folder / "model", *paths, WHAT, "--start", 1, "--end", 2.5, "--max-new-tokens", 9, "--top-k", 1
    )
    assert code == 0
    assert "4.5 s of audio" in err
    mono = heard(paths[0])[16_000:40_000]
    code, one, _ = ask(
        folder / "model", paths[0], WHAT, "--start", 1, "--end", 2.5, "--max-new-tokens", 9, "--top-k", 1
    )
    assert one == printable(wanted(folder, [mono], Sampling(top_k=1, max_new_tokens=9))) + "\n"
    assert one != out


def test_a_seed_decides(folder):
    def said(seed):
        return ask(folder / "model", folder / "mono.wav", WHAT, "--seed", seed, "--max-new-tokens", 30)[1]

    assert said(1) == said(1)
    assert said(1) != said(2)


def test_the_checkpoint_says_how_to_choose(folder, tmp_path):
    for path in (folder / "model").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = {"do_sample": False, "max_new_tokens": 7, "temperature": 0.3}
    (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    _, out, err = ask(tmp_path, folder / "mono.wav", WHAT)
    said = wanted(folder, [heard(folder / "mono.wav")], Sampling(temperature=0.0, max_new_tokens=7))
    assert out == printable(said) + "\n"
    assert " 7 said" in err
    assert " 3 said" in ask(tmp_path, folder / "mono.wav", WHAT, "--max-new-tokens", 3)[2]
    (tmp_path / "generation_config.json").write_text('{"top_p": "all"}')
    assert "generation_config.json: top_p is 'all'" in ask(tmp_path, folder / "mono.wav", WHAT)[2]
    (tmp_path / "generation_config.json").unlink()
    assert ask(tmp_path, folder / "mono.wav", WHAT, "--max-new-tokens", 3)[0] == 0


def test_what_a_model_says_cannot_reach_the_terminal(folder):
    """Of 120 tokens drawn from 512, one in two a byte, many are control characters."""
    said = wanted(folder, [heard(folder / "mono.wav")], Sampling(top_k=0, temperature=5.0, max_new_tokens=120))
    assert any(not char.isprintable() for char in said.replace("\n", "").replace("\t", ""))
    arguments = ["--temperature", 5.0, "--top-k", 0, "--max-new-tokens", 120]
    out = ask(folder / "model", folder / "mono.wav", WHAT, *arguments)[1]
    assert len(out) > 30
    assert all(char.isprintable() or char in "\n\t" for char in out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{model}", "{broken}", WHAT], "broken.wav: it is not audio this can read"),
        (["{model}", "{nothing}", WHAT], "nothing.wav cannot be read: No such file"),
        (["{model}", "{here}", WHAT], "cannot be read: Is a directory"),
        (["{here}", "{mono}", WHAT], "config.json is not there; a checkpoint is a folder that holds one"),
        (["{mono}", "{mono}", WHAT], "mono.wav"),
        (["{model}", "{mono}", WHAT, "--start", "2", "--end", "1"], "--end 1.0 is not after --start 2.0"),
        (["{model}", "{mono}", WHAT, "--start", "1e300"], "--start is 1e+300"),
        (["{model}", "{mono}", WHAT, "--start", "60"], "mono.wav: it ends before 60.0 s"),
        (["{model}", "{mono}", WHAT, "--end", "0.001"], "mono.wav: 16 samples are too short to be heard"),
        (["{model}", "{silent}", WHAT], "silent.wav: it holds no sound"),
        (["{model}", "{loud}", WHAT], "loud.wav: the samples go to 1e+38, and full scale is 1"),
        (["{model}", "{mono}", "what\udcff?"], "the question 'what\ufffd?' is not UTF-8"),
        (["{model}", "{mono}", WHAT, "--device", "meta"], "--device 'meta' cannot be used"),
        (["{model}", "{mono}", WHAT, "--temperature", "-1"], "temperature is -1"),
        (["{model}", "{mono}", WHAT, "--device", "abacus"], "--device 'abacus' cannot be used"),
        (["{model}", "{mono}", WHAT, "--dtype", "int8"], "--dtype 'int8' is not one of float32, bfloat16, float16"),
        (["{model}", "{mono}", "why " * 20_000], "positions; the model has 40,960"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, arguments, sentence):
    places = {name: folder / f"{name}.wav" for name in ("broken", "nothing", "mono", "silent", "loud")}
    filled = [a.format(model=folder / "model", here=folder, **places) for a in arguments]
    code, out, err = ask(*filled)
    assert (code, out) == (1, "")
    assert sentence in err
    assert "\n" not in err.strip()


@pytest.mark.parametrize("words", [[WHAT], ["{mono}", "{mono}"]])
def test_without_a_question_it_is_a_wrong_call(folder, words):
    code, out, err = ask(folder / "model", *[word.format(mono=folder / "mono.wav") for word in words])
    assert (code, out) == (2, "")
    assert "missing" in err


def test_a_recording_of_which_little_is_sound_is_refused(folder, tmp_path):
    samples = np.tile(np.float32([0.1, np.nan]), 8_000)
    soundfile.write(tmp_path / "odd.wav", samples, 16_000, subtype="FLOAT")
    code, out, err = ask(folder / "model", tmp_path / "odd.wav", WHAT)
    assert (code, out) == (1, "")
    assert "odd.wav: " in err


def test_a_model_that_computes_no_numbers_is_told(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "m")
    model = load(tmp_path / "m")
    model.language_model.norm.weight.data.fill_(torch.nan)
    save_file(model.state_dict(), tmp_path / "m" / "model.safetensors")
    code, out, err = ask(tmp_path / "m", folder / "mono.wav", WHAT)
    assert (code, out) == (1, "")
    assert "what is no number" in err


def test_a_part_of_the_processors_is_known_on_every_system(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    before = torch.get_num_threads()
    with torch.device("meta"):
        large = AudioLM(SMALL)
    with threads_for(large):
        assert torch.get_num_threads() == os.cpu_count()
    assert torch.get_num_threads() == before


def test_a_model_without_time_markers_is_asked_without_them(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "m")
    (tmp_path / "m" / "processor_config.json").write_text('{"enable_time_marker": false}')
    err_by_model = [
        ask(at, folder / "mono.wav", WHAT, "--max-new-tokens", 1)[2] for at in (folder / "model", tmp_path / "m")
    ]
    with_markers, without = (int(re.search(r"(\d+) prompt tokens", err)[1]) for err in err_by_model)
    assert without == with_markers - 1  # of 3 s


@pytest.mark.slow
def test_beyond_what_one_prompt_holds(folder, tmp_path):
    soundfile.write(tmp_path / "long.flac", np.zeros(1_000 * (45 * 60 + 1), np.int16), 1_000)
    code, _, err = ask(folder / "model", tmp_path / "long.flac", WHAT)
    assert (code, "long.flac: it is longer than the 45 minutes" in err) == (1, True)
    soundfile.write(tmp_path / "half.flac", np.zeros(1_000 * 60 * 23, np.int16), 1_000)
    assert "2 audios of 46.00 minutes" in ask(folder / "model", *[tmp_path / "half.flac"] * 2, WHAT)[2]
    code, _, err = ask(folder / "model", tmp_path / "long.flac", WHAT, "--start", 2_699, "--max-new-tokens", 2)
    assert (code, "2.0 s of audio" in err) == (0, True)


def test_a_recording_that_breaks_off_is_heard_up_to_there(folder, tmp_path):
    data = (folder / "stereo.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    code, _, err = ask(folder / "model", tmp_path / "cut.flac", WHAT, "--max-new-tokens", 2)
    assert code == 0
    assert re.match(r"noted: .*cut\.flac: .*; 0:0[12] of it is heard\n", err)
    assert re.search(r"1\.\d s of audio", err)


# ------------------------------------------------------------------------------------------ thoughts


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


PIECES = [
    Piece(text="hm\x1b[2J", is_thought=True),
    Piece(text=",\nso", is_thought=True),
    Piece(text="A", is_thought=False),
    Piece(text="\tB", is_thought=False),
]


@pytest.mark.parametrize(
    ("out", "thoughts", "printed"),
    [
        (Terminal(), True, "\x1b[2mhm�[2J,\nso\x1b[0m\n\nA\tB\n"),
        (io.StringIO(), True, "<think>\nhm�[2J,\nso\n</think>\n\nA\tB\n"),
        (Terminal(), False, "A\tB\n"),
    ],
)
def test_thoughts_are_told_apart(out, thoughts, printed):
    show(iter(PIECES), out, shows_thoughts=thoughts)
    assert out.getvalue() == printed


def test_an_interrupted_thought_does_not_leave_the_terminal_dim():
    def interrupted():
        yield PIECES[0]
        raise KeyboardInterrupt

    out = Terminal()
    with pytest.raises(KeyboardInterrupt):
        show(interrupted(), out, shows_thoughts=True)
    assert out.getvalue().endswith("\x1b[0m\n")


def test_an_interrupted_answer_is_counted_as_far_as_it_came(folder, monkeypatch):
    class Pressed(io.StringIO):
        def flush(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", Pressed())
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    with pytest.raises(KeyboardInterrupt):
        asking(Ask(checkpoint=folder / "model", audios=(folder / "mono.wav",), question=WHAT), {"top_k": 1})
    assert re.search(r"3\.0 s of audio, .* said at .*, broken off\n", errors.getvalue())


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", b"?A"), ("utf-8", "éA".encode())])
def test_a_terminal_that_lacks_a_character_shows_another(encoding, printed):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(iter([Piece(text="éA", is_thought=False)]), out, shows_thoughts=True)
    assert out.buffer.getvalue() == printed + b"\n"


def test_a_full_disk_is_one_sentence(folder, monkeypatch):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(StoreError, match="the answer cannot be written: No space left on device"):
        asking(Ask(checkpoint=folder / "model", audios=(folder / "mono.wav",), question=WHAT), {"top_k": 1})


def test_pieces_come_as_they_are_said():
    out, seen = io.StringIO(), []

    def pieces():
        for piece in PIECES[2:]:
            seen.append(out.getvalue())
            yield piece

    show(pieces(), out, shows_thoughts=True)
    assert seen == ["", "A"]


@pytest.mark.slow
def test_from_a_shell(folder):
    command = [sys.executable, "-m", "jobs", "ask", str(folder / "model"), str(folder / "mono.wav"), WHAT]
    done = subprocess.run(
        [*command, "--max-new-tokens", "5"], cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "3.0 s of audio" in done.stderr.splitlines()[-1]
