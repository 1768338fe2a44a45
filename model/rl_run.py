"""A run of reinforcement learning in its folder: prompts from shards, snapshots, a log, and a checkpoint at the end.

The loop itself is `rl.reinforce`; here is what surrounds it, as `training.py` is for the loops of supervised stages.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from model.checkpoint import load
from model.data import Work
from model.log import RunLog
from model.optimiser import optimiser
from model.parts import Part, learns
from model.rl import RlConfig, RlProgress, reinforce
from model.rl_prompts import ShardPrompts
from model.rl_report import RlReport
from model.tokens import Tokenizer
from model.training import Rank, Run, TrainingConfig, prepared
from schemas.asking.sample import AskRules
from schemas.config import aside
from schemas.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RlStageConfig:
    """The loop's settings, and those of the run around it."""

    rl: RlConfig
    max_prompt_tokens: int = 2048
    precision: str = "float32"
    recompute: bool = False
    max_skipped: int = 10  # steps in a row in which no update was finite
    snapshot_every: int = aside(20)
    keep: int = aside(3)

    def __post_init__(self) -> None:
        if self.max_prompt_tokens < 1:
            raise ConfigError(f"max_prompt_tokens is {self.max_prompt_tokens}; it must be at least 1")

    @property
    def training(self) -> TrainingConfig:
        return TrainingConfig(
            optimiser=self.rl.optimiser,
            schedule=self.rl.schedule,
            precision=self.precision,
            recompute=self.recompute,
            max_skipped=self.max_skipped,
            seed=self.rl.seed,
            snapshot_every=self.snapshot_every,
            keep=self.keep,
        )


def reinforce_run(
    start: Path, work: Work, config: RlStageConfig, folder: Path, rank: Rank, console: Console | None = None
) -> Path:
    """Reinforces the checkpoint `start` in the run's `folder`, or goes on there; gives the trained one's folder.

    Prompts come from the first source of `work`, whose group says what is asked. With another number of ranks than
    before, a run goes on behind the furthest prompt that any rank has had.
    """
    training = config.training
    tokenizer = Tokenizer.open(start)
    model = prepared(learns(load(start), frozenset(Part)), training, rank)
    adamw = optimiser(model, training.optimiser)
    run = Run.at(folder, training, rank)
    progress, visited, skipped = _resumed(run, model, adamw)
    prompts = ShardPrompts(
        work.catalogue.sources[0],
        tokenizer,
        max_prompt_tokens=config.max_prompt_tokens,
        rules=AskRules(seed=work.config.seed, min_score=work.config.min_score),
        seed=work.config.seed,
        visited=visited,
    )
    log = (
        RunLog(folder, total_steps=config.rl.steps, resume_step=progress.step, console=console)
        if rank.is_first
        else None
    )
    try:
        for report in reinforce(model, tokenizer, prompts, adamw, config.rl, progress):
            if log:
                log.put(report.step, dataclasses.asdict(report), _curves(report), _words(report, config.rl.steps))
            in_vain = report.groups_learnt > 0 and report.skipped_updates == config.rl.minibatches
            skipped = skipped + 1 if in_vain else 0
            if skipped == config.max_skipped:
                raise InputError(
                    f"no update was finite in {skipped} steps in a row, up to step {report.step}; begin another "
                    "run with a lower learning rate"
                )
            if report.step % config.snapshot_every == 0 or report.step == config.rl.steps:
                state = {"rl": {"step": progress.step, "ranks": rank.of, "skipped": skipped}}
                lane = {"visited": prompts.visited, "prompts_seen": progress.prompts_seen}
                run.snapshots.save(progress.step, model, adamw, state, {rank.number: lane})
    finally:
        if log:
            log.close()
    return run.export(model, model.config, start)


def _resumed(run: Run, model: Any, adamw: Any) -> tuple[RlProgress, int, int]:
    """Where the loop stands, how many visits this rank has made, and the steps in a row without a finite update."""
    step = run.snapshots.latest()
    if step is None:
        return RlProgress(), 0, 0
    restored = run.snapshots.load(step, model, adamw)
    told, lanes, rank = restored.state["rl"], restored.lanes, run.rank
    if told["ranks"] == rank.of:
        lane = lanes[rank.number]
        return RlProgress(step=step, prompts_seen=lane["prompts_seen"]), lane["visited"], told["skipped"]
    visited, seen = (
        math.ceil(max(lane[name] for lane in lanes.values()) * told["ranks"] / rank.of)
        for name in ("visited", "prompts_seen")
    )
    return RlProgress(step=step, prompts_seen=seen), visited, told["skipped"]


def _curves(report: RlReport) -> dict[str, float]:
    body = dataclasses.asdict(report)
    parts: Mapping[str, float] = body.pop("parts")
    rewards = {f"reward/{name}": value for name, value in parts.items()}
    return {**{name: float(value) for name, value in body.items() if name != "step"}, **rewards}


def _words(report: RlReport, steps: int) -> str:
    seconds = report.sampling_s + report.learning_s
    return (
        f"step {report.step:,} of {steps:,}, reward {report.reward_mean:.3f} ± {report.reward_std:.3f}, "
        f"{report.groups_learnt} of {report.groups_drawn} groups learnt from, "
        f"{report.answer_tokens_mean:.0f} tokens an answer, entropy {report.entropy:.3f}, "
        f"{report.clip_share:.1%} clipped, {seconds:.1f} s"
    )
