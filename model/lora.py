"""Low-rank adaptation (LoRA, arXiv:2106.09685): beside a frozen matrix W learns B A, `rank` wide.

    y = W x + alpha / rank * B A x        A is drawn at random and B is zero, so nothing changes at first

`peft` computes it and its format is the one on disk. The adapted model is the same object with the same entrances;
`merged` gives its weights in the published layout.

    model = add(load(folder), LowRankConfig())                          then checkpoint_layers, compile_layers, shard
    save_adapter(model, adapter)                                        what was learnt alone
    checkpoint.save(merged(model), trained, config=model.config)        a checkpoint like any other
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from model import weights
from model.checkpoint import check_same
from model.folders import written_whole
from model.initialise import drawn
from model.model import AudioLM
from model.parallel import whole
from model.weights import inside, json_object, shown
from schemas.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NAME = "default"  # peft's for the adapter of a model that has one
BEFORE = "base_model.model."  # what stands before every name in peft's files
LANGUAGE_TARGETS = r"language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
ENCODER_TARGETS = r"audio_encoder\.layers\.\d+\.self_attn\.[qkv]_proj"

READ = frozenset({"peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora"})
UNREAD = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"}
    | {"exclude_modules", "layers_pattern", "layers_to_transform", "modules_to_save", "target_modules"}
    | {"init_lora_weights", "megatron_core", "qalora_group_size"}
)
"""What peft's config says that is no matter here: whence it comes, which weights there are (their file tells), and
what only the beginning or another setting needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRankConfig:
    """What learns: matrices of rank `rank` beside every matrix of the language layers, and more."""

    rank: int = 64
    alpha: int = 128
    """Twice the rank. Larger is a larger step, as a larger learning rate is."""
    dropout: float = 0.0
    on_encoder: bool = False
    """Also beside the encoder's queries, keys and values."""
    adapters: bool = True
    """Audio adapter and DeepStack mergers learn in full."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank is {self.rank}; it must be at least one")
        if self.alpha < 1:
            raise ConfigError(f"alpha is {self.alpha}; it must be at least one, and is often twice the rank")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be from 0 to below 1")


def add(model: AudioLM, config: LowRankConfig, seed: int = 0) -> AudioLM:
    """Puts LoRA into `model`, in place: what `config` names learns, and all else is frozen.

    A is drawn by name and `seed`. To be called before `checkpoint_layers`, `compile_layers` and `shard`. Raises
    ValueError for a model that has LoRA.
    """
    targets = f"{LANGUAGE_TARGETS}|{ENCODER_TARGETS}" if config.on_encoder else LANGUAGE_TARGETS
    full = _between(model) if config.adapters else []
    _inject(model, _Settings(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout), targets, full)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:  # as wide as peft draws it
                parameter.copy_(drawn(name, parameter.shape, seed) / math.sqrt(3 * parameter.shape[1]))
    return model


def merged(model: AudioLM) -> dict[str, Tensor]:
    """All weights by their published names, each product added in float32 and rounded once; `model` is as it was.

    What is not adapted is given as the state dict gives it. Of a sharded model all processes call it; the first is
    given the weights, on the CPU, and the others none.
    """
    scaling = {
        name: cast(Mapping[str, float], layer.scaling)[NAME]
        for name, layer in model.named_modules()
        if hasattr(layer, "lora_A")
    }
    return dict(_published(whole(model.state_dict()), scaling))


def save_adapter(model: AudioLM, folder: Path, *, replace: bool = False) -> None:
    """Writes what was learnt, in float32, as peft does: `adapter_config.json` and `adapter_model.safetensors`.

    Of a sharded model all processes call it and the first writes. The folder appears whole; one that holds something
    gives way only to `replace`, and only if it holds an adapter. Raises CheckpointError where it cannot be written,
    ValueError for a model without LoRA.
    """
    if not has_lora(model):
        raise ValueError("the model has no LoRA to save; add it first, or save the whole model")
    config = cast("dict[str, LoraConfig]", model.peft_config)[NAME]
    full = tuple(f"{name}." for name in config.modules_to_save or ())
    held = whole(
        {name: value for name, value in model.state_dict().items() if ".lora_" in name or name.startswith(full)}
    )
    if not held:
        return
    said = {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
    with written_whole(folder, replaces=CONFIG if replace else None) as unnamed:
        stored = {BEFORE + name.replace(f".{NAME}.", "."): value.cpu().contiguous() for name, value in held.items()}
        weights.write_file(stored, unnamed / WEIGHTS)
        text = json.dumps({**said, "inference_mode": True}, indent=2, sort_keys=True)
        (unnamed / CONFIG).write_text(f"{text}\n", encoding="utf-8")


def load_adapter(model: AudioLM, folder: Path) -> AudioLM:
    """Puts the adapter of `folder` into `model`, in place, to be used or to learn on; all else is frozen.

    Which matrices are adapted is told by the weights, so an adapter that peft wrote for a model of this layout opens
    too. Raises CheckpointError where it cannot be read, is no plain LoRA or is another model's; ValueError for a model
    that has LoRA.
    """
    settings = _settings(inside(folder, CONFIG))
    path = inside(folder, WEIGHTS)
    stored = weights.header(path)
    found = {name.removeprefix(BEFORE): tensor for name, tensor in stored.items()}
    low = sorted({name.partition(".lora_")[0] for name in found if ".lora_" in name})
    if not low:
        raise CheckpointError(f"{path} holds no matrices of LoRA, whose names hold .lora_A. and .lora_B.")
    full = [name for name in _between(model) if any(key.startswith(f"{name}.") for key in found)]
    wanted = f"of a LoRA of rank {settings.r} for this model"
    check_same(found, dict(_shapes(model, low, full, settings.r)), folder, wanted)
    _inject(model, settings, low, full)
    held = model.state_dict()
    for name, tensor in weights.read(stored, dtype=None, device="cpu"):
        place, is_low, rest = name.removeprefix(BEFORE).partition(".lora_")
        held[f"{place}.lora_{rest[0]}.{NAME}.weight" if is_low else place].copy_(tensor)
    return model


def has_lora(model: AudioLM) -> bool:
    return hasattr(model, "peft_config")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What is read of peft's config, by its names."""

    r: int
    lora_alpha: float
    lora_dropout: float
    use_rslora: bool = False


