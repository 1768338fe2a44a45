"""Beats that follow a tempo that moves, where it does so clearly.

`annotators.beat` holds one tempo through the whole sound, which is what makes it sure. Here every beat carries the
interval that led to it, and an interval may differ from the last at a price: the state space of Krebs, Böck and Widmer
("An efficient state-space model for joint tempo and meter tracking", 2015), on beats in place of frames. A pulse counts
for as long as its interval, so that many beats are worth no more than few.

A step from 100 to 140 beats a minute looks much like one to 70, and a change of the rhythm like one of the tempo. So
the recurrences of the sound before and after it are laid over one another at each ratio that it may be; the one at
which they agree best is the ratio, and where that is none there is no change.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from annotators.beat import Beat, autocorrelation, harmonic_change, pulse_of, times_of
from annotators.meter import rhythm_of
from annotators.notes import Notes
from annotators.onsets import HOP_MS, standing_out
from annotators.tempi import MIN_RISE, Curve, TempoChange, curve_of

REACH = 1.45  # times the interval of the one tempo, longer or shorter, where nothing else is known
DRIFT = 600.0  # what an interval costs that is unlike the last, in spreads of the pulse per squared log ratio
LEAP = 0.04  # log ratio from which the price grows in a straight line: a step costs once, however large
NEAR_GUIDE, GUIDE = 1.1, 100.0  # where the tempo is known: the reach, and what a squared log ratio off it costs
RATIOS = (1 / 2, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 2.0)  # of what is heard to what it may be
MAX_RATIO = 1.6  # of two tempi: more is another level of the same beat
LAGS = np.exp(np.arange(np.log(0.3), np.log(4.2), 0.02))  # in beats, at which recurrences are compared
MAX_STEP_MS = 4_000  # a passage up to here leaves sound before and after it to compare
MIN_SIDE_MS = 4_000  # of that sound
MIN_CONTRAST = 1.5  # of the parts of a beat: noise has 0.9 at most, music 2.7 and more
SURE_WEIGHTS, SURE_BIAS = np.array([1.8, 4.2]), -2.6  # fitted by logistic regression to composed pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Beats whose tempo changes."""

    beats_ms: tuple[int, ...]  # from the start of the sound
    curve: Curve  # with one change at least
    score: float  # 0..1: the probability that it changes so


def moving_beat(onsets: np.ndarray, notes: Notes, beat: Beat, duration_ms: int) -> Moving | None:
    """The beats of a tempo that moves, however unsure; None where one tempo explains the sound.

    `onsets` are those of `onset_strengths`, `beat` the one tempo that fits them best.
    """
    found = evidence_of(onsets, notes, beat, duration_ms)
    if found is None:
        return None
    at_ms, curve, evidence = found
    score = float(1 / (1 + np.exp(-(SURE_WEIGHTS @ evidence + SURE_BIAS))))
    beats_ms = tuple(int(at) for at in np.rint(at_ms) if 0 <= at < duration_ms)
    return Moving(beats_ms=beats_ms, curve=curve, score=round(score, 2))


def evidence_of(
    onsets: np.ndarray, notes: Notes, beat: Beat, duration_ms: int
) -> tuple[np.ndarray, Curve, np.ndarray] | None:
    """Times of the beats, their curve, and what speaks for it: how much better the beats are met than by one tempo,
    and how much of the intervals it explains."""
    rises, harmony = standing_out(onsets), harmonic_change(notes, onsets.shape[1])
    pulse, streams = pulse_of(rises, harmony), np.vstack([rises, harmony])
    period = 60_000 / beat.tempo_bpm / HOP_MS
    at_ms = times_of(pulse, followed(pulse, _range(period / REACH, period * REACH)))
    curve = curve_of(at_ms, duration_ms)
    if curve is None or not curve.changes:
        return None
    checked = _checked(curve, streams, beat)
    if not checked:
        return None
    if checked != curve.changes:
        at_ms, curve = _guided(pulse, checked, duration_ms)
        if curve is None or not curve.changes:
            return None
    if contrast_of(rises, at_ms) < MIN_CONTRAST:
        return None
    gain = _met(pulse, at_ms) - _met(pulse, np.array(beat.beats_ms))
    explained = float(np.mean([change.explained for change in curve.changes]))
    return at_ms, curve, np.array([gain, explained])


def contrast_of(rises: np.ndarray, at_ms: np.ndarray) -> float:
    """How unlike the parts of a beat are in the mean, of their mean: in noise any part is as good as any other."""
    parts = rhythm_of(rises, at_ms).sum(axis=1).mean(axis=0)
    return float((parts.max() - parts.min()) / max(1e-9, float(parts.mean())))


