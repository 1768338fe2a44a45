"""What the model must compute and read, by formula, and what the data sheets say a device can.

A product of (m, k) and (k, n) is 2 m k n operations; norms, activations and rotations are not counted.

Model FLOPs utilisation (MFU, arXiv:2204.02311, appendix B) is `training_flops` of a step, by its seconds, by
`peak_flops` of all devices together. What is computed twice to save memory counts once, and padding not at all.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import torch
from torch import nn

from model.config import LanguageConfig, ModelConfig, Scope
from model.frames import Row, halved, num_audio_tokens, rows

MEASURED_SIDE = 2048
MEASURED_TIMES = 5


class Part(StrEnum):
    """The parts of a model that learn or not."""

    ENCODER = "audio_encoder"
    ADAPTER = "audio_adapter"
    MERGERS = "deepstack_audio_merger_list"
    EMBEDDING = "language_model.embed_tokens"
    LANGUAGE = "language_model"
    HEAD = "lm_head"


ALL_LEARN: Mapping[Part, float] = dict.fromkeys(Part, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A device's peaks as its maker states them: dense products, no sparsity."""

    bfloat16_flops: float
    float32_flops: float
    bytes_per_s: float
    source: str


SHEETS = {
    "H200": Sheet(
        bfloat16_flops=989.4e12, float32_flops=66.9e12, bytes_per_s=4.8e12, source="NVIDIA H200 data sheet, SXM"
    ),
    "H100 PCIe": Sheet(
        bfloat16_flops=756e12, float32_flops=51e12, bytes_per_s=2.0e12, source="NVIDIA H100 data sheet, PCIe"
    ),
    "H100": Sheet(
        bfloat16_flops=989.4e12, float32_flops=66.9e12, bytes_per_s=3.35e12, source="NVIDIA H100 data sheet, SXM"
    ),
    "A100-SXM4-40GB": Sheet(
        bfloat16_flops=312e12, float32_flops=19.5e12, bytes_per_s=1.555e12, source="NVIDIA A100 data sheet, SXM 40 GB"
    ),
    "A100-SXM4-80GB": Sheet(
        bfloat16_flops=312e12, float32_flops=19.5e12, bytes_per_s=2.039e12, source="NVIDIA A100 data sheet, SXM 80 GB"
    ),
}


def sheet_of(device_name: str) -> Sheet | None:
    """The data sheet of a device by the name its driver gives; None for one not listed."""
    return next((sheet for part, sheet in SHEETS.items() if part in device_name), None)


def peak_flops(device: torch.device | str) -> float | None:
    """What the data sheet of a CUDA device says it does in bfloat16; None for one not listed, and for a CPU."""
    if torch.device(device).type != "cuda":
        return None
    sheet = sheet_of(torch.cuda.get_device_name(device))
    return None if sheet is None else sheet.bfloat16_flops