def _inject(model: AudioLM, settings: _Settings, targets: str | list[str], full: list[str]) -> None:
    """LoRA of zeros and whatever peft draws, in float32; modules called `full` learn whole."""
    from peft import LoraConfig, inject_adapter_in_model

    if has_lora(model):
        raise ValueError("the model has LoRA already; begin with one that has none")
    inject_adapter_in_model(LoraConfig(**dataclasses.asdict(settings), target_modules=targets), model, NAME)
    cast("dict[str, LoraConfig]", model.peft_config)[NAME].modules_to_save = full or None
    for name in full:
        model.get_submodule(name).requires_grad_(True)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:  # made in the precision of the matrix beside it
            parameter.data = parameter.data.float()
    model.train(model.training)  # new modules begin in training


def _published(held: Mapping[str, Tensor], scaling: Mapping[str, float]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in held.items():
        place, is_base, kind = name.partition(".base_layer.")
        if ".lora_" in name:
            continue
        if is_base and kind == "weight":
            low, high = (held[f"{place}.lora_{letter}.{NAME}.weight"].float() for letter in "AB")
            tensor = (tensor.float() + scaling[place] * (high @ low)).to(tensor.dtype)
        yield (f"{place}.{kind}" if is_base else name), tensor


def _between(model: AudioLM) -> list[str]:
    """Audio adapter and mergers, each by its name."""
    return ["audio_adapter", *(f"deepstack_audio_merger_list.{i}" for i in range(model.config.num_taps))]


def _shapes(model: AudioLM, low: list[str], full: list[str], rank: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What the file of an adapter holds, by name. Matrices that `model` does not have, or adapts not, are left out."""
    linear = {name: module for name, module in model.named_modules() if type(module) is nn.Linear}
    for place in low:
        if place in linear:
            yield f"{place}.lora_A.weight", (rank, linear[place].in_features)
            yield f"{place}.lora_B.weight", (linear[place].out_features, rank)
    for place in full:
        for name, tensor in model.get_submodule(place).state_dict(prefix=f"{place}.").items():
            yield name, tuple(tensor.shape)


def _settings(path: Path) -> _Settings:
    """Raises CheckpointError for all that is not LoRA as it was first described, with one rank and one alpha."""
    found = json_object(path)
    if found.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: peft_type is {shown(str(found.get('peft_type')))}; only LORA is opened")
    plain: tuple[object, ...] = (None, False, "none", {}, [])
    if odd := sorted(key for key in found.keys() - READ - UNREAD if found[key] not in plain):
        raise CheckpointError(f"{path} sets {', '.join(map(shown, odd))}; only plain LoRA is opened")
    rank, alpha, dropout = (found.get(key) for key in ("r", "lora_alpha", "lora_dropout"))
    if not (isinstance(rank, int) and rank >= 1):
        raise CheckpointError(f"{path}: r is {shown(str(rank))}; a rank is a whole number of at least one")
    if not (isinstance(alpha, int | float) and math.isfinite(alpha)):
        raise CheckpointError(f"{path}: lora_alpha is {shown(str(alpha))}; it must be a number")
    if not (isinstance(dropout, int | float) and 0 <= dropout < 1):
        raise CheckpointError(f"{path}: lora_dropout is {shown(str(dropout))}; it must be from 0 to below 1")
    return _Settings(r=rank, lora_alpha=alpha, lora_dropout=dropout, use_rslora=found.get("use_rslora") is True)
