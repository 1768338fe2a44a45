"""The sizes there are, by name."""

from model.config import EncoderConfig, LanguageConfig, ModelConfig
from schemas.errors import ConfigError

TINY = ModelConfig(
    audio_config=EncoderConfig(
        d_model=64,
        output_dim=64,
        encoder_layers=6,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        downsample_hidden_size=16,
        deepstack_encoder_layer_indexes=(1, 3, 4),
        dropout=0.0,
        attention_dropout=0.0,
    ),
    language_config=LanguageConfig(
        vocab_size=512,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        bos_token_id=0,
        eos_token_id=2,
    ),
    adapter_hidden_size=112,
    audio_token_id=5,
)
"""Seconds on a CPU: tests, and learning the commands. Its tokens are bytes (`model.vocabulary`)."""

SMALL = ModelConfig(
    audio_config=EncoderConfig(
        d_model=384,
        output_dim=384,
        encoder_layers=12,
        encoder_attention_heads=6,
        encoder_ffn_dim=1536,
        downsample_hidden_size=128,
        deepstack_encoder_layer_indexes=(3, 6, 9),
        dropout=0.0,
        attention_dropout=0.0,
    ),
    language_config=LanguageConfig(
        vocab_size=16_384,
        hidden_size=768,
        intermediate_size=2560,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        head_dim=64,
        bos_token_id=0,
        eos_token_id=2,
    ),
    adapter_hidden_size=1536,
    audio_token_id=5,
)
"""About 150 million parameters: experiments on one GPU in minutes."""

MOSS_4B = ModelConfig(language_config=LanguageConfig(hidden_size=2560, intermediate_size=9728))
"""MOSS-Audio-4B, Instruct and Thinking."""

MOSS_8B = ModelConfig(language_config=LanguageConfig(hidden_size=4096, intermediate_size=12_288))
"""MOSS-Audio-8B, Instruct and Thinking."""

SIZES = {"tiny": TINY, "small": SMALL, "4b": MOSS_4B, "8b": MOSS_8B}


def size(name: str) -> ModelConfig:
    """The config called `name`. Raises ConfigError that names those there are."""
    if name not in SIZES:
        raise ConfigError(f"there is no size {name!r}; there are {', '.join(SIZES)}")
    return SIZES[name]
