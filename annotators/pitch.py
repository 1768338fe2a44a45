"""The pitch of a voice, frame by frame, from the autocorrelation of the frame over that of its window.

After Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio
of a sampled sound" (1993), without its search for the best path: medians do not need one.
"""

import numpy as np

from annotators.frames import db, framed

FRAME_MS = 40  # three periods of the lowest voice
HOP_MS = 20
LOWEST_HZ, HIGHEST_HZ = 70, 400
VOICED = 0.5  # correlation of a frame with itself one period later, from here on
QUIET_DB = 25.0  # frames this far below the loudest are not judged
OCTAVE_COST = 0.03  # correlation a candidate gives up per octave downwards; a period twice as long fits as well


def voiced_pitch_hz(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Pitch of the voiced frames only, in order, shape (voiced frames,); often empty."""
    size, hop = rate_hz * FRAME_MS // 1000, rate_hz * HOP_MS // 1000
    frames = framed(samples, size, hop)
    level_db = db(np.mean(np.square(frames, dtype=np.float64), axis=1))
    loud = level_db > max(-70.0, float(level_db.max()) - QUIET_DB)
    if not loud.any():
        return np.zeros(0)
    correlation = _normalised_autocorrelation(frames[loud], size)
    lags = np.arange(rate_hz // HIGHEST_HZ, rate_hz // LOWEST_HZ + 1)
    costs = OCTAVE_COST * np.log2(lags / lags[0])
    best = lags[np.argmax(correlation[:, lags] - costs, axis=1)]
    rows = np.arange(len(best))
    left, peak, right = (correlation[rows, best + shift] for shift in (-1, 0, 1))
    inside = (peak >= left) & (peak >= right)  # the edge of the range is no peak
    voiced = inside & (peak > VOICED)
    bend = np.maximum(2 * peak - left - right, 1e-9)
    refined = best + np.clip((right - left) / (2 * bend), -0.5, 0.5)  # the top of the parabola through three points
    return np.asarray(rate_hz / refined[voiced], dtype=np.float64)


def _normalised_autocorrelation(frames: np.ndarray, size: int) -> np.ndarray:
    window = np.hanning(size)
    length = 1 << (2 * size - 1).bit_length()
    heard = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window, length)
    expected = _autocorrelation(window[None, :], length)
    shown = size * 3 // 4  # beyond it the window leaves too little to divide by
    scale = np.maximum(heard[:, :1], 1e-9) * expected[:, :shown] / expected[:, :1]
    return np.asarray(heard[:, :shown] / scale)


def _autocorrelation(frames: np.ndarray, length: int) -> np.ndarray:
    spectra = np.fft.rfft(frames, length, axis=1)
    return np.fft.irfft(np.square(spectra.real) + np.square(spectra.imag), length, axis=1)
