"""What is no checkpoint, or not this one: refused in words that say why, and never run."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import weights
from model.checkpoint import load, save
from model.config import ModelConfig
from model.memory import parameters
from model.sizes import TINY
from schemas.errors import CheckpointError, ConfigError, EarmarkError
from tests.checkpoints import INDEX, SMALLEST, WHOLE, folder, model, sharded


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    return str(caught.value)


def change_index(folder: Path, change) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


def test_every_difference_is_named_once_and_in_order(model, folder):
    weights = model.state_dict()
    del weights["lm_head.weight"]
    weights["audio_adapter.up_proj.weight"] = torch.zeros(3, 4)
    weights["audio_encoder.conv1.bias"] = torch.zeros(4, dtype=torch.int8)
    weights["zz\x1b[31m"] = torch.zeros(2)
    save_file(weights, folder / WHOLE)
    first, *lines = refusal(folder).splitlines()
    assert lines == [
        "  shape: audio_adapter.up_proj.weight is [3, 4], expected [112, 64]",
        "  dtype: audio_encoder.conv1.bias is I8, expected one of F64, F32, F16, BF16",
        "  missing: lm_head.weight [512, 96]",
        "  surplus: 'zz\\x1b[31m' [2]",
    ]
    assert first.startswith(
        f"{folder}: 4 of its tensors are not those its config.json describes (an encoder of 2 layers"
    )


@pytest.mark.parametrize("kept", [0, 7, 100, 5_000, -1])
def test_a_file_cut_short_is_named(sharded, kept):
    file = sorted(sharded.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(sharded).startswith(f"{file} cannot be read as safetensors")


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "a\0.safetensors", "..\\x.safetensors"]
)
def test_an_index_names_only_files_of_its_folder(sharded, name):
    shutil.copy(next(sharded.glob("*.safetensors")), sharded.parent / "x.safetensors")
    change_index(sharded, lambda weight_map: weight_map.update({"lm_head.weight": name}))
    assert "is not the name of a file in it" in refusal(sharded)


@pytest.mark.parametrize("name", [WHOLE, INDEX, "config.json", "model-00001-of-00004.safetensors"])
def test_a_link_out_of_the_folder_is_refused(sharded, folder, tmp_path, name):
    place = folder if name == WHOLE else sharded
    files = sorted(path.name for path in place.glob("*.safetensors"))
    path = place / (files[0] if name.endswith("4.safetensors") else name)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert "is a link that leads out of the folder" in refusal(place)


def test_a_link_that_leads_to_itself_is_refused(sharded):
    file = sorted(sharded.glob("*.safetensors"))[0]
    file.unlink()
    file.symlink_to(file.name)
    assert str(file) in refusal(sharded)


def test_a_tensor_in_two_shards_is_refused(sharded):
    first, second = sorted(sharded.glob("*.safetensors"))[:2]
    name = sorted(load_file(first))[0]
    save_file({**load_file(second), name: torch.zeros(1)}, second)
    assert refusal(sharded) == f"{sharded}: {name} is both in {first.name} and in {second.name}"


def test_a_shard_that_is_not_there_is_named(sharded):
    file = sorted(sharded.glob("*.safetensors"))[2]
    file.unlink()
    assert f"names {file.name}, which is not there" in refusal(sharded)


def test_an_index_that_disagrees_with_its_shards_is_refused(sharded):
    last = sorted(path.name for path in sharded.glob("*.safetensors"))[-1]
    change_index(sharded, lambda weight_map: weight_map.update({"made.up": last}))
    assert f"made.up: {last} has none" in refusal(sharded)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 200_000, "\xff\xfe", '{"weight_map": {"a": 3}}'])
def test_a_broken_index_or_config_is_one_sentence(sharded, text):
    for name in (INDEX, "config.json"):
        kept = (sharded / name).read_bytes()
        (sharded / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(EarmarkError) as caught:
            load(sharded)
        assert str(caught.value).startswith(str(sharded / name))
        assert "\n" not in str(caught.value)
        (sharded / name).write_bytes(kept)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("language_config", "num_hidden_layers", 10**9),
        ("audio_config", "encoder_layers", 10**9),
        ("language_config", "vocab_size", 10**15),
        ("language_config", "hidden_size", 10**30),
        (None, "adapter_hidden_size", 10**18),
        (None, "adapter_hidden_size", float("inf")),
        (None, "adapter_hidden_size", float("nan")),
    ],
)
def test_a_config_that_asks_for_the_impossible_is_refused_before_anything_is_set_up(folder, section, name, value):
    config = json.loads((folder / "config.json").read_text())
    (config[section] if section else config)[name] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        load(folder)
    assert "config.json" in str(caught.value)


VALUES = (None, True, 0, -1, 3, 2.5, float("inf"), float("nan"), 10**40, "x", [], [1], [[1]], [True], {}, {"a": 1})
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rope_scaling": None}


@pytest.mark.parametrize("section", [None, "audio_config", "language_config"])
def test_whatever_a_config_holds_is_taken_or_refused_in_one_sentence(section):
    sound = TINY.to_json()
    sound["language_config"] |= ROPE | {"use_sliding_window": False}
    assert ModelConfig.from_json(sound) == TINY
    refusals = []
    for name in sound[section] if section else sound:
        for value in VALUES:
            changed = {**sound, section: {**sound[section], name: value}} if section else {**sound, name: value}
            try:
                parameters(ModelConfig.from_json(changed))
            except ConfigError as error:
                refusals.append(str(error))
    assert len(refusals) > 50
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("rope", [{"type": "yarn", "factor": 4.0}, {"rope_type": "linear"}, [4.0], "yarn"])
@pytest.mark.parametrize("name", ["rope_scaling", "rope_parameters"])
def test_positions_that_are_stretched_are_refused(name, rope):
    sound = TINY.to_json()
    sound["language_config"][name] = rope
    with pytest.raises(ConfigError, match=f"language_config.{name}"):
        ModelConfig.from_json(sound)


def test_a_config_of_more_layers_than_there_are_tensors_is_refused_before_they_are_set_up(folder):
    config = json.loads((folder / "config.json").read_text())
    config["language_config"]["num_hidden_layers"] = 100_000
    (folder / "config.json").write_text(json.dumps(config))
    assert "describes 100,002 layers" in refusal(folder)


def test_an_index_that_lacks_a_tensor_of_its_shards_is_refused(sharded):
    change_index(sharded, lambda weight_map: weight_map.pop("audio_encoder.conv1.bias"))
    first = sorted(path.name for path in sharded.glob("*.safetensors"))[0]
    assert f"audio_encoder.conv1.bias: {first} has one the index does not name" in refusal(sharded)


def test_a_folder_called_blobs_is_not_yet_a_cache(sharded, tmp_path):
    (tmp_path / "blobs").mkdir()
    file = sorted(sharded.glob("*.safetensors"))[0]
    file.rename(tmp_path / "blobs" / file.name)
    file.symlink_to(tmp_path / "blobs" / file.name)
    assert "leads out of the folder" in refusal(sharded)


def test_a_name_that_only_resembles_the_stored_positions_is_a_difference(model, folder):
    save_file({**model.state_dict(), "audio_encoder.inv_timescales.weight": torch.zeros(2)}, folder / WHOLE)
    assert "surplus: audio_encoder.inv_timescales.weight [2]" in refusal(folder)


def test_json_beyond_all_measure_is_not_read(folder):
    with (folder / "config.json").open("r+b") as file:
        file.truncate(weights.MAX_JSON_BYTES + 1)
    assert "is larger than 64 MiB" in refusal(folder)


def test_calls_that_cannot_be_meant_are_refused(model, folder, tmp_path):
    with pytest.raises(ValueError, match=r"dtype is torch\.int8"):
        load(folder, dtype=torch.int8)
    with pytest.raises(ValueError, match="shard_bytes is 0"):
        save(model, tmp_path / "c", config=SMALLEST, shard_bytes=0)
    assert not (tmp_path / "c").exists()


def test_a_folder_without_weights_says_so(folder, tmp_path):
    (folder / WHOLE).unlink()
    assert refusal(folder) == f"{folder} holds neither {WHOLE} nor {INDEX}"
    (folder / WHOLE).mkdir()
    assert refusal(folder) == f"{folder / WHOLE} is no file"
    assert "config.json is not there" in refusal(tmp_path / "nowhere")


def test_a_pointer_of_git_lfs_is_told_from_weights(folder):
    (folder / WHOLE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refusal(folder)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return (Path.touch, (self.sprung,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", WHOLE, "shard"])
@pytest.mark.parametrize("zipped", [False, True])
def test_nothing_pickled_is_ever_opened(sharded, folder, tmp_path, name, zipped):
    sprung = tmp_path / "sprung"
    planted = tmp_path / "planted"
    torch.save({"w": Trap(sprung)}, planted) if zipped else planted.write_bytes(pickle.dumps(Trap(sprung)))
    place = sharded if name == "shard" else folder
    target = sorted(sharded.glob("*.safetensors"))[0] if name == "shard" else folder / name
    (folder / WHOLE).unlink()
    shutil.copy(planted, target)
    message = refusal(place)
    assert ("never opened" if target.suffix == ".safetensors" else "is never done") in message
    assert target.name in message
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap works where it is opened"
