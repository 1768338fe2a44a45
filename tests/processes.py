"""Processes that share a model, for the tests that need several."""

import socket
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

RANKS = 2

Work = Callable[[DeviceMesh, int, Path], None]
"""What each process does: the mesh of all, its own rank, and a folder to leave what it found in."""


def together(work: Work, folder: Path) -> None:
    """Runs `work`, a function of a module, in `RANKS` processes; fails where one of them does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_entered, args=(work, port, folder), nprocs=RANKS)


def _entered(rank: int, work: Work, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    work(init_device_mesh("cpu", (RANKS,)), rank, folder)
    dist.destroy_process_group()
