"""What processes that train together tell each other: numbers, summed or compared. One process is rank 0 of 1."""

from collections.abc import Sequence

import torch
import torch.distributed as dist


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def num_ranks() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def share_of(count: int) -> int:
    """How much of `count` is this rank's; the first ranks have one more where it does not come out even."""
    return (count + num_ranks() - 1 - rank()) // num_ranks()


def added(values: Sequence[float]) -> list[float]:
    """Each of `values` summed over all ranks, which must all call this, with as many."""
    return _reduced(values, dist.ReduceOp.SUM)


def largest(value: float) -> float:
    """The largest that any rank has."""
    return _reduced([value], dist.ReduceOp.MAX)[0]


def _reduced(values: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
    if num_ranks() == 1:
        return [float(value) for value in values]
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    together = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(together, how)
    found: list[float] = together.tolist()
    return found
