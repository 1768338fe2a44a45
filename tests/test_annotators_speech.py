"""Words, sentences, voices: pure parts on hand-made words, the recogniser on real speech where there is some."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from annotators.pitch import voiced_pitch_hz
from annotators.speech import SpeechConfig, bracketed, doubts, sentences_of
from annotators.voice import Voice, rate_wpm
from annotators.words import Token, words_of
from schemas.audio import Waveform
from schemas.record import Clip, Event, Profile, Segment, Source, Word
from schemas.span import Span
from tests.make_clips import RATE_HZ

CONFIG = SpeechConfig()
SPEECH = Path(__file__).parents[2] / "shared" / "speech"
needs_speech = pytest.mark.skipif(not SPEECH.is_dir(), reason="recordings of real speech are not beside this checkout")


def token(text, start_frame, end_frame, posterior=0.9):
    return Token(text=text, start_frame=start_frame, end_frame=end_frame, posterior=posterior)


def word(text, start_ms, end_ms, score=0.9):
    return Word(text=text, start_ms=start_ms, end_ms=end_ms, score=score)


def pulses(hz, duration_ms=1_000):
    """A voice at its plainest: all harmonics of one pitch, falling."""
    time_s = np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ
    return 0.1 * sum(np.sin(2 * np.pi * n * hz * time_s) / n for n in range(1, 12))


def test_only_words_are_kept_without_their_pronunciation():
    heard = [
        token("<s>", 0, 9),
        token("[NOISE]", 10, 19),
        token("read(2)", 20, 49),
        token("<sil>", 50, 60),
        token("++UM++", 61, 62),
    ]
    assert [w.text for w in words_of(heard, 0, 1_000)] == ["read"]


def test_words_are_monotone_and_inside_their_stretch():
    heard = [token("a", 0, 30), token("b", 20, 50), token("c", 25, 45), token("d", 60, 900), token("e", 950, 960)]
    words = words_of(heard, 5_000, 6_000)
    edges = [edge for w in words for edge in (w.start_ms, w.end_ms)]
    assert edges == sorted(edges)
    assert all(Span.of(5_000, 6_000).contains(w) for w in words)


def test_a_posterior_past_one_is_one():
    assert words_of([token("a", 0, 9, posterior=1.0004)], 0, 100)[0].score == 1.0


def test_sentences_end_at_pauses_and_hold_every_word():
    words = [word("a", 0, 300), word("b", 700, 900), word("c", 1_500, 1_600)]
    sentences = sentences_of(words, CONFIG.pause_ms)
    assert [s.text for s in sentences] == ["a b", "c"]
    assert [w for s in sentences for w in s.words] == words


def test_a_transcript_counts_seconds_from_the_segment():
    (sentence,) = sentences_of([word("hello", 61_000, 61_400), word("there", 61_400, 62_205)], CONFIG.pause_ms)
    assert bracketed(sentence, 61_000) == "[0.00]hello there[1.21]"


@pytest.mark.parametrize(
    ("words", "withheld"),
    [
        pytest.param([], True, id="no words"),
        pytest.param([word("a", 0, 1, score=0.9)], False, id="a sure word"),
        pytest.param([word("a", 0, 1, score=0.1)], True, id="an unsure word"),
        pytest.param([word("no", i, i + 1) for i in range(12)], True, id="a recogniser in a loop"),
        pytest.param([word("no", i, i + 1) for i in range(3)], False, id="someone who says no three times"),
    ],
)
def test_words_are_withheld_for_a_reason(words, withheld):
    voice = Voice(pitch_hz=120.0, pitch_range_semitones=3.0, loudness_db=-20.0, voiced_ratio=0.5)
    assert bool(doubts(words, voice, CONFIG)) == withheld
    assert doubts(words, replace(voice, voiced_ratio=0.05), CONFIG)


@pytest.mark.parametrize("hz", [80, 110, 165, 220, 330])
def test_the_pitch_of_a_voice_is_found_through_noise(hz):
    samples = pulses(hz) + 0.01 * np.random.default_rng(2).standard_normal(RATE_HZ)
    assert np.median(voiced_pitch_hz(samples, RATE_HZ)) == pytest.approx(hz, rel=0.02)


def test_noise_and_silence_have_no_pitch():
    noise = 0.1 * np.random.default_rng(2).standard_normal(RATE_HZ)
    assert len(voiced_pitch_hz(noise, RATE_HZ)) < 5
    assert len(voiced_pitch_hz(np.zeros(RATE_HZ), RATE_HZ)) == 0


def test_pauses_do_not_slow_a_speaker_down():
    assert rate_wpm(10, [Span.of(0, 2_000), Span.of(60_000, 63_000)]) == 120.0
    assert rate_wpm(0, [Span.of(0, 2_000)]) is None


@needs_speech
def test_read_english_is_understood_bit_for_bit_alike_whatever_came_before():
    first, second = read("libri_2412_0.flac", 0, 5_000), read("libri_1088.wav", 9_500, 13_000)
    annotator = CONFIG.build()
    together, backwards = annotator.annotate([first, second]), annotator.annotate([second, first])[::-1]
    assert together == backwards == [*annotator.annotate([first]), *CONFIG.build().annotate([second])]
    assert "unhappy morning" in together[1].text
    assert together[1].language is None
    assert 150 < together[1].pitch_hz < 260


def read(name, start_ms, end_ms):
    samples, rate_hz = soundfile.read(SPEECH / name, dtype="float32")
    waveform = Waveform.from_float(samples, rate_hz).cut(Span.of(start_ms, end_ms))
    segment = Segment(
        source=Source(id="a", uri="a", etag="a", duration_ms=end_ms),
        start_ms=start_ms,
        end_ms=end_ms,
        profile=Profile(speech=0.9),
        events=(Event(label="Speech", start_ms=start_ms, end_ms=end_ms, score=0.9),),
    )
    return Clip(segment=segment, waveform=waveform)
