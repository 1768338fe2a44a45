"""Whisper by faster-whisper: any CTranslate2 folder, many stretches in one batch.

    stretches of speech -> windows of 30 s -> one encoding -> a language each -> words with times by cross-attention

What comes in is speech already, so no voice detector of faster-whisper's runs. Decoding is beam search at temperature
zero, without the fallback to sampling of openai/whisper, and no window is told what another said: the same sound gives
the same words, whatever it is batched with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annotators.base import Transcript
from annotators.recognition.cublas import open_cublas
from annotators.recognition.stretches import Timed, joined, pieces, placed
from schemas.audio import Waveform, resampled
from schemas.batches import in_batches
from schemas.config import aside
from schemas.network import device_of
from schemas.span import Span
from schemas.weights import Weights, located, model_name

WINDOW_MS = 30_000
APART_S = 1_000
"""Between the windows of a batch. faster-whisper shortens a first word by how long ago the last word ended, and takes
the window before in the batch for what came before; apart like this, every window comes after a silence."""
ISO_BY_WHISPER = {"jw": "jv"}
WHISPER_BY_ISO = {iso: code for code, iso in ISO_BY_WHISPER.items()}

LARGE_V3_TURBO = Weights(
    name="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    licence="MIT",
    num_bytes=1_624_000_000,
    files=("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"),
)
LARGE_V3 = Weights(
    name="Systran/faster-whisper-large-v3",
    licence="MIT",
    num_bytes=3_093_000_000,
    files=("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperConfig:
    weights: Weights = field(default_factory=lambda: LARGE_V3_TURBO)
    device: str | None = aside(None)  # "cuda", "cuda:1", "cpu"; a GPU where there is one
    compute_type: str | None = None  # of CTranslate2; float16 on a GPU and float32 on the processor where None
    threads: int = aside(1)  # on the processor
    beam_size: int = 5
    batch_windows: int = aside(16)  # of 30 s each, however short the stretch
    language: str | None = None  # ISO 639-1, of all that is heard; asked of the sound where None
    min_ms: int = 100  # a shorter stretch holds no word

    def build(self) -> "WhisperTranscriber":
        return WhisperTranscriber(self)


class WhisperTranscriber:
    def __init__(self, config: WhisperConfig) -> None:
        from faster_whisper import BatchedInferencePipeline

        from annotators.recognition.encoded import EncodedWhisper

        self._config = config
        folder = located(config.weights)
        device, _, index = device_of(config.device).partition(":")
        if device == "cuda":
            open_cublas()
        self._model: Any = EncodedWhisper(
            str(folder),
            device=device,
            device_index=int(index or 0),
            compute_type=config.compute_type or ("float16" if device == "cuda" else "float32"),
            cpu_threads=config.threads,
        )
        self._pipeline: Any = BatchedInferencePipeline(self._model)
        self._languages = frozenset(self._model.supported_languages)
        self._options = self._transcription_options()
        self.model = model_name(config.weights, folder)

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]:
        """One transcript per stretch. `language` (ISO 639-1) is taken for granted where the model knows it."""
        told = self._code(language) or self._code(self._config.language)
        cut = [pieces(stretch, WINDOW_MS) for stretch in stretches]
        windows = [window for parts in cut for window in parts]
        # a batch decodes to its last word, so those of one length go together; the encoder takes each for 30 s
        order = sorted(range(len(windows)), key=lambda index: -windows[index].duration_ms)
        loud = [index for index in order if windows[index].duration_ms >= self._config.min_ms]
        heard = in_batches(
            [windows[index] for index in loud],
            lambda batch: self._hear(batch, told),
            length=lambda _: 1.0,
            room=self._config.batch_windows,
        )
        transcript_by_index = dict(zip(loud, heard, strict=True))
        all_heard = iter([transcript_by_index.get(index, Transcript(text="")) for index in range(len(windows))])
        return [joined([next(all_heard) for _ in parts]) for parts in cut]

    def _code(self, language: str | None) -> str | None:
        """The language as Whisper writes it; None where it does not know it."""
        code = (language or "").lower().replace("_", "-").partition("-")[0]
        code = WHISPER_BY_ISO.get(code, code)
        return code if code in self._languages else None

    def _transcription_options(self) -> Any:
        """As the pipeline itself makes them; nothing is heard here, because it is lazy."""
        _, info = self._pipeline.transcribe(
            np.zeros(0, dtype=np.float32),
            language="en",
            task="transcribe",
            beam_size=self._config.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            word_timestamps=True,
            multilingual=False,
            vad_filter=False,
            clip_timestamps=[{"start": 0, "end": 0}],
        )
        return info.transcription_options

    def _hear(self, windows: Sequence[Waveform], language: str | None) -> list[Transcript]:
        from faster_whisper.audio import pad_or_trim

        extract = self._model.feature_extractor
        samples = [resampled(window, extract.sampling_rate) for window in windows]
        features = np.stack([pad_or_trim(extract(one)[..., :-1]) for one in samples])
        if language or not self._model.model.is_multilingual:
            return self._decoded(windows, features, [(language or "en", None)] * len(windows))
        encoded = self._model.encode(features)
        told = [(ranked[0][0][2:-2], float(ranked[0][1])) for ranked in self._model.model.detect_language(encoded)]
        codes = {code for code, _ in told}
        if len(codes) == 1:
            return self._decoded(windows, encoded, told)
        transcripts: dict[int, Transcript] = {}
        for code in sorted(codes):  # words are parted by the rules of one language, so each is encoded again alone
            rows = [row for row, (spoken, _) in enumerate(told) if spoken == code]
            here = self._decoded([windows[row] for row in rows], features[rows], [told[row] for row in rows])
            transcripts.update(zip(rows, here, strict=True))
        return [transcripts[row] for row in range(len(windows))]

    def _decoded(
        self, windows: Sequence[Waveform], features: Any, told: Sequence[tuple[str, float | None]]
    ) -> list[Transcript]:
        """`features` are mel frames, shape (windows, mels, frames), or what the encoder made of them."""
        from faster_whisper.tokenizer import Tokenizer

        code = told[0][0]
        tokenizer = Tokenizer(
            self._model.hf_tokenizer, self._model.model.is_multilingual, task="transcribe", language=code
        )
        offsets_s = [(number + 1) * APART_S for number in range(len(windows))]
        metadata = [
            {"offset": offset_s, "duration": window.duration_ms / 1000}
            for offset_s, window in zip(offsets_s, windows, strict=True)
        ]
        self._pipeline.last_speech_timestamp = 0.0
        rows = self._pipeline.forward(features, tokenizer, metadata, self._options)
        return [
            transcript_of(row, window, offset_s, ISO_BY_WHISPER.get(code, code), language_score)
            for row, window, offset_s, (code, language_score) in zip(rows, windows, offsets_s, told, strict=True)
        ]


def transcript_of(
    row: Sequence[dict[str, Any]], window: Waveform, offset_s: int, language: str, language_score: float | None
) -> Transcript:
    """What faster-whisper says of one window, with times of the recording."""
    text = "".join(segment["text"] for segment in row).strip()
    no_speech = round(float(row[0]["no_speech_prob"]), 3)
    if not text:
        return Transcript(text="", no_speech=no_speech)
    timed = [
        Timed(
            text=word["word"].strip(),
            start_ms=window.start_ms + 1000 * (word["start"] - offset_s),
            end_ms=window.start_ms + 1000 * (word["end"] - offset_s),
            score=float(word["probability"]),
        )
        for segment in row
        for word in segment["words"]
        if word["word"].strip()
    ]
    return Transcript(
        text=text,
        words=placed(timed, Span.of(window.start_ms, window.end_ms)),
        language=language,
        language_score=None if language_score is None else round(language_score, 3),
        score=round(min(1.0, math.exp(row[0]["avg_logprob"])), 3),
        no_speech=no_speech,
    )
