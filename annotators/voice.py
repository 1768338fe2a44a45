"""How a voice sounds, whatever it says: pitch, pace and level of stretches of speech."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotators.frames import db
from annotators.pitch import HOP_MS, voiced_pitch_hz
from schemas.audio import Waveform
from schemas.span import Span

MIN_VOICED_MS = 160  # less voiced sound than this has no median worth telling
LOW_HZ, HIGH_HZ = 140, 190  # between them lie low women's and high men's voices alike
SLOW_WPM, FAST_WPM = 120, 240  # pauses between stretches left out, so faster than it feels
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
FAINT_DB = -45.0  # RMS of speech recorded from afar or far too low


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Take(Span):
    """One stretch of speech, measured."""

    pitch_hz: np.ndarray  # of the voiced frames, shape (voiced frames,)
    energy: float  # sum of the squared samples
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What was measured of the voice in some takes; None where there was too little to measure."""

    pitch_hz: float | None  # median of the voiced frames
    pitch_range_semitones: float | None  # 10th to 90th percentile
    loudness_db: float  # RMS, dB relative to full scale
    voiced_ratio: float  # share of the time that has a pitch

    @property
    def register(self) -> str:
        if self.pitch_hz is None:
            return "unclear"
        return "low" if self.pitch_hz < LOW_HZ else "high" if self.pitch_hz > HIGH_HZ else "medium"


def take(waveform: Waveform, stretch: Span) -> Take:
    piece = waveform.cut(stretch)
    return Take(
        start_ms=stretch.start_ms,
        end_ms=stretch.end_ms,
        pitch_hz=voiced_pitch_hz(piece.samples, piece.rate_hz),
        energy=float(np.sum(np.square(piece.samples, dtype=np.float64))),
        num_samples=len(piece.pcm),
    )


def voice_of(takes: Sequence[Take]) -> Voice:
    """All the takes as one voice."""
    pitch_hz = np.concatenate([take.pitch_hz for take in takes])
    power = sum(take.energy for take in takes) / max(1, sum(take.num_samples for take in takes))
    loudness_db = round(float(db(power)), 1)
    voiced_ratio = min(1.0, len(pitch_hz) * HOP_MS / sum(take.duration_ms for take in takes))
    if len(pitch_hz) * HOP_MS < MIN_VOICED_MS:
        return Voice(pitch_hz=None, pitch_range_semitones=None, loudness_db=loudness_db, voiced_ratio=voiced_ratio)
    lowest, median, highest = np.percentile(pitch_hz, (10, 50, 90))
    return Voice(
        pitch_hz=round(float(median), 1),
        pitch_range_semitones=round(float(12 * np.log2(highest / lowest)), 1),
        loudness_db=loudness_db,
        voiced_ratio=voiced_ratio,
    )


def rate_wpm(num_words: int, stretches: Sequence[Span]) -> float | None:
    """Words a minute of speech; None without words."""
    spoken_ms = sum(stretch.duration_ms for stretch in stretches)
    return round(num_words * 60_000 / spoken_ms, 1) if num_words and spoken_ms else None


def described(voice: Voice, rate_wpm: float | None, nth: int | None = None) -> str:
    """A noun phrase, to stand alone or after "someone speaks in"; `nth` counts several voices from 0."""
    parts = ["a voice without clear pitch"]
    if voice.pitch_hz is not None:
        height = {"low": "low", "medium": "medium-pitched", "high": "high"}[voice.register]
        parts = [f"a {height} voice of about {round(voice.pitch_hz)} Hz"]
    if nth is not None:
        ordinal = ORDINALS[nth] if nth < len(ORDINALS) else f"{nth + 1}th"
        parts = [f"the {ordinal} voice", parts[0].replace("a voice", "one").replace(" voice", " one")]
    if rate_wpm is not None and not SLOW_WPM <= rate_wpm <= FAST_WPM:
        parts.append(f"{'slow' if rate_wpm < SLOW_WPM else 'fast'} at about {round(rate_wpm)} words a minute")
    if voice.loudness_db < FAINT_DB:
        parts.append("faint")
    return ", ".join(parts)
