"""Packs: never too full, nothing lost, and each example computed as if it were alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import Batch, next_token_loss
from model.config import IGNORE
from model.examples import Example, Visit, as_floats
from model.mel import log_mel
from model.model import AudioLM
from model.packing import Layout, chosen, collate
from model.prompt import Sample, question, render_sample
from model.sizes import TINY
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.errors import ConfigError
from tests.models import tiny

BUDGET = 50
LENGTHS = st.lists(st.integers(1, BUDGET), min_size=1, max_size=12)
LAYOUTS = tuple(Layout)


def slow(lengths: Sequence[int], budget: int) -> list[int]:
    """The oldest, then again and again the longest that still fits; of equals the older."""
    taken = [0]
    while True:
        room = budget - sum(lengths[i] for i in taken)
        fitting = [i for i in range(len(lengths)) if i not in taken and lengths[i] <= room]
        if not fitting:
            return sorted(taken)
        taken.append(max(fitting, key=lambda i: (lengths[i], -i)))


def slow_alike(lengths: Sequence[int], budget: int) -> list[int]:
    """The most of those nearest to the oldest that fit when all are padded to the longest."""
    near = sorted(range(len(lengths)), key=lambda i: (i != 0, abs(lengths[i] - lengths[0]), i))
    fitting = [n for n in range(1, len(near) + 1) if n * max(lengths[i] for i in near[:n]) <= budget]
    return sorted(near[: max(fitting)])


@given(LENGTHS)
def test_what_is_chosen_is_what_the_slow_obvious_version_chooses(lengths):
    assert chosen(lengths, BUDGET) == slow(lengths, BUDGET)
    assert chosen(lengths, BUDGET, Layout.BUCKETED) == slow_alike(lengths, BUDGET)


@given(st.lists(st.integers(1, BUDGET), min_size=1, max_size=150), st.sampled_from(LAYOUTS))
def test_over_a_long_stream_none_is_lost_doubled_or_kept_waiting_and_no_pack_is_too_full(lengths, layout):
    coming, waiting, packed = list(enumerate(lengths)), [], []
    while coming or waiting:
        while coming and sum(length for _, length in waiting) < 2 * BUDGET:
            waiting.append(coming.pop(0))
        indices = chosen([length for _, length in waiting], BUDGET, layout)
        taken = [waiting[i] for i in indices]
        padded = max(length for _, length in taken) * len(taken)
        assert (padded if layout is Layout.BUCKETED else sum(length for _, length in taken)) <= BUDGET
        assert indices[0] == 0  # the oldest
        packed += [number for number, _ in taken]
        waiting = [one for one in waiting if one not in taken]
    assert sorted(packed) == list(range(len(lengths)))


def test_nothing_waiting_is_nothing_chosen_and_what_can_never_fit_is_refused():
    assert chosen([], BUDGET) == []
    with pytest.raises(ConfigError, match="an example of 51 tokens does not fit a pack of 50"):
        chosen([51, 1], BUDGET)


# ------------------------------------------------------------------------------------- what the model computes


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(build())


@pytest.fixture(scope="module")
def model(tokenizer) -> AudioLM:
    config = replace(TINY, audio_token_id=tokenizer.special.audio)
    return tiny(config=config)


def example(tokenizer: Tokenizer, number: int, *lengths_ms: int, answer: str = "yes") -> Example:
    """A question about noises of these lengths."""
    chance = np.random.default_rng(number)
    sounds = tuple((3_000 * chance.standard_normal(ms * 16)).astype(np.int16) for ms in lengths_ms)
    asked = question(f"Question {number}?", [ms // 10 for ms in lengths_ms])
    return Example(
        visit=Visit(source=0, number=number),
        index=0,
        key=f"k{number}",
        group="asr",
        task="t",
        sample=render_sample(asked, answer, tokenizer),
        sounds=sounds,
    )


@pytest.fixture(scope="module")
def examples(tokenizer) -> list[Example]:
    text = Sample(ids=(20, 21, 22), targets=(21, 22, tokenizer.special.end_of_text), frames=())
    return [
        example(tokenizer, 0, 1_300),
        Example(visit=Visit(source=1, number=0), index=0, key="text", group="text", task="text", sample=text),
        example(tokenizer, 1, 4_210, 330, answer="two sounds"),
        example(tokenizer, 2),
        example(tokenizer, 3, 2_000, answer="a"),
    ]


def logits_of(model: AudioLM, batch: Batch) -> torch.Tensor:
    heard = model.hear(batch.mel_MF, batch.frames) if batch.frames else None
    return model.lm_head(model.read(batch.tokens_BT, heard, positions_BT=batch.positions_BT, sight=batch.sight))


def alone(model: AudioLM, one: Example) -> torch.Tensor:
    """What the model computes on an example that it is given by itself, without a pack, (tokens, vocabulary)."""
    tokens = torch.tensor([one.sample.ids])
    mels = [log_mel(as_floats(sound)) for sound in one.sounds]
    mel = torch.from_numpy(np.concatenate(mels, axis=1)) if mels else None
    return model(tokens, mel, one.sample.frames)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_what_is_computed_on_a_pack_is_what_is_computed_on_each_example_alone(model, tokenizer, examples, layout):
    pack = collate(examples, 900, layout, tokenizer.special.end_of_text)
    found = logits_of(model, Batch.of(pack, "cpu", layout))
    row = start = 0
    for one in examples:
        stop = start + one.num_tokens
        expected = alone(model, one)
        assert torch.allclose(found[row, start:stop], expected, atol=2e-4, rtol=1e-3), one.key
        if layout is Layout.PACKED:
            start = stop
        else:
            row += 1


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_the_loss_of_a_pack_is_the_sum_of_those_of_its_examples(model, tokenizer, examples, layout):
    whole = next_token_loss(model, Batch.of(collate(examples, 900, layout, 0), "cpu", layout))
    parts = [
        next_token_loss(model, Batch.of(collate([one], one.num_tokens, Layout.PACKED, 0), "cpu")) for one in examples
    ]
    assert whole.num_targets == sum(part.num_targets for part in parts)
    assert torch.isclose(whole.total, sum(part.total for part in parts), rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_learnt_from_padding_and_every_target_is_kept(tokenizer, examples, layout):
    padding = tokenizer.special.end_of_text
    pack = collate(examples, 900, layout, padding)
    width = 900 if layout is Layout.PACKED else max(one.num_tokens for one in examples)
    rows = 1 if layout is Layout.PACKED else len(examples)
    assert pack.tokens_BT.shape == pack.targets_BT.shape == pack.documents_BT.shape == (rows, width)
    filled = 1 if layout is Layout.BUCKETED else len(examples)
    is_padding = pack.documents_BT == filled
    assert is_padding.sum() == rows * width - pack.num_tokens
    assert (pack.targets_BT[is_padding] == IGNORE).all()
    assert (pack.tokens_BT[is_padding] == padding).all()
    kept = [target for one in examples for target in one.sample.targets]
    assert pack.targets_BT[~is_padding].tolist() == kept
    assert pack.num_targets == sum(target != IGNORE for target in kept)
    assert pack.lengths == tuple(one.num_tokens for one in examples)
    assert pack.frames == tuple(frames for one in examples for frames in one.sample.frames)
    assert pack.mel_MF.shape == (128, sum(pack.frames))
    assert pack.mel_MF.dtype == np.float32


def test_a_pack_without_sound_has_an_empty_mel(tokenizer, examples):
    pack = collate([examples[1]], 10, Layout.PACKED, 0)
    assert pack.mel_MF.shape == (128, 0)
    assert pack.frames == ()


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(5)))
def test_sounds_lie_in_the_order_of_their_placeholders(tokenizer, examples, order):
    pack = collate([examples[i] for i in order], 900, Layout.PACKED, 0)
    expected = [log_mel(as_floats(sound)) for i in order for sound in examples[i].sounds]
    assert (pack.mel_MF == np.concatenate(expected, axis=1)).all()
