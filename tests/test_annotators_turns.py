"""Laws of turns on made embeddings; the encoder against librosa's mels, and on real voices where there are some."""

import itertools
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.mels import mel_power
from annotators.speakers.encoder import WEIGHTS, SpeakerEncoder, mels
from annotators.speakers.turns import TurnRules, bridged, turns_of, window_starts_ms
from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.record import Turn
from schemas.span import Span, union
from segmenters.embedded import EmbeddedDetector
from tests.make_clips import RATE_HZ, noise, plucked, tone
from tests.sounds import at_level

RULES = TurnRules()
LIKENESS = 0.76  # of two windows of one made voice, as of real ones
SPEECH = Path(__file__).parents[2] / "shared" / "speech"
needs_speech = pytest.mark.skipif(not SPEECH.is_dir(), reason="recordings of real speech are not beside this checkout")

spans = st.lists(
    st.tuples(st.integers(0, 14_000), st.integers(1, 6_000)).map(lambda p: Span.of(p[0], min(15_000, p[0] + p[1]))),
    min_size=1,
    max_size=8,
).map(union)


def embedded(said, starts_ms, seed=3):
    """What an encoder would make of windows in which these voices, 0 and up, speak over these spans."""
    random = np.random.default_rng(seed)
    voices = np.linalg.qr(random.standard_normal((256, 8)))[0].T
    windows = []
    for start_ms in starts_ms:
        window = Span.of(start_ms, start_ms + RULES.window_ms)
        heard = sum((span.overlap_ms(window) * voices[voice] for span, voice in said), np.zeros(256))
        unheard = random.standard_normal(256) / 16
        windows.append(np.sqrt(LIKENESS) * heard / max(np.linalg.norm(heard), 1e-9) + np.sqrt(1 - LIKENESS) * unheard)
    return np.array([window / np.linalg.norm(window) for window in windows], dtype=np.float32).reshape(-1, 256)


def told(said, whole, rules=RULES):
    speech = union(span for span, _ in said)
    starts_ms = window_starts_ms(speech, whole, rules)
    return turns_of(embedded(said, starts_ms), starts_ms, speech, whole, rules)


def test_two_voices_are_told_apart_and_the_edges_found():
    said = [(Span.of(500, 6_000), 0), (Span.of(6_000, 11_300), 1), (Span.of(12_800, 18_000), 0)]
    turns = told(said, Span.of(0, 20_000))
    assert [turn.speaker for turn in turns] == ["S01", "S02", "S01"]
    for turn, (span, _) in zip(turns, said, strict=True):
        assert turn.start_ms == pytest.approx(span.start_ms, abs=150)
        assert turn.end_ms == pytest.approx(span.end_ms, abs=150)
        assert turn.score > 0.9


@pytest.mark.parametrize("num_voices", [1, 2, 3, 4])
def test_the_voices_are_counted(num_voices):
    said = [(Span.of(i * 3_000, i * 3_000 + 2_900), i % num_voices) for i in range(3 * num_voices)]
    assert len({turn.speaker for turn in told(said, Span.of(0, 9_000 * num_voices))}) == num_voices


@settings(deadline=None, max_examples=60)
@given(spans, st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 10**6))
def test_all_of_the_speech_is_somebodys_and_turns_are_in_order(speech, voices, start_ms):
    whole = Span.of(0, 15_000)
    said = list(zip(speech, voices, strict=False))
    starts_ms = window_starts_ms(speech, whole, RULES)
    embeddings = embedded(said, starts_ms)
    turns = turns_of(embeddings, starts_ms, speech, whole, RULES)
    assert all(whole.contains(turn) and 0 <= turn.score <= 1 for turn in turns)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(turns))
    assert all(sum(span.overlap_ms(turn) for turn in turns) == span.duration_ms for span in speech)
    names = list(dict.fromkeys(turn.speaker for turn in turns))
    assert names == [f"S{i + 1:02d}" for i in range(len(names))]
    later = [Span.of(span.start_ms + start_ms, span.end_ms + start_ms) for span in speech]
    whole_later = Span.of(start_ms, start_ms + 15_000)
    moved = turns_of(embeddings, starts_ms, later, whole_later, RULES)
    assert [(t.start_ms - start_ms, t.end_ms - start_ms, t.speaker) for t in moved] == [
        (t.start_ms, t.end_ms, t.speaker) for t in turns
    ]


