"""Partials that hold their pitch: what tells music from speech and from most other sounds.

Notes hold still; voices, animals and sirens glide; most noises have no partials at all. So what is counted is how
many spectral peaks stay where they are for a fifth of a second, on how many different pitches they lie over some
seconds, and whether these pitches lie on one semitone grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from segmenters.bands import RATE_HZ

HOP_SAMPLES = 512
HOP_MS = 1000 * HOP_SAMPLES // RATE_HZ
SIZE_SAMPLES = 2_048
LOWEST_HZ, HIGHEST_HZ = 120.0, 4_000.0
FIRST_BIN = int(LOWEST_HZ * SIZE_SAMPLES / RATE_HZ)
LAST_BIN = int(HIGHEST_HZ * SIZE_SAMPLES / RATE_HZ)
HELD_FRAMES = 5  # 160 ms: a vowel glides further than one bin in that time
PEAK_DB = 9.0  # above the mean of its surroundings
SURROUNDINGS_BINS = 25
DEPTH_DB = 30.0  # below the loudest peak of its frame, a partial does not count
FLOOR_DB = -90.0  # in one bin; the noise of 16 bits has peaks as well
LOWEST_SEMITONE, NUM_SEMITONES = -24, 64  # from A4, at 440 Hz
BLOCK_FRAMES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partials:
    """Held partials of each frame of `HOP_MS`."""

    weights: np.ndarray  # float32, shape (frames, semitones): how strong they are, 0..1 each, at their nearest semitone
    counts: np.ndarray  # float32, shape (frames,): how many
    offsets: np.ndarray  # complex64, shape (frames,): sum over them of e^(2 pi i * distance from the semitone)


def held_partials(samples_16k: np.ndarray) -> Partials:
    num_frames = max(1, -(-len(samples_16k) // HOP_SAMPLES))
    weights = np.zeros((num_frames, NUM_SEMITONES), np.float32)
    counts = np.zeros(num_frames, np.float32)
    offsets = np.zeros(num_frames, np.complex64)
    for first, power in _blocks(samples_16k, num_frames):
        strength, semitones = _peaks(power)
        held = _held(strength > 0)
        frames, bins = np.nonzero(held[HELD_FRAMES:])
        weight, pitch = strength[HELD_FRAMES:][frames, bins], semitones[HELD_FRAMES:][frames, bins]
        index = np.clip(np.rint(pitch).astype(int) - LOWEST_SEMITONE, 0, NUM_SEMITONES - 1)
        np.add.at(weights, (first + frames, index), weight)
        np.add.at(counts, first + frames, 1)
        np.add.at(offsets, first + frames, weight * np.exp(2j * np.pi * pitch))
    return Partials(weights=weights, counts=counts, offsets=offsets)


def music_scores(partials: Partials, heard: np.ndarray, reach: int) -> np.ndarray:
    """How much the sound around each frame is like music, 0..1: shape (frames,).

    `heard` says which frames count, shape (frames,); `reach` is how many frames to each side are taken together.
    """
    gate = heard.astype(np.float32)
    num_heard = np.maximum(_around(gate, reach), 1.0)
    held = _around(partials.counts * gate, reach) / num_heard
    weights = _around(partials.weights * gate[:, None], reach)
    total = np.maximum(weights.sum(axis=1), 1e-6)
    share = weights / total[:, None]
    variety = -np.sum(share * np.log(share + 1e-9), axis=1)
    on_grid = np.abs(_around(partials.offsets * gate, reach)) / total
    score: np.ndarray = _ramp(held, *HELD) * _ramp(variety, *VARIETY) * _ramp(on_grid, *ON_GRID)
    return score


# From where each measure says nothing for music to where it says all it can. Chosen on labelled clips.
HELD = (0.0, 2.0)  # held partials per frame
VARIETY = (1.0, 3.2)  # entropy in nats of their pitches: one note and its overtones against a melody
ON_GRID = (0.0, 0.5)  # how well the pitches agree on one semitone grid, 0..1


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    ramp: np.ndarray = np.clip((values - low) / (high - low), 0.0, 1.0)
    return ramp


def _around(values: np.ndarray, reach: int) -> np.ndarray:
    """Sums over the frames from `reach` before to `reach` after each."""
    sums = np.concatenate([np.zeros((1, *values.shape[1:]), values.dtype), np.cumsum(values, axis=0)])
    here = np.arange(len(values))
    around: np.ndarray = sums[np.minimum(here + reach + 1, len(values))] - sums[np.maximum(here - reach, 0)]
    return around


def _blocks(samples: np.ndarray, num_frames: int) -> Iterator[tuple[int, np.ndarray]]:
    """Power of the bins of interest and one to each side: index of the first new frame, and (frames, bins).

    The first `HELD_FRAMES` frames of a block repeat the end of the one before.
    """
    window = np.hanning(SIZE_SAMPLES + 1)[:-1]
    window = (window / np.sum(window)).astype(np.float32)
    for first in range(0, num_frames, BLOCK_FRAMES):
        count = min(BLOCK_FRAMES, num_frames - first) + HELD_FRAMES
        start = (first - HELD_FRAMES) * HOP_SAMPLES - (SIZE_SAMPLES - HOP_SAMPLES) // 2
        block = np.zeros((count - 1) * HOP_SAMPLES + SIZE_SAMPLES, np.float32)
        here = samples[max(0, start) : max(0, start + len(block))]
        block[max(0, -start) : max(0, -start) + len(here)] = here
        framed = np.lib.stride_tricks.sliding_window_view(block, SIZE_SAMPLES)[::HOP_SAMPLES]
        spectra = scipy.fft.rfft(framed * window, axis=1)[:, FIRST_BIN - 1 : LAST_BIN + 2]
        yield first, np.square(spectra.real) + np.square(spectra.imag)


def _peaks(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength of each bin that is a peak, else 0, and its pitch in semitones from A4: both (frames, bins)."""
    level = 10 * np.log10(power + 10 ** (FLOOR_DB / 10))
    around = uniform_filter1d(level, SURROUNDINGS_BINS, axis=1, mode="nearest")[:, 1:-1]
    before, here, after = level[:, :-2], level[:, 1:-1], level[:, 2:]
    top = here.max(axis=1, keepdims=True)
    is_peak = (here > before) & (here >= after) & (here > around + PEAK_DB) & (here > top - DEPTH_DB)
    strength = np.where(is_peak, (here - top + DEPTH_DB) / DEPTH_DB, np.float32(0))
    bend = np.minimum(before - 2 * here + after, -1e-3)
    shift = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    hz = (np.arange(FIRST_BIN, LAST_BIN + 1) + shift) * RATE_HZ / SIZE_SAMPLES
    return strength, 12 * np.log2(hz / 440.0)


def _held(is_peak: np.ndarray) -> np.ndarray:
    """Whether each peak has been there, within one bin, for all of the last frames."""
    near = is_peak.copy()
    near[:, 1:] |= is_peak[:, :-1]
    near[:, :-1] |= is_peak[:, 1:]
    held = is_peak.copy()
    held[:HELD_FRAMES] = False
    for back in range(2, HELD_FRAMES + 1):
        held[HELD_FRAMES:] &= near[HELD_FRAMES - back : len(near) - back]
    return held
