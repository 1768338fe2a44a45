"""What the model must not depend on: batch, padding, packing, pieces; and what it must.

Tolerances are for float32: sums of another order differ in the last bits, here by less than 1e-5 in logits of size 1.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen3Config, Qwen3ForCausalLM, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

import model.model as module
from model.attention import packed_sight, positions_in
from model.config import IGNORE, Scope
from model.decoding import empty_cache
from model.frames import num_audio_tokens
from model.layers import rotation
from model.model import sinusoids
from model.sizes import TINY
from tests.models import noise_mel, tiny, told

LENGTHS = [9, 16, 21, 199, 399, 400, 401, 730, 1200, 2317]
SCOPES = list(Scope)
close = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("scope", SCOPES)
def test_an_audio_alone_is_heard_as_in_any_batch(scope):
    encoder = tiny(scope).audio_encoder
    mels = [noise_mel(length, seed=length) for length in LENGTHS]
    together = encoder(torch.cat(mels, dim=1), LENGTHS)
    alone = [encoder(mel, [mel.shape[1]]) for mel in mels]
    torch.testing.assert_close(together[0], torch.cat([last for last, _ in alone]), **close)
    for tap in range(3):
        torch.testing.assert_close(together[1][tap], torch.cat([taps[tap] for _, taps in alone]), **close)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_encoder_gives_the_tokens_the_arithmetic_says(scope):
    last, taps = tiny(scope).audio_encoder(noise_mel(sum(LENGTHS)), LENGTHS)
    assert [len(last), *map(len, taps)] == [sum(map(num_audio_tokens, LENGTHS))] * 4


@pytest.mark.parametrize("scope", SCOPES)
def test_pieces_and_batches_leave_no_seam(scope, monkeypatch):
    encoder = tiny(scope).audio_encoder
    mel = noise_mel(sum(LENGTHS))
    whole, _ = encoder(mel, LENGTHS)
    monkeypatch.setattr(module, "STEM_FRAMES", 64)
    encoder.frames_at_once = 800
    pieces, _ = encoder(mel, LENGTHS)
    torch.testing.assert_close(pieces, whole, **close)


def test_blocks_hear_nothing_of_each_other():
    encoder = tiny(Scope.BLOCK_4S).audio_encoder
    mel = noise_mel(1000)
    other = mel.clone()
    other[:, 400:800] += 1.0
    (before, _), (after, _) = encoder(mel, [1000]), encoder(other, [1000])
    changed = (before - after).abs().amax(dim=1) > 1e-6
    assert changed.tolist() == [False] * 50 + [True] * 50 + [False] * 25


def test_a_window_looks_back_only():
    encoder = tiny(Scope.SLIDING_WINDOW).audio_encoder
    mel = noise_mel(1600)
    other = mel.clone()
    other[:, 800:] += 1.0
    (before, _), (after, _) = encoder(mel, [1600]), encoder(other, [1600])
    torch.testing.assert_close(before[:98], after[:98], atol=0, rtol=0)  # the stem alone reaches a token ahead
    assert (before[101:] - after[101:]).abs().amax(dim=1).min() > 1e-4


def test_full_scope_hears_everything():
    encoder = tiny(Scope.FULL).audio_encoder
    mel = noise_mel(1600)
    other = mel.clone()
    other[:, -8:] += 5.0
    assert ((encoder(mel, [1600])[0] - encoder(other, [1600])[0]).abs().amax(dim=1) > 1e-6).all()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_sequence_alone_equals_itself_in_a_batch_padded_and_with_several_audios(scope):
    model = tiny(scope)
    frames = [[730], [199, 401], [], [9, 400, 16]]
    ids = [told(lengths, list(range(20, 30 + index))) for index, lengths in enumerate(frames)]
    mels = [[noise_mel(length, seed=length) for length in lengths] for lengths in frames]
    longest = max(map(len, ids))
    tokens_BT = torch.tensor([row + [7] * (longest - len(row)) for row in ids])
    flat = [length for lengths in frames for length in lengths]
    together = model(tokens_BT, torch.cat([mel for row in mels for mel in row], dim=1), flat)
    for row, lengths in enumerate(frames):
        mel = torch.cat(mels[row], dim=1) if lengths else None
        alone = model(torch.tensor([ids[row]]), mel, lengths)
        torch.testing.assert_close(together[row, : len(ids[row])], alone[0], **close)


def test_packed_sequences_do_not_see_each_other():
    model = tiny()
    frames = [[730], [199, 401], [], [9]]
    ids = [told(lengths, list(range(20, 30 + index))) for index, lengths in enumerate(frames)]
    flat = [length for lengths in frames for length in lengths]
    mel = noise_mel(sum(flat))
    documents = torch.tensor([[number for number, row in enumerate(ids) for _ in row]])
    packed = model(
        torch.tensor([[token for row in ids for token in row]]),
        mel,
        flat,
        positions_BT=positions_in(documents),
        sight=packed_sight(documents),
    )
    start, heard = 0, 0
    for row, lengths in zip(ids, frames, strict=True):
        part = mel[:, heard : heard + sum(lengths)] if lengths else None
        torch.testing.assert_close(
            packed[0, start : start + len(row)], model(torch.tensor([row]), part, lengths)[0], **close
        )
        start, heard = start + len(row), heard + sum(lengths)


def test_reading_token_by_token_from_a_cache_equals_reading_at_once():
    model = tiny()
    ids = torch.tensor([told([730], list(range(20, 40)))])
    heard = model.hear(noise_mel(730), [730])
    whole = model.read(ids, heard)
    cache = empty_cache(model, 1, ids.shape[1] + 5)
    prompt = ids.shape[1] - 10
    steps = [model.read(ids[:, :prompt], heard, cache=cache)]
    cache.lengths_B += prompt
    for at in range(prompt, ids.shape[1]):
        step = model.read(ids[:, at : at + 1], positions_BT=cache.lengths_B[:, None], sight=cache.sight(), cache=cache)
        cache.lengths_B += 1
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, **close)


def test_deepstack_adds_each_tap_behind_its_layer_at_the_audios_places_only():
    model = tiny()
    ids = torch.tensor([told([400], [20, 21, 22])])
    heard = model.hear(noise_mel(400), [400])
    here = ids[0] == TINY.audio_token_id
    before: dict[int, torch.Tensor] = {}
    after: dict[int, torch.Tensor] = {}
    for index, layer in enumerate(model.language_model.layers):
        layer.register_forward_pre_hook(lambda _, args, index=index: before.__setitem__(index, args[0]))
        layer.register_forward_hook(lambda _, args, out, index=index: after.__setitem__(index, out))
    model.read(ids, heard)
    for index in range(4):
        added = before[index + 1] - after[index]
        assert (added[0, ~here] == 0).all()
        expected = heard.taps_NE[index] if index < 3 else torch.zeros_like(heard.audio_NE)
        torch.testing.assert_close(added[0, here], expected, **close)


def test_placeholders_and_audio_must_match_in_number():
    with pytest.raises(ValueError, match=r"50 audio placeholders \(id \d+\) and the audio makes 51 tokens"):
        tiny()(torch.tensor([told([400], [20, 21])]), noise_mel(401), [401])


def test_no_audio_at_all_is_refused_by_name():
    with pytest.raises(ValueError, match="0 mel frames cannot be encoded"):
        tiny()(torch.tensor([told([8], [20, 21])]), noise_mel(8), [8, 0])


def test_every_weight_matters():
    with torch.enable_grad():
        model = tiny()
        model(torch.tensor([told([730], list(range(20, 30)))]), noise_mel(730), [730]).square().mean().backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.abs().sum()]
    assert unused == []


def test_language_layers_are_qwen3s():
    model = tiny()
    c = TINY.language_config
    theirs = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=c.vocab_size, hidden_size=c.hidden_size, intermediate_size=c.intermediate_size,
            num_hidden_layers=c.num_hidden_layers, num_attention_heads=c.num_attention_heads,
            num_key_value_heads=c.num_key_value_heads, head_dim=c.head_dim, rms_norm_eps=c.rms_norm_eps,
            rope_parameters={"rope_theta": c.rope_theta, "rope_type": "default"}, tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    ours = {name.replace("language_model.", "model."): weight for name, weight in model.state_dict().items()}
    theirs.load_state_dict({name: ours[name] for name in theirs.state_dict()})
    ids = torch.randint(0, 256, (2, 300), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(ids), theirs(ids).logits, **close)


def test_encoder_layers_are_whispers():
    layer = tiny(Scope.FULL).audio_encoder.layers[0]
    c = TINY.audio_config
    theirs = WhisperEncoderLayer(
        WhisperConfig(
            d_model=c.d_model, encoder_attention_heads=c.encoder_attention_heads, encoder_ffn_dim=c.encoder_ffn_dim
        )
    ).eval()
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(2, 30, c.d_model)
    heard = torch.arange(30)[None] < torch.tensor([[30], [20]])
    out = theirs(x, torch.where(heard, 0.0, -1e30)[:, None, None, :])
    theirs_out = out if isinstance(out, torch.Tensor) else out[0]
    torch.testing.assert_close(layer(x, heard)[0], theirs_out[0], **close)
    torch.testing.assert_close(layer(x, heard)[1, :20], theirs_out[1, :20], **close)


def test_positions_are_exact_in_half_precision():
    far = torch.tensor([[40_000, 40_001]])
    cos, _ = rotation(far, 128, 1e6, torch.bfloat16)
    exact, _ = rotation(far, 128, 1e6, torch.float32)
    assert (cos[0, 0, 0] != cos[0, 0, 1]).any()
    torch.testing.assert_close(cos.float(), exact, atol=4e-3, rtol=0)
    assert sinusoids(700, 64, torch.device("cpu"))[699].dtype is torch.float32


def test_half_precision_hears_nearly_the_same():
    ids, mel = torch.tensor([told([730], list(range(20, 40)))]), noise_mel(730)
    exact, rough = tiny()(ids, mel, [730]), tiny().bfloat16()(ids, mel, [730])
    assert F.cosine_similarity(exact[0], rough[0].float(), dim=-1).min() > 0.999


@pytest.mark.parametrize("at_once", [1, 7, 4096])
def test_the_loss_is_cross_entropy_and_so_are_its_gradients(at_once):
    model = tiny()
    ids = torch.randint(0, 256, (2, 40), generator=torch.Generator().manual_seed(1))
    targets = torch.randint(0, 256, (2, 40), generator=torch.Generator().manual_seed(2))
    targets[:, :13] = IGNORE
    with torch.enable_grad():
        slow = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        expected = torch.autograd.grad(slow, list(model.language_model.parameters()))
        loss = model.lm_head.loss(model.read(ids), targets, at_once)
        found = torch.autograd.grad(loss.mean, list(model.language_model.parameters()))
    assert loss.num_targets == 54
    torch.testing.assert_close(loss.mean, slow, **close)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **close)


def test_nothing_to_predict_is_a_loss_of_zero():
    model = tiny()
    loss = model.lm_head.loss(model.read(torch.tensor([[1, 2]])), torch.tensor([[IGNORE, IGNORE]]))
    assert (loss.mean.item(), loss.num_targets.item()) == (0.0, 0)


def test_an_encoder_of_another_width_out_is_projected():
    config = replace(TINY, audio_config=replace(TINY.audio_config, output_dim=32))
    model = tiny(config=config)
    last, taps = model.audio_encoder(noise_mel(400), [400])
    assert [tuple(state.shape) for state in (last, *taps)] == [(50, 32)] * 4
    assert "audio_encoder.out_proj.weight" in model.state_dict()
