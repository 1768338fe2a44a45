"""Tempo and beats by librosa, which follows Ellis, "Beat tracking by dynamic programming" (2007)."""

from dataclasses import dataclass

import numpy as np

from schemas.audio import Waveform

HOP_MS, WINDOW_MS = 10, 128
MIN_MS = 2_000
MIN_BEATS = 6
MIN_ONSET_DB = 1.0  # the ripple of a steady tone is less, and can be as regular as a beat


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    tempo_bpm: float
    beats_ms: tuple[int, ...]  # from the start of the waveform
    score: float  # 0..1: how alike the onsets are one beat later


def beat_of(waveform: Waveform) -> Beat | None:
    """The strongest beat there is, however weak; None where there is too little sound to hold one."""
    import librosa  # takes seconds, which a driver need not wait

    if waveform.duration_ms < MIN_MS:
        return None
    rate_hz = waveform.rate_hz
    size, hop = rate_hz * WINDOW_MS // 1000, rate_hz * HOP_MS // 1000
    onsets = librosa.onset.onset_strength(y=waveform.samples, sr=rate_hz, n_fft=size, hop_length=hop)
    if onsets.max() < MIN_ONSET_DB:
        return None
    (bpm,) = librosa.feature.tempo(onset_envelope=onsets, sr=rate_hz, hop_length=hop)
    _, beats = librosa.beat.beat_track(onset_envelope=onsets, sr=rate_hz, hop_length=hop, bpm=bpm, trim=False)
    if len(beats) < MIN_BEATS:
        return None
    period, swing = round(60_000 / HOP_MS / bpm), onsets - onsets.mean()
    alike = float(swing[period:] @ swing[:-period] / (swing @ swing))
    gap_ms = HOP_MS * float(np.polyfit(np.arange(len(beats)), beats, 1)[0])  # finer than one hop
    return Beat(
        tempo_bpm=round(60_000 / gap_ms, 1),
        beats_ms=tuple(int(beat) * HOP_MS for beat in beats if beat * HOP_MS < waveform.duration_ms),
        score=round(min(1.0, max(0.0, alike)), 2),
    )
