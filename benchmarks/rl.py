"""DAPO raises a reward that can be computed: python -m benchmarks.rl [--seeds 0 1 2] [--steps 80] [--picture FILE]

A fresh `tiny` model is first taught by a few hundred steps to say how high a tone is, as one of three letters, from
answers that are careless: two in five give a letter drawn at random, and as many say "Answer: B" where "B" is asked
for. Sampled, it is as careless as its teachers. Then it is reinforced on the same question about other tones, with the
rewards of `model.rewards` and no answers to copy. What it reaches is told on tones that neither has heard, sampled and
by the likeliest token; the curve is the reward of all answers drawn in each step, before anything is dropped.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from model.attention import packed_sight, positions_in
from model.dapo import DapoConfig
from model.generate import Generator, Request
from model.initialise import fresh
from model.mel import log_mel
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.prompt import question, render, render_sample
from model.rewards import RewardConfig, reward
from model.rl import RlConfig, RlProgress, RlPrompt, reinforce
from model.rl_report import RlReport
from model.sampling import Sampling
from model.sizes import TINY
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.asking.sample import TaskSample

RATE_HZ = 16_000
TONE_S = 0.5
LETTERS = "ABC"
ASKED = "How high is the tone?\nA. low\nB. middle\nC. high"
LOWEST_HZ, OCTAVES_APART, OCTAVES_WIDE = 300.0, 1.3, 1.0
CARELESS = (
    0.4  # of the answers that are taught have a letter drawn at random, and as many are not in the form asked for
)
TAUGHT_BATCH = 16
HELD_OUT = 300
ANSWER = Sampling(max_new_tokens=16)
TOKENIZER = Tokenizer(build())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Over tones that nothing was learnt from."""

    reward: float
    correct: float
    format: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    seed: int
    sampled: tuple[Score, Score]  # before and after
    greedy: tuple[Score, Score]
    reports: tuple[RlReport, ...]
    teaching_s: float
    reinforcing_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--taught", type=int, default=200, help="steps of teaching")
    parser.add_argument("--steps", type=int, default=80, help="steps of DAPO")
    parser.add_argument("--workers", type=int, default=1, help="seeds at a time, each on one core")
    parser.add_argument("--picture", type=Path, help="where to draw the curves (PNG)")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    arguments = parser.parse_args()
    jobs = [(seed, arguments.taught, arguments.steps) for seed in arguments.seeds]
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, *zip(*jobs, strict=True)))
    print_table(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps([dataclasses.asdict(one) for one in runs], indent=1))
    if arguments.picture:
        draw(runs, arguments.picture)


def run(seed: int, taught_steps: int, steps: int) -> Run:
    torch.set_num_threads(1)
    begun_s = time.perf_counter()
    model = taught(seed, taught_steps)
    taught_s = time.perf_counter()
    before = [scored(model, temperature) for temperature in (1.0, 0.0)]
    begin_rl_s = time.perf_counter()
    reports = tuple(reinforced(model, seed, steps))
    ended_s = time.perf_counter()
    after = [scored(model, temperature) for temperature in (1.0, 0.0)]
    return Run(
        seed=seed,
        sampled=(before[0], after[0]),
        greedy=(before[1], after[1]),
        reports=reports,
        teaching_s=taught_s - begun_s,
        reinforcing_s=ended_s - begin_rl_s,
    )


def prompts(seed: int) -> Iterator[RlPrompt]:
    """Without end; the same seed gives the same."""
    chance = np.random.default_rng(seed)
    index = 0
    while True:
        letter = int(chance.integers(len(LETTERS)))
        hz = LOWEST_HZ * 2 ** (letter * OCTAVES_APART + chance.uniform(0, OCTAVES_WIDE))
        time_s = np.arange(int(TONE_S * RATE_HZ)) / RATE_HZ
        noise = chance.normal(0, 1e-3, len(time_s))
        mel = log_mel((0.3 * np.sin(2 * np.pi * hz * time_s) + noise).astype(np.float32))
        sample = TaskSample(
            key=f"tone{seed}",
            task="choice_present",
            index=index,
            question=ASKED,
            answer=LETTERS[letter],
            evidence=("events/0",),
        )
        prompt = render(question(ASKED, [mel.shape[1]], None), TOKENIZER)
        yield RlPrompt(request=Request(prompt=prompt, mels=(mel,)), sample=sample)
        index += 1


