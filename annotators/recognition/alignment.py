"""Words with exact times: CTC forced alignment by a wav2vec 2.0 model, which hears letters every 20 ms.

    stretch -> emissions, in windows that the memory holds -> the best path of the words' letters -> words with times

Words keep their own spelling; only the model sees them romanised (uroman, the data MMS was trained with) and in the
letters it knows. Where a stretch cannot be aligned the recogniser's own times stand, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from annotators.base import Transcript
from annotators.recognition.forced import Vocabulary, WordFrames, aligned, target_of, with_star
from annotators.recognition.stretches import Timed, is_spaceless, placed
from schemas.audio import Waveform, resampled
from schemas.batches import in_batches
from schemas.config import aside
from schemas.errors import ConfigError
from schemas.network import device_of, no_bars
from schemas.record import Word
from schemas.span import Span
from schemas.weights import Weights, located, model_name

BLANK = "<blank>"
BETWEEN = "|"
ISO_639_3 = {  # of the languages for which uroman has rules of their own
    "ar": "ara", "be": "bel", "bg": "bul", "de": "deu", "el": "ell", "en": "eng", "fa": "fas", "kk": "kaz", "ky": "kir",
    "lt": "lit", "lv": "lav", "mk": "mkd", "ps": "pus", "ru": "rus", "sr": "srp", "tr": "tur", "ug": "uig", "uk": "ukr",
    "yi": "yid",
}  # fmt: skip

MMS_FA = Weights(
    name="MahmoudAshraf/mms-300m-1130-forced-aligner",
    licence="CC-BY-NC-4.0",
    num_bytes=1_262_000_000,
    files=("*.json", "model.safetensors"),
)
"""MMS_FA as converted for transformers: 1,130 languages, for non-commercial use only."""

WAV2VEC2_ENGLISH = Weights(
    name="facebook/wav2vec2-base-960h",
    licence="Apache-2.0",
    num_bytes=378_000_000,
    files=("*.json", "model.safetensors"),
)
"""English alone, and free for any use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignerConfig:
    weights: Weights = field(default_factory=lambda: MMS_FA)
    languages: tuple[str, ...] = ()  # ISO 639-1; any where there are none
    device: str | None = aside(None)
    dtype: str | None = None  # of torch; float16 on a GPU and float32 on the processor where None
    window_s: float = 30.0  # that the model hears at once
    context_s: float = 2.0  # of sound it hears on either side besides
    batch_s: float = aside(240.0)  # of sound, each window as long as the longest
    max_cells: int = 200_000_000  # frames by twice the tokens: the memory of the best path, in bytes

    def __post_init__(self) -> None:
        if self.window_s < 1 or self.context_s < 0.1:
            raise ConfigError(
                f"window_s={self.window_s} must be 1 or more and context_s={self.context_s} 0.1 or more, "
                "or frames are lost where windows meet"
            )

    def build(self) -> "Aligner":
        return Aligner(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unaligned:
    """Words of a stretch in the order they are said, and their times where the recogniser told any."""

    waveform: Waveform
    words: tuple[str, ...]
    timed: tuple[Word, ...] = ()
    language: str | None = None  # ISO 639-1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """`reason` says why the times are the recogniser's, or why there are none."""

    words: tuple[Word, ...]
    reason: str | None = None


def unaligned(waveform: Waveform, transcript: Transcript) -> Unaligned:
    """What a recogniser understood of a stretch, to be aligned: its words, or those of its text."""
    if transcript.words:
        words = tuple(word.text for word in transcript.words)
    elif is_spaceless(transcript.text, transcript.language):
        words = tuple(letter for part in transcript.text.split() for letter in _letters(part))
    else:
        words = tuple(transcript.text.split())
    return Unaligned(waveform=waveform, words=words, timed=transcript.words, language=transcript.language)


def _letters(text: str) -> list[str]:
    """One by one, with what does not stand alone (marks, punctuation, Latin words) at the letter before."""
    parts: list[str] = []
    for letter in text:
        alone = letter.isalnum() and not (letter.isascii() and parts and parts[-1][-1].isascii())
        if alone or not parts:
            parts.append(letter)
        else:
            parts[-1] += letter
    return parts


class Aligner:
    def __init__(self, config: AlignerConfig) -> None:
        import torch
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        no_bars()
        self._config = config
        folder = located(config.weights)
        self._device = device_of(config.device)
        dtype = config.dtype or ("float16" if self._device.startswith("cuda") else "float32")
        extractors: Any = AutoFeatureExtractor
        self._extractor: Any = extractors.from_pretrained(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCTC.from_pretrained(folder, dtype=getattr(torch, dtype))
        self._model.to(self._device).eval()
        self._vocabulary = _vocabulary(tokenizer.get_vocab(), tokenizer.pad_token_id, self._model.config.vocab_size)
        self._stride = int(np.prod(self._model.config.conv_stride))
        self.model = model_name(config.weights, folder)

    def align(self, asked: Sequence[Unaligned]) -> list[Alignment]:
        """The words of every stretch with their times, in order, none lost."""
        troubles = [self._trouble(one) for one in asked]
        windows = [
            (index, window)
            for index, (one, trouble) in enumerate(zip(asked, troubles, strict=True))
            if trouble is None
            for window in self._windows(resampled(one.waveform, self._extractor.sampling_rate))
        ]
        heard = in_batches(
            [window for _, window in windows],
            self._emissions,
            length=lambda window: len(window.samples) / self._extractor.sampling_rate,
            room=self._config.batch_s if self._extractor.return_attention_mask else 0.0,
        )
        by_stretch: dict[int, list[np.ndarray]] = {}
        for (index, _), emissions in zip(windows, heard, strict=True):
            by_stretch.setdefault(index, []).append(emissions)
        return [
            self._aligned(one, np.concatenate(by_stretch[index])) if trouble is None else as_told(one, trouble)
            for index, (one, trouble) in enumerate(zip(asked, troubles, strict=True))
        ]

    def _trouble(self, asked: Unaligned) -> str | None:
        """What can be said against aligning before anything is heard."""
        known = self._config.languages
        if not any(letter.isalnum() for word in asked.words for letter in word):
            return "there are no words"
        if known and asked.language not in known:
            return f"the aligner knows {', '.join(known)}, not {asked.language or 'an unknown language'}"
        waveform = asked.waveform
        if self._num_frames(len(waveform.pcm) * self._extractor.sampling_rate // waveform.rate_hz) < 1:
            return f"{waveform.duration_ms} ms are too short"
        return None

    def _windows(self, samples: np.ndarray) -> list["_Window"]:
        """Windows that tile the stretch in whole frames, with what is heard on either side of each."""
        rate_hz, stride = self._extractor.sampling_rate, self._stride
        size, context = (int(s * rate_hz) // stride * stride for s in (self._config.window_s, self._config.context_s))
        starts = range(0, len(samples), size)
        if len(samples) - starts[-1] < size // 4 and len(starts) > 1:
            starts = starts[:-1]  # a short rest is heard with the last window
        windows = []
        for number, start in enumerate(starts):
            end = starts[number + 1] if number + 1 < len(starts) else len(samples)
            first, last = max(0, start - context), min(len(samples), end + context)
            keep = None if end == len(samples) else (end - start) // stride
            windows.append(_Window(samples=samples[first:last], skip=(start - first) // stride, keep=keep))
        return windows

    def _emissions(self, windows: Sequence["_Window"]) -> list[np.ndarray]:
        """Log probabilities of each, float32, shape (frames, tokens), without the context."""
        import torch

        lengths = [self._num_frames(len(window.samples)) for window in windows]
        inputs = self._extractor(
            [window.samples for window in windows],
            sampling_rate=self._extractor.sampling_rate,
            padding=True,
            return_tensors="pt",
        )
        inputs = {
            name: value.to(self._device, self._model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            logits = self._model(**inputs).logits.float()
            emissions = torch.log_softmax(logits, dim=-1).cpu().numpy()
        kept = []
        for window, row, length in zip(windows, emissions, lengths, strict=True):
            end = length if window.keep is None else min(length, window.skip + window.keep)
            kept.append(row[window.skip : end])
        return kept

    def _num_frames(self, num_samples: int) -> int:
        """Frames that the convolutions make of so many samples."""
        config = self._model.config
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            num_samples = (num_samples - kernel) // stride + 1
        return max(0, num_samples)

    def _aligned(self, asked: Unaligned, emissions: np.ndarray) -> Alignment:
        language = ISO_639_3.get(asked.language or "")
        star = emissions.shape[1]
        target = target_of(asked.words, self._vocabulary, star, lambda word: romanised(word, language))
        if target.min_frames > len(emissions):
            return as_told(asked, f"{target.min_frames} letters do not fit into {len(emissions)} frames")
        if 2 * len(target.tokens) * len(emissions) > self._config.max_cells:
            return as_told(asked, f"{len(target.tokens)} letters in {len(emissions)} frames are too many at once")
        if not np.isfinite(emissions).all():
            return as_told(asked, "the aligner's model gives numbers that are none")
        frames = aligned(with_star(emissions), target, len(asked.words), self._vocabulary.blank)
        frame_ms = 1000 * self._stride / self._extractor.sampling_rate
        return Alignment(words=words_of(asked, frames, frame_ms))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Window:
    samples: np.ndarray
    skip: int  # frames of context before
    keep: int | None  # frames after them; all where None


def words_of(asked: Unaligned, frames: Sequence[WordFrames], frame_ms: float) -> tuple[Word, ...]:
    """The words with times of the recording. What has no score of its own keeps the recogniser's, or has none."""
    start_ms = asked.waveform.start_ms
    told = [word.score for word in asked.timed] if len(asked.timed) == len(asked.words) else [0.0] * len(asked.words)
    timed = [
        Timed(
            text=word,
            start_ms=start_ms + here.start * frame_ms,
            end_ms=start_ms + here.end * frame_ms,
            score=score if here.score is None else here.score,
        )
        for word, here, score in zip(asked.words, frames, told, strict=True)
    ]
    words = placed(timed, Span.of(start_ms, asked.waveform.end_ms))
    if len(asked.timed) != len(words):
        return words
    return tuple(replace(word, speaker=before.speaker) for word, before in zip(words, asked.timed, strict=True))


def spread(words: Sequence[str], span: Span) -> tuple[Word, ...]:
    """The words over the whole span, each as long as it is written, without a score: where nobody knows the times."""
    ends = list(accumulate(len(word) for word in words))
    starts = [0, *ends][:-1]
    scale = span.duration_ms / max(1, ends[-1] if ends else 1)
    timed = [
        Timed(text=word, start_ms=span.start_ms + a * scale, end_ms=span.start_ms + b * scale, score=0.0)
        for word, a, b in zip(words, starts, ends, strict=True)
    ]
    return placed(timed, span)


def as_told(asked: Unaligned, reason: str) -> Alignment:
    """With the recogniser's own times, and why it has no others."""
    return Alignment(words=asked.timed, reason=f"not aligned: {reason}")


def _vocabulary(ids: dict[str, int], pad_id: int | None, num_tokens: int) -> Vocabulary:
    """CTC's blank is the padding token, unless one is called so. Tokenizers add a `|` that the model may not have."""
    blank = ids.get(BLANK, pad_id)
    if blank is None or not 0 <= blank < num_tokens:
        raise ConfigError(f"the aligner's tokenizer has no blank among the {num_tokens} tokens of its model")
    known = {text: n for text, n in ids.items() if len(text) == 1 and 0 <= n < num_tokens}
    return Vocabulary(ids=known, blank=blank, between=known.get(BETWEEN))


def romanised(text: str, language: str | None = None) -> str:
    """In Latin letters, in lower case; `language` is ISO 639-3."""
    return str(_uroman().romanize_string(text, lcode=language)).lower()


@lru_cache(maxsize=1)
def _uroman() -> Any:
    import uroman

    return uroman.Uroman()
