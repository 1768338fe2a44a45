"""`earmark train`: the stages of training, each from shards and a checkpoint to a trained checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from jobs.show import console, counting, safe
from pipeline.route import config_row
from schemas.errors import ConfigError, InputError
from schemas.store import local_path, store_at

if TYPE_CHECKING:
    from model.catalogue import Catalogue, SourceConfig
    from model.data import DataConfig, Work
    from model.training import Rank, TrainingConfig

CHECKOUT = Path(__file__).resolve().parents[1]
RESTARTS = 3  # of all ranks, when one dies
TOLD = "terminal.txt"  # what the first rank tells, where ranks are on Ray
HEARD_GROUPS = ("asr", "captions")


class Stage(StrEnum):
    """In the order in which a model goes through them."""

    ENCODER = "encoder"  # the encoder from nothing, under a small decoder
    ADAPTER = "adapter"  # pretraining, stage 1: adapter and DeepStack mergers alone
    PRETRAIN = "pretrain"  # pretraining, stage 2: everything
    SFT = "sft"  # answers to instructions
    REASONING = "reasoning"  # the same with thoughts before some answers: the cold start of RL
    RL = "rl"  # reinforcement learning by DAPO, on answers that rules can check


GROUPS = {
    Stage.ENCODER: HEARD_GROUPS,
    Stage.ADAPTER: HEARD_GROUPS,
    Stage.PRETRAIN: HEARD_GROUPS,
    Stage.SFT: ("instructions",),
    Stage.REASONING: ("instructions", "reasoning"),
    Stage.RL: ("instructions",),
}
"""What shards are asked for in each stage."""
READS_TEXT = (Stage.PRETRAIN, Stage.SFT, Stage.REASONING)
TAKES_LORA = (Stage.SFT, Stage.REASONING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """What is asked for on the command line. What is None is as the stage has it."""

    stage: Stage
    data: tuple[str, ...]
    text: tuple[str, ...]
    start: Path
    folder: Path
    steps: int
    lr: float | None
    packs_per_step: int
    pack_tokens: int
    lora: int | None  # rank
    decoder_layers: int
    prompts_per_step: int
    answers: int
    max_new_tokens: int
    precision: str | None
    recompute: bool
    compiled: bool
    seed: int
    min_score: float
    strict: bool
    time_markers: bool
    device: str | None
    ranks: int
    address: str | None
    workers: int
    snapshot_every: int

    def __post_init__(self) -> None:
        if self.text and self.stage not in READS_TEXT:
            raise ConfigError(f"the stage {self.stage} takes no --text: there is nothing in it to hear")
        if self.lora is not None and self.stage not in TAKES_LORA:
            raise ConfigError(f"the stage {self.stage} takes no --lora; {' and '.join(TAKES_LORA)} do")
        if self.stage is Stage.RL and len(self.data) > 1:
            raise ConfigError("the stage rl takes its prompts from one --data; annotate into one output")

    @property
    def computes_on(self) -> str:
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


def train(asked: Train) -> None:
    """Begins the run, or goes on with it, and ends with the trained checkpoint.

    All that can be wrong with what is asked is told before any weights are read.
    """
    from model.data import Work
    from model.training import MODEL, Rank, check_same_run

    start, folder = asked.start.resolve(), asked.folder.resolve()
    if not (start / "config.json").exists():
        raise InputError(f"{asked.start} is no checkpoint; `earmark model init small {asked.start}` writes a fresh one")
    loop, config = _loop(asked)
    data = _data(asked)
    decides = {"stage": asked.stage.value, "start": str(start)}
    check_same_run(
        folder, {**decides, **{n: config_row(c, whole=False) for n, c in (("config", config), ("data", data))}}
    )
    work = Work(config=data, catalogue=_catalogue(data, folder), tokenizer=start)
    _tell_data(work)
    ranked: Callable[[Rank, Console | None], Path] = partial(loop, start, work, config, folder)
    if asked.ranks == 1 and asked.address is None:
        ranked(Rank(device=asked.computes_on), console)
    else:
        _on_ray(ranked, asked)
    console.print(f"{asked.stage}: {asked.steps:,} steps -> {safe(str(asked.folder / MODEL))}", markup=False)


def _loop(asked: Train) -> tuple[Callable[..., Path], Any]:
    """The stage's loop, and its config: its usual settings with what was asked for."""
    if asked.stage is Stage.ENCODER:
        from model.pretrain_encoder import EncoderStageConfig, pretrain_encoder, settings

        taught = EncoderStageConfig(
            decoder_layers=asked.decoder_layers, training=_training(asked, settings(asked.steps))
        )
        return pretrain_encoder, taught
    if asked.stage is Stage.RL:
        return _rl(asked)
    if asked.stage in TAKES_LORA:
        from model.lora import LowRankConfig
        from model.sft import SftConfig, fine_tune
        from model.sft import settings as sft_settings

        low_rank = None if asked.lora is None else LowRankConfig(rank=asked.lora, alpha=2 * asked.lora)
        usual = sft_settings(asked.steps, low_rank=low_rank is not None)
        return fine_tune, SftConfig(training=_training(asked, usual), low_rank=low_rank)
    from model.pretrain import PretrainConfig, pretrain, stage_1, stage_2

    if asked.stage is Stage.ADAPTER:
        return pretrain, PretrainConfig(stage=1, training=_training(asked, stage_1(asked.steps)))
    return pretrain, PretrainConfig(stage=2, training=_training(asked, stage_2(asked.steps)))


