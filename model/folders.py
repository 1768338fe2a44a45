"""Folders that appear whole or not at all: written beside their place, synced to disk, then renamed into it."""

import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import CheckpointError
from schemas.store import runs


@contextmanager
def written_whole(folder: Path, *, replaces: str | None = None) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` when the block ends, and vanishes when it fails.

    A folder that already holds something is refused, unless it holds a file called `replaces`: then it is moved aside,
    the new one takes its name, and it is removed. Raises CheckpointError where that cannot be done.
    """
    folder = Path(os.path.realpath(folder))
    try:
        _check_place(folder, replaces)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        beside = _beside(folder)
        beside.mkdir()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        yield beside
        _sync_all(beside)
        _check_place(folder, replaces)  # it may have been written to meanwhile
        _take_place(beside, folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder} could not be written: {error.strerror or error}; nothing is left of it"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_place(folder: Path, replaces: str | None) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; name a new folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if replaces is None:
        raise CheckpointError(f"{folder} already holds something; name a new or an empty folder")
    if not (folder / replaces).is_file():
        raise CheckpointError(f"{folder} holds something but no {replaces}, so it is not replaced; name another folder")


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{_marker(folder)}{os.getpid()}-{random.randrange(1 << 32):08x}.part")


def _marker(folder: Path) -> str:
    return f".{folder.name}-{socket.gethostname()}-"


def _sweep(folder: Path) -> None:
    """Removes what killed processes of this machine left beside `folder`."""
    for entry in os.scandir(folder.parent):
        if entry.name.startswith(_marker(folder)) and entry.name.endswith(".part"):
            pid = entry.name.removeprefix(_marker(folder)).split("-")[0]
            if pid.isdecimal() and not runs(int(pid)) and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    for path in [*sorted(folder.rglob("*")), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_place(beside: Path, folder: Path) -> None:
    old = _beside(folder)
    if folder.is_dir():
        folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
