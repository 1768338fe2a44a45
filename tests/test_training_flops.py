"""Operations by formula, against those that torch counts while it computes them."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.attention import packed_sight, positions_in
from model.config import IGNORE, ModelConfig
from model.flops import (
    ALL_LEARN,
    Part,
    hear_flops,
    learning,
    measured_cpu_flops,
    peak_flops,
    prefill_flops,
    sheet_of,
    training_flops,
)
from model.memory import parameters
from model.sizes import MOSS_4B, TINY
from tests.models import noise_mel, tiny, told

WHOLE_BLOCKS = [400, 800]  # whole blocks of the encoder, so that nothing is padded
WIDER = replace(TINY, audio_config=replace(TINY.audio_config, output_dim=80))
FEWER_TAPS = replace(TINY, deepstack_num_inject_layers=1)
ENDS = {Part.ADAPTER: 1.0, Part.MERGERS: 1.0}
LANGUAGE = {Part.EMBEDDING: 1.0, Part.LANGUAGE: 1.0, Part.HEAD: 1.0}


def counted(config: ModelConfig, frames: list[int], num_targets: int, trained: set[Part]) -> tuple[int, list[int]]:
    """What torch counts of a step of packed sequences, one an audio, and their lengths."""
    model = tiny(config=config)
    for name, weight in model.named_parameters():
        part = next(part for part in Part if name.startswith(part))
        weight.requires_grad = part in trained
    rows = [told([length], [20, 21, 22, 23], config) for length in frames]
    tokens = torch.tensor([[token for row in rows for token in row]])
    documents = torch.tensor([[number for number, row in enumerate(rows) for _ in row]])
    targets = torch.full_like(tokens, IGNORE)
    targets[0, -num_targets:] = 7
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        heard = model.hear(noise_mel(sum(frames)), frames)
        states = model.read(tokens, heard, positions_BT=positions_in(documents), sight=packed_sight(documents))
        model.lm_head.loss(states, targets).total.backward()
    return counter.get_total_flops(), [len(row) for row in rows]


def beyond(config: ModelConfig, documents: list[int], num_targets: int) -> float:
    """What is computed and not counted: pairs that a plain mask hides, and the head's logits, made twice."""
    language = config.language_config
    hidden = sum(documents) ** 2 - sum(tokens * (tokens + 1) / 2 for tokens in documents)
    attention = 4 * language.num_attention_heads * language.head_dim * language.num_hidden_layers * hidden
    return 3 * attention + 2 * language.hidden_size * language.vocab_size * num_targets


@pytest.mark.parametrize("config", [TINY, WIDER, FEWER_TAPS], ids=["tiny", "wider output", "fewer taps"])
@pytest.mark.parametrize(
    "trained",
    [
        set(ALL_LEARN),
        set(ENDS),
        set(ENDS) | set(LANGUAGE),
        {Part.EMBEDDING},
        {Part.ENCODER},
    ],
    ids=["all", "adapters", "adapters and language", "embedding", "encoder"],
)
def test_a_step_is_what_torch_counts(config, trained):
    total, documents = counted(config, WHOLE_BLOCKS, 60, trained)
    found = training_flops(config, documents, WHOLE_BLOCKS, 60, trained=dict.fromkeys(trained, 1.0))
    if Part.ENCODER in trained and config is FEWER_TAPS:  # the taps without a merger are computed and lead nowhere
        assert found + beyond(config, documents, 60) == pytest.approx(total, rel=2e-3)
    else:
        assert found + beyond(config, documents, 60) == total


def test_where_nothing_before_the_language_model_learns_its_first_input_needs_no_gradient():
    """The one thing that is counted too much: a share of one layer."""
    total, documents = counted(TINY, WHOLE_BLOCKS, 60, {Part.LANGUAGE})
    found = training_flops(TINY, documents, WHOLE_BLOCKS, 60, trained={Part.LANGUAGE: 1.0})
    assert total <= found + beyond(TINY, documents, 60) < 1.02 * total


def test_a_head_that_learns_alone_passes_nothing_back():
    total, documents = counted(TINY, WHOLE_BLOCKS, 60, {Part.HEAD})
    found = training_flops(TINY, documents, WHOLE_BLOCKS, 60, trained={Part.HEAD: 1.0})
    attention_backward = beyond(TINY, documents, 0) * 2 / 3
    assert found + beyond(TINY, documents, 60) - attention_backward == total


def test_padding_is_computed_and_not_counted():
    total, documents = counted(TINY, [730, 90], 60, set(ALL_LEARN))
    found = training_flops(TINY, documents, [730, 90], 60) + beyond(TINY, documents, 60)
    assert 0.7 * total < found < total


def test_long_steps_are_six_operations_a_parameter_and_token():
    """The rule of thumb of arXiv:2001.08361, where attention is a small part; embeddings are looked up."""
    counts = parameters(MOSS_4B)
    found = training_flops(MOSS_4B, [512] * 16, [], 8192)
    assert found == pytest.approx(6 * (counts.language_layers + counts.lm_head) * 8192, rel=0.03)


def test_packing_does_not_add_pairs():
    apart = sum(training_flops(TINY, [tokens], [], tokens) for tokens in (100, 300))
    assert training_flops(TINY, [100, 300], [], 400) == apart < training_flops(TINY, [400], [], 400)


def test_what_is_frozen_costs_a_forward_pass():
    forward = prefill_flops(TINY, 1, 100) + hear_flops(TINY, 800)
    language = TINY.language_config
    assert training_flops(TINY, [100], [800], 1, trained={}) == forward
    head = 2 * language.hidden_size * language.vocab_size
    assert training_flops(TINY, [100], [800], 1, trained={Part.HEAD: 1.0}) == forward + head
    assert training_flops(TINY, [100], [], 1) == pytest.approx(3 * prefill_flops(TINY, 1, 100))


def test_learning_is_told_by_the_model():
    model = tiny()
    assert learning(model) == ALL_LEARN
    model.requires_grad_(False)
    assert set(learning(model).values()) == {0.0}
    first = model.language_model.layers[0].mlp.gate_proj.weight.requires_grad_()
    share = first.numel() / parameters(TINY).language_layers
    assert learning(model) == {**dict.fromkeys(Part, 0.0), Part.LANGUAGE: share}


def test_devices():
    assert peak_flops("cpu") is None
    assert sheet_of("NVIDIA H200").bfloat16_flops == sheet_of("NVIDIA H100 80GB HBM3").bfloat16_flops
    assert sheet_of("NVIDIA H100 PCIe").bfloat16_flops < sheet_of("NVIDIA H100 80GB HBM3").bfloat16_flops
    assert sheet_of("Another Device") is None
    assert 1e9 < measured_cpu_flops() == measured_cpu_flops() < 1e15
