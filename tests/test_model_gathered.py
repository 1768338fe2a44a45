"""Processes that share a model may hear nothing, or say more than others, and still learn together as one would."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.utils._python_dispatch import TorchDispatchMode

from model.decoding import empty_cache
from model.generate import Answer, Generator
from model.model import AudioLM
from model.parallel import checkpoint_layers, gathered, heard_by_all, shard, whole
from model.parts import BETWEEN, Part, learns
from model.sampling import row_seed
from tests.models import noise_mel, tiny, told
from tests.processes import RANKS, together
from tests.test_model_generate import REQUESTS, SAMPLED, TOKENIZER
from tests.test_model_parallel import step

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ASKED = [(REQUESTS[:1], replace(SAMPLED, max_new_tokens=3, stop_ids=())), (REQUESTS, replace(SAMPLED, stop_ids=()))]
"""What each process is asked: one says three words, the other twelve, six times over."""
STAGES = [BETWEEN, {*BETWEEN, Part.LANGUAGE}, set(Part)]
close = {"atol": 1e-6, "rtol": 0.0}


class Talk(TorchDispatchMode):
    """Counts what processes do together."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.namespace in ("c10d", "_c10d_functional")
        return func(*args, **kwargs or {})


def answers(model: AudioLM, rank: int) -> list[Answer]:
    requests, sampling = ASKED[rank]
    return Generator(model, TOKENIZER).generate(
        requests, sampling, seeds=[row_seed(rank, index) for index in range(len(requests))]
    )


def gradients(model: AudioLM) -> dict[str, Tensor]:
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return whole(found)


def step_between_answers(mesh: DeviceMesh, rank: int, folder: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = shard(checkpoint_layers(tiny()), mesh, compute_dtype=dtype)
        shares = [weight.to_local().clone() for weight in model.parameters()]
        found = {}
        with gathered(model), Talk() as talk:
            found["first"] = [(answer.ids, answer.logprobs) for answer in answers(model, rank)]
            assert talk.count == 0
            assert empty_cache(model, 1, 1).keys_BGSK[0].dtype == dtype
        with Talk() as talk:
            found["loss"] = step(model, rank, apart=True)
            assert talk.count > 0
        found["gradients"] = gradients(model)
        if rank == 0:  # the other says nothing at all
            with gathered(model):
                answers(model, 0)
        else:
            with gathered(model):
                pass
        found["loss again"] = step(model, rank, apart=True)
        found["gradients again"] = gradients(model)
        with pytest.raises(RuntimeError, match="given up"), gathered(model):
            raise RuntimeError("given up")
        with gathered(model):
            found["last"] = [(answer.ids, answer.logprobs) for answer in answers(model, rank)]
        for weight, share in zip(model.parameters(), shares, strict=True):
            assert torch.equal(weight.to_local(), share)
        torch.save(found, folder / f"{rank}-{dtype}.pt")


def test_a_sharded_model_answers_as_the_whole_one_and_learns_on(tmp_path):
    together(step_between_answers, tmp_path)
    one = tiny()
    losses = [step(one, rank, apart=True) for rank in range(RANKS)]
    for dtype in (torch.float32, torch.bfloat16):
        found = [torch.load(tmp_path / f"{rank}-{dtype}.pt", weights_only=True) for rank in range(RANKS)]
        for rank in range(RANKS):
            wanted = [(answer.ids, answer.logprobs) for answer in answers(tiny().to(dtype), rank)]
            assert found[rank]["first"] == found[rank]["last"] == wanted
            assert torch.equal(found[rank]["loss again"], found[rank]["loss"])
        for name, weight in one.named_parameters():
            assert torch.equal(found[0]["gradients again"][name], found[0]["gradients"][name])
            if dtype is torch.float32:
                torch.testing.assert_close(found[0]["loss"], losses[0], **close)
                torch.testing.assert_close(found[0]["gradients"][name], weight.grad / RANKS, **close)


def test_a_model_that_is_not_sharded_stays_as_it_is():
    model = tiny()
    before = [id(weight) for weight in model.parameters()]
    with gathered(model):
        assert [id(weight) for weight in model.parameters()] == before
        inside = answers(model, 0)
    assert inside == answers(model, 0)


# ------------------------------------------------------------------------------------------ with sound and without


def batch(rank: int, *, is_heard: bool) -> tuple[Tensor, Tensor | None, list[int]]:
    frames = [730, 100] if is_heard else []
    ids = torch.tensor([told(frames, list(range(20 + rank, 40 + rank)))])
    return ids, noise_mel(sum(frames), seed=rank) if frames else None, frames


def backward(model: AudioLM, rank: int, *, is_heard: bool) -> None:
    ids, mel_MF, frames = batch(rank, is_heard=is_heard)
    states_BTE = model.read(ids, heard_by_all(model, mel_MF, frames))
    model.lm_head.loss(states_BTE, ids.roll(-1), at_once=8).mean.backward()


def backward_alone(model: AudioLM, rank: int, *, is_heard: bool) -> None:
    """The same without any of it."""
    ids, mel_MF, frames = batch(rank, is_heard=is_heard)
    states_BTE = model.read(ids, None if mel_MF is None else model.hear(mel_MF, frames))
    loss = model.lm_head.loss(states_BTE, ids.roll(-1), at_once=8).mean
    if loss.requires_grad:
        loss.backward()


def remembered(model: AudioLM) -> list[int]:
    """Filled with how many tensors each run of the encoder asks to be kept; to be read after the backward pass."""
    counts: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: (counts.append(1), x)[1], lambda x: x)
    model.audio_encoder.register_forward_pre_hook(lambda *_: hooks.__enter__() and None)
    model.audio_encoder.register_forward_hook(lambda *_: hooks.__exit__(None, None, None) and None)
    return counts


