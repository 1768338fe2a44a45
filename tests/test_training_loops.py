"""The loops: what each stage changes and what it leaves, what a step is, and how a run goes wrong."""

import io
import math
import shutil
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from jobs import cli
from model import lora, pretrain_encoder, sft
from model.batch import Batch, next_token_loss
from model.catalogue import Catalogue
from model.checkpoint import load, save
from model.config import IGNORE
from model.data import Loader
from model.examples import Example, Visit
from model.lora import LowRankConfig
from model.model import AudioLM
from model.packing import Layout, Pack, collate
from model.parts import BETWEEN, Part, learns
from model.pretrain import PretrainConfig, pretrain, stage_1, stage_2
from model.pretrain_encoder import EncoderStageConfig
from model.pretrain_encoder import pretrain_encoder as teach_encoder
from model.sft import ADAPTER, SftConfig, fine_tune
from model.training import MODEL, SNAPSHOTS, backward, begin, check_same_run
from schemas.errors import ConfigError, InputError, SchemaError
from tests.training import ALONE, QUIET, brief, changed, curve, material, stored, told, work

STEPS = 2
BEFORE = {
    Part.ENCODER: "audio_encoder.",
    Part.ADAPTER: "audio_adapter.",
    Part.MERGERS: "deepstack_audio_merger_list.",
    Part.LANGUAGE: "language_model.",
    Part.HEAD: "lm_head.",
}


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    return material(tmp_path_factory.mktemp("given"))


def parts_of(names: set[str]) -> set[Part]:
    return {part for part, before in BEFORE.items() if any(name.startswith(before) for name in names)}


# ------------------------------------------------------------------------------------------------ stages


@pytest.mark.slow
def test_stage_1_changes_the_adapter_and_the_mergers_alone(given, tmp_path):
    config = PretrainConfig(stage=1, training=brief(stage_1(STEPS)))
    trained = pretrain(given / "start", work(given), config, tmp_path, ALONE, QUIET)
    touched = changed(given / "start", trained)
    assert parts_of(touched) == BETWEEN
    assert touched == {name for name in stored(trained) if name.startswith(tuple(BEFORE[part] for part in BETWEEN))}


@pytest.mark.slow
def test_stage_2_changes_every_part(given, tmp_path):
    config = PretrainConfig(stage=2, training=brief(stage_2(STEPS)))
    trained = pretrain(given / "start", work(given, text=True), config, tmp_path, ALONE, QUIET)
    assert parts_of(changed(given / "start", trained)) == set(Part)
    assert set(told(tmp_path)[-1]["losses"]) <= {"asr", "captions", "text"}


@pytest.mark.slow
def test_fine_tuning_changes_every_part(given, tmp_path):
    config = SftConfig(training=brief(sft.settings(STEPS, low_rank=False)))
    trained = fine_tune(given / "start", work(given, groups=("instructions",)), config, tmp_path, ALONE, QUIET)
    assert parts_of(changed(given / "start", trained)) == set(Part)


@pytest.mark.slow
def test_lora_is_exported_under_the_published_names_and_beside_it_alone(given, tmp_path):
    low_rank = LowRankConfig(rank=4, alpha=8)
    config = SftConfig(training=brief(sft.settings(STEPS, low_rank=True)), low_rank=low_rank)
    trained = fine_tune(given / "start", work(given, groups=("instructions",)), config, tmp_path, ALONE, QUIET)
    adapted = {
        f"{name}.weight"
        for name, layer in lora.add(load(given / "start"), low_rank).named_modules()
        if hasattr(layer, "lora_A")
    }
    between = {name for name in stored(trained) if name.startswith(tuple(BEFORE[part] for part in BETWEEN))}
    assert changed(given / "start", trained) == adapted | between
    alone = lora.merged(lora.load_adapter(load(given / "start"), tmp_path / ADAPTER))
    assert all(torch.equal(alone[name], weight) for name, weight in load(trained).state_dict().items())


@pytest.mark.slow
def test_the_encoders_stage_changes_the_encoder_alone(given, tmp_path):
    config = EncoderStageConfig(decoder_layers=1, training=brief(pretrain_encoder.settings(STEPS)))
    trained = teach_encoder(given / "start", work(given), config, tmp_path, ALONE, QUIET)
    touched = changed(given / "start", trained)
    assert touched
    assert parts_of(touched) == {Part.ENCODER}


