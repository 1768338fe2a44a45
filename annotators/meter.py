"""How beats group into bars: in three or in four, whether each falls into three parts, and where bars begin.

What recurs every third beat is held against what recurs every second and fourth: accents in each register, changes of
harmony and of the bass, and the rhythm between the beats. The weights were fitted by logistic regression to composed
pieces. Two and four cannot be told apart by this and are called 4/4; 6/8 is two beats of three parts each.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from annotators.notes import Notes, pitch_classes_between
from annotators.onsets import HOP_MS, standing_out

MIN_BEATS = 12
PARTS = 12  # of a beat, at which the rhythm between beats is looked at
NEAR_FRAMES = 4  # of a beat, in which its accent lies
TRIPLE_WEIGHTS = np.array([1.5, 0.7, 1.6, 2.3, 1.6, 1.3])  # low, middle, high, harmony, bass, rhythm
TRIPLE_BIAS = -1.6
COMPOUND_WEIGHTS, COMPOUND_BIAS = np.array([0.9, 1.7]), -1.4  # of log ratios of parts
DOWNBEAT_WEIGHTS = np.array([1.0, 0.3, 0.0, 2.0, 1.5])  # low, middle, high, harmony, bass
BEATS_A_BAR = {"4/4": 4, "3/4": 3, "6/8": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    name: str  # "4/4", "3/4", "6/8"
    score: float  # 0..1: its probability among the three
    downbeats_ms: tuple[int, ...]  # some of the beats
    downbeat_score: float  # 0..1: how much the accents of the downbeats stand out of those of other beats


def meter_of(onsets: np.ndarray, notes: Notes, beats_ms: tuple[int, ...]) -> Meter | None:
    """The likeliest meter; None where there are too few beats to hear one."""
    if len(beats_ms) < MIN_BEATS:
        return None
    beats = np.array(beats_ms, float)
    rises = standing_out(onsets)
    accents, rhythm = accents_of(rises, notes, beats), rhythm_of(rises, beats)
    triple = _probability(TRIPLE_WEIGHTS @ triple_evidence(accents, rhythm) + TRIPLE_BIAS)
    compound = _probability(COMPOUND_WEIGHTS @ compound_evidence(rhythm) + COMPOUND_BIAS)
    sure = {"6/8": compound, "3/4": (1 - compound) * triple, "4/4": (1 - compound) * (1 - triple)}
    name = max(sure, key=lambda one: sure[one])
    first, clear = first_downbeat(accents, BEATS_A_BAR[name])
    return Meter(
        name=name,
        score=round(sure[name], 2),
        downbeats_ms=beats_ms[first :: BEATS_A_BAR[name]],
        downbeat_score=clear,
    )


def accents_of(rises: np.ndarray, notes: Notes, beats_ms: np.ndarray) -> np.ndarray:
    """Of each beat in low, middle and high register, and its change of harmony and of bass: shape (5, beats)."""
    at = np.clip(np.rint(beats_ms / HOP_MS).astype(int), 0, rises.shape[1] - 1)
    loud = maximum_filter1d(rises, 2 * NEAR_FRAMES + 1, axis=1)[:, at]
    gap_ms = float(np.median(np.diff(beats_ms)))
    edges_ms = np.concatenate([[max(0.0, beats_ms[0] - gap_ms)], beats_ms, [beats_ms[-1] + gap_ms]])
    changes = []
    for classes in (notes.treble, notes.bass):
        between = np.sqrt(pitch_classes_between(classes, edges_ms))
        between /= np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-9)
        changes.append(1 - np.sum(between[:-1] * between[1:], axis=1))
    return np.vstack([loud, changes])


def rhythm_of(rises: np.ndarray, beats_ms: np.ndarray) -> np.ndarray:
    """Rises at the parts of each beat, shape (beats, registers, parts)."""
    gaps_ms = np.diff(beats_ms, append=2 * beats_ms[-1] - beats_ms[-2])
    at = (beats_ms[:, None] + gaps_ms[:, None] * np.arange(PARTS) / PARTS) / HOP_MS
    wide = maximum_filter1d(rises, 5, axis=1)
    return np.stack([np.interp(at, np.arange(wide.shape[1]), register) for register in wide], axis=1)


def triple_evidence(accents: np.ndarray, rhythm: np.ndarray) -> np.ndarray:
    """For each kind of accent and for the rhythm, how much more it recurs every three beats than every two and four."""
    rows = [row[:, None] for row in accents] + [rhythm.reshape(len(rhythm), -1)]
    return np.array([np.mean(_recurring(row, (3, 6))) - np.mean(_recurring(row, (2, 4, 8))) for row in rows])


def compound_evidence(rhythm: np.ndarray) -> np.ndarray:
    """Log ratios: the weaker third of the beat against its half and quarters, and the first third against the half."""
    parts = rhythm.sum(axis=1).mean(axis=0)
    parts = parts / max(1e-9, float(parts.sum())) + 0.01
    third, two_thirds, half = parts[PARTS // 3], parts[2 * PARTS // 3], parts[PARTS // 2]
    even = max(half, parts[PARTS // 4], parts[3 * PARTS // 4])
    return np.array([np.log(min(third, two_thirds) / even), np.log(third / half)])


def first_downbeat(accents: np.ndarray, beats_a_bar: int) -> tuple[int, float]:
    """The phase whose beats are accented most, and by how much it stands out of the second best, 0..1."""
    spread = np.maximum(accents.std(axis=1, keepdims=True), 1e-9)
    accent = DOWNBEAT_WEIGHTS @ ((accents - accents.mean(axis=1, keepdims=True)) / spread) / DOWNBEAT_WEIGHTS.sum()
    by_phase = [float(accent[phase::beats_a_bar].mean()) for phase in range(beats_a_bar)]
    second, best = sorted(by_phase)[-2:]
    return int(np.argmax(by_phase)), round(float(np.clip(best - second, 0, 1)), 2)


def _recurring(rows: np.ndarray, lags: tuple[int, ...]) -> list[float]:
    """Correlation of (beats, values) with itself some beats later; 0 where there is too little to compare."""
    swing = rows - rows.mean(axis=0)
    power = float(np.mean(np.sum(swing**2, axis=1)))
    if power < 1e-9:
        return [0.0] * len(lags)
    return [
        float(np.mean(np.sum(swing[lag:] * swing[:-lag], axis=1))) / power if len(swing) > lag + 2 else 0.0
        for lag in lags
    ]


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
