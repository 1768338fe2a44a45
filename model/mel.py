"""The log-mel spectrogram the encoder hears, to the last bit of the published front end.

Whisper's features (arXiv:2212.04356, section 2.2) with 128 bands and without its 30 s window: a clip is as long as it
is. The loudest value of the whole clip sets the floor, 8 decades below it, so the mel is made before anything is cut.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from model.frames import HOP_SAMPLES, MAX_AUDIO_S, SAMPLE_RATE_HZ, num_mel_frames
from schemas.errors import InputError

NUM_BANDS = 128
WINDOW_SAMPLES = 400  # 25 ms
FRAMES_AT_ONCE = 4096  # of the transform: 45 minutes stay within the memory of 41 s and the result
MEL_FLOOR = 1e-10
RANGE_DECADES = 8.0
LOUDEST = 1e6  # full scale is 1, and a little beyond it is common; the arithmetic holds to here and further

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def log_mel(samples: Floats) -> Floats:
    """The log-mel of one clip, float32 of shape (128 bands, frames), 100 frames a second.

    `samples`: float in [-1, 1], one channel at 16 kHz, shape (time,). Raises InputError for another shape, for what is
    no sound (not finite, or beyond all measure), for less than one frame (10 ms), and for more than fits one prompt
    (45 minutes).
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise InputError(
            f"the samples have shape {samples.shape}; one channel is heard, of shape (time,): mix them first"
        )
    frames = num_mel_frames(len(samples))
    if frames < 1:
        raise InputError(f"{len(samples)} samples are too short to be heard: one mel frame takes {HOP_SAMPLES} (10 ms)")
    if len(samples) > MAX_AUDIO_S * SAMPLE_RATE_HZ:
        raise InputError(
            f"{len(samples) / SAMPLE_RATE_HZ / 60:.1f} minutes of sound are more than one prompt holds "
            f"({MAX_AUDIO_S // 60} minutes): cut it into shorter pieces"
        )
    if not (loudest := np.abs(samples).max()) <= LOUDEST:
        raise InputError(f"the samples go to {loudest:.0e}, and full scale is 1; is the recording damaged?")
    mel = np.empty((NUM_BANDS, frames), np.float32)
    for start in range(0, frames, FRAMES_AT_ONCE):
        stop = min(start + FRAMES_AT_ONCE, frames)
        mel[:, start:stop] = np.log10(np.maximum(MEL_FLOOR, mel_filters() @ _power(_framed(samples, start, stop)).T))
    np.maximum(mel, mel.max() - np.float32(RANGE_DECADES), out=mel)
    mel += np.float32(4.0)
    mel /= np.float32(4.0)
    return mel


def _framed(samples: Floats, start: int, stop: int) -> Floats:
    """The windows of the frames from `start` to `stop`, (frames, 400), each around its hop; the ends are mirrored."""
    half = WINDOW_SAMPLES // 2
    first, last = start * HOP_SAMPLES - half, (stop - 1) * HOP_SAMPLES + half
    before, behind = max(0, -first), max(0, last - len(samples))
    padded = np.pad(samples[max(0, first) : last], (before, behind), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]


def _power(framed: npt.NDArray[np.floating]) -> Doubles:
    """|X|^2 of frames of samples, shape (frames, 201). Rounded to single precision in between, as published."""
    spectrum = np.fft.rfft(framed.astype(np.float64) * _window(), axis=1).astype(np.complex64)
    power: Doubles = np.abs(spectrum, dtype=np.float64) ** 2.0
    return power


@cache
def _window() -> Doubles:
    """The periodic Hann window."""
    return np.hanning(WINDOW_SAMPLES + 1)[:-1]


@cache
def mel_filters() -> Doubles:
    """Triangles of equal area on Slaney's mel scale from 0 to 8 kHz, shape (128, 201)."""
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    corners_hz = _hz_of_mel(np.linspace(0.0, float(_mel_of_hz(SAMPLE_RATE_HZ / 2)), NUM_BANDS + 2))
    widths_hz = np.diff(corners_hz)
    to_corner_hz = corners_hz[:, None] - bins_hz[None, :]
    rising = -to_corner_hz[:-2] / widths_hz[:-1, None]
    falling = to_corner_hz[2:] / widths_hz[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: Doubles = triangles * (2.0 / (corners_hz[2:] - corners_hz[:-2]))[:, None]
    return filters


# Slaney's scale (Auditory Toolbox, 1998): 3 mel per 200 Hz below 1 kHz, 27 mel per factor of 6.4 above
_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def _mel_of_hz(hz: float) -> float:
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP) if hz >= _KNEE_HZ else 3.0 * hz / 200.0


def _hz_of_mel(mel: Doubles) -> Doubles:
    return np.where(mel >= _KNEE_MEL, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)), 200.0 * mel / 3.0)
