"""The shards open in the libraries people use: the same samples, the same bytes."""

import subprocess
from pathlib import Path

import pytest

from schemas.shard import parse_record, read_tar, shards_in
from schemas.store import Store, store_at
from tests.make import beeps, write_wav
from tests.runs import annotated

Samples = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("interop")
    for i in range(4):
        write_wav(folder / "in" / f"r{i}.wav", beeps((1_000, 2_000), (4_000, 5_500), duration_ms=7_000))
    return annotated(folder / "in", folder / "out")


@pytest.fixture(scope="module")
def ours(output) -> Samples:
    samples: Samples = {}
    for shard in shards_in(output):
        with output.open(f"shards/{shard}.tar") as file:
            samples |= dict(read_tar(file))
    assert len(samples) == 8
    return samples


def tars(output: Store) -> list[str]:
    return [str(Path(output.root) / "shards" / f"{shard}.tar") for shard in shards_in(output)]


def test_plain_tar_unpacks_them(output, ours, tmp_path):
    for tar in tars(output):
        subprocess.run(["tar", "-xf", tar, "-C", tmp_path], check=True)
    found: Samples = {}
    for path in tmp_path.iterdir():
        found.setdefault(path.stem, {})[path.suffix[1:]] = path.read_bytes()
    assert found == ours


@pytest.mark.filterwarnings("ignore")
def test_webdataset_reads_them(output, ours):
    import webdataset

    dataset = webdataset.WebDataset(tars(output), shardshuffle=False)
    found = {row["__key__"]: {"flac": row["flac"], "json": row["json"]} for row in dataset}
    assert found == ours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_datasets_reads_them(output, ours, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    dataset = datasets.load_dataset("webdataset", data_files=tars(output), split="train", cache_dir=str(tmp_path))
    dataset = dataset.cast_column("flac", datasets.Audio(decode=False))
    assert {row["__key__"]: row["flac"]["bytes"] for row in dataset} == {k: m["flac"] for k, m in ours.items()}
    for row in dataset:
        assert row["json"]["record"]["caption"]["text"] == parse_record(ours[row["__key__"]]["json"]).caption.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_data_reads_them(output, ours):
    from pipeline.ray_runner import connected

    with connected(None, code=Path(__file__).parents[1]):
        import ray

        rows = ray.data.read_webdataset(tars(output), decoder=None).take_all()
    assert {row["__key__"]: {"flac": row["flac"], "json": row["json"]} for row in rows} == ours


def test_the_store_opens_them_from_a_bucket(output, ours, bucket):
    copy = store_at(f"s3://{bucket}/out")
    for stored in output.list():
        copy.put(stored.name, output.read(stored.name))
    found: Samples = {}
    for shard in shards_in(copy):
        with copy.open(f"shards/{shard}.tar") as file:
            found |= dict(read_tar(file))
    assert found == ours
