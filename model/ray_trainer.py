"""The only file of the model that knows Ray: the ranks of a run as workers of Ray Train.

    driver ─► TorchTrainer ─► worker 0 … worker R-1, each with its device and torch's process group ─► a stage's loop

Ray places the ranks, sets up their process group, and when one dies starts all of them anew; they go on from the last
snapshot, as a run that is started again does. What a loop does is the same as in one process.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from schemas.ray_switches import set_switches

set_switches()

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from model.training import Rank
from schemas.errors import ClusterError, EarmarkError

Stage = Callable[[Rank, Console | None], Path]
"""What a rank does: from its place, and where to tell of it, to the folder of the trained checkpoint."""

ALL_OF_A_CPU = 1.0


def train_on_ray(stage: Stage, told: Path, *, ranks: int, on_gpus: bool, restarts: int, timeout_s: int = 1800) -> None:
    """Runs `stage` on so many workers of the cluster this process is connected to, until it has ended everywhere.

    What the first rank would tell a terminal it writes into the file `told`.

    Ranks that die are started anew, all of them; what a loop raises on purpose ends the run. Raises that, and
    ClusterError where the cluster cannot hold the ranks or they died more than `restarts` times.
    """
    each = {"CPU": _cpus_each(ranks, on_gpus), **({"GPU": 1.0} if on_gpus else {})}
    for restart in range(restarts + 1):
        with tempfile.TemporaryDirectory(prefix="earmark-train-") as kept:
            trainer = TorchTrainer(
                _rank_loop,
                train_loop_config={"stage": stage, "told": told},
                torch_config=TorchConfig(backend="nccl" if on_gpus else "gloo", timeout_s=timeout_s),
                scaling_config=ray.train.ScalingConfig(num_workers=ranks, use_gpu=on_gpus, resources_per_worker=each),
                run_config=ray.train.RunConfig(name="earmark", storage_path=kept),
            )
            try:
                trainer.fit()
                return
            except ray.train.TrainingFailedError as error:
                if (ours := _raised_on_purpose(error)) is not None:
                    raise ours from error
                if restart == restarts:
                    raise ClusterError(
                        f"the ranks ended, also after {restarts} restarts: {_last_words(error)}; the same command goes "
                        "on from the last snapshot"
                    ) from error


def _rank_loop(config: dict[str, Any]) -> None:
    """What each worker runs."""
    context = ray.train.get_context()
    rank = Rank(number=context.get_world_rank(), of=context.get_world_size(), device=str(get_device()))
    with config["told"].open("a", encoding="utf-8") as file:
        config["stage"](rank, Console(file=file, width=200) if rank.is_first else None)


def _cpus_each(ranks: int, on_gpus: bool) -> float:
    """A share of the cluster's CPUs that leaves room for Ray's own. Raises ClusterError where GPUs are too few."""
    there = ray.cluster_resources()
    if on_gpus and there.get("GPU", 0.0) < ranks:
        raise ClusterError(f"{ranks} ranks need a GPU each; the cluster has {there.get('GPU', 0.0):g}")
    return min(ALL_OF_A_CPU, max(0.01, 0.8 * there.get("CPU", 0.0) / ranks))


def _raised_on_purpose(error: Exception) -> EarmarkError | None:
    """The first trouble of our own among what the workers raised."""
    for failure in _failures(error).values():
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, EarmarkError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    return None


def _last_words(error: Exception) -> str:
    return "; ".join(f"rank {rank}: {_last_line(failure)}" for rank, failure in _failures(error).items()) or _last_line(
        error
    )


def _failures(error: Exception) -> dict[int, BaseException]:
    return getattr(error, "worker_failures", None) or {}


def _last_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:300]
