"""Several steps on one card: each holds its part of it, and what does not fit on it together is refused."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline import ray_runner
from pipeline.ray_runner import Tally, run_ray
from pipeline.report import gpu_report, step_reports
from pipeline.route import CPU_GEAR, Gear, route
from schemas.errors import ClusterError
from tests.make import quick
from tests.test_ray import hashes, left, planned, recordings  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def one_card() -> Iterator[None]:
    """A cluster whose one card is a number in Ray's books: placement needs no more."""
    with tempfile.TemporaryDirectory(prefix="earmark-ray-", ignore_cleanup_errors=True) as folder:
        ray_runner.ray.init(
            num_cpus=2,
            num_gpus=1,
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
            _temp_dir=folder,
        )
        yield
        ray_runner.ray.shutdown()


def geared(**gpus: float) -> tuple[Gear, ...]:
    return tuple(replace(gear, gpus=gpus.get(gear.step, 0.0)) for gear in CPU_GEAR)


@pytest.mark.slow
def test_three_steps_share_one_card_and_make_the_same_shards(one_card, recordings, tmp_path):  # noqa: F811
    config, shared = quick(), quick(gear=geared(cut=0.2, speech=0.5, merge=0.25))
    alone, beside = (planned(recordings, tmp_path / name, config) for name in ("alone", "beside"))
    tally = Tally()
    receipts = list(run_ray(route(shared, beside.root), left(beside), tally))
    list(run_ray(route(config, alone.root), left(alone), Tally()))
    assert hashes(alone) == hashes(beside)
    assert {step.step: step.gpus for step in receipts[0].steps if step.gpus} == {
        "cut": 0.2,
        "speech": 0.5,
        "merge": 0.25,
    }
    assert [tally.workers[step] for step in ("cut", "speech", "merge")] == [1, 1, 1]
    reports = step_reports(receipts, workers=tally.workers, wall_s=10.0, retries={})
    told = gpu_report(reports, tally.cards, audio_ms=3_600_000, wall_s=3_600.0, price=2.0)
    assert told is not None
    if not tally.cards:  # no driver here tells how busy a card is
        assert (told.num_cards, told.busy) == (pytest.approx(0.95), None)


@pytest.mark.slow
def test_what_one_card_does_not_hold_together_is_an_error_that_says_so(one_card, recordings, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(ray_runner, "PLACEMENT_S", 2.0)
    config = quick(gear=geared(cut=0.6, speech=0.6))
    store = planned(recordings, tmp_path / "out", config)
    with pytest.raises(ClusterError, match=r"they need .*1\.2 GPU of which 1 are free"):
        list(run_ray(route(config, store.root), left(store), Tally()))
