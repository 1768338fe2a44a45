"""Supervised fine-tuning on instructions, of all weights or by LoRA; with thoughts it is the cold start of reasoning.

The same loss as in pretraining, on what the assistant says alone. What differs is the data (instruction samples of
records, conversations of `earmark build sft` or of yours, reasoning with its thoughts) and what learns: everything, or
low-rank additions to the language model with the adapter and the mergers in full (arXiv:2106.09685, through peft).

Left out of the textbook: one answer to a conversation is learnt, the last; no packing across the turns of one, no noise
on embeddings, no replay of pretraining data unless a source of text is given. Time markers are on, unlike in
MOSS-Audio's own fine-tuning script, whose models expect them.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from model import lora
from model.checkpoint import load
from model.data import Work
from model.lora import LowRankConfig
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.parts import Part, learns
from model.training import Rank, Run, TrainingConfig, prepared, seeded

ADAPTER = "lora"  # the folder beside the model with the additions alone, as peft has them


def settings(steps: int, *, low_rank: bool) -> TrainingConfig:
    """The published script's rates: 5e-5 for all weights, 2e-4 for LoRA (finetune/FINETUNE.md)."""
    return TrainingConfig(
        optimiser=OptimiserConfig(lr=2e-4 if low_rank else 5e-5, weight_decay=0.0 if low_rank else 0.1),
        schedule=ScheduleConfig(kind="cosine", steps=steps, warmup_steps=min(steps // 20, 200)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig:
    """`low_rank` None teaches all weights."""

    training: TrainingConfig = field(default_factory=lambda: settings(1_000, low_rank=False))
    low_rank: LowRankConfig | None = None


def fine_tune(
    start: Path, work: Work, config: SftConfig, folder: Path, rank: Rank, console: Console | None = None
) -> Path:
    """Trains the checkpoint `start` in the run's `folder`, or goes on there; gives the trained checkpoint's folder."""
    training = config.training
    model = load(start)
    if config.low_rank is None:
        learns(model, frozenset(Part))
    else:
        lora.add(model, config.low_rank, training.seed)
    prepared(model, training, rank)
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
    if config.low_rank is None:
        return run.export(model, model.config, start)
    lora.save_adapter(model, folder / ADAPTER, replace=True)
    return run.export(lora.merged(model), model.config, start)
