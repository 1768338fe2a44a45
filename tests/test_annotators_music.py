"""Music made of arithmetic has the tempo, the key and the chords it was made with."""

import numpy as np
import pytest

from annotators.beat import beat_of
from annotators.form import labels_of
from annotators.harmony import NAMES, chords_of, key_of
from annotators.music import MusicConfig, dynamics_of, heard_in, music_span
from annotators.notes import notes_of
from annotators.onsets import onset_strengths
from schemas.audio import Waveform
from schemas.record import Outcome, Profile
from schemas.span import Span
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


def test_what_is_called_music_is_described_and_not_the_longer_noise_beside_it():
    noisy = clip(quiet(10_000), event(0, 6_000), event(7_000, 9_500, "Music"))
    assert music_span(noisy, bridge_ms=500) == Span.of(7_000, 9_500)


def test_where_music_scores_low_nothing_is_said():
    assert said_of(song(), music=0.1).outcome is Outcome.SKIPPED


# ------------------------------------------------------------------------------------ laws of a song


def bars(num_bars, beats_a_bar, bpm=110.0, tonic=60):
    """A chord to a bar on every beat, its root deep below on the first."""
    gap_ms = round(60_000 / bpm)
    played = []
    for bar in range(num_bars):
        chord = [tonic + note for note in CADENCE[bar % 4]]
        first = plucked([chord[0] - 24, *chord], gap_ms)
        played += [first, *[0.6 * plucked(chord, gap_ms) for _ in range(beats_a_bar - 1)]]
    return np.concatenate(played)


def voice(duration_ms, seed=0):
    """Syllables of gliding pitch with breath between them, at uneven times: like speech, and no music."""
    rng, pieces = np.random.default_rng(seed), []
    while sum(map(len, pieces)) < duration_ms * RATE_HZ // 1000:
        time_s = np.arange(int(rng.uniform(0.08, 0.35) * RATE_HZ)) / RATE_HZ
        hz = rng.uniform(90, 180) * 2 ** (rng.uniform(-0.5, 0.5) * time_s / time_s[-1])
        phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
        voiced = sum(np.sin(k * phase) / k for k in range(1, 20))
        pieces += [0.1 * voiced * np.hanning(len(time_s)), noise(int(rng.uniform(20, 260)), 0.01, seed=len(pieces))]
    return np.concatenate(pieces)[: duration_ms * RATE_HZ // 1000]


@pytest.mark.parametrize(("meter", "words", "beats_a_bar"), [("4/4", "in four", 4), ("3/4", "in three", 3)])
def test_bars_of_three_and_of_four_are_told_apart_and_begin_where_they_do(meter, words, beats_a_bar):
    said = said_of(bars(12, beats_a_bar))
    assert said.meter == meter
    assert words in said.text
    bar_ms = beats_a_bar * 60_000 / 110
    off_ms = [(at + bar_ms / 2) % bar_ms - bar_ms / 2 for at in said.downbeats_ms]
    assert len(off_ms) >= 10
    assert max(map(abs, off_ms)) <= 60
    assert set(said.downbeats_ms) <= set(said.beats_ms)


@pytest.mark.parametrize("semitones", [1, 4, 7, -5])
def test_transposing_moves_key_and_chords_and_nothing_else(semitones):
    here, there = said_of(bars(8, 4)), said_of(bars(8, 4, tonic=60 + semitones))

    def moved(name):
        root = name.rstrip("m")
        return NAMES[(NAMES.index(root) + semitones) % 12] + name[len(root) :] if name != "N" else name

    assert there.key == f"{moved(here.key.split()[0])} {here.key.split()[1]}"
    assert [chord.name for chord in there.chords] == [moved(chord.name) for chord in here.chords]
    assert there.tempo_bpm == pytest.approx(here.tempo_bpm, rel=0.01)
    assert there.meter == here.meter


@pytest.mark.parametrize("stretch", [0.85, 0.95, 1.2])
def test_stretching_time_stretches_the_beats(stretch):
    here, there = said_of(bars(12, 4)), said_of(bars(12, 4, bpm=110 / stretch))
    assert there.tempo_bpm == pytest.approx(here.tempo_bpm / stretch, rel=0.02)
    assert there.key == here.key


@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_louder_is_not_different(gain):
    here, there = said_of(bars(8, 4)), said_of(gain * bars(8, 4))
    assert there.tempo_bpm == pytest.approx(here.tempo_bpm, rel=0.005)
    assert (there.key, there.meter) == (here.key, here.meter)
    assert [chord.name for chord in there.chords] == [chord.name for chord in here.chords]
    assert np.abs(np.subtract(there.beats_ms, here.beats_ms)).max() <= 20


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
def test_the_rate_does_not_change_what_is_heard(rate_hz):
    sound = bars(12, 4)
    at = np.arange(len(sound) * rate_hz // RATE_HZ) * RATE_HZ / rate_hz
    other = Waveform.from_float(np.interp(at, np.arange(len(sound)), sound), rate_hz)
    heard = heard_in(other, other.duration_ms, MusicConfig())
    assert heard.beat.tempo_bpm == pytest.approx(110, rel=0.01)
    assert heard.key.name == "C major"
    assert heard.meter.name == "4/4"


def test_beats_go_forward_and_stay_inside():
    said = said_of(np.concatenate([quiet(6_000), bars(8, 4)]), event(6_000, 23_000))
    assert min(np.diff(said.beats_ms)) > 0
    assert said.beats_ms[0] >= 6_000
    assert said.beats_ms[-1] < 23_500


def test_parts_tile_the_music_and_meet_where_the_playing_changes():
    calm, busy = bars(4, 4), np.concatenate([0.8 * plucked([36, 79, 84], 136) for _ in range(64)])
    said = said_of(np.concatenate([calm, busy, calm]))
    assert [part.label for part in said.sections] == ["A", "B", "A"]
    assert said.sections[0].start_ms == 0
    assert said.sections[-1].end_ms == said.facts[0].end_ms
    assert all(a.end_ms == b.start_ms for a, b in zip(said.sections, said.sections[1:], strict=False))
    meet_ms = [round(len(calm) / 16), round((len(calm) + len(busy)) / 16)]
    assert [part.start_ms for part in said.sections[1:]] == pytest.approx(meet_ms, abs=600)
    assert "the parts A, B, A" in said.text


def test_each_part_that_is_like_no_other_has_a_letter_of_its_own():
    letters = labels_of(list(np.eye(30)))
    assert letters[:3] == ["A", "B", "C"]
    assert letters[25:28] == ["Z", "AA", "BB"]
    assert len(set(letters)) == 30


def test_what_goes_on_alike_has_no_parts():
    assert said_of(bars(12, 4)).sections == ()


@pytest.mark.parametrize("seed", range(6))
def test_noise_and_a_voice_have_neither_tempo_nor_key(seed):
    for said in (said_of(noise(12_000, seed=seed)), said_of(voice(12_000, seed))):
        assert (said.tempo_bpm, said.key, said.meter, said.sections) == (None, None, None, ())


def test_the_same_sound_gives_the_same_answer_to_the_last_digit():
    assert said_of(bars(6, 3)) == MusicConfig().build().annotate([clip(bars(6, 3), profile=Profile(music=0.9))])[0]
