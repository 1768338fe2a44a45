"""A second recogniser, to hear what is told by the first: another model, and so other mistakes.

`HubAsrConfig` runs any recogniser that transformers has a pipeline for; `annotators/recognition/served.py` asks one
behind a URL. Either gives text without times; the aligner gives those.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from annotators.base import Transcriber, Transcript
from annotators.recognition.stretches import RATE_HZ, joined, pieces, refused
from schemas.audio import Waveform, resampled
from schemas.batches import in_batches
from schemas.config import Builds, aside
from schemas.errors import ConfigError
from schemas.network import device_of, no_bars
from schemas.weights import Weights, located, model_name

GENERATES = ("seq2seq", "seq2seq_whisper")  # the pipelines that write token by token
TRANSDUCES = "tdt"  # and the one that does so while it walks over the frames

PARAKEET_V3 = Weights(
    name="nvidia/parakeet-tdt-0.6b-v3", licence="CC-BY-4.0", num_bytes=2_510_000_000, files=("*.json", "*.safetensors")
)
PARAKEET_LANGUAGES = tuple(
    "bg hr cs da nl en et fi fr de el hu it lv lt mt pl pt ro sk sl es sv ru uk".split()  # noqa: SIM905
)
WHISPER_LARGE_V3 = Weights(
    name="openai/whisper-large-v3",
    licence="Apache-2.0",
    num_bytes=3_090_000_000,
    files=("*.json", "*.txt", "model.safetensors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """Which segments are heard by a second recogniser, and by which.

    `sample` is a share of all, drawn by the segment's key, so the same ones whenever and wherever it runs; `suspects`
    are those whose words there are doubts about, and the sample besides.
    """

    config: Builds[Transcriber]
    on: Literal["all", "sample", "suspects"] = "suspects"
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.on not in ("all", "sample", "suspects"):
            raise ConfigError(f"on={self.on!r}; a second recogniser hears 'all', a 'sample' or 'suspects'")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share={self.share} must lie in 0..1")

    def build(self) -> Transcriber:
        return self.config.build()

    def asks(self, key: str, *, suspect: bool) -> bool:
        """Whether the segment of this key is heard again."""
        return self.on == "all" or (self.on == "suspects" and suspect) or is_drawn(key, self.share)


def is_drawn(key: str, share: float) -> bool:
    """Whether a key belongs to a sample of this share; a larger sample holds all of a smaller one."""
    number = int.from_bytes(hashlib.sha256(f"second opinion {key}".encode()).digest()[:8])
    return number < share * 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAsrConfig:
    """A recogniser of transformers: Parakeet, Whisper, wav2vec 2.0 and whatever else its pipeline knows.

    `languages` are those it was trained for, as ISO 639-1; a stretch in another is not heard, and its transcript says
    so. Where there are none, it is any.
    """

    weights: Weights = field(default_factory=lambda: PARAKEET_V3)
    languages: tuple[str, ...] = PARAKEET_LANGUAGES
    device: str | None = aside(None)
    dtype: str | None = None  # of torch; bfloat16 on a GPU and float32 on the processor where None
    max_ms: int = 30_000  # a longer stretch is heard in pieces
    min_ms: int = 100
    batch_s: float = aside(480.0)  # of sound, each stretch as long as the longest
    max_tokens: int = 400  # of a piece, for models that write token by token

    def build(self) -> "HubTranscriber":
        return HubTranscriber(self)


class HubTranscriber:
    def __init__(self, config: HubAsrConfig) -> None:
        import torch
        from transformers import pipeline

        no_bars()
        self._config = config
        folder = located(config.weights)
        device = device_of(config.device)
        dtype = config.dtype or ("bfloat16" if device.startswith("cuda") else "float32")
        self._pipeline: Any = pipeline(
            "automatic-speech-recognition",
            model=str(folder),
            device=device,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
        )
        # it warns at every batch that `max_tokens` outweighs the length in the model's own settings, as is meant
        logging.getLogger("transformers.generation.utils").setLevel(logging.ERROR)
        self.model = model_name(config.weights, folder)

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]:
        """One transcript per stretch, without times; `error` says where the language is none of this model's."""
        config = self._config
        if why := refused(self.model, language, config.languages):
            return [Transcript(text="", error=why) for _ in stretches]
        cut = [pieces(stretch, config.max_ms) for stretch in stretches]
        parts = [part for one in cut for part in one]
        heard = iter(
            in_batches(
                parts,
                lambda batch: self._hear(batch, language),
                length=lambda part: part.duration_ms / 1000,
                room=config.batch_s if self._pipeline.type != "ctc" else 0.0,  # of CTC it reads the padding, too
            )
        )
        return [joined([next(heard) for _ in one]) for one in cut]

    def _hear(self, parts: Sequence[Waveform], language: str | None) -> list[Transcript]:
        loud = [index for index, part in enumerate(parts) if part.duration_ms >= self._config.min_ms]
        rate_hz = int(getattr(self._pipeline.feature_extractor, "sampling_rate", RATE_HZ))
        inputs = [{"raw": resampled(parts[index], rate_hz), "sampling_rate": rate_hz} for index in loud]
        if not inputs:
            return [Transcript(text="") for _ in parts]
        said = self._pipeline(inputs, batch_size=len(inputs), **self._generation(language))
        text_by_index = {index: self._plain(one["text"]) for index, one in zip(loud, said, strict=True)}
        return [Transcript(text=text_by_index.get(index, ""), language=language) for index in range(len(parts))]

    def _plain(self, text: str) -> str:
        for token in self._pipeline.tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        return " ".join(text.split())

    def _generation(self, language: str | None) -> dict[str, Any]:
        """Greedy, so that the same sound gives the same words; for models that generate at all.

        A transducer of transformers (5.23) ends with its frames and no token, and without one a stretch that is done
        before others of its batch is given words until they are; so it is told that padding is an end.
        """
        if self._pipeline.type == TRANSDUCES:  # a step for each frame that it hears, and one for each token
            frame_ms = 10 * getattr(self._pipeline.model.config.encoder_config, "subsampling_factor", 1)
            padding = self._pipeline.tokenizer.pad_token_id
            limit = self._config.max_ms // frame_ms + self._config.max_tokens
            return {"generate_kwargs": {"max_new_tokens": limit, "eos_token_id": padding, "pad_token_id": padding}}
        if self._pipeline.type not in GENERATES:
            return {}
        settings: dict[str, Any] = {"do_sample": False, "num_beams": 1, "max_new_tokens": self._config.max_tokens}
        generation = self._pipeline.model.generation_config
        if self._pipeline.type == "seq2seq_whisper" and getattr(generation, "is_multilingual", False):
            settings["task"] = "transcribe"
            if language and f"<|{language}|>" in generation.lang_to_id:
                settings["language"] = language
        return {"generate_kwargs": settings}