@cache
def measured_cpu_flops(dtype: torch.dtype = torch.float32) -> float:
    """What this process reaches in a large matrix product, the best of a few: the peak of a CPU, which has no sheet."""
    chance = torch.Generator().manual_seed(0)  # its own: a run's draws are not to depend on what is measured
    left, right = (torch.randn(MEASURED_SIDE, MEASURED_SIDE, generator=chance).to(dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(MEASURED_TIMES):
        begun = time.perf_counter()
        torch.mm(left, right)
        best_s = min(best_s, time.perf_counter() - begun)
    return 2 * MEASURED_SIDE**3 / best_s


def learning(model: nn.Module) -> dict[Part, float]:
    """What share of each part's numbers is to be learnt: 0 for one that is frozen, little for one with LoRA."""
    held, learnt = dict.fromkeys(Part, 0), dict.fromkeys(Part, 0)
    for name, weight in model.named_parameters():
        part = next(part for part in Part if f".{part}." in f".{name}")
        held[part] += weight.numel()
        learnt[part] += weight.numel() * weight.requires_grad
    return {part: learnt[part] / max(1, held[part]) for part in Part}


def training_flops(
    config: ModelConfig,
    documents: Sequence[int],
    frames: Sequence[int],
    num_targets: int,
    *,
    trained: Mapping[Part, float] = ALL_LEARN,
) -> float:
    """Operations of the forward and the backward pass of one step.

    `documents` are the tokens of each of the sequences packed together, audio placeholders among them, `frames` the mel
    frames of each audio, `num_targets` the positions that have a target: the head looks at no others. `trained` is what
    share of each part learns (`learning`).

    The backward pass takes as much as the forward pass once for the gradients of the weights that learn, and once for
    those of a part's input where anything before it learns. Attention, which has no weights, takes twice as much.
    """
    share = {part: trained.get(part, 0.0) for part in Part}
    language = config.language_config
    layers = language.num_hidden_layers * 2 * layer_parameters(language) * sum(documents)
    attention = sum(_causal_attention_flops(language, tokens) for tokens in documents)
    head = 2 * language.hidden_size * language.vocab_size * num_targets
    first_conv, encoder, encoder_attention = (
        sum(values) for values in zip((0.0, 0.0, 0.0), *(_encoder_flops(config, each) for each in frames), strict=True)
    )
    adapter = sum(_adapter_flops(config, each) for each in frames)
    adapter_out = sum(_adapter_out_flops(config, each) for each in frames)

    into_adapters = share[Part.ENCODER] > 0
    into_language = into_adapters or any(share[part] > 0 for part in (Part.ADAPTER, Part.MERGERS, Part.EMBEDDING))
    into_head = into_language or share[Part.LANGUAGE] > 0
    forward = first_conv + encoder + encoder_attention + (1 + config.num_taps) * adapter + layers + attention + head
    weights = (
        share[Part.ENCODER] * (first_conv + encoder)
        + (share[Part.ADAPTER] + config.num_taps * share[Part.MERGERS]) * adapter
        + share[Part.LANGUAGE] * layers
        + share[Part.HEAD] * head
    )
    inputs = into_head * (head + 2 * attention + layers)
    if into_adapters:
        inputs += encoder + 2 * encoder_attention + (1 + config.num_taps) * adapter
    else:  # one that learns passes gradients on within itself
        inputs += ((share[Part.ADAPTER] > 0) + (share[Part.MERGERS] > 0) * config.num_taps) * adapter_out
    return forward + weights + inputs


def layer_parameters(language: LanguageConfig) -> int:
    """Weights of the matrix products of one language layer."""
    E, K = language.hidden_size, language.head_dim
    heads = 2 * language.num_attention_heads + 2 * language.num_key_value_heads  # queries and output, keys and values
    return E * K * heads + 3 * E * language.intermediate_size


def prefill_flops(config: ModelConfig, batch: int, tokens: int) -> float:
    """2 x parameters for each token; causal attention, 4 x width for each pair that sees; one row of logits each."""
    language = config.language_config
    layers = language.num_hidden_layers * 2 * layer_parameters(language) * tokens
    attention = _causal_attention_flops(language, tokens)
    return batch * (layers + attention + 2 * language.hidden_size * language.vocab_size)


def decode_bytes(config: ModelConfig, batch: int, room_tokens: int, bytes_each: int) -> float:
    """Read for one step: every weight of the layers and the head once, and all of the cache."""
    language = config.language_config
    weights = language.num_hidden_layers * layer_parameters(language) + language.hidden_size * language.vocab_size
    return bytes_each * (weights + cache_values(language, batch, room_tokens))


def cache_values(language: LanguageConfig, batch: int, room_tokens: int) -> int:
    width = language.num_key_value_heads * language.head_dim
    return 2 * language.num_hidden_layers * batch * room_tokens * width


def hear_flops(config: ModelConfig, num_frames: int) -> float:
    """The encoder over one audio and the adapters behind it."""
    return sum(_encoder_flops(config, num_frames)) + (1 + config.num_taps) * _adapter_flops(config, num_frames)


def _causal_attention_flops(language: LanguageConfig, tokens: int) -> float:
    """Of all layers, over one sequence: 4 x width for each pair of a token and itself or one before it."""
    pairs = tokens * (tokens + 1) / 2
    return language.num_hidden_layers * 4 * language.num_attention_heads * language.head_dim * pairs


def _encoder_flops(config: ModelConfig, num_frames: int) -> tuple[float, float, float]:
    """Over one audio: its first convolution, its other products, and its attention."""
    audio = config.audio_config
    heard = rows(num_frames, audio.block_frames if config.encoder_attention is Scope.BLOCK_4S else None)
    first_conv, stem = (sum(values) for values in zip(*(_stem_flops(config, row) for row in heard), strict=True))
    D, tokens = audio.d_model, num_audio_tokens(num_frames)
    layers = audio.encoder_layers * 2 * (4 * D * D + 2 * D * audio.encoder_ffn_dim) * tokens
    num_states = 1 + len(audio.deepstack_encoder_layer_indexes)
    widen = 0 if audio.output_dim == D else num_states * 2 * D * audio.output_dim * tokens
    attention = audio.encoder_layers * 4 * D * sum(_pairs(config, row.num_tokens) for row in heard)
    return first_conv, stem + layers + widen, attention


def _adapter_flops(config: ModelConfig, num_frames: int) -> float:
    """One adapter over the tokens of one audio; mergers are of the same shape."""
    into = 2 * 2 * config.audio_config.output_dim * config.adapter_hidden_size * num_audio_tokens(num_frames)
    return into + _adapter_out_flops(config, num_frames)


def _adapter_out_flops(config: ModelConfig, num_frames: int) -> float:
    """The last of an adapter's three products."""
    return 2 * config.adapter_hidden_size * config.language_config.hidden_size * num_audio_tokens(num_frames)


def _pairs(config: ModelConfig, tokens: int) -> int:
    """Pairs of tokens an attention over them works on."""
    if config.encoder_attention is Scope.SLIDING_WINDOW:
        return tokens * min(tokens, 2 * config.audio_config.encoder_attention_window_size)
    return tokens * tokens


def _stem_flops(config: ModelConfig, row: Row) -> tuple[int, int]:
    """The first convolution, which needs no gradient of its input; the two others and the projection."""
    audio = config.audio_config
    C, bands, frames, channels = audio.downsample_hidden_size, audio.num_mel_bins, row.extent, 1
    convs = []
    for _ in range(3):
        bands, frames = halved(bands), halved(frames)
        convs.append(2 * 9 * channels * C * bands * frames)
        channels = C
    return convs[0], sum(convs[1:]) + 2 * C * bands * audio.d_model * frames
