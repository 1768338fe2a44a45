"""The smallest checkpoint, as fixtures for the tests that import them, and whether two models are the same."""

import dataclasses
from pathlib import Path

import pytest
import torch

from model.checkpoint import save
from model.initialise import fresh
from model.model import AudioLM
from model.sizes import TINY

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SMALLEST = dataclasses.replace(
    TINY,
    audio_config=dataclasses.replace(
        TINY.audio_config, encoder_layers=2, deepstack_encoder_layer_indexes=(0,), downsample_hidden_size=4
    ),
    language_config=dataclasses.replace(TINY.language_config, num_hidden_layers=1),
)


@pytest.fixture(scope="module")
def model() -> AudioLM:
    return fresh(SMALLEST, seed=1)


@pytest.fixture
def folder(model, tmp_path) -> Path:
    save(model, tmp_path / "whole", config=SMALLEST)
    return tmp_path / "whole"


@pytest.fixture
def sharded(model, tmp_path) -> Path:
    save(model, tmp_path / "sharded", config=SMALLEST, shard_bytes=200_000)
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    return tmp_path / "sharded"


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()


def same(one: AudioLM, other: AudioLM) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and bits(a[k]) == bits(b[k]) for k in a
    )
