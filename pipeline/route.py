"""The whole way of a recording, in one list."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

from annotators.base import Annotator, Merger, Meter
from annotators.quality import QualityConfig
from pipeline.labels.beside import LabelsConfig
from pipeline.shards import Imprint, Write
from pipeline.steps import BATCH_CLIPS, Annotate, Cut, Decode, Measure, Merge, Step, Worker
from schemas.config import Builds, aside, is_aside
from schemas.errors import ConfigError
from schemas.shard import VERSION
from segmenters.base import Detector, Profiler
from segmenters.boundaries import CutRules
from segmenters.profile import Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """What the workers of one step take of the machine."""

    step: str
    share: float  # of the machine's time, against the other steps: how many workers it gets
    gpus: float = 0.0  # of one worker; a fraction shares a card with others
    cpus: float = 1.0


CPU_GEAR = (  # as measured on two cores
    Gear(step="decode", share=0.03),
    Gear(step="cut", share=0.05),
    Gear(step="quality", share=0.15),
    Gear(step="speech", share=0.74),
    Gear(step="sound", share=0.01),
    Gear(step="music", share=0.02),
    Gear(step="merge", share=0.01),
    Gear(step="write", share=0.02),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateConfig:
    """Everything that decides what a shard holds. A recipe is a function that returns one."""

    recipe: str
    detector: Builds[Detector]
    seam_detector: Builds[Detector]  # hears the surroundings of a seam; must be cheap and run without a GPU
    profiler: Builds[Profiler]
    speech: Builds[Annotator]
    sound: Builds[Annotator]
    music: Builds[Annotator]
    merger: Builds[Merger]
    rules: CutRules
    routing: Routing
    quality: Builds[Meter] = field(default_factory=QualityConfig)
    labels: LabelsConfig | None = None  # whether what lies beside a recording is read as a person's labels of it
    rate_hz: int = 16_000  # working rate, and the rate of the shards
    lot_ms: int = 300_000  # sound in one shard, about; also what a killed worker has to do again
    seam_window_ms: int = 60_000  # where the quiet point between two lots of one recording is looked for
    max_shard_bytes: int = 1 << 30
    batch_clips: int = BATCH_CLIPS  # what a branch hears in one call, of one lot; who speaks is followed within it
    gear: tuple[Gear, ...] = aside(CPU_GEAR)

    def __post_init__(self) -> None:
        if self.lot_ms < 2 * self.seam_window_ms:
            raise ConfigError(
                f"lot_ms={self.lot_ms} must be at least twice seam_window_ms={self.seam_window_ms}, "
                "or the seams at both ends of a lot could meet"
            )
        if self.rate_hz % 1000 or self.rate_hz < 8_000:
            raise ConfigError(f"rate_hz={self.rate_hz} must be a whole number of samples a millisecond, 8000 or more")
        if self.batch_clips < 1:
            raise ConfigError(f"batch_clips={self.batch_clips} must be 1 or more")
        steps, wanted = [gear.step for gear in self.gear], [gear.step for gear in CPU_GEAR]
        if sorted(steps) != sorted(wanted):
            raise ConfigError(f"gear names the steps {steps}; each of {', '.join(wanted)} needs its own, once")


def route(config: AnnotateConfig, output: str) -> list[Step]:
    """Every step a recording takes, in order. Reading this is reading the pipeline."""
    imprint = Imprint(recipe=config.recipe, config=fingerprint(config), max_shard_bytes=config.max_shard_bytes)
    seams, routing, batch_clips = config.seam_detector.build, config.routing, config.batch_clips
    ways: dict[str, Callable[[], Worker]] = {
        "decode": partial(Decode, seams, config.rate_hz, config.seam_window_ms, config.labels),
        "cut": partial(Cut, config.detector.build, config.rules, config.profiler.build),
        "quality": partial(Measure, config.quality.build),
        "speech": partial(Annotate, config.speech.build, routing, batch_clips),
        "sound": partial(Annotate, config.sound.build, routing, batch_clips),
        "music": partial(Annotate, config.music.build, routing, batch_clips),
        "merge": partial(Merge, config.merger.build, batch_clips),
        "write": partial(Write, output, imprint),
    }
    gear = {one.step: one for one in config.gear}
    return [
        Step(name=name, build=build, share=gear[name].share, cpus=gear[name].cpus, gpus=gear[name].gpus)
        for name, build in ways.items()
    ]


def config_row(config: Any, *, whole: bool = True) -> Any:
    """The config as plain values, each object with the name of its class: what `run.json` keeps.

    Without what stands aside where it is not to be whole. Raises ConfigError for what is no value.
    """
    if is_dataclass(config) and not isinstance(config, type):
        kept = [f.name for f in fields(config) if whole or not is_aside(f)]
        return {"class": type(config).__qualname__, **{n: config_row(getattr(config, n), whole=whole) for n in kept}}
    if isinstance(config, tuple | list):
        return [config_row(value, whole=whole) for value in config]
    if config is None or isinstance(config, str | int | float | bool):
        return config
    raise ConfigError(f"a config holds {type(config).__name__} {config!r}; it can hold values, tuples and dataclasses")


def fingerprint(config: AnnotateConfig) -> str:
    """Changes when anything in the config does that does not stand aside, with the version of the records."""
    body = {"version": VERSION, "config": config_row(config, whole=False)}
    return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
