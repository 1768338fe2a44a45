"""Weights to begin with."""

import numpy as np
import pytest
import torch

from model.initialise import fresh, initialise
from model.model import AudioLM
from model.sizes import SIZES, TINY
from tests.checkpoints import SMALLEST, bits, same


def test_fresh_weights_depend_on_the_seed_and_the_name_alone():
    model = fresh(SMALLEST, seed=1)
    assert same(fresh(SMALLEST, seed=1), model)
    assert not same(fresh(SMALLEST, seed=2), model)
    larger = fresh(TINY, seed=1).state_dict()
    for name in ("lm_head.weight", "audio_encoder.stem_proj.bias", "language_model.layers.0.self_attn.q_proj.weight"):
        assert bits(larger[name]) == bits(model.state_dict()[name])


def test_fresh_weights_fill_a_model_of_any_precision():
    made = AudioLM(SMALLEST).to(torch.bfloat16)
    for parameter in made.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    initialise(made, seed=1)
    assert same(made, fresh(SMALLEST, seed=1, dtype=torch.bfloat16))
    exact = fresh(SMALLEST, seed=1)
    assert all(torch.equal(p, exact.get_parameter(name).bfloat16()) for name, p in made.named_parameters())


def test_fresh_weights_are_spread_as_said():
    spread = {name: (p.mean().item(), p.std().item()) for name, p in fresh(SIZES["tiny"]).named_parameters()}
    for name, (mean, std) in spread.items():
        if "norm" in name and name.endswith("weight"):
            wanted = (1.0, 0.0)
        elif name.endswith("bias"):
            wanted = (0.0, 0.0)
        elif name.startswith("language_model.layers") and name.endswith((".o_proj.weight", "down_proj.weight")):
            wanted = (0.0, 0.02 / 10**0.5)
        elif name.startswith("audio_encoder.layers") and name.endswith(("out_proj.weight", "fc2.weight")):
            wanted = (0.0, 0.02 / 12**0.5)
        elif name.startswith(("audio_encoder.conv", "audio_encoder.stem_proj")):
            wanted = (
                0.0,
                {"conv1": 2 / 9, "conv2": 2 / 144, "conv3": 2 / 144, "stem_proj": 2 / 256}[part(name)] ** 0.5,
            )
        else:
            wanted = (0.0, 0.02)
        assert mean == pytest.approx(wanted[0], abs=0.004 if wanted[1] < 0.1 else 0.2 * wanted[1]), name
        assert std == pytest.approx(wanted[1], rel=0.15), name


def part(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_sound_is_not_lost_beneath_the_positions_added_to_it(name):
    model = fresh(SIZES[name])
    mel_RMF = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 128, 400)).astype(np.float32))
    with torch.no_grad():
        heard_RAD = model.audio_encoder.stem(mel_RMF, None)
    assert 0.05 < heard_RAD.std() < 2
