"""From measurements to plain words: a table of rules, read from the top; the first that fits speaks.

The words name physics, never a source: "a short broadband burst", not "a door".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from annotators.timbre import Measured

FAINT_DB = -65.0  # peak; below it measurements are those of the noise of the recording
CLICK_MS, SHORT_MS = 30, 500
SUDDEN_MS = 40
TONAL = 0.7
GLIDE_SEMITONES = 3.0
STEADY_DB = 3.0
TREND_DB = 6.0  # over the whole sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    kind: str
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    kind: str
    fits: Callable[[Measured], bool]
    words: Callable[[Measured], str]
    score: Callable[[Measured], float]  # how clearly it fits, 0..1


RULES = (
    Rule(
        kind="faint",
        fits=lambda m: m.level.peak_db < FAINT_DB,
        words=lambda m: "a sound too faint to describe",
        score=lambda m: 0.3,
    ),
    Rule(
        kind="repeated",
        fits=lambda m: m.onsets.count >= 3 and m.onsets.regularity >= 0.75 and m.onsets.rate_hz >= 0.5,
        words=lambda m: f"{m.onsets.count} {'tones' if _tonal(m) else 'bursts'}, about {m.onsets.rate_hz} a second",
        score=lambda m: m.onsets.regularity,
    ),
    Rule(
        kind="repeated",
        fits=lambda m: (
            m.onsets.count >= 2 and m.level.lasts_ms > SHORT_MS and m.level.active_ms <= m.level.lasts_ms / 2
        ),
        words=lambda m: f"{m.onsets.count} short {'tones' if _tonal(m) else 'bursts'} at uneven intervals",
        score=lambda m: 1 - m.level.active_ms / m.level.lasts_ms,
    ),
    Rule(
        kind="click",
        fits=lambda m: m.level.lasts_ms <= CLICK_MS and m.level.rise_ms <= SUDDEN_MS and not _tonal(m),
        words=lambda m: f"a {_colour(m, 'low ', 'high ')}click",
        score=lambda m: 1 - m.spectrum.tonality,
    ),
    Rule(
        kind="burst",
        fits=lambda m: m.level.lasts_ms <= SHORT_MS and m.level.rise_ms <= SUDDEN_MS and not _tonal(m),
        words=lambda m: f"a short {_colour(m, 'low', 'high', 'broadband')} burst",
        score=lambda m: 1 - m.spectrum.tonality,
    ),
    Rule(
        kind="rumble",
        fits=lambda m: m.spectrum.low_share >= 0.6 and not _one_pitch(m) and not _glide_semitones(m),
        words=lambda m: f"a {_manner(m)}low rumble{_trend(m)}",
        score=lambda m: m.spectrum.low_share,
    ),
    Rule(
        kind="rising",
        fits=lambda m: _tonal(m) and _glide_semitones(m) >= GLIDE_SEMITONES,
        words=lambda m: f"a tone that rises from about {m.pitch.start_hz} to {m.pitch.end_hz} Hz",
        score=lambda m: m.spectrum.tonality,
    ),
    Rule(
        kind="falling",
        fits=lambda m: _tonal(m) and _glide_semitones(m) <= -GLIDE_SEMITONES,
        words=lambda m: f"a tone that falls from about {m.pitch.start_hz} to {m.pitch.end_hz} Hz",
        score=lambda m: m.spectrum.tonality,
    ),
    Rule(
        kind="hum",
        fits=lambda m: _tonal(m) and _one_pitch(m) and _steady(m) and m.pitch.start_hz < 300,
        words=lambda m: f"a steady hum at about {_pitch_hz(m)} Hz",
        score=lambda m: m.spectrum.tonality,
    ),
    Rule(
        kind="tonal",
        fits=lambda m: _tonal(m) and _one_pitch(m),
        words=lambda m: f"a {_manner(m)}tone at about {_pitch_hz(m)} Hz{_trend(m)}",
        score=lambda m: m.spectrum.tonality,
    ),
    Rule(
        kind="tonal",
        fits=lambda m: _tonal(m),
        words=lambda m: f"a {_manner(m)}tonal sound of changing pitch{_trend(m)}",
        score=lambda m: m.spectrum.tonality,
    ),
    Rule(
        kind="hiss",
        fits=lambda m: m.spectrum.high_share >= 0.8,
        words=lambda m: f"a {_manner(m)}hiss{_trend(m)}",
        score=lambda m: m.spectrum.high_share,
    ),
    Rule(
        kind="noise",
        fits=lambda m: True,
        words=lambda m: f"a {_manner(m)}{'broadband ' if m.spectrum.flatness >= 0.1 else ''}noise{_trend(m)}",
        score=lambda m: 1 - m.spectrum.tonality,
    ),
)


def describe(heard: Measured) -> Described:
    rule = next(rule for rule in RULES if rule.fits(heard))
    score = round(min(1.0, max(0.0, rule.score(heard))), 2)
    return Described(kind=rule.kind, text=rule.words(heard), score=score)


def _tonal(heard: Measured) -> bool:
    return heard.spectrum.tonality >= TONAL


def _one_pitch(heard: Measured) -> bool:
    return heard.pitch.wander_semitones <= 1.0 and abs(_glide_semitones(heard)) < GLIDE_SEMITONES


def _steady(heard: Measured) -> bool:
    return heard.level.spread_db <= STEADY_DB and heard.level.lasts_ms > SHORT_MS


def _pitch_hz(heard: Measured) -> int:
    return round((heard.pitch.start_hz + heard.pitch.end_hz) / 2)


def _glide_semitones(heard: Measured) -> float:
    """0 where the strongest partial jumps about instead of gliding."""
    if heard.pitch.wander_semitones > 1.5 or min(heard.pitch.start_hz, heard.pitch.end_hz) <= 0:
        return 0.0
    return float(12 * np.log2(heard.pitch.end_hz / heard.pitch.start_hz))


def _colour(heard: Measured, low: str, high: str, neither: str = "") -> str:
    return low if heard.spectrum.low_share >= 0.5 else high if heard.spectrum.high_share >= 0.7 else neither


def _manner(heard: Measured) -> str:
    return "short " if heard.level.lasts_ms <= SHORT_MS else "steady " if _steady(heard) and not _trend(heard) else ""


def _trend(heard: Measured) -> str:
    change_db = heard.level.slope_db_s * heard.level.active_ms / 1000
    if heard.level.lasts_ms <= SHORT_MS or abs(change_db) < max(TREND_DB, 2 * heard.level.spread_db):
        return ""
    return " that grows louder" if change_db > 0 else " that dies away"
