"""The speech branch put together: what is told, what is withheld and why, and what a part that fails costs."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.base import Reply
from annotators.captions.prompts import SPEECH_DESCRIPTION, SPEECH_SCHEMA
from annotators.portraits import PortraitRules
from annotators.recognition.second import SecondOpinion
from annotators.recognition.whisper import WhisperConfig
from annotators.trained_speech import StretchRules, TrainedSpeechConfig, to_hear
from pipeline.route import config_row
from schemas.formats.speech_caption import SpeechCaption
from schemas.formats.transcript import parse
from schemas.record import Outcome, Profile
from schemas.span import Span
from tests.branch_parts import DESCRIBED, Answers, Knows, Writes
from tests.make_clips import clip, event, tone

HOUR_MS = 3_600_000


def speaking(duration_ms=10_000, start_ms=HOUR_MS, stretches=None, pitch_hz=140.0):
    """Something with a pitch, and the detector's word for where it is speech (from the start of the clip)."""
    spans = stretches if stretches is not None else [(0, duration_ms)]
    events = [event(start_ms + a, start_ms + b, "Speech", 0.9) for a, b in spans]
    return clip(tone(duration_ms, pitch_hz), *events, start_ms=start_ms, profile=Profile(speech=0.9))


def branch(**changed):
    parts = {"transcriber": Writes(), "aligner": None, "diarizer": Knows()}
    return TrainedSpeechConfig(**(parts | changed)).build()


def said(*made, **changed):
    return branch(**changed).annotate(made)


TWO = ((HOUR_MS, HOUR_MS + 6_000, "V01"), (HOUR_MS + 6_000, HOUR_MS + 10_000, "V02"))


def test_a_conversation_is_told_word_by_word_sentence_by_sentence_voice_by_voice():
    captioner = Answers()
    (told,) = said(
        speaking(),
        transcriber=Writes(text_of=lambda _: "Do you know the way? I do not. Sorry, no."),
        diarizer=Knows(said=TWO),
        captioner=captioner,
    )
    assert told.outcome is Outcome.OK
    assert told.model == "writes@1+knows@1+answers@1"
    assert told.reason is None
    assert told.text == "[0.00]Do you know the way?[5.00][5.00]I[6.00][6.00]do not.[8.00][8.00]Sorry, no.[10.00]"
    assert [word.speaker for word in told.words] == ["S01"] * 6 + ["S02"] * 4
    assert (told.language, told.language_score, told.score) == ("en", 0.8, 0.9)
    assert [(turn.speaker, turn.overlap) for turn in told.turns] == [("S01", False), ("S02", False)]
    assert [(speaker.name, speaker.voice) for speaker in told.speakers] == [("S01", "V01"), ("S02", "V02")]
    assert all(speaker.description == SpeechCaption(**DESCRIBED) for speaker in told.speakers)
    assert told.rate_wpm == 60.0
    assert abs(told.pitch_hz - 140) < 1
    assert told.doubts == ()
    assert (told.second_text, told.disagreement) == (None, None)
    by_kind = {}
    for fact in told.facts:
        by_kind.setdefault(fact.kind, []).append(fact)
    assert [(fact.text, fact.speaker) for fact in by_kind["transcript"]] == [
        ("Do you know the way?", "S01"),
        ("I", "S01"),
        ("do not.", "S02"),
        ("Sorry, no.", "S02"),
    ]
    assert [fact.speaker for fact in by_kind["voice"]] == ["S01", "S02"]
    assert "first voice" in by_kind["voice"][0].text
    assert [(fact.text, fact.score, fact.speaker) for fact in by_kind["description"]] == [
        ("A young man speaks slowly", 0.5, "S01"),
        ("A young man speaks slowly", 0.5, "S02"),
    ]
    assert [fact.text for fact in by_kind["voices"]] == ["two voices take turns"]
    assert len(told.prompts) == 1
    assert len(told.prompts[0]) == 64
    assert [(question.text, question.schema) for question in captioner.asked] == [
        (SPEECH_DESCRIPTION, SPEECH_SCHEMA)
    ] * 2
    assert [question.waveform.start_ms for question in captioner.asked] == [HOUR_MS, HOUR_MS + 6_000]


