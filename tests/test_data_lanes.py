"""A lane is a pure function of its number: restored anywhere it goes on as it would have."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from model.catalogue import SourceConfig, SourceKind, catalogue
from model.data import Share
from model.examples import Visit
from model.lanes import LaneState
from model.packing import Layout
from schemas.errors import ConfigError, InputError, SchemaError
from schemas.shard import read_index
from schemas.store import store_at
from tests import make_shards
from tests.loading import bits, laid_of, mixed, work_on


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("lanes")


@pytest.fixture(scope="module")
def sources(folder) -> tuple[SourceConfig, ...]:
    return mixed(folder)


# ------------------------------------------------------------------------------------------------ going on


@pytest.mark.parametrize("layout", tuple(Layout))
@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_lane_restored_from_json_goes_on_bit_for_bit(folder, sources, at, layout):
    work = work_on(folder, sources, layout=layout)
    whole = laid_of(work, 3, 8)
    told = json.loads(json.dumps(whole[at - 1].state.to_json()))
    after = laid_of(work, 3, 8 - at, LaneState.from_json(told))
    assert [bits(laid) for laid in after] == [bits(laid) for laid in whole[at:]]
    assert [laid.state for laid in after] == [laid.state for laid in whole[at:]]


def test_lanes_differ_and_the_same_lane_does_not(folder, sources):
    work = work_on(folder, sources)
    packs = {lane: [bits(laid) for laid in laid_of(work, lane, 2)] for lane in (0, 1)}
    assert packs[0] != packs[1]
    assert packs[0] == [bits(laid) for laid in laid_of(work, 0, 2)]


def test_what_has_changed_since_is_not_taken_for_what_it_was(tmp_path):
    sources = mixed(tmp_path)
    work = work_on(tmp_path, sources)
    state = laid_of(work, 0, 2)[-1].state
    assert state.waiting
    for file in (tmp_path / "shards" / "shards").glob("*.tar"):
        file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(SchemaError, match=r"visit \d+ was read before the run was broken off and cannot be read again"):
        laid_of(work, 0, 1, state)


def test_a_state_of_other_sources_is_refused(folder, sources):
    with pytest.raises(SchemaError, match="lane 0 was kept for 2 sources, and there are 3"):
        laid_of(work_on(folder, sources), 0, 1, LaneState.fresh(2))


@pytest.mark.parametrize(
    "changes",
    [{"given": (0,)}, {"visits": (-1, 0, 0)}, {"waiting": ({"source": 9, "number": 0, "index": 0},)}],
)
def test_a_state_that_cannot_be_is_refused(folder, sources, changes):
    row = LaneState.fresh(3).to_json() | {name: list(value) for name, value in changes.items()}
    with pytest.raises(SchemaError, match="lane 0"):
        laid_of(work_on(folder, sources), 0, 1, LaneState.from_json(row))


# ------------------------------------------------------------------------------------------------ whole rounds


def test_all_lanes_together_learn_every_item_once_a_round(tmp_path):
    """15 records and 8 lanes, packs of one record each: after as many visits as there are items, each came once."""
    make_shards.shards(tmp_path / "shards")
    work = work_on(tmp_path, (SourceConfig(place=str(tmp_path / "shards"), group="captions"),), lookahead=1.0)
    reader = work.reader()
    keys = Counter()
    for lane in range(8):
        laid, met = [], Counter()
        while not laid or laid[-1].state.visits[0] < 6:
            laid = laid_of(work, lane, len(laid) + 1)
        for one in laid:
            met.update(one.pack.keys)
        last = laid[-1].state
        for waiting in last.waiting:
            met[reader.read(Visit(source=waiting.source, number=waiting.number))[0].key] += 1
        own = Counter(reader.read(visit)[0].key for visit in visits_of(lane, last.visits[0]))
        assert met == own
        keys.update(reader.read(visit)[0].key for visit in visits_of(lane, 30 // 8 + (lane < 30 % 8)))
    assert len(keys) == 15
    assert set(keys.values()) == {2}


def visits_of(lane: int, count: int) -> list[Visit]:
    return [Visit(source=0, number=lane + 8 * index) for index in range(count)]


# ------------------------------------------------------------------------------------------------ shares


def one_to_a_visit(folder: Path) -> tuple[SourceConfig, ...]:
    """As `mixed`, with documents that are an example each."""
    lines = [json.dumps({"text": f"document {number}"}) for number in range(9)]
    (folder / "short.jsonl").write_text("\n".join(lines))
    make_shards.shards(folder / "shards")
    return (
        SourceConfig(place=str(folder / "shards"), group="asr"),
        SourceConfig(place=str(folder / "shards"), group="captions"),
        SourceConfig(place=str(folder / "short.jsonl"), kind=SourceKind.TEXT, group="text"),
    )


def test_groups_come_as_their_shares_say(tmp_path):
    work = work_on(tmp_path, one_to_a_visit(tmp_path))
    for lane in (0, 5):
        for laid in laid_of(work, lane, 30):
            given = laid.state.given
            for share, count in zip((0.3, 0.4, 0.3), given, strict=True):
                assert abs(count - share * sum(given)) <= 1.5


def test_within_a_group_sources_come_by_the_root_of_their_size(tmp_path):
    make_shards.shards(tmp_path / "large", 4, 4)
    make_shards.shards(tmp_path / "small", 1, 4, first=40)
    sources = tuple(SourceConfig(place=str(tmp_path / name), group="captions") for name in ("large", "small"))
    work = work_on(tmp_path, sources)
    assert work.lane_config().weights == pytest.approx((2 / 3, 1 / 3))
    given = laid_of(work, 0, 20)[-1].state.given
    assert abs(given[0] - 2 * given[1]) <= 3


def test_a_group_without_items_or_without_a_share_leaves_it_to_the_others(folder, sources):
    found = catalogue(sources[:2])
    assert found.weights({"asr": 30.0, "captions": 40.0, "text": 30.0}) == pytest.approx([3 / 7, 4 / 7])
    shares = tuple(Share(group=group, share=share) for group, share in (("asr", 0.0), ("captions", 1.0)))
    given = laid_of(work_on(folder, sources[:2], shares=shares), 0, 4)[-1].state.given
    assert given[0] == 0 < given[1]
    with pytest.raises(ConfigError, match="the task group captions has no share"):
        found.weights({"asr": 1.0})
    with pytest.raises(InputError, match="nothing to learn from"):
        found.weights({"asr": 0.0, "captions": 0.0})


# ------------------------------------------------------------------------------------------------ damage


def captions_of(folder: Path) -> SourceConfig:
    make_shards.shards(folder / "shards")
    return SourceConfig(place=str(folder / "shards"), group="captions")


def spoilt(folder: Path, how: str) -> set[str]:
    """Spoils an output; the keys of what cannot be learnt from now."""
    store = store_at(str(folder / "shards"))
    first = sorted(path.stem for path in (folder / "shards" / "shards").glob("*.tar"))[0]
    tar = folder / "shards" / "shards" / f"{first}.tar"
    rows, data = read_index(store, first), bytearray(tar.read_bytes())
    if how == "sound":
        data[rows[1].flac_offset : rows[1].flac_offset + 40] = bytes(40)
        bad = {rows[1].key}
    elif how == "cut":
        del data[rows[3].json_offset :]
        bad = {row.key for row in rows if row.json_offset >= rows[3].json_offset}
    elif how == "version":
        start, size = rows[2].json_offset, rows[2].json_bytes
        body = data[start : start + size].replace(b'"version": 1', b'"version": 9')
        assert len(body) == size
        data[start : start + size] = body
        bad = {rows[2].key}
    else:
        index = tar.with_suffix(".parquet")
        index.write_bytes(index.read_bytes()[:-9] + b"somethin" + b"g")
        bad = {row.key for row in rows}
    tar.write_bytes(data)
    return bad


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("sound", "that should be FLAC cannot be read"),
        ("cut", "its tar ends within the members"),
        ("version", "record version 9"),
        ("index", "it was changed since the run began"),
    ],
)
def test_what_is_damaged_is_named_once_a_round_and_all_else_is_learnt(tmp_path, how, told):
    source = captions_of(tmp_path)
    work = work_on(tmp_path, (source,))
    whole = {row.key for shard in work.catalogue.sources[0].parts for row in rows_of(tmp_path, shard.name)}
    bad = spoilt(tmp_path, how)
    visits = Counter()
    learnt = set()
    for lane in range(8):
        for laid in laid_of(work, lane, 3):
            learnt |= set(laid.pack.keys)
            visits.update(one.visit for one in laid.damaged)
            assert all(told in one.reason and "shards" in one.where for one in laid.damaged), laid.damaged
    assert visits
    assert set(visits.values()) == {1}
    assert learnt == whole - bad


def rows_of(folder: Path, shard: str):
    return read_index(store_at(str(folder / "shards")), shard)


def test_where_strict_the_first_damage_ends_it_naming_shard_and_item(tmp_path):
    source = captions_of(tmp_path)
    work = work_on(tmp_path, (source,), strict=True)
    spoilt(tmp_path, "cut")
    with pytest.raises(SchemaError, match=r"shards.*item \d+: .*its tar ends within the members"):
        [laid_of(work, lane, 3) for lane in range(8)]


def test_a_source_that_gives_nothing_ends_with_one_sentence(tmp_path):
    source = captions_of(tmp_path)
    work = work_on(tmp_path, (replace(source, group="reasoning"),))
    too_small = replace(work.config, pack_tokens=64)  # nothing fits
    with pytest.raises(InputError, match=r"gives nothing to learn for the group 'reasoning' \(.*times: ") as caught:
        laid_of(replace(work, config=too_small), 0, 1)
    assert "\n" not in str(caught.value)


def test_a_source_all_damaged_ends_with_one_sentence_that_names_the_first(tmp_path):
    source = captions_of(tmp_path)
    work = work_on(tmp_path, (source,))
    for file in (tmp_path / "shards" / "shards").glob("*.tar"):
        file.unlink()
    with pytest.raises(InputError, match=r"gives nothing to learn .*[\d]+ damaged: .*\.tar: it is not there"):
        laid_of(work, 0, 1)


def test_states_move_forward_only(folder, sources):
    states = [laid.state for laid in laid_of(work_on(folder, sources), 2, 6)]
    assert [state.packs for state in states] == list(range(1, 7))
    for before, after in pairwise(states):
        assert all(a <= b for a, b in zip(before.visits, after.visits, strict=True))
