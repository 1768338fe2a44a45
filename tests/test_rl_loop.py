"""The loop of reinforcement learning: what it draws, what it drops, and that it goes on where it stopped."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest
import torch

from model import rl
from model.dapo import DapoConfig, advantages, policy_loss
from model.generate import Finish, Generator, Request
from model.model import AudioLM
from model.optimiser import OptimiserConfig, optimiser
from model.prompt import question, render
from model.rl import RlConfig, RlProgress, RlPrompt, draw, judged, reinforce
from model.sampling import Sampling
from model.snapshots import Snapshots
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.asking.sample import TaskSample
from schemas.errors import ConfigError
from tests.models import noise_mel, tiny

TOKENIZER = Tokenizer(build())
CONFIG = RlConfig(
    steps=3,
    prompts_per_step=4,
    answers_per_prompt=4,
    sampling=Sampling(max_new_tokens=6),
    max_rounds=3,
    minibatches=2,
    pack_tokens=256,
    dapo=DapoConfig(overlong_buffer_tokens=2),
    optimiser=OptimiserConfig(lr=1e-3),
    warmup_steps=2,
    seed=5,
)


def prompts() -> Iterator[RlPrompt]:
    """Without end: about a sound, or about none. An untrained model's answers differ in their words."""
    index = 0
    while True:
        frames = [40 + index % 3] if index % 2 else []
        mels = tuple(noise_mel(count, seed=index).numpy() for count in frames)
        request = Request(prompt=render(question(f"Say {index}.", frames, None), TOKENIZER), mels=mels)
        answer = " ".join("abcdefghijklmnopqrstuvwxyz0123456789")
        yield RlPrompt(
            request=request,
            sample=TaskSample(key="k", task="transcribe", index=index, question="", answer=answer, evidence=()),
        )
        index += 1


def optimiser_of(model: AudioLM) -> torch.optim.Optimizer:
    return optimiser(model, CONFIG.optimiser)


def generator(model: AudioLM) -> Generator:
    return Generator(model, TOKENIZER)


def weights(model: AudioLM) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def without_times(report: rl.RlReport) -> rl.RlReport:
    return replace(report, sampling_s=0.0, learning_s=0.0)


def test_a_run_that_goes_on_equals_one_that_was_never_stopped_to_the_last_bit(tmp_path):
    whole = tiny()
    reports = list(reinforce(whole, TOKENIZER, prompts(), optimiser_of(whole), CONFIG, RlProgress()))
    first, snapshots = tiny(), Snapshots(tmp_path)
    moves, progress = optimiser_of(first), RlProgress()
    begun = list(islice(reinforce(first, TOKENIZER, prompts(), moves, CONFIG, progress), 2))
    snapshots.save(progress.step, first, moves, {}, {0: {"prompts_seen": progress.prompts_seen}})
    second = tiny(seed=9)
    moves = optimiser_of(second)
    kept = snapshots.load(2, second, moves)
    progress = RlProgress(step=kept.step, **kept.lanes[0])
    rest = islice(prompts(), progress.prompts_seen, None)
    ended = list(reinforce(second, TOKENIZER, rest, moves, CONFIG, progress))
    assert [without_times(one) for one in begun + ended] == [without_times(one) for one in reports]
    assert [one.step for one in reports] == [1, 2, 3]
    assert [one.lr for one in reports] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert progress.prompts_seen >= 3 * 4
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(second)[name]), name
    assert any(not torch.equal(tensor, tiny().state_dict()[name]) for name, tensor in weights(whole).items())


def test_another_seed_draws_other_answers():
    model = tiny()
    first, second = (
        [group.answers for group in draw(generator(model), prompts(), replace(CONFIG, seed=seed), RlProgress())]
        for seed in (1, 2)
    )
    assert [[one.ids for one in group] for group in first] != [[one.ids for one in group] for group in second]
    assert len({one.ids for group in first for one in group}) > len(first)


def test_groups_that_are_alike_are_replaced_by_others_and_drawing_ends(monkeypatch):
    model, progress = tiny(), RlProgress()
    calls = iter(range(10**6))

    def alike_but_each_third(prompt, answers, config):
        group = judged(prompt, answers, config)
        return replace(group, rewards=(1.0,) * 3 + (0.0 if next(calls) % 3 == 2 else 1.0,))

    monkeypatch.setattr(rl, "judged", alike_but_each_third)
    groups = draw(generator(model), prompts(), CONFIG, progress)
    assert len(groups) == progress.prompts_seen == 6 + 3 + 2  # 1.5 times the 4, 2 and 1 that were missing
    monkeypatch.setattr(rl, "judged", lambda *told: replace(judged(*told), rewards=(0.5,) * 4))
    progress = RlProgress()
    assert len(draw(generator(model), prompts(), CONFIG, progress)) == progress.prompts_seen == 3 * 6  # three rounds


def test_a_step_in_which_nothing_differs_is_reported_and_changes_no_weight(monkeypatch):
    monkeypatch.setattr(rl, "judged", lambda *told: replace(judged(*told), rewards=(0.5,) * 4))
    model, progress = tiny(), RlProgress()
    before = weights(model)
    (report,) = reinforce(model, TOKENIZER, prompts(), optimiser_of(model), replace(CONFIG, steps=1), progress)
    assert (report.groups_drawn, report.groups_kept_share, report.groups_learnt) == (18, 0.0, 0)
    assert progress.step == 1
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, before[name])


