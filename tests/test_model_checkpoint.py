"""Checkpoints: the published tensors and files, read and written, whole or not at all."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from model.checkpoint import expected_shapes, load, read_config, save
from model.config import Scope
from model.initialise import fresh
from model.sizes import MOSS_4B, MOSS_8B, TINY
from schemas.errors import CheckpointError
from tests.checkpoints import INDEX, SMALLEST, WHOLE, bits, folder, model, same, sharded

ROOT = Path(__file__).parents[1]
PARITY = ROOT.parent / "shared" / "parity" / "block_4s"


# ------------------------------------------------------------------------------------------ the published tensors


def published(hidden: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a released checkpoint whose language model is `hidden` wide."""
    table: dict[str, tuple[int, ...]] = {}
    for name, shape in (("conv1", (480, 1, 3, 3)), ("conv2", (480, 480, 3, 3)), ("conv3", (480, 480, 3, 3))):
        table |= {f"audio_encoder.{name}.weight": shape, f"audio_encoder.{name}.bias": (480,)}
    table |= {"audio_encoder.stem_proj.weight": (1280, 7680), "audio_encoder.stem_proj.bias": (1280,)}
    norms = [f"audio_encoder.layers.{i}.{n}" for i in range(32) for n in ("self_attn_layer_norm", "final_layer_norm")]
    for name in [*norms, "audio_encoder.layer_norm"]:
        table |= {f"{name}.weight": (1280,), f"{name}.bias": (1280,)}
    for i in range(32):
        layer = f"audio_encoder.layers.{i}"
        table |= {f"{layer}.self_attn.{n}_proj.weight": (1280, 1280) for n in ("q", "k", "v", "out")}
        table |= {f"{layer}.self_attn.{n}_proj.bias": (1280,) for n in ("q", "v", "out")}
        table |= {f"{layer}.fc1.weight": (5120, 1280), f"{layer}.fc1.bias": (5120,)}
        table |= {f"{layer}.fc2.weight": (1280, 5120), f"{layer}.fc2.bias": (1280,)}
    for name in ("audio_adapter", *(f"deepstack_audio_merger_list.{i}" for i in range(3))):
        table |= {f"{name}.gate_proj.weight": (8192, 1280), f"{name}.up_proj.weight": (8192, 1280)}
        table[f"{name}.down_proj.weight"] = (hidden, 8192)
    for i in range(36):
        layer = f"language_model.layers.{i}"
        table |= {f"{layer}.input_layernorm.weight": (hidden,), f"{layer}.post_attention_layernorm.weight": (hidden,)}
        table[f"{layer}.self_attn.q_proj.weight"] = (4096, hidden)
        table |= {f"{layer}.self_attn.{n}_proj.weight": (1024, hidden) for n in ("k", "v")}
        table[f"{layer}.self_attn.o_proj.weight"] = (hidden, 4096)
        table |= {f"{layer}.self_attn.{n}_norm.weight": (128,) for n in ("q", "k")}
        table |= {f"{layer}.mlp.gate_proj.weight": (inner, hidden), f"{layer}.mlp.up_proj.weight": (inner, hidden)}
        table[f"{layer}.mlp.down_proj.weight"] = (hidden, inner)
    table["language_model.norm.weight"] = (hidden,)
    return table | {"language_model.embed_tokens.weight": (151_936, hidden), "lm_head.weight": (151_936, hidden)}


def numbers(table: dict[str, tuple[int, ...]], prefix: str = "") -> int:
    return sum(torch.Size(shape).numel() for name, shape in table.items() if name.startswith(prefix))


@pytest.mark.parametrize(
    ("config", "table", "total"),
    [
        pytest.param(MOSS_4B, published(2560, 9728), 5_222_820_736, id="4b"),
        pytest.param(MOSS_8B, published(4096, 12_288), 9_052_463_488, id="8b"),
    ],
)
def test_the_tensors_are_the_published_ones(config, table, total):
    shapes = expected_shapes(config)
    assert shapes == table
    assert len(shapes) == 901
    assert numbers(shapes) == total
    assert numbers(shapes, "audio_encoder.") == 643_624_320


@pytest.mark.skipif(not PARITY.is_dir(), reason="the reference activations are not beside this checkout")
def test_weights_written_by_the_published_code_load():
    loaded = load(PARITY)
    stored = load_file(PARITY / WHOLE)
    assert loaded.state_dict().keys() == stored.keys()
    assert all(bits(tensor) == bits(stored[name]) for name, tensor in loaded.state_dict().items())


