"""Whether a worker may use its graphics card, and how busy that is while it lives, as its driver counts it."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from schemas.errors import ClusterError

SAMPLE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CardUse:
    """One card, watched for some time. Several workers may watch the same card."""

    card: str  # its own number, the same for every worker on it
    name: str  # "NVIDIA H100 80GB HBM3"
    watched_s: float
    busy: float  # share of that time in which it computed anything, 0..1
    peak_bytes: int  # of its memory, by everybody on it


class CardWatch:
    """Samples the cards this process may use, from now on, on a thread of its own."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._busy: dict[str, float] = {}  # the sum of the samples, which may be those of weeks
        self._num_samples: dict[str, int] = {}
        self._peaks: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._cards = _cards()
        if self._cards:
            threading.Thread(target=self._watch, daemon=True, name="card-watch").start()

    def uses(self) -> list[CardUse]:
        """What was seen so far: one for each card; none where there is no card, or nothing that tells of it."""
        watched_s = time.monotonic() - self._begun
        with self._lock:
            return [
                CardUse(
                    card=card,
                    name=self._names[card],
                    watched_s=watched_s,
                    busy=busy / self._num_samples[card],
                    peak_bytes=self._peaks[card],
                )
                for card, busy in sorted(self._busy.items())
            ]

    def _watch(self) -> None:
        import pynvml

        while True:
            for card, handle in self._cards.items():
                try:
                    busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
                    used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
                    name = str(pynvml.nvmlDeviceGetName(handle))
                except pynvml.NVMLError:
                    continue  # a card that does not tell this once may the next time
                with self._lock:
                    self._busy[card] = self._busy.get(card, 0.0) + busy
                    self._num_samples[card] = self._num_samples.get(card, 0) + 1
                    self._peaks[card] = max(used, self._peaks.get(card, 0))
                    self._names[card] = name
            time.sleep(SAMPLE_S)


def check_usable() -> None:
    """Raises ClusterError where the machine has cards and torch can use none: every model would run on the processor,
    a hundred times as slow, and say nothing. Where no driver answers, as in tests, there is nothing to compare with.
    """
    try:
        import pynvml
        import torch
    except ImportError:
        return
    if torch.cuda.is_available():
        return
    try:
        pynvml.nvmlInit()
        num_cards, driver = pynvml.nvmlDeviceGetCount(), pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError:
        return
    if num_cards:
        raise ClusterError(
            f"the driver {driver} tells of {num_cards} GPUs and torch {torch.__version__} can use none of them; is the "
            f"driver too old for CUDA {torch.version.cuda}, or is CUDA_VISIBLE_DEVICES empty?"
        )


def merged(uses: list[CardUse]) -> list[CardUse]:
    """One for each card: of several that watched it, the one that did so longest."""
    longest: dict[str, CardUse] = {}
    for use in uses:
        if use.card not in longest or use.watched_s > longest[use.card].watched_s:
            longest[use.card] = use
    return [longest[card] for card in sorted(longest)]


def _cards() -> dict[str, Any]:
    """The driver's handle of every card torch sees in this process, by the card's own number."""
    try:
        import pynvml
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    try:
        pynvml.nvmlInit()
        ids = [f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(torch.cuda.device_count())]
        return {card: pynvml.nvmlDeviceGetHandleByUUID(card) for card in ids}
    except pynvml.NVMLError:
        return {}
