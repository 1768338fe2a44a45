"""LoRA in a model that processes share: the gradients, merged weights, file and answers of one process."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributed.device_mesh import DeviceMesh

from model.generate import Generator
from model.lora import CONFIG, WEIGHTS, LowRankConfig, add, load_adapter, merged, save_adapter
from model.model import AudioLM
from model.parallel import checkpoint_layers, gathered, shard, whole
from model.parts import in_training_precision
from tests.models import tiny
from tests.processes import RANKS, together
from tests.test_model_generate import REQUESTS, SAMPLED, TOKENIZER
from tests.test_model_parallel import step

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SMALL = LowRankConfig(rank=4, alpha=8, on_encoder=True)
close = {"atol": 1e-6, "rtol": 0.0}


def adapted() -> AudioLM:
    """A model whose adapters have learnt: neither factor is zero."""
    model = add(tiny(), SMALL)
    chance = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.05, generator=chance)
    return model


def said(model: AudioLM, *, compiled: bool = False) -> list[tuple[int, ...]]:
    generator = Generator(model, TOKENIZER, compiled=compiled)
    return [answer.ids for answer in generator.generate(REQUESTS[:2], replace(SAMPLED, stop_ids=()))]


def learn(mesh: DeviceMesh, rank: int, folder: Path) -> None:
    model = shard(checkpoint_layers(adapted()), mesh, compute_dtype=torch.float32)
    before = {name: weight.to_local().clone() for name, weight in model.named_parameters()}
    weights = merged(model)
    save_adapter(model, folder / "adapter")
    with gathered(model):
        answers = said(model)
        compiled = said(model, compiled=True) if rank else answers
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = step(model, rank, apart=True)
    gradients = whole({name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad})
    optimiser.step()
    for name, weight in model.named_parameters():
        if weight.numel() and before[name].numel():
            assert torch.equal(weight.to_local(), before[name]) != weight.requires_grad, name
    found = {"weights": weights, "answers": answers, "compiled": compiled, "loss": loss, "gradients": gradients}
    losses = []
    for kept in (adapted(), in_training_precision(adapted())):
        losses.append(step(shard(kept, mesh, compute_dtype=torch.bfloat16), rank, apart=True))
    torch.save({**found, "half": losses}, folder / f"{rank}.pt")


def test_two_processes_adapt_as_one_does(tmp_path):
    together(learn, tmp_path)
    one = adapted()
    wanted = merged(one)
    save_adapter(one, tmp_path / "alone")
    for name in (CONFIG, WEIGHTS):
        assert (tmp_path / "adapter" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    read = load_adapter(tiny(), tmp_path / "adapter").state_dict()
    assert all(torch.equal(tensor, read[name]) for name, tensor in one.state_dict().items())
    answers = said(one)
    losses = [step(one, rank, apart=True) for rank in range(RANKS)]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(RANKS))
    assert second["weights"] == second["gradients"] == {}
    assert first["weights"].keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in first["weights"].items())
    assert first["gradients"].keys() == {name for name, weight in one.named_parameters() if weight.requires_grad}
    for name, gradient in first["gradients"].items():
        torch.testing.assert_close(gradient, one.get_parameter(name).grad / RANKS, **close, msg=name)
    for found, loss in zip((first, second), losses, strict=True):
        assert found["answers"] == found["compiled"] == answers
        torch.testing.assert_close(found["loss"], loss, **close)
        assert torch.equal(*found["half"])
