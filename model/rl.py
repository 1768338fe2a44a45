"""Reinforcement learning by DAPO (arXiv:2503.14476) on questions whose answers can be checked.

    prompts ─► 16 answers each ─► rewards ─► groups whose rewards differ ─► updates, a part of the groups each
       ▲                                        │ all alike: dropped
       └──────── more, until enough stand ◄─────┘

What is left out of the textbook method (PPO, arXiv:1707.06347): there is no value model, the mean of a group is the
baseline; no KL term and so no reference model; no entropy bonus, clip-higher keeps the entropy up; no learnt reward,
rules of `model.rewards` check the answers. Every answer is used in one step and then forgotten. Dropout is off, so that
the model that learns is the model that answered.

On several ranks each has prompts of its own; all take part in the same collectives, however few groups a rank has.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Self

import torch

from model import ranks
from model.dapo import DapoConfig, advantages, differ, overlong, policy_loss
from model.generate import Answer, Finish, Generator, Request
from model.mel import Floats
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, update
from model.parallel import gathered
from model.prompt import question, render
from model.rewards import Reward, RewardConfig, check_has_rule, reward
from model.rl_report import RlReport, Tally
from model.rollouts import Pack, Rollout, idle_pack, logprobs, packed
from model.sampling import Sampling, row_seed
from model.tokens import SpecialIds, Tokenizer
from schemas.asking.sample import TaskSample
from schemas.errors import ConfigError

PUBLISHED_SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=50, max_new_tokens=2048)
DAPO_OPTIMISER = OptimiserConfig(lr=1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class RlPrompt:
    """What is asked, and by what its answers are judged. Raises ConfigError for a task that has no rule."""

    request: Request
    sample: TaskSample

    def __post_init__(self) -> None:
        check_has_rule(self.sample)

    @classmethod
    def of(cls, sample: TaskSample, mels: tuple[Floats, ...], tokenizer: Tokenizer) -> Self:
        """The question of `sample` about these log-mels, (128, frames) each, in the published layout."""
        asked = question(sample.question, [mel.shape[1] for mel in mels])
        return cls(request=Request(prompt=render(asked, tokenizer), mels=mels), sample=sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class RlConfig:
    """Answers, their sampling and the batch of 128 prompts are as published for MOSS-Audio; the rest is not told.

    Seeds of answers come from `seed`; that of `sampling` is not used.
    """

    steps: int
    prompts_per_step: int = 128  # over all ranks; so many groups are learnt from
    answers_per_prompt: int = 16
    sampling: Sampling = field(default_factory=lambda: PUBLISHED_SAMPLING)
    over_sampling: float = 1.5  # prompts drawn for each group that is missing
    max_rounds: int = 8  # of drawing; a step that still lacks groups does with what it has
    minibatches: int = 4  # updates a step
    pack_tokens: int = 16_384  # read at once with gradient
    answering_tokens: int = 65_536  # room for keys and values of answers drawn at once
    optimiser: OptimiserConfig = field(default_factory=lambda: DAPO_OPTIMISER)
    warmup_steps: int = 20  # DAPO's; the rate then stays
    seed: int = 0
    dapo: DapoConfig = field(default_factory=DapoConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "prompts_per_step", "max_rounds", "minibatches", "pack_tokens", "answering_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.answers_per_prompt < 2:
            raise ConfigError(f"answers_per_prompt is {self.answers_per_prompt}; a group to compare takes at least 2")
        if self.minibatches > self.prompts_per_step:
            raise ConfigError(
                f"minibatches is {self.minibatches}, more than the {self.prompts_per_step} prompts_per_step"
            )
        if not self.sampling.temperature:
            raise ConfigError("sampling.temperature is 0: all answers to a prompt would be the same; 1.0 is usual")
        if not 1 <= self.over_sampling < math.inf:
            raise ConfigError(f"over_sampling is {self.over_sampling}; it must be at least 1")
        if self.warmup_steps < 0:
            raise ConfigError(f"warmup_steps is {self.warmup_steps}; it must be at least 0")
        if self.dapo.overlong_buffer_tokens > self.sampling.max_new_tokens:
            raise ConfigError(
                f"dapo.overlong_buffer_tokens is {self.dapo.overlong_buffer_tokens}, more than the "
                f"{self.sampling.max_new_tokens} tokens of sampling.max_new_tokens"
            )

    @property
    def schedule(self) -> ScheduleConfig:
        """By steps: all updates of one step take the same rate."""
        return ScheduleConfig(kind="constant", steps=self.steps, warmup_steps=min(self.warmup_steps, self.steps))


@dataclass(slots=True, kw_only=True)
class RlProgress:
    """All the loop remembers; a snapshot is the weights, the optimiser and this.

    `prompts_seen` of this rank's iterator: whoever goes on from here begins behind them.
    """

    step: int = 0
    prompts_seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All answers to one prompt; `rewards` are what they were judged worth, with the punishment for length."""

    prompt: RlPrompt
    answers: tuple[Answer, ...]
    judged: tuple[Reward, ...]
    rewards: tuple[float, ...]


