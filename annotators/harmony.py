"""Chords and key, from the notes that sound.

Chords are found by the most probable path through the beats (Viterbi), or through half seconds where there is no clear
beat: triads and their sevenths are compared with the treble and their root, third and fifth with the bass. They are
told as major and minor triads. The key is the profile of Albrecht and Shanahan ("The use of large corpora to train a
new type of key-finding algorithm", 2013) that fits treble and bass best, together with how many of the chords belong to
the key and how long its tonic sounds; the weights were fitted by logistic regression to composed pieces, so the score
is the probability of the key among the 24.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from annotators.notes import Notes, pitch_classes_between

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
IN_MAJOR = ((0, ""), (2, "m"), (4, "m"), (5, ""), (7, ""), (9, "m"))  # semitones above the tonic
IN_MINOR = ((0, "m"), (3, ""), (5, "m"), (7, "m"), (7, ""), (8, ""), (10, ""))
KEY_WEIGHTS = np.array([3.9, 2.8, 3.8, 4.0, 0.8, 0.8])  # treble, bass, chords of the key, its tonic; first, last chord
MIN_CLARITY = 0.5  # of the notes: noise has 0.42
MIN_IN_TUNE = 0.12  # speech has 0.05 at most, drums with a bass 0.16, songs 0.2 to 0.8
MIN_NAMED = 0.2  # of the time: without chords there is no key

STEP_MS = 500  # of chords where there is no beat
SHAPES = {"": (0, 4, 7), "m": (0, 3, 7)}
SEVENTHS = {"": (10, 11), "m": (10, 10)}  # the third kind of the minor triad is a copy, so that all have three
SEVENTH_WEIGHT = 0.7
SEVENTH_COST = 0.03  # of likeness, which a fourth note always raises
BASS_WEIGHT = 0.45
MIN_BASS = 0.2  # of the treble: a fainter bass counts for less
ROOT, THIRD, FIFTH = 1.0, 0.5, 0.6  # what they count for in the bass
NO_CHORD = 0.82  # likeness that a chord must pass to be preferred to none
DECISION = 12.0  # how fast a chord grows improbable with its likeness
CHANGE = 2.0  # what a change costs, in the same units
TRIADS = 24
NONE = TRIADS  # index of "no chord"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    name: str  # "G major"
    score: float  # 0..1: its probability among the 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ChordSpan:
    name: str
    start_ms: int  # from the start of the sound
    end_ms: int
    score: float  # 0..1: its probability against the others


def chords_of(notes: Notes, duration_ms: int, beats_ms: tuple[int, ...] = ()) -> list[ChordSpan]:
    """Chords that tile the sound; "N" where none fits. They change on beats where beats are given."""
    edges = _edges(duration_ms, beats_ms)
    likeness = likeness_of(notes, edges.astype(float))
    if notes.in_tune < MIN_IN_TUNE:
        likeness[:, NONE] = 2.0
    states = _best_path(DECISION * likeness)
    sure = np.exp(DECISION * (likeness - likeness.max(axis=1, keepdims=True)))
    sure /= sure.sum(axis=1, keepdims=True)
    starts = [0, *(np.flatnonzero(np.diff(states)) + 1)]
    return [
        ChordSpan(
            name=_chord_name(states[first]),
            start_ms=int(edges[first]),
            end_ms=int(edges[last]),
            score=round(
                float(np.average(sure[first:last, states[first]], weights=np.diff(edges[first : last + 1]))), 2
            ),
        )
        for first, last in pairwise([*starts, len(states)])
    ]


def key_of(notes: Notes, chords: list[ChordSpan]) -> Key | None:
    """The likeliest key; None where no notes sound."""
    named_ms = sum(chord.end_ms - chord.start_ms for chord in chords if chord.name != "N")
    if notes.clarity < MIN_CLARITY or notes.in_tune < MIN_IN_TUNE or named_ms < MIN_NAMED * chords[-1].end_ms:
        return None
    logits = KEY_WEIGHTS @ key_evidence(notes, chords)
    likely = np.exp(logits - logits.max())
    best = int(likely.argmax())
    return Key(name=key_name(best), score=round(float(likely[best] / likely.sum()), 2))


def key_evidence(notes: Notes, chords: list[ChordSpan]) -> np.ndarray:
    """What each of KEY_WEIGHTS sees of the 12 major and the 12 minor keys: shape (6, 24)."""
    treble, bass = _shares(notes.treble), _shares(np.sqrt(notes.bass))
    lasting = dict.fromkeys((_chord_name(index) for index in range(TRIADS)), 0.0)
    named = [chord for chord in chords if chord.name != "N"]
    for chord in named:
        lasting[chord.name] += chord.end_ms - chord.start_ms
    total = max(1e-9, sum(lasting.values()))
    rows = []
    for index in range(24):
        tonic, mode = index % 12, "m" if index >= 12 else ""
        profile = np.roll(MINOR if mode else MAJOR, tonic)
        own = [NAMES[(tonic + step) % 12] + kind for step, kind in (IN_MINOR if mode else IN_MAJOR)]
        home = NAMES[tonic] + mode
        rows.append(
            [
                _correlation(profile, treble),
                _correlation(profile, bass),
                sum(lasting[name] for name in own) / total,
                lasting[home] / total,
                float(bool(named) and named[0].name == home),
                float(bool(named) and named[-1].name == home),
            ]
        )
    return np.array(rows).T


def key_name(index: int) -> str:
    return f"{NAMES[index % 12]} {'minor' if index >= 12 else 'major'}"


def likeness_of(notes: Notes, edges_ms: np.ndarray) -> np.ndarray:
    """How like the sound between edges is to each triad, with or without a seventh, and to none: (stretches, 25)."""
    treble = pitch_classes_between(notes.treble, edges_ms) ** 0.7
    bass = pitch_classes_between(notes.bass, edges_ms) ** 0.7
    loud = np.linalg.norm(treble, axis=1, keepdims=True)
    shapes, basses = _templates()
    like = (treble / np.maximum(loud, 1e-6)) @ shapes.reshape(-1, 12).T
    best = np.max(
        like.reshape(-1, *shapes.shape[:2]) - SEVENTH_COST * np.arange(len(shapes))[:, None].clip(0, 1), axis=1
    )
    least = np.maximum(MIN_BASS * treble.sum(axis=1, keepdims=True), 1e-6)
    under = bass / np.maximum(bass.sum(axis=1, keepdims=True), least)
    none = np.where(loud > 1e-6, NO_CHORD, 2.0)  # in silence none, whatever else
    return np.hstack([best + BASS_WEIGHT * under @ basses.T, none])


def _edges(duration_ms: int, beats_ms: tuple[int, ...]) -> np.ndarray:
    """Where chords may change: the beats, and half seconds where there are none; with both ends."""
    gap_ms = int(np.median(np.diff(beats_ms))) if len(beats_ms) > 1 else STEP_MS
    inner = [at for at in beats_ms if gap_ms // 2 <= at <= duration_ms - gap_ms // 2]
    first, last = (inner[0], inner[-1]) if inner else (0, 0)
    before = range(first - gap_ms, gap_ms // 2, -gap_ms)
    after = range(last + gap_ms, duration_ms - gap_ms // 2, gap_ms)
    return np.array([0, *sorted(before), *inner, *after, duration_ms])


@cache
def _templates() -> tuple[np.ndarray, np.ndarray]:
    """How the triads look in the treble, plain and with sevenths, (3, 24, 12), and in the bass, (24, 12)."""
    shapes, basses = np.zeros((3, TRIADS, 12)), np.zeros((TRIADS, 12))
    for index in range(TRIADS):
        root, mode = index % 12, "m" if index >= 12 else ""
        notes = [(root + step) % 12 for step in SHAPES[mode]]
        shapes[:, index, notes] = 1.0
        basses[index, notes] = ROOT, THIRD, FIFTH
        for kind, seventh in enumerate(SEVENTHS[mode], start=1):
            shapes[kind, index, (root + seventh) % 12] = SEVENTH_WEIGHT
    return shapes / np.linalg.norm(shapes, axis=2, keepdims=True), basses


def _best_path(fit: np.ndarray) -> np.ndarray:
    """The states whose sum of fits, less CHANGE for each change, is greatest: shape (stretches,)."""
    total, before = fit[0].copy(), np.zeros(fit.shape, int)
    for at in range(1, len(fit)):
        best = int(total.argmax())
        stays = total >= total[best] - CHANGE
        before[at] = np.where(stays, np.arange(fit.shape[1]), best)
        total = np.maximum(total, total[best] - CHANGE) + fit[at]
    states = [int(total.argmax())]
    for at in range(len(fit) - 1, 0, -1):
        states.append(int(before[at, states[-1]]))
    return np.array(states[::-1])


def _shares(classes: np.ndarray) -> np.ndarray:
    """Mean over frames of how each one's strength is shared among the pitch classes."""
    shares: np.ndarray = (classes / np.maximum(classes.sum(axis=1, keepdims=True), 1e-6)).mean(axis=0)
    return shares


def _correlation(profile: np.ndarray, classes: np.ndarray) -> float:
    return float(np.corrcoef(profile, classes)[0, 1]) if classes.std() > 1e-9 else 0.0


def _chord_name(index: int) -> str:
    return "N" if index == NONE else NAMES[index % 12] + ("m" if index >= 12 else "")