# ------------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shard_bytes", [1, 150_000, 10**9])
def test_what_is_saved_is_loaded_bit_for_bit(model, tmp_path, dtype, shard_bytes):
    original = fresh(SMALLEST, seed=1, dtype=dtype)
    save(original, tmp_path / "c", config=SMALLEST, shard_bytes=shard_bytes)
    assert same(load(tmp_path / "c"), original)
    assert read_config(tmp_path / "c") == SMALLEST


def test_saving_and_loading_convert_as_the_tensors_themselves_do(model, folder, tmp_path):
    save(model, tmp_path / "half", config=SMALLEST, dtype=torch.bfloat16)
    assert same(load(tmp_path / "half"), load(folder, dtype=torch.bfloat16))
    assert same(load(folder, dtype=torch.bfloat16), fresh(SMALLEST, seed=1, dtype=torch.bfloat16))
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_loaded_model_has_no_dropout_and_its_weights_can_learn(folder):
    loaded = load(folder)
    assert not any(module.training for module in loaded.modules())
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_a_config_beside_the_folders_own_changes_what_is_no_matter_of_weights(model, folder):
    full = dataclasses.replace(SMALLEST, encoder_attention=Scope.FULL, audio_token_id=9)
    loaded = load(folder, config=full)
    assert loaded.config == full
    assert same(loaded, model)
    with pytest.raises(CheckpointError, match=r"not those of the config asked for \(an encoder of 6 layers"):
        load(folder, config=TINY)


def test_a_loaded_model_stays_as_it_is_when_its_file_changes(model, folder):
    loaded = load(folder)
    with (folder / WHOLE).open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\xff" * 1000)
    assert same(loaded, model)


def test_the_same_weights_give_the_same_files(model, sharded, tmp_path):
    save(load(sharded), tmp_path / "again", config=SMALLEST, shard_bytes=200_000)
    backwards = dict(reversed(model.state_dict().items()))
    save(backwards, tmp_path / "backwards", config=SMALLEST, shard_bytes=200_000)
    for other in ("again", "backwards"):
        files = {path.name: path.read_bytes() for path in (tmp_path / other).iterdir()}
        assert files == {path.name: path.read_bytes() for path in sharded.iterdir()}


def test_shards_are_laid_out_as_published(model, sharded):
    index = json.loads((sharded / INDEX).read_text())
    files = sorted(sharded.glob("*.safetensors"))
    assert [file.name for file in files] == [
        f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)
    ]
    assert index["metadata"]["total_size"] == sum(4 * tensor.numel() for tensor in model.state_dict().values())
    by_file = {file.name: load_file(file) for file in files}
    assert index["weight_map"] == {name: file for file, tensors in by_file.items() for name in tensors}
    assert all(sum(t.numel() * 4 for t in held.values()) <= 200_000 or len(held) == 1 for held in by_file.values())
    with safe_open(files[0], framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_whoever_may_read_the_config_may_read_the_weights(sharded):
    assert len({path.stat().st_mode for path in sharded.iterdir()}) == 1


def test_weights_that_are_views_of_larger_ones_are_saved_alone(model, tmp_path):
    views = {name: torch.stack([tensor, tensor + 1])[0] for name, tensor in model.state_dict().items()}
    turned = {name: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor for name, tensor in views.items()}
    save(turned, tmp_path / "c", config=SMALLEST)
    assert same(load(tmp_path / "c"), model)


def test_what_is_trained_is_saved_with_all_that_stood_beside_its_source(sharded, tmp_path):
    config = json.loads((sharded / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "ü"}, "transformers_version": "4.57.1", "adapter_hidden_size": 112}
    config["language_config"] |= {"use_cache": True, "torch_dtype": "float64"}
    (sharded / "config.json").write_text(json.dumps(config))
    beside = {"tokenizer.json": b"{}", "processing_moss_audio.py": b"raise SystemExit", "merges.txt": b"\xff\r\n"}
    for name, data in beside.items():
        (sharded / name).write_bytes(data)
    trained = load(sharded)
    with torch.no_grad():
        trained.lm_head.weight += 1
    save(trained, tmp_path / "c", config=trained.config, source=sharded, dtype=torch.bfloat16)
    found = json.loads((tmp_path / "c" / "config.json").read_text())
    assert {name: found[name] for name in ("auto_map", "transformers_version", "dtype", "torch_dtype")} == {
        **{"auto_map": {"AutoConfig": "ü"}, "transformers_version": "4.57.1"},
        **{"dtype": "bfloat16", "torch_dtype": "bfloat16"},
    }
    text = (tmp_path / "c" / "config.json").read_text(encoding="utf-8")
    assert "ü" in text
    assert found["language_config"]["use_cache"] is True
    assert "torch_dtype" not in found["language_config"], "it would be that of other weights"
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"config.json", WHOLE, *beside}
    assert all((tmp_path / "c" / name).read_bytes() == data for name, data in beside.items())
    assert same(load(tmp_path / "c"), trained.to(torch.bfloat16))
    save(load(tmp_path / "c"), tmp_path / "c", config=SMALLEST, source=tmp_path / "c", replace=True)  # onto itself
    assert same(load(tmp_path / "c"), trained)
    assert (tmp_path / "c" / "config.json").read_text(encoding="utf-8") == text
    assert all((tmp_path / "c" / name).read_bytes() == data for name, data in beside.items())


