"""From recordings to shards: everything is accounted for, and the same lot gives the same bytes."""

import io
import itertools
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.annotate import check_run, plan_new, plan_retry, read_run, standing, unfinished
from pipeline.cards import CardUse, merged
from pipeline.lot import Lot, Piece
from pipeline.report import GpuReport, dataset_card, gpu_report, step_reports, totals
from pipeline.route import CPU_GEAR, config_row, fingerprint, route
from pipeline.shards import Imprint, write_shard
from pipeline.steps import Annotate, Decode, run_local
from schemas.errors import ConfigError, InputError, SchemaError
from schemas.record import Annotation, Branch, Clip
from schemas.shard import (
    IndexRow,
    Receipt,
    Status,
    StepSeconds,
    from_members,
    read_index,
    read_receipt,
    read_sample,
    read_tar,
    shards_in,
)
from schemas.store import Store, store_at
from segmenters.profile import Routing
from tests.make import (
    RATE_HZ,
    LoudnessDetector,
    Says,
    beeps,
    finished_clip,
    lot_of,
    quick,
    quiet,
    segment,
    source,
    tone,
    write_wav,
)
from tests.runs import annotated, files_of, rows_of

IMPRINT = Imprint(recipe="quick", config="sha256:0", max_shard_bytes=1 << 30)


@pytest.fixture
def recordings(tmp_path) -> Path:
    folder = tmp_path / "in"
    for i in range(5):
        write_wav(folder / f"r{i}.wav", beeps((1_000, 2_000), (4_000, 5_500), duration_ms=7_000))
    write_wav(folder / "long.wav", beeps(*[(a, a + 1_500) for a in range(1_000, 40_000, 3_000)], duration_ms=42_000))
    write_wav(folder / "silence.wav", quiet(3_000))
    write_wav(folder / "blip.wav", tone(20))
    (folder / "broken.wav").write_bytes(b"hello")
    return folder


def test_every_millisecond_of_every_recording_has_an_outcome(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in rows_of(store):
        spans.setdefault(Path(row.uri).name, []).append((row.start_ms, row.end_ms))
    assert spans.keys() == {path.name for path in recordings.iterdir()}
    for name, found in spans.items():
        found.sort()
        assert found[0][0] == 0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(found)), name
    assert max(end for _, end in spans["long.wav"]) == 42_000
    assert spans["broken.wav"] == [(0, 0)]


