"""Tempo and beats: how alike the onsets are some time later, and then the best path through them.

Each tempo between 58 and 220 is judged by the autocorrelation of the onsets at its period, at its multiples and at its
parts: a beat is what comes again after one period and in groups of two to four, and has little of its own between. The
weights were fitted by logistic regression to composed pieces, so the score is the probability of the tempo among all
others. The beats follow Ellis, "Beat tracking by dynamic programming" (2007).
"""

from dataclasses import dataclass

import numpy as np

from annotators.notes import HOP_MS as NOTES_HOP_MS
from annotators.notes import Notes
from annotators.onsets import HOP_MS, standing_out

MIN_FRAMES = 250  # less holds no beat
MIN_BEATS = 5
MIN_RISE_DB = 0.6  # the ripple of a steady tone is less, and can be as regular as a beat
BPM = np.exp(np.arange(np.log(58), np.log(220), 0.015))  # slower, and bars of a fast waltz pass for beats
PERIODS = 60_000 / HOP_MS / BPM  # frames
NEAR = 0.05  # of a tempo: what counts as the same
LAG_SLACK = 0.012  # of a lag, by which a human tempo may wander
TAKEN_AS_FELT_BPM = 110.0

Ways = tuple[tuple[float, ...], ...]  # multiples of the period: the best of some means
AGAIN_AND_AGAIN: Ways = ((1, 2, 3, 4),)
IN_GROUPS: Ways = ((2, 4), (3, 6), (4, 8))
ONCE_A_GROUP: Ways = ((2,), (3,), (4,))
EVIDENCE: tuple[tuple[str, Ways, float], ...] = (  # and the fitted weight
    *(("all", ((times,),), weight) for times, weight in ((1 / 4, -1.3), (1 / 3, -0.4), (2 / 3, -0.7), (1, 3.2))),
    ("all", AGAIN_AND_AGAIN, 3.3),
    ("all", IN_GROUPS, 2.1),
    ("low", ((2 / 3,),), -0.6),
    ("low", ONCE_A_GROUP, 2.5),
    *(("harmony", ((times,),), weight) for times, weight in ((1 / 2, -1.4), (2 / 3, -0.6), (1, 1.4), (3 / 2, -2.0))),
    ("harmony", ONCE_A_GROUP, 1.5),
)
FASTER, FAR_OFF = 0.9, -1.2  # per octave above the tempo that is taken as felt, and per octave squared

ONSET_WEIGHTS = np.array([1.5, 1.0, 0.5])  # of low, middle and high: a bass note marks a beat more than a cymbal
HARMONY_WEIGHT = 0.5
TIGHTNESS = 200.0  # what a beat off its time costs, in spreads of the onsets per squared log ratio
ONSET_LAG_MS = 2.5  # by which the rise is heard early


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    tempo_bpm: float
    beats_ms: tuple[int, ...]  # from the start of the sound
    score: float  # 0..1: the probability of this tempo against all others


def beat_of(onsets: np.ndarray, notes: Notes, duration_ms: int) -> Beat | None:
    """The likeliest beat, however unlikely; None where there is too little sound to hold one.

    `onsets` are those of `onset_strengths`, shape (3, frames).
    """
    if onsets.shape[1] < MIN_FRAMES or onsets.max() < MIN_RISE_DB:
        return None
    rises, harmony = standing_out(onsets), harmonic_change(notes, onsets.shape[1])
    pulse, sure = pulse_of(rises, harmony), tempo_probabilities(rises, harmony)
    near = np.abs(np.log(BPM[:, None] / BPM)) < NEAR
    best = int(np.argmax(near @ sure))
    period = float(np.exp(np.sum(sure[near[best]] * np.log(PERIODS[near[best]])) / sure[near[best]].sum()))
    frames = best_path(pulse, period)
    if len(frames) < MIN_BEATS:
        return None
    at_ms = times_of(pulse, frames)
    gap_ms = float(np.polyfit(np.arange(len(at_ms)), at_ms, 1)[0])
    whole_ms = np.rint(at_ms).astype(int)
    return Beat(
        tempo_bpm=round(60_000 / gap_ms, 1),
        beats_ms=tuple(int(at) for at in whole_ms if 0 <= at < duration_ms),
        score=round(float(sure[near[best]].sum()), 2),
    )


