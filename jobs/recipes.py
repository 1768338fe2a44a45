"""Recipes: functions that return a whole config. A user's own is `path/to/file.py:function`."""

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from annotators.captions.chat import ChatConfig
from annotators.captions.served import ServedCaptionerConfig
from annotators.checks.clap import ClapCheckConfig
from annotators.checks.events import EventsCheckConfig
from annotators.dnsmos import DnsmosConfig
from annotators.labelled import LabelledConfig
from annotators.merge import TemplateMergerConfig
from annotators.merging.merger import LlmMergerConfig
from annotators.music import MusicConfig
from annotators.quality import QualityConfig
from annotators.recognition.second import HubAsrConfig, SecondOpinion
from annotators.recognition.whisper import WhisperConfig
from annotators.sound import SoundConfig
from annotators.speech import SpeechConfig
from annotators.trained_music import TrainedMusicConfig
from annotators.trained_sound import TrainedSoundConfig
from annotators.trained_speech import TrainedSpeechConfig
from jobs.own_captioner import MOSS_AUDIO_4B, OwnCaptionerConfig
from pipeline.labels.beside import LabelsConfig
from pipeline.route import AnnotateConfig, Gear
from schemas.errors import ConfigError
from schemas.record import Branch
from segmenters.audioset.detector import AudioSetDetectorConfig
from segmenters.audioset.profile import AudioSetProfilerConfig
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


def gpu() -> AnnotateConfig:
    """Trained models in every branch, a language model that merges what they say, and claims asked of the audio.

    `EARMARK_CAPTIONER_URL` and `EARMARK_LLM_URL` say where an audio language model and the merging one are served;
    `..._MODEL` what the server calls them. Without the former MOSS-Audio is loaded beside the other models; while the
    latter does not answer, templates merge, and the records say so.
    """
    captioner = _captioner()
    return AnnotateConfig(
        recipe="gpu",
        detector=AudioSetDetectorConfig(),
        seam_detector=EmbeddedDetectorConfig(tags=False),
        rules=CutRules(),
        profiler=AudioSetProfilerConfig(),
        routing=Routing(),
        quality=QualityConfig(dnsmos=DnsmosConfig()),
        speech=TrainedSpeechConfig(second=SecondOpinion(config=HubAsrConfig(), on="suspects"), captioner=captioner),
        sound=TrainedSoundConfig(captioner=captioner),
        music=TrainedMusicConfig(transcriber=WhisperConfig(), captioner=captioner),
        merger=LlmMergerConfig(
            chat=ChatConfig(
                url=os.environ.get("EARMARK_LLM_URL", "http://localhost:8000/v1"),
                model=os.environ.get("EARMARK_LLM_MODEL", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
            ),
            checks=(ClapCheckConfig(), EventsCheckConfig()),
        ),
        lot_ms=1_200_000,  # of a long recording, so much has its speakers followed
        batch_clips=512,
        gear=GPU_GEAR,
    )


GPU_GEAR = (  # on one card of 80 GB: the models of a step, and room for what they compute
    Gear(step="decode", share=0.05),
    Gear(step="cut", share=0.15, gpus=0.1),
    Gear(step="quality", share=0.2),
    Gear(step="speech", share=0.35, gpus=0.35),
    Gear(step="sound", share=0.1, gpus=0.2),
    Gear(step="music", share=0.1, gpus=0.25),
    Gear(step="merge", share=0.03, gpus=0.1),
    Gear(step="write", share=0.02),
)


def _captioner() -> ServedCaptionerConfig | OwnCaptionerConfig:
    if url := os.environ.get("EARMARK_CAPTIONER_URL"):
        name = os.environ.get("EARMARK_CAPTIONER_MODEL", MOSS_AUDIO_4B.name)
        return ServedCaptionerConfig(chat=ChatConfig(url=url, model=name))
    return OwnCaptionerConfig(checkpoint=MOSS_AUDIO_4B)


RECIPES: dict[str, Callable[[], AnnotateConfig]] = {"embedded": embedded, "sidecar": sidecar, "gpu": gpu}


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
