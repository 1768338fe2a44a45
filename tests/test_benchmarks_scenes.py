"""Made scenes hold what their answer key says."""

import numpy as np
import pytest

from benchmarks.containers import CONTAINERS
from benchmarks.library import FolderOfSounds, MadeSounds, Sound
from benchmarks.noises import BEDS, SOUNDS
from benchmarks.scenes import SceneRules, audible, compose, made_ready, make_scenes
from benchmarks.segmentation import decoded
from benchmarks.truth import TRUTH, read_truth
from benchmarks.tunes import STYLES, music
from pipeline.decode import decode
from schemas.errors import InputError
from schemas.record import Branch
from schemas.span import Span, union
from tests.sounds import RATE_HZ, noise, one_after_another, silence

SHORT = SceneRules(
    duration_s=(9, 12), music_s=(2, 4), long_music_s=(5, 6), long_rain_s=(6, 7), gap_s=(0.25, 0.6), has_background=0.4
)
AAC_FRAME_MS = 24  # its last one is filled up


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes")
    make_scenes(path, MadeSounds(), num_scenes=len(CONTAINERS), seed=3, rules=SHORT)
    return path


@pytest.fixture(scope="module")
def scenes(folder):
    return read_truth(folder / TRUTH)


def test_every_container_decodes_to_the_duration_in_the_key(folder, scenes):
    assert len({scene.name.rpartition(".")[2] for scene in scenes}) == 6
    for scene in scenes:
        with (folder / scene.name).open("rb") as file:
            heard = decode(file, RATE_HZ)
        assert heard.trouble is None
        assert 0 <= heard.waveform.duration_ms - scene.duration_ms <= AAC_FRAME_MS, scene.name


def test_events_lie_in_their_scene_and_regions_in_their_event(scenes):
    assert sum(len(scene.events) for scene in scenes) > 2 * len(scenes)
    for scene in scenes:
        whole = Span.of(0, scene.duration_ms)
        assert [e.start_ms for e in scene.events] == sorted(e.start_ms for e in scene.events)
        for event in scene.events:
            assert whole.contains(event)
            assert event.regions
            assert all(event.contains(region) for region in event.regions)
            assert union(event.regions) == [Span.of(r.start_ms, r.end_ms) for r in event.regions]


def test_regions_are_loud_and_the_rest_is_not():
    rules = SceneRules(duration_s=(30, 30), has_background=0)
    samples, scene = compose(MadeSounds(), np.random.default_rng(1), RATE_HZ, "a.wav", 0, rules)
    heard = union(region for event in scene.events for region in event.regions)
    inside = np.zeros(len(samples), bool)
    for span in heard:
        inside[span.start_ms * 16 : span.end_ms * 16] = True
    beside = np.convolve(inside, np.ones(641), "same") > 0  # and 20 ms around
    level_db = [10 * np.log10(np.mean(samples[part] ** 2)) for part in (inside, ~beside)]
    assert level_db[0] > -35
    assert level_db[1] < -58


def test_the_same_seed_gives_the_same_and_more_scenes_change_none(folder, scenes, tmp_path):
    again = make_scenes(tmp_path, MadeSounds(), num_scenes=3, seed=3, rules=SHORT)
    assert again == scenes[:3]
    for scene in again:
        if scene.name.endswith(".ogg"):  # the numbers of its streams are random
            assert np.array_equal(decoded(tmp_path / scene.name).pcm, decoded(folder / scene.name).pcm)
        else:
            assert (tmp_path / scene.name).read_bytes() == (folder / scene.name).read_bytes()


def test_another_seed_gives_another_scene(scenes):
    other = compose(MadeSounds(), np.random.default_rng((4, 0)), RATE_HZ, scenes[0].name, 0, SHORT)[1]
    assert other != scenes[0]


@pytest.mark.parametrize(("turn", "kind", "least_ms"), [(3, Branch.MUSIC, 25_000), (6, Branch.SOUND, 60_000)])
def test_some_scenes_hold_a_long_event(turn, kind, least_ms):
    rng = np.random.default_rng(2)
    scene = compose(MadeSounds(), rng, 8_000, "a.wav", turn, SceneRules(duration_s=(30, 30), music_s=(3, 6)))[1]
    assert [e.kind for e in scene.events if e.duration_ms > least_ms] == [kind]


def test_what_is_near_the_loudest_is_audible_and_short_pauses_are_closed():
    samples = one_after_another(
        silence(100), noise(500), silence(300), noise(500, -50), silence(320), noise(500, -62), silence(400), noise(20)
    )
    assert audible(samples, RATE_HZ) == (Span.of(100, 1_400), Span.of(2_620, 2_640))


def test_a_sound_is_put_in_without_the_silence_around_it_and_at_its_level():
    sound = Sound(
        samples=one_after_another(silence(700), noise(1_000), silence(900)), rate_hz=RATE_HZ, label="x", source="x"
    )
    ready = made_ready(sound, Branch.SOUND, RATE_HZ, -25.0)
    assert (ready.duration_ms, ready.level_db) == (1_000, -25.0)
    assert np.sqrt(np.mean(ready.samples**2)) == pytest.approx(10 ** (-25 / 20), rel=0.01)
    assert ready.at(5_000).regions == (Span.of(5_000, 6_000),)


@pytest.mark.parametrize("seed", range(3))
def test_all_made_sounds_sound(seed):
    rng = np.random.default_rng(seed)
    made = {name: make(rng) for name, make in SOUNDS.items()}
    made |= {name: make(rng, 4.0) for name, make in BEDS.items()}
    made |= {name: music(rng, name, 4.0) for name in STYLES}
    for name, samples in made.items():
        assert np.isfinite(samples).all(), name
        assert np.abs(samples).max() > 0, name
        assert 0.1 < len(samples) / RATE_HZ < 12, name


def test_a_folder_without_sounds_is_refused(tmp_path):
    with pytest.raises(InputError, match="clips"):
        FolderOfSounds(tmp_path)
