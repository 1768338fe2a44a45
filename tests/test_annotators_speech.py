"""Words, sentences, voices: pure parts on hand-made words, the recogniser on real speech where there is some."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.pitch import voiced_pitch_hz
from annotators.speech import SpeechConfig, bracketed, doubts, sentences_of
from annotators.voice import Voice, described, rate_wpm
from annotators.words import Token, words_of
from schemas.audio import Waveform
from schemas.record import Clip, Event, Profile, Segment, Source, Turn, Word
from schemas.span import Span
from segmenters.embedded import EmbeddedDetector
from tests.make_clips import RATE_HZ, clip, event, noise, plucked, quiet, tone

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
    assert bool(doubts(words, voice, 1_000, CONFIG)) == withheld
    assert doubts(words, voice, 30_000, CONFIG)
    assert doubts(words, replace(voice, voiced_ratio=0.05), 1_000, CONFIG)


@pytest.mark.parametrize("hz", [80, 110, 165, 220, 330])
def test_the_pitch_of_a_voice_is_found_through_noise(hz):
    samples = pulses(hz) + 0.01 * np.random.default_rng(2).standard_normal(RATE_HZ)
    assert np.median(voiced_pitch_hz(samples, RATE_HZ)) == pytest.approx(hz, rel=0.02)


def test_noise_and_silence_have_no_pitch():
    noise = 0.1 * np.random.default_rng(2).standard_normal(RATE_HZ)
    assert len(voiced_pitch_hz(noise, RATE_HZ)) < 5
    assert len(voiced_pitch_hz(np.zeros(RATE_HZ), RATE_HZ)) == 0


@pytest.mark.parametrize(("nth", "told"), [(0, "the first voice"), (5, "the sixth voice"), (9, "the 10th voice")])
def test_voices_are_counted_however_many_there_are(nth, told):
    voice = Voice(pitch_hz=120.0, pitch_range_semitones=3.0, loudness_db=-20.0, voiced_ratio=0.6)
    assert described(voice, None, nth) == f"{told}, a low one of about 120 Hz"
    assert described(replace(voice, pitch_hz=None), None, nth) == f"{told}, one without clear pitch"


def test_pauses_do_not_slow_a_speaker_down():
    assert rate_wpm(10, [Span.of(0, 2_000), Span.of(60_000, 63_000)]) == 120.0
    assert rate_wpm(0, [Span.of(0, 2_000)]) is None


class Babbling:
    """A recogniser that gives back whatever tokens it was made of, cleaned as PocketSphinx's are, or not even that."""

    model = "babble@1"

    def __init__(self, tokens, cleaned):
        self._tokens, self._cleaned = tokens, cleaned

    def build(self):
        return self

    def hear(self, waveform):
        if self._cleaned:
            return words_of(self._tokens, waveform.start_ms, waveform.end_ms)
        begins = [max(0, waveform.start_ms + 10 * t.start_frame) for t in self._tokens]
        return [word("x", at_ms, at_ms + max(1, t.end_frame)) for at_ms, t in zip(begins, self._tokens, strict=True)]


hostile = st.lists(
    st.builds(
        Token,
        text=st.sampled_from(
            ["<s>", "[NOISE]", "++UM++", "", " ", "(2)", "a(2)", "[9.99]", 'say "hi"', "two words", "ok"]
        )
        | st.text(max_size=6),
        start_frame=st.integers(-50, 900),
        end_frame=st.integers(-50, 900),
        posterior=st.floats(),
    ),
    max_size=12,
)


@given(hostile)
def test_no_token_brings_a_word_out_of_order_out_of_its_stretch_or_with_marks_in_it(tokens):
    words = words_of(tokens, 5_000, 8_000)
    assert all(Span.of(5_000, 8_000).contains(w) and 0 <= w.score <= 1 for w in words)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(words))
    assert all(w.text and not set(w.text) & set('[]<>" \n') for w in words)


