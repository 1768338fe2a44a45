"""What a model takes: parameters and bytes, by arithmetic on its config alone.

Letters, as in the model: C channels of the stem, M mel bands, D encoder width, G its feed-forward, L its layers;
A adapter width, X adapters (one, and one per DeepStack tap); E language width, I its feed-forward, N its layers,
V vocabulary; Q the width of all query heads, K of all key heads, H of one head. A number is S bytes.

Activations are those of the model as it stands: attention without stored scores (flash or memory-efficient kernels),
RMSNorm as torch has it, no dropout, nothing compiled. What kernels use for themselves, and memory lost to
fragmentation, comes on top: leave a tenth of the device free.
"""

from dataclasses import dataclass

from model.config import ModelConfig, Scope
from model.frames import FRAMES_PER_TOKEN, MAX_AUDIO_S, SAMPLE_RATE_HZ, num_audio_tokens, num_marker_digits
from model.frames import num_mel_frames as num_frames_of
from model.head import LOSS_TOKENS
from model.model import STEM_FRAMES

BFLOAT16_BYTES = 2
FLOAT32_BYTES = 4
PROMPT_LENGTHS_S = (30, 600, MAX_AUDIO_S)
BATCHES = (1, 16)
GPUS = (1, 8, 32)
PACK_TOKENS = 8192
SPAN_ENDS = 2  # the ids that open and close an audio span


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Numbers a model learns, part by part. The language model's last norm is counted with its layers."""

    encoder: int
    adapter: int
    mergers: int
    embedding: int
    language_layers: int
    lm_head: int

    @property
    def total(self) -> int:
        language = self.embedding + self.language_layers + self.lm_head
        return self.encoder + self.adapter + self.mergers + language


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMemory:
    """What `batch` prompts take that each hold `audio_s` seconds of sound and no text beyond its time markers."""

    audio_s: int
    batch: int
    prompt_tokens: int  # of one prompt
    cache_bytes: int  # keys and values of the language model
    encoder_bytes: int  # the most that is alive while the sound is encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceMemory:
    weights_bfloat16_bytes: int
    weights_float32_bytes: int
    cache_bytes_per_token: int
    prompts: tuple[PromptMemory, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMemory:
    """What each of `gpus` devices holds for one pack of `pack_tokens` tokens, with a model spread over all of them.

    Weights that are trained are float32, the optimizer's master weights, and computed with in bfloat16; their
    gradients and AdamW's two moments are float32 too. Those that are not trained are bfloat16.
    """

    gpus: int
    trained_parameters: int
    pack_tokens: int
    weights_bytes: int
    gradients_bytes: int
    moments_bytes: int
    gathered_bytes: int  # bfloat16 weights put together from their shares, the most at once
    activations_bytes: int  # kept for the backward pass
    activations_checkpointed_bytes: int  # where each layer is computed again in the backward pass
    logits_bytes: int

    @property
    def state_bytes(self) -> int:
        return self.weights_bytes + self.gradients_bytes + self.moments_bytes

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.gathered_bytes + self.activations_bytes + self.logits_bytes

    @property
    def total_checkpointed_bytes(self) -> int:
        return self.total_bytes - self.activations_bytes + self.activations_checkpointed_bytes


def parameters(config: ModelConfig) -> Parameters:
    """The encoder: three convolutions 9C+C, 9CC+C, 9CC+C; the projection of the stem CM/8 D + D; L layers of
    4DD + 3D (attention; keys have no bias) + 2DG + G + D + 4D (two norms); a norm of 2D.
    An adapter: 2DA + AE. The language model: VE, N layers of 2EQ + 2EK + 2H + 3EI + 2E, E, and VE for the head.
    """
    audio, language = config.audio_config, config.language_config
    C, D, G = audio.downsample_hidden_size, audio.d_model, audio.encoder_ffn_dim
    stem = (9 * C + C) + 2 * (9 * C * C + C) + audio.stem_features * D + D
    encoder_layer = (4 * D * D + 3 * D) + (2 * D * G + G + D) + 4 * D
    widen = 0 if audio.output_dim == D else D * audio.output_dim
    one_adapter = (2 * audio.output_dim + language.hidden_size) * config.adapter_hidden_size
    table = language.vocab_size * language.hidden_size
    return Parameters(
        encoder=stem + audio.encoder_layers * encoder_layer + 2 * D + widen,
        adapter=one_adapter,
        mergers=config.num_taps * one_adapter,
        embedding=table,
        language_layers=language.num_hidden_layers * _language_layer(config) + language.hidden_size,
        lm_head=table,
    )


def prompt_tokens(audio_s: int) -> int:
    """Tokens of a prompt's audio span: placeholders, the digits of its time markers, and its two ends."""
    num_tokens = num_audio_tokens(num_frames_of(audio_s * SAMPLE_RATE_HZ))
    return num_tokens + num_marker_digits(num_tokens) + SPAN_ENDS


def cache_bytes_per_token(config: ModelConfig, number_bytes: int = BFLOAT16_BYTES) -> int:
    """A key and a value per layer: 2NKS."""
    _, K = _heads(config)
    return 2 * config.language_config.num_hidden_layers * K * number_bytes


def encoder_bytes(config: ModelConfig, audio_s: int, batch: int = 1, number_bytes: int = BFLOAT16_BYTES) -> int:
    """The most that is alive while `batch` audios of `audio_s` are heard, without gradients and beside their mel.

    Of F frames or T tokens that are encoded at once, and N tokens in all, the widest of three places:
    the first convolution and its GELU, on f frames at once, with a copy of the mel, what the projection takes and what
    is kept of tokens encoded before, MF + CM/2 f + CM/8 t + XD (N - T);
    a layer's feed-forward with what is kept, MF + (2D + 2G) T + XDN;
    an adapter, with its results and those before it, (XD + XE + 3A) N.
    """
    audio, language = config.audio_config, config.language_config
    C, M, D = audio.downsample_hidden_size, audio.num_mel_bins, audio.d_model
    in_blocks = config.encoder_attention is Scope.BLOCK_4S
    frames = num_frames_of(audio_s * SAMPLE_RATE_HZ)
    num_tokens = batch * num_audio_tokens(frames)
    longest_row = min(frames, audio.block_frames) if in_blocks else frames
    frames_at_once = min(batch * frames, max(longest_row, audio.conv_chunksize * audio.block_frames))
    tokens_at_once = num_audio_tokens(frames_at_once)
    stem_frames = min(frames_at_once, STEM_FRAMES)
    projected = num_audio_tokens(max(longest_row, stem_frames))
    kept = (1 + config.num_taps) * D
    copied = M * frames_at_once
    stem = copied + C * M // 2 * stem_frames + C * M // 8 * projected + kept * (num_tokens - tokens_at_once)
    layer = copied + 2 * (D + audio.encoder_ffn_dim) * tokens_at_once + kept * num_tokens
    results = (1 + config.num_taps) * language.hidden_size
    adapter = (kept + results + 3 * config.adapter_hidden_size) * num_tokens
    return max(stem, layer, adapter) * number_bytes


def inference(config: ModelConfig) -> InferenceMemory:
    total = parameters(config).total
    return InferenceMemory(
        weights_bfloat16_bytes=total * BFLOAT16_BYTES,
        weights_float32_bytes=total * FLOAT32_BYTES,
        cache_bytes_per_token=cache_bytes_per_token(config),
        prompts=tuple(
            PromptMemory(
                audio_s=audio_s,
                batch=batch,
                prompt_tokens=prompt_tokens(audio_s),
                cache_bytes=batch * prompt_tokens(audio_s) * cache_bytes_per_token(config),
                encoder_bytes=encoder_bytes(config, audio_s, batch),
            )
            for audio_s in PROMPT_LENGTHS_S
            for batch in BATCHES
        ),
    )


def training(
    config: ModelConfig, *, gpus: int = 1, adapters_only: bool = False, pack_tokens: int = PACK_TOKENS
) -> TrainingMemory:
    """Bytes a parameter: 4 + 4 + 8 trained, 2 not, over `gpus`; and what `model.parallel.shard` gathers.

    Gathered are, in bfloat16, the parts that are spread as one and stay together (the embedding, the adapters and the
    last norm) and the largest of the others: the encoder, one language layer, the head.

    `adapters_only`: the adapter and the mergers learn, the rest is as it was.
    """
    counts = parameters(config)
    trained = counts.adapter + counts.mergers if adapters_only else counts.total
    layer = _language_layer(config)
    stays = counts.embedding + counts.adapter + counts.mergers + config.language_config.hidden_size
    return TrainingMemory(
        gpus=gpus,
        trained_parameters=trained,
        pack_tokens=pack_tokens,
        weights_bytes=_share(trained, gpus) * FLOAT32_BYTES + _share(counts.total - trained, gpus) * BFLOAT16_BYTES,
        gradients_bytes=_share(trained, gpus) * FLOAT32_BYTES,
        moments_bytes=_share(trained, gpus) * 2 * FLOAT32_BYTES,
        gathered_bytes=(stays + max(counts.encoder, layer, counts.lm_head)) * BFLOAT16_BYTES,
        activations_bytes=activation_bytes(config, pack_tokens),
        activations_checkpointed_bytes=activation_bytes(config, pack_tokens, checkpointed=True),
        logits_bytes=logits_bytes(config, min(pack_tokens, LOSS_TOKENS)),
    )


def activation_bytes(config: ModelConfig, pack_tokens: int, *, checkpointed: bool = False) -> int:
    """What bfloat16 training keeps of a pack for the backward pass when every weight learns, all of it being sound.

    For a token: the stem 2 (8M + 21/4 CM), an encoder layer 16D + 4G, the encoder's last norm 2D, an adapter 2D + 8A,
    a language layer 16E + 12Q + 10K + 8I, the last norm 8E. Checkpointed, a layer keeps its input, 2D or 2E, and one
    layer at a time is there as a whole. Sound is rarely all of a pack, so this is the most it can be.
    """
    audio, language = config.audio_config, config.language_config
    C, M, D = audio.downsample_hidden_size, audio.num_mel_bins, audio.d_model
    E = language.hidden_size
    Q, K = _heads(config)
    stem = 2 * (FRAMES_PER_TOKEN * M + 21 * C * M // 4)
    encoder_layer = 16 * D + 4 * audio.encoder_ffn_dim
    adapters = (1 + config.num_taps) * (2 * audio.output_dim + 8 * config.adapter_hidden_size)
    language_layer = 16 * E + 12 * Q + 10 * K + 8 * language.intermediate_size
    outside = stem + 2 * D + adapters + 8 * E
    if checkpointed:
        inputs = audio.encoder_layers * 2 * D + language.num_hidden_layers * 2 * E
        return pack_tokens * (outside + inputs + max(encoder_layer, language_layer))
    layers = audio.encoder_layers * encoder_layer + language.num_hidden_layers * language_layer
    return pack_tokens * (outside + layers)


def logits_bytes(config: ModelConfig, num_tokens: int) -> int:
    """What the loss of `num_tokens` tokens takes while it is computed: their log-probabilities in float32, and as much
    again for the logits or their gradient, 8V. The head does so many tokens at once and keeps nothing of them.
    """
    return num_tokens * config.language_config.vocab_size * 2 * FLOAT32_BYTES


def _heads(config: ModelConfig) -> tuple[int, int]:
    language = config.language_config
    return language.num_attention_heads * language.head_dim, language.num_key_value_heads * language.head_dim


def _language_layer(config: ModelConfig) -> int:
    language, (Q, K) = config.language_config, _heads(config)
    E = language.hidden_size
    return 2 * E * Q + 2 * E * K + 2 * language.head_dim + 3 * E * language.intermediate_size + 2 * E


def _share(count: int, gpus: int) -> int:
    return -(-count // gpus)
