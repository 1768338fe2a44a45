"""Sound in memory, and as the FLAC that shards hold.

A waveform is 16-bit: what the annotators hear is, sample for sample, what the shard stores.
"""

import io
from dataclasses import dataclass
from typing import Self

import numpy as np
import soundfile
import soxr

from schemas.errors import DecodeError
from schemas.span import Span, ms_of, sample_at

FULL_SCALE = 32_768.0  # one more than the largest 16-bit sample, so that int16 maps into [-1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waveform:
    """Mono sound that begins at `start_ms` of its recording."""

    pcm: np.ndarray  # int16, shape (time,)
    rate_hz: int
    start_ms: int = 0

    @classmethod
    def from_float(cls, samples: np.ndarray, rate_hz: int, start_ms: int = 0) -> Self:
        """From float samples of shape (time,); what lies beyond [-1, 1) is clipped."""
        pcm = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return cls(pcm=pcm, rate_hz=rate_hz, start_ms=start_ms)

    @property
    def samples(self) -> np.ndarray:
        """float32 in [-1, 1), shape (time,); made anew at each call."""
        return self.pcm.astype(np.float32) / np.float32(FULL_SCALE)

    @property
    def duration_ms(self) -> int:
        return ms_of(len(self.pcm), self.rate_hz)

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.duration_ms

    def cut(self, span: Span) -> "Waveform":
        """The piece inside `span` (times of the recording); a view, nothing is copied."""
        start = sample_at(span.start_ms - self.start_ms, self.rate_hz)
        end = sample_at(span.end_ms - self.start_ms, self.rate_hz)
        return Waveform(pcm=self.pcm[max(0, start) : max(0, end)], rate_hz=self.rate_hz, start_ms=span.start_ms)


def resampled(waveform: Waveform, rate_hz: int) -> np.ndarray:
    """The samples at another rate: float32, shape (time,); a sample may lie a little beyond [-1, 1)."""
    if waveform.rate_hz == rate_hz or not len(waveform.pcm):
        return waveform.samples
    return np.asarray(soxr.resample(waveform.samples, waveform.rate_hz, rate_hz))


def encode_flac(waveform: Waveform) -> bytes:
    """16-bit FLAC; the same waveform always gives the same bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.pcm, waveform.rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(data: bytes, start_ms: int = 0) -> Waveform:
    """What `encode_flac` wrote. Raises DecodeError for anything else."""
    try:
        pcm, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DecodeError(f"{len(data)} bytes that should be FLAC cannot be read: {error}") from error
    return Waveform(pcm=pcm[:, 0], rate_hz=rate_hz, start_ms=start_ms)