@settings(deadline=None, max_examples=30)
@given(hostile, st.booleans())
def test_whatever_the_recogniser_says_the_words_stay_in_time_and_in_their_segment(tokens, cleaned):
    lenient = SpeechConfig(
        words=Babbling(tokens, cleaned), min_score=0, min_sentence_score=0, min_variety=0, min_voiced=0
    )
    made = clip(pulses(120, 6_000), event(7_000, 9_000, "Speech"), event(10_000, 13_000, "Speech"), start_ms=7_000)
    (said,) = lenient.build().annotate([made])
    assert all(made.segment.contains(w) for w in said.words)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(said.words))
    assert said.text.count("[") == 2 * sum(fact.kind == "transcript" for fact in said.facts)


NOT_SPEECH = {
    "silence": quiet(4_000),
    "noise": noise(4_000, 0.1),
    "faint noise": noise(4_000, 0.002),
    "a tone": tone(4_000),
    "two tones": tone(4_000, 300.0) + tone(4_000, 1_800.0, 0.1),
    "chords": np.concatenate([plucked((48 + n, 52 + n, 55 + n)) for n in (0, 5, 7, 0, 9, 5, 7, 0)]),
    "a melody": np.concatenate([plucked((60 + n,)) for n in (0, 2, 4, 5, 7, 5, 4, 2)]),
    "clicks": np.tile(np.concatenate([noise(10, 0.3), quiet(390)]), 10),
}


@pytest.fixture(scope="module")
def annotator():
    return CONFIG.build()


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_what_is_no_speech_gets_no_words_even_where_the_detector_is_mistaken(annotator, name):
    (said,) = annotator.annotate([clip(NOT_SPEECH[name], event(0, 4_000, "Speech", 0.9))])
    assert said.words == ()
    assert said.text == ""
    assert said.reason
    assert not any(fact.kind == "transcript" for fact in said.facts)


def test_pauses_lie_between_the_speech_and_the_long_ones_are_told(annotator):
    events = [event(500, 1_500, "Speech"), event(1_700, 2_500, "Speech"), event(5_000, 6_000, "Speech")]
    (said,) = annotator.annotate([clip(pulses(120, 7_000), *events)])
    assert said.pauses == (Span.of(2_500, 5_000),)
    assert [(f.start_ms, f.end_ms) for f in said.facts if f.kind == "pause"] == [(2_500, 5_000)]


def test_another_speaker_begins_another_sentence():
    turns = [Turn(start_ms=0, end_ms=500, speaker="S01"), Turn(start_ms=500, end_ms=900, speaker="S02")]
    words = [word("how", 0, 200), word("so", 200, 520), word("why", 520, 800), word("not", 810, 900)]
    assert [s.text for s in sentences_of(words, CONFIG.pause_ms, turns)] == ["how so", "why not"]


@needs_speech
def test_two_speakers_are_told_apart_described_and_counted():
    samples, rate_hz = soundfile.read(SPEECH / "pyannote_sample.wav", dtype="float32")
    waveform = Waveform.from_float(samples, rate_hz)
    events = [e for e in EmbeddedDetector().hear(waveform).events if e.label == "Speech"]
    (said,) = SpeechConfig(words=Babbling([], True)).build().annotate([clip(samples, *events)])
    assert {turn.speaker for turn in said.turns} == {"S01", "S02"}
    assert "two voices take turns" in [fact.text for fact in said.facts if fact.kind == "voices"]
    assert {fact.text.split(" voice,")[0] for fact in said.facts if fact.kind == "voice"} == {"the first", "the second"}
    assert {turn.overlap for turn in said.turns} == {True, False}


@needs_speech
def test_read_english_is_understood_bit_for_bit_alike_whatever_came_before():
    first, second = read("libri_2412_0.flac", 0, 5_000), read("libri_1088.wav", 9_500, 13_000)
    annotator = CONFIG.build()
    together, backwards = annotator.annotate([first, second]), annotator.annotate([second, first])[::-1]
    assert together == backwards == [*annotator.annotate([first]), *CONFIG.build().annotate([second])]
    assert "unhappy morning" in together[1].text
    assert together[1].language is None
    assert {turn.speaker for said in together for turn in said.turns} == {"S01"}
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
