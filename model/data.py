"""Packs to train on, streamed from shards, conversations and text: on disk or S3, mixed, shuffled, resumable.

    catalogue   which parts there are, and how many items each holds           made once, kept with the run
    order       visit number -> part and item                                  shuffled anew each round, computed
    lane l      visits l, l + S, l + 2S, ... of every source, mixed, packed    S lanes, independent of each other
    step t      packs t·G … t·G + G - 1, pack k from lane k mod S              G packs a step; G divides S
    rank r      the packs k of a step with k mod R = r                         R ranks; R divides G
    worker w    some of a rank's lanes, in a process of its own

So what is learnt at step t depends on neither R nor the number of workers, and what was learnt so far is the states of
the lanes: a run goes on with another number of either and loses and repeats nothing.
"""

import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Self

from model.catalogue import CONVERSATIONS_GROUP, Catalogue, SourceConfig
from model.examples import ExampleReader
from model.lanes import Laid, Lane, LaneConfig, LaneState
from model.objectives.mix import PRETRAINING
from model.packing import Layout
from model.tokens import Tokenizer
from schemas.asking.sample import AskRules
from schemas.config import aside
from schemas.errors import ConfigError, EarmarkError, InputError

LEAST_LANES = 8
"""So many lanes at least, that loader workers have something to divide."""
READ_AT_ONCE = 8  # threads of a worker that wait for the store
READY_PACKS = 2  # that a worker holds in advance


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the mix a task group is, relative to the others."""

    group: str
    share: float


SHARES = (
    *(Share(group=group, share=share) for group, share in PRETRAINING.items()),
    Share(group="instructions", share=100.0),
    Share(group="reasoning", share=50.0),
    Share(group=CONVERSATIONS_GROUP, share=100.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """All that decides what is learnt in which step, and with how many processes it is read."""

    sources: tuple[SourceConfig, ...]
    shares: tuple[Share, ...] = SHARES
    packs_per_step: int = 1
    pack_tokens: int = 8192
    layout: Layout = Layout.PACKED
    lookahead: float = 2.0  # packs' worth of examples that a lane chooses from
    window: int = 2048  # items that are shuffled together
    min_score: float = 0.5  # how sure what is taught must be
    seed: int = 0
    time_markers: bool = True  # off only to see what they are worth
    strict: bool = False  # whether the first damaged item ends the run; else it is named and passed over
    workers: int = aside(2)  # processes of each rank that read; 0 reads in the rank's own

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("there is nothing to learn from; name at least one source")
        for name, least in (("packs_per_step", 1), ("pack_tokens", 64), ("window", 1), ("workers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not 1.0 <= self.lookahead <= 64:
            raise ConfigError(f"lookahead is {self.lookahead}; it must be from 1 to 64 packs")
        if any(share.share < 0 for share in self.shares):
            raise ConfigError(f"a share is below zero: {self.shares}")

    @property
    def num_lanes(self) -> int:
        """The least multiple of `packs_per_step` that gives every worker something to do."""
        return self.packs_per_step * -(-LEAST_LANES // self.packs_per_step)

    def share_by_group(self) -> dict[str, float]:
        return {share.group: share.share for share in self.shares}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a process needs to read its lanes."""

    config: DataConfig
    catalogue: Catalogue
    tokenizer: Path  # the folder of a checkpoint

    def reader(self) -> ExampleReader:
        config = self.config
        return ExampleReader(
            self.catalogue,
            self._tokenizer(),
            max_tokens=config.pack_tokens,
            rules=AskRules(seed=config.seed, min_score=config.min_score),
            seed=config.seed,
            window=config.window,
            time_markers=config.time_markers,
        )

    def lane_config(self) -> LaneConfig:
        config = self.config
        return LaneConfig(
            num_lanes=config.num_lanes,
            weights=tuple(self.catalogue.weights(config.share_by_group())),
            pack_tokens=config.pack_tokens,
            layout=config.layout,
            padding=self._tokenizer().special.end_of_text,
            lookahead=config.lookahead,
            seed=config.seed,
            strict=config.strict,
            ahead=4,
        )

    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.open(self.tokenizer)


