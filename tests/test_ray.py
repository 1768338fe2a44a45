"""Ray changes nothing but the speed: same bytes, and whatever dies, everything is still accounted for."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import ray_runner
from pipeline.annotate import plan_new, standing, unfinished
from pipeline.ray_runner import Tally, bundles, connected, pool_sizes, run_ray
from pipeline.route import AnnotateConfig, route
from pipeline.shards import Write
from pipeline.steps import Step, run_local
from schemas.errors import ClusterError, StoreError
from schemas.record import Branch
from schemas.shard import Receipt
from schemas.store import Store, store_at
from tests.make import beeps, quick, write_wav
from tests.recipes import Dies, LosesItsCard

CODE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connected(None, code=CODE):
        yield


@pytest.fixture
def recordings(tmp_path) -> Path:
    for i in range(4):
        write_wav(tmp_path / "in" / f"r{i}.wav", beeps((1_000, 3_000), (5_000, 7_500), duration_ms=9_000))
    write_wav(
        tmp_path / "in" / "long.wav", beeps(*((a, a + 2_000) for a in range(500, 30_000, 4_000)), duration_ms=31_000)
    )
    (tmp_path / "in" / "broken.wav").write_bytes(b"hello")
    return tmp_path / "in"


def planned(folder: Path, output: Path, config: AnnotateConfig) -> Store:
    store = store_at(str(output))
    plan_new(store, str(folder), config, limit=None, passed_over=Counter(), progress=lambda n: None)
    return store


def left(store: Store) -> list:
    return list(unfinished(store, standing(store).plans))


def hashes(store: Store) -> dict[str, str]:
    return {
        stored.name: hashlib.sha256(store.read(stored.name)).hexdigest()
        for stored in store.list("shards/")
        if not stored.name.endswith(".json")
    }


@pytest.mark.slow
def test_local_and_ray_give_the_same_bytes(cluster, recordings, tmp_path):
    config = quick()
    local, ray = (planned(recordings, tmp_path / name, config) for name in ("local", "ray"))
    list(run_local(route(config, local.root), left(local)))
    receipts = list(run_ray(route(config, ray.root), left(ray), Tally()))
    assert hashes(local) == hashes(ray)
    assert sorted(r.shard for r in receipts) == sorted(r.shard for r in standing(local).receipts)
    assert left(ray) == []


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [Dies, LosesItsCard])
def test_a_worker_that_dies_or_loses_its_card_once_costs_a_retry_and_nothing_else(
    cluster, recordings, tmp_path, trouble
):
    (recordings / "r1.wav").rename(recordings / "deadly.wav")
    (tmp_path / "marks").mkdir()
    store, calm = (planned(recordings, tmp_path / name, quick()) for name in ("out", "calm"))
    deadly = quick(sound=trouble(branch=Branch.SOUND, marks=str(tmp_path / "marks"), times=1))
    tally = Tally()
    list(run_ray(with_step(route(quick(), store.root), route(deadly, store.root), "sound"), left(store), tally))
    list(run_local(route(quick(), calm.root), left(calm)))
    assert tally.retries == {"sound": 1}
    assert hashes(store) == hashes(calm)


@pytest.mark.slow
def test_a_lot_that_kills_every_worker_becomes_failures_and_the_run_goes_on(cluster, recordings, tmp_path):
    (recordings / "r1.wav").rename(recordings / "deadly.wav")
    (tmp_path / "marks").mkdir()
    config = quick(sound=Dies(branch=Branch.SOUND, marks=str(tmp_path / "marks")), lot_ms=9_500)
    store, tally = planned(recordings, tmp_path / "out", config), Tally()
    list(run_ray(route(config, store.root), left(store), tally))
    now = standing(store)
    assert now.is_done
    assert (tally.abandoned, tally.retries) == (1, {"sound": 3})
    (failure,) = (row for row in now.failures if "deadly" in row.uri)
    assert (failure.step, failure.start_ms, failure.end_ms) == ("sound", 0, 9_000)
    assert "given up after 3 tries" in failure.reason


@pytest.mark.slow
def test_a_lot_that_kills_every_worker_is_no_reason_to_stop_even_when_it_is_the_only_one(cluster, tmp_path):
    write_wav(tmp_path / "in" / "deadly.wav", beeps((1_000, 3_000), duration_ms=4_000))
    (tmp_path / "marks").mkdir()
    config = quick(sound=Dies(branch=Branch.SOUND, marks=str(tmp_path / "marks")))
    store, tally = planned(tmp_path / "in", tmp_path / "out", config), Tally()
    list(run_ray(route(config, store.root), left(store), tally))
    assert standing(store).is_done
    assert [row.step for row in standing(store).failures] == ["sound"]


def with_step(steps: list[Step], others: list[Step], name: str) -> list[Step]:
    """The route with one step taken from another: the records still say what the route's config says."""
    return [next(other for other in others if other.name == name) if step.name == name else step for step in steps]


class FullDisk(Write):
    def __call__(self, lot: object) -> Receipt:
        raise StoreError("/out/shards/x.tar: the disk is full; make room and run the same command again")


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_sentence(cluster, recordings, tmp_path):
    config = quick()
    store = planned(recordings, tmp_path / "out", config)
    steps = route(config, store.root)
    full = Step(name="write", share=0.1, build=lambda: FullDisk(store.root, None))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="the disk is full"):
        list(run_ray([*steps[:-1], full], left(store), Tally()))
    assert standing(store).receipts == ()


@pytest.mark.slow
def test_a_worker_that_cannot_be_built_ends_the_run(cluster, recordings, tmp_path):
    config = quick()
    store = planned(recordings, tmp_path / "out", config)
    broken = Step(name="speech", share=1.0, build=lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ClusterError, match=r"step 'speech' could not be built[\s\S]*ZeroDivisionError"):
        list(run_ray([broken], left(store), Tally()))


@pytest.mark.slow
def test_a_pool_without_a_place_is_an_error_that_names_what_is_missing(cluster, monkeypatch):
    monkeypatch.setattr(ray_runner, "PLACEMENT_S", 1.0)
    step = Step(name="speech", share=1.0, build=lambda: None, gpus=1.0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ClusterError, match=r"speech x 1.*1 GPU of which 0 are free"):
        list(run_ray([step], iter(()), Tally()))


def test_the_ray_client_is_refused():
    with (
        pytest.raises(ClusterError, match="Ray client is not used here"),
        connected("ray://head:10001", code=CODE),
    ):
        pass


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 3, 8, 64, 1_000])
@pytest.mark.parametrize("gpus", [0, 1, 8])
def test_all_pools_fit_any_cluster_at_once(cpus, gpus):
    steps = [
        Step(name="decode", build=lambda: None, share=0.1),  # type: ignore[arg-type,return-value]
        Step(name="speech", build=lambda: None, share=0.6, gpus=0.5 * bool(gpus)),  # type: ignore[arg-type,return-value]
        Step(name="sound", build=lambda: None, share=0.3, gpus=0.25 * bool(gpus)),  # type: ignore[arg-type,return-value]
    ]
    sizes = pool_sizes(steps, {"CPU": cpus, "GPU": gpus})
    reserved: Counter[str] = Counter()
    for bundle in bundles(steps, sizes, cpus):
        reserved.update(bundle)  # type: ignore[arg-type]
    assert min(sizes.values()) >= 1
    assert reserved["CPU"] <= cpus + 1e-6
    assert reserved["GPU"] <= gpus + 1e-6
    with contextlib.suppress(KeyError):
        assert sizes["speech"] >= sizes["sound"] or not gpus
