"""The smallest checkpoint, for tests, and whether two models are the same."""

import dataclasses

import torch

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


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()


def same(one: AudioLM, other: AudioLM) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and bits(a[k]) == bits(b[k]) for k in a
    )