def reinforce(
    model: AudioLM,
    tokenizer: Tokenizer,
    prompts: Iterator[RlPrompt],
    optimiser: torch.optim.Optimizer,
    config: RlConfig,
    progress: RlProgress,
) -> Iterator[RlReport]:
    """One report after each step, until there have been `config.steps`, or until `prompts` end on all ranks.

    `prompts` are this rank's own, and begin behind the first `progress.prompts_seen`. Between two reports nothing is
    under way: weights, optimiser and `progress` are a snapshot from which a run goes on to the same bits.
    """
    generator = Generator(model, tokenizer, batch_tokens=config.answering_tokens)
    temperature = config.sampling.temperature
    model.eval()
    while progress.step < config.steps:
        tally, begun_s = Tally(), time.perf_counter()

        # answers, until enough groups stand whose rewards differ
        with gathered(model):
            groups = draw(generator, prompts, config, progress)
        if not ranks.largest(len(groups)):
            return
        learnt = [group for group in groups if differ(group.rewards)][: ranks.share_of(config.prompts_per_step)]
        for group in groups:
            tally.count_group(group.answers, group.judged, group.rewards)
        tally.count_learnt(len(learnt))
        drawn_s = time.perf_counter()

        # the policy as it is before the first update
        minibatches = [_packs(part, config, tokenizer.special) for part in _parts(learnt, config.minibatches)]
        with torch.no_grad():
            before = [[logprobs(model, pack, temperature).logprob_N for pack in packs] for packs in minibatches]

        # an update on each part of the groups
        for packs, packs_before in zip(minibatches, before, strict=True):
            (num_tokens,) = ranks.added([sum(pack.num_learnt for pack in packs)])
            if not num_tokens:
                continue
            for pack, before_N in zip(packs, packs_before, strict=True):
                now = logprobs(model, pack, temperature)
                drawn_N, advantage_N = pack.drawn_N.to(before_N), pack.advantage_N.to(before_N)
                loss = policy_loss(now.logprob_N, before_N, drawn_N, advantage_N, config.dapo)
                (loss.total * (ranks.num_ranks() / num_tokens)).backward()  # ranks' gradients are averaged
                tally.count_tokens(loss, now)
            tally.count_update(update(model, optimiser, config.schedule, config.optimiser, progress.step))

        progress.step += 1
        yield tally.report(progress.step, sampling_s=drawn_s - begun_s, learning_s=time.perf_counter() - drawn_s)


def draw(generator: Generator, prompts: Iterator[RlPrompt], config: RlConfig, progress: RlProgress) -> list[Group]:
    """This rank's groups, with those whose rewards are all alike: drawn in rounds until enough differ.

    Every answer has a seed of its own: of the step, the place of its prompt among those of all ranks, and its place in
    the group. No rank waits for another here.
    """
    groups: list[Group] = []
    for _ in range(config.max_rounds):
        missing = ranks.share_of(config.prompts_per_step) - sum(differ(group.rewards) for group in groups)
        asked = list(islice(prompts, math.ceil(missing * config.over_sampling))) if missing > 0 else []
        if not asked:
            break
        places = [(progress.prompts_seen + index) * ranks.num_ranks() + ranks.rank() for index in range(len(asked))]
        progress.prompts_seen += len(asked)
        answers = generator.generate(
            [prompt.request for prompt in asked for _ in range(config.answers_per_prompt)],
            config.sampling,
            seeds=[
                row_seed(row_seed(row_seed(config.seed, progress.step), place), index)
                for place in places
                for index in range(config.answers_per_prompt)
            ],
        )
        for index, prompt in enumerate(asked):
            first = index * config.answers_per_prompt
            groups.append(judged(prompt, tuple(answers[first : first + config.answers_per_prompt]), config))
    return groups


def judged(prompt: RlPrompt, answers: tuple[Answer, ...], config: RlConfig) -> Group:
    """What each answer is worth, by itself."""
    found = tuple(reward(prompt.sample, one.text, config.reward, thought=one.thinking) for one in answers)
    limit_tokens = config.sampling.max_new_tokens
    lengths_tokens = (limit_tokens if one.finish is Finish.LENGTH else len(one.ids) for one in answers)
    rewards = tuple(
        one.total + overlong(length, limit_tokens, config.dapo)
        for one, length in zip(found, lengths_tokens, strict=True)
    )
    return Group(prompt=prompt, answers=answers, judged=found, rewards=rewards)


def _parts(groups: Sequence[Group], count: int) -> list[Sequence[Group]]:
    """`count` runs of neighbours, as even as they can be; some are empty where there are fewer groups."""
    ends = [len(groups) * index // count for index in range(count + 1)]
    return [groups[start:end] for start, end in pairwise(ends)]


def _packs(groups: Sequence[Group], config: RlConfig, special: SpecialIds) -> list[Pack]:
    """The rows of these groups, as many on every rank."""
    rollouts = [
        Rollout(request=group.prompt.request, answer=answer, advantage=advantage)
        for group in groups
        for answer, advantage in zip(group.answers, advantages(group.rewards, config.dapo), strict=True)
    ]
    packs = list(packed(rollouts, config.pack_tokens, special))
    missing = int(ranks.largest(len(packs))) - len(packs)
    return packs + [idle_pack(special)] * missing
