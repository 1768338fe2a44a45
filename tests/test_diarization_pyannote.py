"""The pipeline of pyannote.audio, loaded from a folder as a user's is; only its networks are untrained."""

import os
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from annotators.diarization.folder import check
from annotators.diarization.pyannote import COMMUNITY_1, PyannoteConfig
from schemas.errors import ConfigError
from schemas.span import Span
from schemas.weights import Weights
from tests.make_clips import babble, clip, noise, quiet, tone
from tests.make_pyannote import CONFIG, write_pipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return write_pipeline(tmp_path_factory.mktemp("models") / "pipeline")


@pytest.fixture(scope="module")
def diarizer(folder):
    return config(folder).build()


def config(folder, **changed):
    return PyannoteConfig(weights=Weights(name=str(folder)), device="cpu", window_ms=5_000, **changed)


CLIPS = [clip(babble(4_000, seed), start_ms=start_ms) for seed, start_ms in enumerate((2_000, 6_000, 31_000))]


def test_who_speaks_when_lies_in_the_clips_and_is_named_in_order(diarizer):
    told = diarizer.diarize(CLIPS)
    assert len(told) == len(CLIPS)
    assert sum(len(part.turns) for part in told) > 5
    assert any(part.overlaps for part in told)
    assert max(len(part.speakers) for part in told) > 1
    for made, part in zip(CLIPS, told, strict=True):
        assert all(made.segment.contains(span) for span in (*part.turns, *part.exclusive, *part.overlaps))
        assert all(a.end_ms <= b.start_ms for a, b in pairwise(part.exclusive))
        assert [speaker.name for speaker in part.speakers] == [f"S{n + 1:02d}" for n in range(len(part.speakers))]
        for turn in part.turns:
            assert turn.overlap == any(turn.overlap_ms(span) for span in part.overlaps)
            assert any(speaker.name == turn.speaker for speaker in part.speakers)
        for span in part.overlaps:
            assert len({turn.speaker for turn in part.turns if turn.overlap_ms(span)}) > 1
        voices = [speaker.voice for speaker in part.speakers if speaker.voice]
        assert len(set(voices)) == len(voices)
    named = [speaker.voice for part in told for speaker in part.speakers if speaker.voice]
    assert set(named) == {f"V{n + 1:02d}" for n in range(len(set(named)))}


def test_the_same_clips_are_told_the_same_whatever_was_heard_before(diarizer, folder):
    told = diarizer.diarize(CLIPS)
    diarizer.diarize([clip(noise(3_000), start_ms=0)])
    assert diarizer.diarize(CLIPS) == told
    assert config(folder).build().diarize(CLIPS) == told
    assert diarizer.diarize([]) == []


def test_clips_come_in_any_order_and_from_any_recording(diarizer):
    told = diarizer.diarize(CLIPS)
    assert diarizer.diarize(CLIPS[::-1]) == told[::-1]
    strange = [replace(one, segment=replace(one.segment, source=replace(one.segment.source, id="b2"))) for one in CLIPS]
    mixed = [one for pair in zip(CLIPS, strange, strict=True) for one in pair]
    assert diarizer.diarize(mixed) == [part for part in told for _ in range(2)]


def test_clips_of_one_stretch_are_heard_each_for_itself(diarizer):
    alike = [clip(babble(2_000, 7), start_ms=500), clip(noise(2_000), start_ms=500)]
    assert diarizer.diarize(alike) == [diarizer.diarize([one])[0] for one in alike]


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.full(1, 0.5), tone(10), quiet(3_000), np.sign(noise(1_000))],
    ids=lambda s: f"{len(s)} samples",
)
def test_any_sound_is_told(diarizer, samples):
    made = clip(samples, start_ms=700)
    (told,) = diarizer.diarize([made])
    assert all(made.segment.contains(span) for span in (*told.turns, *told.exclusive, *told.overlaps))


def test_smaller_batches_hear_the_same(folder, diarizer, monkeypatch):
    told = diarizer.diarize(CLIPS)
    small = config(folder).build()
    whole, asked = small._pipeline, []

    def short_of_memory(file):
        asked.append(whole.embedding_batch_size)
        if whole.embedding_batch_size > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(file)

    class Crowded:
        def __setattr__(self, name, value):
            setattr(whole, name, value)

        def __call__(self, file):
            return short_of_memory(file)

    monkeypatch.setattr(small, "_pipeline", Crowded())
    assert small.diarize(CLIPS) == told
    assert asked == [32, 16, 8, 4, *asked[4:]]
    assert set(asked[4:]) == {4}


def test_nothing_is_sent_to_anyone(diarizer):
    from pyannote.audio.telemetry.metrics import is_metrics_enabled

    assert diarizer.model.startswith("pipeline@")
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"
    assert not is_metrics_enabled()


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("sprung",))


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        (
            "name: pyannote.audio.pipelines.SpeakerDiarization",
            "name: subprocess.Popen",
            "only pyannote.audio.pipelines",
        ),
        ("embedding: $model/embedding", "embedding: speechbrain/spkrec", r"as \$model/embedding"),
        ("plda: $model/plda", "plda: $model/../plda", r"as \$model/plda"),
        ("plda: $model/plda", "legacy: false", r"as \$model/plda"),
        ("plda: $model/plda", "plda: $model/plda\n    use_auth_token: x", "sets use_auth_token"),
        ("dependencies:", "preprocessors:\n  a: {name: os.system}\ndependencies:", "sets preprocessors"),
        (CONFIG, "a: [", "not YAML"),
        (CONFIG, "- one", "describes no pipeline"),
        (CONFIG, "x" * 70_000, "70000 bytes"),
    ],
)
def test_a_config_that_would_run_anything_else_is_refused(folder, tmp_path, line, instead, words):
    for part in folder.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").write_text(CONFIG.replace(line, instead))
    with pytest.raises(ConfigError, match=words):
        config(tmp_path).build()


def test_a_checkpoint_that_would_run_code_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = shutil.copytree(folder, tmp_path / "pipeline")
    path = made / "embedding" / "pytorch_model.bin"
    held = torch.load(path, weights_only=False)
    torch.save(held | {"more": Trap()}, path)
    with pytest.raises(ConfigError, match="more than weights"):
        config(made).build()
    with pytest.raises(ConfigError, match=r"no 'nowhere\.Thing'"):
        config(made, trusted=("nowhere.Thing",)).build()
    assert not (tmp_path / "sprung").exists()
    torch.save(held | {"more": Span.of(0, 1)}, path)
    with pytest.raises(ConfigError, match=r"schemas\.span\.Span"):
        config(made).build()
    check(made, ["schemas.span.Span"])
    held["pyannote.audio"]["architecture"]["module"] = "antigravity"
    torch.save(held, path)
    with pytest.raises(ConfigError, match="checkpoint of 'antigravity'"):
        config(made).build()
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="more than weights"):
        config(made).build()


@pytest.mark.parametrize("missing", ["config.yaml", "segmentation/pytorch_model.bin", "plda/plda.npz"])
def test_what_is_missing_is_named(folder, tmp_path, missing):
    made = shutil.copytree(folder, tmp_path / "pipeline")
    (made / missing).unlink()
    with pytest.raises(ConfigError, match=missing.rpartition("/")[2]):
        config(made).build()


def test_the_published_pipeline_is_the_default():
    assert PyannoteConfig().weights == COMMUNITY_1
    assert "HF_TOKEN" in COMMUNITY_1.gate
    with pytest.raises(ConfigError, match="window_ms=10"):
        PyannoteConfig(window_ms=10)