def _rl(asked: Train) -> tuple[Callable[..., Path], Any]:
    from model.dapo import DapoConfig
    from model.rl import PUBLISHED_SAMPLING, RlConfig
    from model.rl_run import RlStageConfig, reinforce_run

    usual = RlConfig(steps=asked.steps)
    buffer_tokens = min(DapoConfig().overlong_buffer_tokens, asked.max_new_tokens // 4)
    config = replace(
        usual,
        prompts_per_step=asked.prompts_per_step,
        answers_per_prompt=asked.answers,
        minibatches=min(usual.minibatches, asked.prompts_per_step),
        sampling=replace(PUBLISHED_SAMPLING, max_new_tokens=asked.max_new_tokens),
        dapo=DapoConfig(overlong_buffer_tokens=buffer_tokens),
        optimiser=replace(usual.optimiser, lr=asked.lr) if asked.lr else usual.optimiser,
        pack_tokens=2 * asked.pack_tokens,
        seed=asked.seed,
    )
    return reinforce_run, RlStageConfig(
        rl=config,
        max_prompt_tokens=asked.pack_tokens,
        precision=_precision(asked),
        recompute=asked.recompute,
        snapshot_every=asked.snapshot_every,
    )


def _precision(asked: Train) -> str:
    return asked.precision or ("bfloat16" if asked.computes_on.startswith("cuda") else "float32")


def _training(asked: Train, usual: "TrainingConfig") -> "TrainingConfig":
    return replace(
        usual,
        optimiser=replace(usual.optimiser, lr=asked.lr) if asked.lr else usual.optimiser,
        precision=_precision(asked),
        recompute=asked.recompute,
        compiled=asked.compiled,
        seed=asked.seed,
        snapshot_every=asked.snapshot_every,
    )


def _data(asked: Train) -> "DataConfig":
    from model.data import DataConfig

    return DataConfig(
        sources=tuple(_sources(asked)),
        packs_per_step=asked.packs_per_step,
        pack_tokens=asked.pack_tokens,
        workers=asked.workers,
        seed=asked.seed,
        min_score=asked.min_score,
        strict=asked.strict,
        time_markers=asked.time_markers,
    )


def _sources(asked: Train) -> "list[SourceConfig]":
    """Shards serve every group of the stage; conversations and text are what they are."""
    from model.catalogue import CONVERSATIONS_GROUP, SourceConfig, SourceKind
    from model.objectives.mix import TEXT

    sources: list[SourceConfig] = []
    for place in map(_whole, asked.data):
        if _holds_conversations(place):
            sources.append(SourceConfig(place=place, kind=SourceKind.CONVERSATIONS, group=CONVERSATIONS_GROUP))
        else:
            sources += [SourceConfig(place=place, group=group) for group in GROUPS[asked.stage]]
    return [
        *sources,
        *(SourceConfig(place=place, kind=SourceKind.TEXT, group=TEXT) for place in map(_whole, asked.text)),
    ]


def _whole(place: str) -> str:
    """The address as any process of any machine may use it."""
    return place if "://" in place else str(local_path(place))


def _holds_conversations(place: str) -> bool:
    return place.endswith(".jsonl") or next(iter(store_at(place).list("sft-")), None) is not None


def _catalogue(data: "DataConfig", folder: Path) -> "Catalogue":
    """The run's own, or a fresh one that becomes it."""
    from model.catalogue import Catalogue, catalogue
    from model.training import DATA

    store = store_at(str(folder))
    if store.stat(DATA) is not None:
        return Catalogue.from_json(store.read(DATA), store.uri(DATA))
    with counting("looking through the data:") as progress:
        found = catalogue(data.sources, strict=data.strict, progress=progress)
    store.put(DATA, found.to_json())
    return found


def _tell_data(work: "Work") -> None:
    """A line for each source: its share of what is learnt, and how much there is of it."""
    shares = work.catalogue.weights(work.config.share_by_group())
    for source, share in zip(work.catalogue.sources, shares, strict=True):
        what = f"{source.config.group:<13} {source.num_items:,} items of {safe(source.config.place)}"
        console.print(f"{share:5.0%}  {what}", markup=False)
    for trouble in work.catalogue.troubles[:20]:
        console.print(f"left out: {safe(trouble)}", markup=False)


def _on_ray(ranked: "Callable[[Rank, Console | None], Path]", asked: Train) -> None:
    from model.log import followed
    from model.ray_trainer import train_on_ray
    from pipeline.ray_runner import connected

    told, on_gpus = asked.folder / TOLD, asked.computes_on.startswith("cuda")
    with connected(asked.address, code=CHECKOUT), followed(told, console):
        train_on_ray(ranked, told.resolve(), ranks=asked.ranks, on_gpus=on_gpus, restarts=RESTARTS)
