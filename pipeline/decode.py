"""Bytes of any container become mono 16-bit sound at the working rate, in bounded memory.

PyAV brings its own FFmpeg. A stretch is found by seeking a little before it and dropping what comes too
early by its time stamp, so any stretch of a six-hour recording costs what it lasts. The same call on the
same bytes gives the same samples, which is what lets two workers agree on a seam without talking.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
import soxr

from schemas.audio import FULL_SCALE, Waveform
from schemas.errors import DecodeError

PREROLL_MS = 1_500  # codecs that lean on earlier packets (Opus, MP3, AAC) have settled after this
GAP_MS = 40  # a hole in the time stamps longer than this is heard as silence, not closed up
UNKNOWN_WAV_BYTES = 0x7FFF0000  # what writers put that did not know the length is this or more
MAX_CHANNELS = 64
RATES_HZ = range(1_000, 768_001)
GUESSED_DURATIONS = frozenset({"mp3", "aac", "ac3", "amr"})  # FFmpeg divides their size by their first bit rate
COUNTED = GUESSED_DURATIONS - {"mp3"}  # an MP3 says its length in its first frame, or has one bit rate
MAX_BAD_RATIO = 0.01  # more samples than this that are no numbers, and the recording is broken

log = logging.getLogger(__name__)
logging.getLogger("libav").setLevel(logging.CRITICAL)  # what matters of it comes back in exceptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What the header says, or, where it says nothing, what counting the packets said."""

    duration_ms: int
    codec: str
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Sound of one stretch, and what had to be put up with to get it."""

    waveform: Waveform
    trouble: str | None = None  # why it ends early, where it does
    num_repaired: int = 0  # samples that were no numbers and became zero
    duration_is_guessed: bool = False  # the container states none, so an early end means nothing


def probe(file: BinaryIO) -> AudioInfo:
    """Reads the header. Raises DecodeError where there is no sound to be had."""
    with _opened(file) as container:
        stream = _audio_stream(container)
        duration_ms = None if container.format.name in COUNTED else _duration_ms(container, stream)
        if duration_ms is None:
            duration_ms = _counted_ms(container, stream)
        if duration_ms <= 0:
            raise DecodeError("it holds no sound: its duration is zero")
        return AudioInfo(
            duration_ms=duration_ms,
            codec=stream.codec_context.name,
            rate_hz=stream.codec_context.sample_rate,
            channels=stream.codec_context.channels,
        )


def decode(file: BinaryIO, rate_hz: int, start_ms: int = 0, end_ms: int | None = None) -> Decoded:
    """The stretch [start_ms, end_ms) as mono at `rate_hz`; with no end, all there is.

    The waveform is shorter than asked where the recording ends early; `trouble` then says why, if a reason
    is known. Raises DecodeError where no sample of the stretch can be read.
    """
    shortfall = _wav_shortfall(file) if start_ms == 0 else None
    with reading(file, start_ms, end_ms) as reader:
        resampler = soxr.ResampleStream(reader.rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
        blocks = [_to_pcm(resampler.resample_chunk(block)) for block in reader.blocks()]
        blocks.append(_to_pcm(resampler.resample_chunk(np.zeros(0, np.float32), last=True)))
    pcm = np.concatenate(blocks)
    if end_ms is not None:
        pcm = pcm[: -(-(end_ms - start_ms) * rate_hz // 1000)]
    if not len(pcm):
        raise DecodeError(reader.trouble or f"it ends before {start_ms / 1000:.1f} s")
    reader.check()
    waveform = Waveform(pcm=pcm, rate_hz=rate_hz, start_ms=start_ms)
    return Decoded(
        waveform=waveform,
        trouble=reader.trouble or shortfall,
        num_repaired=reader.num_repaired,
        duration_is_guessed=reader.duration_is_guessed,
    )


@contextmanager
def reading(file: BinaryIO, start_ms: int = 0, end_ms: int | None = None) -> Iterator["Reader"]:
    """The same stretch as it was recorded: at its own rate, not rounded. Raises DecodeError where there is no sound."""
    with _opened(file) as container:
        yield Reader(container, _audio_stream(container), start_ms, end_ms)


class Reader:
    """Walks the frames of one stretch and lays them out on the time line."""

    def __init__(self, container: Any, stream: Any, start_ms: int, end_ms: int | None) -> None:
        self.trouble: str | None = None
        self.num_repaired = self.num_read = 0
        self.duration_is_guessed = container.format.name in GUESSED_DURATIONS
        self.rate_hz: int = stream.codec_context.sample_rate
        self._container, self._stream = container, stream
        self._start = start_ms * self.rate_hz // 1000
        self._end = None if end_ms is None else -(-end_ms * self.rate_hz // 1000)
        self._origin = stream.start_time or 0  # the time stamp of the first sample, in units of time_base
        if start_ms > PREROLL_MS:
            wanted_s = (start_ms - PREROLL_MS) / 1000
            container.seek(self._origin + int(wanted_s / stream.time_base), stream=stream, backward=True)

    def blocks(self) -> Iterator[np.ndarray]:
        """Mono float32 blocks of shape (time,) that tile the stretch."""
        here: int | None = None  # position of the next sample on the time line
        for frame in self._frames():
            stamp = (
                None if frame.pts is None else round(float((frame.pts - self._origin) * frame.time_base) * self.rate_hz)
            )
            if here is None or (here < self._start and stamp is not None):
                here = stamp or 0  # before the stretch begins, stamps are believed: after a seek they settle
            elif stamp is not None and stamp - here > GAP_MS * self.rate_hz // 1000:
                yield from self._inside(np.zeros(self._bounded(stamp - here), np.float32), here)
                here = stamp
            mono = self._mono(frame)
            yield from self._inside(mono, here)
            here += len(mono)
            if self._end is not None and here >= self._end:
                return

    def check(self) -> None:
        """Raises DecodeError where too much of what was read are no numbers."""
        if self.num_repaired > MAX_BAD_RATIO * self.num_read:
            raise DecodeError(f"{self.num_repaired} of {self.num_read} samples are not numbers (NaN or infinite)")

    def _frames(self) -> Iterator[Any]:
        """Decodes packet by packet: one bad packet is passed over, a broken file ends the walk with a reason."""
        num_bad, num_good = 0, 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    num_bad += 1
                    self.trouble = f"{num_bad} damaged packets ({_words(error)})"
                    if num_bad > 100 and not num_good:
                        return
                    continue
                num_good += bool(frames)
                yield from frames
        except av.error.FFmpegError as error:
            self.trouble = f"it breaks off: {_words(error)}"

    def _inside(self, mono: np.ndarray, at: int) -> Iterator[np.ndarray]:
        first, last = max(0, self._start - at), len(mono) if self._end is None else self._end - at
        if first < min(last, len(mono)):
            yield mono[first:last]

    def _bounded(self, num_samples: int) -> int:
        """A damaged time stamp must not ask for a year of silence."""
        return min(num_samples, 3_600 * self.rate_hz)

    def _mono(self, frame: Any) -> np.ndarray:
        planes = frame.to_ndarray()
        channels = frame.layout.nb_channels
        if not frame.format.is_planar:
            planes = planes.reshape(-1, channels).T
        mono: np.ndarray = _as_float(planes).mean(axis=0)
        self.num_read += len(mono)
        bad = ~np.isfinite(mono)
        if bad.any():
            self.num_repaired += int(bad.sum())
            mono = np.where(bad, np.float32(0), mono)
        return mono


def _as_float(planes: np.ndarray) -> np.ndarray:
    """Samples of any format as float32 in [-1, 1], shape (channels, time)."""
    if planes.dtype == np.uint8:
        return (planes.astype(np.float32) - 128) / 128
    if planes.dtype.kind == "i":
        return planes.astype(np.float32) / np.float32(2.0 ** (8 * planes.dtype.itemsize - 1))
    return planes.astype(np.float32, copy=False)


def _to_pcm(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _opened(file: BinaryIO) -> Any:
    try:
        return av.open(file, mode="r", metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise DecodeError(f"it is not audio this can read: {_words(error)}") from error


def _audio_stream(container: Any) -> Any:
    if not container.streams.audio:
        kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
        raise DecodeError(f"it has no sound track; it holds {', '.join(kinds)}")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None:
        raise DecodeError("its codec is not known here")
    if context.sample_rate not in RATES_HZ or not 1 <= context.channels <= MAX_CHANNELS:
        raise DecodeError(f"{context.channels} channels at {context.sample_rate} Hz is no sound this can read")
    return stream


def _duration_ms(container: Any, stream: Any) -> int | None:
    if stream.duration:
        return _ms(stream.duration * stream.time_base)
    if container.duration:
        return _ms(container.duration / 1_000_000)  # FFmpeg counts containers in microseconds
    return None


def _counted_ms(container: Any, stream: Any) -> int:
    """Where the header is silent (a stream recorded by a browser, raw AAC): the last time stamp, undecoded."""
    end = 0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0) - (stream.start_time or 0))
    except av.error.FFmpegError as error:
        log.debug("counting packets ended at a damaged one: %s", error)
    return _ms(end * stream.time_base)


def _wav_shortfall(file: BinaryIO) -> str | None:
    """What a WAV says of itself against what there is: FFmpeg reads one that was cut short without a word."""
    head = file.read(12)
    num_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    promised = int.from_bytes(head[4:8], "little") + 8
    if promised <= num_bytes + 1 or promised >= UNKNOWN_WAV_BYTES:
        return None
    return f"its header promises {promised} bytes, and there are {num_bytes}"


def _ms(seconds: Fraction | float) -> int:
    return round(seconds * 1000)


def _words(error: Exception) -> str:
    """FFmpeg's own words, without the address of whatever was open."""
    return str(getattr(error, "strerror", None) or error)
