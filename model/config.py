"""What a checkpoint is: the numbers of `config.json`, under the names the published checkpoints use.

`ModelConfig.from_json` refuses what the code here would not compute as the published code does, instead of loading it
and being quietly wrong.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from schemas.errors import ConfigError

MODEL_TYPE = "moss_audio"
ARCHITECTURE = "MossAudioModel"

IGNORE = -100
"""The target of a position whose prediction does not count."""


class Scope(StrEnum):
    """How far the encoder's attention reaches.

    `block_4s`: within blocks of 4 s that hear nothing of each other, as the published code does today.
    `full`: over the whole audio, both ways, as its first release did; taps are then in the order of the layers.
    `sliding_window`: each token hears itself and the tokens before it, `encoder_attention_window_size` in all (8 s),
    as the paper is reported to say; the one reading under which an encoder can stream with cached keys.
    """

    BLOCK_4S = "block_4s"
    FULL = "full"
    SLIDING_WINDOW = "sliding_window"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The audio encoder: a convolutional stem and Whisper's encoder layers (arXiv:2212.04356)."""

    d_model: int = 1280
    output_dim: int = 1280
    num_mel_bins: int = 128
    encoder_layers: int = 32
    encoder_attention_heads: int = 20
    encoder_ffn_dim: int = 5120
    downsample_rate: int = 8
    downsample_hidden_size: int = 480
    encoder_attention_window_size: int = 100  # tokens, for Scope.SLIDING_WINDOW
    max_source_positions: int = 1500  # not used: positions are computed
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    activation_function: str = "gelu"
    layer_norm_eps: float = 1e-5
    deepstack_encoder_layer_indexes: tuple[int, ...] = (8, 16, 24)
    n_window: int = 200  # a block is twice as many mel frames: 4 s
    conv_chunksize: int = 64  # blocks encoded at once

    @property
    def block_frames(self) -> int:
        return 2 * self.n_window

    @property
    def head_dim(self) -> int:
        return self.d_model // self.encoder_attention_heads

    @property
    def stem_features(self) -> int:
        """Channels times mel bands left after the three halvings."""
        return self.downsample_hidden_size * (self.num_mel_bins // self.downsample_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageConfig:
    """The language model: Qwen3 (arXiv:2505.09388)."""

    vocab_size: int = 151_936
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int = 36
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    head_dim: int = 128
    rope_theta: float = 1_000_000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 40_960
    attention_bias: bool = False
    attention_dropout: float = 0.0
    hidden_act: str = "silu"
    bos_token_id: int = 151_643
    eos_token_id: int = 151_645


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A whole model. `audio_token_id` is the id that stands where audio goes (in `processor_config.json`)."""

    audio_config: EncoderConfig = field(default_factory=EncoderConfig)
    language_config: LanguageConfig
    adapter_hidden_size: int = 8192
    deepstack_num_inject_layers: int = 3
    ignore_index: int = IGNORE
    encoder_attention: Scope = Scope.BLOCK_4S
    audio_token_id: int = 151_654

    def __post_init__(self) -> None:
        _check(self)

    @property
    def num_taps(self) -> int:
        """Taps of the encoder that have a merger; tap k is for language layer k, where there is one."""
        return min(len(self.audio_config.deepstack_encoder_layer_indexes), self.deepstack_num_inject_layers)

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str = "config.json") -> Self:
        """The config that a `config.json` holds.

        Raises ConfigError where a number is missing or of the wrong kind, or a setting is one this code does not have.
        """
        if found.get("model_type", MODEL_TYPE) != MODEL_TYPE:
            raise ConfigError(f"{where} is of model_type {found['model_type']!r}; this loads {MODEL_TYPE!r}")
        language = _section(found, "language_config", where)
        for name in ("rope_scaling", "rope_parameters"):  # transformers 5 writes rope_theta into the latter
            rope = language.get(name) or {}
            where_rope = f"{where}: language_config.{name}"
            _refuse_unless(isinstance(rope, Mapping), f"{where_rope} is {rope!r}, which is no object")
            kind = rope.get("rope_type", rope.get("type", "default"))
            _refuse_unless(kind == "default", f"{where_rope} {kind!r} is not supported; only none")
            language = {**rope, **language}
        for owner, section in (("", found), ("language_config.", language)):
            tied = section.get("tie_word_embeddings", False)
            _refuse_unless(
                not tied, f"{where}: {owner}tie_word_embeddings must be false: lm_head is a tensor of its own"
            )
        _refuse_unless(
            not language.get("use_sliding_window"), f"{where}: language_config.use_sliding_window is not supported"
        )
        audio = EncoderConfig(
            **_values(EncoderConfig, _section(found, "audio_config", where), f"{where}: audio_config.")
        )
        top = {k: v for k, v in found.items() if k not in ("audio_config", "language_config")}
        if top.get("deepstack_num_inject_layers") is None:  # as published: without a number, all taps there are
            top["deepstack_num_inject_layers"] = len(audio.deepstack_encoder_layer_indexes)
        return cls(
            audio_config=audio,
            language_config=LanguageConfig(**_values(LanguageConfig, language, f"{where}: language_config.")),
            **_values(cls, top, f"{where}: "),
        )

    def to_json(self, dtype: str = "bfloat16") -> dict[str, Any]:
        """What `config.json` holds for this model: the published keys, and `encoder_attention`."""
        body = dataclasses.asdict(self)
        audio, language = body.pop("audio_config"), body.pop("language_config")
        audio["deepstack_encoder_layer_indexes"] = list(audio["deepstack_encoder_layer_indexes"])
        shared = {"bos_token_id": language["bos_token_id"], "eos_token_id": language["eos_token_id"]}
        return {
            "architectures": [ARCHITECTURE],
            "model_type": MODEL_TYPE,
            **body,
            "encoder_attention": str(self.encoder_attention),
            **shared,
            "tie_word_embeddings": False,
            "dtype": dtype,
            "torch_dtype": dtype,
            "audio_config": audio,
            "language_config": {**language, "model_type": "qwen3", "tie_word_embeddings": False, "dtype": dtype},
        }


def _section(found: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    section = found.get(name)
    _refuse_unless(isinstance(section, Mapping), f"{where} has no {name}; is it the config of a {MODEL_TYPE} model?")
    assert isinstance(section, Mapping)
    return section


def _values(cls: type[Any], found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Those of `found` that are fields of `cls`, each checked to be of its field's kind. Other keys are passed over."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        if item.name not in found or item.name in ("audio_config", "language_config"):
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            _refuse_unless(
                item.name in ("audio_config", "language_config") or not required, f"{where}{item.name} is missing"
            )
            continue
        values[item.name] = _value(item.type, found[item.name], f"{where}{item.name}")
    return values


def _value(kind: Any, value: Any, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int and number and value % 1 == 0:  # infinity is none
        return int(value)
    if kind is float and number:
        return float(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is Scope:
        _refuse_unless(value in list(Scope), f"{where} is {value!r}; there are {', '.join(Scope)}")
        return Scope(value)
    if kind == tuple[int, ...] and isinstance(value, list | tuple) and all(type(entry) is int for entry in value):
        return tuple(value)
    raise ConfigError(f"{where} is {value!r}, which is no {getattr(kind, '__name__', kind)}")


def _check(config: ModelConfig) -> None:
    audio, language = config.audio_config, config.language_config
    for owner, section in (("audio_config", audio), ("language_config", language)):
        for item in dataclasses.fields(section):
            value = getattr(section, item.name)
            if item.type is int and item.name not in ("bos_token_id", "eos_token_id"):
                _refuse_unless(value > 0, f"{owner}.{item.name} is {value}; it must be above zero")
    taps = audio.deepstack_encoder_layer_indexes
    supported = {
        "audio_config.activation_function": (audio.activation_function, "gelu"),
        "audio_config.downsample_rate": (audio.downsample_rate, 8),
        "audio_config.num_mel_bins": (audio.num_mel_bins, 128),
        "language_config.hidden_act": (language.hidden_act, "silu"),
        "language_config.attention_bias": (language.attention_bias, False),
        "ignore_index": (config.ignore_index, IGNORE),
    }
    for name, (value, wanted) in supported.items():
        _refuse_unless(value == wanted, f"{name} is {value!r}; only {wanted!r} is supported")
    dividing = {
        "audio_config.d_model by encoder_attention_heads": (audio.d_model, audio.encoder_attention_heads),
        "audio_config.d_model by two (positions are halves)": (audio.d_model, 2),
        "audio_config.n_window by 4 (blocks are whole tokens)": (audio.n_window, 4),
        "language_config.num_attention_heads by num_key_value_heads": (
            language.num_attention_heads,
            language.num_key_value_heads,
        ),
        "language_config.head_dim by two (rotary pairs)": (language.head_dim, 2),
    }
    for name, (whole, part) in dividing.items():
        _refuse_unless(whole % part == 0, f"cannot divide {name}: {whole} by {part}")
    _refuse_unless(
        all(0 <= tap < audio.encoder_layers for tap in taps) and len(set(taps)) == len(taps),
        f"deepstack_encoder_layer_indexes {list(taps)} must be different ones of the {audio.encoder_layers} layers",
    )
    _refuse_unless(
        config.deepstack_num_inject_layers >= 0,
        f"deepstack_num_inject_layers is {config.deepstack_num_inject_layers}; it must be zero or more",
    )


def _refuse_unless(true: bool, message: str) -> None:
    if not true:
        raise ConfigError(message)
