"""A lane: one endless row of packs, which depends on its number, the catalogue and the config alone.

    sources   asr ───┐
              captions ──┼─ mixed by weight ─► waiting examples ─► packs
              text ──┘

Lanes are how a run is divided: lane l of S visits items l, l + S, l + 2S, ... of every source. Which process works on
a lane changes nothing of it, so neither the number of ranks nor of loader workers does. A lane's state is a few
numbers: how far it is in each source, and which examples wait.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

from model.examples import Damaged, Example, ExampleReader, Passed, Read, Visit, raised
from model.packing import Layout, Pack, chosen, collate
from schemas.asking.sample import draw
from schemas.errors import InputError, SchemaError
from schemas.rows import from_row, to_row

MAX_FRUITLESS = 10_000
MAX_DAMAGED = 200
"""Visits of a source in a row, without an example and damaged, after which a run ends rather than goes on in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An example that was read and is in no pack yet."""

    source: int
    number: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """Where a lane is. `visits` and `given` count visits made and examples had, source by source."""

    visits: tuple[int, ...]
    given: tuple[int, ...]
    waiting: tuple[Waiting, ...] = ()
    packs: int = 0

    @classmethod
    def fresh(cls, num_sources: int) -> "LaneState":
        return cls(visits=(0,) * num_sources, given=(0,) * num_sources)

    def to_json(self) -> dict[str, Any]:
        return to_row(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "LaneState":
        return from_row(cls, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneConfig:
    """What all lanes of a run share. `weights` of the sources add up to 1."""

    num_lanes: int
    weights: tuple[float, ...]
    pack_tokens: int
    layout: Layout
    padding: int
    lookahead: float  # packs' worth of examples that wait to be chosen from
    seed: int
    strict: bool
    ahead: int  # visits of each source that are read in advance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Laid:
    """A pack, the lane's state behind it, and what was met on the way to it."""

    pack: Pack
    state: LaneState
    passed: tuple[tuple[str, int], ...]  # reason, number of visits
    damaged: tuple[Damaged, ...]


class Lane:
    """Iterate for `Laid` packs without end.

    Raises SchemaError for what is damaged where the config is strict, and InputError where a source gives nothing for
    a long while.
    """

    def __init__(
        self, number: int, config: LaneConfig, reader: ExampleReader, readers: Executor, state: LaneState | None = None
    ) -> None:
        num_sources = len(config.weights)
        self._number, self._config, self._reader, self._readers = number, config, reader, readers
        self._state = state or LaneState.fresh(num_sources)
        if len(self._state.visits) != num_sources:
            raise SchemaError(
                f"lane {number} was kept for {len(self._state.visits)} sources, and there are {num_sources}"
            )
        self._under_way: list[deque[Future[Read]]] = [deque() for _ in range(num_sources)]
        self._passed: Counter[str] = Counter()
        self._damaged: list[Damaged] = []
        self._waiting = self._restored(self._state.waiting)

    def __iter__(self) -> Iterator[Laid]:
        return self

    def __next__(self) -> Laid:
        config = self._config
        while sum(example.num_tokens for example in self._waiting) < config.lookahead * config.pack_tokens:
            self._waiting += self._drawn()
        indices = chosen([example.num_tokens for example in self._waiting], config.pack_tokens, config.layout)
        taken = set(indices)
        pack = collate([self._waiting[index] for index in indices], config.pack_tokens, config.layout, config.padding)
        self._waiting = [example for index, example in enumerate(self._waiting) if index not in taken]
        self._state = replace(
            self._state,
            packs=self._state.packs + 1,
            waiting=tuple(
                Waiting(source=one.visit.source, number=one.visit.number, index=one.index) for one in self._waiting
            ),
        )
        laid = Laid(
            pack=pack, state=self._state, passed=tuple(sorted(self._passed.items())), damaged=tuple(self._damaged)
        )
        self._passed.clear()
        self._damaged.clear()
        return laid

    def _drawn(self) -> Sequence[Example]:
        """The examples of the next visit of the source whose turn it is; visits that give nothing are passed over."""
        source = self._turn()
        fruitless = damaged = 0
        while True:
            read = self._next_read(source)
            if isinstance(read, tuple) and read:
                self._moved(source, given=len(read))
                return read
            self._moved(source, given=0)
            fruitless += 1
            if isinstance(read, Damaged):
                damaged += 1
                if self._config.strict or damaged == MAX_DAMAGED:
                    raise raised(read)
                self._damaged.append(read)
            else:
                damaged = 0
                self._passed[read.reason if isinstance(read, Passed) else "holds nothing"] += 1
            if fruitless == MAX_FRUITLESS or fruitless > 2 * self._num_items(source) + 100:
                raise self._in_vain(source)

    def _turn(self) -> int:
        """The source that is furthest behind its weight. Lanes begin at different places of the round."""
        drawn = sum(self._state.given) + 1

        def behind(source: int) -> float:
            offset = draw(self._config.seed, "turn", self._number, source) / 2.0**64
            return self._config.weights[source] * drawn - self._state.given[source] + offset

        drawable = [source for source, weight in enumerate(self._config.weights) if weight > 0]
        return max(drawable, key=lambda source: (behind(source), -source))

    def _next_read(self, source: int) -> Read:
        under_way, done = self._under_way[source], self._state.visits[source]
        while len(under_way) < self._config.ahead:
            under_way.append(self._readers.submit(self._reader.read, self._visit(source, done + len(under_way))))
        return under_way.popleft().result()

    def _visit(self, source: int, index: int) -> Visit:
        return Visit(source=source, number=self._number + index * self._config.num_lanes)

    def _moved(self, source: int, given: int) -> None:
        visits, had = list(self._state.visits), list(self._state.given)
        visits[source] += 1
        had[source] += given
        self._state = replace(self._state, visits=tuple(visits), given=tuple(had))

    def _restored(self, waiting: Sequence[Waiting]) -> list[Example]:
        """The examples that waited, read again. Raises SchemaError where one of them is no longer what it was."""
        visits = list(dict.fromkeys((one.source, one.number) for one in waiting))
        reads = self._readers.map(self._reader.read, [Visit(source=s, number=n) for s, n in visits])
        by_visit = dict(zip(visits, reads, strict=True))
        examples = []
        for one in waiting:
            read = by_visit[one.source, one.number]
            if not isinstance(read, tuple) or one.index >= len(read):
                why = getattr(read, "reason", "it gives fewer examples")
                raise SchemaError(
                    f"{self._reader.catalogue.sources[one.source].config.place}: visit {one.number} was read before "
                    f"the run was broken off and cannot be read again ({why}); the data has changed since"
                )
            examples.append(read[one.index])
        return examples

    def _num_items(self, source: int) -> int:
        return self._reader.catalogue.sources[source].num_items

    def _in_vain(self, source: int) -> InputError:
        config = self._reader.catalogue.sources[source].config
        reasons = "; ".join(f"{count:,} times: {reason}" for reason, count in self._passed.most_common(3))
        first = f"; damaged: {self._damaged[0].where}: {self._damaged[0].reason}" if self._damaged else ""
        return InputError(
            f"{config.place} gives nothing to learn for the group {config.group!r} ({reasons}{first}); "
            "give another source, another share, or a lower --min-score"
        )
