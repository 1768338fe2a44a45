"""Checkpoints: folders in the layout the published models have, read and written.

    config.json, model.safetensors                 or, above 5 GB, model-00001-of-0000N.safetensors
                                                   and model.safetensors.index.json
    processor_config.json, tokenizer.json, ...     companions (`model.companions`)

    model = load(source)
    save(model, folder, config=model.config, source=source)     a checkpoint again, with all that stood beside it

Tensors carry the published names, so files go both ways without a conversion.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model import companions, weights
from model.config import ModelConfig
from model.folders import written_whole
from model.memory import parameters
from model.model import AudioLM
from model.tokens import PROCESSOR_FILE
from model.weights import StoredTensor, inside, json_object, shown
from schemas.errors import CheckpointError

CONFIG = "config.json"
SHARD_BYTES = 5_000_000_000
MAX_PARAMETERS = 1 << 40
IGNORED = "inv_timescales"
"""The encoder's table of positions, which some checkpoints store: it is computed here."""


def read_config(folder: Path) -> ModelConfig:
    """The config of a checkpoint; the audio placeholder's id may stand in `processor_config.json` instead.

    Raises CheckpointError where a file cannot be read and ConfigError where it holds what this code does not have.
    """
    path = inside(folder, CONFIG)
    found = json_object(path)
    if "audio_token_id" not in found and (folder / PROCESSOR_FILE).exists():
        processor = inside(folder, PROCESSOR_FILE)
        audio_token_id = json_object(processor).get("audio_token_id")
        if audio_token_id is not None and type(audio_token_id) is not int:
            raise CheckpointError(
                f"{processor}: audio_token_id is {shown(str(audio_token_id))}, which is no whole number"
            )
        if audio_token_id is not None:
            found = {**found, "audio_token_id": audio_token_id}
    return ModelConfig.from_json(found, where=str(path))


def load(
    folder: Path,
    *,
    config: ModelConfig | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> AudioLM:
    """The model a folder holds, with dropout off. `dtype` None keeps each tensor as it is stored.

    `config` takes the place of the folder's own, to change what is no matter of weights: where the encoder's attention
    reaches, or an id. `progress` hears how many of how many bytes are read. Raises what `read_config` does, and
    CheckpointError where the weights cannot be read or are not those the config describes: it lists every difference.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype is {dtype}; weights are floating-point numbers")
    whose = f"its {CONFIG} describes" if config is None else "of the config asked for"
    config = config or read_config(folder)
    found = {name: stored for name, stored in weights.find(folder).items() if name.split(".")[-1] != IGNORED}
    _check_size(config, len(found), folder)
    model = _described(config)
    check_same(found, _shapes(model), folder, f"{whose} ({_summary(config)})")
    model.load_state_dict(
        dict(weights.read(found, dtype=dtype, device=device, progress=progress)), strict=True, assign=True
    )
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())), "a tensor without values"
    return model.eval()


def save(
    model: nn.Module | Mapping[str, Tensor],
    folder: Path,
    *,
    config: ModelConfig,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    source: Path | None = None,
    write_companions: Callable[[Path], None] | None = None,
    replace: bool = False,
) -> None:
    """Writes a checkpoint that appears under its name only when it is whole. The same weights give the same files.

    `dtype` None keeps each tensor's own. `source` is the checkpoint the model was loaded from: its companions are
    copied and the other keys of its `config.json` kept, so that what opens the one opens the other. It may be `folder`.
    `write_companions` is given the folder before it has its name. Raises CheckpointError where `model` is not what
    `config` describes or the folder cannot be written; one that holds something only gives way to `replace`, and only
    if it is a checkpoint.
    """
    held = model.state_dict() if isinstance(model, nn.Module) else model
    expected = expected_shapes(config)
    _check_held(held, expected, folder)
    ordered = {name: held[name] for name in expected}
    body = _merged(json_object(inside(source, CONFIG)) if source else {}, config.to_json(_dtype_name(ordered, dtype)))
    with written_whole(folder, replaces=CONFIG if replace else None) as unnamed:
        weights.write(ordered, unnamed, dtype=dtype, shard_bytes=shard_bytes)
        if source:
            companions.copy(source, unnamed)
        if write_companions:
            write_companions(unnamed)
        (unnamed / CONFIG).write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model of this config by its published name, in the model's order."""
    return _shapes(_described(config))


def check_same(
    found: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]], folder: Path, wanted: str
) -> None:
    """Raises CheckpointError that lists every difference between what files hold and what is `wanted`."""
    differences = []
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            differences.append(f"missing: {name} {list(expected[name])}")
        elif name not in expected:
            differences.append(f"surplus: {shown(name)} {list(found[name].shape)}")
        elif found[name].shape != expected[name]:
            differences.append(f"shape: {name} is {list(found[name].shape)}, expected {list(expected[name])}")
        elif found[name].kind not in weights.DTYPES:
            differences.append(f"dtype: {name} is {found[name].kind}, expected one of {', '.join(weights.DTYPES)}")
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise CheckpointError(f"{folder}: {len(differences):,} of its tensors are not those {wanted}:{lines}")


def _described(config: ModelConfig) -> AudioLM:
    """A model without values."""
    with torch.device("meta"):
        return AudioLM(config)


def _shapes(model: AudioLM) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check_size(config: ModelConfig, num_tensors: int, folder: Path) -> None:
    """Before a model of that size is set up: a config may say anything."""
    num_layers = config.audio_config.encoder_layers + config.language_config.num_hidden_layers
    if num_layers > num_tensors:
        raise CheckpointError(
            f"{folder / CONFIG} describes {num_layers:,} layers and the weights beside it are {num_tensors:,} tensors; "
            "they belong to different models"
        )
    if (total := parameters(config).total) > MAX_PARAMETERS:
        raise CheckpointError(f"{folder / CONFIG} describes {total:,} parameters; is it damaged?")


def _check_held(held: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], folder: Path) -> None:
    wrong = [name for name in held.keys() | expected.keys() if _shape_in(held, name) != expected.get(name)]
    if wrong:
        lines = "".join(f"\n  {name}: {_shape_in(held, name)}, expected {expected.get(name)}" for name in sorted(wrong))
        raise CheckpointError(f"{folder} is not written: the model is not what its config describes:{lines}")


def _shape_in(held: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(held[name].shape) if name in held else None


def _summary(config: ModelConfig) -> str:
    audio, language = config.audio_config, config.language_config
    return (
        f"an encoder of {audio.encoder_layers} layers {audio.d_model} wide, {config.num_taps} taps, "
        f"a language model of {language.num_hidden_layers} layers {language.hidden_size} wide and "
        f"{language.vocab_size:,} tokens"
    )


def _dtype_name(held: Mapping[str, Tensor], dtype: torch.dtype | None) -> str:
    """What `config.json` calls the weights: the kind most of them are."""
    if dtype is None:
        counts: dict[torch.dtype, int] = {}
        for tensor in held.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
        dtype = max(counts, key=lambda kind: counts[kind])
    return str(dtype).removeprefix("torch.")


def _merged(source: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """`ours` over `source`, section by section. No section keeps the precision of other weights."""
    merged = {key: value for key, value in source.items() if key in ours or key not in ("dtype", "torch_dtype")}
    for key, value in ours.items():
        nested = isinstance(value, Mapping) and isinstance(source.get(key), Mapping)
        merged[key] = _merged(source[key], value) if nested else value
    return merged
