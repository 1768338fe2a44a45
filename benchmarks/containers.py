"""Writing scenes as people's recordings come: in one container or another, at one rate or another.

Everything but Ogg Vorbis gives the same bytes for the same samples; its writer numbers each stream at random, and
what is decoded from it is still the same.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

BLOCK_S = 5  # written at once: libsndfile's Vorbis writer does not bear minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    suffix: str
    rate_hz: int
    channels: int = 1
    codec: str | None = None  # of FFmpeg, where FFmpeg writes it and not libsndfile
    bits_per_s: int = 0

    def write(self, path: Path, samples: np.ndarray) -> None:
        """Mono float samples of shape (time,) at `rate_hz`; two channels are the same one twice."""
        channels = np.repeat(np.clip(samples, -1, 1 - 2**-15)[:, None], self.channels, axis=1)
        if self.codec:
            self._write_by_ffmpeg(path, channels, self.codec)
            return
        with soundfile.SoundFile(path, "w", self.rate_hz, self.channels) as file:
            for first in range(0, len(channels), BLOCK_S * self.rate_hz):
                file.write(channels[first : first + BLOCK_S * self.rate_hz])

    def _write_by_ffmpeg(self, path: Path, channels: np.ndarray, codec: str) -> None:
        layout = "mono" if self.channels == 1 else "stereo"
        buffer = io.BytesIO()
        form = {"m4a": "ipod", "opus": "ogg"}[self.suffix]
        with av.open(buffer, "w", format=form, options={"fflags": "+bitexact"}) as file:
            stream = file.add_stream(codec, rate=self.rate_hz, layout=layout, options={"flags": "+bitexact"})
            stream.bit_rate = self.bits_per_s
            packed = np.ascontiguousarray((channels * 32767).round().astype(np.int16).reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate, frame.pts = self.rate_hz, 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        path.write_bytes(buffer.getvalue())


CONTAINERS = (
    Container(suffix="wav", rate_hz=16_000),
    Container(suffix="ogg", rate_hz=44_100, channels=2),
    Container(suffix="flac", rate_hz=44_100),
    Container(suffix="opus", rate_hz=48_000, codec="libopus", bits_per_s=64_000),
    Container(suffix="mp3", rate_hz=44_100),
    Container(suffix="flac", rate_hz=16_000),
    Container(suffix="ogg", rate_hz=22_050),
    Container(suffix="m4a", rate_hz=44_100, codec="aac", bits_per_s=128_000),
)