def taught(seed: int, steps: int) -> AudioLM:
    """A fresh model after so many steps of learning careless answers."""
    model, tones, chance = fresh(TINY, seed).train(), prompts(10_000 + seed), np.random.default_rng(seed)
    config = OptimiserConfig(lr=2e-3, weight_decay=0.0)
    schedule, moves = ScheduleConfig(kind="constant", steps=max(30, steps), warmup_steps=30), optimiser(model, config)
    for step in range(steps):
        batch = [next(tones) for _ in range(TAUGHT_BATCH)]
        samples = [
            render_sample(
                question(ASKED, one.request.prompt.frames, None), careless(one.sample.answer, chance), TOKENIZER
            )
            for one in batch
        ]
        tokens = torch.tensor([[token for sample in samples for token in sample.ids]])
        targets = torch.tensor([[target for sample in samples for target in sample.targets]])
        documents = torch.tensor([[number for number, sample in enumerate(samples) for _ in sample.ids]])
        mels = [mel for one in batch for mel in one.request.mels]
        heard = model.hear(torch.from_numpy(np.concatenate(mels, axis=1)), [mel.shape[1] for mel in mels])
        states = model.read(tokens, heard, positions_BT=positions_in(documents), sight=packed_sight(documents))
        model.lm_head.loss(states, targets).mean.backward()
        update(model, moves, schedule, config, step)
    return model


def careless(letter: str, chance: np.random.Generator) -> str:
    said = LETTERS[int(chance.integers(len(LETTERS)))] if chance.random() < CARELESS else letter
    return f"Answer: {said}" if chance.random() < CARELESS else said


def reinforced(model: AudioLM, seed: int, steps: int) -> Iterator[RlReport]:
    config = RlConfig(
        steps=steps,
        prompts_per_step=12,
        minibatches=2,
        sampling=dataclasses.replace(ANSWER, top_k=50, top_p=1.0),
        pack_tokens=4096,
        dapo=DapoConfig(overlong_buffer_tokens=4),
        optimiser=OptimiserConfig(lr=3e-4, weight_decay=0.0),
        warmup_steps=0,
        seed=seed,
    )
    moves = optimiser(model, config.optimiser)
    return reinforce(model, TOKENIZER, prompts(seed), moves, config, RlProgress())


def scored(model: AudioLM, temperature: float) -> Score:
    tones = prompts(99_999)
    held_out = [next(tones) for _ in range(HELD_OUT)]
    sampling = dataclasses.replace(ANSWER, temperature=temperature, seed=7)
    answers = Generator(model, TOKENIZER).generate([tone.request for tone in held_out], sampling)
    rewards = [reward(tone.sample, one.text, RewardConfig()) for tone, one in zip(held_out, answers, strict=True)]
    mean = {part: float(np.mean([one.parts[part] for one in rewards])) for part in ("correct", "format")}
    return Score(reward=float(np.mean([one.total for one in rewards])), **mean)


def print_table(runs: list[Run]) -> None:
    names = ("reward", "correct", "format", "greedy", "kept", "entropy", "teach s", "DAPO s")
    print(f"{'seed':>5}{'':>9}" + "".join(f"{name:>9}" for name in names))
    for one in runs:
        for when, index in (("before", 0), ("after", -1)):
            sampled, greedy, report = one.sampled[index], one.greedy[index], one.reports[index]
            cells = [sampled.reward, sampled.correct, sampled.format, greedy.reward]
            cells += [report.groups_kept_share, report.entropy, one.teaching_s, one.reinforcing_s]
            print(f"{one.seed:>5}{when:>9}" + "".join(f"{cell:>9.3f}" for cell in cells))


def draw(runs: list[Run], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), sharex=True, height_ratios=(2, 1))
    for one in runs:
        steps = [report.step for report in one.reports]
        (line,) = above.plot(steps, [report.reward_mean for report in one.reports], label=f"seed {one.seed}")
        below.plot(steps, [report.groups_kept_share for report in one.reports], color=line.get_color())
    above.set(ylabel="reward of all answers drawn", ylim=(0, 1))
    above.legend()
    below.set(xlabel="step of DAPO", ylabel="groups kept", ylim=(0, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