@pytest.mark.slow
def test_sixty_steps_learn_a_tiny_set(given, tmp_path):
    pretrain(given / "start", work(given), PretrainConfig(training=brief(stage_2(60), lr=3e-3)), tmp_path, ALONE, QUIET)
    losses = curve(tmp_path)
    assert losses[0] > 5
    assert sum(losses[-5:]) / 5 < losses[0] / 2


# ------------------------------------------------------------------------------------------------ a step


def gradients(model: AudioLM) -> dict[str, torch.Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def examples(given: Path, least: int) -> list[Example]:
    reader = work(given, text=True).reader()
    found: list[Example] = []
    for number in range(10 * least):
        read = reader.read(Visit(source=number % 3, number=number))
        found += read if isinstance(read, tuple) else ()
    return found[:least]


@pytest.mark.slow
def test_a_steps_gradient_does_not_depend_on_how_its_targets_are_packed(given):
    model = learns(load(given / "start"), frozenset(Part)).train()
    few = examples(given, 4)
    width = sum(one.num_tokens for one in few)
    padding = work(given).lane_config().padding
    numbers = [sum(target != IGNORE for target in one.sample.targets) for one in few]
    assert len(set(numbers)) > 1, "they must weigh differently"

    def packed(*bounds: int, layout: Layout = Layout.PACKED) -> list[Pack]:
        cuts = [0, *bounds, len(few)]
        return [collate(few[a:b], width, layout, padding) for a, b in pairwise(cuts)]

    # the obvious version: every example alone, and the mean over all their targets
    total = sum(next_token_loss(model, Batch.of(pack, "cpu")).total for pack in packed(1, 2, 3))
    (total / sum(numbers)).backward()
    expected, mean = gradients(model), float(total.detach()) / sum(numbers)

    ways = [(packed(), Layout.PACKED), (packed(1), Layout.PACKED), (packed(2, 3), Layout.PACKED)]
    ways.append((packed(2, layout=Layout.BUCKETED), Layout.BUCKETED))
    for packs, layout in ways:
        loss = backward(model, packs, layout, ALONE, ["asr", "captions", "text"], {})
        found = gradients(model)
        assert loss.mean == pytest.approx(mean, abs=1e-5)
        assert loss.targets == sum(numbers)
        assert sum(count for _, count in loss.by_group.values()) == loss.targets
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=1e-4, msg=name)


# ------------------------------------------------------------------------------------------------ what is not finite


RARE = "\u00e9"  # no other text of the material holds its bytes


def overflowing(given: Path, folder: Path, *, everywhere: bool = False) -> tuple[Path, int]:
    """`start` with an embedding beyond all numbers: that of a rare byte, or of the one every question has."""
    tokenizer = work(given).reader()._tokenizer
    token = tokenizer.encode(RARE)[0]
    model = load(given / "start")
    with torch.no_grad():
        model.language_model.embed_tokens.weight[slice(None) if everywhere else token] = math.inf
    save(model, folder / "overflowing", config=model.config, source=given / "start")
    return folder / "overflowing", token


@pytest.mark.slow
def test_a_step_that_is_not_finite_is_left_out_and_counted(given, tmp_path):
    own = material(tmp_path / "own")
    (own / "texts" / "rare.txt").write_text(f"caf{RARE}")
    start, token = overflowing(own, tmp_path)
    asked = work(own, groups=("asr",), text=True)
    with Loader(asked) as loader:
        spoilt = [any(token in laid.pack.tokens_BT for laid in laids) for laids in islice(loader, 8)]
    assert 0 < sum(spoilt) < 8
    pretrain(start, asked, PretrainConfig(training=brief(stage_2(8), max_skipped=8)), tmp_path / "run", ALONE, QUIET)
    lines = told(tmp_path / "run")
    assert [line["grad_norm"] is None for line in lines] == spoilt
    assert [line["skipped"] for line in lines] == [sum(spoilt[: n + 1]) for n in range(8)]
    finite = [name for name, weight in stored(tmp_path / "run" / MODEL).items() if not weight.isfinite().all()]
    assert finite == ["language_model.embed_tokens.weight"], "no other weight is spoilt"


@pytest.mark.slow
def test_too_many_in_a_row_end_the_run_in_a_sentence(given, tmp_path):
    start, _ = overflowing(given, tmp_path, everywhere=True)
    config = PretrainConfig(training=brief(stage_2(9), max_skipped=3))
    with pytest.raises(
        InputError, match=r"^3 steps in a row, up to step 3, had gradients that are not finite; [^\n]+$"
    ):
        pretrain(start, work(given), config, tmp_path / "run", ALONE, QUIET)
    assert [line["skipped"] for line in told(tmp_path / "run")] == [1, 2, 3]
    assert not (tmp_path / "run" / MODEL).exists()


