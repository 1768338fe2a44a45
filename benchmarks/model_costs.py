"""What the model must compute and read, by formula, and what the data sheets say a device can.

A product of (m, k) and (k, n) is 2 m k n operations; norms, activations and rotations are not counted.
"""

from dataclasses import dataclass

from model.config import LanguageConfig, ModelConfig, Scope
from model.frames import Row, halved, num_audio_tokens, rows


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


def layer_parameters(language: LanguageConfig) -> int:
    """Weights of the matrix products of one language layer."""
    E, K = language.hidden_size, language.head_dim
    heads = 2 * language.num_attention_heads + 2 * language.num_key_value_heads  # queries and output, keys and values
    return E * K * heads + 3 * E * language.intermediate_size


def prefill_flops(config: ModelConfig, batch: int, tokens: int) -> float:
    """2 x parameters for each token; causal attention, 4 x width for each pair that sees; one row of logits each."""
    language = config.language_config
    pairs = tokens * (tokens + 1) / 2
    attention = 4 * language.num_attention_heads * language.head_dim * pairs
    layers = language.num_hidden_layers * (2 * layer_parameters(language) * tokens + attention)
    return batch * (layers + 2 * language.hidden_size * language.vocab_size)


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
    audio, language = config.audio_config, config.language_config
    block = audio.block_frames if config.encoder_attention is Scope.BLOCK_4S else None
    stem = sum(_stem_flops(config, row) for row in rows(num_frames, block))
    D, tokens = audio.d_model, num_audio_tokens(num_frames)
    products = 2 * (4 * D * D + 2 * D * audio.encoder_ffn_dim) * tokens
    pairs = sum(_pairs(config, row.num_tokens) for row in rows(num_frames, block))
    layers = audio.encoder_layers * (products + 4 * D * pairs)
    adapter = 2 * config.adapter_hidden_size * (2 * audio.output_dim + language.hidden_size) * tokens
    return stem + layers + (1 + config.num_taps) * adapter


def _pairs(config: ModelConfig, tokens: int) -> int:
    """Pairs of tokens an attention over them works on."""
    if config.encoder_attention is Scope.SLIDING_WINDOW:
        return tokens * min(tokens, 2 * config.audio_config.encoder_attention_window_size)
    return tokens * tokens


def _stem_flops(config: ModelConfig, row: Row) -> int:
    audio = config.audio_config
    C, bands, frames, flops, channels = audio.downsample_hidden_size, audio.num_mel_bins, row.extent, 0, 1
    for _ in range(3):
        bands, frames = halved(bands), halved(frames)
        flops += 2 * 9 * channels * C * bands * frames
        channels = C
    return flops + 2 * C * bands * audio.d_model * frames
