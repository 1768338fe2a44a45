"""Work in batches of about one length, and in halves where a whole one does not go well: too large, or one item bad."""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")
log = logging.getLogger(__name__)
FULL = ("out of memory", "alloc_failed")  # the words of CUDA and CTranslate2, of cuBLAS and cuDNN
LOST = (  # what a process hears of its card at every call from then on
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "uncorrectable ecc",
    "hardware stack error",
    "launch timed out",
    "gpu is lost",
    "fallen off the bus",
)


def in_batches(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Sequence[U]],
    *,
    length: Callable[[T], float],
    room: float,
) -> list[U]:
    """What `work` makes of every item, in the order of the items.

    Items of like length go together, as many as `room` holds when each is as long as the longest. A batch that
    the memory does not hold is done again in halves; what one item alone needs too much for raises, as does
    anything else that goes wrong.
    """
    made: dict[int, U] = {}
    for batch in bucketed([length(item) for item in items], room):
        done = halving([items[index] for index in batch], work)
        made.update(zip(batch, done, strict=True))
    return [made[index] for index in range(len(items))]


def bucketed(lengths: Sequence[float], room: float) -> list[list[int]]:
    """Indices in batches, the longest first; each batch holds one at least, and no more than fit when padded alike."""
    batches: list[list[int]] = []
    longest = 0.0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batches and (len(batches[-1]) + 1) * longest <= room:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = lengths[index]
    return batches


def halving(items: Sequence[T], work: Callable[[Sequence[T]], Sequence[U]]) -> list[U]:
    """What `work` makes of the items, in halves of halves where the memory does not hold more."""
    try:
        return list(work(items))
    except Exception as error:
        if len(items) < 2 or not is_out_of_memory(error):
            raise
    _let_go()
    middle = (len(items) + 1) // 2
    return halving(items[:middle], work) + halving(items[middle:], work)


def sparing(
    items: Sequence[T], work: Callable[[Sequence[T]], Sequence[U]], instead: Callable[[T, str], U], what: str
) -> list[U]:
    """What `work` makes of the items, where it may fail: then of halves of halves, until what is lost is one item.

    `instead` stands for an item that `work` raises for, and is told why; `what` names the work in the log. A card that
    is lost is not put up with: it would be so for every item to come.
    """
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        if is_card_lost(error):
            raise
        if len(items) == 1:
            log.exception("%s raises", what)
            return [instead(items[0], f"{type(error).__name__}: {error}")]
    middle = (len(items) + 1) // 2
    return sparing(items[:middle], work, instead, what) + sparing(items[middle:], work, instead, what)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator had no room: torch says so by a class of its own, CTranslate2 and CUDA in words."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in FULL)
    )


def is_card_lost(error: BaseException) -> bool:
    """Whether the accelerator answers this process no more, whatever it is asked: only a new process helps.

    CUDA calls such an error sticky; the first call that meets it may have nothing to do with it.
    """
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in LOST)


def _let_go() -> None:
    """Gives back what torch keeps for later; called where the failed batch is no longer held by a traceback."""
    torch = sys.modules.get("torch")  # whoever ran out of its memory has imported it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
