"""Where two voices are heard at once: a network of this project, its weights beside this file (see CARD.md).

It looks at the shape of the spectrum and at its periods: two voices show two pitches at a time, or the one through
the gaps of the other. What one voice does in an echoing room is much like it, so it is sure of little, and only what
it is sure of for some time is told.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from annotators.mels import mel_power
from schemas.audio import Waveform, resampled
from schemas.network import opened
from schemas.record import Turn
from schemas.span import Span, union

RATE_HZ = 16_000
HOP_SAMPLES = 320
MEL_SAMPLES, PERIOD_SAMPLES = 512, 1_024  # what a frame hears: short for the shape, long for the pitch
NUM_MELS, NUM_PERIODS = 64, 96
FEATURES = NUM_MELS + NUM_PERIODS
LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ = 55.0, 520.0
PERIOD_BINS = slice(4, 257)  # 60 Hz to 4 kHz: what periods are looked for in
ENVELOPE_BINS = 31  # about 480 Hz: what the whitening leaves out
AROUND_FRAMES = 75  # to each side: the sound whose mean power the level is taken against
LEVEL_FLOOR = 1e-7  # of the mels' power: sound below it is pictured as faint as it is
RANGE_DB = (-50.0, 30.0)
SCALE_DB = 20.0
FRAMES_PER_STEP = 2
STEP_MS = 1000 * HOP_SAMPLES * FRAMES_PER_STEP // RATE_HZ  # 40: what the network says one score of
FEWEST_STEPS = 25  # a second of one voice, to know what it is like
WEIGHTS = Path(__file__).with_name("overlap.onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRules:
    score: float = 0.6  # from which a step counts as two voices
    usual: float = (
        -2.5
    )  # log odds below which the quieter seven tenths of the speech lie, where they are of known voices
    sobering: float = (
        2.0  # what they lie above it is taken off this many times: a voice that often seems two is strange
    )
    bridge_ms: int = 120  # steps this close are one overlap
    min_ms: int = 200  # a shorter one is not told from a syllable
    told_ms: int = 400  # a longer one is worth a sentence
    told_score: float = 0.8  # and where this sure
    max_music: float = 0.3  # of the profile; with more it is not asked, for an instrument passes for a second voice
    reach_ms: int = 100  # from a change of speaker to an overlap, for both to speak in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(Span):
    """Two voices at once."""

    score: float  # 0..1: mean of its steps


class OverlapDetector:
    """The network, ready to listen, on one thread."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        read = weights.read_bytes()
        self.model = f"earmark-overlap@1+{hashlib.sha256(read).hexdigest()[:8]}"
        self._session = opened(read)

    def hear(self, waveform: Waveform) -> np.ndarray:
        """How likely two voices sound at once in each step begun: float32, shape (steps,)."""
        picture = features(resampled(waveform, RATE_HZ))
        (scores,) = self._session.run(["overlap"], {"features": picture[None]})
        return np.asarray(scores[0])


def overlaps_of(scores: np.ndarray, speech: Sequence[Span], whole: Span, rules: OverlapRules) -> list[Overlap]:
    """Where the scores say two voices, within the speech, which lies within `whole`; in time order."""
    scores = sobered(scores, speech, whole, rules)
    starts_ms = [whole.start_ms + int(step) * STEP_MS for step in np.flatnonzero(scores >= rules.score)]
    heard = union((Span.of(at_ms, at_ms + STEP_MS) for at_ms in starts_ms), bridge_ms=rules.bridge_ms)
    inside = [part for span in heard for stretch in speech if (part := span.clipped(stretch))]
    return [_scored(span, scores, whole) for span in inside if span.duration_ms >= rules.min_ms]


