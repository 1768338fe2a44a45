"""The encoder from nothing: it learns to hear by what a small decoder says of it, which is thrown away after.

    sound ─► encoder ─► adapter, mergers ─► a few language layers ─► transcripts and captions
             └─ kept ─┘ └──────────── for this stage alone ─────────┘

MOSS-Audio's encoder is said to be trained from scratch on speech recognition, speech translation and captions
(technical report, section 3); which decoder taught it is not known. Here it is a shallow model of the same kind as the
whole: it reads sound through the same door, so nothing else has to be written or tuned.

Left out: speech translation (shards hold none), text without sound (there is nothing in it to hear), masked or
contrastive objectives, augmentation of the spectrogram.
"""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from model.checkpoint import load
from model.config import ModelConfig
from model.data import Work
from model.initialise import fresh
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.parallel import whole
from model.parts import Part, learns
from model.training import Rank, Run, TrainingConfig, prepared, seeded
from schemas.errors import ConfigError

ENCODER = "audio_encoder."


def settings(steps: int) -> TrainingConfig:
    return TrainingConfig(
        optimiser=OptimiserConfig(lr=5e-4, betas=(0.9, 0.98)),
        schedule=ScheduleConfig(kind="cosine", steps=steps, warmup_steps=min(steps // 10, 2_000)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderStageConfig:
    decoder_layers: int = 4
    training: TrainingConfig = field(default_factory=lambda: settings(10_000))

    def __post_init__(self) -> None:
        if self.decoder_layers < 1:
            raise ConfigError(f"decoder_layers is {self.decoder_layers}; it must be at least 1")


def pretrain_encoder(
    start: Path, work: Work, config: EncoderStageConfig, folder: Path, rank: Rank, console: Console | None = None
) -> Path:
    """Trains the encoder of `start` in the run's `folder`, or goes on there.

    Gives the folder of the checkpoint `start` with the trained encoder in it, all else as it was.
    """
    training = config.training
    model = prepared(learns(under_decoder(load(start), config), frozenset(Part)), training, rank)
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
    taught = {name: weight for name, weight in model.state_dict().items() if name.startswith(ENCODER)}
    before = load(start)
    return run.export({**before.state_dict(), **whole(taught)}, before.config, start)


def under_decoder(model: AudioLM, config: EncoderStageConfig) -> AudioLM:
    """The model's encoder below a fresh decoder of a few layers, with the same embeddings' width and vocabulary."""
    small = decoder_config(model.config, config.decoder_layers)
    found = fresh(small, config.training.seed, dtype=model.lm_head.weight.dtype)
    found.audio_encoder = model.audio_encoder
    return found


def decoder_config(config: ModelConfig, num_layers: int) -> ModelConfig:
    language = config.language_config
    return dataclasses.replace(
        config,
        language_config=dataclasses.replace(language, num_hidden_layers=min(num_layers, language.num_hidden_layers)),
    )