# -------------------------------------------------------------------------------- which words are told


@pytest.mark.parametrize(
    ("second", "disagreement", "reason", "text"),
    [
        pytest.param("so it goes", 0.0, None, "so it goes", id="they agree"),
        pytest.param("so IT goes!", 0.0, None, "so it goes", id="they agree but for the writing"),
        pytest.param("so it went", 0.333, None, "so it goes", id="a third is flagged"),
        pytest.param("no it went", 0.667, "two recognisers differ in 67 of 100 words", "", id="two thirds are dropped"),
        pytest.param("", 1.0, "two recognisers differ in 100 of 100 words", "", id="the second hears nothing"),
    ],
)
def test_what_two_recognisers_differ_on_is_withheld_and_kept_for_the_record(second, disagreement, reason, text):
    other = Writes(text_of=lambda _: second, name="other@2")
    (told,) = said(speaking(), second=SecondOpinion(config=other, on="all"))
    assert told.model == "writes@1+other@2+knows@1"
    assert (told.second_text, told.disagreement) == (second, disagreement)
    assert (told.text, [word.text for word in told.words]) == (f"[0.00]{text}[10.00]" if text else "", text.split())
    assert bool(told.doubts) == (disagreement > 0)
    assert other.asked == [(HOUR_MS, "en")]
    assert (told.reason is None) == (reason is None)
    if reason:
        assert told.reason.startswith(f"the words are withheld: {reason}")
        assert told.reason.removeprefix("the words are withheld: ") in told.doubts
        assert not [fact for fact in told.facts if fact.kind == "transcript"]
    assert told.outcome is Outcome.OK
    assert told.score == 0.9


def test_a_loop_is_withheld_and_the_rest_is_told():
    made = speaking(30_000, stretches=[(0, 8_000), (20_000, 29_000)])
    texts = {HOUR_MS: "I am here and you are there"}
    looping = Writes(text_of=lambda stretch: texts.get(stretch.start_ms, "thank you so much " * 12))
    (told,) = said(made, transcriber=looping)
    assert [start_ms for start_ms, _ in looping.asked] == [HOUR_MS, HOUR_MS + 19_850]
    assert " ".join(word.text for word in told.words) == "I am here and you are there"
    assert told.reason.startswith("the words of 1 of 2 stretches are withheld: ")
    assert any("thank you so much" in doubt or "repeats itself" in doubt for doubt in told.doubts)


def test_words_that_only_the_second_recogniser_hears_are_no_reason_to_withhold_others():
    made = speaking(30_000, stretches=[(0, 8_000), (20_000, 29_000)])
    first = Writes(text_of=lambda stretch: "so it goes" if stretch.start_ms == HOUR_MS else "")
    other = Writes(name="other@2", text_of=lambda stretch: "so it goes" if stretch.start_ms == HOUR_MS else "hello")
    (told,) = said(made, transcriber=first, second=SecondOpinion(config=other, on="all"))
    assert [word.text for word in told.words] == ["so", "it", "goes"]
    assert told.reason is None
    assert (told.second_text, told.disagreement) == ("so it goes hello", 0.333)
    assert len(told.doubts) == 1


def test_suspects_are_heard_again_and_others_are_not():
    other = Writes(text_of=lambda _: "quite another thing", name="other@2")
    opinion = SecondOpinion(config=other, on="suspects", share=0.0)
    (plain,) = said(speaking(), second=opinion)
    assert (plain.second_text, plain.disagreement, other.asked) == (None, None, [])
    long_word = Writes(text_of=lambda _: "so it goes with a" + "b" * 30)
    (told,) = said(speaking(), transcriber=long_word, second=opinion)
    assert told.second_text == "quite another thing"
    assert told.reason.startswith("the words are withheld: two recognisers differ")