@given(spans)
def test_there_is_a_window_at_every_moment_of_speech(speech):
    whole = Span.of(0, 15_000)
    starts_ms = window_starts_ms(speech, whole, RULES)
    heard = union(Span.of(start_ms, start_ms + RULES.window_ms) for start_ms in starts_ms)
    uncovered_ms = sum(span.duration_ms - sum(span.overlap_ms(part) for part in heard) for span in speech)
    assert uncovered_ms < 10  # a window begins at a whole frame
    assert all(start_ms % 10 == 0 for start_ms in starts_ms)


@given(st.integers(1, 12_000), st.integers(0, 12_000), st.integers(1, 3_000))
def test_wherever_someone_speaks_there_is_a_window(whole_ms, start_ms, length_ms):
    whole = Span.of(0, whole_ms)
    if speech := Span.of(start_ms, start_ms + length_ms).clipped(whole):
        assert window_starts_ms([speech], whole, RULES)


def test_where_there_is_no_window_there_is_no_embedding():
    sound = Waveform.from_float(noise(1_000), RATE_HZ)
    assert SpeakerEncoder().hear(sound, [], [], RULES.window_ms).shape == (0, 256)


def test_rules_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="hop_ms=0"):
        TurnRules(hop_ms=0)


def test_a_turn_goes_on_through_a_pause_of_its_speaker_and_no_other():
    turns = [
        Turn(start_ms=a, end_ms=b, speaker=s, score=p)
        for a, b, s, p in (
            (0, 1_000, "S01", 1.0),
            (1_900, 2_900, "S01", 0.5),
            (3_000, 4_000, "S02", 1.0),
            (6_000, 7_000, "S02", 1.0),
        )
    ]
    assert [(t.start_ms, t.end_ms, t.speaker, t.score) for t in bridged(turns, 1_000)] == [
        (0, 2_900, "S01", 0.75),
        (3_000, 4_000, "S02", 1.0),
        (6_000, 7_000, "S02", 1.0),
    ]


@pytest.mark.parametrize(("size", "num_mels"), [(400, 40), (321, 120)], ids=["encoder", "dnsmos"])
def test_mels_are_librosas(size, num_mels):
    samples = (noise(1_500) + tone(1_500)).astype(np.float32)
    theirs = librosa.feature.melspectrogram(y=samples, sr=RATE_HZ, n_fft=size, hop_length=160, n_mels=num_mels).T
    np.testing.assert_allclose(mel_power(samples, RATE_HZ, size, 160, num_mels), theirs, rtol=1e-3, atol=1e-5)


def test_an_embedding_has_length_one_and_does_not_depend_on_what_is_heard_beside_it():
    encoder = SpeakerEncoder()
    spectra = mels((noise(8_000) + tone(8_000, 200.0)).astype(np.float32))
    windows = np.stack([spectra[start : start + 120] for start in range(0, 600, 15)])
    together = encoder.embed(windows)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.embed(windows[7:9]), together[7:9], atol=1e-5)
    assert WEIGHTS.stat().st_size < 6_000_000


@pytest.mark.parametrize("gain", [0.1, 0.3])
def test_how_loud_a_voice_was_recorded_does_not_change_whose_it_is(gain):
    encoder, samples = SpeakerEncoder(), at_level(np.tile(plucked((45, 52), 500), 6), -32)
    whole = Span.of(0, 3_000)
    loud, low = (
        encoder.hear(Waveform.from_float(samples * by, RATE_HZ), [whole], [0, 900], RULES.window_ms) for by in (1, gain)
    )
    assert np.sum(loud * low, axis=1) == pytest.approx(1, abs=0.01)


@needs_speech
@pytest.mark.parametrize(
    ("name", "num_speakers"), [("pyannote_sample.wav", 2), ("pya_dev00.wav", 2), ("libri_1088.wav", 1)]
)
def test_real_voices_are_counted(name, num_speakers):
    samples, rate_hz = soundfile.read(SPEECH / name)
    waveform = Waveform.from_float(samples, rate_hz)
    whole = Span.of(0, waveform.duration_ms)
    speech = [Span.of(e.start_ms, e.end_ms) for e in EmbeddedDetector().hear(waveform).events if e.label == "Speech"]
    starts_ms = window_starts_ms(speech, whole, RULES)
    embeddings = SpeakerEncoder().hear(waveform, speech, starts_ms, RULES.window_ms)
    assert len({turn.speaker for turn in turns_of(embeddings, starts_ms, speech, whole, RULES)}) == num_speakers
