"""LoRA: it begins as nothing, learns alone, and what it learnt can be added to the weights or kept beside them."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model import checkpoint
from model.checkpoint import expected_shapes
from model.generate import Generator
from model.lora import CONFIG, WEIGHTS, LowRankConfig, add, load_adapter, merged, save_adapter
from model.model import AudioLM
from model.parallel import checkpoint_layers, compile_layers
from schemas.errors import CheckpointError, ConfigError
from tests.models import noise_mel, tiny, told
from tests.test_model_generate import REQUESTS, SAMPLED, TOKENIZER

FRAMES = [730, 100]
IDS = torch.tensor([told(FRAMES, list(range(20, 30)))])
SMALL = LowRankConfig(rank=4, alpha=8)
CONFIGS = [SMALL, replace(SMALL, on_encoder=True), replace(SMALL, adapters=False), LowRankConfig()]
close = {"atol": 1e-5, "rtol": 0.0}


@torch.no_grad()
def logits(model: AudioLM) -> Tensor:
    return model(IDS, noise_mel(sum(FRAMES)), FRAMES)


def backward(model: AudioLM) -> None:
    states_BTE = model.read(IDS, model.hear(noise_mel(sum(FRAMES)), FRAMES))
    model.lm_head.loss(states_BTE, IDS.roll(-1), at_once=64).mean.backward()


def learn(model: AudioLM, steps: int = 2) -> AudioLM:
    """Steps of AdamW over all there is: B is zero at first, so A has no gradient before the second."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        backward(model)
        optimiser.step()
    return model


def from_published(weights: dict[str, Tensor]) -> AudioLM:
    model = tiny(seed=1)
    model.load_state_dict(weights, strict=True)
    return model


@pytest.mark.parametrize("config", CONFIGS)
def test_at_first_nothing_changes(config):
    model = tiny()
    assert add(model, config) is model
    assert torch.equal(logits(model), logits(tiny()))
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("config", CONFIGS)
def test_only_what_is_named_learns(config):
    model = add(tiny(), config)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    learn(model)
    for name, weight in model.named_parameters():
        full = name.startswith(("audio_adapter.", "deepstack_audio_merger_list."))
        assert torch.equal(weight, before[name]) == (".lora_" not in name and not (full and config.adapters)), name
    adapted = {name.partition(".lora_")[0] for name in before if ".lora_" in name}
    parts = [f"self_attn.{letter}_proj" for letter in "qkvo"] + [f"mlp.{kind}_proj" for kind in ("gate", "up", "down")]
    expected = {f"language_model.layers.{i}.{part}" for i in range(5) for part in parts}
    if config.on_encoder:
        expected |= {f"audio_encoder.layers.{i}.self_attn.{letter}_proj" for i in range(6) for letter in "qkv"}
    assert adapted == expected


@pytest.mark.parametrize("config", CONFIGS)
def test_merged_weights_are_the_adapted_model(config, tmp_path):
    model = learn(add(tiny(), config))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights = merged(model)
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == expected_shapes(model.config)
    assert (logits(model) - logits(tiny())).abs().max() > 0.1
    torch.testing.assert_close(logits(from_published(weights)), logits(model), **close)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    checkpoint.save(weights, tmp_path / "trained", config=model.config)
    torch.testing.assert_close(logits(checkpoint.load(tmp_path / "trained")), logits(model), **close)


def test_merging_rounds_once():
    model = add(tiny().to(torch.bfloat16), SMALL, seed=3)
    layer = model.language_model.layers[2].mlp.up_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.02)
    low, high = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert low.dtype == high.dtype == torch.float32
    found = merged(model)["language_model.layers.2.mlp.up_proj.weight"]
    exact = layer.base_layer.weight.double() + 8 / 4 * high.double() @ low.double()
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.float().bfloat16())


def test_a_model_without_lora_is_merged_as_it_is():
    model = tiny()
    assert all(tensor.data_ptr() == merged(model)[name].data_ptr() for name, tensor in model.state_dict().items())