def hear_or_not(mesh: DeviceMesh, rank: int, folder: Path) -> None:
    for number, parts in enumerate(STAGES):
        model = learns(tiny(), parts)
        model = shard(model if number else checkpoint_layers(model), mesh, compute_dtype=torch.float32)
        for loud in (0, 1):  # one process hears, then the other, then none
            backward(model, rank, is_heard=rank == loud)
            torch.save(gradients(model), folder / f"{rank}-{number}-{loud}.pt")
        backward(model, rank, is_heard=False)
        torch.save(gradients(model), folder / f"{rank}-{number}-2.pt")
    frozen = shard(learns(tiny(), BETWEEN), mesh, compute_dtype=torch.float32)
    kept = remembered(frozen)
    backward(frozen, rank, is_heard=True)
    assert not kept
    learning = shard(learns(tiny(), {Part.ENCODER}), mesh, compute_dtype=torch.float32)
    kept = remembered(learning)
    backward(learning, rank, is_heard=True)
    assert kept


def test_a_process_that_hears_nothing_learns_with_one_that_does(tmp_path):
    together(hear_or_not, tmp_path)
    for number, parts in enumerate(STAGES):
        for loud in (0, 1, 2):
            one = learns(tiny(), parts)
            for rank in range(RANKS):
                backward_alone(one, rank, is_heard=rank == loud)
            found = torch.load(tmp_path / f"0-{number}-{loud}.pt", weights_only=True)
            for name, weight in one.named_parameters():
                if not weight.requires_grad:
                    assert name not in found
                    continue
                alone = torch.zeros_like(weight) if weight.grad is None else weight.grad
                torch.testing.assert_close(found[name], alone / RANKS, **close, msg=f"{parts} {loud} {name}")


@torch.no_grad()
def test_nothing_heard_is_read_as_text_alone():
    model = tiny()
    ids = batch(0, is_heard=False)[0]
    heard = heard_by_all(model, None, [])
    assert [len(part) for part in (heard.audio_NE, *heard.taps_NE)] == [0, 0, 0, 0]
    assert torch.equal(model.read(ids, heard), model.read(ids))
    mel_MF = noise_mel(730)
    assert torch.equal(heard_by_all(model, mel_MF, [730]).audio_NE, model.hear(mel_MF, [730]).audio_NE)