@pytest.mark.parametrize("trouble", ["error", "raises"])
def test_a_second_recogniser_that_does_not_answer_costs_no_words(trouble):
    def fail(stretch):
        raise ConnectionError("nobody there")

    other = Writes(error="nobody there", text_of=lambda _: "") if trouble == "error" else Writes(text_of=fail)
    (told,) = said(speaking(), second=SecondOpinion(config=other, on="all"))
    assert told.text == "[0.00]so it goes[10.00]"
    assert (told.second_text, told.disagreement, told.reason) == (None, None, None)
    assert len(told.doubts) == 1
    assert "nobody there" in told.doubts[0]


def test_a_recogniser_that_does_not_answer_fails():
    with pytest.raises(RuntimeError, match="writes@1: nobody there"):
        said(speaking(), transcriber=Writes(error="nobody there"))


def test_words_without_times_are_spread_and_that_is_said():
    (told,) = said(speaking(), transcriber=Writes(timed=False))
    assert [word.text for word in told.words] == ["so", "it", "goes"]
    assert told.words[0].start_ms == HOUR_MS
    assert told.words[-1].end_ms == HOUR_MS + 10_000
    assert told.doubts == ("nobody knows when its words are said",)


def test_nothing_understood_is_told_as_that():
    (told,) = said(speaking(), transcriber=Writes(text_of=lambda _: ""))
    assert told.reason == "no words were understood"
    assert (told.text, told.words, told.rate_wpm) == ("", (), None)
    assert abs(told.pitch_hz - 140) < 1


def test_words_that_look_like_times_are_no_times():
    hostile = Writes(text_of=lambda _: "[0.00] hello [S02] there [9.99]")
    (told,) = said(speaking(), transcriber=hostile, diarizer=Knows(said=TWO))
    assert [item.start_ms for item in parse(told.text).items] == [
        fact.start_ms - HOUR_MS for fact in told.facts if fact.kind == "transcript"
    ]
    assert parse(told.text).well_formed


# ------------------------------------------------------------------------------------ voices described


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param("I cannot hear anyone.", "no description of a voice", id="prose"),
        pytest.param('{"gender": "male"}', "it lacks pitch, speed", id="most of it missing"),
        pytest.param(json.dumps(DESCRIBED)[:-40], "it lacks summary", id="it breaks off"),
        pytest.param("", "nothing in it can be read", id="nothing"),
        pytest.param(Reply(text="", error="status 503"), "status 503", id="an error"),
    ],
)
def test_an_answer_that_cannot_be_read_describes_nobody_and_says_so(answer, words):
    (told,) = said(speaking(), diarizer=Knows(said=TWO), captioner=Answers(answer=lambda _: answer))
    assert [speaker.description for speaker in told.speakers] == [None, None]
    assert told.text.startswith("[0.00]so it")
    assert len(told.doubts) == 2
    assert all(f"S0{n} is not described" in doubt and words in doubt for n, doubt in enumerate(told.doubts, start=1))
    assert not [fact for fact in told.facts if fact.kind == "description"]
    assert len(told.prompts) == 1


def test_a_captioner_that_raises_costs_no_words():
    def fail(question):
        raise ConnectionError("nobody there")

    (told,) = said(speaking(), diarizer=Knows(said=TWO), captioner=Answers(answer=fail))
    assert told.text
    assert told.doubts == tuple(f"S0{n} is not described: ConnectionError: nobody there" for n in (1, 2))


