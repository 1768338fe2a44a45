"""Parts of the model: every weight is of one, and what does not learn is neither moved nor remembered."""

import weakref

import pytest
import torch
from torch import Tensor

from model.model import AudioLM
from model.parallel import checkpoint_layers
from model.parts import BETWEEN, Part, in_training_precision, learns, modules
from tests.models import noise_mel, tiny, told

FRAMES = [730, 100]


def kept_by(model: AudioLM) -> tuple[int, int]:
    """How many tensors are remembered for the backward pass of the encoder, and of what follows it."""
    kept: list[weakref.ref[Tensor]] = []
    ends: list[int] = []
    hook = model.audio_encoder.register_forward_hook(lambda *_: ends.append(len(kept)))
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: (kept.append(weakref.ref(copy := x.clone())), copy)[1], lambda x: x
    ):
        heard = model.hear(noise_mel(sum(FRAMES)), FRAMES)
    hook.remove()
    assert heard.audio_NE.requires_grad
    return tuple(sum(ref() is not None for ref in part) for part in (kept[: ends[0]], kept[ends[0] :]))


def test_every_weight_is_of_one_part():
    model = tiny()
    owners = [id(weight) for module in modules(model).values() for weight in module.parameters()]
    assert sorted(owners) == sorted(id(weight) for weight in model.parameters())
    assert list(modules(model)) == list(Part)


@pytest.mark.parametrize("parts", [BETWEEN, {Part.ENCODER, Part.HEAD}, set(Part)])
def test_only_what_is_named_learns(parts):
    model = learns(tiny(), parts)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.tensor([told(FRAMES, list(range(20, 30)))])
    states_BTE = model.read(ids, model.hear(noise_mel(sum(FRAMES)), FRAMES))
    model.lm_head.loss(states_BTE, ids.roll(-1)).mean.backward()
    optimiser.step()
    whose = {id(weight): part for part, module in modules(model).items() for weight in module.parameters()}
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == (whose[id(weight)] in parts), name
        assert torch.equal(weight, before[name]) == (whose[id(weight)] not in parts), name


def test_parts_are_named_anew_for_the_next_stage():
    model = learns(learns(tiny(), BETWEEN), {Part.LANGUAGE})
    assert {weight.requires_grad for weight in model.language_model.parameters()} == {True}
    assert {weight.requires_grad for weight in model.audio_adapter.parameters()} == {False}
    with pytest.raises(ValueError, match="at least one"):
        learns(model, set())


@pytest.mark.parametrize("again", [False, True])
def test_a_frozen_encoder_remembers_nothing(again):
    model = checkpoint_layers(tiny()) if again else tiny()
    in_encoder, behind = kept_by(learns(model, BETWEEN))
    assert in_encoder == 0
    assert behind > 0
    assert kept_by(learns(model, {Part.ENCODER}))[0] > 0


def test_what_learns_is_kept_in_full_precision():
    model = in_training_precision(learns(tiny(), BETWEEN))
    kinds = {part: {weight.dtype for weight in module.parameters()} for part, module in modules(model).items()}
    assert kinds == {part: {torch.float32 if part in BETWEEN else torch.bfloat16} for part in Part}
