"""What the loops of training share, so that it cannot drift between them: where a rank computes, how a model is made
ready, the gradients of a step over all ranks, and the folder of a run.

    RUN/run.json        the config as it is run        RUN/snapshots/    the last few states, to go on from
    RUN/data.json       the catalogue of its data      RUN/log.jsonl     a line a step; RUN/tensorboard/ the same
    RUN/model/          at the end: a checkpoint in the published layout

The loops themselves are `pretrain_encoder.py`, `pretrain.py`, `sft.py` and `rl.py`, each spelt out.
"""

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
import torch.distributed as dist
from rich.console import Console
from torch import nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh

from model import ranks, weights
from model.batch import Batch, next_token_loss
from model.catalogue import Catalogue
from model.checkpoint import CONFIG, save
from model.config import IGNORE, ModelConfig
from model.data import Loader, Work
from model.flops import learning, measured_cpu_flops, peak_flops, training_flops
from model.frames import FRAME_MS
from model.lanes import LaneState
from model.log import RunLog, StepReport
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, Update
from model.packing import Layout, Pack
from model.parallel import checkpoint_layers, compile_layers, shard, whole
from model.snapshots import Snapshots
from schemas.config import aside
from schemas.errors import ConfigError, InputError
from schemas.store import store_at

MODEL = "model"
SNAPSHOTS = "snapshots"
RUN, DATA = "run.json", "data.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What every stage needs to be told. A step that is not finite is left out; `max_skipped` in a row end the run."""

    optimiser: OptimiserConfig
    schedule: ScheduleConfig
    precision: str = "float32"  # what layers compute in; weights that learn are always float32
    recompute: bool = False  # keep less for the backward pass, and compute it again
    compiled: bool = False
    max_skipped: int = 10
    seed: int = 0
    snapshot_every: int = aside(500)
    keep: int = aside(3)  # snapshots

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(f"precision is {self.precision!r}; it must be float32 or bfloat16")
        for name in ("snapshot_every", "max_skipped", "keep"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One process of a run, and where it computes. Several need torch's process group to be there."""

    number: int = 0
    of: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        return self.number == 0


def prepared(model: AudioLM, config: TrainingConfig, rank: Rank) -> AudioLM:
    """Ready to train on the rank's device, in place; what learns must be decided before (`parts.learns`, `lora.add`).

    Several ranks, and any that computes in bfloat16, share the model out (FSDP2), so both are the same code.
    """
    model.float().train()
    if config.recompute:
        checkpoint_layers(model)
    if config.compiled:
        compile_layers(model)
    if rank.of > 1 or config.precision != "float32":
        if not dist.is_initialized():
            backend = "nccl" if rank.device.startswith("cuda") else "gloo"
            alone = TCPStore("127.0.0.1", 0, 1, is_master=True)
            dist.init_process_group(backend, store=alone, rank=0, world_size=1)
        mesh = init_device_mesh(torch.device(rank.device).type, (rank.of,))
        return shard(model, mesh, compute_dtype=getattr(torch, config.precision))
    return model.to(rank.device)


def seeded(seed: int, step: int, rank: Rank) -> None:
    """Dropout's chance depends on seed, step and rank alone, so a run that goes on draws what it would have drawn."""
    digest = hashlib.sha256(f"{seed}/{step}/{rank.number}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class StepLoss(NamedTuple):
    """A step over all ranks: losses added up over targets, by task group; what went through the model."""

    mean: float
    targets: int
    tokens: int
    audio_s: float
    flops: float
    by_group: dict[str, tuple[float, int]]


def backward(
    model: AudioLM,
    packs: Sequence[Pack],
    layout: Layout,
    rank: Rank,
    groups: Sequence[str],
    trained: Mapping[Any, float],
) -> StepLoss:
    """Adds up the gradients of the mean loss over all targets of all packs of all ranks.

    Every rank calls it with as many packs. The mean is over the whole step, so a pack with few targets counts for what
    it is, and neither the number of ranks nor of packs changes what a step is.
    """
    targets = ranks.added([sum(pack.num_targets for pack in packs)])[0]
    if not targets:
        raise InputError("a whole step has nothing to learn in it; give other data, or larger packs")
    sums: dict[str, float] = defaultdict(float)
    for pack in packs:
        batch = Batch.of(pack, rank.device, layout)
        loss = next_token_loss(model, batch, shared=rank.of > 1)
        (loss.total * (rank.of / targets)).backward()  # ranks' gradients are averaged
        for group, (total, count) in _by_group(pack, loss.each_N.cpu().double().numpy(), layout).items():
            sums[f"{group}/loss"] += total
            sums[f"{group}/targets"] += count
        sums["tokens"] += pack.num_tokens
        sums["frames"] += sum(pack.frames)
        sums["flops"] += training_flops(model.config, pack.lengths, pack.frames, pack.num_targets, trained=trained)
    names = [*(f"{group}/{what}" for group in groups for what in ("loss", "targets")), "tokens", "frames", "flops"]
    found = dict(zip(names, ranks.added([sums[name] for name in names]), strict=True))
    by_group = {group: (found[f"{group}/loss"], int(found[f"{group}/targets"])) for group in groups}
    return StepLoss(
        mean=sum(total for total, _ in by_group.values()) / targets,
        targets=int(targets),
        tokens=int(found["tokens"]),
        audio_s=found["frames"] * FRAME_MS / 1000,
        flops=found["flops"],
        by_group={group: found for group, found in by_group.items() if found[1]},
    )


def _by_group(pack: Pack, each_N: Any, layout: Layout) -> dict[str, tuple[float, int]]:
    rows, columns = (pack.targets_BT != IGNORE).nonzero()
    document_N = pack.documents_BT[rows, columns] if layout is Layout.PACKED else rows
    found: dict[str, tuple[float, int]] = {}
    for document, group in enumerate(pack.groups):
        mine = document_N == document
        total, count = found.get(group, (0.0, 0))
        found[group] = (total + float(each_N[mine].sum()), count + int(mine.sum()))
    return found


# ------------------------------------------------------------------------------------------------ the run


@dataclass(slots=True)
class Progress:
    """All a loop remembers; a snapshot is the weights, the moments, the lanes and this."""

    step: int = 0
    skipped: int = 0  # updates left out in all
    skipped_in_row: int = 0
    passed_over: int = 0
    damaged: int = 0


@dataclass(slots=True, kw_only=True)
class Run:
    """A run in its folder, as one rank sees it."""

    folder: Path
    rank: Rank
    config: TrainingConfig
    snapshots: Snapshots
    progress: Progress = field(default_factory=Progress)
    lanes: dict[int, LaneState] = field(default_factory=dict)
    _log: RunLog | None = None
    _trained: dict[Any, float] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, config: TrainingConfig, rank: Rank) -> Self:
        return cls(
            folder=folder,
            rank=rank,
            config=config,
            snapshots=Snapshots(folder=folder / SNAPSHOTS, keep=config.keep),
        )

    def resume(self, model: AudioLM, optimiser: torch.optim.Optimizer) -> None:
        """Puts back the last snapshot, where there is one."""
        self._trained = dict(learning(model))
        step = self.snapshots.latest()
        if step is None:
            return
        restored = self.snapshots.load(step, model, optimiser)
        self.progress = Progress(**restored.state["progress"])
        self.lanes = {lane: LaneState.from_json(state) for lane, state in restored.lanes.items()}

    @contextmanager
    def going(self, work: Work, console: Console | None = None) -> Iterator[Loader]:
        """The loader behind what was learnt, and a log behind what was told, until the block ends."""
        rank, step = self.rank, self.progress.step
        with Loader(work, rank=rank.number, ranks=rank.of, step=step, states=self.lanes) as loader:
            if rank.is_first:
                on_cpu = torch.device(rank.device).type == "cpu"
                peak = measured_cpu_flops() if on_cpu else peak_flops(rank.device)
                self._log = RunLog(
                    self.folder,
                    total_steps=self.config.schedule.steps,
                    peak_flops=None if peak is None else peak * rank.of,
                    resume_step=step,
                    console=console,
                )
            try:
                yield loader
            finally:
                if self._log:
                    self._log.close()

    def backward(self, model: AudioLM, packs: Sequence[Pack], work: Work) -> StepLoss:
        """`backward` of this module, on this rank."""
        groups = sorted({source.config.group for source in work.catalogue.sources})
        return backward(model, packs, work.config.layout, self.rank, groups, self._trained)

    def tell(self, loss: StepLoss, update: Update, loader: Loader, begun_s: float, waited_s: float) -> None:
        """Counts the step as done and tells it. Raises InputError where too many in a row were not finite."""
        progress = self.progress
        progress.step += 1
        progress.skipped += not update.is_finite
        progress.skipped_in_row = 0 if update.is_finite else progress.skipped_in_row + 1
        passed, damaged = ranks.added([sum(loader.passed.values()), loader.num_damaged])
        progress.passed_over += int(passed)
        progress.damaged += int(damaged)
        for line in loader.damaged:
            if self._log:
                self._log.say(f"passed over: {line}")
        loader.passed.clear()
        loader.damaged.clear()
        loader.num_damaged = 0
        if self._log:
            self._log.write(
                StepReport(
                    step=progress.step,
                    steps=self.config.schedule.steps,
                    loss=loss.mean,
                    grad_norm=update.grad_norm,
                    lr=update.lr,
                    tokens=loss.tokens,
                    targets=loss.targets,
                    audio_s=loss.audio_s,
                    seconds=time.perf_counter() - begun_s,
                    data_seconds=waited_s,
                    skipped=progress.skipped,
                    passed_over=progress.passed_over,
                    troubles=progress.damaged,
                    losses=loss.by_group,
                    flops=loss.flops,
                )
            )
        if progress.skipped_in_row == self.config.max_skipped:
            raise InputError(
                f"{progress.skipped_in_row} steps in a row, up to step {progress.step}, had gradients that are not "
                "finite; begin another run with a lower learning rate or a longer warm-up"
            )

    def keep(self, model: AudioLM, optimiser: torch.optim.Optimizer, loader: Loader) -> None:
        """A snapshot where one is due: every so many steps, and behind the last."""
        step = self.progress.step
        if step % self.config.snapshot_every and step != self.config.schedule.steps:
            return
        lanes = {lane: state.to_json() for lane, state in loader.states().items()}
        self.snapshots.save(step, model, optimiser, {"progress": asdict(self.progress)}, lanes)

    def export(self, model: nn.Module | Mapping[str, torch.Tensor], config: ModelConfig, source: Path) -> Path:
        """The trained weights as a checkpoint in the published layout, with all that stood beside those of `source`.

        They are kept in the precision the source's have. Every rank calls it; the first writes.
        """
        held = whole(model.state_dict() if isinstance(model, nn.Module) else model)
        folder = self.folder / MODEL
        if self.rank.is_first:
            save(held, folder, config=config, dtype=stored_dtype(source), source=source, replace=True)
        if self.rank.of > 1:
            dist.barrier()
        return folder


def stored_dtype(folder: Path) -> torch.dtype:
    """The precision most tensors of a checkpoint have."""
    kinds = Counter(stored.kind for stored in weights.find(folder).values())
    return weights.DTYPES[kinds.most_common(1)[0][0]]


def check_same_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises ConfigError where the folder is of a run with another config, of one that cannot be read, or of a model.

    A run has begun where its config is kept (`begin`); before that its folder may be anybody's.
    """
    path = folder / RUN
    if not path.exists():
        if (folder / CONFIG).exists():
            raise ConfigError(f"{folder} is a model's checkpoint; a run is kept in a folder of its own")
        return
    try:
        before = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged, so what run this is cannot be told; give a new folder") from error
    differ = _differences(before, json.loads(json.dumps(config)))
    if differ:
        raise ConfigError(
            f"{folder} is of a run with another config: {'; '.join(differ[:6])}. "
            "Go on with the same, or give a new folder"
        )


def has_begun(folder: Path) -> bool:
    return (folder / RUN).exists()


def begin(folder: Path, config: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Keeps what a run is made of with it; the config last, so that a run which has one has both."""
    store = store_at(str(folder))
    store.put(DATA, catalogue.to_json())
    store.put(RUN, (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode())


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted(before.keys() | now.keys())
            for line in _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if before == now else [f"{name or RUN} was {json.dumps(before)} and is {json.dumps(now)}"]
