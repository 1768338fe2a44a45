"""Recipes for runs in other processes: `--recipe tests/recipes.py:quick`."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.recipes import gpu
from pipeline.route import CPU_GEAR, AnnotateConfig
from schemas.record import Annotation, Branch, Clip
from schemas.weights import Weights
from tests import make
from tests.make import Says


def quick() -> AnnotateConfig:
    return make.quick()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Says):
    """Takes its time over every batch, so that there is a time to be killed in."""

    seconds: float = 0.3

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        time.sleep(self.seconds)
        return Says.annotate(self, clips)


def slow() -> AnnotateConfig:
    return replace(make.quick(), recipe="slow", speech=Slow(branch=Branch.SPEECH))


EARS = Weights(name="someone/ears", licence="MIT", num_bytes=1_600_000_000, gate="accept its terms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hears(Says):
    """Would need a model and a server, if anybody built it for real."""

    weights: Weights = EARS
    server: Server = Server(url="http://127.0.0.1:9/v1", model="writer")


def downloads() -> AnnotateConfig:
    return replace(make.quick(), recipe="downloads", speech=Hears(branch=Branch.SPEECH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck(Says):
    """Is struck the first few times it meets the deadly recording, or every time."""

    marks: str  # a folder where each time leaves a mark
    times: int = 10**9

    def is_struck(self, clips: Sequence[Clip]) -> bool:
        times = len(list(Path(self.marks).iterdir()))
        if times >= self.times or not any("deadly" in clip.segment.source.uri for clip in clips):
            return False
        (Path(self.marks) / str(times)).touch()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dies(Struck):
    """Takes its process along."""

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        if self.is_struck(clips):
            os.kill(os.getpid(), signal.SIGKILL)
        return Says.annotate(self, clips)


CARD_LOST = "CUDA error: an illegal memory access was encountered"
_lost: list[int] = []  # what CUDA calls sticky lasts as long as the process


@dataclass(frozen=True, slots=True, kw_only=True)
class LosesItsCard(Struck):
    """Its process can then do nothing more."""

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        if self.is_struck(clips):
            _lost.append(os.getpid())
        if os.getpid() in _lost:
            raise RuntimeError(CARD_LOST)
        return Says.annotate(self, clips)


def gpu_on_processors() -> AnnotateConfig:
    """The recipe `gpu` where there is no GPU: what it makes does not depend on where it is made."""
    return replace(gpu(), gear=CPU_GEAR)
