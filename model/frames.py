"""Where sound lies in time: the one home of the arithmetic from samples to frames, tokens, blocks and markers.

    16,000 samples/s ─ hop 160 ─► 100 mel frames/s ─ three halvings ─► 12.5 audio tokens/s
                                                       a time marker after every 25 tokens: the second, in digits

Everything that asks "how many tokens is this" or "when was that token" asks here: the encoder, the prompt, the
training data and the evaluation. All functions are exact integer arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Length = TypeVar("Length", int, "Tensor")

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 160
FRAME_MS = HOP_SAMPLES * 1000 // SAMPLE_RATE_HZ  # 10
HALVINGS = 3
FRAMES_PER_TOKEN = 1 << HALVINGS  # 8
TOKEN_MS = FRAMES_PER_TOKEN * FRAME_MS  # 80, so 12.5 tokens a second

MARKER_EVERY_S = 2
TOKENS_PER_MARKER = MARKER_EVERY_S * 1000 // TOKEN_MS  # 25

MAX_AUDIO_S = 45 * 60
"""What fits one prompt: 33,750 audio tokens and 4,848 marker digits of the 40,960 positions there are."""


def num_mel_frames(num_samples: int) -> int:
    """Mel frames of `num_samples` at 16 kHz; the remainder of less than a hop is not heard."""
    return num_samples // HOP_SAMPLES


def halved(length: Length) -> Length:
    """What a convolution of width 3, stride 2 and padding 1 makes of a length, or of a tensor of lengths."""
    return (length - 1) // 2 + 1


def num_audio_tokens(num_frames: int) -> int:
    """Tokens the encoder gives for `num_frames` mel frames: three halvings, rounded up."""
    for _ in range(HALVINGS):
        num_frames = halved(num_frames)
    return num_frames


def token_start_ms(index: int) -> int:
    """Where the audio token `index` begins."""
    return index * TOKEN_MS


def frames_of_ms(duration_ms: int) -> int:
    """Mel frames in `duration_ms`, as `num_mel_frames` counts them."""
    return duration_ms // FRAME_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """The second that is written after the audio token `after_tokens - 1`."""

    after_tokens: int
    second: int

    @property
    def digits(self) -> str:
        return str(self.second)


def markers(num_tokens: int) -> Iterator[Marker]:
    """The time markers of a span of `num_tokens` audio tokens, in order."""
    for count in range(1, num_tokens // TOKENS_PER_MARKER + 1):
        yield Marker(after_tokens=count * TOKENS_PER_MARKER, second=count * MARKER_EVERY_S)


def num_marker_digits(num_tokens: int) -> int:
    """Digits that `markers` writes, one language token each."""
    return sum(len(marker.digits) for marker in markers(num_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stretch of mel frames the encoder hears by itself.

    `start` and `stop` count mel frames from the start of the audio. The row is heard as if silence (mel value 0)
    followed it up to `extent` frames; beyond that nothing is heard at all.
    """

    start: int
    stop: int
    extent: int

    @property
    def num_tokens(self) -> int:
        return num_audio_tokens(self.stop - self.start)


def rows(num_frames: int, block_frames: int | None) -> list[Row]:
    """The stretches of an audio of `num_frames` frames that are encoded apart from each other.

    With `block_frames` (a multiple of 8) these are blocks of that many frames and a last, shorter one; without, the
    whole audio. The published code fills the last block of a longer audio with zeros before its convolutions, and
    an audio shorter than one block not at all: the convolutions hear that difference, so `extent` keeps it.
    """
    if num_frames < 1:
        raise ValueError(f"an audio of {num_frames} mel frames cannot be encoded; it takes at least one (10 ms)")
    if block_frames is None or num_frames < block_frames:
        return [Row(start=0, stop=num_frames, extent=num_frames)]
    return [
        Row(start=start, stop=min(start + block_frames, num_frames), extent=block_frames)
        for start in range(0, num_frames, block_frames)
    ]
