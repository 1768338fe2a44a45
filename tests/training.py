"""Runs of training that last moments, for the tests of the loops."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from jobs.model import write_fresh
from model import weights
from model.catalogue import SourceConfig, SourceKind, catalogue
from model.data import DataConfig, Work
from model.log import LINES
from model.objectives.mix import TEXT
from model.training import Rank, TrainingConfig
from tests.make_shards import shards, texts

ALONE = Rank()
QUIET = Console(quiet=True)
GROUPS = ("asr", "captions")


def material(folder: Path) -> Path:
    """`start`, a fresh tiny checkpoint; `shards` and `texts` to learn from."""
    write_fresh("tiny", folder / "start", seed=1)
    shards(folder / "shards")
    texts(folder / "texts")
    return folder


def work(folder: Path, *, groups: tuple[str, ...] = GROUPS, text: bool = False, **settings: Any) -> Work:
    """What there is to learn in a folder of `material`: two packs of 512 tokens a step, read in this process."""
    sources = [SourceConfig(place=str(folder / "shards"), group=group) for group in groups]
    if text:
        sources.append(SourceConfig(place=str(folder / "texts"), kind=SourceKind.TEXT, group=TEXT))
    asked = {"packs_per_step": 2, "pack_tokens": 512, "workers": 0, **settings}
    config = DataConfig(sources=tuple(sources), **asked)
    return Work(config=config, catalogue=catalogue(config.sources), tokenizer=folder / "start")


def brief(usual: TrainingConfig, *, lr: float = 1e-3, **settings: Any) -> TrainingConfig:
    """A stage's own settings with a rate that shows in a few steps."""
    return replace(usual, optimiser=replace(usual.optimiser, lr=lr), **settings)


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's weights, by the names in its files."""
    return dict(weights.read(weights.find(folder), dtype=None, device="cpu"))


def changed(before: Path, after: Path) -> set[str]:
    """The names of the weights that are not the same to the last bit. Fails where names, shapes or kinds differ."""
    old, new = stored(before), stored(after)
    assert {n: (t.shape, t.dtype) for n, t in old.items()} == {n: (t.shape, t.dtype) for n, t in new.items()}
    return {name for name in old if not torch.equal(old[name].view(torch.uint8), new[name].view(torch.uint8))}


def told(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (folder / LINES).read_text().splitlines()]


def curve(folder: Path) -> list[float]:
    return [line["loss"] for line in told(folder)]
