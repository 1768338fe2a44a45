"""Key and chords from how strongly each of the twelve pitch classes sounds.

The key is the profile of Krumhansl and Kessler ("Tracing the dynamic changes in perceived tonal organization",
1982) that correlates best, as Krumhansl and Schmuckler proposed. Chords are major and minor triads, found by
the cheapest path through frames of half a second (Viterbi), where changing costs something. Thirds on top of
the triad, inversions and borrowed notes are not told apart.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from annotators.frames import power_spectra
from schemas.audio import Waveform

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
WINDOW_MS, HOP_MS = 256, 125
CHORD_HOPS = 4  # hops to a chord frame: half a second
LOWEST_HZ, HIGHEST_HZ = 65.0, 2_100.0  # C2 to C7: where notes have their strong partials
CHANGE_COST = 0.15  # of similarity, to change the chord
NO_CHORD = 0.7  # similarity that a triad must pass to be preferred to none


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    name: str  # "G major"
    score: float  # 0..1: correlation with the profile
    margin: float  # by which it beats the second best


@dataclass(frozen=True, slots=True, kw_only=True)
class ChordSpan:
    name: str
    start_ms: int  # from the start of the waveform
    end_ms: int
    score: float


def chroma_of(waveform: Waveform) -> np.ndarray:
    """Strength of the pitch classes from C up, shape (hops, 12), each hop with a largest of 1, or all 0."""
    rate_hz = waveform.rate_hz
    size = rate_hz * WINDOW_MS // 1000
    spectra = power_spectra(waveform.samples, size, rate_hz * HOP_MS // 1000)
    hz = np.arange(spectra.shape[1]) * rate_hz / size
    shown = (hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ)
    strength = np.sqrt(_peaks(spectra)[:, shown].astype(np.float64))
    semitones = 12 * np.log2(hz[shown] / 440.0) + 9  # from C
    semitones = semitones - _tuning(strength.sum(axis=0), semitones)
    nearest = np.rint(semitones)
    weight = np.exp(-0.5 * ((semitones - nearest) / 0.25) ** 2)
    chroma = np.zeros((len(strength), 12))
    for pitch_class in range(12):
        belongs = nearest % 12 == pitch_class
        chroma[:, pitch_class] = strength[:, belongs] @ weight[belongs]
    largest = chroma.max(axis=1, keepdims=True)
    return np.where(largest > 1e-2, chroma / np.maximum(largest, 1e-2), 0.0)


def key_of(chroma: np.ndarray) -> Key:
    mean = chroma.mean(axis=0)
    if mean.std() < 1e-6:
        return Key(name="C major", score=0.0, margin=0.0)
    scores = [np.corrcoef(np.roll(profile, tonic), mean)[0, 1] for profile in (MAJOR, MINOR) for tonic in range(12)]
    best = int(np.argmax(scores))
    name = f"{NAMES[best % 12]} {'minor' if best >= 12 else 'major'}"
    second, first = sorted(scores)[-2:]
    return Key(name=name, score=round(max(0.0, float(first)), 2), margin=round(float(first - second), 3))


def chords_of(chroma: np.ndarray, duration_ms: int) -> list[ChordSpan]:
    """Chords that tile the sound; "N" where no triad fits."""
    frames = np.array([chroma[i : i + CHORD_HOPS].mean(axis=0) for i in range(0, len(chroma), CHORD_HOPS)])
    similarity = _similarity(frames)
    spans = []
    for name, run in groupby(enumerate(_cheapest_path(similarity)), key=lambda pair: pair[1]):
        indices = [index for index, _ in run]
        start_ms = indices[0] * CHORD_HOPS * HOP_MS
        end_ms = duration_ms if indices[-1] == len(frames) - 1 else (indices[-1] + 1) * CHORD_HOPS * HOP_MS
        if start_ms < min(end_ms, duration_ms):
            score = round(float(similarity[indices, name].mean()), 2)
            spans.append(
                ChordSpan(name=_chord_name(name), start_ms=start_ms, end_ms=min(end_ms, duration_ms), score=score)
            )
    return spans


def _peaks(spectra: np.ndarray) -> np.ndarray:
    """Only what stands above its neighbours: noise and the skirts of loud partials are no notes."""
    higher = (spectra[:, 1:-1] > spectra[:, :-2]) & (spectra[:, 1:-1] >= spectra[:, 2:])
    kept = np.zeros_like(spectra)
    kept[:, 1:-1] = np.where(higher, spectra[:, 1:-1], 0.0)
    return kept


def _tuning(strength: np.ndarray, semitones: np.ndarray) -> float:
    """How far, in semitones, the notes lie beside those of A = 440 Hz: a circular mean."""
    return float(np.angle(np.sum(strength * np.exp(2j * np.pi * semitones))) / (2 * np.pi))


def _similarity(frames: np.ndarray) -> np.ndarray:
    """Cosine between each frame and the 12 major triads, the 12 minor ones, and "no chord", shape (frames, 25)."""
    triads = [np.roll(np.isin(np.arange(12), notes), root) for notes in ((0, 4, 7), (0, 3, 7)) for root in range(12)]
    templates = np.array(triads, dtype=np.float64) / np.sqrt(3)
    norms = np.linalg.norm(frames, axis=1, keepdims=True)
    cosine = (frames / np.maximum(norms, 1e-6)) @ templates.T
    similarity: np.ndarray = np.clip(np.hstack([cosine, np.full((len(frames), 1), NO_CHORD)]), 0.0, 1.0)
    return similarity


def _cheapest_path(similarity: np.ndarray) -> list[int]:
    total, before = similarity[0].copy(), []
    for now in similarity[1:]:
        best = int(np.argmax(total))
        changes = total[best] - CHANGE_COST > total
        before.append(np.where(changes, best, np.arange(len(total))))
        total = np.where(changes, total[best] - CHANGE_COST, total) + now
    path = [int(np.argmax(total))]
    for pointers in reversed(before):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def _chord_name(index: int) -> str:
    return "N" if index == 24 else NAMES[index % 12] + ("m" if index >= 12 else "")