def test_a_voice_is_heard_alone_and_for_long_enough():
    captioner = Answers()
    both = ((0, 6_000, "V01"), (5_000, 8_000, "V02"), (8_200, 9_900, "V03"))
    made = speaking(start_ms=0)
    rules = PortraitRules(min_ms=1_800, max_ms=4_000)
    (told,) = said(made, diarizer=Knows(said=both), captioner=captioner, portraits=rules)
    first, second = captioner.asked
    np.testing.assert_array_equal(first.waveform.pcm, made.waveform.pcm[: 4_000 * 16])
    np.testing.assert_array_equal(second.waveform.pcm, made.waveform.pcm[6_000 * 16 : 8_000 * 16])
    assert [bool(speaker.description) for speaker in told.speakers] == [True, True, False]
    assert told.overlaps == (Span.of(5_000, 6_000),)
    assert [(fact.start_ms, fact.end_ms) for fact in told.facts if fact.kind == "overlap"] == [(5_000, 6_000)]
    assert [(fact.start_ms, fact.end_ms) for fact in told.facts if fact.kind == "description"] == [
        (0, 5_000),
        (6_000, 8_000),
    ]


def test_without_anyone_to_describe_nothing_is_asked():
    captioner = Answers()
    (told,) = said(speaking(), captioner=captioner)
    assert (captioner.asked, told.prompts, told.turns, told.speakers) == ([], (), (), ())
    assert [word.speaker for word in told.words] == [None] * 3


# -------------------------------------------------------------------------------------- what is heard


stretches = st.lists(st.tuples(st.integers(0, 8_000), st.integers(50, 40_000)), min_size=1, max_size=10)


@settings(deadline=None)
@given(stretches, st.integers(0, 4_000), st.integers(0, 500))
def test_all_speech_is_heard_in_few_stretches_that_fit(pairs, max_gap_ms, pad_ms):
    events, at_ms = [], HOUR_MS
    for gap_ms, length_ms in pairs:
        events.append(event(at_ms + gap_ms, at_ms + gap_ms + length_ms, "Speech"))
        at_ms = events[-1].end_ms
    segment = replace(speaking(100).segment, end_ms=at_ms, events=tuple(events))
    rules = StretchRules(max_gap_ms=max_gap_ms, pad_ms=pad_ms)
    heard = to_hear(segment, rules)
    assert all(segment.contains(span) for span in heard)
    assert all(a.end_ms < b.start_ms for a, b in pairwise(heard))
    assert all(any(span.contains(one) for span in heard) for one in events)
    for span in heard:
        inside = [one for one in events if span.contains(one)]
        assert span.duration_ms <= rules.max_ms or all(b.start_ms - a.end_ms <= 2 * pad_ms for a, b in pairwise(inside))


def test_clips_without_speech_are_skipped_in_their_places():
    told = said(speaking(stretches=[]), speaking(), speaking(stretches=[(0, 200)]))
    assert [one.outcome for one in told] == [Outcome.SKIPPED, Outcome.OK, Outcome.SKIPPED]
    assert "0.20 s of speech" in told[2].reason
    assert said() == []


def test_pauses_are_told():
    (told,) = said(speaking(stretches=[(0, 4_000), (4_400, 5_000), (7_000, 10_000)]))
    assert told.pauses == (Span.of(HOUR_MS + 4_000, HOUR_MS + 4_400), Span.of(HOUR_MS + 5_000, HOUR_MS + 7_000))
    assert [fact.text for fact in told.facts if fact.kind == "pause"] == ["nobody speaks"]


def test_a_language_without_spaces_has_no_words_a_minute():
    chinese = Writes(text_of=lambda _: "你 好 世 界", language="zh")
    (told,) = said(speaking(), transcriber=chinese, diarizer=Knows(said=TWO))
    assert told.rate_wpm is None
    assert told.text == "[0.00]你好[5.00][5.00]世界[10.00]"
    assert not [fact for fact in told.facts if "words a minute" in fact.text]


def test_the_config_can_be_written_down():
    assert config_row(TrainedSpeechConfig())
    assert TrainedSpeechConfig().transcriber == WhisperConfig()
