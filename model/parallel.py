"""One model over many devices, and compiled: functions that take the model. `model.py` knows of neither."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.utils.checkpoint import checkpoint

from model.model import AudioLM


def compile_layers(model: AudioLM) -> AudioLM:
    """Compile every layer of the encoder and of the language model in place, each on its own.

    All layers of a kind share one compilation, so it takes seconds, not minutes, and what lies between them (DeepStack,
    placing the audio) stays as it is written. To be called before `shard`.
    """
    for layer in [*model.audio_encoder.layers, *model.language_model.layers]:
        layer.compile(dynamic=True)
    return model


def checkpoint_layers(model: AudioLM) -> AudioLM:
    """Keep of every layer only what enters it, and compute the rest again in the backward pass (arXiv:1604.06174).

    In place, by layer; names and the state dict stay as they are. To be called before `compile_layers` and `shard`.
    """
    for layer in [*model.audio_encoder.layers, *model.language_model.layers]:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    return model


def shard(
    model: AudioLM,
    mesh: DeviceMesh,
    *,
    compute_dtype: torch.dtype = torch.bfloat16,
    reshard_after_forward: bool = True,
) -> AudioLM:
    """Spread weights, gradients and optimizer states over `mesh` (FSDP2, arXiv:2304.11277), in place.

    Weights stay in the precision they have (float32 for training); layers compute in `compute_dtype` and gradients are
    added up in float32. The encoder is one unit, gathered once, because ranks may differ in how many batches of blocks
    it takes: what all ranks must agree on is only whether they hear any audio in a step.
    """
    policy = MixedPrecisionPolicy(param_dtype=compute_dtype, reduce_dtype=torch.float32)

    def spread(part: torch.nn.Module) -> None:
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=reshard_after_forward)

    spread(model.audio_encoder)
    for layer in model.language_model.layers:
        spread(layer)
    spread(model.lm_head)
    spread(model)
    for part, entrance in (
        (model, "hear"),
        (model, "read"),
        (model.lm_head, "loss"),
        (model.lm_head, "logprobs"),
    ):  # called beside `forward`
        register_fsdp_forward_method(part, entrance)
    return model


@contextmanager
def gathered(model: AudioLM) -> Iterator[None]:
    """Every rank holds all weights while this lasts, so each may answer by itself, for as long as it likes.

    A model that is not sharded is left as it is. All ranks must enter and leave together.
    """
    parts = [part for part in model.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)
