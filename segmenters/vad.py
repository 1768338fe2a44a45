"""Where someone speaks: Silero VAD on onnxruntime, and the hysteresis that turns its probabilities into spans.

The weights come from the `silero-vad` package's data folder; the package itself is never imported, because it
would bring torch along. The network reads windows of 32 ms, each with 4 ms of the one before it.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.audio import Waveform, resampled
from schemas.errors import ConfigError
from schemas.network import opened
from schemas.span import Span

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
WINDOW_MS = 1000 * WINDOW_SAMPLES // RATE_HZ
CONTEXT_SAMPLES = 64
STATE_SHAPE = (1, 1, 128)
RUN_UP_WINDOWS = 32  # about a second: what the network hears before its answer counts
BLOCK_WINDOWS = 512  # about 16 s of sound in one call of the network
WEIGHTS = "silero_vad_16k_sequence.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRules:
    """When a run of probabilities counts as speech. The defaults are the package's own."""

    threshold: float = 0.5  # speech begins at or above it
    neg_threshold: float = 0.35  # and lasts until it falls below this
    min_speech_ms: int = 250
    min_silence_ms: int = 100  # a shorter pause does not end speech
    pad_ms: int = 30  # added at both ends
    memory_ms: int | None = None  # the network begins anew this often; None, as in the package: never

    def __post_init__(self) -> None:
        if not 0.0 < self.neg_threshold <= self.threshold < 1.0:
            raise ConfigError(
                f"neg_threshold={self.neg_threshold} and threshold={self.threshold} must lie in this order within "
                "0..1, or speech would end before it began"
            )
        if min(self.min_speech_ms, self.min_silence_ms, self.pad_ms) < 0:
            raise ConfigError(
                f"min_speech_ms={self.min_speech_ms}, min_silence_ms={self.min_silence_ms} and pad_ms={self.pad_ms} "
                "must not be negative"
            )
        if self.memory_ms is not None and self.memory_ms < 1_000:
            raise ConfigError(f"memory_ms={self.memory_ms} must be at least 1000, or no word would be heard whole")


class SileroVad:
    """The voice detector, ready to listen."""

    def __init__(self, rules: SpeechRules | None = None) -> None:
        weights = _weights().read_bytes()
        self.rules = rules or SpeechRules()
        self.model = f"silero-vad@{importlib.metadata.version('silero-vad')}+{hashlib.sha256(weights).hexdigest()[:8]}"
        self._session = opened(weights)

    def probabilities(self, samples_16k: np.ndarray) -> np.ndarray:
        """How likely speech is in each window of 32 ms: float32, shape (windows,); the last may be part empty."""
        if self.rules.memory_ms is None:
            return self._from_rest(samples_16k)
        num_windows = -(-len(samples_16k) // WINDOW_SAMPLES)
        memory = self.rules.memory_ms // WINDOW_MS
        heard = [np.zeros(0, np.float32)]
        for first in range(0, num_windows, memory):
            run_up = min(first, RUN_UP_WINDOWS)
            here = samples_16k[(first - run_up) * WINDOW_SAMPLES : (first + memory) * WINDOW_SAMPLES]
            heard.append(self._from_rest(here)[run_up:])
        return np.concatenate(heard)

    def _from_rest(self, samples: np.ndarray) -> np.ndarray:
        """The probabilities that the network gives when it begins with these samples."""
        hidden, cell = np.zeros(STATE_SHAPE, np.float32), np.zeros(STATE_SHAPE, np.float32)
        heard = [np.zeros(0, np.float32)]
        for windows in _blocks(samples):
            speech, hidden, cell = self._session.run(
                ["speech_probs", "hn", "cn"], {"input": windows, "h": hidden, "c": cell}
            )
            heard.append(speech.reshape(-1))
        return np.concatenate(heard)


def at_16k(waveform: Waveform) -> np.ndarray:
    """float32 samples at 16 kHz, shape (time,)."""
    return resampled(waveform, RATE_HZ)


def speech_spans(probabilities: np.ndarray, duration_ms: int, rules: SpeechRules) -> list[Span]:
    """Spans of speech within [0, duration_ms), in order and apart."""
    spans: list[tuple[int, int]] = []
    start: int | None = None
    quiet_from: int | None = None
    for index, probability in enumerate(probabilities.tolist()):
        now = index * WINDOW_MS
        if probability >= rules.threshold:
            start, quiet_from = now if start is None else start, None
        elif start is not None and probability < rules.neg_threshold:
            quiet_from = now if quiet_from is None else quiet_from
            if now - quiet_from >= rules.min_silence_ms:
                spans.append((start, quiet_from))
                start = quiet_from = None
    if start is not None:
        spans.append((start, duration_ms))
    return _padded([(a, b) for a, b in spans if b - a > rules.min_speech_ms], duration_ms, rules.pad_ms)


def _padded(spans: list[tuple[int, int]], duration_ms: int, pad_ms: int) -> list[Span]:
    """Each end moved outwards, by half the gap where two would meet."""
    padded = []
    for i, (start, end) in enumerate(spans):
        room_before = (start - spans[i - 1][1]) // 2 if i else start
        room_after = (spans[i + 1][0] - end) // 2 if i + 1 < len(spans) else duration_ms - end
        padded.append(Span.of(start - min(pad_ms, room_before), end + max(0, min(pad_ms, room_after))))
    return [inside for span in padded if (inside := span.clipped(Span.of(0, duration_ms)))]


def _blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """The network's input, a bounded piece at a time: float32, shape (windows, context + window)."""
    size = CONTEXT_SAMPLES + WINDOW_SAMPLES
    num_windows = -(-len(samples) // WINDOW_SAMPLES)
    for first in range(0, num_windows, BLOCK_WINDOWS):
        last = min(first + BLOCK_WINDOWS, num_windows)
        start, end = first * WINDOW_SAMPLES - CONTEXT_SAMPLES, last * WINDOW_SAMPLES
        block = np.zeros(end - start, np.float32)
        here = samples[max(0, start) : end]
        block[max(0, -start) : max(0, -start) + len(here)] = here
        yield np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(block, size)[::WINDOW_SAMPLES])


def _weights() -> Path:
    """The file in the package's data folder, found without importing the package."""
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / "data" / WEIGHTS).is_file():
            return path
    raise ConfigError(f"the package silero-vad has no data/{WEIGHTS}; install silero-vad 6.2 or newer")
