"""What can be measured of one sound: how long, how loud, how it begins, where its energy lies, how it moves."""

from dataclasses import dataclass

import numpy as np

from annotators.frames import FLOOR_DB, db, levels_db, power_spectra, rms_db
from schemas.audio import Waveform

LEVEL_MS = 5
SPECTRUM_MS, HOP_MS = 64, 16
NUM_PARTIALS = 5  # the strongest peaks of a spectrum that count as tones
PARTIAL_BINS = 2  # to each side of a peak: the width of a Hann-windowed sine
LOW_HZ, HIGH_HZ = 200, 3_000
ONSET_DB = 6.0  # to rise from the last low to an onset, and to fall from there before the next
RANGE_DB = 20.0  # a sound lasts while it is no further below its peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    rms_db: float  # relative to full scale
    peak_db: float  # of the loudest few milliseconds
    active_ms: int  # time within 20 dB of the peak
    first_ms: int  # from the start of the waveform to the first of it
    lasts_ms: int  # from the first of it to the last
    rise_ms: int  # from 20 dB below the peak to the peak
    spread_db: float  # standard deviation while active
    slope_db_s: float  # of a line through the active part


@dataclass(frozen=True, slots=True, kw_only=True)
class Onsets:
    count: int
    rate_hz: float = 0.0  # onsets a second
    regularity: float = 0.0  # 0..1: how alike the times between onsets are


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    centroid_hz: int
    bandwidth_hz: int  # spread around the centroid, one standard deviation to each side
    flatness: float  # 0 for a sine, 1 where all frequencies are alike
    tonality: float  # 0..1: share of the energy in a few narrow peaks
    low_share: float  # of the energy below 200 Hz
    high_share: float  # of the energy above 3 kHz


@dataclass(frozen=True, slots=True, kw_only=True)
class Pitch:
    """Of the strongest partial."""

    start_hz: int  # median of the first tenth
    end_hz: int  # of the last
    wander_semitones: float  # median distance from a straight line over time


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All the rules may look at."""

    level: Level
    onsets: Onsets
    spectrum: Spectrum
    pitch: Pitch


def measured(waveform: Waveform) -> Measured:
    """Of the whole waveform; a few samples, or zeros, give numbers as well."""
    samples, rate_hz = waveform.samples, waveform.rate_hz
    level_db = levels_db(samples, rate_hz, LEVEL_MS)
    size = rate_hz * SPECTRUM_MS // 1000
    centred = samples - np.mean(samples, dtype=np.float64) if len(samples) else samples
    spectra = power_spectra(centred, size, rate_hz * HOP_MS // 1000).astype(np.float64)
    energy = spectra.sum(axis=1)
    loud = spectra[energy >= energy.max() / 100] if energy.max() > 0 else np.ones_like(spectra[:1])
    return Measured(
        level=_level(level_db, round(rms_db(samples), 1)),
        onsets=_onsets(level_db),
        spectrum=_spectrum(loud, rate_hz / size),
        pitch=_pitch(loud, rate_hz / size),
    )


def _level(level_db: np.ndarray, of_all_db: float) -> Level:
    peak_index = int(np.argmax(level_db))
    peak_db = float(level_db[peak_index])
    active = np.flatnonzero(level_db >= peak_db - RANGE_DB)
    before = np.flatnonzero(level_db[:peak_index] < peak_db - RANGE_DB)
    shown_db = level_db[active]
    slope_db_s = np.polyfit(active * LEVEL_MS / 1000, shown_db, 1)[0] if len(active) >= 10 else 0.0
    return Level(
        rms_db=of_all_db,
        peak_db=round(peak_db, 1),
        active_ms=len(active) * LEVEL_MS,
        first_ms=int(active[0]) * LEVEL_MS,
        lasts_ms=int(active[-1] - active[0] + 1) * LEVEL_MS,
        rise_ms=(peak_index - int(before[-1]) if len(before) else peak_index) * LEVEL_MS,
        spread_db=round(float(np.std(shown_db)), 1),
        slope_db_s=round(float(slope_db_s), 1),
    )


def _onsets(level_db: np.ndarray) -> Onsets:
    """An onset is where the level, a 25 ms mean so that the grain of noise does not count, has risen since it fell."""
    smooth_db = db(np.convolve(10 ** (level_db / 10), np.full(5, 0.2))[2:-2])
    floor_db = max(FLOOR_DB, float(smooth_db.max()) - 2 * RANGE_DB)
    onsets: list[int] = []
    extreme_db, falling = floor_db, True
    for index, now_db in enumerate(np.maximum(smooth_db, floor_db).tolist()):
        extreme_db = min(extreme_db, now_db) if falling else max(extreme_db, now_db)
        if falling and now_db >= extreme_db + ONSET_DB:
            onsets.append(index)
        if abs(now_db - extreme_db) >= ONSET_DB:
            extreme_db, falling = now_db, not falling
    if len(onsets) < 2:
        return Onsets(count=len(onsets))
    gaps_s = np.diff(onsets) * LEVEL_MS / 1000
    evenness = max(0.0, 1 - float(np.std(gaps_s) / np.mean(gaps_s)))
    return Onsets(count=len(onsets), rate_hz=round(1 / float(np.mean(gaps_s)), 1), regularity=round(evenness, 2))


def _spectrum(spectra: np.ndarray, bin_hz: float) -> Spectrum:
    mean = spectra.sum(axis=0) / spectra.sum()
    hz = np.arange(len(mean)) * bin_hz
    centroid_hz = float(mean @ hz)
    return Spectrum(
        centroid_hz=round(centroid_hz),
        bandwidth_hz=round(float(np.sqrt(mean @ (hz - centroid_hz) ** 2))),
        flatness=round(float(np.exp(np.mean(np.log(mean + 1e-12))) / np.mean(mean + 1e-12)), 2),
        tonality=round(_share_of_partials(spectra), 2),
        low_share=round(float(mean[hz < LOW_HZ].sum()), 2),
        high_share=round(float(mean[hz > HIGH_HZ].sum()), 2),
    )


def _share_of_partials(spectra: np.ndarray) -> float:
    """Energy in the strongest peaks of each frame over all energy."""
    left = spectra.copy()
    rows, found = np.arange(len(left)), 0.0
    for _ in range(NUM_PARTIALS):
        peaks = np.argmax(left, axis=1)
        for shift in range(-PARTIAL_BINS, PARTIAL_BINS + 1):
            columns = np.clip(peaks + shift, 0, left.shape[1] - 1)
            found += float(left[rows, columns].sum())
            left[rows, columns] = 0.0
    return found / float(spectra.sum())


def _pitch(spectra: np.ndarray, bin_hz: float) -> Pitch:
    rows, peaks = np.arange(len(spectra)), np.clip(np.argmax(spectra, axis=1), 1, spectra.shape[1] - 2)
    left, top, right = (np.log(spectra[rows, peaks + shift] + 1e-12) for shift in (-1, 0, 1))
    bend = np.maximum(2 * top - left - right, 1e-9)
    semitones = 12 * np.log2((peaks + np.clip((right - left) / (2 * bend), -0.5, 0.5)) * bin_hz)
    slope, start = np.polyfit(rows, semitones, 1) if len(rows) >= 4 else (0.0, float(np.median(semitones)))
    tenth = -(-len(rows) // 10)
    return Pitch(
        start_hz=round(float(2 ** (np.median(semitones[:tenth]) / 12))),
        end_hz=round(float(2 ** (np.median(semitones[-tenth:]) / 12))),
        wander_semitones=round(float(np.median(np.abs(semitones - start - slope * rows))), 1),
    )
