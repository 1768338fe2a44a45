"""Who is believed, where a person labelled what models heard too."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.labelled import LabelledConfig
from annotators.labelled_speech import overlaps_of
from annotators.merge import TemplateMergerConfig, merged
from schemas.labels import LabelledMusic, LabelledSentence, Labels
from schemas.record import (
    Branch,
    Branches,
    Clip,
    Event,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    SoundAnnotation,
    SpeechAnnotation,
    Turn,
    Word,
    skipped,
)
from schemas.span import Span
from tests.make import clip


@pytest.fixture
def heard() -> dict[Branch, object]:
    """What models made of two seconds, all of it surer than anything."""
    whole = {"start_ms": 0, "end_ms": 2_000, "score": 1.0}
    return {
        Branch.SPEECH: SpeechAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            text="[0.00]recognise beach[2.00]",
            words=(Word(start_ms=0, end_ms=2_000, text="beach", score=1.0),),
            turns=(Turn(start_ms=0, end_ms=2_000, speaker="S01"),),
            facts=(
                Fact(kind="transcript", text="wreck a nice beach", **whole),
                Fact(kind="voice", text="a low voice", **(whole | {"end_ms": 900})),
            ),
            pitch_hz=99.0,
        ),
        Branch.SOUND: SoundAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            facts=(
                Fact(kind="event", text="a cat", label="Meow", **whole),
                Fact(kind="burst", text="a burst", **whole),
            ),
        ),
        Branch.MUSIC: MusicAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            facts=(Fact(kind="tempo", text="about 90 beats a minute", **whole), Fact(kind="key", text="C", **whole)),
            tempo_bpm=90.0,
        ),
    }


class Said:
    """A config whose annotator says what it was given."""

    def __init__(self, branch: Branch, annotation: object) -> None:
        self.branch, self.annotation, self.model = branch, annotation, "ears@1"

    def build(self) -> "Said":
        return self

    def annotate(self, clips):
        return [self.annotation for _ in clips]


def told(branch: Branch, inner: object, labels: Labels | None) -> object:
    annotator = LabelledConfig(branch=branch, inner=Said(branch, inner)).build()
    (annotation,) = annotator.annotate([replace(clip(), labels=labels)])
    return annotation


LABELS = Labels(
    files=("a",),
    sentences=(
        LabelledSentence(start_ms=0, end_ms=900, text="recognise [0.50]", speaker="bob"),
        LabelledSentence(start_ms=900, end_ms=2_000, text="speech", speaker="al"),
    ),
    events=(
        Event(start_ms=100, end_ms=1_900, label="Bark", score=1.0),
        Event(start_ms=0, end_ms=50, label="my_own thing", score=1.0),
        Event(start_ms=0, end_ms=2_000, label="Music", score=1.0),
        Event(start_ms=500, end_ms=2_000, label="Singing", score=1.0),
    ),
    language="en",
    speakers=("zoe", "bob", "al"),
)


def test_clips_without_labels_keep_what_was_heard(heard):
    for branch, annotation in heard.items():
        assert told(branch, annotation, None) is annotation
        assert told(branch, annotation, Labels(files=("a",))) is annotation


def test_speech_is_the_person_s_and_what_adds_to_it(heard):
    speech = told(Branch.SPEECH, heard[Branch.SPEECH], LABELS)
    assert (speech.outcome, speech.model, speech.language, speech.pitch_hz) == (
        Outcome.OK,
        "labels@2+ears@1",
        "en",
        99.0,
    )
    assert speech.text == "[0.00]recognise (0.50)[0.90][0.90]speech[2.00]"
    assert [(f.kind, f.text, f.speaker, f.human) for f in speech.facts if f.kind != "voices"] == [
        ("transcript", "recognise (0.50)", "S01", True),
        ("voice", "a low voice", None, False),
        ("transcript", "speech", "S02", True),
    ]
    assert [(turn.speaker, turn.start_ms) for turn in speech.turns] == [("S01", 0), ("S02", 900)]
    assert [(one.name, one.voice) for one in speech.speakers] == [("S01", "V02"), ("S02", "V03")]
    assert speech.words == ()


def test_sounds_are_the_person_s_with_how_they_are_made_up(heard):
    sound = told(Branch.SOUND, heard[Branch.SOUND], LABELS)
    assert [(f.kind, f.label, f.text, f.human) for f in sound.facts] == [
        ("event", None, "my own thing", True),
        ("burst", None, "a burst", False),
        ("event", "Bark", sound.facts[2].text, True),
    ]


def test_music_is_the_person_s_with_what_was_measured(heard):
    music = told(Branch.MUSIC, heard[Branch.MUSIC], LABELS)
    assert [(f.kind, f.human) for f in music.facts] == [
        ("music", True),
        ("key", False),
        ("tempo", False),
        ("singing", True),
    ]


def test_what_is_measured_of_music_holds_where_the_person_heard_it(heard):
    def facts(start_ms: int) -> list[tuple[int, int, str]]:
        music = Event(start_ms=start_ms, end_ms=2_000, label="Music", score=1.0)
        annotation = told(Branch.MUSIC, heard[Branch.MUSIC], Labels(files=("a",), events=(music,)))
        return [(fact.start_ms, fact.end_ms, fact.kind) for fact in annotation.facts]

    assert facts(300) == [(300, 2_000, "music"), (300, 2_000, "key"), (300, 2_000, "tempo")]
    assert facts(900) == [(900, 2_000, "music")]


def test_that_somebody_speaks_is_told_where_nobody_says_more(heard):
    speech = Event(start_ms=0, end_ms=2_000, label="Speech", score=1.0)
    man = Event(start_ms=0, end_ms=2_000, label="Male speech, man speaking", score=1.0)
    for events, silent, kinds in (
        ((speech,), False, ["transcript", "voice"]),
        ((speech,), True, ["speech"]),
        ((speech, man), False, ["speech", "transcript", "voice"]),
    ):
        inner = skipped(Branch.SPEECH, "ears@1", "none") if silent else heard[Branch.SPEECH]
        annotation = told(Branch.SPEECH, inner, Labels(files=("a",), events=events))
        assert sorted(fact.kind for fact in annotation.facts) == kinds


@pytest.mark.parametrize("branch", list(Branch))
def test_a_person_is_heard_where_the_inner_annotator_is_silent(branch):
    annotation = told(branch, skipped(branch, "ears@1", "nothing here"), LABELS)
    assert annotation.outcome is Outcome.OK
    assert annotation.facts
    assert all(fact.human and fact.score == 1.0 for fact in annotation.facts)


def test_a_person_s_instruments_kinds_and_moods_are_told_with_the_music():
    whole = {"start_ms": 0, "end_ms": 2_000}
    music = LabelledMusic(**whole, instruments=("Piano", "a saw"), text="a slow waltz")
    events = tuple(Event(**whole, label=name, score=1.0) for name in ("Jazz", "Sad music", "Song"))
    inner = MusicAnnotation(
        outcome=Outcome.OK,
        model="ears@1",
        facts=(Fact(**whole, kind="instrument", text="a guitar", label="Guitar", score=1.0),),
    )
    said = told(Branch.MUSIC, inner, Labels(files=("a",), music=(music,), events=events))
    merged_clip = replace(clip(), branches=Branches(music=said))
    (caption,) = TemplateMergerConfig().build().merge([merged_clip])
    (known,) = [claim.text for claim in caption.claims if "music runs" in claim.text.lower()]
    assert "heard as jazz heard as sad music with a piano and a saw" in known.replace(",", "")
    assert sorted(claim.text for claim in caption.claims if claim.text != known) == [
        "From 0.0 to 2.0 s a slow waltz.",
        "From 0.0 to 2.0 s a song.",
    ]
    assert "guitar" not in caption.text


def test_of_what_is_measured_in_a_named_sound_the_likest_is_told_with_it():
    def fact(end_ms: int, text: str, **more: object) -> Fact:
        kind = "event" if "human" in more else "repeated"
        return Fact(start_ms=0, end_ms=end_ms, kind=kind, text=text, score=0.9, **more)

    facts = (fact(1_200, "3 bursts"), fact(1_900, "5 bursts"), fact(2_000, "coughing", human=True, label="Cough"))
    sounds = SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=facts)
    caption = merged(replace(clip(), branches=Branches(sound=sounds)), TemplateMergerConfig())
    assert "From 0.0 to 2.0 s coughing, 5 bursts." in [claim.text for claim in caption.claims]


SPEAKERS = st.sampled_from("abc")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), SPEAKERS), max_size=9))
def test_two_speak_at_once_where_turns_of_two_meet(rows):
    turns = [Turn(start_ms=start, end_ms=start + length, speaker=name) for start, length, name in rows]
    at_once = {t for span in overlaps_of(turns) for t in range(span.start_ms, span.end_ms)}
    speaking = [{turn.speaker for turn in turns if turn.start_ms <= t < turn.end_ms} for t in range(70)]
    assert at_once == {t for t, names in enumerate(speaking) if len(names) > 1}


def test_turns_at_once_and_words_alone():
    labels = Labels(
        files=("a",),
        turns=(Turn(start_ms=0, end_ms=1_500, speaker="b"), Turn(start_ms=500, end_ms=2_000, speaker="a")),
        words=tuple(Word(start_ms=a, end_ms=a + 100, text=f"w{a}", score=1.0) for a in (0, 200, 1_200)),
    )
    speech = told(Branch.SPEECH, skipped(Branch.SPEECH, "ears@1", "none"), labels)
    assert speech.text == "[0.00]w0 w200[0.30][1.20]w1200[1.30]"
    assert (speech.words, speech.overlaps) == (labels.words, (Span.of(500, 1_500),))
    assert {(f.kind, f.text) for f in speech.facts} >= {
        ("overlap", "two voices speak at once"),
        ("voices", "two voices are heard"),
    }


def test_the_merger_lets_no_model_speak_against_a_person():
    def caption(*facts: Fact, profile: Profile) -> tuple[list[str], list[str]]:
        sound = SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=facts)
        event = Event(start_ms=0, end_ms=2_000, label="Speech", score=1.0)
        speech = SpeechAnnotation(outcome=Outcome.OK, model="m@1")
        one: Clip = clip(branches=Branches(sound=sound, speech=speech))
        one = replace(one, segment=replace(one.segment, profile=profile, events=(event,)))
        (made,) = TemplateMergerConfig().build().merge([one])
        return [claim.text for claim in made.claims], [rejected.reason for rejected in made.rejected]

    human = Fact(start_ms=0, end_ms=2_000, kind="event", text="a bark", score=0.01, human=True)
    model = Fact(start_ms=0, end_ms=2_000, kind="event", text="a meow", score=1.0)
    told_texts, reasons = caption(human, model, profile=Profile(speech=1.0))
    assert told_texts == ["From 0.0 to 2.0 s a bark."]  # under speech, and unsure: a person says so
    assert reasons == ["a person says 'a bark' there, sound/0"]
    assert caption(replace(human, text=" \x00"), profile=Profile()) == ([], [])
    measured = replace(model, kind="bang", text="a burst", end_ms=1_800)
    elsewhere = replace(model, kind="bang", text="a click", end_ms=100)
    assert caption(human, measured, elsewhere, profile=Profile(animal=1.0))[0] == [
        "At 0.0 s a click.",
        "From 0.0 to 2.0 s a bark, a burst.",
    ]
