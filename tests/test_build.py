"""A set for fine-tuning: the same bytes every time, whole or not at all, and nothing of another build is touched."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.sft import check
from jobs.build import commands
from pipeline.instructions.build import BuildConfig, build
from pipeline.instructions.drawing import Lots, spread, wanted
from pipeline.lot import Lot
from pipeline.shards import Imprint, write_shard
from schemas.asking.sample import TaskSample
from schemas.asking.tasks import Mix, TaskShare
from schemas.errors import ConfigError, InputError, SchemaError
from schemas.record import Clip, Fact, Outcome, Profile, SoundAnnotation
from schemas.shard import read_receipt, shards_in
from schemas.store import LocalStore, Store, store_at
from tests import make

LABELS = ("Bark", "Rain", "Siren", "Meow", "Typing")


def clip(number: int) -> Clip:
    """Two sounds that a person named."""
    names = (LABELS[number % 5], LABELS[(number + 1) % 5])
    facts = tuple(
        Fact(start_ms=a, end_ms=b, kind="event", text=name.lower(), label=name, score=1.0, human=True)
        for name, (a, b) in zip(names, ((0, 900), (1_000, 2_000)), strict=True)
    )
    one = make.finished_clip(name=f"r{number}")
    sound = SoundAnnotation(outcome=Outcome.OK, model="m@1", text="two sounds, one after another", facts=facts)
    segment = replace(one.segment, profile=Profile(sounds_of_things=1.0))
    return replace(one, segment=segment, branches=replace(one.branches, sound=sound, speech=None))


def shards(folder: Path, number: int = 3) -> Store:
    store = store_at(str(folder))
    for lot in range(number):
        items = tuple(clip(3 * lot + i) for i in range(3))
        write_shard(
            store,
            Lot(plan="0123456789", number=lot, items=items),
            Imprint(recipe="r", config="c", max_shard_bytes=1 << 30),
        )
    return store


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def at(path: Path) -> LocalStore:
    return LocalStore(folder=path)


def test_a_build_is_right_and_the_same_again(tmp_path):
    store = shards(tmp_path / "in")
    receipt, made = build(store, at(tmp_path / "a"), BuildConfig(limit=40))
    assert made
    assert receipt.samples == 40
    checked, wrong = check(store, at(tmp_path / "a"))
    assert sum(checked.values()) == 40
    assert wrong == {}
    build(store, at(tmp_path / "b"), BuildConfig(limit=40))
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert build(store, at(tmp_path / "a"), BuildConfig(limit=40)) == (receipt, False)


def test_a_line_is_a_conversation_with_sound_that_is_there(tmp_path):
    build(shards(tmp_path / "in"), at(tmp_path / "a"), BuildConfig(part_samples=7))
    parts = sorted((tmp_path / "a").glob("sft-*.jsonl"))
    lines = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert len(parts) == -(-len(lines) // 7)
    for line in lines:
        kinds = [(part["role"], part["message_type"]) for part in line["conversation"]]
        assert kinds == [("user", "audio"), ("user", "text"), ("assistant", "text")]
        assert (tmp_path / "a" / line["conversation"][0]["content"]).read_bytes().startswith(b"fLaC")


def test_the_order_in_which_shards_are_listed_does_not_matter(tmp_path, monkeypatch):
    store = shards(tmp_path / "in")
    build(store, at(tmp_path / "a"), BuildConfig(limit=25))
    monkeypatch.setattr("pipeline.instructions.build.shards_in", lambda store: shards_in(store)[::-1])
    build(store, at(tmp_path / "b"), BuildConfig(limit=25))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_build_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    store, config = shards(tmp_path / "in"), BuildConfig(part_samples=10)
    build(store, at(tmp_path / "a"), config)
    put, calls = LocalStore.put, []

    def dying(self: LocalStore, name: str, data: bytes, **more: bool) -> bool:
        calls.append(name)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return put(self, name, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            build(store, at(tmp_path / "b"), config)
    assert not (tmp_path / "b" / "build.json").exists()
    with pytest.raises(ConfigError, match="begun and not ended"):
        build(store, at(tmp_path / "b"), BuildConfig(part_samples=11))
    build(store, at(tmp_path / "b"), config)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_another_build_is_never_written_over(tmp_path):
    store = shards(tmp_path / "in")
    build(store, at(tmp_path / "a"), BuildConfig(limit=10))
    before = files(tmp_path / "a")
    with pytest.raises(ConfigError, match="is of another build"):
        build(store, at(tmp_path / "a"), BuildConfig(limit=11))
    assert files(tmp_path / "a") == before
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "sft-00000.jsonl").write_text("mine")
    with pytest.raises(InputError, match="no build here made"):
        build(store, at(tmp_path / "c"), BuildConfig())


def test_a_damaged_shard_is_named_and_the_others_are_used(tmp_path):
    store = shards(tmp_path / "in")
    bad = shards_in(store)[1]
    tar = tmp_path / "in" / "shards" / f"{bad}.tar"
    tar.write_bytes(tar.read_bytes()[:-1_000])
    receipt, _ = build(store, at(tmp_path / "a"), BuildConfig())
    assert (receipt.damaged_shards, receipt.records) == (1, 6)
    assert receipt.damaged[0].shard == bad
    with pytest.raises(SchemaError, match=bad):
        build(store, at(tmp_path / "b"), BuildConfig(), strict=True)


def test_an_index_that_was_written_again_is_not_believed(tmp_path):
    store = shards(tmp_path / "in")
    bad = shards_in(store)[1]
    index = tmp_path / "in" / "shards" / f"{bad}.parquet"
    pq.write_table(pq.read_table(index), index, compression="none")
    receipt, _ = build(store, at(tmp_path / "a"), BuildConfig())
    assert (receipt.damaged_shards, receipt.records, receipt.damaged[0].shard) == (1, 6, bad)
    assert "not the one that its receipt tells of" in receipt.damaged[0].reason


def test_a_record_of_another_version_is_refused_by_name(tmp_path):
    store = shards(tmp_path / "in", 1)
    (shard,) = shards_in(store)
    tar = tmp_path / "in" / "shards" / f"{shard}.tar"
    data = tar.read_bytes()
    tar.write_bytes(data.replace(b'"version": 1', b'"version": 9', 1))
    assert read_receipt(store, shard).tar_bytes == len(data)
    receipt, _ = build(store, at(tmp_path / "a"), BuildConfig())
    assert (receipt.damaged_records, receipt.records) == (1, 2)
    assert "record version 9" in receipt.damaged[0].reason


@pytest.mark.parametrize("limit", [1, 7, 50, None])
def test_shares_and_numbers_are_kept(limit):
    counts = {"when": 30, "transcribe": 3, "no_speech": 40}
    taken = wanted(counts, Mix(), limit)
    assert sum(taken.values()) <= (limit or 73)
    assert all(taken[task] <= counts[task] for task in counts)
    assert taken["no_speech"] <= max(1, 0.02 * 33)


def test_the_command_tells_what_was_made(tmp_path):
    shards(tmp_path / "in")
    result = CliRunner().invoke(commands, ["sft", str(tmp_path / "in"), str(tmp_path / "a"), "--limit", "12"])
    assert result.exit_code == 0, result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("3 shards, 9 records -> 12 samples")


@pytest.mark.slow
def test_a_build_reads_and_writes_buckets(tmp_path, bucket):
    local = shards(tmp_path / "in")
    remote = store_at(f"s3://{bucket}/in")
    for stored in local.list():
        remote.put(stored.name, local.read(stored.name))
    dest = store_at(f"s3://{bucket}/set")
    build(remote, dest, BuildConfig(limit=20))
    build(local, at(tmp_path / "a"), BuildConfig(limit=20))
    assert {stored.name: dest.read(stored.name) for stored in dest.list()} == files(tmp_path / "a")


def test_tasks_of_more_weight_are_more_often_among_those_of_a_record():
    def sample(number: int, task: str) -> TaskSample:
        return TaskSample(key=f"k{number}", task=task, index=0, question="q", answer="a", evidence=("sound/0",))

    mix = Mix(shares=(TaskShare(task="when", weight=9.0),), per_record=1)
    kept = [spread([sample(number, "count"), sample(number, "when")], mix, 0)[0].task for number in range(400)]
    assert 350 < kept.count("when") < 400


def test_the_lowest_lots_are_known_without_keeping_all():
    numbers = np.random.default_rng(0).permutation(5_000).tolist()
    lots = Lots(room=10)
    for number in numbers:
        lots.add("when", number)
    assert lots.last_taken({"when": 10}) == {"when": 9}
    assert (lots.counts, len(lots.lowest["when"]) < 1_100) == ({"when": 5_000}, True)


def test_a_part_too_many_of_a_build_that_was_stopped_is_taken_away(tmp_path):
    store, dest = shards(tmp_path / "in"), at(tmp_path / "out")
    build(store, dest, BuildConfig())
    body = json.loads(dest.read("build.json"))
    begun = {name: body[name] for name in ("version", "shards", "shards_sha256", "config")}
    dest.put("begun.json", json.dumps(begun).encode())
    dest.put("sft-00007.jsonl", b"{}\n")
    dest.remove("build.json")
    assert build(store, dest, BuildConfig())[1]
    assert [stored.name for stored in dest.list("sft-")] == ["sft-00000.jsonl"]
