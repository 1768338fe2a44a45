"""The layers apart from each other: what parity in float32 and in eval mode does not see."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import WhisperConfig
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from model.attention import causal_attention, packed_sight
from model.config import IGNORE, EncoderConfig, Scope
from model.head import LanguageHead
from model.layers import EncoderAttention, EncoderLayer, LanguageAttention, RMSNorm, rotation
from model.sizes import TINY

AUDIO = replace(TINY.audio_config, activation_dropout=0.0)
RATES = ("dropout", "attention_dropout", "activation_dropout")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def heard(config: EncoderConfig, *, training: bool) -> torch.Tensor:
    torch.manual_seed(0)
    layer = EncoderLayer(config, Scope.FULL).train(training)
    with torch.no_grad():
        return layer(normal(2, 30, config.d_model), None)


@pytest.mark.parametrize("name", RATES)
def test_each_dropout_of_the_encoder_is_one_of_training_alone(name):
    without, dropping = heard(AUDIO, training=True), replace(AUDIO, **{name: 0.5})
    assert torch.equal(heard(dropping, training=False), without)
    assert not torch.allclose(heard(dropping, training=True), without, atol=1e-3)


def test_each_dropout_of_the_encoder_is_where_whisper_has_it():
    """A rate of one leaves what goes around it: the residual stream, and the biases that come after."""
    torch.manual_seed(0)
    x = normal(1, 9, AUDIO.d_model)
    for name in RATES:
        layer = EncoderLayer(replace(AUDIO, **{name: 1.0}), Scope.FULL).train()
        inner = layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x + layer.self_attn.out_proj.bias))))
        mixed = layer.self_attn(layer.self_attn_layer_norm(x), None)
        expected = {
            "dropout": x,
            "attention_dropout": x + layer.self_attn.out_proj.bias + inner,
            "activation_dropout": x + mixed + layer.fc2.bias,
        }
        torch.testing.assert_close(layer(x, None), expected[name], atol=1e-6, rtol=0)


def test_dropout_of_the_language_model_is_one_of_training_alone():
    config = TINY.language_config
    x, turn = normal(1, 9, config.hidden_size), rotation(torch.arange(9)[None], config.head_dim, 1e6, torch.float32)

    def read(rate: float, *, training: bool) -> torch.Tensor:
        torch.manual_seed(0)
        return LanguageAttention(replace(config, attention_dropout=rate)).train(training)(x, turn, None, None)

    assert torch.equal(read(0.5, training=False), read(0.0, training=True))
    assert not torch.allclose(read(0.5, training=True), read(0.0, training=True), atol=1e-3)


def test_dropout_and_a_mask_of_blocks_are_refused_together():
    q = normal(1, 2, 128, 16)
    with pytest.raises(ValueError, match="FlexAttention has none"):
        causal_attention(q, q, q, packed_sight(torch.zeros(1, 128, dtype=torch.int64), in_blocks=True), 0.1)


def test_half_precision_overflows_as_whispers_layer_does():
    layer = EncoderLayer(AUDIO, Scope.FULL).half().eval()
    with torch.no_grad():
        layer.fc2.bias[:3] = torch.tensor([60_000.0, -60_000.0, 3.0])
    config = WhisperConfig(
        d_model=AUDIO.d_model,
        encoder_attention_heads=AUDIO.encoder_attention_heads,
        encoder_ffn_dim=AUDIO.encoder_ffn_dim,
        attn_implementation="eager",
    )
    theirs = WhisperEncoderLayer(config).half().eval()
    theirs.load_state_dict(layer.state_dict())
    x = normal(1, 9, AUDIO.d_model).half()
    x[..., :2] = torch.tensor([30_000.0, -30_000.0])
    with torch.no_grad():
        ours, out = layer(x, None), theirs(x, None)
    out = out if isinstance(out, torch.Tensor) else out[0]
    assert torch.isfinite(ours).all()
    assert torch.equal(ours[..., :2], out[..., :2])
    assert (ours[..., :2].abs() < torch.finfo(torch.float16).max).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_norm_is_qwen3s_to_the_last_bit(dtype):
    ours, theirs = RMSNorm(64, 1e-3).to(dtype), Qwen3RMSNorm(64, 1e-3).to(dtype)
    ours.weight.data = theirs.weight.data = normal(64).to(dtype)
    for scale in (1e-3, 1.0, 300.0):  # squares that half precision has no number for
        x = (normal(50, 64, seed=1) * scale).to(dtype)
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("window", [1, 4, 9])
def test_a_token_hears_as_many_as_the_window_says(window):
    attention = EncoderAttention(replace(AUDIO, encoder_attention_window_size=window), Scope.SLIDING_WINDOW).eval()
    x = normal(1, 20, AUDIO.d_model).requires_grad_()
    for at in range(20):
        (slope,) = torch.autograd.grad(attention(x, None)[0, at].sum(), x)
        here = slope[0].abs().sum(dim=1).nonzero()[:, 0].tolist()
        assert here == list(range(max(0, at - window + 1), at + 1))


def test_the_loss_of_half_precision_is_added_up_in_float32():
    head = LanguageHead(16, 300).bfloat16()
    x, targets = normal(2, 50, 16).bfloat16() * 3, torch.randint(0, 300, (2, 50))
    exact = F.cross_entropy(nn.functional.linear(x, head.weight).float().flatten(0, 1), targets.flatten())
    found = head.loss(x, targets, at_once=7)
    assert found.total.dtype is torch.float32
    torch.testing.assert_close(found.mean, exact, atol=1e-5, rtol=0)


def test_a_loss_of_nothing_still_reaches_every_weight_below():
    """Else a rank without targets would not take part in the backward pass, and the others would wait for ever."""
    x = normal(1, 5, 16).requires_grad_()
    LanguageHead(16, 30).loss(x, torch.full((1, 5), IGNORE)).total.backward()
    assert x.grad is not None
    assert not x.grad.any()
