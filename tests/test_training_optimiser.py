"""Rates at their borders, groups that cover what is learnt, and updates that happen whole or not at all."""

import copy
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, rate, update
from model.parallel import shard
from schemas.errors import ConfigError
from tests.models import tiny, told

CONFIG = OptimiserConfig(lr=1e-3)
FLAT = ScheduleConfig(kind="constant", steps=10, warmup_steps=0)


def with_gradients(model: nn.Module, seed: int = 0, scale: float = 1.0) -> nn.Module:
    chance = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.grad = torch.randn(weight.shape, generator=chance) * scale
    return model


def state_of(model: nn.Module, moves: torch.optim.Optimizer) -> list[torch.Tensor]:
    moments = [value for state in moves.state.values() for value in state.values()]
    return [tensor.detach().clone() for tensor in [*model.parameters(), *moments]]


@pytest.mark.parametrize("kind", ["cosine", "wsd", "constant"])
def test_a_rate_rises_evenly_to_all_of_it(kind):
    schedule = ScheduleConfig(kind=kind, steps=100, warmup_steps=4)
    assert [rate(schedule, step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("warmup_steps", [0, 1, 10])
@pytest.mark.parametrize("kind", ["cosine", "wsd"])
def test_a_rate_falls_to_its_end_at_the_last_step_and_stays(kind, warmup_steps):
    schedule = ScheduleConfig(kind=kind, steps=100, warmup_steps=warmup_steps, end_ratio=0.05)
    rates = [rate(schedule, step) for step in range(warmup_steps, 120)]
    assert rates == sorted(rates, reverse=True)
    assert rates[99 - warmup_steps :] == pytest.approx([0.05] * 21)
    assert rates[98 - warmup_steps] > 0.05


def test_cosine_is_half_way_in_the_middle():
    schedule = ScheduleConfig(kind="cosine", steps=110, warmup_steps=10, end_ratio=0.2)
    assert rate(schedule, 59) == pytest.approx(0.6)


def test_wsd_is_stable_until_its_last_part():
    schedule = ScheduleConfig(kind="wsd", steps=100, warmup_steps=10, decay_share=0.2, end_ratio=0.0)
    assert {rate(schedule, step) for step in range(9, 80)} == {1.0}
    assert rate(schedule, 84) == pytest.approx(0.5)  # a quarter of the decay: 1 - sqrt(1/4)


@pytest.mark.parametrize("kind", ["cosine", "wsd", "constant"])
def test_every_rate_is_above_zero_and_never_above_one(kind):
    for steps, warmup_steps in [(1, 0), (2, 1), (7, 3)]:
        schedule = ScheduleConfig(kind=kind, steps=steps, warmup_steps=warmup_steps)
        assert all(0 < rate(schedule, step) <= 1 for step in range(steps + 2))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "linear"}, "'linear' is not known"),
        ({"steps": 0}, "steps is 0"),
        ({"warmup_steps": 101}, "between 0 and steps=100"),
        ({"warmup_steps": 90}, "begins at step 80 of 100"),
        ({"decay_share": 0.0}, "decay_share is 0.0"),
        ({"end_ratio": 1.5}, "end_ratio is 1.5"),
    ],
)
def test_schedules_that_cannot_work_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        ScheduleConfig(**{"kind": "wsd", "steps": 100, "warmup_steps": 10, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"lr": 0.0}, {"lr": float("nan")}, {"betas": (0.9, 1.0)}, {"weight_decay": -1.0}, {"max_grad_norm": 0.0}],
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        OptimiserConfig(**{"lr": 1e-3, **changes})


@pytest.mark.parametrize("frozen", [(), ("audio_encoder.",), ("audio_encoder.", "language_model.", "lm_head.")])
def test_groups_hold_every_trained_weight_once(frozen):
    model = tiny()
    for name, weight in model.named_parameters():
        weight.requires_grad = not name.startswith(frozen) if frozen else True
    held = [id(weight) for group in optimiser(model, CONFIG).param_groups for weight in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in model.parameters() if weight.requires_grad)


