"""Weights to begin with: drawn at random, alike wherever and in whatever order they are drawn.

Each tensor is drawn by a generator of its own, seeded by the seed and the tensor's name.
"""

import hashlib
import math

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.model import AudioLM

STD = 0.02
INTO_RESIDUAL = {
    "language_model.layers.": ("self_attn.o_proj.weight", "mlp.down_proj.weight"),
    "audio_encoder.layers.": ("self_attn.out_proj.weight", "fc2.weight"),
}
"""What each stack of layers adds to its residual stream."""

STEM = ("audio_encoder.conv", "audio_encoder.stem_proj.")
"""What sound goes through before positions are added to it."""


def fresh(config: ModelConfig, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> AudioLM:
    """A model with random weights on the CPU."""
    with torch.device("meta"):
        model = AudioLM(config).to(dtype)
    model.to_empty(device="cpu")
    initialise(model, seed)
    return model


@torch.no_grad()
def initialise(model: AudioLM, seed: int) -> None:
    """Fills every parameter: normal, mostly with standard deviation 0.02; norms one, biases zero.

    What is added to a residual stream is drawn smaller, by 1 / sqrt(2 * layers), so that the stream does not grow with
    the number of layers (Radford et al., "Language Models are Unsupervised Multitask Learners", section 2.3). The stem
    is drawn by its fan-in (He et al., arXiv:1502.01852, section 2.2), or in narrow models sound would be lost beneath
    the positions that are added to it: with 0.02 throughout, what `tiny` hears begins 10,000 times weaker than they
    are. At the published width, 480 channels, that comes to 0.0215 for two of the three convolutions. Values
    are drawn in float32 on the CPU, so they do not depend on the device, and only by rounding on the dtype.
    """
    num_layers = {
        "language_model.layers.": len(model.language_model.layers),
        "audio_encoder.layers.": len(model.audio_encoder.layers),
    }
    norms = _norm_weights(model)
    for name, parameter in model.named_parameters():
        if name in norms:
            parameter.fill_(1.0)
        elif name.endswith(".bias"):
            parameter.zero_()
        else:
            parameter.copy_(drawn(name, parameter.shape, seed) * _std(name, parameter.shape, num_layers))


def _norm_weights(model: nn.Module) -> set[str]:
    return {
        f"{name}.weight" for name, module in model.named_modules() if type(module).__name__ in ("RMSNorm", "LayerNorm")
    }


def drawn(name: str, shape: torch.Size, seed: int) -> Tensor:
    """Standard normal, float32, of the tensor called `name`."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(shape, generator=generator)


def _std(name: str, shape: torch.Size, num_layers: dict[str, int]) -> float:
    if name.startswith(STEM):
        return math.sqrt(2 / shape[1:].numel())
    for stack, endings in INTO_RESIDUAL.items():
        if name.startswith(stack) and name.endswith(endings):
            return STD / math.sqrt(2 * num_layers[stack])
    return STD
