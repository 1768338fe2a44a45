"""One model over many devices, and compiled: functions that take the model. `model.py` knows of neither.

Processes that share a model (FSDP2) put its weights together before every use, all at the same moment: a process that
hears nothing while another does, or says more words than another, would wait for ever. `heard_by_all` and `gathered`
are for these two.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from model.frames import FRAMES_PER_TOKEN
from model.model import AudioLM, Heard


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
        layer.forward = partial(_checkpointed, layer.forward)
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
    for part, entrance in _entrances(model):
        register_fsdp_forward_method(part, entrance)
    return model


def heard_by_all(model: AudioLM, mel_MF: Tensor | None, frames: Sequence[int]) -> Heard:
    """What `model.hear` gives, to be called by every process of a step, with audio or without.

    One without audio hears 80 ms of silence and keeps none of it: `Heard` of no tokens, which `model.read` takes as it
    takes any. So it gathers the same weights and passes on gradients that are zero, when the others do.
    """
    if mel_MF is not None and frames:
        return model.hear(mel_MF, frames)
    bands, device = model.config.audio_config.num_mel_bins, model.lm_head.weight.device
    audio_NE, taps_NE = model.hear(torch.zeros(bands, FRAMES_PER_TOKEN, device=device), [FRAMES_PER_TOKEN])
    return Heard(audio_NE[:0], tuple(tap_NE[:0] for tap_NE in taps_NE))


@contextmanager
def gathered(model: AudioLM) -> Iterator[None]:
    """Within it every process holds all weights, in the precision computed in, and goes its own way: to generate with.

    To be entered and left by all processes together; in between none waits for another. Nothing is learnt, saved or
    loaded within it. Forward hooks of sharded modules rest: FSDP's would give the weights up after each use, and would
    note each use as one to prepare for in the next backward pass, which processes must agree on. A model that is not
    sharded stays as it is.
    """
    with ExitStack() as after:
        for unit in model.modules():
            if isinstance(unit, FSDPModule):
                unit.unshard()
                after.callback(unit.reshard)
                _rest(unit, after)
        for part, entrance in _entrances(model):
            if isinstance(part, FSDPModule):
                after.callback(setattr, part, entrance, vars(part).pop(entrance))
        yield


def whole(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights out of a state dict, put together from their shares.

    Of a sharded model all processes call it with the same names; the first is given the tensors, on the CPU, and the
    others none. Weights that are not shared out are given as they are.
    """
    held: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, DTensor):
            held[name] = tensor
            continue
        gathered_tensor = tensor.full_tensor()
        if torch.distributed.get_rank() == 0:
            held[name] = gathered_tensor.cpu()
    return held


def _entrances(model: AudioLM) -> tuple[tuple[nn.Module, str], ...]:
    """What is called beside `forward`."""
    return (model, "hear"), (model, "read"), (model.lm_head, "loss"), (model.lm_head, "logprobs")


def _rest(unit: nn.Module, after: ExitStack) -> None:
    """Takes the forward hooks off a module, and has them put back `after`."""
    for kind in ("_forward_pre_hooks", "_forward_hooks"):
        after.callback(setattr, unit, kind, getattr(unit, kind))
        setattr(unit, kind, OrderedDict())


def _checkpointed(forward: Callable[..., Tensor], *args: Any) -> Tensor:
    return checkpoint(forward, *args, use_reentrant=False) if torch.is_grad_enabled() else forward(*args)
