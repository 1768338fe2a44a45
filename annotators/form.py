"""Sections: where the rhythm, the register and the harmony change together, on a beat.

Novelty along the diagonal of the self-similarity of the beats, by a checkerboard, as Foote has it ("Automatic audio
segmentation using a measure of audio novelty", 2000). Sections that sound alike get the same letter. What takes less
than a few bars, or repeats with the same instruments and rhythm, is not told apart.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from string import ascii_uppercase

import numpy as np
from scipy.ndimage import gaussian_filter1d

from annotators.meter import rhythm_of
from annotators.notes import HOP_MS as NOTES_HOP_MS
from annotators.notes import Notes, pitch_classes_between
from annotators.onsets import standing_out

REACH_MS = 8_000  # of the checkerboard, to each side
MIN_MS = 4_000  # of a section
MIN_BEATS, MIN_MUSIC_MS = 16, 12_000  # less holds no parts that a listener would tell
HARMONY, REGISTER, RHYTHM = 0.5, 0.2, 1.0  # what a change of each counts for
REGISTER_SEMITONES = 6
DOWNBEAT_HELP = 0.1  # of novelty, where a bar begins
MIN_NOVELTY = 0.3
ALIKE = 0.35  # correlation from which on two sections have the same letter


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionSpan:
    label: str  # "A", "B", ...; after "Z" comes "AA"
    start_ms: int  # from the start of the sound
    end_ms: int
    score: float  # 0..1: how much stands between it and the next, or the last, the weaker of the two


def sections_of(
    onsets: np.ndarray, notes: Notes, beats_ms: tuple[int, ...], downbeats_ms: tuple[int, ...], duration_ms: int
) -> list[SectionSpan]:
    """Sections that tile the sound, two or more; none where nothing changes, or there are too few beats to tell."""
    if len(beats_ms) < MIN_BEATS or duration_ms < MIN_MUSIC_MS:
        return []
    beats = np.array(beats_ms, float)
    looks = _looks(onsets, notes, beats)
    gap_ms = float(np.median(np.diff(beats)))
    novelty = novelty_of(looks, max(4, round(REACH_MS / gap_ms)))
    novelty += DOWNBEAT_HELP * np.isin(beats_ms, downbeats_ms)
    starts = _peaks(novelty, max(2, round(MIN_MS / gap_ms)))
    if not starts:
        return []
    bounds = [0, *starts, len(beats)]
    between = [1.0, *(float(np.clip(novelty[start], 0, 1)) for start in starts), 1.0]
    edges_ms = [0, *(beats_ms[start] for start in starts), duration_ms]
    labels = labels_of([looks[first:last].mean(axis=0) for first, last in pairwise(bounds)])
    spans = [
        SectionSpan(label=label, start_ms=start_ms, end_ms=end_ms, score=round(min(before, after), 2))
        for label, (start_ms, end_ms), (before, after) in zip(
            labels, pairwise(edges_ms), pairwise(between), strict=True
        )
    ]
    return _joined(spans)


def novelty_of(looks: np.ndarray, reach: int) -> np.ndarray:
    """How much more alike beats are on either side of each beat than across it, 0..2 or so: shape (beats,)."""
    unit = looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    alike = np.pad(unit @ unit.T, reach)
    offset = np.arange(-reach, reach) + 0.5
    side = np.exp(-2 * (offset / reach) ** 2) * np.sign(offset)
    board = np.outer(side, side) / np.sum(np.abs(side)) ** 2
    novelty = np.zeros(len(looks))
    for beat in range(len(looks)):
        here = slice(beat, beat + 2 * reach)
        novelty[beat] = 2 * np.sum(board * alike[here, here])
    return novelty


def _looks(onsets: np.ndarray, notes: Notes, beats_ms: np.ndarray) -> np.ndarray:
    """Each beat by its harmony (over about a bar), its register and its rhythm, less the mean: (beats, values)."""
    edges_ms = np.append(beats_ms, 2 * beats_ms[-1] - beats_ms[-2])
    classes = [_unit(np.sqrt(pitch_classes_between(part, edges_ms))) for part in (notes.treble, notes.bass)]
    heights = np.add.reduceat(np.sqrt(notes.strengths), np.arange(0, notes.strengths.shape[1], REGISTER_SEMITONES), 1)
    frames = np.arange(len(heights)) * NOTES_HOP_MS
    middles_ms = (edges_ms[:-1] + edges_ms[1:]) / 2
    register = np.stack([np.interp(middles_ms, frames, height) for height in heights.T], axis=1)
    rhythm = rhythm_of(standing_out(onsets), beats_ms).reshape(len(beats_ms), -1)
    parts = [
        HARMONY * gaussian_filter1d(np.hstack(classes), 2.0, axis=0),
        2 * REGISTER * _unit(register),
        RHYTHM * _unit(np.sqrt(rhythm)),
    ]
    looks = np.hstack(parts)
    return np.asarray(looks - looks.mean(axis=0))


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def _peaks(novelty: np.ndarray, apart: int) -> list[int]:
    """Beats whose novelty is the highest around, none nearer to another, or to an end, than `apart`."""
    found: list[int] = []
    for beat in np.argsort(-novelty, kind="stable"):
        if novelty[beat] < MIN_NOVELTY:
            break
        inside = apart <= beat <= len(novelty) - apart
        if inside and novelty[beat] >= novelty[beat - apart : beat + apart + 1].max():
            found.append(int(beat))
    return sorted(found)


def labels_of(means: list[np.ndarray]) -> list[str]:
    """A letter for each section: that of the section before it that it is most like, or the next new one."""
    letters: list[str] = []
    for index, mean in enumerate(means):
        alike = [_cosine(mean, other) for other in means[:index]]
        best = int(np.argmax(alike)) if alike else -1
        if best >= 0 and alike[best] >= ALIKE and best != index - 1:
            letters.append(letters[best])
        else:
            letters.append(_letter(len(set(letters))))
    return letters


def _letter(index: int) -> str:
    """From A to Z, then from AA to ZZ, and so on."""
    return ascii_uppercase[index % 26] * (1 + index // 26)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / max(1e-9, float(np.linalg.norm(one) * np.linalg.norm(other))))


def _joined(spans: list[SectionSpan]) -> list[SectionSpan]:
    """Neighbours with the same letter as one."""
    joined: list[SectionSpan] = []
    for span in spans:
        if joined and joined[-1].label == span.label:
            joined[-1] = replace(joined[-1], end_ms=span.end_ms, score=min(joined[-1].score, span.score))
        else:
            joined.append(span)
    return joined if len(joined) > 1 else []
