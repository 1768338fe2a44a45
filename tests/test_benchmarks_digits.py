"""The digits experiment: what is composed, what is scored, and that a model can be trained from what is composed."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.digits_data import RATE_HZ, TRAINING, WORDS, compose, labels, sides, speaker_of, write
from benchmarks.digits_table import read_results, table, tell
from pipeline.labels.own_json import read
from schemas.errors import InputError
from tests.make import tone

SPEAKERS = ("ann", "bob", "cid")


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """Tones for digits, noises for clips and music."""
    root = tmp_path_factory.mktemp("shared")
    rng = np.random.default_rng(0)
    for name in ("digits", "clips", "music"):
        (root / name).mkdir()
    for number, speaker in enumerate(SPEAKERS):
        for digit in range(10):
            for take in (0, 5):
                samples = tone(300 + 10 * digit, 200 + 30 * digit + 7 * number)
                soundfile.write(root / "digits" / f"{digit}_{speaker}_{take}.wav", samples, 16_000)
    rows = []
    for number in range(12):
        name = f"rain__{number}.wav"
        soundfile.write(root / "clips" / name, 0.1 * rng.standard_normal(16_000), 16_000)
        rows.append({"file": name, "licence": "CC-BY-NC" if number < 3 else "CC0"})
    (root / "clips" / "clips.json").write_text(json.dumps(rows))
    for name in ("a", "b", "c"):
        soundfile.write(root / "music" / f"{name}.ogg", 0.1 * rng.standard_normal(48_000), 16_000)
    return root


def test_no_take_no_sound_and_no_music_is_trained_on_and_tested(shared):
    found = sides(shared, "cid")
    for tested in (found.known, found.unknown):
        for kind in ("digits", "clips", "music"):
            assert getattr(tested, kind)
            assert not set(getattr(tested, kind)) & set(getattr(found.training, kind))
    assert {speaker_of(path) for path in found.training.digits} == {"ann", "bob"} == set(found.known.speakers)
    assert {speaker_of(path) for path in found.unknown.digits} == {"cid"}
    clips = {path.name for side in (found.training, found.unknown) for path in side.clips}
    assert clips == {f"rain__{number}.wav" for number in range(3, 12)}  # the others may not be sold


def test_a_speaker_who_is_not_there_is_told(shared):
    with pytest.raises(InputError, match="digits of ann, bob, cid"):
        sides(shared, "dan")


def test_a_recording_depends_on_the_generator_alone(shared):
    sounds = sides(shared, "cid").training
    one, other = (compose(sounds, np.random.default_rng(3), TRAINING) for _ in range(2))
    assert np.array_equal(one.samples, other.samples)
    assert labels(one) == labels(other)


@pytest.mark.parametrize("seed", range(5))
def test_words_stand_where_they_are_heard(shared, seed):
    """Without anything beneath, each word is loud between its times and nothing is outside of them."""
    from dataclasses import replace

    rules = replace(TRAINING, has_bed=0.0, has_sound=0.0, floor_db=(-90, -90))
    made = compose(sides(shared, "cid").training, np.random.default_rng(seed), rules)
    spoken = np.zeros(len(made.samples), dtype=bool)
    for word in made.words:
        heard = slice(word.start_ms * RATE_HZ // 1000, word.end_ms * RATE_HZ // 1000)
        spoken[heard] = True
        middle = made.samples[heard][len(made.samples[heard]) // 4 : -len(made.samples[heard]) // 4]
        assert np.sqrt(np.mean(middle**2)) > 0.01
    assert np.abs(made.samples[~spoken]).max() < 0.001
    assert all(a.end_ms < b.start_ms for a, b in zip(made.words, made.words[1:], strict=False))


def test_labels_are_read_back_to_the_millisecond(shared, tmp_path):
    made = compose(sides(shared, "cid").unknown, np.random.default_rng(1), TRAINING)
    write(made, tmp_path / "one.flac")
    found = read((tmp_path / "one.json").read_bytes(), "one.json", frozenset({"one"}))
    assert [(w.start_ms, w.end_ms, w.text) for w in found.words] == [(w.start_ms, w.end_ms, w.text) for w in made.words]
    assert {word.text for word in found.words} <= set(WORDS)
    assert len(found.sentences) == len(made.sentences)


def test_the_table_tells_the_median_of_the_seeds():
    runs = [
        {
            "size": "tiny",
            "variant": "markers",
            "seed": seed,
            "known": {"wer": wer, "aas_ms": 10.0},
            "unknown": {"wer": 1.0, "aas_ms": None},
        }
        for seed, wer in enumerate((0.1, 0.5, 0.2))
    ]
    assert (
        table(runs).splitlines()[-1]
        == "| tiny, markers | 0, 1, 2 | 20.0 (10.0 to 50.0) | 10.0 (10.0 to 10.0) | 100.0 (100.0 to 100.0) | - |"
    )


@pytest.mark.slow
def test_from_recordings_to_a_result_of_every_variant(shared, tmp_path):
    """The whole experiment in little: words of the records are the labels', each model is trained and tested."""
    from benchmarks.digits import exact_words, make_data
    from benchmarks.digits_training import VARIANTS, examples, run_all

    make_data(tmp_path, shared, unknown="cid", hours=0.005, test_hours=0.003, seed=0)
    labelled = [
        word
        for path in (tmp_path / "recordings" / "training").glob("*.json")
        for word in json.loads(path.read_text())["words"]
    ]
    found = examples(tmp_path / "shards" / "training")
    assert 0 < sum(len(one.words) for one in found) <= exact_words(tmp_path / "shards" / "training") <= len(labelled)
    run_all(tmp_path, size="tiny", minutes=0.02, seeds=[0], variants=list(VARIANTS), device="cpu")
    results = read_results(tmp_path / "results")
    assert [one["variant"] for one in results] == sorted(VARIANTS)
    for one in results:
        assert one["steps"] > 0
        assert one["encoder_steps"] > 0
        assert one["unknown"]["num_words"] > 0
        assert len(one["curve"]) > 1
    assert len({one["parameters"] for one in results}) == 2  # without DeepStack there are no mergers
    tell(tmp_path)
    assert (tmp_path / "digits.png").stat().st_size > 1000
