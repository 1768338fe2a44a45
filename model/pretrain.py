"""Pretraining: next tokens of transcripts, captions and text, under what is heard.

Stage 1 teaches the adapter and the DeepStack mergers alone, between an encoder and a language model that know nothing
of each other; stage 2 teaches everything. So MOSS-Audio is said to be trained (technical report, section 4), on the mix
that `objectives.mix.PRETRAINING` holds.

Left out of the textbook: no label smoothing, no auxiliary or contrastive loss, no dropout of the language model, no
moving average of weights, no curriculum, no validation within the loop (`earmark evaluate` judges a checkpoint). The
report's learning rates, steps and batch sizes are not known; those here are customary ones.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from model.checkpoint import load
from model.data import Work
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.parts import BETWEEN, Part, learns
from model.training import Rank, Run, TrainingConfig, prepared, seeded
from schemas.errors import ConfigError


def stage_1(steps: int) -> TrainingConfig:
    return TrainingConfig(
        optimiser=OptimiserConfig(lr=1e-3),
        schedule=ScheduleConfig(kind="cosine", steps=steps, warmup_steps=min(steps // 10, 500)),
    )


def stage_2(steps: int) -> TrainingConfig:
    return TrainingConfig(
        optimiser=OptimiserConfig(lr=1e-4),
        schedule=ScheduleConfig(kind="wsd", steps=steps, warmup_steps=min(steps // 10, 1000)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Stage 1 or 2; `stage_1` and `stage_2` give customary settings for so many steps."""

    stage: int = 2
    training: TrainingConfig = field(default_factory=lambda: stage_2(10_000))

    def __post_init__(self) -> None:
        if self.stage not in (1, 2):
            raise ConfigError(f"stage is {self.stage}; there are 1 (adapter and mergers) and 2 (everything)")

    @property
    def parts(self) -> frozenset[Part]:
        return BETWEEN if self.stage == 1 else frozenset(Part)


def pretrain(
    start: Path, work: Work, config: PretrainConfig, folder: Path, rank: Rank, console: Console | None = None
) -> Path:
    """Trains the checkpoint `start` in the run's `folder`, or goes on there; gives the trained checkpoint's folder."""
    training = config.training
    model = prepared(learns(load(start), config.parts), training, rank)
    if config.stage == 1:
        model.audio_encoder.eval()  # what does not learn hears without dropout
    adamw = optimiser(model, training.optimiser)
    run = Run.at(folder, training, rank)
    run.resume(model, adamw)
    with run.going(work, console) as loader:
        while run.progress.step < training.schedule.steps:
            begun_s = time.perf_counter()
            packs = [laid.pack for laid in next(loader)]
            waited_s = time.perf_counter() - begun_s

            seeded(training.seed, run.progress.step, rank)
            loss = run.backward(model, packs, work)
            made = update(model, adamw, training.schedule, training.optimiser, run.progress.step)

            run.tell(loss, made, loader, begun_s, waited_s)
            run.keep(model, adamw, loader)
    return run.export(model, model.config, start)
