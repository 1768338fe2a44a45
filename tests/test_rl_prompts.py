"""Prompts from shards: every one can be judged, ranks share them out, and reading goes on where it stood."""

from itertools import islice

import pytest

from model import ranks
from model.catalogue import SourceConfig, catalogue
from model.rewards import RewardConfig, reward
from model.rl_prompts import ShardPrompts
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.errors import ConfigError, InputError
from tests.make_shards import shards, texts

TOKENIZER = Tokenizer(build())


def source_of(folder, **told):
    (source,) = catalogue([SourceConfig(place=str(folder), **told)]).sources
    return source


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    shards(folder)
    return source_of(folder)


def prompts(source, **told) -> ShardPrompts:
    return ShardPrompts(source, TOKENIZER, **{"max_prompt_tokens": 4096, **told})


def ids(found) -> list[str]:
    return [prompt.sample.id for prompt in found]


def test_every_prompt_is_about_its_sound_and_its_true_answer_is_worth_one(source):
    found = list(islice(prompts(source), 60))
    assert len({prompt.sample.task for prompt in found}) > 5
    assert not any(prompt.sample.task.startswith("caption") for prompt in found)
    for prompt in found:
        assert [mel.shape[1] for mel in prompt.request.mels] == list(prompt.request.prompt.frames)
        assert reward(prompt.sample, prompt.sample.answer, RewardConfig()).total == pytest.approx(1), prompt.sample


def test_reading_goes_on_where_it_stood(source):
    whole = ids(islice(prompts(source), 40))
    first = prompts(source)
    begun = ids(islice(first, 17))
    assert begun + ids(islice(prompts(source, visited=first.visited), 23)) == whole
    assert ids(islice(prompts(source, seed=1), 40)) != whole


def test_ranks_take_turns_and_none_asks_what_another_does_in_a_round(source, monkeypatch):
    whole = ids(islice(prompts(source), 14))
    monkeypatch.setattr(ranks, "num_ranks", lambda: 2)
    apart = []
    for rank in range(2):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        apart.append(ids(islice(prompts(source), 7)))
    assert [name for pair in zip(*apart, strict=True) for name in pair] == whole


def test_what_cannot_be_used_is_counted_and_a_source_that_gives_nothing_is_refused(tmp_path, source):
    with pytest.raises(InputError, match="none of 15 records gives a prompt of at most 10 tokens"):
        next(prompts(source, max_prompt_tokens=10))
    shards(tmp_path / "shards")
    damaged = source_of(tmp_path / "shards")
    next((tmp_path / "shards").rglob("*.tar")).write_bytes(b"no tar")
    reading = prompts(damaged)
    assert len(list(islice(reading, 20))) == 20
    assert reading.troubles >= 5
    with pytest.raises(ConfigError, match="prompts come from shards"):
        prompts(source_of(texts(tmp_path / "texts"), kind="text", group="text"))
