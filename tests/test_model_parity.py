"""What `earmark model check` is for: ours against the published model, of many shapes and lengths."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.config import ModelConfig, Scope
from model.parity import CASES, Comparison, check
from model.sizes import TINY
from schemas.errors import InputError
from tests.models import tiny
from tests.references import edit_config, write_references

TEXT = [60, 61, 70, 62, 300, 63, 71, 64]
LENGTHS = [160, 1_300, 31_840, 64_000, 64_160, 116_800]  # 10 ms; 2 tokens; 1.99 s; 4 s; a frame more; 7.3 s


def config(scope: Scope = Scope.BLOCK_4S, inject: int = 3, audio_token_id: int = 5, **sections) -> ModelConfig:
    return replace(
        TINY,
        encoder_attention=scope,
        deepstack_num_inject_layers=inject,
        audio_token_id=audio_token_id,
        audio_config=replace(TINY.audio_config, **sections.get("audio", {})),
        language_config=replace(TINY.language_config, **sections.get("language", {})),
    )


OTHER_ORDER = {"deepstack_encoder_layer_indexes": (4, 0, 5)}
SHAPES = {
    "blocks": config(),
    "full": config(Scope.FULL),
    "taps in the config's order": config(audio=OTHER_ORDER),
    "taps in the layers' order, as the first release": config(Scope.FULL, audio=OTHER_ORDER),
    "fewer injected than tapped": config(inject=2),
    "none injected": config(inject=0),
    "none tapped": config(audio={"deepstack_encoder_layer_indexes": ()}),
    "more taps than language layers": config(language={"num_hidden_layers": 2}),
    "blocks of 2 s": config(audio={"n_window": 100}),
    "another width out": config(audio={"output_dim": 40}),
    "other heads, other rotations": config(
        audio={"d_model": 48, "output_dim": 48, "encoder_attention_heads": 6, "layer_norm_eps": 1e-2},
        language={
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "head_dim": 10,
            "rope_theta": 1e4,
            "rms_norm_eps": 1e-2,
        },
    ),
    "the placeholder is the first id": config(audio_token_id=0),
}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """A small folder of references, not to be changed."""
    folder = tmp_path_factory.mktemp("parity") / "references"
    write_references(folder, tiny(config=config()), [1_280, 64_160], text=TEXT)
    return folder


@pytest.fixture
def copy(references, tmp_path):
    for path in references.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def wrong(found: list[Comparison]) -> set[tuple[str, str]]:
    return {(comparison.case, comparison.quantity) for comparison in found if not comparison.ok}


@pytest.mark.parametrize("shape", SHAPES)
def test_ours_is_the_published_model(tmp_path, shape):
    made = SHAPES[shape]
    write_references(tmp_path, tiny(made.encoder_attention, made), LENGTHS, text=TEXT)
    found = check(tmp_path)
    assert wrong(found) == set()
    taps = len(made.audio_config.deepstack_encoder_layer_indexes)
    assert len(found) == len(LENGTHS) * (5 + taps)


def test_large_weights_are_held_to_as_many_digits(tmp_path):
    model = tiny(config=config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 12
    write_references(tmp_path, model, [64_160], text=TEXT)
    assert wrong(check(tmp_path)) == set()


@pytest.mark.parametrize("quantity", ["mel", "encoder_out", "tap0", "tap2", "logits", "loss", "greedy_ids"])
@pytest.mark.parametrize("damage", ["one value", "not a number", "one value less"])
def test_what_differs_is_found_where_it_is(copy, quantity, damage):
    tensors = load_file(copy / CASES)
    found = tensors[f"1.{quantity}"].flatten().clone()
    if damage == "one value":
        found[-1] += 1 if quantity == "greedy_ids" else 1e-3
    elif damage == "not a number" and quantity != "greedy_ids":
        found[0] = torch.nan
    else:
        found = found[1:]
    save_file(tensors | {f"1.{quantity}": found}, copy / CASES)
    assert wrong(check(copy)) == {("1", quantity)}


def test_a_tap_the_model_does_not_have_is_a_difference(copy):
    tensors = load_file(copy / CASES)
    save_file(tensors | {"0.tap3": tensors["0.tap2"].clone(), "0.seconds": torch.ones(1)}, copy / CASES)
    assert wrong(check(copy)) == {("0", "tap3")}


def test_quantities_that_were_not_kept_are_passed_over(copy):
    tensors = load_file(copy / CASES)
    kept = ("waveform", "input_ids", "logits")
    save_file({name: tensor for name, tensor in tensors.items() if name.split(".")[1] in kept}, copy / CASES)
    assert [comparison.quantity for comparison in check(copy)] == ["logits"] * 2


@pytest.mark.parametrize("lengths", [[800], [1_300], [64_160]])
@pytest.mark.parametrize("placeholder", [5, 400])
def test_the_placeholder_is_found_where_nothing_names_it(tmp_path, lengths, placeholder):
    """Of one or two tokens there are many ids that occur as often; 51 times `text` holds one."""
    text = [*TEXT, 65, 65, 66, 66, *[67] * 51]
    write_references(tmp_path, tiny(config=config(audio_token_id=placeholder)), lengths, text=text)
    edit_config(tmp_path, audio_token_id=...)
    assert wrong(check(tmp_path)) == set()


def test_every_tap_is_injected_where_their_number_is_null(copy):
    edit_config(copy, deepstack_num_inject_layers=None)
    assert wrong(check(copy)) == set()


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ({"0.input_ids": torch.tensor([[5, 5, 9]])}, "case 0: input_ids has 2 audio placeholders .id 5. .* makes 1 "),
        ({"0.input_ids": torch.tensor([[5, 5, 512]])}, "case 0: ids go from 5 to 512, and the model has .* 0 to 511"),
        ({"0.input_ids": torch.tensor([[5, 5, -1]])}, "case 0: ids go from -1 to 5"),
        ({"0.input_ids": torch.tensor([5, 5, 9])}, "case 0: input_ids is torch.int64 of shape .3.; it must be"),
        ({"0.labels": torch.tensor([[1]])}, "case 0: labels has the shape .1, 1., input_ids .1, "),
        ({"1.waveform": torch.zeros(2, 1600)}, r"case 1: the samples have shape \(2, 1600\)"),
        ({"1.waveform": torch.zeros(100)}, "case 1: 100 samples are too short to be heard"),
        ({"7.waveform": torch.zeros(1600)}, "case 7 lacks input_ids"),
    ],
)
def test_cases_that_cannot_be_computed_are_named(copy, damaged, words):
    save_file(load_file(copy / CASES) | damaged, copy / CASES)
    with pytest.raises(InputError, match=words):
        check(copy)


def test_no_id_that_could_be_the_placeholder_is_told(copy):
    edit_config(copy, audio_token_id=...)
    save_file(load_file(copy / CASES) | {"0.input_ids": torch.tensor([[8, 9, 10]])}, copy / CASES)
    with pytest.raises(InputError, match="no one id of `input_ids` occurs in every case as often"):
        check(copy)