def sobered(scores: np.ndarray, speech: Sequence[Span], whole: Span, rules: OverlapRules) -> np.ndarray:
    """The scores, lowered where even what is likelier one voice often seems a little like two: shape (steps,)."""
    odds = np.log(np.clip(scores, 1e-4, 1 - 1e-4).astype(np.float64))
    odds -= np.log1p(-np.clip(scores, 1e-4, 1 - 1e-4).astype(np.float64))
    edges = [((s.start_ms - whole.start_ms) // STEP_MS, (s.end_ms - whole.start_ms) // STEP_MS) for s in speech]
    spoken = np.concatenate([odds[first:last] for first, last in edges] or [odds[:0]])
    single = spoken[spoken < 0]
    excess = max(0.0, float(np.quantile(single, 0.7)) - rules.usual) if len(single) >= FEWEST_STEPS else 0.0
    return np.asarray(1 / (1 + np.exp(rules.sobering * excess - odds)))


def met(turns: Sequence[Turn], overlaps: Sequence[Span], reach_ms: int) -> list[Turn]:
    """The turns, two speakers' both going on through an overlap that lies where one follows the other."""
    longer = list(turns)
    for index, (one, other) in enumerate(pairwise(turns), start=1):
        for span in overlaps:
            near = Span.of(max(0, span.start_ms - reach_ms), span.end_ms + reach_ms)
            if one.speaker != other.speaker and near.start_ms <= one.end_ms <= other.start_ms <= near.end_ms:
                until_ms = min(other.end_ms, max(longer[index - 1].end_ms, span.end_ms))
                from_ms = max(one.start_ms, min(longer[index].start_ms, span.start_ms))
                longer[index - 1] = replace(longer[index - 1], end_ms=until_ms)
                longer[index] = replace(longer[index], start_ms=from_ms)
    return longer


def marked(turns: Sequence[Turn], overlaps: Sequence[Span], min_ms: int) -> list[Turn]:
    """Each turn with whether another voice is heard with it, for this long in all."""
    return [replace(turn, overlap=sum(turn.overlap_ms(span) for span in overlaps) >= min_ms) for turn in turns]


def _scored(span: Span, scores: np.ndarray, whole: Span) -> Overlap:
    first, last = ((at_ms - whole.start_ms) // STEP_MS for at_ms in (span.start_ms, span.end_ms - 1))
    score = round(float(scores[first : last + 1].mean()), 3)
    return Overlap(start_ms=span.start_ms, end_ms=span.end_ms, score=score)


def features(samples_16k: np.ndarray) -> np.ndarray:
    """Level-free mels and periods of each 20 ms, a whole number of steps: float32, shape (frames, mels + periods)."""
    steps = max(1, -(-len(samples_16k) // (HOP_SAMPLES * FRAMES_PER_STEP)))
    frames = steps * FRAMES_PER_STEP
    padded = np.zeros((frames - 1) * HOP_SAMPLES + PERIOD_SAMPLES, np.float32)
    lead = PERIOD_SAMPLES // 2 - HOP_SAMPLES // 2
    here = samples_16k[: len(padded) - lead]
    padded[lead : lead + len(here)] = here
    middles = padded[PERIOD_SAMPLES // 2 :]
    mels = mel_power(middles, RATE_HZ, MEL_SAMPLES, HOP_SAMPLES, NUM_MELS)[:frames]
    return np.concatenate([_level_free(mels), periods(padded)], axis=1)


def periods(padded: np.ndarray) -> np.ndarray:
    """How strongly the whitened spectrum repeats at each period, from the longest: float32, shape (frames, periods)."""
    framed = np.lib.stride_tricks.sliding_window_view(padded, PERIOD_SAMPLES)[::HOP_SAMPLES]
    spectra = scipy.fft.rfft(framed * _window(), axis=1)[:, PERIOD_BINS]
    strength = np.sqrt(np.abs(spectra))
    smooth = uniform_filter1d(strength, ENVELOPE_BINS, axis=1)
    white = strength / np.maximum(smooth, 1e-4) - 1
    return np.asarray((white @ _waves()).astype(np.float32))


def _level_free(mels: np.ndarray) -> np.ndarray:
    reference = np.maximum(0, uniform_filter1d(mels.mean(axis=1), 2 * AROUND_FRAMES + 1, mode="constant")) + LEVEL_FLOOR
    relative_db = 10 * np.log10(np.maximum(mels, 1e-12) / reference[:, None])
    return np.asarray((np.clip(relative_db, *RANGE_DB) / SCALE_DB).astype(np.float32))


@cache
def _window() -> np.ndarray:
    return np.hanning(PERIOD_SAMPLES + 1)[:-1].astype(np.float32)


@cache
def _waves() -> np.ndarray:
    """Cosines over the bins, one for each period, evenly spaced in octaves: float32, shape (bins, periods)."""
    pitches_hz = np.geomspace(LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ, NUM_PERIODS)
    bins_hz = np.arange(PERIOD_BINS.start, PERIOD_BINS.stop)[:, None] * RATE_HZ / PERIOD_SAMPLES
    fading = np.linspace(1, 0.3, len(bins_hz))[:, None]
    waves = fading * np.cos(2 * np.pi * bins_hz / pitches_hz)
    return np.asarray((waves * 4 / fading.sum()).astype(np.float32))
