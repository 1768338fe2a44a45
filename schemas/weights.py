"""Where the weights of a trained model lie: beside the run, in the hub's cache, or still at the hub.

A config names its weights as a `Weights`; `located` says which folder that is on this machine. Which folder it is
does not enter the config, so a run on a cluster without a network makes the same shards as one with.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from schemas.errors import ConfigError

MODELS = "EARMARK_MODELS"  # a folder of models, ORGANISATION/NAME in it; `--models` sets it
EDGE_BYTES = 1 << 20  # of either end of a file, to tell it by


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A trained model by its name at the hub, or a folder of one.

    `name` is ORGANISATION/NAME, or the path of a folder: one that begins with `/`, `.` or `~`.
    """

    name: str
    revision: str = "main"  # a commit or a tag; a branch may move under a run
    licence: str = "unknown"
    num_bytes: int = 0  # about
    gate: str | None = None  # what must be accepted before it can be fetched, and where
    files: tuple[str, ...] = ()  # patterns of those that are needed; all where there are none

    @property
    def is_folder(self) -> bool:
        return self.name.startswith(("/", ".", "~"))

    def fetching(self, models: str = "models") -> str:
        """The command that puts it into a folder of models."""
        revision = f" --revision {self.revision}" if self.revision != "main" else ""
        include = "".join(f" --include '{pattern}'" for pattern in self.files)
        return f"hf download {self.name}{revision}{include} --local-dir {models}/{self.name}"


def found(weights: Weights) -> Path | None:
    """The folder it lies in on this machine, without asking the network; None where it is not there."""
    if weights.is_folder:
        folder = Path(weights.name).expanduser()
        return folder if folder.is_dir() else None
    if (models := os.environ.get(MODELS)) and (folder := Path(models).expanduser() / weights.name).is_dir():
        return folder
    return _cached(weights)


def located(weights: Weights) -> Path:
    """The folder it lies in, fetched from the hub where it is not here yet and may be.

    Raises ConfigError, with the command that mends it, where it is not here and cannot be fetched.
    """
    if folder := found(weights):
        return folder
    if weights.is_folder:
        raise ConfigError(f"there is no folder {weights.name}; it should hold a model")
    from huggingface_hub import snapshot_download

    try:
        patterns = list(weights.files) or None
        return Path(snapshot_download(weights.name, revision=weights.revision, allow_patterns=patterns))
    except Exception as error:  # the hub raises errors of a dozen libraries
        gate = f"; {weights.gate}" if weights.gate else ""
        raise ConfigError(
            f"the model {weights.name} is not on this machine and could not be fetched "
            f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]}){gate}; fetch it with "
            f"`{weights.fetching()}` and give `--models models`"
        ) from error


def model_name(weights: Weights, folder: Path) -> str:
    """`name@revision` as provenance has it; of a folder, its name and a hash of what lies in it."""
    if not weights.is_folder and not (os.environ.get(MODELS) and _cached(weights) != folder):
        return f"{weights.name}@{folder.name[:12] if folder.parent.name == 'snapshots' else weights.revision}"
    name = folder.name if weights.is_folder else weights.name
    return f"{name}@{content_hash(folder)}"


@cache
def content_hash(folder: Path) -> str:
    """Of the names and lengths of all its files, and of both ends of each: twelve digits."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder)):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(0, size - EDGE_BYTES))
            digest.update(file.read(EDGE_BYTES))
    return digest.hexdigest()[:12]


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _cached(weights: Weights) -> Path | None:
    """Its folder in the hub's cache, if all that is needed of it is there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        return None
    try:
        patterns = list(weights.files) or None
        folder = snapshot_download(
            weights.name, revision=weights.revision, allow_patterns=patterns, local_files_only=True
        )
    except (LocalEntryNotFoundError, FileNotFoundError, ValueError):
        return None
    return Path(folder)