def test_a_seam_cuts_no_sound_and_both_neighbours_agree(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    samples = [row for row in rows_of(store) if row.status is Status.SAMPLE and "long" in row.uri]
    assert len({row.key for row in samples}) == len(samples)
    assert sum(row.end_ms - row.start_ms for row in samples) >= 13 * 1_500
    for start_ms in range(1_000, 40_000, 3_000):
        assert sum(row.start_ms <= start_ms and start_ms + 1_500 <= row.end_ms for row in samples) == 1


def test_the_same_plan_and_config_give_the_same_bytes(recordings, tmp_path):
    assert files_of(annotated(recordings, tmp_path / "one")) == files_of(annotated(recordings, tmp_path / "two"))


def test_what_is_written_is_read(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    by_key = {}
    for shard in shards_in(store):
        with store.open(f"shards/{shard}.tar") as file:
            by_key |= dict(read_tar(file))
    samples = [(shard, r) for shard in shards_in(store) for r in read_index(store, shard) if r.status is Status.SAMPLE]
    assert sorted(by_key) == sorted(row.key for _, row in samples)
    for shard, row in samples:
        record, sound = read_sample(store, shard, row)
        streamed, heard = from_members(by_key[row.key])
        assert (record, record.key, record.caption.text) == (streamed, row.key, row.caption)
        assert (sound.pcm == heard.pcm).all()
        assert len(sound.pcm) == (row.end_ms - row.start_ms) * 16


def test_the_sound_in_the_shard_is_the_sound_of_the_recording(tmp_path):
    samples = beeps((1_000, 2_000), duration_ms=3_000)
    write_wav(tmp_path / "in" / "a.wav", samples)
    store = annotated(tmp_path / "in", tmp_path / "out")
    (row,) = (row for row in rows_of(store) if row.status is Status.SAMPLE)
    _, sound = read_sample(store, shards_in(store)[0], row)
    np.testing.assert_allclose(sound.samples, samples[row.start_ms * 16 : row.end_ms * 16], atol=1e-3)


def test_a_tar_has_no_clock_and_adjacent_sorted_members(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    for shard in shards_in(store):
        with tarfile.open(fileobj=io.BytesIO(store.read(f"shards/{shard}.tar"))) as tar:
            members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.mode, m.uname) for m in members} <= {(0, 0, 0, 0o644, "")}
        assert [m.name for m in members] == sorted(m.name for m in members)


def test_running_again_leaves_nothing_to_do(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    before = files_of(store)
    plans = plan_new(store, str(recordings), quick(), limit=None, passed_over=Counter(), progress=lambda n: None)
    assert (len(plans), list(unfinished(store, plans))) == (1, [])
    assert files_of(store) == before


def test_a_new_recording_becomes_a_new_plan_and_old_shards_stay(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    before = files_of(store)
    write_wav(recordings / "zz.wav", tone(1_000))
    write_wav(recordings / "r0.wav", tone(2_000))  # one changed
    annotated(recordings, tmp_path / "out")
    after = files_of(store)
    assert before.items() < after.items()
    assert len(standing(store).plans) == 2
    assert {Path(row.uri).name for row in standing(store).plans[1].rows} == {"r0.wav", "zz.wav"}


def test_a_limit_takes_the_first_and_the_rest_can_follow(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out", limit=3)
    assert standing(store).num_recordings == 3
    annotated(recordings, tmp_path / "out")
    assert standing(store).num_recordings == 9


def test_another_config_is_refused_by_what_differs(recordings, tmp_path):
    annotated(recordings, tmp_path / "out")
    with pytest.raises(ConfigError, match="lot_ms: 10000 then, 12000 now"):
        annotated(recordings, tmp_path / "out", quick(lot_ms=12_000))


def test_an_empty_folder_leaves_the_output_untouched(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds nothing to annotate"):
        annotated(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_output_is_told(tmp_path):
    with pytest.raises(SchemaError, match=r"has no run\.json"):
        read_run(store_at(str(tmp_path)))


def test_retry_does_what_failed_and_nothing_else(recordings, tmp_path):
    config = quick()
    store = annotated(recordings, tmp_path / "out", config)
    before = files_of(store)
    (failure,) = standing(store).failures
    assert (Path(failure.uri).name, failure.step) == ("broken.wav", "decode")

    plan, changed = plan_retry(store, config, standing(store))
    assert changed == []
    assert [Path(row.uri).name for row in plan.rows] == ["broken.wav"]
    assert standing(store).failures == ()  # taken up again
    list(run_local(route(config, store.root), unfinished(store, standing(store).plans)))
    assert len(standing(store).failures) == 1  # and failed again
    assert before.items() < files_of(store).items()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trips(Says):
    """Trips over everything that begins at second four, until the file is there."""

    unless: str = ""

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        if any(clip.segment.start_ms // 1_000 in (3, 4) for clip in clips) and not Path(self.unless).exists():
            raise ValueError(f"tripped at {object()}")
        return Says.annotate(self, clips)


def test_a_clip_that_trips_a_branch_is_a_failure_of_its_own_and_can_be_retried(recordings, tmp_path):
    mended = tmp_path / "mended"
    config = quick()
    config = replace(config, sound=Trips(branch=config.sound.branch, unless=str(mended)))
    store = annotated(recordings, tmp_path / "out", config)
    tripped = [row for row in standing(store).failures if row.step == "sound"]
    assert len(tripped) >= 5
    assert all(row.exception.startswith("ValueError: tripped at <object object at 0x…>") for row in tripped)
    kept = {row.key for row in rows_of(store) if row.status is Status.SAMPLE}

    mended.touch()
    plan_retry(store, config, standing(store))
    list(run_local(route(config, store.root), unfinished(store, standing(store).plans)))
    assert [row.step for row in standing(store).failures] == ["decode"]
    later = {row.key for row in rows_of(store) if row.status is not Status.FAILURE}
    assert kept < later
    for failure in tripped:  # every failed stretch is accounted for again, once
        spans = sorted((r.start_ms, r.end_ms) for r in rows_of(store) if r.key in later and within(failure, r))
        assert (spans[0][0], spans[-1][1]) == (failure.start_ms, failure.end_ms)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))


def within(failure: IndexRow, row: IndexRow) -> bool:
    inside = failure.start_ms <= row.start_ms and row.end_ms <= failure.end_ms
    return row.source_id == failure.source_id and inside


def test_a_branch_hears_only_what_its_profile_calls_for(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")  # the quick profiler scores everything as of an unknown source
    samples = [row for row in rows_of(store) if row.status is Status.SAMPLE]
    assert {(row.speech, row.sound, row.music) for row in samples} == {("skipped", "ok", "skipped")}


def test_a_recording_that_changed_since_it_was_planned_is_a_failure(recordings, tmp_path):
    store, config = store_at(str(tmp_path / "out")), quick()
    plans = plan_new(store, str(recordings), config, limit=None, passed_over=Counter(), progress=lambda n: None)
    write_wav(recordings / "r0.wav", tone(100))
    (recordings / "r1.wav").unlink()
    list(run_local(route(config, store.root), unfinished(store, plans)))
    reasons = {Path(row.uri).name: row.reason for row in standing(store).failures}
    assert "has changed since it was planned" in reasons["r0.wav"]
    assert "gone since it was planned" in reasons["r1.wav"]


def test_a_recording_shorter_than_its_header_says_keeps_what_it_has(tmp_path):
    data = write_wav(tmp_path / "in" / "a.wav", tone(3_000)).read_bytes()
    path = tmp_path / "in" / "a.wav"
    path.write_bytes(data[: len(data) // 2])
    piece = Piece(
        source=source(uri=str(path), etag=store_at(str(path.parent)).stat("a.wav").etag), start_ms=0, end_ms=3_000
    )
    done = Decode(LoudnessDetector, RATE_HZ, 4_000)(lot_of(piece))
    (recording,), (failure,) = done.items, done.failures
    assert recording.waveform.duration_ms == pytest.approx(1_500, abs=5)
    assert (failure.start_ms, failure.end_ms) == (recording.waveform.end_ms, 3_000)
    assert "1.5 s of sound are missing" in failure.reason


# ---------------------------------------------------------------------------------------------- shards


def written(tmp_path: Path, lot: Lot[Clip], imprint: Imprint = IMPRINT) -> tuple[Store, Receipt]:
    store = store_at(str(tmp_path / "out"))
    return store, write_shard(store, lot, imprint)


def lot_of_clips(*clips: Clip) -> Lot[Clip]:
    return Lot(plan="0123456789", number=3, items=clips, silences=(segment(6_000, 7_000),))


def test_the_order_of_arrival_does_not_change_a_shard(tmp_path):
    clips = [finished_clip(start_ms) for start_ms in (0, 2_000, 4_000)]
    _, one = written(tmp_path / "a", lot_of_clips(*clips))
    _, two = written(tmp_path / "b", lot_of_clips(*clips[::-1]))
    assert (one.tar_sha256, one.index_sha256) == (two.tar_sha256, two.index_sha256)


def test_a_receipt_counts_what_is_there(tmp_path):
    store, receipt = written(tmp_path, lot_of_clips(finished_clip(0), finished_clip(2_000)))
    assert (receipt.shard, receipt.samples, receipt.silences, receipt.failures) == ("0123456789-000003", 2, 1, 0)
    assert (receipt.sample_ms, receipt.models) == (4_000, ("ears@1",))
    assert read_receipt(store, receipt.shard) == receipt
    assert receipt.tar_bytes == store.stat(f"shards/{receipt.shard}.tar").num_bytes


def test_a_receipt_is_the_last_thing_written(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.shards.write_index", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(tmp_path, lot_of_clips(finished_clip(0)))
    assert shards_in(store_at(str(tmp_path / "out"))) == []


def test_a_clip_past_the_byte_cap_is_a_failure_not_a_loss(tmp_path):
    _, whole = written(tmp_path / "a", lot_of_clips(finished_clip(0), finished_clip(2_000)))
    small = replace(IMPRINT, max_shard_bytes=whole.tar_bytes // 2)
    store, receipt = written(tmp_path / "b", lot_of_clips(finished_clip(0), finished_clip(2_000)), small)
    assert (receipt.samples, receipt.failures) == (1, 1)
    (failure,) = (row for row in read_index(store, receipt.shard) if row.status is Status.FAILURE)
    assert "would pass" in failure.reason


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut short"),
        pytest.param(lambda data: b"x" * 600 + data[600:], id="overwritten"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_a_damaged_tar_is_an_error_of_ours(tmp_path, damage):
    store, receipt = written(tmp_path, lot_of_clips(finished_clip(0), finished_clip(2_000)))
    data = damage(store.read(f"shards/{receipt.shard}.tar"))
    with pytest.raises(SchemaError, match="damaged tar"):
        list(read_tar(io.BytesIO(data)))


def hostile_tar(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(buffer.getvalue())


def link(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        pytest.param(hostile_tar((link("a.flac"), b"")), "no place in a shard", id="a link"),
        pytest.param(hostile_tar((tarfile.TarInfo("a"), b"x")), "no place in a shard", id="no ending"),
        pytest.param(
            hostile_tar(*((tarfile.TarInfo(n), b"x") for n in ("a.flac", "b.flac", "a.json"))),
            "not adjacent",
            id="members apart",
        ),
    ],
)
def test_a_hostile_tar_is_refused(tar, words):
    with pytest.raises(SchemaError, match=words):
        list(read_tar(tar))


# ---------------------------------------------------------------------------------------------- report


def test_the_last_line_and_the_card_agree_with_the_shards(recordings, tmp_path):
    store = annotated(recordings, tmp_path / "out")
    now = standing(store)
    samples = sum(row.status is Status.SAMPLE for row in rows_of(store))
    assert f"9 recordings, 0.02 h -> {now.num_lots} of {now.num_lots} shards, {samples} segments" in totals(now)
    assert totals(now).endswith("1 failures")
    card = dataset_card(now, recipe="quick", rate_hz=RATE_HZ)
    assert card.startswith("---\nlicense: other\n")
    assert f"{samples} segments" in card
    assert "not audio" in card


def test_step_reports_add_up_from_the_receipts(recordings, tmp_path):
    receipts = standing(annotated(recordings, tmp_path / "out")).receipts
    reports = step_reports(receipts, workers={"speech": 2}, wall_s=10.0, retries={"cut": 1})
    assert [r.step for r in reports] == ["decode", "cut", "quality", "speech", "sound", "music", "merge", "write"]
    assert [r.workers for r in reports][:4] == [1, 1, 1, 2]
    assert sum(r.seconds for r in reports) == pytest.approx(sum(s.seconds for r in receipts for s in r.steps))


def test_hours_of_gpus_and_their_cost_are_reckoned_by_what_each_step_holds(tmp_path):
    receipt = write_shard(store_at(str(tmp_path)), lot_of(), IMPRINT)
    spent = (
        StepSeconds(step="speech", seconds=60.0, cpu_seconds=10.0, gpus=0.5),
        StepSeconds(step="merge", seconds=90.0, cpu_seconds=10.0),
    )
    receipts = [replace(receipt, audio_ms=1_800_000, steps=spent)] * 2  # an hour of sound
    speech, merge = step_reports(receipts, workers={"speech": 2}, wall_s=180.0, retries={})
    assert (speech.gpus, merge.gpus) == (1.0, 0.0)
    assert speech.audio_hours_per_gpu_hour == pytest.approx(60)  # 120 s of half a card for an hour of sound
    assert merge.audio_hours_per_gpu_hour is None
    one = CardUse(card="a", name="card", watched_s=100, busy=0.9, peak_bytes=5)
    cards = merged([one, replace(one, watched_s=120, busy=0.5, peak_bytes=7), replace(one, card="b", busy=0.7)])
    assert [(card.card, card.busy) for card in cards] == [("a", 0.5), ("b", 0.7)]
    told = gpu_report([speech, merge], cards, audio_ms=3_600_000, wall_s=180.0, price=2.0)
    assert told == GpuReport(
        num_cards=2,
        busy=pytest.approx(0.6),
        peak_bytes=7,
        audio_hours_per_gpu_hour=pytest.approx(10),
        cost_per_audio_hour=pytest.approx(0.2),
    )
    unwatched = gpu_report([speech, merge], [], audio_ms=3_600_000, wall_s=180.0, price=None)
    assert (unwatched.num_cards, unwatched.busy, unwatched.cost_per_audio_hour) == (1.0, None, None)
    assert unwatched.audio_hours_per_gpu_hour == pytest.approx(20)
    assert gpu_report([merge], [], audio_ms=1, wall_s=1.0, price=None) is None


def test_a_fingerprint_sees_every_setting_but_what_stands_aside():
    assert fingerprint(quick()) == fingerprint(quick())
    assert fingerprint(quick()) != fingerprint(quick(detector=LoudnessDetector(model="loudness@2")))
    assert fingerprint(quick()) != fingerprint(quick(batch_clips=7))
    doubled = tuple(replace(gear, share=2 * gear.share, gpus=0.25) for gear in CPU_GEAR)
    assert fingerprint(quick()) == fingerprint(quick(gear=doubled))
    assert config_row(quick()) != config_row(quick(gear=doubled))


def test_the_gear_of_a_recipe_is_that_of_its_steps():
    gear = tuple(replace(one, gpus=0.5, cpus=2.0) if one.step == "speech" else one for one in CPU_GEAR)
    steps = {step.name: step for step in route(quick(gear=gear), "out")}
    assert (steps["speech"].gpus, steps["speech"].cpus, steps["music"].gpus) == (0.5, 2.0, 0.0)
    with pytest.raises(ConfigError, match="each of decode, cut, "):
        quick(gear=CPU_GEAR[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Says):
    """Cannot hear the clip that begins at a time, and counts how often it was asked."""

    at_ms: int
    calls: list = field(default_factory=list)

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        self.calls.append(len(clips))
        if any(clip.segment.start_ms == self.at_ms for clip in clips):
            raise ValueError("no ear for this")
        return Says.annotate(self, clips)


@pytest.mark.parametrize("at", range(0, 37, 5))
def test_a_batch_that_trips_costs_the_clip_at_fault_alone_and_few_calls(at):
    clips = [finished_clip(2_000 * index) for index in range(37)]
    annotator = Counts(branch=Branch.SOUND, at_ms=2_000 * at)
    done = Annotate(annotator.build, Routing(), 64)(lot_of(*clips))
    assert [clip.segment.start_ms for clip in done.items] == [2_000 * index for index in range(37) if index != at]
    assert [(failure.start_ms, failure.step) for failure in done.failures] == [(2_000 * at, "sound")]
    assert len(annotator.calls) <= 14


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="lot_ms=10000 must be at least twice seam_window_ms=8000"):
        quick(seam_window_ms=8_000)
    with pytest.raises(ConfigError, match="rate_hz=11025"):
        quick(rate_hz=11_025)


def test_check_run_keeps_the_first_config(tmp_path):
    store = store_at(str(tmp_path))
    check_run(store, "in", quick())
    check_run(store, "elsewhere", quick())
    assert b'"input": "in"' in store.read("run.json")
