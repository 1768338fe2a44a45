"""A config.json read is the config written; what would be computed otherwise than published is refused."""

import json
from dataclasses import replace

import pytest

from model.config import ModelConfig, Scope
from model.sizes import MOSS_4B, SIZES, TINY
from schemas.errors import ConfigError


@pytest.mark.parametrize("config", [*SIZES.values(), replace(TINY, encoder_attention=Scope.FULL)])
def test_what_is_written_is_read(config):
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_the_published_defaults_are_the_4b():
    """Only what differs between the sizes need be said."""
    found = {"audio_config": {}, "language_config": {"hidden_size": 2560, "intermediate_size": 9728}}
    assert ModelConfig.from_json(found) == MOSS_4B


@pytest.mark.parametrize("number", [None, 5])
def test_without_a_number_all_taps_are_heard(number):
    body = TINY.to_json()
    body["audio_config"]["deepstack_encoder_layer_indexes"] = [0, 1, 3, 4]
    body["deepstack_num_inject_layers"] = number
    assert ModelConfig.from_json(body).num_taps == 4
    assert ModelConfig.from_json({**body, "deepstack_num_inject_layers": 2}).num_taps == 2


@pytest.mark.parametrize(
    ("section", "change", "says"),
    [
        (None, {"model_type": "llama"}, "of model_type 'llama'"),
        (None, {"tie_word_embeddings": True}, "lm_head is a tensor of its own"),
        (None, {"encoder_attention": "everywhere"}, "there are block_4s, full, sliding_window"),
        (None, {"audio_config": None}, "has no audio_config"),
        (None, {"deepstack_num_inject_layers": 9, "audio_token_id": "5"}, "audio_token_id is '5'"),
        ("audio_config", {"activation_function": "relu"}, "only 'gelu' is supported"),
        ("audio_config", {"d_model": 66}, "cannot divide audio_config.d_model"),
        ("audio_config", {"encoder_layers": 0}, "must be above zero"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [1, 6]}, "different ones of the 6 layers"),
        ("audio_config", {"d_model": 64.5}, "d_model is 64.5"),
        ("language_config", {"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling 'yarn' is not supported"),
        ("language_config", {"use_sliding_window": True}, "use_sliding_window is not supported"),
        ("language_config", {"num_key_value_heads": 3}, "num_attention_heads by num_key_value_heads: 4 by 3"),
        ("language_config", {"hidden_size": None}, "hidden_size is None"),
        (None, {"ignore_index": -1}, "ignore_index is -1; only -100"),
        (None, {"deepstack_num_inject_layers": -1}, "deepstack_num_inject_layers is -1"),
        ("language_config", {"tie_word_embeddings": True}, "language_config.tie_word_embeddings must be false"),
        ("language_config", {"rope_parameters": {"rope_type": "linear"}}, "rope_parameters 'linear'"),
        ("language_config", {"attention_bias": True}, "attention_bias is True"),
        ("language_config", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("language_config", {"head_dim": 7}, "head_dim by two"),
        ("audio_config", {"num_mel_bins": 80}, "num_mel_bins is 80; only 128"),
        ("audio_config", {"downsample_rate": 4}, "downsample_rate is 4"),
        ("audio_config", {"n_window": 102}, "n_window by 4"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [1, 1]}, "must be different ones"),
        ("audio_config", {"deepstack_encoder_layer_indexes": [-1]}, "must be different ones"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused_in_a_sentence(section, change, says):
    body = TINY.to_json()
    (body[section] if section else body).update(change)
    with pytest.raises(ConfigError, match=says):
        ModelConfig.from_json(body)


def test_rope_theta_stands_in_either_place():
    old, new = TINY.to_json(), TINY.to_json()
    old["language_config"]["rope_theta"] = 5e5
    del new["language_config"]["rope_theta"]
    new["language_config"]["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5}
    assert ModelConfig.from_json(old).language_config.rope_theta == 5e5
    assert ModelConfig.from_json(new) == ModelConfig.from_json(old)


def test_keys_of_others_are_passed_over():
    body = {**TINY.to_json(), "auto_map": {"AutoConfig": "x.Y"}, "transformers_version": "4.57.1", "use_cache": None}
    assert ModelConfig.from_json(body) == TINY
