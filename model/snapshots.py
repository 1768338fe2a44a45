"""The state of a run on disk, so that it goes on as if it had not been interrupted.

    run/snapshots/step-000000500/
      shard-00001-model-00001-of-00002.safetensors    weights and moments, each rank's share, in files of bounded size
      shard-00002-model-00001-of-00002.safetensors
      state.json                                      what else the run remembers, and where each lane's reading stands

A snapshot exists when it has its name: it is written as `.step-000000500.part`, synced to disk and renamed. Weights
and moments go through `torch.distributed.checkpoint`, so what N ranks wrote is read by any other number of them, and by
one process without a process group. They are stored as safetensors, not in its own format, whose index is a pickle:
nothing here that is read can run anything. Ranks on several machines need a folder that all of them share.

What a config says (rates, betas, decay) is not stored; it comes from the config of the run that goes on.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from model.weights import json_object
from schemas.errors import CheckpointError, ConfigError

STATE = "state.json"
VERSION = 1
FILE_BYTES = 1_000_000_000
"""What one file holds of a rank's share; while it is written, it is in memory twice."""

WEIGHT = "weight/"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""AdamW's state of a weight. `step` is a tensor too: weights that had no gradient yet have none of these."""

JSON = Any
Kind = tuple[tuple[int, ...], torch.dtype]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a snapshot holds beside weights and moments."""

    step: int
    state: Mapping[str, JSON]
    lanes: Mapping[int, JSON]  # of all ranks


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The last `keep` snapshots of one run, in `folder`. One run at a time writes there."""

    folder: Path
    keep: int = 3
    includes: Callable[[str], bool] = lambda name: True
    """Which weights a snapshot has, by name; those left out must be as they are at the start of the run."""

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError(f"keep is {self.keep}; at least the last snapshot must be kept")

    def latest(self) -> int | None:
        """The step of the last whole snapshot; None where there is none."""
        return max(self._steps(), default=None)

    def save(
        self,
        step: int,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        state: Mapping[str, JSON],
        lanes: Mapping[int, JSON],
    ) -> None:
        """Writes the snapshot of `step`, then removes the oldest beyond `keep`. Every rank is to call it.

        `lanes` are a rank's own; `state` is that of rank 0. A snapshot of the same step is replaced. Raises
        CheckpointError on all ranks where it cannot be written; the snapshots before it stand.
        """
        named = self._place(step)
        unnamed = named.with_name(f".{named.name}.part")
        _on_first_rank(lambda: self._make_room(unnamed), f"{named} cannot be written")
        tensors = self._weights(model) | _moments(model, optimiser)
        writer = HuggingFaceStorageWriter(str(unnamed), _file_by_name(tensors), save_distributed=True)
        with _told(f"{named} could not be written"):
            state_dict_saver.save(tensors, storage_writer=writer, no_dist=not dist.is_initialized())
        body = {
            "version": VERSION,
            "step": step,
            "state": state,
            "lanes": _gathered(lanes),
            "trained": sorted(_trained(model, optimiser)),
        }
        _on_first_rank(lambda: self._finish(step, unnamed, body), f"{named} could not be written")

    def load(self, step: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> Restored:
        """Puts the weights and moments of `step` into `model` and `optimiser`. Every rank is to call it.

        Raises CheckpointError, on all ranks, where files are missing, cut short or damaged, or the model is another or
        learns other weights.
        """
        place = self._place(step)
        way_out = f"remove {place}, and the snapshot before it is used"
        weights, trained = self._weights(model), _trained(model, optimiser)

        def check() -> None:
            body = _body(place, way_out)
            if body["trained"] != sorted(trained):
                raise CheckpointError(
                    f"{place} is of a run that learns {len(body['trained'])} weights, not the {len(trained)} of this "
                    "one; go on with the settings it was made with, or start a new run elsewhere"
                )
            _check_tensors(place, way_out, weights, trained)

        with _told(f"{place} cannot be read; {way_out}"):
            _on_first_rank(check, f"{place} cannot be read; {way_out}")
            body = _body(place, way_out)
            moments = _empty_moments(trained, _stored(place).keys())
            reader = HuggingFaceStorageReader(str(place))
            state_dict_loader.load(weights | moments, storage_reader=reader, no_dist=not dist.is_initialized())
        _put(moments, trained, optimiser)
        return Restored(step=step, state=body["state"], lanes={int(lane): at for lane, at in body["lanes"].items()})

    def _place(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"

    def _steps(self) -> list[int]:
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(name.removeprefix("step-")) for name in names if re.fullmatch(r"step-\d{9,}", name))

    def _weights(self, model: nn.Module) -> dict[str, Tensor]:
        return {WEIGHT + name: weight for name, weight in model.state_dict().items() if self.includes(name)}

    def _make_room(self, unnamed: Path) -> None:
        """Also sweeps what killed processes left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".step-*.part"):
            shutil.rmtree(left)
        unnamed.mkdir()

    def _finish(self, step: int, unnamed: Path, body: Mapping[str, JSON]) -> None:
        num_bytes = {path.name: path.stat().st_size for path in sorted(unnamed.iterdir())}
        with (unnamed / STATE).open("w", encoding="utf-8") as file:
            json.dump({**body, "num_bytes": num_bytes}, file)
            file.flush()
            os.fsync(file.fileno())
        _sync(unnamed)
        self._remove(step)
        unnamed.rename(self._place(step))
        _sync(self.folder)
        for old in [earlier for earlier in self._steps() if earlier <= step][: -self.keep]:
            self._remove(old)

    def _remove(self, step: int) -> None:
        """Out of its name first, so that nothing half removed has one."""
        if self._place(step).exists():
            going = self.folder / f".{self._place(step).name}.old.part"
            self._place(step).rename(going)
            shutil.rmtree(going)


def _trained(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    return {name: weight for name, weight in model.named_parameters() if id(weight) in held}


def _moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{kind}/{name}": optimiser.state[weight][kind]
        for name, weight in _trained(model, optimiser).items()
        if weight in optimiser.state
        for kind in MOMENTS
    }


def _empty_moments(trained: Mapping[str, nn.Parameter], stored: Collection[str]) -> dict[str, Tensor]:
    """Where to read the moments into that a snapshot has."""
    return {
        f"{kind}/{name}": torch.zeros(()) if kind == "step" else torch.zeros_like(weight.detach())
        for name, weight in trained.items()
        for kind in MOMENTS
        if f"step/{name}" in stored
    }


def _put(moments: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer) -> None:
    name_by_id = {id(weight): name for name, weight in trained.items()}
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    names = enumerate(name_by_id[id(weight)] for weight in weights)
    state = {
        index: {kind: moments[f"{kind}/{name}"] for kind in MOMENTS}
        for index, name in names
        if f"step/{name}" in moments
    }
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _file_by_name(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Which of a rank's files a tensor goes to, from 1; what the first rank says holds for all."""
    index, held_bytes = 1, 0
    files: dict[str, int] = {}
    for name, tensor in tensors.items():
        num_bytes = (tensor.to_local() if isinstance(tensor, DTensor) else tensor).nbytes
        if held_bytes and held_bytes + num_bytes > FILE_BYTES:
            index, held_bytes = index + 1, 0
        held_bytes += num_bytes
        files[name] = index
    return files


def _kind(tensor: Tensor) -> Kind:
    return tuple(tensor.shape), tensor.dtype


def _stored(place: Path) -> dict[str, Kind]:
    found = HuggingFaceStorageReader(str(place)).read_metadata().state_dict_metadata
    return {
        name: (tuple(held.size), held.properties.dtype)
        for name, held in found.items()
        if isinstance(held, TensorStorageMetadata)
    }


def _check_tensors(
    place: Path, way_out: str, weights: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter]
) -> None:
    stored = _stored(place)
    expected = {name: _kind(weight) for name, weight in weights.items()}
    for name, weight in trained.items():
        if f"step/{name}" in stored:
            expected |= {f"exp_avg/{name}": _kind(weight), f"exp_avg_sq/{name}": _kind(weight)}
            expected |= {f"step/{name}": ((), torch.float32)}
    different = sorted(name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name))
    if different:
        lines = "".join(f"\n  {name}: {stored.get(name)}, expected {expected.get(name)}" for name in different)
        raise CheckpointError(f"{place}: {len(different)} tensors are not those of this run; {way_out}:{lines}")


