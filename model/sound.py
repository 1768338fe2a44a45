"""Sound at any rate becomes what `model.mel` hears: one channel at 16 kHz, with the published front end's resampler.

That is torchaudio's: a sinc under a Hann window, six zero crossings to each side. It goes in pieces that overlap by
what a sample depends on, always cut at the same places, so a long recording takes bounded memory and gives the same
samples however it arrives. Where two rates have little in common torchaudio's table of the sinc would take gigabytes;
there the same sum is taken over the samples within reach alone.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torchaudio.functional import resample

from model.frames import MAX_AUDIO_S, SAMPLE_RATE_HZ
from model.mel import Floats
from schemas.errors import InputError

ZERO_CROSSINGS = 6
ROLLOFF = 0.99  # of the lower of the two Nyquist frequencies
PIECE_SAMPLES = 1 << 19
MAX_TABLE = 1 << 20  # values of torchaudio's table; 11,025 Hz has 290,560
GATHERED = 1 << 22  # samples gathered at once where it is not used


def at_16_khz(blocks: Iterable[Floats], rate_hz: int) -> Floats:
    """The samples of one channel that come in `blocks` at `rate_hz`, float32 of shape (time,).

    Raises InputError as soon as they are more than `MAX_AUDIO_S`.
    """
    heard: list[Floats] = []
    num_samples = 0
    for block in resampled(blocks, rate_hz):
        heard.append(block)
        num_samples += len(block)
        if num_samples > MAX_AUDIO_S * SAMPLE_RATE_HZ:
            raise InputError(
                f"it is longer than the {MAX_AUDIO_S // 60} minutes that one prompt holds; ask about a part of it"
            )
    return np.concatenate(heard) if heard else np.zeros(0, np.float32)


def resampled(blocks: Iterable[Floats], rate_hz: int) -> Iterator[Floats]:
    """Blocks at 16 kHz of blocks at `rate_hz`."""
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    shared = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    before, after = rate_hz // shared, SAMPLE_RATE_HZ // shared  # so many samples become so many
    reach = -(-_width(before, after) // before)  # groups of `before` samples
    size = before * max(reach, PIECE_SAMPLES // before)
    last = np.zeros(before * reach, np.float32)
    for piece, behind in _with_next(_cut(blocks, size)):
        window = np.concatenate([last, piece, behind[: before * reach]])
        stop = after * reach - (-len(piece) * after // before)
        yield _at_once(window, before, after)[after * reach : stop]
        last = piece[-before * reach :]


def _at_once(samples: Floats, before: int, after: int) -> Floats:
    if after * (before + 2 * _width(before, after)) <= MAX_TABLE:
        found: Floats = resample(torch.from_numpy(samples), before, after).numpy()
        return found
    return _gathered(samples, before, after)


def _width(before: int, after: int) -> int:
    """How many samples on either side a new sample depends on."""
    return math.ceil(ZERO_CROSSINGS * before / (ROLLOFF * min(before, after)))


def _gathered(samples: Floats, before: int, after: int) -> Floats:
    """As torchaudio has it, from a table of the sinc for each of the `after` places between samples."""
    width = _width(before, after)
    reach = np.arange(-width, width + 2)
    place = np.arange(after)
    from_here = ((place * before // after)[:, None] + reach) * after - (place * before)[:, None]  # exact, in integers
    cutoff = ROLLOFF * min(before, after)
    t = np.clip(from_here * (cutoff / (before * after)), -ZERO_CROSSINGS, ZERO_CROSSINGS)
    table = (np.sinc(t) * np.cos(t * (np.pi / ZERO_CROSSINGS / 2)) ** 2 * (cutoff / before)).astype(np.float32)
    padded = np.pad(samples, (width, width + 2))
    found = np.empty(-(-len(samples) * after // before), np.float32)
    at_once = max(1, GATHERED // len(reach))
    for start in range(0, len(found), at_once):
        index = np.arange(start, min(start + at_once, len(found)))
        near = padded[(index * before // after)[:, None] + (reach + width)]
        found[index] = (near * table[index % after]).sum(axis=1)
    return found


def _cut(blocks: Iterable[Floats], size: int) -> Iterator[Floats]:
    """The same samples in blocks of `size`, the last one shorter."""
    held: list[Floats] = []
    num_held = 0
    for block in blocks:
        held.append(block)
        num_held += len(block)
        if num_held < size:
            continue
        whole = np.concatenate(held)
        for start in range(0, num_held - size + 1, size):
            yield whole[start : start + size]
        held, num_held = [whole[num_held - num_held % size :]], num_held % size
    if num_held:
        yield np.concatenate(held)


def _with_next(pieces: Iterator[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Each piece and the one behind it, of no samples behind the last."""
    piece = next(pieces, None)
    while piece is not None:
        behind = next(pieces, None)
        yield piece, np.zeros(0, np.float32) if behind is None else behind
        piece = behind
