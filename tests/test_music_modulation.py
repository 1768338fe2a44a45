"""Keys over time: one where the music stays in it, each in turn where it does not."""

import numpy as np
import pytest

from annotators.harmony import NAMES, chords_of
from annotators.modulation import keys_of, path_of
from annotators.music import MusicConfig
from annotators.notes import notes_of
from schemas.audio import Waveform
from schemas.record import Profile
from tests.make_clips import RATE_HZ, clip, noise, plucked, quiet

CADENCE = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))
ANNOTATOR = MusicConfig().build()


def song(*tonics, bars=4):
    """I IV V I in each key, two beats to a chord, its root below."""
    played = []
    for tonic in tonics:
        for beat in range(8 * bars):
            chord = [60 + tonic + note for note in CADENCE[beat // 2 % 4]]
            played.append(plucked([chord[0] - 24, *chord], 400))
    return np.concatenate(played)


def keys(samples):
    heard = Waveform.from_float(samples, RATE_HZ)
    notes = notes_of(heard.samples)
    return keys_of(notes, chords_of(notes, heard.duration_ms), heard.duration_ms)


def said(samples, start_ms=0):
    return ANNOTATOR.annotate([clip(samples, start_ms=start_ms, profile=Profile(music=0.9))])[0]


@pytest.mark.parametrize("tonic", [0, 1, 6, 10])
def test_one_key_stays_one_and_moves_with_the_notes(tonic):
    assert [run.name for run in keys(song(tonic)).runs] == [f"{NAMES[tonic]} major"]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_a_change_of_key_is_heard_where_it_is_and_moves_with_the_notes(steps):
    tonic = 3 * steps % 12
    first, second = keys(song(tonic, tonic + steps)).runs
    assert [first.name, second.name] == [f"{NAMES[tonic % 12]} major", f"{NAMES[(tonic + steps) % 12]} major"]
    assert second.start_ms == pytest.approx(12_800, abs=2_500)  # a chord of both keys may belong to either


def test_keys_tile_the_sound_and_neighbours_differ():
    found = keys(song(0, 2, 5))
    assert found.runs[0].start_ms == 0
    assert found.runs[-1].end_ms == 3 * 12_800
    assert all(a.end_ms == b.start_ms and a.name != b.name for a, b in zip(found.runs, found.runs[1:], strict=False))
    assert 0 <= found.score <= 1


@pytest.mark.parametrize("samples", [noise(12_000), quiet(12_000), quiet(100)], ids=["noise", "silence", "a moment"])
def test_what_has_no_notes_has_no_key(samples):
    assert keys(samples) is None


@pytest.mark.parametrize("num", [1, 5, 19, 20, 60])
@pytest.mark.parametrize("seed", range(4))
def test_the_path_gains_nothing_less_than_nothing_and_holds_each_key_long_enough(num, seed):
    fits = 3 * np.random.default_rng(seed).standard_normal((num, 24))
    path, gain = path_of(fits)
    assert len(path) == num
    assert gain >= -1e-9
    runs = np.diff([0, *(np.flatnonzero(np.diff(path)) + 1), num])
    assert len(runs) == 1 or runs.min() >= 10


def test_the_change_is_told():
    annotation = said(song(0, 2), start_ms=3_000)
    (fact,) = [fact for fact in annotation.facts if fact.kind == "key_change"]
    assert fact.text == "the key changes from C major to D major"
    assert fact.start_ms == pytest.approx(3_000 + 12_800, abs=1_700)
    assert [key.name for key in annotation.keys] == ["C major", "D major"]
    assert (annotation.keys[0].start_ms, annotation.keys[-1].end_ms) == (3_000, 3_000 + 25_600)
    assert annotation.text.endswith("the key changes from C major to D major")
    assert "key" not in {fact.kind for fact in annotation.facts}


def test_one_key_is_told_as_before():
    annotation = said(song(0))
    assert [key.name for key in annotation.keys] == ["C major"] == [annotation.key]
    assert "key_change" not in {fact.kind for fact in annotation.facts}
