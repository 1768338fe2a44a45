"""A tagger of AudioSet: how likely each of its classes is heard, in overlapping windows of a recording.

Any checkpoint that transformers opens as `AutoModelForAudioClassification`, and whose labels are classes of AudioSet,
will do. By default the Audio Spectrogram Transformer (Gong, Chung and Glass, "AST: Audio Spectrogram Transformer",
Interspeech 2021), mean average precision 0.459 on the evaluation set.

Its scores are sigmoids, one for each class by itself: several things sound at once. It hears ten seconds and was taught
on labels of ten seconds. So it hears everything twice: in windows of two seconds, padded by its own feature extractor,
that tell when, and in windows of ten, as it was taught, that tell what. A score is the geometric mean of the two: high
where a class is heard in its context and at that moment, as in the masking of strong by weak labels that baselines of
DCASE's sound event detection use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from schemas import audioset
from schemas.batches import in_batches
from schemas.config import aside
from schemas.errors import CheckpointError, ConfigError
from schemas.network import device_of, no_bars
from schemas.weights import Weights, located, model_name
from segmenters.audioset.windows import at_moments, window_starts

RATE_HZ = 16_000
LEAST_SAMPLES = 400  # 25 ms, one frame of the feature extractors: shorter sound is none to them

AST = Weights(
    name="MIT/ast-finetuned-audioset-10-10-0.4593",
    revision="f826b80d28226b62986cc218e5cec390b1096902",
    licence="BSD-3-Clause",
    num_bytes=346_000_000,
    files=("config.json", "preprocessor_config.json", "*.safetensors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSetTaggerConfig:
    weights: Weights = AST
    window_ms: int = 2_000  # shorter tells better when, longer tells better what
    hop_ms: int = 500  # a sound of any length is then in four windows, so one odd window does not decide
    context_ms: int | None = 10_000  # of the longer windows, that overlap by half; None leaves them out
    device: str | None = aside(None)  # a GPU where there is one
    batch_windows: int = aside(64)

    def __post_init__(self) -> None:
        if not 0 < self.hop_ms <= self.window_ms:
            raise ConfigError(
                f"hop_ms={self.hop_ms} must lie in 1..window_ms={self.window_ms}, or sound between windows is not heard"
            )
        if _samples(self.window_ms) < LEAST_SAMPLES or self.batch_windows < 1:
            raise ConfigError(
                f"window_ms={self.window_ms} must be at least 25 and batch_windows={self.batch_windows} at least 1"
            )
        if self.context_ms is not None and self.context_ms < self.window_ms:
            raise ConfigError(f"context_ms={self.context_ms} must not be shorter than window_ms={self.window_ms}")

    def build(self) -> "AudioSetTagger":
        return AudioSetTagger(self)


class AudioSetTagger:
    """Ready to listen. The same samples give the same scores.

    `labels` are the names of the classes it knows, in the order of AudioSet's release, whatever their order in the
    checkpoint: its columns.
    """

    def __init__(self, config: AudioSetTaggerConfig) -> None:
        """Raises CheckpointError where the labels are not AudioSet's or weights are missing."""
        import torch

        folder = located(config.weights)
        self._config = config
        self._device = device_of(config.device)
        self._dtype = torch.bfloat16 if self._device.startswith("cuda") else torch.float32
        self._extractor, self._network = _opened(folder, self._dtype)
        self._network.to(self._device)
        self.labels, self._columns = _labels(self._network.config.id2label, folder)
        self.model = model_name(config.weights, folder)
        _check_window(self._extractor, config, folder)

    @property
    def window_ms(self) -> int:
        return self._config.window_ms

    def centres_ms(self, num_samples: int) -> np.ndarray:
        """The middle of each window, in milliseconds of the sound: float64, shape (windows,)."""
        return _centres_ms(num_samples, self._config.window_ms, self._config.hop_ms)

    def scores(self, samples_16k: np.ndarray) -> np.ndarray:
        """How likely each class is heard in each window: float32 in 0..1, shape (windows, labels)."""
        config = self._config
        scores = self.window_scores(samples_16k, config.window_ms, config.hop_ms)
        if config.context_ms is None or not len(scores):
            return scores
        hop_ms = (config.context_ms + 1) // 2
        contexts = self.window_scores(samples_16k, config.context_ms, hop_ms)
        centres_ms = _centres_ms(len(samples_16k), config.context_ms, hop_ms)
        around = at_moments(contexts, centres_ms, self.centres_ms(len(samples_16k)), config.context_ms / 2)
        return np.asarray(np.sqrt(scores * around))

    def window_scores(self, samples_16k: np.ndarray, window_ms: int, hop_ms: int) -> np.ndarray:
        """What the network makes of each window by itself: float32 in 0..1, shape (windows, labels)."""
        window, hop = _samples(window_ms), _samples(hop_ms)

        def heard(starts: Sequence[int]) -> list[np.ndarray]:
            return list(self._hear([_piece(samples_16k, start, window) for start in starts]))

        starts = window_starts(len(samples_16k), window, hop)
        # all windows cost the same: the extractor pads each to what the network was built for
        rows = in_batches(starts, heard, length=lambda _: 1.0, room=self._config.batch_windows)
        return np.stack(rows) if rows else np.zeros((0, len(self.labels)), np.float32)

    def _hear(self, pieces: list[np.ndarray]) -> np.ndarray:
        """Shape (pieces, labels)."""
        import torch

        features = self._extractor(pieces, sampling_rate=RATE_HZ, return_tensors="np")  # "pt" takes twice as long
        inputs = {name: torch.from_numpy(np.asarray(values)).to(self._device) for name, values in features.items()}
        inputs = {name: t.to(self._dtype) if t.is_floating_point() else t for name, t in inputs.items()}
        with torch.inference_mode():
            logits = self._network(**inputs).logits
        scores: np.ndarray = torch.sigmoid(logits.float()).cpu().numpy()
        return scores[:, self._columns]