def followed(pulse: np.ndarray, intervals: np.ndarray, guide: np.ndarray | None = None) -> np.ndarray:
    """Frames of the beats, whatever their tempo does within the intervals, in frames.

    `pulse` is in units of its spread, shape (frames,); `guide` the interval that is expected at each frame.
    """
    apart = np.abs(np.log(intervals[:, None] / intervals))
    cost = DRIFT * np.where(apart <= LEAP, apart**2, LEAP * (2 * apart - LEAP))
    longest, each, worth = int(intervals[-1]), np.arange(len(intervals)), intervals / np.median(intervals)
    totals = np.zeros((len(pulse) + longest, len(intervals)))
    before = np.full((len(pulse), len(intervals)), -1, np.int32)
    for frame, here in enumerate(pulse):
        ways = totals[frame + longest - intervals] - cost
        best = ways.argmax(axis=1)
        led = ways[each, best]
        before[frame] = np.where(led > 0, best, -1)
        totals[frame + longest] = here * worth + np.maximum(led, 0)
        if guide is not None:
            totals[frame + longest] -= GUIDE * np.log(intervals / guide[frame]) ** 2
    last = totals[longest:][-max(1, int(np.median(intervals))) :]
    at, which = (int(index) for index in np.unravel_index(int(last.argmax()), last.shape))
    frames = [len(pulse) - len(last) + at]
    while before[frames[-1], which] >= 0 and frames[-1] >= intervals[which]:
        frame = frames[-1] - int(intervals[which])
        which = int(before[frames[-1], which])
        frames.append(frame)
    return np.array(frames[::-1])


def _range(shortest: float, longest: float) -> np.ndarray:
    return np.arange(max(2, round(shortest)), max(3, round(longest)) + 1)


def _checked(curve: Curve, streams: np.ndarray, beat: Beat) -> tuple[TempoChange, ...]:
    """The changes at the ratio at which the sound before them and after them agrees; without those that are none."""
    steady = [curve.changes[0].from_bpm, *(change.to_bpm for change in curve.changes)]
    edges_ms = [0, *(at for change in curve.changes for at in (change.start_ms, change.end_ms)), curve.spans[-1].end_ms]
    factors = [1.0]
    for index, change in enumerate(curve.changes):
        before = slice(edges_ms[2 * index] // HOP_MS, change.start_ms // HOP_MS)
        after = slice(change.end_ms // HOP_MS, edges_ms[2 * index + 3] // HOP_MS)
        factors.append(factors[-1] * _factor(streams[:, before], streams[:, after], change))
    anchor = int(np.argmin(np.abs(np.log(np.array(steady) / beat.tempo_bpm))))
    mended = [bpm * factor / factors[anchor] for bpm, factor in zip(steady, factors, strict=True)]
    changes = [
        replace(change, from_bpm=round(was, 1), to_bpm=round(becomes, 1))
        for change, (was, becomes) in zip(curve.changes, pairwise(mended), strict=True)
    ]
    return tuple(change for change in changes if abs(change.log_ratio) >= MIN_RISE)


def _factor(before: np.ndarray, after: np.ndarray, change: TempoChange) -> float:
    """Of the ratio that is told, to the one at which what recurs before and after the change agrees best."""
    enough = MIN_SIDE_MS // HOP_MS
    if change.end_ms - change.start_ms > MAX_STEP_MS or min(before.shape[1], after.shape[1]) < enough:
        return 1.0
    ratio, period = change.to_bpm / change.from_bpm, 60_000 / HOP_MS / change.from_bpm
    first = _recurring(before, period)
    factors = [*(factor for factor in RATIOS if 1 / MAX_RATIO <= ratio * factor <= MAX_RATIO), 1 / ratio]
    agrees = [float(np.sum(first * _recurring(after, period / ratio / factor))) for factor in factors]
    return factors[int(np.argmax(agrees))]


def _recurring(streams: np.ndarray, period: float) -> np.ndarray:
    """Autocorrelation of each stream at LAGS of this period: shape (streams, lags), of length 1 and mean 0."""
    alike = [autocorrelation(stream) for stream in streams]
    rows = np.array([np.interp(LAGS * period, np.arange(len(row)), row, right=0.0) for row in alike])
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / max(1e-9, float(np.linalg.norm(rows))))


def _guided(pulse: np.ndarray, changes: tuple[TempoChange, ...], duration_ms: int) -> tuple[np.ndarray, Curve | None]:
    """Beats that keep near these tempi, and the curve of them."""
    knots_ms = [at for change in changes for at in (change.start_ms, change.end_ms)]
    bpm = [tempo for change in changes for tempo in (change.from_bpm, change.to_bpm)]
    frames_ms = np.arange(len(pulse)) * HOP_MS
    guide = 60_000 / HOP_MS / np.exp(np.interp(frames_ms, knots_ms, np.log(bpm)))
    intervals = _range(float(guide.min()) / NEAR_GUIDE, float(guide.max()) * NEAR_GUIDE)
    at_ms = times_of(pulse, followed(pulse, intervals, guide))
    return at_ms, curve_of(at_ms, duration_ms)


def _met(pulse: np.ndarray, at_ms: np.ndarray) -> float:
    """How high the pulse is on the beats."""
    return float(pulse[np.clip(np.rint(at_ms / HOP_MS).astype(int), 0, len(pulse) - 1)].mean())
