"""Key changes: the likeliest path through the 24 keys, stretch by stretch, where a change costs.

Each stretch between the places where chords may change is held against every key: how its treble and its bass are
shared among the pitch classes, under the profiles of `annotators.harmony`, and whether its chord belongs to the key.
The path is that of Viterbi; how much it gains over the best single key, for what its changes cost, says how clear they
are. Relative keys have all their notes in common and turn into one another within any phrase, so between them a change
costs more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotators.harmony import (
    IN_MAJOR,
    IN_MINOR,
    MAJOR,
    MIN_CLARITY,
    MIN_IN_TUNE,
    MINOR,
    NAMES,
    ChordSpan,
    key_name,
)
from annotators.notes import Notes, pitch_classes_between

STEP_MS = 500
MIN_SPAN_MS = 5_000  # a key that is told lasts so long
TREBLE, BASS, CHORD, TONIC = 1.0, 0.5, 2.5, 1.0  # what each counts for, a second
FLOOR = 0.012  # of a profile, so that no single note rules a key out
CHANGE = 6.0  # what a change costs
RELATIVE = 8.0  # and what it costs more between relative keys
SURE_WEIGHT, SURE_BIAS = 0.3, 0.5  # of the gain: composed pieces in one key hardly ever show a change


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRun:
    name: str  # "G major"
    start_ms: int  # from the start of the sound
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    runs: tuple[KeyRun, ...]  # they tile the sound; neighbours differ
    score: float  # 0..1: the probability of these changes; 1 where there are none


def keys_of(notes: Notes, chords: Sequence[ChordSpan], duration_ms: int) -> Keys | None:
    """The keys in turn, however unsure their changes; None where no notes sound."""
    if notes.clarity < MIN_CLARITY or notes.in_tune < MIN_IN_TUNE or duration_ms < STEP_MS:
        return None
    edges_ms = np.append(np.arange(0, duration_ms - STEP_MS + 1, STEP_MS), duration_ms)
    fits = fits_of(notes, chords, edges_ms)
    path, gain = path_of(fits)
    starts = [0, *(np.flatnonzero(np.diff(path)) + 1)]
    runs = tuple(
        KeyRun(
            name=key_name(int(path[first])),
            start_ms=_near_chord(edges_ms[first], chords),
            end_ms=_near_chord(edges_ms[last], chords),
        )
        for first, last in pairwise([*starts, len(path)])
    )
    score = float(1 / (1 + np.exp(-(SURE_WEIGHT * gain + SURE_BIAS)))) if len(runs) > 1 else 1.0
    return Keys(runs=runs, score=round(score, 2))


def fits_of(notes: Notes, chords: Sequence[ChordSpan], edges_ms: np.ndarray) -> np.ndarray:
    """How well each stretch fits each key, in the units of CHANGE: shape (stretches, 24)."""
    profiles = np.array([np.roll(MINOR if key >= 12 else MAJOR, key % 12) for key in range(24)])
    logs = np.log(np.maximum(profiles, FLOOR))
    fits = np.zeros((len(edges_ms) - 1, 24))
    for weight, classes in ((TREBLE, notes.treble), (BASS, np.sqrt(notes.bass))):
        between = pitch_classes_between(classes, edges_ms.astype(float))
        loud = between.sum(axis=1, keepdims=True)
        fits += weight * (between / np.maximum(loud, 1e-6)) @ logs.T
    belongs = _belonging()
    middles_ms = (edges_ms[:-1] + edges_ms[1:]) / 2
    starts_ms = np.array([chord.start_ms for chord in chords])
    for index, middle_ms in enumerate(middles_ms):
        chord = chords[max(0, int(np.searchsorted(starts_ms, middle_ms, side="right")) - 1)]
        if chord.name in belongs:
            fits[index] += chord.score * belongs[chord.name]
    lasting_s = np.diff(edges_ms)[:, None] / 1000
    return np.asarray((fits - fits.mean(axis=1, keepdims=True)) * lasting_s)


def path_of(fits: np.ndarray) -> tuple[np.ndarray, float]:
    """The key of each stretch, each held for MIN_SPAN_MS at least, and what the path gains over the best single key."""
    num, hold, cost = len(fits), max(1, MIN_SPAN_MS // STEP_MS), _costs()
    sums = np.vstack([np.zeros(24), np.cumsum(fits, axis=0)])
    if num < 2 * hold:
        return np.full(num, int(sums[-1].argmax())), 0.0
    totals = np.full((num + 1, 24), -np.inf)  # of the best path whose last run ends here, in this key
    begins = np.zeros((num + 1, 24), int)  # where that run begins
    before = np.zeros((num + 1, 24), int)  # the key before a run that begins here
    begun = np.zeros(24)  # the best that a run of each key may begin with, less what it has summed up till then
    begun_at = np.zeros(24, int)
    for end in range(hold, num + 1):
        start = end - hold
        if start >= hold:
            ways = totals[start][:, None] - cost
            before[start] = ways.argmax(axis=0)
            lead = ways.max(axis=0) - sums[start]
            begun_at = np.where(lead > begun, start, begun_at)
            begun = np.maximum(begun, lead)
        totals[end], begins[end] = begun + sums[end], begun_at
    path, end, key = np.zeros(num, int), num, int(totals[num].argmax())
    while end > 0:
        start = int(begins[end, key])
        path[start:end] = key
        end, key = start, int(before[start, key])
    return path, float(totals[num].max() - sums[-1].max())


def _costs() -> np.ndarray:
    """Of going from one key (row) to another (column)."""
    cost = np.full((24, 24), float(CHANGE))
    for tonic in range(12):
        relative = 12 + (tonic + 9) % 12
        cost[tonic, relative] = cost[relative, tonic] = CHANGE + RELATIVE
    np.fill_diagonal(cost, np.inf)
    return cost


def _belonging() -> dict[str, np.ndarray]:
    """What each chord says for each key."""
    told = {name + kind: np.zeros(24) for name in NAMES for kind in ("", "m")}
    for key in range(24):
        tonic, mode = key % 12, "m" if key >= 12 else ""
        for step, kind in IN_MINOR if mode else IN_MAJOR:
            told[NAMES[(tonic + step) % 12] + kind][key] += CHORD
        told[NAMES[tonic] + mode][key] += TONIC
    return told


def _near_chord(at_ms: float, chords: Sequence[ChordSpan]) -> int:
    """The nearest place where a chord begins or ends, or as given where there is none near."""
    places = [chords[0].start_ms, *(chord.end_ms for chord in chords)]
    nearest = min(places, key=lambda place: abs(place - at_ms))
    return int(nearest if abs(nearest - at_ms) <= 2 * STEP_MS else at_ms)