def pulse_of(rises: np.ndarray, harmony: np.ndarray) -> np.ndarray:
    """What marks a beat, in units of its spread: shape (frames,)."""
    pulse = ONSET_WEIGHTS @ rises + HARMONY_WEIGHT * (harmony - harmony.mean()) / max(1e-9, float(harmony.std()))
    return np.asarray(pulse / max(1e-9, float(pulse.std())))


def tempo_probabilities(rises: np.ndarray, harmony: np.ndarray) -> np.ndarray:
    """Of each tempo in BPM; they add up to 1."""
    octaves = np.log2(BPM / TAKEN_AS_FELT_BPM)
    logits = FASTER * octaves + FAR_OFF * octaves**2
    for column, (_, _, weight) in zip(tempo_evidence(rises, harmony), EVIDENCE, strict=True):
        logits = logits + weight * column
    likely: np.ndarray = np.exp(logits - logits.max())
    return np.asarray(likely / likely.sum())


def tempo_evidence(rises: np.ndarray, harmony: np.ndarray) -> np.ndarray:
    """What each row of EVIDENCE sees at each tempo of BPM: shape (rows, tempi)."""
    heard = {"all": rises.sum(axis=0), "low": rises[0], "harmony": harmony}
    alike = {what: autocorrelation(strength) for what, strength in heard.items()}
    lags = {times for _, ways, _ in EVIDENCE for way in ways for times in way}
    near = {(what, times): _around(alike[what], times * PERIODS) for what in heard for times in lags}
    return np.array(
        [
            np.max([np.mean([near[what, times] for times in way], axis=0) for way in ways], axis=0)
            for what, ways, _ in EVIDENCE
        ]
    )


def harmonic_change(notes: Notes, num_frames: int) -> np.ndarray:
    """How far the pitch classes before and after each frame are apart, 0..1: shape (frames,)."""
    classes = notes.treble + notes.bass
    classes /= np.maximum(np.linalg.norm(classes, axis=1, keepdims=True), 1e-6)
    change = np.zeros(len(classes))
    change[1:-1] = 1 - np.sum(classes[:-2] * classes[2:], axis=1)
    return np.interp(np.arange(num_frames) * HOP_MS / NOTES_HOP_MS, np.arange(len(change)), change)


def best_path(pulse: np.ndarray, period: float) -> np.ndarray:
    """Frames of the beats: high pulses, each about a period after the last."""
    back = np.arange(max(1, round(period / 2)), round(period * 2) + 1)
    cost = -TIGHTNESS * np.log(back / period) ** 2
    longest = int(back[-1])
    totals, before = np.zeros(len(pulse) + longest), np.full(len(pulse), -1)
    for frame, here in enumerate(pulse):
        ways = totals[frame + longest - back] + cost
        way = int(ways.argmax())
        if ways[way] > 0:
            before[frame] = frame - back[way]
            here = here + ways[way]
        totals[frame + longest] = here
    last_period = totals[-max(1, round(period)) :]
    frames = [len(pulse) - len(last_period) + int(last_period.argmax())]
    while before[frames[-1]] >= 0:
        frames.append(int(before[frames[-1]]))
    return np.array(frames[::-1])


def times_of(pulse: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Milliseconds of the beats on these frames, finer than a frame."""
    return np.asarray(_refined(pulse, frames) * HOP_MS + ONSET_LAG_MS)


def autocorrelation(strength: np.ndarray) -> np.ndarray:
    """Shape as given: 1 at no lag, and no less at a long lag for there being less to compare."""
    swing = strength - strength.mean()
    num = len(swing)
    products = np.fft.irfft(np.abs(np.fft.rfft(swing, 2 * num)) ** 2)[:num] / np.arange(num, 0, -1)
    alike: np.ndarray = products / max(1e-9, float(products[0]))
    alike[3 * num // 4 :] = 0.0  # there is too little to compare
    return alike


def _around(alike: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """The best within a little of each lag."""
    slack, index = np.maximum(1.0, LAG_SLACK * lags), np.arange(len(alike))
    best: np.ndarray = np.max(
        [np.interp(lags + part * slack, index, alike, right=0.0) for part in (-1, -0.5, 0, 0.5, 1)], axis=0
    )
    return best


def _refined(pulse: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Between frames, by a parabola through the pulse and its neighbours."""
    inside = np.clip(frames, 1, len(pulse) - 2)
    before, here, after = pulse[inside - 1], pulse[inside], pulse[inside + 1]
    bend = before - 2 * here + after
    shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
    refined: np.ndarray = frames + np.clip(shift, -0.5, 0.5)
    return refined
