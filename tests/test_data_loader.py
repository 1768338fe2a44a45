"""However many processes read and however many ranks learn: the same packs, bit for bit."""

import json
import os
import signal
from collections import deque
from pathlib import Path

import boto3
import pytest

from model.catalogue import Catalogue, SourceConfig, SourceKind, catalogue
from model.data import DataConfig, Loader
from model.lanes import LaneState
from schemas.errors import ConfigError, InputError, SchemaError
from tests import make_shards
from tests.loading import bits, loaded, mixed, work_on

STEPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("loader")


@pytest.fixture(scope="module")
def sources(folder) -> tuple[SourceConfig, ...]:
    return mixed(folder)


@pytest.fixture(scope="module")
def expected(folder, sources) -> list[list[tuple[object, ...]]]:
    """What is learnt in each step of four packs, in one process that was never interrupted."""
    steps, _ = loaded(work_on(folder, sources, packs_per_step=4), STEPS)
    return [[bits(laid) for laid in step] for step in steps]


def together(work, ranks: int, steps: int, step: int = 0, states=None) -> tuple[list, dict[int, LaneState]]:
    """The packs of all ranks, in the order in which they belong to a step, and the states of all lanes."""
    found = [loaded(work, steps, rank=rank, ranks=ranks, step=step, states=states) for rank in range(ranks)]
    of_a_step = zip(*(packs for packs, _ in found), strict=True)
    packs = [[bits(laid) for k in zip(*each, strict=True) for laid in k] for each in of_a_step]
    return packs, {lane: state for _, states in found for lane, state in states.items()}


def test_the_same_twice(folder, sources, expected):
    steps, _ = loaded(work_on(folder, sources, packs_per_step=4), 2)
    assert [[bits(laid) for laid in step] for step in steps] == expected[:2]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_together_learn_what_one_would(folder, sources, expected, ranks):
    assert together(work_on(folder, sources, packs_per_step=4), ranks, STEPS)[0] == expected


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same(folder, sources, expected, workers):
    assert together(work_on(folder, sources, packs_per_step=4, workers=workers), 1, STEPS)[0] == expected


@pytest.mark.parametrize(("before", "after", "at"), [(1, 1, 1), (1, 2, 3), (4, 1, 5), (2, 4, 2)])
def test_a_run_broken_off_goes_on_with_another_number_of_ranks(folder, sources, expected, before, after, at):
    work = work_on(folder, sources, packs_per_step=4)
    first, states = together(work, before, at)
    kept = json.loads(json.dumps({lane: state.to_json() for lane, state in states.items()}))
    restored = {int(lane): LaneState.from_json(row) for lane, row in kept.items()}
    second, _ = together(work, after, STEPS - at, at, restored)
    assert first + second == expected


@pytest.mark.slow
def test_and_with_another_number_of_workers(folder, sources, expected):
    first, states = together(work_on(folder, sources, packs_per_step=4, workers=2), 1, 3)
    second, states = together(work_on(folder, sources, packs_per_step=4, workers=0), 2, 1, 3, states)
    third, _ = together(work_on(folder, sources, packs_per_step=4, workers=1), 1, 2, 4, states)
    assert first + second + third == expected


