"""What is installed, what each recipe needs, what is missing, and the command that mends it."""

import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from importlib import metadata
from typing import Any

from pipeline.route import AnnotateConfig
from schemas.errors import EarmarkError
from schemas.store import store_at
from schemas.weights import Weights, found

MIN_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    what: str
    ok: bool
    detail: str
    needed: bool = True  # whether the default recipe does without it


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A package a recipe or the model uses; `carries` is what its wheel brings along."""

    package: str
    module: str
    use: str
    carries: str = ""
    extra: str = ""  # the extra it comes with, which recipes do without


NEEDS: dict[str, tuple[Need, ...]] = {
    "embedded": (
        Need(package="av", module="av", use="decoding", carries="FFmpeg"),
        Need(package="soxr", module="soxr", use="resampling"),
        Need(package="soundfile", module="soundfile", use="FLAC", carries="libsndfile"),
        Need(package="silero-vad", module="silero_vad", use="voice activity", carries="weights, MIT"),
        Need(package="onnxruntime", module="onnxruntime", use="all networks"),
        Need(package="speechmos", module="speechmos", use="quality of speech", carries="weights, MIT"),
        Need(package="pocketsphinx", module="pocketsphinx", use="words", carries="English model, BSD"),
        Need(package="pyloudnorm", module="pyloudnorm", use="loudness"),
        Need(package="scipy", module="scipy", use="measurements"),
        Need(package="ray", module="ray", use="the engine"),
        Need(package="pyarrow", module="pyarrow", use="plans and indexes"),
        Need(package="boto3", module="boto3", use="s3:// addresses"),
    ),
    "model": (
        Need(package="torch", module="torch", use="earmark ask and model", extra="model"),
        Need(package="torchaudio", module="torchaudio", use="resampling", extra="model"),
        Need(package="safetensors", module="safetensors", use="weights", extra="model"),
        Need(package="tokenizers", module="tokenizers", use="text to ids", extra="model"),
    ),
    "gpu": (
        Need(package="faster-whisper", module="faster_whisper", use="words", extra="gpu"),
        Need(package="transformers", module="transformers", use="sounds, alignment, claims checked", extra="gpu"),
        Need(package="pyannote.audio", module="pyannote.audio", use="who speaks when", extra="gpu"),
        Need(package="openai", module="openai", use="models behind a URL", extra="gpu"),
        Need(package="jiwer", module="jiwer", use="how far two recognisers agree", extra="gpu"),
        Need(package="uroman", module="uroman", use="alignment of every script", extra="gpu"),
        *(
            (Need(package="nvidia-cublas-cu12", module="nvidia.cublas", use="words on a GPU", extra="gpu"),)
            if sys.platform == "linux"
            else ()
        ),
        Need(package="nvidia-ml-py", module="pynvml", use="how busy a GPU is", extra="gpu"),
    ),
}
ASKING_S = 3.0  # how long a server is waited for


def findings(output: str | None, config: AnnotateConfig | None = None) -> Iterator[Finding]:
    """One finding per thing looked at, as it is looked at; with a config, all that it needs as well."""
    version = platform.python_version()
    yield Finding(what="python", ok=sys.version_info >= (3, 11), detail=f"{version}; 3.11 or newer is needed")
    yield _space()
    weights = models_in(config) if config else []
    for group, needs in NEEDS.items():
        for need in needs:
            yield _package(group, need, is_needed=not need.extra or bool(weights))
    if config is not None:
        yield from (_model(one) for one in weights)
        yield from (_server(server) for server in servers_in(config))
        yield from _cards(config)
    yield _s3()
    if output is not None:
        yield _output(output)


def parts_of(config: Any) -> Iterator[Any]:
    """Every dataclass in a config, itself first, in the order of its fields."""
    if is_dataclass(config) and not isinstance(config, type):
        yield config
        for one in fields(config):
            yield from parts_of(getattr(config, one.name))
    elif isinstance(config, tuple | list):
        for value in config:
            yield from parts_of(value)


def models_in(config: AnnotateConfig) -> list[Weights]:
    """The trained models a config names, each once."""
    return list(dict.fromkeys(part for part in parts_of(config) if isinstance(part, Weights)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server a config names, as the config names it."""

    url: str  # "$NAME" where the environment has it
    model: str
    key_env: str | None  # the variable its key is in


