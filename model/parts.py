"""The parts a stage of training teaches or leaves as they are.

    sound ─► encoder ─► adapter, mergers ─► language ─► head

Every weight is of one part. What does not learn takes no gradient, and where nothing before it learns either, nothing
is kept for the backward pass: a frozen encoder costs its forward pass alone.
"""

from collections.abc import Collection
from enum import StrEnum

import torch
from torch import nn

from model.model import AudioLM


class Part(StrEnum):
    ENCODER = "encoder"
    ADAPTER = "adapter"  # the last layer of the encoder into the embeddings
    MERGERS = "mergers"  # DeepStack: its tapped layers into the first layers of the language model
    LANGUAGE = "language"  # embeddings, layers and last norm
    HEAD = "head"


BETWEEN = frozenset({Part.ADAPTER, Part.MERGERS})
"""What joins an encoder and a language model that know nothing of each other: the first to learn."""


def modules(model: AudioLM) -> dict[Part, nn.Module]:
    """The module of each part."""
    return {
        Part.ENCODER: model.audio_encoder,
        Part.ADAPTER: model.audio_adapter,
        Part.MERGERS: model.deepstack_audio_merger_list,
        Part.LANGUAGE: model.language_model,
        Part.HEAD: model.lm_head,
    }


def learns(model: AudioLM, parts: Collection[Part]) -> AudioLM:
    """Only the weights of `parts` learn from here on, in place. May be called again, before or after `shard`.

    Raises ValueError where `parts` is empty.
    """
    if not parts:
        raise ValueError("no part of the model is to learn; name at least one")
    for part, module in modules(model).items():
        module.requires_grad_(part in parts)
    return model


def in_training_precision(model: AudioLM) -> AudioLM:
    """What learns is kept in float32, where small steps are not lost, all else in bfloat16; in place, before `shard`.

    Only a sharded model computes with both, as it computes in one precision whatever its weights are kept in.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else torch.bfloat16)
    return model