# ------------------------------------------------------------------------------------------------ the run


@pytest.mark.slow
def test_a_run_that_ended_does_nothing_more_and_exports_the_same(given, tmp_path):
    config = PretrainConfig(training=brief(stage_2(STEPS)))
    asked = work(given)
    trained = pretrain(given / "start", asked, config, tmp_path, ALONE, QUIET)
    weights, log = stored(trained), (tmp_path / "log.jsonl").read_bytes()
    again = pretrain(given / "start", asked, config, tmp_path, ALONE, QUIET)
    assert again == trained
    assert (tmp_path / "log.jsonl").read_bytes() == log
    found = stored(again)
    assert all(torch.equal(found[name], weight) for name, weight in weights.items())
    assert [path.name for path in (tmp_path / SNAPSHOTS).iterdir()] == [f"step-{STEPS:09d}"]


@pytest.mark.slow
def test_a_run_goes_on_as_if_it_had_not_been_broken_off(given, tmp_path):
    config = PretrainConfig(training=brief(stage_2(6), snapshot_every=2))
    asked = work(given)
    whole = pretrain(given / "start", asked, config, tmp_path / "whole", ALONE, QUIET)
    pretrain(given / "start", asked, config, tmp_path / "broken", ALONE, QUIET)
    for step in (4, 6):
        shutil.rmtree(tmp_path / "broken" / SNAPSHOTS / f"step-{step:09d}")
    resumed = pretrain(given / "start", asked, config, tmp_path / "broken", ALONE, QUIET)
    assert curve(tmp_path / "broken") == curve(tmp_path / "whole")
    assert changed(whole, resumed) == set()


def test_a_folder_of_a_run_with_another_config_is_refused_by_what_differs(tmp_path):
    config = {"stage": "sft", "config": {"training": {"seed": 0, "betas": (0.9, 0.95)}}}
    check_same_run(tmp_path, config)
    begin(tmp_path, config, Catalogue(sources=()))
    check_same_run(tmp_path, config)
    other = {"stage": "sft", "config": {"training": {"seed": 1, "betas": [0.9, 0.98]}}}
    with pytest.raises(
        ConfigError, match=r"config\.training\.betas was \[0\.9, 0\.95\] and is \[0\.9, 0\.98\]"
    ) as found:
        check_same_run(tmp_path, other)
    assert "config.training.seed was 0 and is 1" in str(found.value)


@pytest.mark.parametrize("body", ["", '{"stage": ', "[1, 2]", "\ufffe"])
def test_a_config_that_cannot_be_read_is_told_in_a_sentence(tmp_path, body):
    (tmp_path / "run.json").write_text(body)
    with pytest.raises(ConfigError, match=r"^[^\n]*run\.json [^\n]+$"):
        check_same_run(tmp_path, {"stage": "sft"})


def test_a_run_whose_data_is_not_there_has_not_begun(given, tmp_path):
    words = ["train", "pretrain", "--start", given / "start", "--checkpoint", tmp_path / "run", "--data"]
    result = CliRunner().invoke(cli.cli, [str(word) for word in [*words, tmp_path / "nothing"]])
    assert "holds nothing to learn from" in str(result.exception)
    check_same_run(tmp_path / "run", {"stage": "another"})


def test_a_checkpoint_is_no_folder_of_a_run(given):
    with pytest.raises(ConfigError, match="a run is kept in a folder of its own"):
        check_same_run(given / "start", {"stage": "sft"})


@pytest.mark.slow
def test_damaged_samples_are_told_and_counted(given, tmp_path):
    own = material(tmp_path / "own")
    (tar, *_) = sorted((own / "shards").rglob("*.tar"))
    data = bytearray(tar.read_bytes())
    at = data.index(b"fLaC")
    data[at : at + 400] = bytes(400)
    tar.write_bytes(data)
    config = PretrainConfig(training=brief(stage_2(8)))
    said = io.StringIO()
    pretrain(own / "start", work(own), config, tmp_path / "run", ALONE, Console(file=said, width=1000))
    troubles = [line["troubles"] for line in told(tmp_path / "run")]
    lines = [line for line in said.getvalue().splitlines() if line.startswith("passed over: ")]
    assert troubles == sorted(troubles)
    assert troubles[-1] == len(lines) > 0
    assert all(tar.stem in line for line in lines)
    strict = work(own, strict=True)
    with pytest.raises(SchemaError, match=tar.stem):
        pretrain(own / "start", strict, config, tmp_path / "strict", ALONE, QUIET)
