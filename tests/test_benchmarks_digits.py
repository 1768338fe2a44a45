"""The digits experiment: what is composed, what is scored, and that a model can be trained from what is composed."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.digits_data import RATE_HZ, TRAINING, WORDS, compose, labels, sides, speaker_of, write
from benchmarks.digits_scores import aligned, score
from benchmarks.digits_table import table
from pipeline.labels.own_json import read
from schemas.errors import InputError
from schemas.formats.transcript import Utterance
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


def test_errors_and_shifts_are_those_of_the_best_alignment():
    assert aligned(["one", "two", "six"], ["one", "six"]) == (1, [(0, 0), (2, 1)])
    assert aligned([], ["one"]) == (1, [])
    truth = [Utterance(start_ms=100, end_ms=500, text="one"), Utterance(start_ms=900, end_ms=1_300, text="two")]
    told = [Utterance(start_ms=150, end_ms=480, text="one"), Utterance(start_ms=900, end_ms=1_300, text="six")]
    found = score([(truth, told)])
    assert (found.word_error_rate, found.matched, found.aas_ms) == (0.5, 0.5, 35.0)
    assert score([(truth, [])]).aas_ms is None


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
def test_a_model_learns_from_examples_and_is_tested(shared):
    from benchmarks.digits_training import VARIANTS, Example, Recipe, run_one
    from model.mel import log_mel
    from schemas.formats import transcript

    made = compose(sides(shared, "cid").training, np.random.default_rng(1), TRAINING)
    examples = []
    for span in made.sentences:
        said = tuple(
            Utterance(start_ms=w.start_ms - span.start_ms, end_ms=w.end_ms - span.start_ms, text=w.text)
            for w in made.words
            if span.contains(w)
        )
        heard = made.samples[span.start_ms * 16 : span.end_ms * 16].astype(np.float32)
        mel = log_mel(heard).astype(np.float16)
        examples.append(Example(mel_MF=mel, words=said, answer=transcript.write(said)))
    recipe = Recipe(minutes=0.05, num_looks=1)
    everywhere = dict.fromkeys(("training", "known", "unknown"), examples)
    for variant in VARIANTS.values():
        found = run_one(everywhere, "tiny", variant, recipe, seed=0, device="cpu")
        assert found["steps"] > 0
        assert found["encoder_steps"] > 0
        assert found["unknown"]["num_words"] == len(made.words)
