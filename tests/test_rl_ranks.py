"""Reinforcement learning on several ranks is that on one: the same answers, the same update."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh

from model.dapo import DapoConfig
from model.optimiser import OptimiserConfig
from model.parallel import checkpoint_layers, shard
from model.rl import RlConfig, RlProgress, RlPrompt, reinforce
from model.sampling import Sampling
from tests.models import tiny
from tests.test_rl_loop import TOKENIZER, prompts

RANKS = 2
CONFIG = RlConfig(
    steps=1,
    prompts_per_step=4,
    answers_per_prompt=4,
    sampling=Sampling(max_new_tokens=6),
    over_sampling=1.0,
    max_rounds=1,
    minibatches=1,
    pack_tokens=128,
    dapo=DapoConfig(overlong_buffer_tokens=2, overlong_weight=0.0),
    optimiser=OptimiserConfig(lr=0.01),
    warmup_steps=0,
    seed=5,
)


def asked(case: str) -> Iterator[RlPrompt]:
    """Prompts with a sound in every second place; where one rank learns nothing, its answers are all wrong alike."""
    for place, prompt in enumerate(prompts()):
        if case == "one rank has nothing to learn from" and place % 2 == 0:
            yield replace(prompt, sample=replace(prompt.sample, task="count", answer="7777777"))
        else:
            yield prompt


def learnt(case: str, ranks: int, rank: int, mesh=None):
    model = tiny()
    if mesh is not None:
        shard(checkpoint_layers(model), mesh, compute_dtype=torch.float32)
    step = torch.optim.SGD(model.parameters(), lr=0.01)
    own = islice(asked(case), rank, None, ranks)
    (report,) = reinforce(model, TOKENIZER, own, step, CONFIG, RlProgress())
    whole = {name: weight.full_tensor() if mesh else weight for name, weight in model.named_parameters()}
    return replace(report, sampling_s=0.0, learning_s=0.0), {name: weight.detach() for name, weight in whole.items()}


CASES = ["all learn", "one rank has nothing to learn from"]


def worker(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    for index, case in enumerate(CASES):
        report, weights = learnt(case, RANKS, rank, mesh)
        torch.save({"report": report, "weights": weights}, folder / f"{rank}-{index}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_learn_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, args=(port, tmp_path), nprocs=RANKS)
    for index, case in enumerate(CASES):
        report, weights = learnt(case, 1, 0)
        assert report.groups_learnt == (4 if index == 0 else 2)
        for rank in range(RANKS):
            found = torch.load(tmp_path / f"{rank}-{index}.pt", weights_only=False)
            for name in ("reward_mean", "entropy", "loss", "grad_norm", "groups_learnt", "answer_tokens_mean"):
                assert getattr(found["report"], name) == pytest.approx(getattr(report, name), rel=1e-3, abs=1e-5), name
            for name, weight in weights.items():
                torch.testing.assert_close(found["weights"][name], weight, atol=1e-5, rtol=0, msg=f"{case}: {name}")
        start = dict(tiny().named_parameters())
        assert any(not torch.equal(weight, start[name]) for name, weight in weights.items())