def test_vectors_and_embeddings_do_not_decay():
    model = tiny()
    names = {id(weight): name for name, weight in model.named_parameters()}
    groups = optimiser(model, CONFIG).param_groups
    decay_by_name = {names[id(w)]: group["weight_decay"] for group in groups for w in group["params"]}
    assert decay_by_name["language_model.embed_tokens.weight"] == 0
    for name, weight in model.named_parameters():
        if name != "language_model.embed_tokens.weight":
            assert decay_by_name[name] == (0.1 if weight.ndim > 1 else 0), name


def test_a_model_with_nothing_to_learn_is_refused():
    with pytest.raises(ConfigError, match="frozen"):
        optimiser(tiny().requires_grad_(False), CONFIG)


def test_an_update_is_adamw_on_clipped_gradients():
    """Against one weight at a time, by the formulae of the paper."""
    model = with_gradients(tiny(), scale=3.0)
    before = {name: weight.detach().double() for name, weight in copy.deepcopy(model).named_parameters()}
    gradients = {name: weight.grad.double() for name, weight in model.named_parameters()}
    norm = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
    found = update(model, optimiser(model, CONFIG), ScheduleConfig(kind="cosine", steps=9, warmup_steps=2), CONFIG, 0)
    assert found.grad_norm == pytest.approx(norm)
    assert found.lr == CONFIG.lr / 2
    for name, weight in model.named_parameters():
        clipped = gradients[name] / norm
        decay = 0.1 if weight.ndim > 1 and "embed" not in name else 0.0
        moved = clipped / (clipped.abs() + CONFIG.eps)  # the first step: both moments are those of one gradient
        expected = before[name] * (1 - found.lr * decay) - found.lr * moved
        torch.testing.assert_close(weight.detach().double(), expected, atol=1e-6, rtol=0, msg=name)
        assert weight.grad is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_gradient_that_is_not_finite_changes_nothing(bad):
    model = with_gradients(tiny())
    moves = optimiser(model, CONFIG)
    assert update(model, moves, FLAT, CONFIG, 0).is_finite
    before = state_of(model, moves)
    with_gradients(model, seed=1).lm_head.weight.grad[3, 5] = bad
    assert not update(model, moves, FLAT, CONFIG, 1).is_finite
    assert all(torch.equal(x, y) for x, y in zip(before, state_of(model, moves), strict=True))
    assert all(weight.grad is None for weight in model.parameters())


def test_weights_without_gradients_stay():
    model = tiny()
    model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
    before = copy.deepcopy(model.state_dict())
    assert update(model, optimiser(model, CONFIG), FLAT, CONFIG, 0).is_finite
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {"lm_head.weight"}


def spread_worker(rank: int, port: int, folder) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model = shard(tiny(), init_device_mesh("cpu", (2,)), compute_dtype=torch.float32)
    moves = optimiser(model, CONFIG)
    updates = []
    for step, bad_rank in enumerate((None, 1, None)):
        loss = model(torch.tensor([told([], [7 + rank, 8 + step, 9])])).square().mean()
        (loss * float("nan") if rank == bad_rank else loss).backward()
        updates.append(update(model, moves, FLAT, CONFIG, step))
    weights = {name: weight.full_tensor() for name, weight in model.state_dict().items()}
    torch.save({"updates": [tuple(found) for found in updates], "weights": weights}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_spread_model_is_updated_as_a_whole_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(spread_worker, args=(port, tmp_path), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    model = tiny()
    moves = optimiser(model, CONFIG)
    for step, bad in enumerate((False, True, False)):
        losses = [model(torch.tensor([told([], [7 + rank, 8 + step, 9])])).square().mean() for rank in range(2)]
        (sum(losses) / 2 * (float("nan") if bad else 1.0)).backward()
        whole = update(model, moves, FLAT, CONFIG, step)
        for rank in ranks:
            grad_norm, is_finite, lr = rank["updates"][step]
            assert is_finite is not bad
            assert lr == whole.lr
            if is_finite:
                assert grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)
    for rank in ranks:
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(rank["weights"][name], weight, atol=2e-5, rtol=0, msg=name)