def test_ours_are_new_where_the_source_says_otherwise(model, folder, tmp_path):
    full = dataclasses.replace(SMALLEST, encoder_attention=Scope.FULL)
    save(model, tmp_path / "c", config=full, source=folder)
    assert read_config(tmp_path / "c") == full


def test_a_source_that_is_none_leaves_nothing_half_written(model, folder, tmp_path):
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is not there"):
        save(model, tmp_path / "c", config=SMALLEST, source=folder)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_precision_told_is_that_of_most_numbers(model, tmp_path):
    """Most tensors are small: norms and biases."""
    mixed = {name: t.bfloat16() if t.numel() > 5_000 else t for name, t in model.state_dict().items()}
    assert sum(t.dtype == torch.bfloat16 for t in mixed.values()) < len(mixed) / 2
    save(mixed, tmp_path / "c", config=SMALLEST)
    assert json.loads((tmp_path / "c" / "config.json").read_text())["dtype"] == "bfloat16"


def test_progress_counts_every_byte_once(sharded):
    heard: list[tuple[int, int]] = []
    loaded = load(sharded, progress=lambda done, total: heard.append((done, total)))
    total_bytes = sum(4 * tensor.numel() for tensor in loaded.state_dict().values())
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    assert heard[-1] == (total_bytes, total_bytes)


def test_stored_positions_are_passed_over(model, folder):
    name = "audio_encoder.embed_positions.inv_timescales"
    save_file({**model.state_dict(), name: torch.zeros(32)}, folder / WHOLE)
    assert same(load(folder), model)


def test_the_placeholder_may_stand_with_the_processor(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["audio_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "processor_config.json").write_text('{"audio_token_id": 77}')
    assert read_config(folder).audio_token_id == 77
    config["audio_token_id"] = 78
    (folder / "config.json").write_text(json.dumps(config))
    assert read_config(folder).audio_token_id == 78, "the config's own goes before"
    del config["audio_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "processor_config.json").write_text('{"audio_token_id": "\\u001b[31m"}')
    with pytest.raises(CheckpointError, match=r"processor_config.json: audio_token_id is '\\x1b\[31m'"):
        load(folder)


def test_a_cache_of_links_to_blobs_loads(model, sharded, tmp_path):
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
    shutil.copytree(sharded, blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    assert same(load(snapshot), model)


MEASURED = """
import dataclasses, resource, sys
from pathlib import Path
import torch
from model.checkpoint import load, save
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
torch.set_num_threads(1)
before = peak()
model = load(Path(sys.argv[1]))
loaded = peak()
save(model, Path(sys.argv[2]), config=model.config, dtype=torch.float16, shard_bytes=20_000_000)
print(sum(4 * p.numel() for p in model.parameters()), loaded - before, peak() - loaded)
"""


@pytest.mark.slow
def test_a_model_is_in_memory_once_when_loaded_and_saved(tmp_path):
    language = dataclasses.replace(
        TINY.language_config, vocab_size=8192, hidden_size=1024, intermediate_size=3072, num_hidden_layers=4
    )
    config = dataclasses.replace(TINY, language_config=language)
    zeros = {name: torch.ones(shape) for name, shape in expected_shapes(config).items()}
    save(zeros, tmp_path / "c", config=config, shard_bytes=100_000_000)
    command = [sys.executable, "-c", MEASURED, tmp_path / "c", tmp_path / "again"]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    weights_bytes, loading_bytes, saving_bytes = map(int, ran.stdout.split())
    assert weights_bytes > 200_000_000
    assert loading_bytes < 1.2 * weights_bytes
    assert saving_bytes < 0.2 * weights_bytes, "a shard of a tenth at a time"
