"""What a model takes, against models that are set up and figures worked out by hand."""

import dataclasses
import weakref

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from model.checkpoint import expected_shapes
from model.config import Scope
from model.initialise import fresh
from model.memory import (
    activation_bytes,
    cache_bytes_per_token,
    encoder_bytes,
    inference,
    logits_bytes,
    parameters,
    prompt_tokens,
    training,
)
from model.sizes import MOSS_4B, MOSS_8B, SIZES, TINY

PARTS = {
    "encoder": ("audio_encoder.",),
    "adapter": ("audio_adapter.",),
    "mergers": ("deepstack_audio_merger_list.",),
    "embedding": ("language_model.embed_tokens.",),
    "language_layers": ("language_model.layers.", "language_model.norm."),
    "lm_head": ("lm_head.",),
}
WIDER = dataclasses.replace(TINY, audio_config=dataclasses.replace(TINY.audio_config, output_dim=80))
FEWER_TAPS = dataclasses.replace(TINY, deepstack_num_inject_layers=1)


@pytest.mark.parametrize(
    "config", [*SIZES.values(), WIDER, FEWER_TAPS], ids=[*SIZES, "wider output", "fewer taps than named"]
)
def test_parameters_are_those_of_the_model(config):
    counted = parameters(config)
    shapes = expected_shapes(config)
    for part, prefixes in PARTS.items():
        numbers = sum(torch.Size(shape).numel() for name, shape in shapes.items() if name.startswith(prefixes))
        assert getattr(counted, part) == numbers, part
    assert counted.total == sum(torch.Size(shape).numel() for shape in shapes.values())


def test_published_sizes():
    assert parameters(MOSS_4B).total == 5_222_820_736
    assert parameters(MOSS_8B).total == 9_052_463_488
    assert parameters(MOSS_8B).encoder == parameters(MOSS_4B).encoder == 643_624_320
    assert parameters(MOSS_4B).adapter == 41_943_040
    assert parameters(MOSS_8B).mergers == 3 * 54_525_952


@pytest.mark.parametrize(("audio_s", "tokens"), [(1, 15), (10, 133), (30, 403), (600, 8_349), (2_700, 38_600)])
def test_tokens_of_a_prompt(audio_s, tokens):
    assert prompt_tokens(audio_s) == tokens


def test_keys_and_values_by_hand():
    assert cache_bytes_per_token(MOSS_4B) == 2 * 36 * 8 * 128 * 2 == 147_456
    found = {(prompt.audio_s, prompt.batch): prompt.cache_bytes for prompt in inference(MOSS_4B).prompts}
    assert found[30, 1] == 403 * 147_456
    assert found[2_700, 16] == 16 * 38_600 * 147_456
    assert set(found) == {(seconds, batch) for seconds in (30, 600, 2_700) for batch in (1, 16)}
    assert inference(MOSS_4B).weights_bfloat16_bytes == 10_445_641_472


def test_hearing_by_hand():
    """Four seconds fill one block; of ten minutes, the adapter on all tokens is the widest place."""
    assert encoder_bytes(MOSS_4B, 4) == 2 * (128 * 400 + 480 * 64 * 400 + 480 * 16 * 50)
    one_token = 4 * 1280 + 4 * 2560 + 3 * 8192
    assert encoder_bytes(MOSS_4B, 600) == 2 * one_token * 7_500
    assert encoder_bytes(MOSS_4B, 600, batch=2) == encoder_bytes(MOSS_4B, 1_200)


