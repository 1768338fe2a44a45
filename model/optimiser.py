"""What moves the weights: AdamW (arXiv:1711.05101), the rate of every step, and one update.

Works alike on a whole model and on one spread over devices (`parallel.shard`): the norm is that of the gradients of
all devices, so every rank decides the same.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW and the clipping before it. `lr` is the highest rate; a `ScheduleConfig` says what part of it when."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1  # of matrices alone
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "max_grad_norm"):
            value = getattr(self, name)
            _refuse_unless(0 < value < math.inf, f"{name} is {value}; it must be a number above zero")
        _refuse_unless(all(0 <= beta < 1 for beta in self.betas), f"betas are {self.betas}; each must be in [0, 1)")
        _refuse_unless(
            0 <= self.weight_decay < math.inf, f"weight_decay is {self.weight_decay}; it must be zero or more"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """How the rate goes over `steps` updates, after a linear rise over the first `warmup_steps`.

    `cosine`: half a wave down to `end_ratio` (arXiv:1608.03983). `wsd`: warm-up, stable, decay (arXiv:2404.06395),
    where the last `decay_share` of the steps falls to `end_ratio` as 1 - sqrt, which did better than a line
    (arXiv:2405.18392, section 3). `constant`: stays.
    """

    kind: Literal["cosine", "wsd", "constant"]
    steps: int
    warmup_steps: int
    decay_share: float = 0.2
    end_ratio: float = 0.1

    def __post_init__(self) -> None:
        kinds = ("cosine", "wsd", "constant")
        _refuse_unless(self.kind in kinds, f"schedule {self.kind!r} is not known; there are {', '.join(kinds)}")
        _refuse_unless(self.steps >= 1, f"steps is {self.steps}; it must be 1 or more")
        _refuse_unless(
            0 <= self.warmup_steps <= self.steps,
            f"warmup_steps is {self.warmup_steps}; it must be between 0 and steps={self.steps}",
        )
        _refuse_unless(0 < self.decay_share <= 1, f"decay_share is {self.decay_share}; it must be in (0, 1]")
        _refuse_unless(0 <= self.end_ratio <= 1, f"end_ratio is {self.end_ratio}; it must be between 0 and 1")
        _refuse_unless(
            self.kind != "wsd" or self.warmup_steps <= self.decay_start,
            f"warmup_steps={self.warmup_steps} reaches into the decay, which begins at step {self.decay_start} of "
            f"{self.steps}; take fewer warmup_steps or a smaller decay_share",
        )

    @property
    def decay_start(self) -> int:
        """The first step of wsd's last part, which has at least one."""
        return self.steps - max(1, round(self.decay_share * self.steps))


class Update(NamedTuple):
    """What became of one update."""

    grad_norm: float  # before clipping, over all trained weights
    is_finite: bool  # where false, nothing was changed
    lr: float


def optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over what `model` is to learn. To be made after the model has its device and is spread.

    Matrices and convolutions decay; vectors (norms, biases) and embeddings do not. Raises ConfigError where nothing
    is to be learnt.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    trained = _trained(model)
    if not trained:
        raise ConfigError("no weight of the model is to be learnt: every one is frozen")
    decays = [weight for weight in trained if weight.ndim >= 2 and id(weight) not in embeddings]
    stays = [weight for weight in trained if weight.ndim < 2 or id(weight) in embeddings]
    groups = [
        {"params": weights, "weight_decay": decay}
        for weights, decay in ((decays, config.weight_decay), (stays, 0.0))
        if weights
    ]
    on_gpu = all(weight.is_cuda for weight in trained)
    how = {"fused": True} if on_gpu else {"foreach": True}
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, **how)


def rate(config: ScheduleConfig, step: int) -> float:
    """What part of the highest rate update number `step` (from 0) takes.

    The warm-up's last step has all of it, the schedule's last step `end_ratio`, and so has every step after that.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.kind == "constant":
        return 1.0
    start = config.decay_start if config.kind == "wsd" else config.warmup_steps
    if step < start:
        return 1.0
    done = min(1.0, (step + 1 - start) / (config.steps - start)) if config.steps > start else 1.0
    left = 1 - math.sqrt(done) if config.kind == "wsd" else (1 + math.cos(math.pi * done)) / 2
    return config.end_ratio + (1 - config.end_ratio) * left


def update(
    model: nn.Module, optimiser: torch.optim.Optimizer, schedule: ScheduleConfig, config: OptimiserConfig, step: int
) -> Update:
    """Clip the gradients, take one step with the rate of `step`, and forget the gradients.

    Gradients whose norm is not finite are forgotten too, and change neither weights nor moments. On a model spread over
    devices every rank is to call it.
    """
    lr = config.lr * rate(schedule, step)
    for group in optimiser.param_groups:
        group["lr"] = lr
    norm = torch.nn.utils.clip_grad_norm_(_trained(model), config.max_grad_norm)
    grad_norm = float(_whole(norm))
    is_finite = math.isfinite(grad_norm)
    if is_finite:
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return Update(grad_norm=grad_norm, is_finite=is_finite, lr=lr)


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _whole(norm: Tensor) -> Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _refuse_unless(true: bool, message: str) -> None:
    if not true:
        raise ConfigError(message)
