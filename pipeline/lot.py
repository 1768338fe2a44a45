"""What travels: a lot, a fixed handful of pieces that goes through every step together and becomes one shard."""

import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from schemas.audio import Waveform
from schemas.batches import is_card_lost
from schemas.errors import EarmarkError
from schemas.labels import Labels
from schemas.record import Segment, Source
from schemas.shard import StepSeconds

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of one recording as the plan has it; where it meets a neighbour, a seam is still to be found."""

    source: Source
    start_ms: int
    end_ms: int
    seam_before: bool = False
    seam_after: bool = False
    error: str | None = None  # why the recording could not even be planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Sound of one piece, between its seams."""

    source: Source
    waveform: Waveform
    note: str | None = None  # what had to be put up with to read it
    labels: Labels | None = None  # what a person wrote down of it, where the config asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A stretch of a recording that left the road: where, and why."""

    source: Source
    start_ms: int
    end_ms: int
    step: str
    reason: str = ""
    exception: str | None = None  # type, message and innermost line, for whoever mends the code
    seam_before: bool = False  # the end is the plan's, not yet moved to its seam
    seam_after: bool = False
    abandoned: bool = False  # its whole lot was given up; the fault may be another piece's


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot(Generic[T]):
    """The unit of travel, of retry and of resume; its contents are fixed by the plan.

    So a shard never depends on who finished first. Failures and silences only ever add up: what came in
    leaves as an item, a silence or a failure.
    """

    plan: str
    number: int
    items: tuple[T, ...]
    silences: tuple[Segment, ...] = ()
    failures: tuple[Failure, ...] = ()
    audio_ms: int = 0  # decoded
    notes: tuple[str, ...] = ()  # what had to be put up with: damaged packets, samples that are no numbers
    models: tuple[str, ...] = ()  # that every record of the lot owes something to
    attempts: int = 1
    steps: tuple[StepSeconds, ...] = ()

    @property
    def shard(self) -> str:
        return f"{self.plan}-{self.number:06d}"

    def then(
        self,
        items: Iterable[U],
        *,
        silences: Iterable[Segment] = (),
        failures: Iterable[Failure] = (),
        notes: Iterable[str] = (),
        models: Iterable[str] = (),
        audio_ms: int = 0,
    ) -> "Lot[U]":
        """The same lot one step further on."""
        return Lot(
            plan=self.plan,
            number=self.number,
            items=tuple(items),
            silences=(*self.silences, *silences),
            failures=(*self.failures, *failures),
            audio_ms=self.audio_ms + audio_ms,
            notes=(*self.notes, *notes),
            models=(*self.models, *models),
            attempts=self.attempts,
            steps=self.steps,
        )

    def timed(self, step: str, seconds: float, cpu_seconds: float, gpus: float = 0.0) -> "Lot[T]":
        spent = StepSeconds(step=step, seconds=round(seconds, 3), cpu_seconds=round(cpu_seconds, 3), gpus=gpus)
        return replace(self, steps=(*self.steps, spent))


def failed(piece: Piece, step: str) -> Failure:
    """A failure of a whole piece, its reason still to be told."""
    return Failure(
        source=piece.source,
        start_ms=piece.start_ms,
        end_ms=piece.end_ms,
        step=step,
        seam_before=piece.seam_before,
        seam_after=piece.seam_after,
    )


def abandoned(lot: Lot[Piece], step: str, reason: str, exception: str) -> Lot[Any]:
    """The lot when it has been tried often enough: every piece of it a failure."""
    failures = (failed(piece, step) for piece in lot.items)
    return lot.then((), failures=[replace(f, reason=reason, exception=exception, abandoned=True) for f in failures])


def attempted(work: Callable[[T], U], item: T, failure: Failure) -> tuple[U | None, Failure | None]:
    """What `work` makes of the item, or the failure completed with the reason why it made nothing.

    This is the one place where any exception is caught: a recording that trips a library must not take its
    lot along, and its traceback is kept where `status` and `inspect` show it. Raises what says that the card is lost.
    """
    try:
        return work(item), None
    except EarmarkError as error:
        return None, replace(failure, reason=_harmless(str(error)))
    except Exception as error:
        if is_card_lost(error):  # the next item would fail too, and fast: the whole run would pour through here
            raise
        reason = f"{type(error).__name__} in {failure.step}: {_harmless(str(error))}"
        return None, replace(failure, reason=reason, exception=innermost(error))


def innermost(error: BaseException) -> str:
    """Type, message and the line that raised; the same for the same trouble, run after run."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {_harmless(str(error))}{where}"


def _harmless(text: str) -> str:
    """Without memory addresses, which differ from run to run, and short enough for a table."""
    return re.sub(r"\b0x[0-9a-f]+", "0x…", text)[:500].encode("utf-8", "replace").decode()
