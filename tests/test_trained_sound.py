"""The sound branch of trained models: names, measurements, and what a captioner says."""

import hashlib

import numpy as np
import pytest

from annotators.base import Question, Reply
from annotators.captions.prompts import SOUND_DESCRIPTION, SOUND_TIMELINE
from annotators.merge import TemplateMergerConfig
from annotators.sound import SoundConfig
from annotators.trained_sound import TrainedSoundConfig
from schemas.errors import ConfigError
from schemas.record import Branches, Outcome, Profile, SpeechAnnotation
from tests.branch_parts import Answers
from tests.make_clips import clip, event, noise, quiet, tone

BARKS = np.tile(np.r_[noise(150), quiet(350)], 5)


def captions(
    timeline: str | None = "0.50 - 1.50: a dog barks", description: str | None = "A dog barks. The room is quiet."
) -> Answers:
    """A captioner that says what it was given, or fails at what it was not given."""
    said = {SOUND_TIMELINE: timeline, SOUND_DESCRIPTION: description}

    def answer(question: Question) -> str | Reply:
        text = said[question.text]
        return Reply(text="", error="HTTP 500") if text is None else text

    return Answers(answer=answer, model="captions@1")


def said_of(made, **changes):
    return TrainedSoundConfig(**changes).build().annotate([made])[0]


def facts_of(annotation, kind):
    return [fact for fact in annotation.facts if fact.kind == kind]


# --------------------------------------------------------------------------------------------- names


def test_a_named_event_is_told_by_its_name():
    said = said_of(clip(quiet(3_000), event(7_500, 9_000, "Dog", 0.81239), start_ms=7_000))
    (fact,) = said.facts
    assert (fact.kind, fact.label, fact.text, fact.start_ms, fact.end_ms) == ("event", "Dog", "a dog", 7_500, 9_000)
    assert fact.score == pytest.approx(0.812)
    assert said.text == "a dog"
    assert said.outcome is Outcome.OK


def test_its_physics_is_told_where_it_sounds_alone():
    (fact,) = said_of(clip(BARKS, event(0, 2_500, "Bark"))).facts
    assert fact.text == "a dog barking (5 bursts, about 2.0 a second)"
    for covers in ("Rain", "Music", "Speech"):
        named = said_of(clip(BARKS, event(0, 2_500, "Bark"), event(0, 2_500, covers))).facts
        assert next(fact for fact in named if fact.label == "Bark").text == "a dog barking"


def test_a_wider_name_for_the_same_sound_does_not_cover_it():
    facts = said_of(clip(BARKS, event(0, 2_500, "Bark"), event(0, 2_500, "Animal"))).facts
    assert {fact.label: fact.text for fact in facts}["Bark"] == "a dog barking (5 bursts, about 2.0 a second)"


def test_unsure_physics_is_not_told_with_a_name():
    (fact,) = said_of(clip(BARKS, event(0, 2_500, "Bark")), sure=1.0).facts
    assert fact.text == "a dog barking"


def test_a_name_holds_under_speech():
    made = clip(noise(3_000), event(0, 3_000, "Speech"), event(500, 1_500, "Dog"), event(500, 1_500, "Sound"))
    (fact,) = said_of(made).facts
    assert fact.label == "Dog"
    spoken = SpeechAnnotation(outcome=Outcome.OK, model="ears@1")
    merged = clip(noise(3_000), *made.segment.events, profile=Profile(speech=0.9), branches=Branches(speech=spoken))
    branches = merged.branches.having(TrainedSoundConfig().build().branch, said_of(made))
    (caption,) = TemplateMergerConfig().build().merge([clip(noise(3_000), *made.segment.events, branches=branches)])
    assert caption.text == "From 0.5 to 1.5 s a dog."
    assert not caption.rejected


@pytest.mark.parametrize("label", ["Speech", "Music", "Jazz", "Male singing", "Conversation", "Silence"])
def test_what_other_branches_tell_and_silence_are_left_to_them(label):
    said = said_of(clip(noise(2_000), event(0, 2_000, label)))
    assert said.outcome is Outcome.SKIPPED
    assert said.reason


def test_which_classes_are_told_is_a_setting():
    (fact,) = said_of(clip(noise(2_000), event(0, 2_000, "Male singing")), told=("singing",)).facts
    assert fact.text.startswith("a man singing")


def test_a_sound_without_a_name_is_described_as_the_measuring_branch_does():
    made = clip(np.r_[quiet(500), tone(2_000), quiet(500)], event(500, 2_500))
    assert said_of(made).facts == SoundConfig().build().annotate([made])[0].facts


def test_names_and_measurements_are_told_in_time_order():
    samples = np.r_[quiet(500), tone(2_000), quiet(3_000), noise(1_000)]
    said = said_of(clip(samples, event(500, 2_500), event(5_500, 6_500, "Rain")))
    assert [fact.kind for fact in said.facts] == ["tonal", "event"]
    assert said.text == "; ".join(fact.text for fact in said.facts)


def test_events_are_clipped_to_the_sound_of_the_segment():
    (fact,) = said_of(clip(noise(1_000), event(500, 9_000, "Rain"))).facts
    assert (fact.start_ms, fact.end_ms) == (500, 1_000)


# --------------------------------------------------------------------------------------------- captions


