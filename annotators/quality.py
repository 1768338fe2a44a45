"""What can be measured of the sound itself, whatever it holds; and of speech, what listeners would say of it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotators.dnsmos import DnsmosConfig
from annotators.frames import FLOOR_DB, levels_db, power_spectra
from schemas.audio import Waveform
from schemas.record import Clip, Quality
from schemas.span import covered_ms

FULL_SCALE_PCM = 32_767
LOUDNESS_BLOCK_MS = 400  # the block of ITU-R BS.1770; shorter pieces have no loudness
SNR_FRAME_MS = 20
MIN_SNR_MS = 200  # fewer frames have no percentiles worth the name
SPECTRUM_MS = 64
LEFT_OUT = 0.001  # share of the energy above the bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig:
    dnsmos: DnsmosConfig | None = None  # nothing is asked about speech without it
    min_speech_ms: int = 2_000  # less is too little to have an opinion of, and a window of 9 s costs the same

    def build(self) -> "QualityMeter":
        return QualityMeter(self)


class QualityMeter:
    """Measures clips, each for itself."""

    def __init__(self, config: QualityConfig) -> None:
        self._config = config
        self._listener = config.dnsmos.build() if config.dnsmos else None
        self.model = f"levels@1+{self._listener.model}" if self._listener else "levels@1"

    def measure(self, clips: Sequence[Clip]) -> list[Quality]:
        return [self._measure(clip) for clip in clips]

    def _measure(self, clip: Clip) -> Quality:
        levels = measure(clip.waveform)
        speech = [event for event in clip.segment.events if event.label == "Speech"]
        if self._listener is None or covered_ms(speech, clip.segment) < self._config.min_speech_ms:
            return levels
        opinion = self._listener.hear(clip.waveform)
        if opinion is None:
            return levels
        return replace(
            levels,
            dnsmos_overall=opinion.overall,
            dnsmos_signal=opinion.signal,
            dnsmos_background=opinion.background,
            dnsmos_p808=opinion.p808,
        )


def measure(waveform: Waveform) -> Quality:
    """Levels, clipping, noise and bandwidth; None where the piece is too short or too quiet to measure."""
    samples = waveform.samples
    peak = float(np.max(np.abs(samples), initial=0.0))
    return Quality(
        loudness_lufs=_loudness_lufs(samples, waveform.rate_hz),
        peak_db=round(20 * float(np.log10(peak)), 2) if peak else None,
        clipped_ratio=_clipped_ratio(waveform.pcm),
        snr_db=_snr_db(samples, waveform.rate_hz),
        bandwidth_hz=_bandwidth_hz(samples, waveform.rate_hz) if peak else None,
    )


def _loudness_lufs(samples: np.ndarray, rate_hz: int) -> float | None:
    if len(samples) * 1000 < LOUDNESS_BLOCK_MS * rate_hz:
        return None
    import pyloudnorm  # brings scipy.signal, a second that a driver need not wait

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # means and logarithms of nothing, where all is gated out
        loudness = pyloudnorm.Meter(rate_hz).integrated_loudness(samples.astype(np.float64))
    return round(float(loudness), 2) if np.isfinite(loudness) else None


def _clipped_ratio(pcm: np.ndarray) -> float:
    return round(float(np.mean(np.abs(pcm.astype(np.int32)) >= FULL_SCALE_PCM)), 6) if len(pcm) else 0.0


def _snr_db(samples: np.ndarray, rate_hz: int) -> float | None:
    if len(samples) * 1000 < MIN_SNR_MS * rate_hz:
        return None
    quiet, loud = np.percentile(levels_db(samples, rate_hz, SNR_FRAME_MS), (10, 95))
    return round(float(loud - quiet), 2) if quiet > FLOOR_DB else None  # against digital silence all is infinite


def _bandwidth_hz(samples: np.ndarray, rate_hz: int) -> int | None:
    size = rate_hz * SPECTRUM_MS // 1000
    spectrum = power_spectra(samples, size, size // 2).sum(axis=0, dtype=np.float64)
    spectrum[0] = 0.0  # a constant offset is not heard
    if not spectrum.any():
        return None
    below = np.searchsorted(np.cumsum(spectrum), (1 - LEFT_OUT) * spectrum.sum())
    return round(float(min(below, len(spectrum) - 1)) * rate_hz / size)
