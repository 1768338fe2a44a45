"""The tagger and its detector, with a small checkpoint in the real format, loaded the way the real one is."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from schemas import audioset
from schemas.errors import CheckpointError, ConfigError
from schemas.record import Profile
from schemas.span import Span
from schemas.weights import Weights
from segmenters.audioset.detector import AudioSetDetectorConfig, coarse_scores
from segmenters.audioset.events import EventRules
from segmenters.audioset.profile import AudioSetProfilerConfig
from segmenters.audioset.tagger import AudioSetTaggerConfig
from segmenters.base import CLASSES, TAG_MS
from segmenters.boundaries import CutRules, decide
from segmenters.embedded import EmbeddedDetectorConfig
from tests import make_taggers
from tests.make_taggers import NAMES, config_of
from tests.sounds import click, melody, noise, one_after_another, silence, tone, voice, waveform

pytestmark = pytest.mark.slow

SCENE = one_after_another(silence(1_000), voice(3_000), silence(1_000), noise(2_000), silence(1_500), melody(4_000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_taggers.save(tmp_path_factory.mktemp("tagger"))


@pytest.fixture(scope="module")
def tagger(folder):
    return config_of(folder).build()


@pytest.fixture(scope="module")
def detector(folder):
    return AudioSetDetectorConfig(tagger=config_of(folder)).build()


# --------------------------------------------------------------------------------------------- tagger


def test_scores_are_what_transformers_makes_of_each_window(tagger, folder):
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    samples = SCENE.astype(np.float32)
    scores = tagger.window_scores(samples, 2_000, 500)
    assert scores.shape == (len(tagger.centres_ms(len(samples))), 527)
    assert tagger.labels == NAMES
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    network = ASTForAudioClassification.from_pretrained(folder).eval()
    for row in (0, 7, len(scores) - 1):
        start = round(tagger.centres_ms(len(samples))[row] * 16) - 16_000
        features = extractor(samples[start : start + 32_000], sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            expected = torch.sigmoid(network(**features).logits)[0].numpy()
        assert np.allclose(scores[row], expected, atol=1e-5)
    assert np.ptp(scores, axis=0).max() > 0.1, "the small network hears no difference; the tests would mean nothing"


def test_a_score_is_the_geometric_mean_of_the_moment_and_its_context(folder, tagger):
    samples = SCENE.astype(np.float32)
    moments, contexts = tagger.window_scores(samples, 2_000, 500), tagger.window_scores(samples, 2_500, 1_250)
    scores = tagger.scores(samples)
    assert np.allclose(scores[0], np.sqrt(moments[0] * contexts[0]))  # only the first context reaches the first window
    assert np.allclose(scores[-1], np.sqrt(moments[-1] * contexts[-1]), atol=0.05)
    assert not np.allclose(scores, moments, atol=0.05)
    without = config_of(folder, context_ms=None).build()
    assert np.array_equal(without.scores(samples), without.window_scores(samples, 2_000, 500))


def test_windows_are_heard_the_same_alone_and_in_batches(folder, tagger):
    samples = SCENE.astype(np.float32)
    alone = config_of(folder, batch_windows=1).build().scores(samples)
    assert np.allclose(alone, tagger.scores(samples), atol=1e-5)
    assert np.array_equal(tagger.scores(samples), tagger.scores(samples))


def test_what_comes_later_changes_no_score_out_of_its_reach(tagger):
    samples = SCENE.astype(np.float32)
    longer = np.concatenate([samples, noise(3_000).astype(np.float32)])
    shared = len(tagger.scores(samples)) - 8  # its last context ends with it
    assert np.allclose(tagger.scores(longer)[:shared], tagger.scores(samples)[:shared], atol=1e-5)


@pytest.mark.parametrize("num_samples", [0, 1, 100, 399, 400, 31_999, 32_000, 32_001])
def test_any_length_has_scores(tagger, num_samples):
    scores = tagger.scores(noise(3_000)[:num_samples].astype(np.float32))
    assert scores.shape == (len(tagger.centres_ms(num_samples)), 527)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_order_of_the_labels_in_the_checkpoint_changes_nothing(tmp_path, tagger):
    order = np.random.default_rng(3).permutation(len(NAMES)).tolist()
    permuted = config_of(make_taggers.save(tmp_path / "permuted", order)).build()
    samples = SCENE.astype(np.float32)
    assert permuted.labels == tagger.labels
    assert np.allclose(permuted.scores(samples), tagger.scores(samples), atol=1e-6)


def test_labels_may_be_machine_ids_or_a_part_of_the_classes(tmp_path):
    mids = [label.mid for label in audioset.labels()]
    by_mid = config_of(make_taggers.save(tmp_path / "mids", names=mids)).build()
    assert by_mid.labels == NAMES
    few = config_of(make_taggers.save(tmp_path / "few", names=["Rain", "Dog", "Speech"])).build()
    assert few.labels == ("Speech", "Dog", "Rain")
    assert few.scores(noise(1_000).astype(np.float32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("names", "named"),
    [(["LABEL_0", "LABEL_1"], "LABEL_0"), (["Dog", "yes", "no"], "yes"), (["Dog", "/m/0bt9lr"], "Dog")],
    ids=["no names", "other names", "one class twice"],
)
def test_a_checkpoint_with_other_labels_is_refused_by_name(tmp_path, names, named):
    folder = make_taggers.save(tmp_path / "other", names=names)
    with pytest.raises(CheckpointError, match=named):
        config_of(folder).build()


def test_a_folder_without_a_tagger_is_refused(tmp_path, folder):
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        config_of(tmp_path).build()
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"classifier\.dense\.weight"):
        config_of(tmp_path).build()


def test_a_window_longer_than_the_network_hears_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="window_ms=3000"):
        config_of(folder, window_ms=3_000, context_ms=None).build()
    with pytest.raises(ConfigError, match="context_ms=3000"):
        config_of(folder, context_ms=3_000).build()
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    written = json.loads((folder / "preprocessor_config.json").read_text()) | {"sampling_rate": 32_000}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    with pytest.raises(CheckpointError, match="32000"):
        config_of(tmp_path).build()


@pytest.mark.parametrize(
    "wrong", [{"hop_ms": 0}, {"hop_ms": 3_000}, {"window_ms": 20, "hop_ms": 20}, {"context_ms": 900}], ids=str
)
def test_windows_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match="window_ms"):
        AudioSetTaggerConfig(weights=Weights(name="/nowhere"), **wrong)


# --------------------------------------------------------------------------------------------- detector


def test_a_hearing_has_names_and_classes_beside_what_the_embedded_detector_hears(detector):
    hearing = detector.hear(waveform(SCENE, start_ms=5_000))
    embedded = EmbeddedDetectorConfig(tags=False).build().hear(waveform(SCENE, start_ms=5_000))
    assert [(e.start_ms, e.end_ms) for e in hearing.events] == [(e.start_ms, e.end_ms) for e in embedded.events]
    assert np.array_equal(hearing.level_db, embedded.level_db)
    assert hearing.classes.shape == (-(-len(SCENE) // (16 * TAG_MS)), len(CLASSES))
    assert hearing.labelled, "the small network names nothing; the tests would mean nothing"
    for event in hearing.labelled:
        assert audioset.known(event.label).name == event.label
        assert hearing.span.contains(event)
    starts = [event.start_ms for event in hearing.labelled]
    assert starts == sorted(starts)
    told = {(event.label, event.start_ms) for event in hearing.labelled}
    assert len(told) == len(hearing.labelled)


def test_the_same_samples_give_the_same_hearing(detector):
    one = detector.hear(waveform(SCENE))
    detector.hear(waveform(noise(2_000)))
    other = detector.hear(waveform(SCENE))
    assert (one.events, one.labelled, one.changes, one.phrases) == (
        other.events,
        other.labelled,
        other.changes,
        other.phrases,
    )
    assert np.array_equal(one.classes, other.classes)


def test_names_make_no_cuts(folder, detector):
    rules = CutRules(max_ms=6_000)
    nothing_named = AudioSetDetectorConfig(tagger=config_of(folder), events=EventRules(on=1.0, off=1.0)).build()
    named, unnamed = detector.hear(waveform(SCENE)), nothing_named.hear(waveform(SCENE))
    assert named.labelled
    assert not unnamed.labelled
    assert decide(named, rules) == decide(unnamed, rules)


@pytest.mark.parametrize("samples", [np.zeros(0), noise(5), silence(3_000), click(100), np.sign(tone(2_500))], ids=len)
def test_any_sound_is_heard_and_has_a_profile(detector, samples):
    sound = waveform(samples)
    hearing = detector.hear(sound)
    (profile,) = AudioSetProfilerConfig().build().profile(sound, hearing, [hearing.span])
    assert hearing.events or profile.source_ambiguous == 0


def test_the_surest_label_of_a_class_stands_for_it():
    scores = np.array([[0.1, 0.7, 0.4, 0.2]], np.float32)
    coarse = coarse_scores(scores, ("Dog", "Bark", "Rain", "Silence"))
    assert dict(zip(CLASSES, coarse[0].tolist(), strict=True)) == pytest.approx(
        dict.fromkeys(CLASSES, 0.0) | {"animal": 0.7, "natural_sounds": 0.4}
    )


# --------------------------------------------------------------------------------------------- profile


def profile_of(detector, classes, samples=SCENE):
    """The profile of a scene in which the tagger scores the classes so throughout."""
    hearing = detector.hear(waveform(samples))
    row = np.array([classes.get(name, 0.0) for name in CLASSES], np.float32)
    scored = replace(hearing, classes=np.tile(row, (len(hearing.classes), 1)))
    (profile,) = AudioSetProfilerConfig(even=0.3).build().profile(waveform(samples), scored, [hearing.span])
    return profile


def test_a_score_that_is_as_good_as_even_is_a_half(detector):
    profile = profile_of(detector, {"animal": 0.3, "environment": 1.0})
    assert profile.animal == pytest.approx(0.5, abs=1e-3)
    assert profile.environment == pytest.approx(1.0)
    assert profile.music == profile.singing == 0


def test_speech_is_what_the_voice_detector_hears_unless_it_is_sung(detector):
    spoken, sung = profile_of(detector, {"speech": 0.9}), profile_of(detector, {"singing": 0.9})
    assert spoken.speech > 0.8
    assert sung.singing > 0.9
    assert sung.speech < 0.2


def test_what_no_class_explains_is_of_an_ambiguous_source(detector):
    assert profile_of(detector, {}, noise(3_000)).source_ambiguous == 1.0
    assert profile_of(detector, {"animal": 0.9}, noise(3_000)).source_ambiguous < 0.1
    assert profile_of(detector, {"animal": 0.9, "source_ambiguous": 0.9}, noise(3_000)).source_ambiguous > 0.9


def test_a_profile_is_of_its_piece(detector):
    sound = waveform(noise(4_000))
    hearing = detector.hear(sound)
    classes = np.zeros((25, len(CLASSES)), np.float32)
    classes[:12, CLASSES.index("animal")] = 0.9
    scored = replace(hearing, classes=classes)
    first, second = AudioSetProfilerConfig().build().profile(sound, scored, [Span.of(0, 1_900), Span.of(2_000, 4_000)])
    assert first.animal > 0.9
    assert second.animal == 0
    assert set(asdict(Profile())) == set(CLASSES)