class Loader:
    """The packs of one rank, step by step: iterate for lists of `packs_per_step / ranks` packs.

    `states` is what `states()` of all ranks gave, by lane, and `step` how many steps were made before: the next step is
    the one that would have come. Use it as a context manager: it has processes to end.
    """

    def __init__(
        self, work: Work, *, rank: int = 0, ranks: int = 1, step: int = 0, states: Mapping[int, LaneState] | None = None
    ) -> None:
        config = work.config
        if config.packs_per_step % ranks:
            raise ConfigError(
                f"{config.packs_per_step} packs a step cannot be divided evenly among {ranks} ranks; "
                f"take a multiple of {ranks}"
            )
        self._own = list(range(rank, config.num_lanes, ranks))
        self._per_step = config.packs_per_step // ranks
        self._taken = step * self._per_step
        self._states = {lane: (states or {}).get(lane) for lane in self._own}
        self.passed: dict[str, int] = {}
        self.damaged: list[str] = []
        self.num_damaged = 0
        first = self._taken % len(self._own)
        in_turn = [*self._own[first:], *self._own[:first]]
        num_workers = min(config.workers, len(self._own))
        shared = [[lane for lane in in_turn if self._own.index(lane) % num_workers == w] for w in range(num_workers)]
        self._workers = [_Worker(work, lanes, self._states) for lanes in shared]
        self._readers = None if self._workers else ThreadPoolExecutor(READ_AT_ONCE)
        self._here: Iterator[tuple[int, Laid]] | None = None
        if self._readers:
            self._here = laid_in_turn(work, in_turn, self._states, self._readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        if self._readers:
            self._readers.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[list[Laid]]:
        return self

    def __next__(self) -> list[Laid]:
        return [self._next_pack() for _ in range(self._per_step)]

    def states(self) -> dict[int, LaneState]:
        """Where this rank's lanes are behind the packs that were given out; a lane that gave none is left out."""
        return {lane: state for lane, state in self._states.items() if state is not None}

    def _next_pack(self) -> Laid:
        index = self._taken % len(self._own)
        lane = self._own[index]
        if self._here is not None:
            found, laid = next(self._here)
        else:
            found, laid = self._workers[index % len(self._workers)].next()
        assert found == lane, "workers give packs in the order of their lanes"
        self._taken += 1
        self._states[lane] = laid.state
        for reason, count in laid.passed:
            self.passed[reason] = self.passed.get(reason, 0) + count
        self.num_damaged += len(laid.damaged)
        self.damaged += [f"{one.where}: {one.reason}" for one in laid.damaged]
        return laid


def laid_in_turn(
    work: Work, lanes: Sequence[int], states: Mapping[int, LaneState | None], readers: ThreadPoolExecutor
) -> Iterator[tuple[int, Laid]]:
    """A pack of each lane in turn, without end."""
    reader, config = work.reader(), work.lane_config()
    made = [(number, Lane(number, config, reader, readers, states.get(number))) for number in lanes]
    while True:
        for number, lane in made:
            yield number, next(lane)


class _Worker:
    """A process that reads some lanes in turn.

    It speaks through a pipe that it alone can write to, so that its death ends the pipe, in the midst of a pack too.
    """

    def __init__(self, work: Work, lanes: Sequence[int], states: Mapping[int, LaneState | None]) -> None:
        spawning = get_context("spawn")
        self._packs, theirs = spawning.Pipe(duplex=False)
        mine = {lane: states.get(lane) for lane in lanes}
        self._process = spawning.Process(target=_read_lanes, args=(work, lanes, mine, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def next(self) -> tuple[int, Laid]:
        """Raises what the worker raised, and InputError where it died."""
        try:
            found = self._packs.recv()
        except (EOFError, OSError):
            self._process.join()
            raise InputError(
                f"a process that reads data ended with {self._process.exitcode}; if it was killed for memory, take "
                "fewer --workers"
            ) from None
        if isinstance(found, EarmarkError):
            raise found
        if isinstance(found, str):
            raise RuntimeError(f"a process that reads data failed:\n{found}")
        lane, laid = found
        return lane, laid

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._packs.close()


def _read_lanes(work: Work, lanes: Sequence[int], states: Mapping[int, LaneState | None], packs: Connection) -> None:
    """What a worker's process does until it is killed, or whoever it reads for is gone."""
    ready: Queue[tuple[int, Laid] | EarmarkError | str] = Queue(READY_PACKS)
    Thread(target=_make_ready, args=(work, lanes, states, ready), daemon=True).start()
    try:
        while True:
            found = ready.get()
            packs.send(found)
            if not isinstance(found, tuple):
                return
    except (BrokenPipeError, KeyboardInterrupt):  # the rank's own process tells of it
        os._exit(1)  # threads that wait for the store are not waited for


def _make_ready(
    work: Work,
    lanes: Sequence[int],
    states: Mapping[int, LaneState | None],
    ready: "Queue[tuple[int, Laid] | EarmarkError | str]",
) -> None:
    """Packs without end, or why there are no more."""
    try:
        with ThreadPoolExecutor(READ_AT_ONCE) as readers:
            for found in laid_in_turn(work, lanes, states, readers):
                ready.put(found)
    except EarmarkError as error:
        ready.put(error)
    except BaseException:
        ready.put(traceback.format_exc())
