"""Music made of arithmetic has the tempo, the key and the chords it was made with."""

import numpy as np
import pytest

from annotators.beat import beat_of
from annotators.harmony import NAMES, chords_of, key_of
from annotators.music import MusicConfig, dynamics_of
from annotators.notes import notes_of
from annotators.onsets import onset_strengths
from schemas.audio import Waveform
from schemas.record import Outcome, Profile
from tests.make_clips import RATE_HZ, clip, event, noise, plucked, quiet, tone

ANNOTATOR = MusicConfig().build()
CADENCE = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))  # C Am F G, as semitones from the tonic


def song(bpm=120.0, tonic=60, num_beats=32):
    """Four chords, four beats each, plucked on every beat."""
    chords = [[tonic + note for note in CADENCE[beat // 4 % 4]] for beat in range(num_beats)]
    return np.concatenate([plucked(chord, round(60_000 / bpm)) for chord in chords])


def waveform(samples):
    return Waveform.from_float(samples, RATE_HZ)


def beat_in(samples):
    heard = waveform(samples)
    return beat_of(onset_strengths(heard.samples), notes_of(heard.samples), heard.duration_ms)


def chords_in(samples, duration_ms):
    return chords_of(notes_of(waveform(samples).samples), duration_ms)


def said_of(samples, *events, music=0.9):
    return ANNOTATOR.annotate([clip(samples, *events, profile=Profile(music=music))])[0]


@pytest.mark.parametrize("bpm", [75, 90, 120, 150])
def test_the_tempo_is_found_and_the_beats_lie_on_the_plucks(bpm):
    beat = beat_in(song(bpm))
    assert beat.tempo_bpm == pytest.approx(bpm, rel=0.02)
    gap_ms = round(60_000 / bpm)
    off_ms = [(at + gap_ms // 2) % gap_ms - gap_ms // 2 for at in beat.beats_ms]
    assert max(map(abs, off_ms)) <= 40
    assert beat.score > 0.5


@pytest.mark.parametrize("tonic", range(12))
def test_the_key_moves_with_the_notes(tonic):
    notes = notes_of(waveform(song(tonic=60 + tonic, num_beats=16)).samples)
    assert key_of(notes, chords_of(notes, 8_000)).name == f"{NAMES[tonic]} major"


def test_a_song_tuned_a_third_of_a_semitone_high_keeps_its_chords():
    sharp = song(tonic=60.33, num_beats=16)
    names = [chord.name for chord in chords_in(sharp, 8_000)]
    assert names == ["C", "Am", "F", "G"]


def test_chords_tile_the_music_and_change_where_they_do():
    said = said_of(song())
    assert said.chords[0].start_ms == 0
    assert said.chords[-1].end_ms == 16_000
    assert all(a.end_ms == b.start_ms for a, b in zip(said.chords, said.chords[1:], strict=False))
    assert [chord.name for chord in said.chords] == ["C", "Am", "F", "G"] * 2


def test_what_is_clear_is_told():
    said = said_of(song())
    assert [fact.kind for fact in said.facts] == ["music", "tempo", "meter", "key", "chords", "dynamics"]
    assert said.key == "C major"
    assert (
        said.text
        == "music, about 120 beats a minute, in four, C major, the chords C, Am, F, G, C, Am, F, G, at a steady level"
    )


@pytest.mark.parametrize("samples", [noise(8_000), tone(8_000)], ids=["noise", "one tone"])
def test_what_is_not_there_is_not_told(samples):
    said = said_of(samples)
    assert said.tempo_bpm is None
    assert said.beats_ms == ()
    assert not {"tempo", "chords"} & {fact.kind for fact in said.facts}


@pytest.mark.parametrize("duration_ms", [0, 1, 20, 300, 2_000])
@pytest.mark.parametrize("sound", [quiet, tone, noise])
def test_what_is_too_short_or_silent_has_no_beat_and_its_chords_still_tile(sound, duration_ms):
    heard = sound(duration_ms)
    beat, chords = beat_in(heard), chords_in(heard, max(1, duration_ms))
    assert beat is None or beat.score < MusicConfig().min_beat_score
    assert chords[0].start_ms == 0
    assert chords[-1].end_ms == max(1, duration_ms)


@pytest.mark.parametrize("hz", [100, 441.3, 1_234.5])
def test_the_ripple_of_a_steady_tone_is_no_beat(hz):
    assert said_of(tone(8_000, hz)).tempo_bpm is None


def test_noise_has_no_key():
    assert said_of(noise(8_000)).key is None


@pytest.mark.parametrize(
    ("gains", "name"),
    [
        pytest.param(np.ones(10), "steady", id="steady"),
        pytest.param(np.geomspace(0.05, 1, 10), "rising", id="rising"),
        pytest.param(np.geomspace(1, 0.05, 10), "falling", id="falling"),
        pytest.param(np.tile([1.0, 0.2], 5), "varied", id="varied"),
    ],
)
def test_loudness_over_time(gains, name):
    assert dynamics_of(waveform(np.repeat(gains, RATE_HZ) * tone(10_000))).name == name


def test_music_is_described_where_it_sounds():
    said = said_of(np.concatenate([quiet(6_000), song(num_beats=16)]), event(6_000, 14_000))
    assert {(fact.start_ms, fact.end_ms) for fact in said.facts} == {(6_000, 14_000)}
    assert min(said.beats_ms) >= 6_000


def test_where_music_scores_low_nothing_is_said():
    assert said_of(song(), music=0.1).outcome is Outcome.SKIPPED
