"""What a voice is like, as 256 numbers: Resemblyzer's encoder, its weights beside this file (see CARD.md).

Two windows of one voice point the same way, those of two voices apart. It hears mel power, not its logarithm, so
speech is first raised to the level that it was trained at.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from annotators.mels import mel_power
from schemas.audio import Waveform, resampled
from schemas.network import opened
from schemas.span import Span, sample_at

RATE_HZ = 16_000
FRAME_SAMPLES, HOP_SAMPLES = 400, 160  # 25 ms every 10 ms
HOP_MS = 1000 * HOP_SAMPLES // RATE_HZ
NUM_MELS, EMBEDDING_SIZE = 40, 256
LEVEL_DB = -30.0  # RMS, dB relative to full scale; quieter speech is raised to it, louder left as it is
SILENT = 1e-8  # RMS: below a thousandth of the least significant bit there is nothing to raise
BATCH = 32
WEIGHTS = Path(__file__).with_name("encoder.onnx")
REVISION_KEY = "revision"  # of the model's metadata


class SpeakerEncoder:
    """The encoder, ready to listen, on one thread."""

    def __init__(self) -> None:
        self._session = opened(WEIGHTS.read_bytes())
        self.model: str = self._session.get_modelmeta().custom_metadata_map[REVISION_KEY]

    def hear(self, waveform: Waveform, speech: Sequence[Span], starts_ms: Sequence[int], window_ms: int) -> np.ndarray:
        """One embedding per window, float32 of shape (windows, 256); starts count from the waveform's."""
        if not starts_ms:
            return np.zeros((0, EMBEDDING_SIZE), np.float32)
        samples = raised(
            resampled(waveform, RATE_HZ), [Span.of(s.start_ms, s.end_ms) for s in speech], waveform.start_ms
        )
        spectra, length = mels(samples), window_ms // HOP_MS
        windows = [spectra[start_ms // HOP_MS : start_ms // HOP_MS + length] for start_ms in starts_ms]
        return self.embed(np.stack([np.pad(w, ((0, length - len(w)), (0, 0))) for w in windows]))

    def embed(self, windows: np.ndarray) -> np.ndarray:
        """Mels of shape (windows, frames, 40) to embeddings of length 1, float32 of shape (windows, 256)."""
        batches = (np.ascontiguousarray(windows[first : first + BATCH]) for first in range(0, len(windows), BATCH))
        return np.concatenate([self._session.run(["embeddings"], {"mels": batch})[0] for batch in batches])


def raised(samples_16k: np.ndarray, speech: Sequence[Span], start_ms: int) -> np.ndarray:
    """The samples, with the speech among them at no less than the level of the training."""
    parts = [slice(*(sample_at(ms - start_ms, RATE_HZ) for ms in (s.start_ms, s.end_ms))) for s in speech]
    power = np.concatenate([np.square(samples_16k[part], dtype=np.float64) for part in parts])
    rms = float(np.sqrt(power.mean())) if len(power) else 0.0
    return samples_16k * np.float32(max(1.0, 10 ** (LEVEL_DB / 20) / rms)) if rms > SILENT else samples_16k


def mels(samples_16k: np.ndarray) -> np.ndarray:
    """float32 of shape (1 + samples // 160, 40); a frame is centred on its time."""
    return mel_power(samples_16k, RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES, NUM_MELS)
