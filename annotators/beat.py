"""Tempo and beats, after Ellis, "Beat tracking by dynamic programming" (2007).

Where sounds begin makes an onset curve; its self-similarity makes a tempo; the best path through the curve at
that tempo makes the beats. Written out in numpy, because librosa's costs seconds of compiling in each process.
"""

from dataclasses import dataclass

import numpy as np

from annotators.frames import power_spectra
from schemas.audio import Waveform

HOP_MS, WINDOW_MS = 10, 64
NUM_BANDS = 32
SLOWEST_BPM, FASTEST_BPM = 50, 210
USUAL_BPM, TEMPO_WIDTH_OCTAVES = 120, 1.0  # where listeners tap, and how far around they may
TIGHTNESS = 100.0  # how dear it is to leave the tempo
MIN_BEATS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    tempo_bpm: float
    beats_ms: tuple[int, ...]  # from the start of the waveform
    score: float  # 0..1: how alike the onsets are one beat later


def beat_of(waveform: Waveform) -> Beat | None:
    """The strongest beat there is, however weak; None where there is too little sound to hold one."""
    onsets = _onset_curve(waveform.samples, waveform.rate_hz)
    if len(onsets) < MIN_BEATS * 60_000 // FASTEST_BPM // HOP_MS or not onsets.any():
        return None
    period, score = _period(onsets)
    beats = _path(onsets, period)
    if len(beats) < MIN_BEATS:
        return None
    gap_ms = float(np.median(np.diff(beats))) * HOP_MS
    slope_ms = float(np.polyfit(np.arange(len(beats)), np.asarray(beats) * HOP_MS, 1)[0])  # finer than one hop
    tempo_bpm = 60_000 / (slope_ms if abs(slope_ms - gap_ms) < 0.1 * gap_ms else gap_ms)
    offset_ms = WINDOW_MS * 3 // 4  # where in a Hann window new energy shows most
    beats_ms = [min(int(beat) * HOP_MS + offset_ms, max(0, waveform.duration_ms - 1)) for beat in beats]
    return Beat(tempo_bpm=round(tempo_bpm, 1), beats_ms=tuple(sorted(set(beats_ms))), score=round(score, 2))


def _onset_curve(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How much louder the bands grow from hop to hop, shape (hops,), its slow drift taken away."""
    size = rate_hz * WINDOW_MS // 1000
    spectra = power_spectra(samples, size, rate_hz * HOP_MS // 1000)
    edges = np.unique(np.geomspace(2, spectra.shape[1] - 1, NUM_BANDS + 1).astype(int))
    bands = np.add.reduceat(spectra, edges[:-1], axis=1, dtype=np.float64)
    loudness = np.log10(bands / size + 1e-6)
    rises = np.maximum(0.0, np.diff(loudness, axis=0, prepend=loudness[:1])).mean(axis=1)
    width = min(len(rises), 1000 // HOP_MS)
    drift = np.convolve(rises, np.full(width, 1 / width), mode="same")[: len(rises)]
    curve = np.maximum(0.0, rises - drift)
    spread = curve.std()
    return np.asarray(curve / spread) if spread > 1e-6 else np.zeros_like(curve)


def _period(onsets: np.ndarray) -> tuple[float, float]:
    """Hops of one beat, and how alike the onset curve is to itself so much later (0..1)."""
    smooth = np.convolve(onsets, np.hanning(9)[1:-1], mode="same")
    smooth = smooth - smooth.mean()
    length = 1 << (2 * len(smooth) - 1).bit_length()
    spectrum = np.fft.rfft(smooth, length)
    similarity = np.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag), length)[: len(smooth)]
    overlap = 1 - np.arange(len(smooth)) / len(smooth)
    similarity = similarity / max(float(similarity[0]), 1e-9) / np.maximum(overlap, 0.25)
    lags = np.arange(60_000 // FASTEST_BPM // HOP_MS, min(60_000 // SLOWEST_BPM // HOP_MS, len(smooth) - 1) + 1)
    octaves = np.log2(60_000 / HOP_MS / lags / USUAL_BPM)
    weighted = similarity[lags] * np.exp(-0.5 * (octaves / TEMPO_WIDTH_OCTAVES) ** 2)
    best = int(lags[np.argmax(weighted)])
    return float(best), float(np.clip(similarity[best], 0.0, 1.0))


def _path(onsets: np.ndarray, period: float) -> list[int]:
    """The frames of the beats: the path that gathers most onset and least often leaves the period."""
    gaps = np.arange(round(period / 2), round(period * 2) + 1)
    costs = -TIGHTNESS * np.log(gaps / period) ** 2
    total, before = onsets.copy(), np.full(len(onsets), -1)
    for now in range(int(gaps[0]), len(onsets)):
        reachable = gaps[gaps <= now]
        gathered = total[now - reachable] + costs[: len(reachable)]
        best = int(np.argmax(gathered))
        if gathered[best] > 0:
            total[now] += gathered[best]
            before[now] = now - reachable[best]
    last = len(total) - 1 - int(np.argmax(total[::-1][: round(period) + 1]))
    beats = [last]
    while before[beats[-1]] >= 0:
        beats.append(int(before[beats[-1]]))
    return beats[::-1]
