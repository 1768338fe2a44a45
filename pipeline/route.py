"""The whole way of a recording, in one list."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from annotators.base import Annotator, Merger, Meter
from annotators.quality import QualityConfig
from pipeline.labels.beside import LabelsConfig
from pipeline.shards import Imprint, Write
from pipeline.steps import Annotate, Cut, Decode, Measure, Merge, Step
from schemas.errors import ConfigError
from schemas.shard import VERSION
from segmenters.base import Detector, Profiler
from segmenters.boundaries import CutRules
from segmenters.profile import Routing

T_co = TypeVar("T_co", covariant=True)


class Builds(Protocol[T_co]):
    """A config dataclass: its one method makes the ready object."""

    @property
    def build(self) -> Callable[[], T_co]: ...


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

    def __post_init__(self) -> None:
        if self.lot_ms < 2 * self.seam_window_ms:
            raise ConfigError(
                f"lot_ms={self.lot_ms} must be at least twice seam_window_ms={self.seam_window_ms}, "
                "or the seams at both ends of a lot could meet"
            )
        if self.rate_hz % 1000 or self.rate_hz < 8_000:
            raise ConfigError(f"rate_hz={self.rate_hz} must be a whole number of samples a millisecond, 8000 or more")


def route(config: AnnotateConfig, output: str) -> list[Step]:
    """Every step a recording takes, in order. Reading this is reading the pipeline.

    `share` is how much of the machine each step needs against the others, as measured on two cores.
    """
    imprint = Imprint(recipe=config.recipe, config=fingerprint(config), max_shard_bytes=config.max_shard_bytes)
    seams = config.seam_detector.build
    return [
        Step(
            name="decode",
            share=0.03,
            build=partial(Decode, seams, config.rate_hz, config.seam_window_ms, config.labels),
        ),
        Step(name="cut", share=0.05, build=partial(Cut, config.detector.build, config.rules, config.profiler.build)),
        Step(name="quality", share=0.15, build=partial(Measure, config.quality.build)),
        Step(name="speech", share=0.74, build=partial(Annotate, config.speech.build, config.routing)),
        Step(name="sound", share=0.01, build=partial(Annotate, config.sound.build, config.routing)),
        Step(name="music", share=0.02, build=partial(Annotate, config.music.build, config.routing)),
        Step(name="merge", share=0.01, build=partial(Merge, config.merger.build)),
        Step(name="write", share=0.02, build=partial(Write, output, imprint)),
    ]


def config_row(config: Any) -> Any:
    """The config as plain values, each object with the name of its class: what `run.json` keeps."""
    if is_dataclass(config) and not isinstance(config, type):
        values = {f.name: config_row(getattr(config, f.name)) for f in fields(config)}
        return {"class": type(config).__qualname__, **values}
    if isinstance(config, tuple | list):
        return [config_row(value) for value in config]
    if config is None or isinstance(config, str | int | float | bool):
        return config
    raise ConfigError(f"a config holds {type(config).__name__} {config!r}; it can hold values, tuples and dataclasses")


def fingerprint(config: AnnotateConfig) -> str:
    """Changes when anything in the config does, with the version of the records."""
    body = {"version": VERSION, "config": config_row(config)}
    return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