def _body(place: Path, way_out: str) -> dict[str, JSON]:
    """What `state.json` says, once the files beside it have the sizes it tells."""
    if not place.is_dir():
        raise CheckpointError(f"{place} is not there")
    try:
        body = json_object(place / STATE)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {way_out}") from error
    kinds = {"version": int, "step": int, "state": dict, "lanes": dict, "trained": list, "num_bytes": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(body.get(name), kind)]
    if wrong or not all(lane.isdecimal() for lane in body["lanes"]):
        raise CheckpointError(f"{place / STATE} has no {', '.join(wrong) or 'lanes that are numbered'}; {way_out}")
    if body["version"] != VERSION:
        raise CheckpointError(f"{place} is of version {body['version']} and this reads {VERSION}; {way_out}")
    found = {path.name: path.stat().st_size for path in place.glob("*.safetensors")}
    for name in sorted(body["num_bytes"].keys() | found.keys()):
        if body["num_bytes"].get(name) != found.get(name):
            raise CheckpointError(
                f"{place / name} has {found.get(name, 'no')} bytes and should have "
                f"{body['num_bytes'].get(name, 'none')}; {way_out}"
            )
    return body


def _gathered(lanes: Mapping[int, JSON]) -> dict[int, JSON]:
    """Those of all ranks."""
    of_ranks: list[Any] = [dict(lanes)]
    if dist.is_initialized():
        of_ranks = [None] * dist.get_world_size()
        dist.all_gather_object(of_ranks, dict(lanes))
    together = {lane: at for of_rank in of_ranks for lane, at in of_rank.items()}
    assert len(together) == sum(map(len, of_ranks)), "two ranks read the same lane"
    return dict(sorted(together.items()))


def _on_first_rank(action: Callable[[], None], what: str) -> None:
    """Rank 0 does it while the others wait; what went wrong is raised by all."""
    trouble: list[str | None] = [None]
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            action()
        except CheckpointError as error:
            trouble = [str(error)]
        except (OSError, SafetensorError) as error:
            trouble = [f"{what}: {_why(error)}"]
    if dist.is_initialized():
        dist.broadcast_object_list(trouble, src=0)
    if trouble[0] is not None:
        raise CheckpointError(trouble[0])


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns what the library and the system raise into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)  # one process: as asked
            yield
    except CheckpointException as error:
        reason, _ = next(iter(error.failures.values()))
        raise CheckpointError(f"{what}: {_why(reason)}") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{what}: {_why(error)}") from error


def _why(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