class Alive(TorchDispatchMode):
    """Counts the bytes of tensors that are made while it is on, and the most there are at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_bytes = self.most_bytes = 0
        self.known: set[int] = set()

    def know(self, storage: torch.UntypedStorage) -> None:
        self.known.add(storage._cdata)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.known:
                self.add(tensor.untyped_storage())
        return made

    def add(self, storage: torch.UntypedStorage) -> None:
        self.know(storage)
        self.now_bytes += storage.nbytes()
        self.most_bytes = max(self.most_bytes, self.now_bytes)
        weakref.finalize(storage, self.remove, storage._cdata, storage.nbytes())

    def remove(self, name: int, num_bytes: int) -> None:
        self.known.discard(name)
        self.now_bytes -= num_bytes


@pytest.mark.parametrize("scope", [Scope.BLOCK_4S, Scope.FULL])
@pytest.mark.parametrize(
    ("config", "audio_s", "batch"),
    [
        pytest.param(TINY, 4, 1, id="one block"),
        pytest.param(TINY, 120, 2, id="several batches of blocks"),
        pytest.param(dataclasses.replace(TINY, adapter_hidden_size=4096), 60, 2, id="a wide adapter"),
        pytest.param(
            dataclasses.replace(TINY, audio_config=dataclasses.replace(TINY.audio_config, encoder_ffn_dim=8192)),
            60,
            1,
            id="a wide layer",
        ),
        pytest.param(
            dataclasses.replace(
                TINY, audio_config=dataclasses.replace(TINY.audio_config, encoder_ffn_dim=8192, conv_chunksize=4)
            ),
            60,
            1,
            id="a wide layer, few blocks at once",
        ),
    ],
)
def test_hearing_takes_what_is_counted(config, scope, audio_s, batch):
    config = dataclasses.replace(config, encoder_attention=scope)
    model = fresh(config, dtype=torch.bfloat16)
    mel_MF = torch.randn(128, audio_s * 100 * batch).bfloat16()
    alive = Alive()
    for tensor in (mel_MF, *model.parameters()):
        alive.know(tensor.untyped_storage())
    with torch.inference_mode(), alive:
        model.eval().hear(mel_MF, [audio_s * 100] * batch)
    assert encoder_bytes(config, audio_s, batch) == pytest.approx(alive.most_bytes, rel=0.1)


def test_training_by_hand():
    total, adapters = 5_222_820_736, 4 * 41_943_040
    alone, eighth = training(MOSS_4B), training(MOSS_4B, gpus=8)
    assert alone.state_bytes == 16 * total
    assert eighth.state_bytes == 2 * total
    assert training(MOSS_4B, adapters_only=True).state_bytes == 2 * (total - adapters) + 16 * adapters
    embedding = 151_936 * 2560
    assert alone.gathered_bytes == 2 * (embedding + adapters + 2560 + 643_624_320), "the encoder is the largest part"
    assert eighth.activations_bytes == alone.activations_bytes
    assert alone.logits_bytes == logits_bytes(MOSS_4B, 2_048) == 2_048 * 151_936 * 8
    assert eighth.total_bytes == (
        eighth.state_bytes + alone.gathered_bytes + alone.activations_bytes + alone.logits_bytes
    )
    assert eighth.total_bytes - eighth.total_checkpointed_bytes == (
        eighth.activations_bytes - eighth.activations_checkpointed_bytes
    )


@pytest.mark.parametrize("gpus", [1, 3, 8])
def test_shares_hold_the_whole(gpus):
    share = training(MOSS_8B, gpus=gpus)
    assert gpus * share.weights_bytes >= 4 * parameters(MOSS_8B).total > gpus * (share.weights_bytes - 4)


@pytest.mark.parametrize("size", ["tiny", pytest.param("small", marks=pytest.mark.slow)])
def test_activations_are_those_that_are_kept(size):
    """All that a forward pass of only sound keeps for the backward pass, weights aside, counted once."""
    config, num_tokens = SIZES[size], 200
    model = fresh(config, dtype=torch.bfloat16)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        heard = model.hear(torch.randn(128, 8 * num_tokens).bfloat16(), [8 * num_tokens])
        read = model.read(torch.full((1, num_tokens), config.audio_token_id), heard)
    assert read.requires_grad
    counted = activation_bytes(config, num_tokens)
    assert counted == pytest.approx(sum(storage.nbytes() for storage in kept.values()), rel=0.03)


def test_checkpointing_keeps_less_than_a_third():
    for config in (MOSS_4B, MOSS_8B):
        assert activation_bytes(config, 8_192, checkpointed=True) < activation_bytes(config, 8_192) / 3
