"""Key and chords from librosa's chroma: how strongly each of the twelve pitch classes sounds.

The key is the profile of Krumhansl and Kessler ("Tracing the dynamic changes in perceived tonal organization",
1982) that correlates best, as Krumhansl and Schmuckler proposed. Chords are major and minor triads, found by
the most probable path through frames of half a second (Viterbi). Thirds on top of the triad, inversions and
borrowed notes are not told apart.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.audio import Waveform

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
WINDOW_MS, HOP_MS = 256, 125
CHORD_HOPS = 4  # hops to a chord frame
CHORD_MS = CHORD_HOPS * HOP_MS
NO_CHORD = 0.7  # similarity that a triad must pass to be preferred to none
DECISION = 36  # how fast a chord grows improbable with its similarity: with STAYING, a change costs 0.15 of it
STAYING = 0.9  # probability that the chord stays from one frame to the next


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
    """Strength of the pitch classes from C up, shape (12, hops), each hop with a largest of 1, or all 0."""
    import librosa  # takes seconds, which a driver need not wait

    rate_hz = waveform.rate_hz
    size, hop = rate_hz * WINDOW_MS // 1000, rate_hz * HOP_MS // 1000
    samples = librosa.util.fix_length(waveform.samples, size=max(size, len(waveform.pcm)))
    power = np.square(np.abs(librosa.stft(samples, n_fft=size, hop_length=hop)))
    pitches, strengths = librosa.piptrack(S=power, sr=rate_hz)
    loud = pitches[strengths > strengths.mean()]
    tuning = librosa.pitch_tuning(loud) if len(loud) else 0.0
    return np.asarray(librosa.feature.chroma_stft(S=power, sr=rate_hz, tuning=tuning))


def key_of(chroma: np.ndarray) -> Key:
    mean = chroma.mean(axis=1)
    if mean.std() < 1e-6:
        return Key(name="C major", score=0.0, margin=0.0)
    scores = [np.corrcoef(np.roll(profile, tonic), mean)[0, 1] for profile in (MAJOR, MINOR) for tonic in range(12)]
    best = int(np.argmax(scores))
    name = f"{NAMES[best % 12]} {'minor' if best >= 12 else 'major'}"
    second, first = sorted(scores)[-2:]
    return Key(name=name, score=round(max(0.0, float(first)), 2), margin=round(float(first - second), 3))


def chords_of(chroma: np.ndarray, duration_ms: int) -> list[ChordSpan]:
    """Chords that tile the sound; "N" where no triad fits."""
    import librosa

    frames = librosa.util.sync(chroma, range(0, chroma.shape[1], CHORD_HOPS))[:, : -(-duration_ms // CHORD_MS)]
    similarity = _similarity(frames)
    changes = librosa.sequence.transition_loop(len(similarity), STAYING)
    states = librosa.sequence.viterbi(np.exp(DECISION * (similarity - 1)), changes)
    starts = [0, *(np.flatnonzero(np.diff(states)) + 1)]
    return [
        ChordSpan(
            name=_chord_name(states[start]),
            start_ms=int(start) * CHORD_MS,
            end_ms=duration_ms if end == len(states) else int(end) * CHORD_MS,
            score=round(float(similarity[states[start], start:end].mean()), 2),
        )
        for start, end in pairwise([*starts, len(states)])
    ]


def _similarity(frames: np.ndarray) -> np.ndarray:
    """Cosine between each frame and the 12 major triads, the 12 minor ones, and "no chord", shape (25, frames)."""
    triads = [np.roll(np.isin(np.arange(12), notes), root) for notes in ((0, 4, 7), (0, 3, 7)) for root in range(12)]
    templates = np.array(triads) / np.sqrt(3)
    cosine = templates @ frames / np.maximum(np.linalg.norm(frames, axis=0), 1e-6)
    similarity: np.ndarray = np.clip(np.vstack([cosine, np.full(frames.shape[1], NO_CHORD)]), 0.0, 1.0)
    return similarity


def _chord_name(index: int) -> str:
    return "N" if index == 24 else NAMES[index % 12] + ("m" if index >= 12 else "")