def test_a_captioner_adds_its_words_and_its_timeline():
    made = clip(BARKS, event(7_000, 9_500, "Bark"), start_ms=7_000)
    said = said_of(made, captioner=captions(), caption_score=0.4, timeline_score=0.6)
    assert said.caption == "A dog barks. The room is quiet."
    (line,) = facts_of(said, "timeline")
    assert (line.start_ms, line.end_ms, line.text, line.score) == (7_500, 8_500, "a dog barks", 0.6)
    sentences = facts_of(said, "caption")
    assert [fact.text for fact in sentences] == ["a dog barks", "the room is quiet"]
    assert {(fact.start_ms, fact.end_ms, fact.score) for fact in sentences} == {(7_000, 9_500, 0.4)}
    assert [fact.label for fact in facts_of(said, "event")] == ["Bark"]
    assert "captions@1" in said.model
    assert set(said.prompts) == {hashlib.sha256(p.encode()).hexdigest() for p in (SOUND_TIMELINE, SOUND_DESCRIPTION)}
    assert said.reason is None


def test_only_what_is_set_is_asked():
    made = clip(quiet(2_000))
    assert not said_of(made, captioner=captions(), describes=False).caption
    assert not facts_of(said_of(made, captioner=captions(), lists=False), "timeline")
    assert said_of(made, captioner=captions(), lists=False, describes=False).outcome is Outcome.SKIPPED


def test_times_of_a_timeline_are_clipped_and_nothing_is_lost_silently():
    lines = "0.00 - 99.00: rain\n0.50 - 0.50: a click\n5.00 - 6.00: thunder\nand so on\n1.00 - 1.50: Dog"
    said = said_of(clip(noise(2_000), start_ms=4_000), captioner=captions(timeline=lines, description=None))
    facts = facts_of(said, "timeline")
    assert [(f.text, f.start_ms, f.end_ms) for f in facts] == [
        ("rain", 4_000, 6_000),
        ("a click", 4_500, 4_501),
        ("dog", 5_000, 5_500),
    ]
    assert [fact.label for fact in facts] == ["Rain", None, "Dog"]
    assert said.outcome is Outcome.OK
    assert "1 after the end of the clip, 1 without two times" in said.reason
    assert "no description: HTTP 500" in said.reason


def test_a_captioner_that_fails_leaves_the_rest():
    made = clip(noise(2_000), event(0, 2_000, "Rain"))
    said = said_of(made, captioner=captions(timeline=None, description=None))
    assert [fact.label for fact in said.facts] == ["Rain"]
    assert said.outcome is Outcome.OK
    assert "HTTP 500" in said.reason
    nothing = said_of(clip(quiet(2_000)), captioner=captions(timeline=None, description=""))
    assert nothing.outcome is Outcome.FAILED
    assert "its reply is empty" in nothing.reason


def test_each_clip_gets_its_own_replies_in_order():
    measures = Answers(answer=lambda question: f"It lasts {question.waveform.duration_ms} ms.")
    clips = [clip(noise(duration_ms)) for duration_ms in (300, 1_200, 700)]
    annotator = TrainedSoundConfig(captioner=measures).build()
    together = annotator.annotate(clips)
    assert [said.caption for said in together] == [f"It lasts {n} ms." for n in (300, 1_200, 700)]
    assert together == [annotator.annotate([one])[0] for one in clips]
    assert annotator.annotate([]) == []


@pytest.mark.parametrize(
    "hostile",
    [
        '{"a": [' * 2_000,
        "9" * 20_000,
        "0.00 - 1.00: " + "x" * 50_000,
        "\n".join(f"0.00 - 1.00: sound {i}" for i in range(5_000)),
        "A. " * 5_000,
        "\x00\u202e... \ud83d\ude00",
        "1e999 - nan: boom",
        '"0.00 - 1.00": "</s><|im_end|>',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_whatever_a_captioner_says_stays_inside_bounds(hostile):
    made = clip(noise(1_000), start_ms=3_000)
    said = said_of(made, captioner=captions(timeline=hostile, description=hostile))
    assert len(said.facts) <= 64 + 12 + 1
    for fact in said.facts:
        assert made.segment.contains(fact)
        assert 0 < len(fact.text) <= 300
        fact.text.encode()
    said.caption.encode()


@pytest.mark.parametrize(
    ("sentence", "phrase"),
    [
        ("A dog barks.", "a dog barks"),
        ("I hear rain", "I hear rain"),
        ("DTMF tones sound.", "DTMF tones sound"),
        ("Birds", "birds"),
        ("下雨了。", "下雨了"),
        ("...", None),
    ],
)
def test_sentences_can_follow_a_time(sentence, phrase):
    said = said_of(clip(noise(1_000)), captioner=captions(timeline=None, description=sentence))
    assert [fact.text for fact in facts_of(said, "caption")] == ([phrase] if phrase else [])


def test_scores_outside_their_range_are_refused():
    with pytest.raises(ConfigError, match="caption_score=2"):
        TrainedSoundConfig(caption_score=2.0)


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (Reply(text="", error="the server sleeps"), "the server sleeps"),
        (Reply(text="  \n"), "its reply is empty"),
        (Reply(text="a dog \ufffd\ufffd barks"), "its reply holds bytes that are no letters"),
        (Reply(text="a dog barks"), None),
    ],
)
def test_what_is_wrong_with_a_reply_is_said(reply, trouble):
    assert reply.trouble == trouble
