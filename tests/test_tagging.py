"""The tagger: what it looks at, what it answers, and what its card says of it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from segmenters.tagging.corpus import Recording, clips_in, folds_of
from segmenters.tagging.features import HOP_SAMPLES, NUM_BANDS, edges_hz, features
from segmenters.tagging.labels import CLASSES, COARSE, TAUGHT, UNTAUGHT
from segmenters.tagging.scenes import SCENE_FRAMES, SCENE_TAGS, Composer, source_of
from segmenters.tagging.tagger import BLOCK_TAGS, TAG_MS, TAG_SAMPLES, WEIGHTS, Tagger
from tests.sounds import at_level, click, melody, noise, one_after_another, silence, tone, voice

CARD = WEIGHTS.with_name("CARD.md")
CLIPS = Path(__file__).parents[2] / "shared" / "clips" / "clips.json"


@pytest.fixture(scope="module")
def tagger():
    return Tagger()


def heard(tagger: Tagger, samples: np.ndarray) -> dict[str, float]:
    scores = tagger.scores(samples.astype(np.float32))
    return dict(zip(CLASSES, scores.mean(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("num_samples", [0, 1, HOP_SAMPLES, HOP_SAMPLES + 1, 16_001])
def test_there_is_a_picture_of_every_20_ms_begun(num_samples):
    assert features(noise(2_000)[:num_samples].astype(np.float32)).shape == (-(-num_samples // HOP_SAMPLES), NUM_BANDS)


@pytest.mark.parametrize("num_samples", [0, 1, TAG_SAMPLES - 1, TAG_SAMPLES, TAG_SAMPLES + 1, 16_000])
def test_there_is_a_row_of_probabilities_for_each_tag_begun(tagger, num_samples):
    scores = tagger.scores(noise(2_000)[:num_samples].astype(np.float32))
    assert scores.shape == (-(-num_samples // TAG_SAMPLES), len(CLASSES))
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_tags_last_as_long_as_they_say():
    assert TAG_SAMPLES * 1000 == TAG_MS * 16_000


def test_what_was_never_taught_is_never_heard(tagger):
    scores = tagger.scores(one_after_another(voice(2_000), melody(2_000), noise(2_000)).astype(np.float32))
    assert (scores[:, [CLASSES.index(name) for name in UNTAUGHT]] == 0).all()
    assert (scores[:, [CLASSES.index(name) for name in TAUGHT]] > 0).all()


@pytest.mark.parametrize("samples", [silence(5_000), noise(5_000, db=-90)], ids=["digital", "nearly"])
def test_in_silence_nothing_sounds(tagger, samples):
    assert tagger.scores(samples.astype(np.float32)).max() < 0.2


def test_the_same_sound_is_heard_the_same_way_again(tagger):
    samples = melody(3_000).astype(np.float32)
    assert np.array_equal(tagger.scores(samples), Tagger().scores(samples))


@pytest.mark.parametrize("sound", [voice, melody, noise])
def test_near_and_far_sound_alike(tagger, sound):
    loud, soft = (tagger.scores(sound(4_000, db=db).astype(np.float32)) for db in (-10, -35))
    assert np.abs(loud - soft).max() < 0.1


def test_blocks_leave_no_trace(tagger):
    """The same sound, heard across the border of two blocks and in the middle of one."""
    sound = one_after_another(melody(3_000), click(), voice(3_000), noise(2_000)).astype(np.float32)
    border = BLOCK_TAGS * TAG_SAMPLES
    lead = border - (len(sound) // 2) // TAG_SAMPLES * TAG_SAMPLES
    first = lead // TAG_SAMPLES
    tail = np.zeros(12 * 16_000, np.float32)
    alone = tagger.scores(np.concatenate([sound, tail]))
    across = tagger.scores(np.concatenate([np.zeros(lead, np.float32), sound, tail]))
    assert first < BLOCK_TAGS < first + len(sound) // TAG_SAMPLES
    assert np.abs(across[first:] - alone).max() < 1e-4


def test_what_is_far_away_does_not_matter(tagger):
    quiet = np.concatenate([voice(3_000), silence(20_000)]).astype(np.float32)
    busy = np.concatenate([voice(3_000), silence(10_000), noise(10_000)]).astype(np.float32)
    near = 3_000 // TAG_MS
    assert np.abs(tagger.scores(quiet)[:near] - tagger.scores(busy)[:near]).max() < 1e-4


def test_music_is_heard_as_music(tagger):
    assert heard(tagger, melody(5_000))["music"] > heard(tagger, noise(5_000))["music"] + 0.3


def test_other_weights_can_be_asked(tagger, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(WEIGHTS.read_bytes())
    assert Tagger(other).model == tagger.model


def test_the_model_names_its_weights_and_the_card_names_them_too(tagger):
    revision = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert tagger.model == f"earmark-tagger@1+{revision[:8]}"
    assert revision in CARD.read_text()


def test_the_weights_are_small():
    assert WEIGHTS.stat().st_size <= 4_000_000


def test_every_label_has_a_class_that_is_taught():
    assert len(COARSE) == 50
    for label, coarse in COARSE.items():
        assert coarse.name in TAUGHT, label
        assert set(coarse.also) <= set(CLASSES) - {coarse.name}, label


def test_the_card_names_whoever_must_be_named_and_nobody_was_used_who_forbids_it():
    if not CLIPS.is_file():
        pytest.skip(f"{CLIPS} is not there")
    attributions = CARD.read_text().partition("## Attributions")[2]
    assert attributions
    for clip in json.loads(CLIPS.read_text()):
        line = f"`{clip['file']}`"
        assert (line in attributions) == (clip["licence"] == "CC-BY"), line
        if clip["licence"] == "CC-BY":
            assert clip["author"] in attributions, clip["author"]


def test_sound_that_may_not_be_used_is_not_trained_on(tmp_path):
    licences = {"dog__4-1-A.wav": "CC0", "dog__4-2-A.wav": "CC-BY", "dog__4-3-A.wav": "CC-BY-NC", "dog__4-4-B.wav": "?"}
    for name in licences:
        soundfile.write(tmp_path / name, noise(100), 16_000)
    listed = [{"file": name, "label": "dog", "licence": licence} for name, licence in licences.items()]
    (tmp_path / "clips.json").write_text(json.dumps(listed))
    trainable = {recording.name for recording in clips_in(tmp_path) if recording.trainable}
    assert trainable == {"dog__4-1-A.wav", "dog__4-2-A.wav"}


def test_a_recording_is_never_on_both_sides_of_a_fold():
    takes = [
        Recording(
            name=f"{label} {group} {take}", group=f"{group}", samples=np.zeros(1), coarse=COARSE[label], label=label
        )
        for label, groups in (("dog", (1, 2, 3, 4)), ("rain", (3, 5, 6, 7)))
        for group in groups
        for take in "AB"
    ]
    folds = folds_of(takes, 4)
    assert set(folds) == {recording.group for recording in takes}
    for label in ("dog", "rain"):
        assert len({folds[r.group] for r in takes if r.label == label}) >= 3


def test_a_scene_teaches_what_sounds_in_it_and_only_there():
    bark = at_level(one_after_another(click(300), silence(3_000)), -20).astype(np.float32)
    dog = Recording(name="dog", group="dog", samples=bark, coarse=COARSE["dog"], label="dog")
    composer = Composer([source_of(dog, 2)], seed=0)
    features_btf, coarse, fine = composer.batch(20)
    assert features_btf.shape == (20, SCENE_FRAMES, NUM_BANDS)
    assert coarse.shape[:2] == (20, SCENE_TAGS)
    animal = coarse[..., CLASSES.index("animal")]
    assert 0 < (animal == 1).sum() < animal.size / 3
    assert (coarse[..., [CLASSES.index(name) for name in ("speech", "music")]] == 0).all()
    assert set(np.unique(fine)) <= {-1.0, 0.0, 1.0}


def test_a_tone_is_loudest_in_the_band_where_it_lies():
    picture = features(tone(1_000, hz=1_000).astype(np.float32)).mean(axis=0)
    loudest = int(picture.argmax())
    assert edges_hz()[loudest] < 1_000 < edges_hz()[loudest + 2]