def test_a_seed_decides():
    one, same, other = (add(tiny(), SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    name = "language_model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert all(torch.equal(tensor, same[key]) for key, tensor in one.items())
    assert not torch.equal(one[name], other[name])
    width = one[name].shape[1]
    assert one[name].std() == pytest.approx((3 * width) ** -0.5, rel=0.1)


def test_settings_that_cannot_work_are_refused():
    for wrong in ({"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            LowRankConfig(**wrong)
    with pytest.raises(ValueError, match="LoRA already"):
        add(add(tiny(), SMALL), SMALL)


def test_layers_computed_again_learn_the_same():
    models = [add(tiny(), replace(SMALL, on_encoder=True)) for _ in range(2)]
    checkpoint_layers(models[1])
    for model in models:
        learn(model)
        backward(model)
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        torch.testing.assert_close(other, one, atol=1e-6, rtol=0, msg=name)


def test_an_adapted_model_answers_as_the_merged_one():
    model = learn(add(tiny(), SMALL))
    answers, wanted = (
        Generator(which, TOKENIZER).generate(REQUESTS, SAMPLED) for which in (model, from_published(merged(model)))
    )
    assert [answer.ids for answer in answers] == [answer.ids for answer in wanted]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_layers_learn_the_same():
    torch._dynamo.reset()
    models = [add(tiny(), SMALL) for _ in range(2)]
    compile_layers(checkpoint_layers(models[1]))
    for model in models:
        learn(model)
        backward(model)
    for (name, one), other in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert name == other[0]
        if one.grad is not None:
            torch.testing.assert_close(other[1].grad, one.grad, atol=1e-4, rtol=1e-3, msg=name)
    torch._dynamo.reset()


# ------------------------------------------------------------------------------------------ on disk


@pytest.mark.parametrize("config", CONFIGS)
def test_an_adapter_is_read_as_it_was_written(config, tmp_path):
    model = learn(add(tiny(), config))
    save_adapter(model, tmp_path / "adapter")
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [CONFIG, WEIGHTS]
    read = tiny()
    assert load_adapter(read, tmp_path / "adapter") is read
    assert torch.equal(logits(read), logits(model))
    assert [weight.requires_grad for weight in read.parameters()] == [w.requires_grad for w in model.parameters()]
    save_adapter(read, tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (tmp_path / "adapter" / WEIGHTS).read_bytes()
    torch.testing.assert_close(logits(learn(read, 1)), logits(learn(load_adapter(tiny(), tmp_path / "again"), 1)))


@pytest.mark.parametrize("config", CONFIGS)
def test_peft_opens_what_is_written(config, tmp_path):
    from peft import PeftModel

    model = learn(add(tiny(), config))
    save_adapter(model, tmp_path / "adapter")
    opened = PeftModel.from_pretrained(tiny(), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(opened), logits(model), **close)


@pytest.mark.parametrize("full", [False, True])
def test_what_peft_writes_is_opened(full, tmp_path):
    from peft import LoraConfig, get_peft_model

    between = ["audio_adapter", *(f"deepstack_audio_merger_list.{i}" for i in range(3))]
    config = LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=["q_proj", "v_proj"],
        use_rslora=True,
        modules_to_save=between if full else None,
    )
    model = get_peft_model(tiny(), config)
    learn(model)
    model.save_pretrained(tmp_path / "adapter")
    read = load_adapter(tiny(), tmp_path / "adapter")
    torch.testing.assert_close(logits(read), logits(model.eval()), **close)
    torch.testing.assert_close(logits(from_published(merged(read))), logits(read), **close)


def test_another_adapter_takes_the_place_only_when_asked(tmp_path):
    model = add(tiny(), SMALL)
    save_adapter(model, tmp_path)
    with pytest.raises(CheckpointError, match="already holds"):
        save_adapter(model, tmp_path)
    save_adapter(learn(model), tmp_path, replace=True)
    assert torch.equal(logits(load_adapter(tiny(), tmp_path)), logits(model))
    with pytest.raises(ValueError, match="no LoRA"):
        save_adapter(tiny(), tmp_path)


def rewritten(folder, **changed) -> None:
    said = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**said, **changed}))


@pytest.mark.parametrize(
    ("changed", "told_of"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"alpha_pattern": {"q_proj": 3}, "a_setting_of_tomorrow": 1}, "a_setting_of_tomorrow, alpha_pattern"),
        ({"r": "4"}, "r is 4"),
        ({"r": 5}, "rank 5"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_dropout": 2}, "lora_dropout"),
    ],
)
def test_an_adapter_that_is_not_plain_is_refused(changed, told_of, tmp_path):
    save_adapter(add(tiny(), SMALL), tmp_path)
    rewritten(tmp_path, **changed)
    with pytest.raises(CheckpointError, match=told_of):
        load_adapter(tiny(), tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    save_adapter(add(tiny(), SMALL), tmp_path)
    held = load_file(tmp_path / WEIGHTS)
    first = next(iter(held))
    for wrong, told_of in (
        ({**held, first: held[first][:, :5].contiguous()}, "shape"),
        ({name: tensor for name, tensor in held.items() if name != first}, "missing"),
        ({**held, "base_model.model.lm_head.lora_A.weight": torch.zeros(4, 96)}, "surplus"),
        ({**held, "base_model.model.language_model.norm.weight": torch.zeros(96)}, "surplus"),
        ({"base_model.model.audio_adapter.up_proj.weight": torch.zeros(2)}, "no matrices"),
    ):
        save_file(wrong, tmp_path / WEIGHTS)
        with pytest.raises(CheckpointError, match=told_of):
            load_adapter(tiny(), tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_adapter(tiny(), tmp_path)
