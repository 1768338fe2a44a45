"""A model spread over processes is the model: the same loss, the same gradients."""

from pathlib import Path

import pytest
import torch
from torch.distributed.device_mesh import DeviceMesh

from model.model import AudioLM
from model.parallel import checkpoint_layers, shard
from tests.models import noise_mel, tiny, told
from tests.processes import RANKS, together


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


def steps(mesh: DeviceMesh, rank: int, folder: Path) -> None:
    for apart in (False, True):
        model = tiny()
        model.audio_encoder.frames_at_once = 800  # so that ranks differ in how often they call its layers
        shard(checkpoint_layers(model), mesh, compute_dtype=torch.float32)
        held = sum(weight.to_local().numel() for weight in model.parameters())
        loss = step(model, rank, apart=apart)
        gradients = {name: weight.grad.full_tensor() for name, weight in model.named_parameters()}
        torch.save({"loss": loss, "gradients": gradients, "held": held}, folder / f"{rank}-{apart}.pt")


def test_layers_computed_again_give_the_same_gradients_from_fewer_kept_values():
    kept: dict[bool, int] = {}
    models = {again: checkpoint_layers(tiny()) if again else tiny() for again in (False, True)}
    for again, model in models.items():
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: (sizes.append(x.numel()), x)[1], lambda x: x
        ):
            step(model, 0, apart=True)
        kept[again] = sum(sizes)
    for (name, plain), other in zip(models[False].named_parameters(), models[True].parameters(), strict=True):
        torch.testing.assert_close(other.grad, plain.grad, atol=1e-7, rtol=0, msg=name)
    assert models[True].state_dict().keys() == models[False].state_dict().keys()
    assert kept[True] < kept[False] / 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_compute_what_one_does(tmp_path):
    together(steps, tmp_path)
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
