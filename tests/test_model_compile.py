"""A compiled model computes what the plain one does, and a compiled decode step is compiled once."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.attention import KVCache
from model.config import Scope
from model.decoding import empty_cache
from model.model import AudioLM
from model.sizes import TINY
from tests.models import noise_mel, tiny, told

pytestmark = pytest.mark.slow

LENGTHS = [730, 41]
close = {"atol": 1e-4, "rtol": 1e-4}
"""Fused kernels round in another order; logits here are of the order of one."""


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def filled(model: AudioLM, prompts: Tensor, lengths: list[int], room: int) -> KVCache:
    cache = empty_cache(model, len(prompts), room)
    model.read(prompts, cache=cache)
    cache.lengths_B.copy_(torch.tensor(lengths))
    return cache


def step_of(model: AudioLM) -> Callable[[Tensor, KVCache], Tensor]:
    def step(tokens_B: Tensor, cache: KVCache) -> Tensor:
        positions, sight = cache.lengths_B[:, None], cache.sight()
        logits = model.lm_head(model.read(tokens_B[:, None], positions_BT=positions, sight=sight, cache=cache)[:, 0])
        cache.lengths_B.add_(1)
        return logits

    return step


def compiled_layers(model: AudioLM) -> AudioLM:
    for layer in (*model.audio_encoder.layers, *model.language_model.layers):
        layer.compile(fullgraph=True)
    return model


@torch.inference_mode()
def test_the_whole_forward_compiled_equals_the_plain_one():
    encoder = replace(TINY.audio_config, encoder_layers=2, deepstack_encoder_layer_indexes=(0, 1))
    language = replace(TINY.language_config, num_hidden_layers=2)
    model = tiny(config=replace(TINY, audio_config=encoder, language_config=language))
    ids, mel = torch.tensor([told(LENGTHS, [20, 21, 22, 23])]), noise_mel(sum(LENGTHS))
    plain = model(ids, mel, LENGTHS)
    assert plain.std() > 0.1
    torch.testing.assert_close(torch.compile(model)(ids, mel, LENGTHS), plain, **close)


@torch.inference_mode()
@pytest.mark.parametrize("scope", list(Scope))
def test_hearing_with_compiled_layers_equals_plain_hearing(scope):
    mel = noise_mel(sum(LENGTHS))
    plain, heard = tiny(scope).hear(mel, LENGTHS), compiled_layers(tiny(scope)).hear(mel, LENGTHS)
    for one, other in zip((heard.audio_NE, *heard.taps_NE), (plain.audio_NE, *plain.taps_NE), strict=True):
        torch.testing.assert_close(one, other, **close)


@torch.inference_mode()
def test_a_decode_step_is_one_graph_that_serves_every_step_and_every_cache():
    model, plain = tiny(), tiny()
    prompts = torch.randint(0, 200, (3, 11), generator=torch.Generator().manual_seed(1))
    step, slow = torch.compile(step_of(model), fullgraph=True), step_of(plain)
    for attempt, lengths in enumerate(([11, 4, 7], [3, 11, 9])):
        fast_cache, slow_cache = filled(model, prompts, lengths, 24), filled(plain, prompts, lengths, 24)
        tokens = prompts[:, 0].clone()
        for at in range(5):
            with torch._dynamo.config.patch(error_on_recompile=attempt > 0 or at > 0):
                got = step(tokens, fast_cache)
            expected = slow(tokens, slow_cache)
            torch.testing.assert_close(got, expected, **close)
            tokens = expected.argmax(-1)
        assert fast_cache.lengths_B.tolist() == [length + 5 for length in lengths]
        for one, other in zip(fast_cache.keys_BGSK, slow_cache.keys_BGSK, strict=True):
            torch.testing.assert_close(one, other, **close)


@torch.inference_mode()
def test_one_graph_serves_all_language_layers():
    model, plain = compiled_layers(tiny()), tiny()
    torch._dynamo.utils.counters.clear()
    prompts = torch.randint(0, 200, (2, 9), generator=torch.Generator().manual_seed(2))
    fast, slow = filled(model, prompts, [9, 5], 16), filled(plain, prompts, [9, 5], 16)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(step_of(model)(prompts[:, 0], fast), step_of(plain)(prompts[:, 0], slow), **close)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


@torch.inference_mode()
def test_a_compiled_step_copies_no_cache():
    """Were layers kept in one buffer, a step would copy all of it; here it makes nothing as large as a layer's part."""
    model = tiny()
    cache, tokens = filled(model, torch.zeros(1, 4, dtype=torch.int64), [4], 4096), torch.zeros(1, dtype=torch.int64)
    step = torch.compile(step_of(model), fullgraph=True)
    step(tokens, cache)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=kinds, profile_memory=True, acc_events=True) as profile:
        step(tokens, cache)
    made = [event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    assert 0 < max(made) < cache.keys_BGSK[0].nbytes
