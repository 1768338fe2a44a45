"""Weights as files: safetensors, one or several with an index. Pickled weights are never opened.

Each tensor is read into memory of its own and the file is not mapped, so a model being loaded is in memory once, and
stays as it is when its files change.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from schemas.errors import CheckpointError

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
METADATA = {"format": "pt"}

MAX_JSON_BYTES = 64 << 20
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The kinds of numbers weights may be, as the files name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor as a file's header describes it."""

    file: Path
    shape: tuple[int, ...]
    kind: str  # F32, BF16, ...


def find(folder: Path) -> dict[str, StoredTensor]:
    """What `folder` holds, by name, from the headers of its files alone.

    Raises CheckpointError where there are no weights, or a file is absent, cut short, damaged or outside the folder.
    """
    if (folder / WHOLE).exists():
        return header(inside(folder, WHOLE))
    if not (folder / INDEX).exists():
        raise CheckpointError(_nothing_there(folder))
    index = inside(folder, INDEX)
    file_by_name = _file_by_name(index)
    found: dict[str, StoredTensor] = {}
    for file in sorted(set(file_by_name.values())):
        for name, stored in header(_shard(folder, index, file)).items():
            if name in found:
                raise CheckpointError(f"{folder}: {shown(name)} is both in {found[name].file.name} and in {file}")
            found[name] = stored
    said = {(name, file) for name, file in file_by_name.items()}
    if wrong := sorted(said ^ {(name, stored.file.name) for name, stored in found.items()}):
        lines = "".join(
            f"\n  {shown(name)}: {file} has {'none' if (name, file) in said else 'one the index does not name'}"
            for name, file in wrong
        )
        raise CheckpointError(f"{index} and the files it names disagree; copy the whole folder again:{lines}")
    return found


def read(
    found: Mapping[str, StoredTensor],
    *,
    dtype: torch.dtype | None,
    device: torch.device | str,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors themselves, one after the other; `progress` hears how many of how many bytes are read."""
    total_bytes, done_bytes = sum(_num_bytes(stored) for stored in found.values()), 0
    for file in sorted({stored.file for stored in found.values()}):
        with _told(file), safe_open(file, framework="pt", backend="pread") as opened:
            for name in opened.offset_keys():
                if name not in found or found[name].file != file:
                    continue
                yield name, opened.get_tensor(name).to(device=device, dtype=dtype)
                done_bytes += _num_bytes(found[name])
                if progress:
                    progress(done_bytes, total_bytes)


def header(path: Path) -> dict[str, StoredTensor]:
    """What one safetensors file holds, by name. Raises CheckpointError where it cannot be read."""
    if not path.is_file():
        raise CheckpointError(f"{path} is no file")
    with _told(path), safe_open(path, framework="pt", backend="pread") as opened:
        slices = {name: opened.get_slice(name) for name in opened.offset_keys()}
        return {
            name: StoredTensor(file=path, shape=tuple(part.get_shape()), kind=part.get_dtype())
            for name, part in slices.items()
        }


def write(
    weights: Mapping[str, torch.Tensor], folder: Path, *, dtype: torch.dtype | None = None, shard_bytes: int
) -> None:
    """Writes `weights` into `folder`, in their order, as one file or as several of at most `shard_bytes` and an index.

    A tensor larger than `shard_bytes` has a file to itself. Beside the weights, at most one file's tensors are in
    memory, and those only where they are converted or come from another device.
    """
    if shard_bytes < 1:
        raise ValueError(f"shard_bytes is {shard_bytes}; it must be above zero")
    sizes = {name: tensor.numel() * (dtype or tensor.dtype).itemsize for name, tensor in weights.items()}
    shards = list(_shards(sizes, shard_bytes))
    file_by_name: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = WHOLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        held = {name: weights[name].detach().to(device="cpu", dtype=dtype).contiguous() for name in names}
        write_file(held, folder / file)
        del held  # before the next are held
        file_by_name |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": file_by_name}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_file(held: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes tensors into one safetensors file."""
    with _told(path):
        path.touch()
        mode = path.stat().st_mode
        save_file(dict(held), path, metadata=METADATA)
        path.chmod(mode)  # the library lets nobody else read it


def inside(folder: Path, name: str) -> Path:
    """The file called `name` in `folder`. Raises CheckpointError where that leads out of the folder.

    The links of a Hugging Face cache, from a snapshot to the blobs beside it, are followed.
    """
    if name in ("", ".", "..") or not name.isprintable() or "/" in name or "\\" in name:
        raise CheckpointError(f"{folder}: {shown(name)} is not the name of a file in it; only those are read")
    try:
        home, path = folder.resolve(), (folder / name).resolve()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{folder / name} cannot be followed: {error}") from error
    of_cache = home.parent.name == "snapshots" and path.parent == home.parents[1] / "blobs"
    if not (path.is_relative_to(home) or of_cache):
        raise CheckpointError(f"{folder / name} is a link that leads out of the folder; put the file itself there")
    return folder / name


def json_object(path: Path) -> dict[str, Any]:
    """The object a JSON file holds. Raises CheckpointError where it cannot be read or holds something else."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB; is it JSON?")
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is not there; a checkpoint is a folder that holds one") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__} where an object {{...}} should be")
    return found


def shown(name: str) -> str:
    """A name out of a file, fit for a terminal."""
    return name if name.isprintable() and len(name) <= 200 else repr(name[:200])


def _nothing_there(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder; a checkpoint is a folder with config.json and {WHOLE}"
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled:
        return (
            f"{folder} holds pickled weights ({', '.join(map(shown, pickled[:5]))}) and no safetensors; opening a "
            "pickle can run anything, so that is never done: convert them to safetensors where you trust them"
        )
    return f"{folder} holds neither {WHOLE} nor {INDEX}"


def _file_by_name(index: Path) -> dict[str, str]:
    found = json_object(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(file, str) for file in found.values()):
        raise CheckpointError(f"{index} has no weight_map from the names of tensors to those of files")
    return found


def _shard(folder: Path, index: Path, file: str) -> Path:
    if not file.endswith(".safetensors"):
        raise CheckpointError(f"{index} names {shown(file)}, which is no .safetensors file; nothing else is read")
    path = inside(folder, file)
    if not path.is_file():
        raise CheckpointError(f"{index} names {shown(file)}, which is not there; is the copy complete?")
    return path


def _num_bytes(stored: StoredTensor) -> int:
    return torch.Size(stored.shape).numel() * DTYPES[stored.kind].itemsize


def _shards(sizes: Mapping[str, int], shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    held_bytes = 0
    for name, num_bytes in sizes.items():
        if names and held_bytes + num_bytes > shard_bytes:
            yield names
            names, held_bytes = [], 0
        names.append(name)
        held_bytes += num_bytes
    yield names


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what the library and the system raise into one sentence about `path`."""
    try:
        yield
    except SafetensorError as error:
        raise CheckpointError(f"{path} {_why(path, error)}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error


def _why(path: Path, error: SafetensorError) -> str:
    if not path.is_file():
        return f"could not be written: {error}"
    with path.open("rb") as file:
        start = file.read(24)
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the weights; fetch them with: git lfs pull"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "is no safetensors file but looks pickled or zipped; such weights are never opened"
    return f"cannot be read as safetensors ({error}); it may be cut short or damaged: copy it again"