def _samples(duration_ms: int) -> int:
    return duration_ms * RATE_HZ // 1000


def _centres_ms(num_samples: int, window_ms: int, hop_ms: int) -> np.ndarray:
    starts = window_starts(num_samples, _samples(window_ms), _samples(hop_ms))
    return (np.array(starts, np.float64) + min(_samples(window_ms), num_samples) / 2) * 1000 / RATE_HZ


def _piece(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    piece = np.asarray(samples[start : start + length], np.float32)
    return np.pad(piece, (0, max(0, LEAST_SAMPLES - len(piece))))


def _opened(folder: Path, dtype: Any) -> tuple[Any, Any]:
    """The feature extractor and the network, with every weight from the folder."""
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    no_bars()
    try:
        extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
        network, told = AutoModelForAudioClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder} holds no audio classifier that transformers can open: {first_line}") from error
    if missing := sorted(told["missing_keys"]):
        raise CheckpointError(f"{folder} lacks {len(missing)} of the network's tensors, {missing[0]} the first")
    return extractor, network.eval()


def _labels(label_by_index: dict[int, str], folder: Path) -> tuple[tuple[str, ...], list[int]]:
    """The names of the classes in the order of the release, and the column of each in the checkpoint."""
    index_by_name: dict[str, int] = {}
    strange: list[str] = []
    for index, written in label_by_index.items():
        label = audioset.known(written)
        if label is None:
            strange.append(written)
        elif label.name in index_by_name:
            raise CheckpointError(f"{folder}: two of the labels are {label.name!r}; which one is it?")
        else:
            index_by_name[label.name] = int(index)
    if strange or not index_by_name:
        shown = ", ".join(map(repr, strange[:3])) or "there are none"
        raise CheckpointError(
            f"{folder}: {len(strange)} of {len(label_by_index)} labels in config.json are no classes of AudioSet "
            f"({shown}); a tagger is a checkpoint whose id2label names classes as in schemas/audioset.txt"
        )
    names = tuple(label.name for label in audioset.labels() if label.name in index_by_name)
    return names, [index_by_name[name] for name in names]


def _check_window(extractor: Any, config: AudioSetTaggerConfig, folder: Path) -> None:
    rate_hz = getattr(extractor, "sampling_rate", RATE_HZ)
    if rate_hz != RATE_HZ:
        raise CheckpointError(f"{folder} hears sound at {rate_hz} Hz; a tagger here hears {RATE_HZ}")
    most_ms = 10 * extractor.max_length if type(extractor).__name__ == "ASTFeatureExtractor" else None
    for name in ("window_ms", "context_ms"):
        asked_ms = getattr(config, name)
        if most_ms and asked_ms and asked_ms > most_ms:
            raise ConfigError(
                f"{name}={asked_ms} is longer than the {most_ms} ms that {folder} hears; the rest would not be heard"
            )
