"""Other programs open what is written, and see the same prompt; what is copied is copied as it is, and no more."""

import json
import os

import pytest
import transformers

from model import companions
from model.prompt import Message, Sound, question, render
from model.sizes import MOSS_4B, TINY
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.errors import CheckpointError, ConfigError, InputError, StoreError
from tests.make_tokenizers import published

ONE_TOKEN = 8
"""Mel frames of one audio token: an audio that is written as one placeholder, without a marker."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    companions.write(folder, TINY, Tokenizer(build(["What is heard?"] * 9, 300)))
    (folder / "config.json").write_text(json.dumps(TINY.to_json()))
    return folder


@pytest.fixture(scope="module")
def theirs(written):
    return transformers.AutoTokenizer.from_pretrained(written)


def test_what_is_written_opens_as_it_was(written):
    tokenizer = Tokenizer(build(["What is heard?"] * 9, 300))
    opened = Tokenizer.open(written)
    assert (opened.special, opened.digits, opened.vocab_size) == (
        tokenizer.special,
        tokenizer.digits,
        tokenizer.vocab_size,
    )
    assert opened.to_json() == tokenizer.to_json()
    assert opened.time_markers


@pytest.mark.parametrize("text", ["What is heard? 2024 é \U0001f600\n\n dogs", "it's", ""])
def test_transformers_gives_the_same_ids(written, theirs, text):
    ids = Tokenizer.open(written).encode(text)
    assert theirs(text)["input_ids"] == ids
    assert theirs.decode(ids) == text
    assert theirs.eos_token_id == TINY.language_config.eos_token_id


AUDIO = {"type": "audio"}


def text_of(content):
    return {"type": "text", "text": content}


@pytest.mark.parametrize(
    ("chat", "messages"),
    [
        pytest.param([{"role": "user", "content": "What?"}], question("What?"), id="text"),
        pytest.param(
            [{"role": "user", "content": [AUDIO, text_of("What?")]}], question("What?", (ONE_TOKEN,)), id="an audio"
        ),
        pytest.param(
            [{"role": "user", "content": [AUDIO, {"type": "audio_url"}, text_of("What?")]}],
            question("What?", (ONE_TOKEN, ONE_TOKEN)),
            id="two audios",
        ),
        pytest.param(
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}],
            question("What?", system="Be brief."),
            id="another system message",
        ),
        pytest.param(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [AUDIO, text_of(" What?\n")]},
                {"role": "assistant", "content": "\n A dog."},
                {"role": "user", "content": "Again?"},
            ],
            [
                Message(role="system", parts=("Be brief.",)),
                Message(role="user", parts=(Sound(num_frames=ONE_TOKEN), "\n", " What?\n")),
                Message(role="assistant", parts=("\n A dog.",)),
                Message(role="user", parts=("Again?",)),
            ],
            id="several turns, blanks kept",
        ),
    ],
)
def test_the_chat_template_is_the_prompt(written, theirs, chat, messages):
    tokenizer = Tokenizer.open(written)
    prompt = render(messages, tokenizer)
    text = theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == tokenizer.decode(prompt.ids, keep_control=True)
    assert theirs(text)["input_ids"] == list(prompt.ids)


def test_transformers_reads_the_other_files(written):
    generation = transformers.GenerationConfig.from_pretrained(written)
    assert (generation.temperature, generation.top_p, generation.top_k) == (1.0, 1.0, 50)
    assert (generation.max_new_tokens, generation.eos_token_id, generation.pad_token_id) == (1024, [2, 0], 0)
    features = transformers.WhisperFeatureExtractor.from_pretrained(written)
    assert (features.feature_size, features.sampling_rate, features.hop_length, features.n_fft) == (
        128,
        16_000,
        160,
        400,
    )


def test_servers_find_the_audio_ids_in_the_processor_config(written):
    assert json.loads((written / "processor_config.json").read_text()) == {
        "audio_token_id": 5,
        "audio_start_id": 6,
        "audio_end_id": 7,
        "enable_time_marker": True,
        "mel_config": {"mel_dim": 128, "mel_sr": 16_000, "mel_hop_length": 160, "mel_n_fft": 400},
    }


def test_a_model_without_markers_is_written_as_one(tmp_path):
    companions.write(tmp_path, TINY, Tokenizer(build(), processor={"enable_time_marker": False}))
    assert not Tokenizer.open(tmp_path).time_markers


def test_a_tokenizer_of_another_model_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="audio_token_id"):
        companions.write(tmp_path / "out", MOSS_4B, Tokenizer(build()))
    assert not (tmp_path / "out").exists()
    companions.write(tmp_path / "out", MOSS_4B, Tokenizer(published()))
    assert Tokenizer.open(tmp_path / "out").special == Tokenizer(published()).special


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


KEPT = [
    "tokenizer.json",
    "chat_template.jinja",
    "merges.txt",
    "processing_moss_audio.py",
    "spiece.model",
    "__init__.py",
]
LEFT = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "README.md",
    ".hidden.json",
]


def test_companions_are_copied_byte_for_byte_and_nothing_else(source, tmp_path):
    for name in [*KEPT, *LEFT, "a b.json", "-rf.json", "\u202ejson.txt"]:
        (source / name).write_bytes(f"raise SystemExit {name}\r\n\xff".encode("latin-1", "replace"))
    (source / "folder.json").mkdir()
    out = tmp_path / "out"
    assert companions.copy(source, out) == tuple(sorted(KEPT))
    assert sorted(path.name for path in out.iterdir()) == sorted(KEPT)
    assert all((out / name).read_bytes() == (source / name).read_bytes() for name in KEPT)
    assert companions.copy(source, out) == companions.copy(source, source) == tuple(sorted(KEPT))


def test_a_link_that_leaves_the_folder_is_refused_before_anything_is_written(source, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (source / "a.json").write_text("{}")
    (source / "vocab.json").symlink_to("../secret")
    with pytest.raises(CheckpointError, match=r"vocab\.json is a link that leads out of the folder"):
        companions.copy(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["vocab.json", "nowhere", "inner"])
def test_a_link_that_leads_nowhere_is_refused(source, tmp_path, target):
    (source / "inner").mkdir()
    (source / "vocab.json").symlink_to(target)
    with pytest.raises((InputError, CheckpointError), match=r"vocab\.json"):
        companions.copy(source, tmp_path / "out")


def test_a_link_within_the_folder_is_copied_as_a_file(source, tmp_path):
    (source / "merges.txt").write_text("a b")
    (source / "same.txt").symlink_to("merges.txt")
    companions.copy(source, tmp_path / "out")
    assert (tmp_path / "out" / "same.txt").read_text() == "a b"
    assert not (tmp_path / "out" / "same.txt").is_symlink()


def test_a_snapshot_of_a_hugging_face_cache_is_copied(tmp_path):
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "0123abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "f00d").write_text("{}")
    (snapshot / "vocab.json").symlink_to("../../blobs/f00d")
    assert companions.copy(snapshot, tmp_path / "out") == ("vocab.json",)
    assert (tmp_path / "out" / "vocab.json").read_text() == "{}"


def test_a_link_in_the_way_is_replaced_not_followed(source, tmp_path):
    (source / "vocab.json").write_text("{}")
    (tmp_path / "precious").write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "vocab.json").symlink_to(tmp_path / "precious")
    (out / ".vocab.json.part").symlink_to(tmp_path / "precious")
    companions.copy(source, out)
    assert (tmp_path / "precious").read_text() == "precious"
    assert (out / "vocab.json").read_text() == "{}"


def test_what_is_beyond_all_measure_is_refused(source, tmp_path):
    with (source / "vocab.json").open("wb") as file:
        file.truncate(companions.MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match=r"vocab\.json has more than"):
        companions.copy(source, tmp_path / "out")
    (source / "vocab.json").unlink()
    for number in range(companions.MAX_FILES + 1):
        (source / f"{number}.json").touch()
    with pytest.raises(InputError, match="101 files"):
        companions.copy(source, tmp_path / "out")


def test_a_pipe_is_not_waited_for(source, tmp_path):
    os.mkfifo(source / "vocab.json")
    assert companions.copy(source, tmp_path / "out") == ()


def test_a_link_to_a_pipe_is_not_waited_for(source, tmp_path):
    os.mkfifo(source / "pipe")
    (source / "vocab.json").symlink_to("pipe")
    with pytest.raises(InputError, match=r"vocab\.json is no file"):
        companions.copy(source, tmp_path / "out")


def test_no_folder_is_an_error(source, tmp_path):
    with pytest.raises(InputError, match="nowhere cannot be listed"):
        companions.copy(tmp_path / "nowhere", tmp_path / "out")
    (source / "vocab.json").write_text("{}")
    with pytest.raises(StoreError, match=r"vocab\.json/out cannot be written"):
        companions.copy(source, source / "vocab.json" / "out")
