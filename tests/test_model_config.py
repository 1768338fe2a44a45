"""What a `config.json` may say."""

import json
import re

import pytest

from model.config import ModelConfig
from model.sizes import SIZES, TINY
from schemas.errors import ConfigError


def changed(section: str | None, **values: object) -> dict:
    body = json.loads(json.dumps(TINY.to_json()))
    (body[section] if section else body).update(values)
    return body


@pytest.mark.parametrize("name", SIZES)
def test_a_config_is_what_it_was_after_json(name):
    assert ModelConfig.from_json(json.loads(json.dumps(SIZES[name].to_json()))) == SIZES[name]


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        (None, {"model_type": "qwen3"}, "model_type 'qwen3'"),
        (None, {"tie_word_embeddings": True}, "tie_word_embeddings must be false"),
        (None, {"ignore_index": -1}, "ignore_index is -1; only -100"),
        (None, {"encoder_attention": "blocks"}, "block_4s, full, sliding_window"),
        (None, {"deepstack_num_inject_layers": -1}, "deepstack_num_inject_layers is -1"),
        ("language_config", {"tie_word_embeddings": True}, "language_config.tie_word_embeddings must be false"),
        ("language_config", {"use_sliding_window": True}, "use_sliding_window is not supported"),
        ("language_config", {"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_scaling 'yarn'"),
        ("language_config", {"rope_parameters": {"rope_type": "linear"}}, "rope_parameters 'linear'"),
        ("language_config", {"attention_bias": True}, "attention_bias is True"),
        ("language_config", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("language_config", {"num_key_value_heads": 3}, "num_attention_heads by num_key_value_heads: 4 by 3"),
        ("language_config", {"head_dim": 7}, "head_dim by two"),
        ("language_config", {"hidden_size": "wide"}, "hidden_size is 'wide'"),
        ("audio_config", {"activation_function": "relu"}, "activation_function is 'relu'"),
        ("audio_config", {"num_mel_bins": 80}, "num_mel_bins is 80; only 128"),
        ("audio_config", {"downsample_rate": 4}, "downsample_rate is 4"),
        ("audio_config", {"n_window": 102}, "n_window by 4"),
        ("audio_config", {"encoder_attention_heads": 5}, "d_model by encoder_attention_heads: 64 by 5"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [1, 6]}, "must be different ones of the 6 layers"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [1, 1]}, "must be different ones"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [-1]}, "must be different ones"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(section, values, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        ModelConfig.from_json(changed(section, **values))


def test_rope_theta_stands_in_either_place():
    old = changed("language_config", rope_theta=5e5)
    new = changed("language_config", rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    del new["language_config"]["rope_theta"]
    assert ModelConfig.from_json(old).language_config.rope_theta == 5e5
    assert ModelConfig.from_json(new) == ModelConfig.from_json(old)
