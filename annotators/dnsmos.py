"""DNSMOS: what listeners would say of speech, by the networks that the package speechmos carries.

The weights run on onnxruntime by themselves, because the package would bring pandas, tqdm and requests along. Its
networks hear 9.01 s at once; shorter speech is repeated, and of longer speech a few windows are heard, not one
every second as the package does: a window costs as much time as three seconds of recognising words.
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from annotators.mels import mel_power
from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.network import opened

RATE_HZ = 16_000
WINDOW_SAMPLES = 144_160
FRAME_SAMPLES, HOP_SAMPLES, NUM_MELS = 321, 160, 120
P835_WEIGHTS, P808_WEIGHTS = "sig_bak_ovr.onnx", "model_v8.onnx"
SIGNAL_FIT = (-0.08397278, 1.22083953, 0.0052439)  # published: from the network's answer to that of listeners
BACKGROUND_FIT = (-0.13166888, 1.60915514, -0.39604546)
OVERALL_FIT = (-0.06766283, 1.11546468, 0.04602535)


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsmosConfig:
    hop_ms: int = 9_000  # windows of a long piece lie no nearer than this
    max_windows: int = 2  # and are no more than this, spread over it

    def __post_init__(self) -> None:
        if self.hop_ms < 1 or self.max_windows < 1:
            raise ConfigError(f"hop_ms={self.hop_ms} and max_windows={self.max_windows} must be at least 1")

    def build(self) -> "Dnsmos":
        return Dnsmos(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What listeners would say, 1..5."""

    overall: float  # ITU-T P.835
    signal: float
    background: float
    p808: float


class Dnsmos:
    """Both networks, ready to listen, on one thread."""

    def __init__(self, config: DnsmosConfig | None = None) -> None:
        self._config = config or DnsmosConfig()
        self._p835, self._p808 = (
            opened(_weights(P835_WEIGHTS).read_bytes()),
            opened(_weights(P808_WEIGHTS).read_bytes()),
        )
        self.model = f"dnsmos@{importlib.metadata.version('speechmos')}"

    def hear(self, waveform: Waveform) -> Opinion | None:
        """The mean over the windows; None where there is no sound at all."""
        samples = waveform.samples
        if waveform.rate_hz != RATE_HZ and len(samples):
            samples = np.clip(soxr.resample(samples, waveform.rate_hz, RATE_HZ), -1, 1)
        if not samples.any():
            return None
        answers = np.array([self._window(window) for window in windows(samples, self._config)])
        signal, background, overall, p808 = (round(float(answer), 3) for answer in answers.mean(axis=0))
        return Opinion(overall=overall, signal=signal, background=background, p808=p808)

    def _window(self, samples: np.ndarray) -> tuple[float, ...]:
        raw = self._p835.run(None, {"input_1": samples[None, :]})[0][0]
        fits = (SIGNAL_FIT, BACKGROUND_FIT, OVERALL_FIT)
        p835 = (np.polyval(fit, answer) for fit, answer in zip(fits, raw, strict=True))
        return (*p835, self._p808.run(None, {"input_1": _levels(samples[:-HOP_SAMPLES])[None, :]})[0][0][0])


def windows(samples: np.ndarray, config: DnsmosConfig) -> list[np.ndarray]:
    """Pieces of 9.01 s, each float32 of shape (144160,); what is shorter is repeated once and again."""
    room = len(samples) - WINDOW_SAMPLES
    if room <= 0:
        return [np.resize(samples, WINDOW_SAMPLES)]
    num_windows = min(config.max_windows, 1 + room * 1000 // (config.hop_ms * RATE_HZ))
    starts = np.linspace(0, room, num_windows).astype(int)
    return [samples[start : start + WINDOW_SAMPLES] for start in starts]


def _levels(samples: np.ndarray) -> np.ndarray:
    """Mels in dB below the loudest, none more than 80, scaled about 0: float32, shape (frames, 120)."""
    mels = mel_power(samples, RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES, NUM_MELS)
    level_db = 10 * np.log10(np.maximum(mels, 1e-10) / max(float(mels.max()), 1e-10))
    return np.asarray((np.maximum(level_db, -80) + 40) / 40, dtype=np.float32)


def _weights(name: str) -> Path:
    """The file in the package's folder, found without importing the package."""
    spec = importlib.util.find_spec("speechmos")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / "dnsmos_models" / name).is_file():
            return path
    raise ConfigError(
        f"the package speechmos has no dnsmos_models/{name}; mend with: pip install -c constraints.txt -e ."
    )
