"""Questions to reinforce from shards: what records can be asked and rules can check, without end, in a known order.

Visits are those of `model.order`: rank r of n takes r, r + n, r + 2n, ... so no two ask about the same record in a
round. What cannot be used is told in the log and counted.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from model import ranks
from model.catalogue import Catalogued, SourceKind, rows_of, store_of
from model.examples import as_floats, at_16_khz
from model.mel import log_mel
from model.objectives.mix import Kind, kinds_of, sample_of
from model.order import Order
from model.rewards import JUDGES
from model.rl import RlPrompt
from model.tokens import Tokenizer
from schemas.asking.sample import AskRules, TaskSample
from schemas.audio import decode_flac
from schemas.errors import ConfigError, DecodeError, InputError, SchemaError, StoreError
from schemas.record import Record
from schemas.shard import IndexRow, parse_record, read_members

log = logging.getLogger(__name__)


class ShardPrompts(Iterator[RlPrompt]):
    """This rank's prompts of one source of shards. `visited` is where it stands, and what a snapshot is to keep of it.

    `passed_over` counts records that give nothing a rule can check or are too long, `troubles` those that cannot be
    read. Raises ConfigError for a source of another kind, and InputError where a whole round gives no prompt.
    """

    def __init__(
        self,
        source: Catalogued,
        tokenizer: Tokenizer,
        *,
        max_prompt_tokens: int,
        rules: AskRules | None = None,
        seed: int = 0,
        visited: int = 0,
    ) -> None:
        if source.config.kind is not SourceKind.SHARDS:
            raise ConfigError(f"{source.config.place} is a source of {source.config.kind}; prompts come from shards")
        self.visited, self.passed_over, self.troubles = visited, 0, 0
        self._source, self._tokenizer, self._max_prompt_tokens = source, tokenizer, max_prompt_tokens
        self._rules = rules or AskRules()
        self._store = store_of(source.config)
        self._kinds = tuple(_checkable(kind) for kind in kinds_of(source.config.group, source.config.kinds))
        self._order = Order([part.num_items for part in source.parts], seed)
        self._rows = lru_cache(maxsize=64)(self._read_rows)

    def __next__(self) -> RlPrompt:
        for _ in range(self._order.num_items):
            visit = self.visited * ranks.num_ranks() + ranks.rank()
            self.visited += 1
            part, item = self._order.at(visit)
            try:
                prompt = self._read(visit, part, item)
            except (SchemaError, DecodeError, InputError, StoreError) as error:
                self.troubles += 1
                log.warning("%s, item %d: %s", self._store.uri(self._source.parts[part].name), item, error)
                continue
            if prompt is not None:
                return prompt
            self.passed_over += 1
        raise InputError(
            f"{self._source.config.place}: none of {self._order.num_items:,} records gives a prompt of at most "
            f"{self._max_prompt_tokens:,} tokens whose answers a rule can check ({self.troubles:,} cannot be read)"
        )

    def _read(self, visit: int, part: int, item: int) -> RlPrompt | None:
        name = self._source.parts[part].name
        row = self._rows(part)[item]
        members = read_members(self._store, name, row)
        record = parse_record(members["json"])
        sample = sample_of(record, self._kinds, self._rules, visit)
        if sample is None:
            return None
        mel = log_mel(as_floats(at_16_khz(decode_flac(members["flac"]))))
        prompt = RlPrompt.of(sample, (mel,), self._tokenizer)
        return prompt if len(prompt.request.prompt.ids) <= self._max_prompt_tokens else None

    def _read_rows(self, part: int) -> list[IndexRow]:
        return rows_of(self._store, self._source.parts[part], self._source.config.group)


def _checkable(kind: Kind) -> Kind:
    """The kind without the samples that no rule can check."""
    samples = kind.samples

    def checkable(record: Record, rules: AskRules) -> list[TaskSample]:
        return [sample for sample in samples(record, rules) if sample.task in JUDGES]

    return replace(kind, samples=checkable)
