"""The arithmetic of DAPO against a slow obvious version: loops over tokens in plain Python."""

import math
import random

import pytest
import torch

from model.dapo import DapoConfig, advantages, differ, importance_weights, overlong, policy_loss
from schemas.errors import ConfigError

CONFIG = DapoConfig()
SEEDS = range(20)


def numbers(seed: int, count: int, scale: float) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(0, scale) for _ in range(count)]


def obvious_loss(
    now: list[float], before: list[float], drawn: list[float], worth: list[float], config: DapoConfig
) -> tuple[float, list[float], int]:
    """The loss, its slope by each of `now`, and how many tokens the clip holds."""
    loss, slopes, clipped = 0.0, [], 0
    for p, old, sampled, a in zip(now, before, drawn, worth, strict=True):
        weight = min(config.weight_max, max(config.weight_min, math.exp(old - sampled)))
        ratio = math.exp(p - old)
        low, high = 1 - config.clip_low, 1 + config.clip_high
        held = (a > 0 and ratio > high) or (a < 0 and ratio < low)
        loss -= weight * (min(max(ratio, low), high) if held else ratio) * a
        slopes.append(0.0 if held else -weight * ratio * a)
        clipped += held
    return loss, slopes, clipped


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("config", [CONFIG, DapoConfig(clip_low=0.5, clip_high=0.1, weight_min=0.5, weight_max=1.5)])
def test_loss_and_gradient_are_those_of_the_obvious_version(seed, config):
    before = numbers(seed, 60, 1.0)
    now = [p + d for p, d in zip(before, numbers(seed + 100, 60, 0.4), strict=True)]
    drawn = [p + d for p, d in zip(before, numbers(seed + 200, 60, 0.8), strict=True)]
    worth = [round(a) * a for a in numbers(seed + 300, 60, 1.0)]  # some are 0
    now_N = torch.tensor(now, dtype=torch.float64, requires_grad=True)
    others = [torch.tensor(values, dtype=torch.float64) for values in (before, drawn, worth)]
    found = policy_loss(now_N, *others, config)
    found.total.backward()
    loss, slopes, clipped = obvious_loss(now, before, drawn, worth, config)
    assert found.total.item() == pytest.approx(loss, rel=1e-9)
    assert now_N.grad.tolist() == pytest.approx(slopes, rel=1e-9, abs=1e-12)
    assert int(found.num_clipped) == clipped > 0
    assert int(found.num_heaviest) == sum(
        old - s >= math.log(config.weight_max) for old, s in zip(before, drawn, strict=True)
    )


def test_only_what_the_model_says_now_has_a_gradient():
    now, before, drawn, worth = (torch.randn(8, requires_grad=True) for _ in range(4))
    policy_loss(now, before, drawn, worth, CONFIG).total.backward()
    assert now.grad is not None
    assert before.grad is None
    assert drawn.grad is None


def test_at_the_first_update_the_gradient_is_that_of_plain_policy_gradient():
    before = torch.randn(9)
    now = before.clone().requires_grad_()
    worth = torch.randn(9)
    policy_loss(now, before, before, worth, CONFIG).total.backward()
    torch.testing.assert_close(now.grad, -worth)


def test_importance_weights_lie_within_their_bounds_however_far_apart_the_two_are():
    before, drawn = torch.tensor([-1e4, 0.0, -1.0, -2.0]), torch.tensor([0.0, -1e4, -1.0, -1.0])
    weights = importance_weights(before, drawn, CONFIG)
    torch.testing.assert_close(weights, torch.tensor([0.0, 2.0, 1.0, math.exp(-1)]), atol=1e-6, rtol=0)


def test_a_policy_that_ran_away_gives_finite_losses_and_gradients():
    now = torch.tensor([-1e4, 0.0], requires_grad=True)
    loss = policy_loss(now, torch.tensor([0.0, -1e4]), torch.zeros(2), torch.tensor([-1.0, -1.0]), CONFIG).total
    loss.backward()
    assert loss.isfinite()
    assert now.grad.isfinite().all()


@pytest.mark.parametrize("seed", SEEDS)
def test_advantages_have_mean_zero_and_deviation_one_whatever_the_scale(seed):
    rewards = numbers(seed, 16, 0.3)
    worth = advantages(rewards, CONFIG)
    assert math.fsum(worth) == pytest.approx(0, abs=1e-9)
    assert math.sqrt(math.fsum(a * a for a in worth) / 16) == pytest.approx(1, rel=1e-4)
    assert sorted(range(16), key=lambda i: worth[i]) == sorted(range(16), key=lambda i: rewards[i])
    moved = advantages([5 * reward + 3 for reward in rewards], CONFIG)
    assert moved == pytest.approx(worth, rel=1e-4, abs=1e-6)


def test_a_group_whose_rewards_are_alike_teaches_nothing():
    alike = [0.1 + 0.2, 0.3, 0.3]  # but for rounding
    assert not differ(alike)
    assert advantages(alike, CONFIG) == pytest.approx([0, 0, 0], abs=1e-9)
    assert differ([0.3, 0.3, 0.31])


@pytest.mark.parametrize(
    ("num_tokens", "punishment"),
    [(0, 0.0), (1, 0.0), (1536, 0.0), (1537, -1 / 512), (1792, -0.5), (2047, -511 / 512), (2048, -1.0), (9999, -1.0)],
)
def test_the_punishment_for_length_is_linear_over_the_buffer(num_tokens, punishment):
    assert overlong(num_tokens, 2048, CONFIG) == pytest.approx(punishment)
    assert overlong(num_tokens, 2048, DapoConfig(overlong_weight=0.0)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_low": 1.0},
        {"clip_high": 0.0},
        {"clip_high": math.nan},
        {"weight_max": 0.5},
        {"weight_min": -1.0},
        {"overlong_buffer_tokens": 0},
        {"overlong_weight": -1.0},
        {"deviation_eps": 0.0},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)).partition("_")[0]):
        DapoConfig(**wrong)
