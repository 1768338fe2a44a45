"""What a folder of a pyannote pipeline may hold: looked at before pyannote.audio opens it.

pyannote.audio makes whatever class config.yaml names and unpickles its checkpoints without restraint, so a folder
from elsewhere could run any code. Here only its own diarization pipeline is let through, of three parts that lie in
the folder itself, and checkpoints that torch can read with `weights_only`: what such a pickle makes is the same
however it is read. Whoever can write to the folder while it is being loaded is trusted.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError

PIPELINES = (
    "pyannote.audio.pipelines.SpeakerDiarization",
    "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization",
)
CONFIG_KEYS = {"dependencies", "version", "pipeline", "params", "freeze"}
PARTS = ("segmentation", "embedding", "plda")
SETTINGS = {
    "clustering",
    "segmentation_step",
    "segmentation_batch_size",
    "embedding_batch_size",
    "embedding_exclude_overlap",
    "legacy",
    "der_variant",
}
NETWORKS = "pyannote.audio.models."
TRUSTED = (  # what the checkpoints of pyannote hold besides tensors and plain values
    "pyannote.audio.core.task.Specifications",
    "pyannote.audio.core.task.Problem",
    "pyannote.audio.core.task.Resolution",
    "torch.torch_version.TorchVersion",
)
MOST_BYTES = 1 << 16  # of config.yaml


def check(folder: Path, trusted: Sequence[str] = ()) -> None:
    """Raises ConfigError where something in the folder is missing, or would run code that is not pyannote's.

    `trusted` names further classes that its checkpoints may hold, as module.Class.
    """
    parts = _checked_config(folder)
    for part in ("segmentation", "embedding"):
        _check_checkpoint(folder / parts[part] / "pytorch_model.bin", (*TRUSTED, *trusted))
    for name in ("xvec_transform.npz", "plda.npz"):
        if not (folder / parts["plda"] / name).is_file():
            raise ConfigError(f"{folder / parts['plda']} has no {name}; fetch the whole model")


def _checked_config(folder: Path) -> dict[str, str]:
    """The sub-folder of each part."""
    import yaml  # type: ignore[import-untyped]

    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder} has no config.yaml; a pipeline of pyannote.audio 4 has one")
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError(f"{path} has {path.stat().st_size} bytes; a pipeline needs a few hundred")
    try:
        config = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    pipeline = config.get("pipeline") if isinstance(config, Mapping) else None
    params = pipeline.get("params") if isinstance(pipeline, Mapping) else None
    if not isinstance(pipeline, Mapping) or not isinstance(params, Mapping):
        raise ConfigError(f"{path} describes no pipeline; it needs `pipeline: name` and `pipeline: params`")
    if pipeline.get("name") not in PIPELINES:
        raise ConfigError(f"{path} makes a {str(pipeline.get('name'))[:100]!r}; only {PIPELINES[0]} is made here")
    if odd := [str(key)[:40] for key in (*(config.keys() - CONFIG_KEYS), *(params.keys() - SETTINGS - {*PARTS}))]:
        raise ConfigError(f"{path} sets {', '.join(sorted(odd))}, which is not followed here; take it out")
    return {part: _sub_folder(path, part, params.get(part)) for part in PARTS}


def _sub_folder(path: Path, part: str, value: object) -> str:
    name = value.removeprefix("$model/") if isinstance(value, str) and value.startswith("$model/") else ""
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(
            f"{path} takes its {part} from {str(value)[:100]!r}; it must be a folder here, as $model/{part}"
        )
    return name


def _check_checkpoint(path: Path, trusted: Sequence[str]) -> None:
    import torch

    if not path.is_file():
        raise ConfigError(f"there is no {path}; fetch the whole model")
    try:
        with torch.serialization.safe_globals(list(_objects(trusted))):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        words = " ".join(str(error).partition("WeightsUnpickler error:")[2].split()) or str(error)
        raise ConfigError(f"{path} holds more than weights and is not opened: {words[:300]}") from error
    described = held.get("pyannote.audio") if isinstance(held, Mapping) else None
    architecture = described.get("architecture") if isinstance(described, Mapping) else None
    module = architecture.get("module") if isinstance(architecture, Mapping) else None
    if not isinstance(module, str) or not module.startswith(NETWORKS):
        raise ConfigError(f"{path} is a checkpoint of {str(module)[:100]!r}; it must be one of {NETWORKS}*")


def _objects(names: Sequence[str]) -> Iterator[tuple[Any, str]]:
    for name in names:
        module, _, attribute = name.rpartition(".")
        try:
            yield getattr(import_module(module), attribute), name
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"trusted: there is no {name!r}; give classes as module.Class") from error
