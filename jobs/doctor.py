"""What is installed, what each recipe needs, what is missing, and the command that mends it."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from schemas.errors import EarmarkError
from schemas.store import store_at

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
}


def findings(output: str | None) -> Iterator[Finding]:
    """One finding per thing looked at, as it is looked at."""
    version = platform.python_version()
    yield Finding(what="python", ok=sys.version_info >= (3, 11), detail=f"{version}; 3.11 or newer is needed")
    yield _space()
    for recipe, needs in NEEDS.items():
        for need in needs:
            yield _package(recipe, need)
    yield _s3()
    if output is not None:
        yield _output(output)


def _package(recipe: str, need: Need) -> Finding:
    what = f"{recipe}: {need.package}"
    if importlib.util.find_spec(need.module) is None:
        place = f'".[{need.extra}]"' if need.extra else "."
        mend = f"for {need.use}; mend with: pip install -c constraints.txt -e {place}"
        return Finding(what=what, ok=False, detail=mend, needed=not need.extra)
    carries = f" ({need.carries} in the package)" if need.carries else ""
    return Finding(what=what, ok=True, detail=f"{metadata.version(need.package)} for {need.use}{carries}")


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
