"""Recipes: functions that return a whole config. A user's own is `path/to/file.py:function`."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from annotators.dnsmos import DnsmosConfig
from annotators.labelled import LabelledConfig
from annotators.merge import TemplateMergerConfig
from annotators.music import MusicConfig
from annotators.quality import QualityConfig
from annotators.sound import SoundConfig
from annotators.speech import SpeechConfig
from pipeline.labels.beside import LabelsConfig
from pipeline.route import AnnotateConfig
from schemas.errors import ConfigError
from schemas.record import Branch
from segmenters.boundaries import CutRules
from segmenters.embedded import EmbeddedDetectorConfig
from segmenters.profile import MeasuringProfilerConfig, Routing


def embedded() -> AnnotateConfig:
    """On any CPU, offline, with what the packages carry: Silero VAD, PocketSphinx, signal measurements, templates."""
    return AnnotateConfig(
        recipe="embedded",
        detector=EmbeddedDetectorConfig(),
        seam_detector=EmbeddedDetectorConfig(tags=False),
        rules=CutRules(),
        profiler=MeasuringProfilerConfig(),
        routing=Routing(),
        quality=QualityConfig(dnsmos=DnsmosConfig()),
        speech=SpeechConfig(),
        sound=SoundConfig(),
        music=MusicConfig(),
        merger=TemplateMergerConfig(),
    )


def sidecar() -> AnnotateConfig:
    """As `embedded`, and what a person labelled in files beside a recording outranks what is heard."""
    heard = embedded()
    return replace(
        heard,
        recipe="sidecar",
        labels=LabelsConfig(),
        speech=LabelledConfig(branch=Branch.SPEECH, inner=heard.speech),
        sound=LabelledConfig(branch=Branch.SOUND, inner=heard.sound),
        music=LabelledConfig(branch=Branch.MUSIC, inner=heard.music),
    )


RECIPES: dict[str, Callable[[], AnnotateConfig]] = {"embedded": embedded, "sidecar": sidecar}


def load(name: str) -> tuple[AnnotateConfig, list[ModuleType]]:
    """The config a recipe's name stands for, and the user's module it came from, if any.

    Raises ConfigError where there is no such recipe or it does not return a config.
    """
    if name in RECIPES:
        return RECIPES[name](), []
    path, _, function = name.rpartition(":")
    if not path.endswith(".py"):
        raise ConfigError(f"there is no recipe {name!r}; there is {', '.join(RECIPES)}, or a file.py:function of yours")
    module = _module(Path(path))
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"{path} has no function {function!r}")
    config = getattr(module, function)()
    if not isinstance(config, AnnotateConfig):
        raise ConfigError(f"{name} returns {type(config).__name__}; a recipe returns an AnnotateConfig")
    return config, [module]


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"the recipe file {path} is not there")
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec, "a .py file always has a spec"
    assert spec.loader, "and a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"the recipe file {path} cannot be loaded: {error}") from error
    return module
