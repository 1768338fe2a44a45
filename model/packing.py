"""Which examples are learnt together: rows of a fixed number of tokens, with as little left empty as may be.

    packed      one row of `pack_tokens`: examples end to end, each seeing itself alone (document masking)
    bucketed    rows of like length under each other, padded to the longest; for kernels that mask no documents

The oldest waiting example is always taken, so none waits for ever; the others are those that fit best beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from model.config import IGNORE
from model.examples import Example, as_floats
from model.mel import NUM_BANDS, Floats, log_mel
from schemas.errors import ConfigError

Ids = npt.NDArray[np.int64]


class Layout(StrEnum):
    PACKED = "packed"
    BUCKETED = "bucketed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """Rows of tokens, and the log-mel of their audios end to end in the order of their placeholders.

    `documents_BT` numbers the example of each token, from 0; padding has the number after the last of its row.
    `targets_BT` is -100 where nothing is to be learnt.
    """

    tokens_BT: Ids
    targets_BT: Ids
    documents_BT: Ids
    mel_MF: Floats  # float32, (128, frames)
    frames: tuple[int, ...]
    lengths: tuple[int, ...]  # tokens of each document, row by row
    groups: tuple[str, ...]  # the task group of each document
    keys: tuple[str, ...]

    @property
    def num_targets(self) -> int:
        return int((self.targets_BT != IGNORE).sum())

    @property
    def num_tokens(self) -> int:
        """Without padding."""
        return sum(self.lengths)


def chosen(lengths: Sequence[int], pack_tokens: int, layout: Layout = Layout.PACKED) -> list[int]:
    """Which of the waiting examples, oldest first, go together: indices, the oldest among them.

    Raises ConfigError where the oldest alone is longer than `pack_tokens`, which readers should have seen to.
    """
    if not lengths:
        return []
    if lengths[0] > pack_tokens:
        raise ConfigError(f"an example of {lengths[0]:,} tokens does not fit a pack of {pack_tokens:,}")
    if layout is Layout.BUCKETED:
        return _alike(lengths, pack_tokens)
    taken, room = [0], pack_tokens - lengths[0]
    for index in sorted(range(1, len(lengths)), key=lambda i: (-lengths[i], i)):  # the longest that still fits
        if lengths[index] <= room:
            taken.append(index)
            room -= lengths[index]
    return sorted(taken)


def _alike(lengths: Sequence[int], pack_tokens: int) -> list[int]:
    """Those nearest in length to the oldest, as many as fit when all are padded to the longest of them."""
    taken, longest = [0], lengths[0]
    for index in sorted(range(1, len(lengths)), key=lambda i: (abs(lengths[i] - lengths[0]), i)):
        padded = max(longest, lengths[index])
        if padded * (len(taken) + 1) > pack_tokens:
            break
        taken.append(index)
        longest = padded
    return sorted(taken)


def collate(examples: Sequence[Example], pack_tokens: int, layout: Layout, padding: int) -> Pack:
    """The rows of these examples. `padding` is any id that is not the audio placeholder."""
    rows = [examples] if layout is Layout.PACKED else [[example] for example in examples]
    width = pack_tokens if layout is Layout.PACKED else max(example.num_tokens for example in examples)
    shape = (len(rows), width)
    tokens_BT, targets_BT = np.full(shape, padding, np.int64), np.full(shape, IGNORE, np.int64)
    documents_BT = np.zeros(shape, np.int64)
    for b, row in enumerate(rows):
        start = 0
        for number, example in enumerate(row):
            stop = start + example.num_tokens
            tokens_BT[b, start:stop], targets_BT[b, start:stop] = example.sample.ids, example.sample.targets
            documents_BT[b, start:stop] = number
            start = stop
        documents_BT[b, start:] = len(row)
    mels = [log_mel(as_floats(sound)) for example in examples for sound in example.sounds]
    return Pack(
        tokens_BT=tokens_BT,
        targets_BT=targets_BT,
        documents_BT=documents_BT,
        mel_MF=np.concatenate(mels, axis=1) if mels else np.zeros((NUM_BANDS, 0), np.float32),
        frames=tuple(mel.shape[1] for mel in mels),
        lengths=tuple(example.num_tokens for example in examples),
        groups=tuple(example.group for example in examples),
        keys=tuple(example.key for example in examples),
    )
