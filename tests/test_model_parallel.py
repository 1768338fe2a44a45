"""A model spread over processes is the model: the same loss, the same gradients."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh

from model.model import AudioLM
from model.parallel import compile_layers, shard
from tests.models import noise_mel, tiny, told

RANKS = 2


def step(model: AudioLM, rank: int, *, apart: bool) -> torch.Tensor:
    """The loss of a rank's own batch, after its backward pass. Ranks hear different amounts of audio."""
    frames = [730, 100 + 3000 * rank]
    rows = [told([length], list(range(20, 30))) for length in frames]
    longest = max(map(len, rows))
    tokens_BT = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    targets_BT = torch.randint(0, 256, tokens_BT.shape, generator=torch.Generator().manual_seed(rank))
    mel = noise_mel(sum(frames), seed=rank)
    if apart:
        x_BTE = model.read(tokens_BT, model.hear(mel, frames))
        loss = model.lm_head.loss(x_BTE, targets_BT, at_once=64).mean
    else:
        loss = torch.nn.functional.cross_entropy(model(tokens_BT, mel, frames).flatten(0, 1), targets_BT.flatten())
    loss.backward()
    return loss.detach()


def worker(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    for apart in (False, True):
        model = tiny()
        model.audio_encoder.frames_at_once = 800  # so that ranks differ in how often they call its layers
        shard(model, mesh, compute_dtype=torch.float32)
        held = sum(weight.to_local().numel() for weight in model.parameters())
        loss = step(model, rank, apart=apart)
        gradients = {name: weight.grad.full_tensor() for name, weight in model.named_parameters()}
        torch.save({"loss": loss, "gradients": gradients, "held": held}, folder / f"{rank}-{apart}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_compute_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, args=(port, tmp_path), nprocs=RANKS)
    for apart in (False, True):
        whole = tiny()
        losses = [step(whole, rank, apart=apart) for rank in range(RANKS)]
        for rank in range(RANKS):
            found = torch.load(tmp_path / f"{rank}-{apart}.pt", weights_only=True)
            torch.testing.assert_close(found["loss"], losses[rank], atol=1e-6, rtol=0)
            assert found["held"] < 0.6 * sum(weight.numel() for weight in whole.parameters())
            for name, weight in whole.named_parameters():
                assert weight.grad.abs().sum() > 0
                torch.testing.assert_close(found["gradients"][name], weight.grad / RANKS, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_layers_compute_what_they_did():
    torch.set_num_threads(1)
    plain, compiled = tiny(), compile_layers(tiny())
    assert list(compiled.state_dict()) == list(plain.state_dict())
    from torch._dynamo.utils import counters  # takes seconds to import

    counters.clear()
    with torch.no_grad():
        for length in (730, 401, 1203):
            tokens_BT, mel = torch.tensor([told([length], list(range(20, 30)))]), noise_mel(length)
            torch.testing.assert_close(
                compiled(tokens_BT, mel, [length]), plain(tokens_BT, mel, [length]), atol=1e-4, rtol=0
            )
    assert counters["stats"]["unique_graphs"] <= 6  # of all layers and lengths together