@pytest.mark.slow
def test_a_bucket_gives_the_same_packs_as_a_folder(tmp_path, bucket):
    sources = mixed(tmp_path)
    bucketed = []
    for source in sources:
        name = Path(source.place).name
        for file in Path(source.place).rglob("*"):
            if file.is_file():
                key = f"{name}/{file.relative_to(source.place)}"
                boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
        bucketed.append(SourceConfig(place=f"s3://{bucket}/{name}", kind=source.kind, group=source.group))
    from_folder, _ = loaded(work_on(tmp_path, sources), 3)
    from_bucket, _ = loaded(work_on(tmp_path, tuple(bucketed), workers=2), 3)
    assert [[bits(laid) for laid in step] for step in from_bucket] == [
        [bits(laid) for laid in step] for step in from_folder
    ]


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.slow
def test_a_killed_worker_is_told_in_a_sentence(folder, sources):
    """Killed while it waits to be heard, in the midst of a pack, as the out-of-memory killer would."""
    with Loader(work_on(folder, sources, workers=2)) as loader:
        next(loader)
        for worker in loader._workers:
            os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match=r"a process that reads data ended with -9; .*fewer --workers"):
            deque(loader, maxlen=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_raises_is_raised_here(tmp_path, workers):
    sources = mixed(tmp_path)
    work = work_on(tmp_path, sources, workers=workers, strict=True)
    for file in (tmp_path / "shards" / "shards").glob("*.tar"):
        file.write_bytes(b"")
    with Loader(work) as loader, pytest.raises(SchemaError, match=r"item \d+: .*its tar ends"):
        deque(loader, maxlen=0)


def test_what_was_passed_over_and_damaged_is_told(tmp_path):
    sources = mixed(tmp_path)
    work = work_on(tmp_path, sources)
    first = sorted((tmp_path / "shards" / "shards").glob("*.tar"))[0]
    first.unlink()
    (tmp_path / "texts" / "lines.jsonl").write_text('{"text": "changed"}\n\n{"text": "since"}\n')
    with Loader(work) as loader:
        for _ in range(12):
            next(loader)
    assert loader.num_damaged == len(loader.damaged) > 0
    assert any(first.stem in line and "it is not there" in line for line in loader.damaged)
    assert any("lines.jsonl, item" in line and "changed since the run began" in line for line in loader.damaged)


def test_packs_that_ranks_cannot_share_are_refused(folder, sources):
    with pytest.raises(ConfigError, match="2 packs a step cannot be divided evenly among 3 ranks; take a multiple"):
        Loader(work_on(folder, sources), ranks=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": ()}, "nothing to learn from"),
        ({"packs_per_step": 0}, "packs_per_step is 0; it must be at least 1"),
        ({"pack_tokens": 9}, "pack_tokens is 9; it must be at least 64"),
        ({"lookahead": 0.5}, "lookahead is 0.5; it must be from 1 to 64"),
        ({"lookahead": float("nan")}, "lookahead is nan; it must be from 1 to 64"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, said):
    known = {"sources": (SourceConfig(place="x"),)}
    with pytest.raises(ConfigError, match=said):
        DataConfig(**(known | changes))


# ------------------------------------------------------------------------------------------------ the catalogue


def test_a_catalogue_survives_its_own_json(folder, sources):
    found = catalogue(sources)
    assert Catalogue.from_json(found.to_json(), "data.json") == found
    for body in (b"[]", b"{", b'{"sources": 3}', b"\xff"):
        with pytest.raises(SchemaError, match=r"data\.json is not a catalogue of data"):
            Catalogue.from_json(body, "data.json")


def test_what_was_added_since_is_not_learnt(tmp_path):
    sources = mixed(tmp_path)
    work = work_on(tmp_path, sources)
    before, _ = loaded(work, 3)
    make_shards.shards(tmp_path / "shards", 2, 5, first=100)
    after, _ = loaded(work, 3)
    assert [bits(laid) for step in after for laid in step] == [bits(laid) for step in before for laid in step]


def test_a_part_that_cannot_be_read_is_left_out_and_told_or_raised(tmp_path):
    sources = mixed(tmp_path)
    receipts = sorted((tmp_path / "shards" / "shards").glob("*.json"))
    receipts[0].write_text("{}")
    receipts[1].with_suffix(".parquet").write_bytes(b"no index")
    found = catalogue(sources[:1])
    assert [len(source.parts) for source in found.sources] == [1]
    assert len(found.troubles) == 2
    assert receipts[0].stem in found.troubles[0]
    with pytest.raises(SchemaError):
        catalogue(sources[:1], strict=True)


def test_a_place_that_holds_nothing_of_its_kind_is_told(tmp_path):
    (tmp_path / "readme.md").write_text("no data")
    for kind, group in (("shards", "asr"), ("text", "text"), ("conversations", "conversations")):
        source = SourceConfig(place=str(tmp_path), kind=SourceKind(kind), group=group)
        with pytest.raises(InputError, match="holds nothing to learn from"):
            catalogue([source])
    with pytest.raises(ConfigError, match="a source of text is of the group 'text', not 'asr'"):
        SourceConfig(place="x", kind=SourceKind.TEXT, group="asr")
    with pytest.raises(ConfigError, match="there is no task group 'songs'"):
        SourceConfig(place="x", group="songs")
