"""DAPO (arXiv:2503.14476), the parts that are arithmetic: what an answer is worth beside its group, and the loss.

    rewards of a group ─ soft over-long punishment ─► advantages, or nothing to learn where all are alike
    log-probabilities: when drawn, before the updates, now ─► clipped, token-level policy loss

There is no value model: the group is the baseline. There is no KL term and no reference model (section 2.3).

N answer tokens that were drawn by the model
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from schemas.errors import ConfigError

ALIKE = 1e-9
"""Rewards that differ by no more are the same."""

MAX_LOG_RATIO = 20.0
"""Beyond this a ratio is not computed: exp(20) is 5e8, and the clip has long decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DapoConfig:
    """Clips and thresholds are the published ones of MOSS-Audio's training; the over-long punishment is DAPO's own."""

    clip_low: float = 0.2  # a ratio below 1 - this is not pushed further down
    clip_high: float = 0.28  # nor one above 1 + this further up: clip-higher, DAPO section 3.1
    weight_min: float = 0.0  # of the truncated importance weights
    weight_max: float = 2.0
    overlong_buffer_tokens: int = 512  # so many before the limit the punishment begins; DAPO: a quarter of 16,384
    overlong_weight: float = 1.0  # what a cut-off answer loses; 0 for no punishment
    deviation_eps: float = 1e-6  # keeps advantages finite

    def __post_init__(self) -> None:
        if not 0 < self.clip_low < 1:
            raise ConfigError(f"clip_low is {self.clip_low}; it must lie between 0 and 1")
        if not 0 < self.clip_high < math.inf:
            raise ConfigError(f"clip_high is {self.clip_high}; it must be above 0")
        if not 0 <= self.weight_min <= 1 <= self.weight_max:
            raise ConfigError(
                f"importance weights are held within {self.weight_min} to {self.weight_max}; 1 must lie between them"
            )
        if self.overlong_buffer_tokens < 1:
            raise ConfigError(
                f"overlong_buffer_tokens is {self.overlong_buffer_tokens}; it must be at least 1 "
                "(overlong_weight 0 is for no punishment)"
            )
        if not 0 <= self.overlong_weight < math.inf or not 0 < self.deviation_eps < math.inf:
            raise ConfigError(
                f"overlong_weight is {self.overlong_weight} and deviation_eps {self.deviation_eps}; "
                "the one must be at least 0, the other above it"
            )


def overlong(num_tokens: int, limit_tokens: int, config: DapoConfig) -> float:
    """What is added to the reward of an answer of so many tokens: 0, or down to -`overlong_weight` at the limit.

    Linear over the last `overlong_buffer_tokens` (DAPO, equation 13, where the limit is L_max + L_cache). An answer
    that reaches the limit counts as cut off, whether it had just ended or not.
    """
    over_tokens = num_tokens - (limit_tokens - config.overlong_buffer_tokens)
    return -config.overlong_weight * min(1.0, max(0, over_tokens) / config.overlong_buffer_tokens)


def differ(rewards: Sequence[float]) -> bool:
    """Whether a group teaches anything: where all rewards are the same, every advantage is 0."""
    return max(rewards) - min(rewards) > ALIKE


def advantages(rewards: Sequence[float], config: DapoConfig) -> tuple[float, ...]:
    """(reward - mean) / (deviation + eps) over a group of answers to one prompt; the deviation is the population's."""
    mean = math.fsum(rewards) / len(rewards)
    deviation = math.sqrt(math.fsum((reward - mean) ** 2 for reward in rewards) / len(rewards))
    return tuple((reward - mean) / (deviation + config.deviation_eps) for reward in rewards)


def importance_weights(before_N: Tensor, drawn_N: Tensor, config: DapoConfig) -> Tensor:
    """How much likelier the trainer found each token than what it was drawn from, within bounds; no gradient flows.

    Truncated importance sampling corrects what differs between sampling and training: kernels and precision, top-k and
    top-p. `before_N`: the trainer's log-probabilities before the first update. `drawn_N`: those of
    `Answer.sampling_logprobs`.
    """
    ratio_N = (before_N - drawn_N).detach().clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    return ratio_N.clamp(config.weight_min, config.weight_max)


class PolicyLoss(NamedTuple):
    """The loss added up over tokens; to be divided by the tokens of the whole update, over all packs and ranks."""

    total: Tensor
    num_clipped: Tensor  # tokens whose ratio the clip holds, so that they have no gradient
    num_heaviest: Tensor  # tokens whose importance weight is at its upper bound


def policy_loss(
    now_N: Tensor, before_N: Tensor, drawn_N: Tensor, advantage_N: Tensor, config: DapoConfig
) -> PolicyLoss:
    """-w min(r A, clip(r) A) of each token, with r = exp(now - before) and w of `importance_weights`, added up.

    `now_N` alone has a gradient. Every token counts the same, however long its answer is (DAPO section 3.3).
    """
    weight_N = importance_weights(before_N, drawn_N, config)
    ratio_N = (now_N - before_N.detach()).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    held_N = ratio_N.clamp(1 - config.clip_low, 1 + config.clip_high)
    loss_N = -weight_N * torch.minimum(ratio_N * advantage_N, held_N * advantage_N)
    is_clipped_N = ratio_N * advantage_N > held_N * advantage_N
    return PolicyLoss(loss_N.sum(), is_clipped_N.sum(), (weight_N >= config.weight_max).sum())