def test_no_more_groups_are_learnt_from_than_were_asked_for_and_all_drawn_are_counted():
    model = tiny()
    (report,) = reinforce(
        model, TOKENIZER, prompts(), optimiser_of(model), replace(CONFIG, steps=1, over_sampling=3.0), RlProgress()
    )
    assert report.groups_drawn == 12
    assert report.groups_learnt == 4
    assert 0 < report.reward_mean < 1
    assert set(report.parts) == {"format", "words"}


def test_prompts_that_end_end_the_loop():
    model, progress = tiny(), RlProgress()
    few = islice(prompts(), 7)
    reports = list(reinforce(model, TOKENIZER, few, optimiser_of(model), replace(CONFIG, steps=50), progress))
    assert 1 <= len(reports) <= 2
    assert progress.prompts_seen == 7


def test_one_update_is_the_loss_over_all_tokens_of_all_answers():
    """Against each answer alone, the whole softmax, and one sum: however the groups are split into rows."""
    config = replace(
        CONFIG, steps=1, minibatches=1, optimiser=OptimiserConfig(lr=1.0, max_grad_norm=1e9), warmup_steps=0
    )
    model, other = tiny(), tiny()
    groups = [g for g in draw(generator(other), prompts(), config, RlProgress()) if len(set(g.rewards)) > 1][:4]
    total, tokens = torch.zeros(()), 0
    for group in groups:
        request = group.prompt.request
        for answer, worth in zip(group.answers, advantages(group.rewards, config.dapo), strict=True):
            mel = torch.from_numpy(request.mels[0]) if request.mels else None
            logits = other(torch.tensor([[*request.prompt.ids, *answer.ids]]), mel, request.prompt.frames)
            said = logits[0, len(request.prompt.ids) - 1 : -1].log_softmax(1)
            now = said[torch.arange(len(answer.ids)), torch.tensor(answer.ids)]
            drawn, advantage = torch.tensor(answer.sampling_logprobs), torch.full_like(now, worth)
            total = total + policy_loss(now, now.detach(), drawn, advantage, config.dapo).total
            tokens += len(answer.ids)
    (total / tokens).backward()
    step = torch.optim.SGD(model.parameters(), lr=1.0)
    before = weights(model)
    (report,) = reinforce(model, TOKENIZER, prompts(), step, config, RlProgress())
    assert report.loss == pytest.approx(float(total.detach()) / tokens, abs=1e-5)
    for name, parameter in other.named_parameters():
        moved = before[name] - model.state_dict()[name]
        scale = parameter.grad.abs().max()
        torch.testing.assert_close(moved / scale, parameter.grad / scale, atol=1e-3, rtol=0, msg=name)
    norm = math.sqrt(sum(float(weight.grad.pow(2).sum()) for weight in other.parameters()))
    assert report.grad_norm == pytest.approx(norm, rel=1e-3)


def test_an_update_that_is_not_finite_is_skipped_and_counted(monkeypatch):
    def broken(*told):
        found = policy_loss(*told)
        return found._replace(total=found.total * math.nan)

    monkeypatch.setattr(rl, "policy_loss", broken)
    model = tiny()
    before = weights(model)
    (report,) = reinforce(model, TOKENIZER, prompts(), optimiser_of(model), replace(CONFIG, steps=1), RlProgress())
    assert report.skipped_updates == 2
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, before[name])


def test_long_answers_are_punished_in_what_is_learnt_and_not_in_what_is_reported():
    model = tiny()
    (group, *_) = draw(generator(model), prompts(), CONFIG, RlProgress())
    for answer, one, value in zip(group.answers, group.judged, group.rewards, strict=True):
        assert value - one.total == pytest.approx({6: -1.0, 5: -0.5}.get(len(answer.ids), 0.0))
    short = [replace(answer, ids=(70,), finish=Finish.LENGTH) for answer in group.answers]  # the model had no more room
    cut_off = judged(group.prompt, tuple(short), CONFIG)
    assert [value - one.total for one, value in zip(cut_off.judged, cut_off.rewards, strict=True)] == [-1.0] * 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"answers_per_prompt": 1}, "takes at least 2"),
        ({"minibatches": 5}, "more than the 4 prompts_per_step"),
        ({"sampling": Sampling(temperature=0.0)}, "temperature is 0"),
        ({"over_sampling": 0.5}, "at least 1"),
        ({"dapo": DapoConfig(overlong_buffer_tokens=7)}, "more than the 6 tokens"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong, says):
    with pytest.raises(ConfigError, match=says):
        replace(CONFIG, **wrong)


def test_a_question_whose_answers_no_rule_can_check_is_refused_before_anything_is_drawn():
    prompt = next(prompts())
    with pytest.raises(ConfigError, match=r"caption.*cannot be checked"):
        replace(prompt, sample=replace(prompt.sample, task="caption"))
    mel = noise_mel(90).numpy()
    asked = RlPrompt.of(prompt.sample, (mel,), TOKENIZER)
    assert asked.request.prompt == render(question(prompt.sample.question, [90]), TOKENIZER)