def servers_in(config: AnnotateConfig) -> list[Server]:
    """Every server a config names, each once."""
    asked = [part for part in parts_of(config) if hasattr(part, "url") and hasattr(part, "model")]
    named = (Server(url=p.url, model=p.model, key_env=getattr(p, "api_key_env", None)) for p in asked)
    return list(dict.fromkeys(named))


def _model(weights: Weights) -> Finding:
    size = f"{weights.num_bytes / 1e9:.2g} GB" if weights.num_bytes else "size unknown"
    about = f"{weights.licence}, {size}"
    if folder := found(weights):
        return Finding(what=weights.name, ok=True, detail=f"{about}, in {folder}")
    if weights.is_folder:
        return Finding(what=weights.name, ok=False, detail=f"{about}; there is no such folder")
    gate = f"; first {weights.gate}" if weights.gate else ""
    return Finding(what=weights.name, ok=False, detail=f"{about}{gate}; fetch it with: {weights.fetching()}")


class _Stays(urllib.request.HTTPRedirectHandler):
    """A redirect is not followed, and the key goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _server(server: Server) -> Finding:
    """It is told its own key and no other."""
    url, model, what = server.url, server.model, f"server: {server.model}"
    address = os.environ.get(url[1:], "").strip() if url.startswith("$") else url
    key = os.environ.get(server.key_env or "", "").strip() or "none"
    try:
        request = urllib.request.Request(f"{address.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.build_opener(_Stays).open(request, timeout=ASKING_S) as reply:
            listed = [str(one["id"]) for one in json.loads(reply.read(1 << 20))["data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        advice = "without it the deterministic parts speak, and the records say so"
        return Finding(what=what, ok=False, needed=False, detail=f"{url} does not answer ({error}); {advice}")
    if model not in listed:
        return Finding(what=what, ok=False, detail=f"{url} serves {', '.join(listed[:8]) or 'nothing'}, not this")
    return Finding(what=what, ok=True, detail=f"{url} serves it")


def _cards(config: AnnotateConfig) -> Iterator[Finding]:
    held = {gear.step: gear.gpus for gear in config.gear if gear.gpus}
    if not held:
        return
    import torch

    wanted = f"{sum(held.values()):g} GPU for {', '.join(f'{step} {gpus:g}' for step, gpus in held.items())}"
    names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    told = ", ".join(f"{card.name} with {card.total_memory / 2**30:.0f} GiB" for card in names)
    enough = len(names) >= sum(held.values()) - 1e-9
    here = told or "no GPU on this machine; a cluster with one is joined with --address"
    yield Finding(what="cards", ok=enough, needed=False, detail=f"{wanted} needed at least; {here}")


def _package(group: str, need: Need, *, is_needed: bool) -> Finding:
    what = f"{group}: {need.package}"
    if not _is_there(need.module):
        place = f'".[{need.extra}]"' if need.extra else "."
        mend = f"for {need.use}; mend with: pip install -c constraints.txt -e {place}"
        return Finding(what=what, ok=False, detail=mend, needed=is_needed)
    carries = f" ({need.carries} in the package)" if need.carries else ""
    return Finding(what=what, ok=True, detail=f"{metadata.version(need.package)} for {need.use}{carries}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what holds it is not there either
        return False


def _space() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    advice = "" if free >= MIN_FREE_BYTES else "; set TMPDIR to a folder with at least 2 GiB"
    return Finding(
        what="temporary files", ok=free >= MIN_FREE_BYTES, detail=f"{free / 2**30:.1f} GiB free in {folder}{advice}"
    )


def _s3() -> Finding:
    import boto3

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    if boto3.Session().get_credentials() is None:
        advice = "no credentials; for s3:// addresses set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return Finding(what="s3", ok=False, needed=False, detail=advice)
    return Finding(what="s3", ok=True, detail=f"credentials found; requests go to {endpoint}")


def _output(output: str) -> Finding:
    store, name = store_at(output), ".earmark-doctor"
    try:
        store.put(name, b"earmark")
        if store.read(name) != b"earmark":
            return Finding(what="output", ok=False, detail=f"{output} gives back other bytes than were written")
        store.remove(name)
    except EarmarkError as error:
        return Finding(what="output", ok=False, detail=str(error))
    return Finding(what="output", ok=True, detail=f"{output} can be written and read")
