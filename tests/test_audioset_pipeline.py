"""From recordings to shards with a tagger of AudioSet in the real format: names in segments and captions."""

from dataclasses import replace

import pytest

from annotators.merge import TemplateMergerConfig
from annotators.trained_sound import TrainedSoundConfig
from pipeline.route import config_row
from schemas import audioset
from schemas.record import Outcome
from schemas.shard import Status
from segmenters.audioset.detector import AudioSetDetectorConfig
from segmenters.audioset.profile import AudioSetProfilerConfig
from segmenters.embedded import EmbeddedDetectorConfig
from segmenters.profile import Routing
from tests import make_taggers
from tests.make import quick, write_wav
from tests.make_taggers import config_of
from tests.runs import annotated, files_of, records_of, rows_of
from tests.sounds import click, melody, noise, one_after_another, silence, voice

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    tagger = config_of(make_taggers.save(tmp_path_factory.mktemp("tagger")))
    return quick(
        recipe="named",
        detector=AudioSetDetectorConfig(tagger=tagger),
        seam_detector=EmbeddedDetectorConfig(tags=False),
        profiler=AudioSetProfilerConfig(),
        sound=TrainedSoundConfig(),
        merger=TemplateMergerConfig(),
        routing=Routing(sound=0.01),
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    scene = one_after_another(silence(1_000), noise(2_000), silence(4_000), melody(5_000), silence(4_000), voice(2_000))
    write_wav(folder / "scene.wav", scene)
    write_wav(folder / "clicks.wav", one_after_another(*(s for _ in range(6) for s in (click(80), silence(420)))))
    write_wav(folder / "short.wav", click(20))
    return folder


def test_names_reach_the_segments_the_facts_and_the_captions(recordings, config, tmp_path):
    store = annotated(recordings, tmp_path / "out", config)
    assert not [row.reason for row in rows_of(store) if row.status is Status.FAILURE]
    records = records_of(store)
    named = [event for record in records for event in record.events if event.label not in ("Speech", "Music", "Sound")]
    assert named, "the small network names nothing; the test would mean nothing"
    assert all(audioset.known(event.label) for event in named)
    facts = [fact for record in records for fact in record.branches.sound.facts if fact.label]
    assert {fact.label for fact in facts} <= {event.label for event in named}
    assert facts
    told = {evidence for record in records for claim in record.caption.claims for evidence in claim.evidence}
    assert told
    assert any(record.branches.sound.outcome is Outcome.OK and record.caption.text for record in records)
    assert any(config.detector.build().model in record.provenance.models for record in records)


def test_the_same_recordings_give_the_same_bytes(recordings, config, tmp_path):
    one, other = (files_of(annotated(recordings, tmp_path / name, config)) for name in ("one", "other"))
    assert one
    assert one == other


def test_the_config_can_be_kept_with_the_run(config):
    assert config_row(config)["detector"]["tagger"]["weights"]["class"] == "Weights"
    assert config_row(config) != config_row(replace(config, sound=TrainedSoundConfig(sure=0.9)))
