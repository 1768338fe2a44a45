"""Who speaks when, as the pyannote.audio 4 pipeline hears it: neural segmentation, speaker embeddings and VBx.

It is run on sound in memory, window by window; what it calls the same speaker in several windows of a recording is
then found by its embeddings (`stitching`). Bredin, "pyannote.audio 2.1 speaker diarization pipeline", Interspeech
2023; Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", Interspeech 2023.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annotators.base import Diarization
from annotators.diarization.folder import check
from annotators.diarization.turns import Heard, Spoken, TurnRules, diarizations_of
from annotators.diarization.windows import Window, laid_out, layers
from schemas.audio import resampled
from schemas.batches import is_out_of_memory
from schemas.config import aside
from schemas.errors import ConfigError
from schemas.network import device_of
from schemas.record import Clip
from schemas.weights import Weights, located, model_name

RATE_HZ = 16_000
TELEMETRY = "PYANNOTE_METRICS_ENABLED"
COMMUNITY_1 = Weights(
    name="pyannote/speaker-diarization-community-1",
    licence="CC-BY-4.0",
    num_bytes=33_000_000,
    gate=("accept its terms once at https://huggingface.co/pyannote/speaker-diarization-community-1 and set HF_TOKEN"),
    files=("config.yaml", "segmentation/*", "embedding/*", "plda/*"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PyannoteConfig:
    weights: Weights = COMMUNITY_1
    device: str | None = aside(None)
    window_ms: int = 300_000  # heard at once: longer ones know their speakers better, and take more memory
    gap_ms: int = 1_000  # of the silence between two clips, what is left of a longer one
    batch: int = aside(32)  # of what the networks hear at once; less where the memory does not hold it
    likeness: float = 0.5  # mean cosine from which speakers of two windows are one voice
    turns: TurnRules = field(default_factory=TurnRules)
    trusted: tuple[str, ...] = ()  # further classes, as module.Class, that its checkpoints may hold

    def __post_init__(self) -> None:
        if self.window_ms < 1_000 or self.gap_ms < 0 or self.batch < 1:
            raise ConfigError(
                f"window_ms={self.window_ms}, gap_ms={self.gap_ms} and batch={self.batch} "
                "must be at least 1000, 0 and 1"
            )

    def build(self) -> "PyannoteDiarizer":
        return PyannoteDiarizer(self)


class PyannoteDiarizer:
    """Raises ConfigError, when built, where the folder is not one of a pyannote.audio 4 diarization pipeline."""

    def __init__(self, config: PyannoteConfig) -> None:
        self._config = config
        folder = located(config.weights)
        with _quiet_import():
            import torch
            from pyannote.audio import Pipeline
        check(folder, config.trusted)
        with _quiet():
            pipeline = Pipeline.from_pretrained(folder)
        assert pipeline, "a folder with a config.yaml always makes one"
        self._pipeline: Any = pipeline.to(torch.device(device_of(config.device)))
        self._set_batch(config.batch)
        self.model = model_name(config.weights, folder)

    def diarize(self, clips: Sequence[Clip]) -> list[Diarization]:
        """A voice has one name in all clips of its recording that are given together, unless they overlap."""
        of_recording: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            of_recording.setdefault(clip.segment.source.id, []).append(index)
        made: dict[int, Diarization] = {}
        for indices in of_recording.values():
            for layer in layers([clips[index].segment for index in indices]):
                together = [indices[place] for place in layer]
                told = self._heard_together([clips[index] for index in together])
                made.update(zip(together, told, strict=True))
        return [made[index] for index in range(len(clips))]

    def _heard_together(self, clips: Sequence[Clip]) -> list[Diarization]:
        config = self._config
        windows = laid_out([clip.segment for clip in clips], config.window_ms, config.gap_ms)
        heard = [self._hear(window, clips) for window in windows]
        return diarizations_of([clip.segment for clip in clips], heard, config.likeness, config.turns)

    def _hear(self, window: Window, clips: Sequence[Clip]) -> Heard:
        import torch

        waveform = torch.from_numpy(sound_of(window, clips))[None]
        while True:
            try:
                with _quiet():
                    return _heard(self._pipeline({"waveform": waveform, "sample_rate": RATE_HZ}), window)
            except Exception as error:
                if self._batch == 1 or not is_out_of_memory(error):
                    raise
            self._set_batch(self._batch // 2)
            torch.cuda.empty_cache()

    def _set_batch(self, batch: int) -> None:
        self._batch = self._pipeline.segmentation_batch_size = self._pipeline.embedding_batch_size = batch


def sound_of(window: Window, clips: Sequence[Clip]) -> np.ndarray:
    """The clips at their places, silence between them: float32 in [-1, 1) at 16 kHz, shape (time,)."""
    samples = np.zeros(window.duration_ms * RATE_HZ // 1000, np.float32)
    for piece in window.pieces:
        clip = next(clip for clip in clips if clip.segment.contains(piece))
        heard = clip.waveform.cut(piece)
        at = piece.at_ms * RATE_HZ // 1000
        sound = resampled(heard, RATE_HZ)[: min(len(samples) - at, piece.duration_ms * RATE_HZ // 1000)]
        samples[at : at + len(sound)] = sound
    return samples


def _heard(output: Any, window: Window) -> Heard:
    labels = output.speaker_diarization.labels()
    rows = output.speaker_embeddings
    embeddings = [
        None if rows is None or index >= len(rows) else np.asarray(rows[index]) for index in range(len(labels))
    ]
    voice_of = {label: voice for voice, label in enumerate(labels)}
    return Heard(
        spoken=tuple(_spoken(output.speaker_diarization, voice_of, window)),
        exclusive=tuple(_spoken(output.exclusive_speaker_diarization, voice_of, window)),
        embeddings=tuple(embeddings),
    )


def _spoken(turns: Any, voice_of: dict[Any, int], window: Window) -> Iterator[Spoken]:
    for turn, _, label in turns.itertracks(yield_label=True):
        for span in window.in_recording(round(turn.start * 1000), round(turn.end * 1000)):
            yield Spoken(start_ms=span.start_ms, end_ms=span.end_ms, voice=voice_of[label])


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Sends nothing to anyone, and passes over what pyannote says of decoders: it is given sound, never a file."""
    os.environ[TELEMETRY] = "0"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed", category=UserWarning)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Passes over what pyannote says of settings it makes itself, and of speakers it heard too little of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"std\(\): degrees of freedom", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"Mean of empty slice", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=r"invalid value encountered in divide", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=r"TensorFloat-32", category=UserWarning)
        yield
