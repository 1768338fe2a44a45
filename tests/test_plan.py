"""What is found is planned, in a fixed order, and nothing is dropped on the way."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import PlanRow, make_plans, plan_of, read_plans, write_plan
from pipeline.sources import Found, find, source_id
from schemas.errors import InputError, SchemaError, StoreError
from schemas.store import store_at
from tests.make import tone, write_wav

LOT_MS = 10_000


def planned(duration_ms: int, name: str = "a", **changes: object) -> PlanRow:
    fields = {
        **{"uri": f"/x/{name}.wav", "source_id": name, "etag": "e", "num_bytes": 1, "duration_ms": duration_ms},
        **{"codec": None, "rate_hz": None, "channels": None, "start_ms": 0, "end_ms": duration_ms},
        **{
            "lot": 0,
            "num_lots": 1,
            "seam_before": False,
            "seam_after": False,
            "alone": False,
            "error": None,
            "sequence": 0,
        },
    }
    return PlanRow(**(fields | changes))


def found_in(address: Path | str) -> list[Found]:
    return list(find(str(address), Counter()))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=30))
def test_lots_tile_every_recording(durations_ms):
    rows = [planned(duration_ms, f"r{i}") for i, duration_ms in enumerate(durations_ms)]
    plan = plan_of(rows, config="c", lot_ms=LOT_MS, sequence=0)
    lots = list(plan.lots())
    assert [lot.number for lot in lots] == list(range(plan.num_lots))
    pieces = [piece for lot in lots for piece in lot.items]
    for row in rows:
        mine = [piece for piece in pieces if piece.source.id == row.source_id]
        assert (mine[0].start_ms, mine[-1].end_ms) == (0, row.duration_ms)
        assert (mine[0].seam_before, mine[-1].seam_after) == (False, False)
        for left, right in itertools.pairwise(mine):
            assert left.end_ms == right.start_ms
            assert left.seam_after
            assert right.seam_before
    assert all(sum(p.end_ms - p.start_ms for p in lot.items) <= 1.5 * LOT_MS + 1 for lot in lots)


def test_what_was_abandoned_with_its_lot_is_retried_alone():
    rows = [planned(100, "a"), planned(100, "b", alone=True), planned(100, "c"), planned(100, "d")]
    lots = plan_of(rows, config="c", lot_ms=LOT_MS, sequence=0).lots()
    assert [[piece.source.id for piece in lot.items] for lot in lots] == [["a"], ["b"], ["c", "d"]]


def test_the_same_recordings_and_config_give_the_same_plan():
    rows = [planned(4_000, "a"), planned(7_000, "b")]
    one = plan_of(rows, config="c", lot_ms=LOT_MS, sequence=0)
    assert one == plan_of(rows, config="c", lot_ms=LOT_MS, sequence=0)
    assert one.name != plan_of(rows, config="d", lot_ms=LOT_MS, sequence=0).name
    assert one.name != plan_of(rows[::-1], config="c", lot_ms=LOT_MS, sequence=0).name


def test_a_plan_that_is_written_is_read(tmp_path):
    plan = plan_of([planned(4_000), planned(40_000, "b", error="no")], config="c", lot_ms=LOT_MS, sequence=0)
    store = store_at(str(tmp_path))
    write_plan(store, plan)
    assert read_plans(store) == [plan]


def test_a_damaged_plan_is_named(tmp_path):
    store = store_at(str(tmp_path))
    store.put("plan/0123456789.parquet", b"not parquet")
    with pytest.raises(SchemaError, match=r"0123456789\.parquet is not a readable plan"):
        read_plans(store)


def test_what_cannot_be_opened_is_planned_with_its_reason(tmp_path):
    write_wav(tmp_path / "good.wav", tone(500))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere")
    (plan,) = make_plans(iter(found_in(tmp_path)), config="c", lot_ms=LOT_MS, sequence=0, progress=lambda n: None)
    errors = {Path(row.uri).name: row.error for row in plan.rows}
    assert errors["good.wav"] is None
    assert errors["empty.wav"] == "the file is empty (0 bytes)"
    assert "not audio" in errors["text.wav"]
    assert errors["link.wav"] == "it is not there"


@pytest.mark.parametrize(
    "name", ["plain", "ü 'quoted' \"name\"", "dots.in.name", "a" * 200, "日本語", "-", "..", "a\nb"]
)
def test_an_id_is_stable_and_safe_in_keys_and_file_names(name):
    made = source_id(f"/x/{name}.wav")
    assert made == source_id(f"/x/{name}.wav")
    assert made.replace("-", "").replace("_", "").isalnum()
    assert made.isascii()
    assert len(made) <= 51


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path):
    for folder in ("a", "b"):
        write_wav(tmp_path / folder / "same.wav", tone(100))
    assert len({found.id for found in found_in(tmp_path)}) == 2


def test_a_folder_is_listed_in_order_and_other_files_are_counted(tmp_path):
    for name in ("b.WAV", "a.wav", "c/d.mp3"):
        write_wav(tmp_path / name, tone(50))
    (tmp_path / "readme.txt").write_text("x")
    passed_over: Counter[str] = Counter()
    names = [Path(found.uri).name for found in find(str(tmp_path), passed_over)]
    assert names == ["a.wav", "b.WAV", "d.mp3"]
    assert passed_over == {".txt": 1}


def test_a_bucket_is_listed_like_a_folder(bucket):
    store = store_at(f"s3://{bucket}/raw")
    for name in ("b.wav", "a.wav", "sub/c.wav"):
        store.put(name, b"x")
    assert [found.uri.removeprefix(f"s3://{bucket}/raw/") for found in found_in(store.root)] == [
        "a.wav",
        "b.wav",
        "sub/c.wav",
    ]


def test_one_object_can_be_named(bucket):
    store_at(f"s3://{bucket}").put("raw/a.wav", b"x")
    assert len(found_in(f"s3://{bucket}/raw/a.wav")) == 1


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_manifest_names_recordings_relative_to_itself(tmp_path, kind):
    write_wav(tmp_path / "audio" / "a.wav", tone(50))
    rows = [{"uri": "audio/a.wav", "id": "mine"}, {"uri": str(tmp_path / "gone.wav"), "id": None}]
    manifest = tmp_path / f"m.{kind}"
    if kind == "jsonl":
        manifest.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), manifest)
    here, gone = found_in(manifest)
    assert (here.id, here.uri) == ("mine", str(tmp_path / "audio" / "a.wav"))
    assert (gone.etag, gone.num_bytes) == ("", 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("not json", r"m\.jsonl line 1 is not JSON", id="not JSON"),
        pytest.param('{"url": "x"}', r"line 1 has no `uri`", id="no uri"),
        pytest.param('{"uri": 7}', r"line 1 has no `uri`", id="a number for a uri"),
        pytest.param('{"uri": "a.wav"}\n{"uri": "a.wav"}', r"line 2.*stands in m\.jsonl line 1 too", id="twice"),
        pytest.param('{"uri": "a.wav", "id": "a/b"}', r"line 1: id 'a/b' should be", id="an unsafe id"),
        pytest.param('{"uri": "a.wav", "id": "x"}\n{"uri": "b.wav", "id": "x"}', r"'x' stands in", id="an id twice"),
        pytest.param('{"uri": "gs://a/b.wav"}', r"of a kind this cannot reach", id="another kind of address"),
        pytest.param("", r"holds nothing to annotate", id="empty"),
    ],
)
def test_a_bad_manifest_is_told_by_line(tmp_path, text, words):
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises((InputError, StoreError), match=words):
        found_in(tmp_path / "m.jsonl")


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere.jsonl"])
def test_nothing_to_annotate_is_an_error_with_advice(tmp_path, name):
    with pytest.raises(InputError, match=r"holds nothing to annotate|is not there"):
        found_in(tmp_path / name)
