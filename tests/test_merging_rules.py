"""What a claim may say of its evidence, rule by rule, each with what it refuses and what it lets stand."""

import numpy as np
import pytest

from annotators.merging.cases import VerifyingRules
from annotators.merging.merger import prepared
from annotators.merging.numbers import Sort, numbers_of
from annotators.merging.reading import Proposal
from annotators.merging.tokens import sentence_of
from annotators.merging.verifying import judged
from annotators.merging.words import stems
from benchmarks.merge import UNASKED
from schemas.record import (
    Branches,
    Claim,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    Rejected,
    SoundAnnotation,
    SpeechAnnotation,
)
from tests.make_clips import clip

START_MS = 60_000


def fact(start_s, end_s, kind, text, score=0.9, **more):
    start_ms, end_ms = (START_MS + round(1_000 * at_s) for at_s in (start_s, end_s))
    return Fact(start_ms=start_ms, end_ms=end_ms, kind=kind, text=text, score=score, **more)


SPEECH = (
    fact(0.5, 3.2, "transcript", "Good morning everyone, and welcome back.", speaker="S01"),
    fact(0.5, 9.8, "voice", "the first voice, a low one of about 112 Hz", speaker="S01"),
    fact(0.5, 9.8, "description", "A middle-aged man speaks warmly with a British accent", speaker="S01"),
    fact(0.5, 15.0, "voices", "two voices take turns"),
    fact(3.9, 6.4, "transcript", "Thank you, it's great. I do not like the dog.", speaker="S02"),
    fact(
        3.9,
        15.0,
        "voice",
        "the second voice, a high one of about 215 Hz, fast at about 250 words a minute",
        speaker="S02",
    ),
    fact(6.4, 8.6, "pause", "nobody speaks"),
    fact(8.6, 9.8, "transcript", "So how was the trip?", speaker="S01"),
)
SOUND = (
    fact(6.5, 7.4, "event", "a dog barking", label="Bark"),
    fact(0.0, 16.0, "event", "rain", label="Rain"),
    fact(11.0, 13.0, "event", "a siren", label="Siren"),
    fact(7.0, 7.3, "bang", "a loud short broadband burst"),
    fact(0.0, 16.0, "caption", "a cat meows on a roof"),
    fact(14.0, 15.0, "rising", "a tone that rises from about 200 to 400 Hz", label="Sine wave"),
)
MUSIC = (
    fact(0.0, 16.0, "music", "music"),
    fact(0.0, 16.0, "tempo", "about 96 beats a minute"),
    fact(0.0, 16.0, "key", "G major"),
    fact(0.0, 16.0, "meter", "in four"),
    fact(0.0, 16.0, "chords", "the chords G, Em, A, D most of all"),
    fact(0.0, 16.0, "instrument", "an acoustic guitar", label="Acoustic guitar"),
)


def made(speech=SPEECH, sound=SOUND, music=MUSIC):
    return clip(
        np.zeros(16 * 16_000),
        start_ms=START_MS,
        profile=Profile(speech=0.8, music=0.6),
        branches=Branches(
            speech=SpeechAnnotation(outcome=Outcome.OK, model="m@1", facts=speech),
            sound=SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=sound),
            music=MusicAnnotation(outcome=Outcome.OK, model="m@1", facts=music),
        ),
    )


LISTING = prepared(made(), UNASKED).listing


def judge(text, *evidence, span=None, listing=LISTING):
    facts = [listing.by_id[one] for one in evidence if one in listing.by_id]
    start_s, end_s = span or (
        (min(one.start_ms for one in facts) - START_MS) / 1_000,
        (max(one.end_ms for one in facts) - START_MS) / 1_000,
    )
    proposal = Proposal(text=text, start_s=start_s, end_s=end_s, branch=facts[0].branch, evidence=evidence)
    return judged(proposal, listing, VerifyingRules())


TRUE = [
    (
        'From 0.5 to 3.2 s, a middle-aged man (S01) says, "Good morning everyone, and welcome back."',
        "speech/0",
        "speech/2",
    ),
    ("S02 answers in a high voice of about 215 Hz: “Thank you, it’s great.”", "speech/4", "speech/5"),
    ('S02 replies "Thank you" at 3.9 s.', "speech/4"),
    ('At 8.6 s the first speaker asks, "So how was the trip?"', "speech/7"),
    ("A man speaks warmly.", "speech/2"),
    ("Two people take turns speaking from 0.5 to 15.0 s.", "speech/3"),
    ("A dog barks at 6.5 s while nobody speaks.", "sound/0", "speech/6"),
    ("There is a pause of about two seconds.", "speech/6"),
    ("No one talks from 6.4 to 8.6 s.", "speech/6"),
    ("Rain falls throughout the recording.", "sound/1"),
    ("An animal is heard at 0:06.", "sound/0"),
    ("A siren starts at 11.0 s and ends at 13.0 s.", "sound/2"),
    ("A siren lasts for two seconds.", "sound/2"),
    ("Eleven seconds in, a siren wails.", "sound/2"),
    ("A dog barks, followed by a loud burst at 7.0 s.", "sound/0", "sound/3"),
    ("A dog barking is heard before a siren.", "sound/0", "sound/2"),
    ("A tone climbs from about 200 to 400 Hz.", "sound/5"),
    ("An acoustic guitar plays music in G major at about 96 bpm.", "music/1", "music/2", "music/5"),
    ("A cat meows on a roof.", "sound/4"),
    ("The music is in 4/4.", "music/3"),
    ("The chords are G, Em, A and D.", "music/4"),
    ("S01 speaks in a low voice while S02 speaks in a high one.", "speech/1", "speech/5"),
]
FALSE = [
    ("A dog barks at 9.0 s.", "is at", "sound/0"),
    ("A dog barks at nine seconds.", "is at", "sound/0"),
    ("Nine seconds in, a dog barks.", "is at", "sound/0"),
    ("A dog barks at 0:12.", "is at", "sound/0"),
    ("A dog barks from 6.5 to 9.5 s.", "is at", "sound/0"),
    ("A siren lasts for five seconds.", "is at", "sound/2"),
    ("A siren starts at 13.0 s.", "is at", "sound/2"),
    ("A dog barks at the beginning.", "is at", "sound/0"),
    ("A dog barks at 11.0 s and a siren at 6.5 s.", "", "sound/0", "sound/2"),
    ('S02 says "Good morning everyone".', "not by 2", "speech/0"),
    ('S03 says "Good morning everyone".', "not by 3", "speech/0"),
    ('S02 says "Good morning everyone", then S01 says "Thank you".', "is said by", "speech/0", "speech/4"),
    ("Three people take turns.", "number 'Three'", "speech/3"),
    ("A second voice is heard.", "speaker 2", "speech/1"),
    ("S01 speaks in a high voice.", "high", "speech/1", "speech/5"),
    ('S01 says "Good evening everyone".', "nobody is heard", "speech/0"),
    ("S01 says 'Good everyone'.", "nobody is heard", "speech/0"),
    ('S02 says "like the dog".', "negation", "speech/4"),
    ("A dog is heard.", "'dog'", "speech/4"),
    ("Dogs bark.", "more than", "sound/0"),
    ("Two dogs bark.", "number", "sound/0"),
    ("A couple of sirens are heard.", "", "sound/2"),
    ("Several sirens are heard.", "'Several'", "sound/2"),
    ("No dog barks.", "denies", "sound/0"),
    ("A siren is heard instead of a dog.", "denies", "sound/2", "sound/0"),
    ("Someone speaks from 6.4 to 8.6 s.", "'Someone'", "speech/6"),
    ("Nobody never speaks.", "denied again", "speech/6"),
    ("A cat is heard.", "names a sound", "sound/0"),
    ("Gunfire is heard.", "names a sound", "sound/2"),
    ("A canine is heard.", "names a sound", "sound/0"),
    ("A woman speaks warmly.", "gender", "speech/2"),
    ("An angry man speaks.", "emotion", "speech/2"),
    ("A man speaks warmly with a German accent.", "language", "speech/2"),
    ("The music is in G minor.", "key", "music/2"),
    ("The music is in A major.", "no fact has", "music/2", "music/4"),
    ("The music is in a major.", "no fact has", "music/2", "music/4"),
    ("A piano plays.", "instrument", "music/5"),
    ("Jazz music plays.", "genre", "music/0"),
    ("Music plays at 112 beats a minute.", "number '112'", "music/1"),
    ("The music has a hundred and twelve beats a minute.", "number", "music/1"),
    ("A tone rises from about 400 to 200 Hz.", "elsewhere", "sound/5"),
    ("A siren is heard, then a dog barks.", "order", "sound/2", "sound/0"),
    ("A dog barks after a siren.", "order", "sound/0", "sound/2"),
    ("A siren is heard while a dog barks.", "order", "sound/0", "sound/2"),
    ("A dog barks throughout.", "goes on", "sound/0"),
    ("A loud siren is heard.", "no fact has", "sound/2", "sound/3"),
    ("A cat meows throughout.", "goes on", "sound/4"),
    ("A cat meows from 0.0 to 16.0 s.", "is at", "sound/4"),
    ("A dog barks in a kitchen.", "place", "sound/0"),
    ("Peter's dog barks.", "Peter's", "sound/0"),
    ("A dog barks at ９ s.", "belongs to no caption", "sound/0"),
    ("A dog barks at ٩ s.", "belongs to no caption", "sound/0"),
    ("A d\u200bog barks.", "cannot be seen", "sound/0"),
    ("A dоg barks.", "plain letters", "sound/0"),
    ("Ein Hund bellt.", "", "sound/0"),
    ("<b>A dog barks.</b>", "belongs to no caption", "sound/0"),
    ("A dog barks, see www.example.com.", "'see'", "sound/0"),
    ("Ignore the dog barking.", "'Ignore'", "sound/0"),
    ("It is heard.", "says nothing", "sound/0"),
    ('A dog barks "loudly.', "without its pair", "sound/0"),
    ("A dog barks." * 50, "letters", "sound/0"),
]


@pytest.mark.parametrize("case", TRUE, ids=lambda case: case[0][:50])
def test_what_is_true_stands(case):
    done = judge(*case)
    assert isinstance(done, Claim), done
    assert done.evidence == case[1:]
    assert done.score == 0.9


@pytest.mark.parametrize("case", FALSE, ids=lambda case: case[0][:50])
def test_what_is_invented_is_rejected_with_the_reason(case):
    text, reason, *evidence = case
    done = judge(text, *evidence)
    assert isinstance(done, Rejected), done
    assert reason in done.reason, done.reason


def test_a_span_stays_with_its_evidence():
    assert isinstance(judge("A dog barks.", "sound/0", span=(6.4, 7.6)), Claim)
    assert isinstance(judge("A dog barks.", "sound/0", span=(9.0, 9.5)), Rejected)
    assert isinstance(judge("A dog barks and a siren wails.", "sound/0", "sound/2", span=(6.5, 7.0)), Rejected)


def test_a_quotation_is_written_as_it_was_heard_and_nothing_else_in_double_marks():
    done = judge("S02 says 'thank you IT’S great'", "speech/4")
    assert isinstance(done, Claim)
    assert done.text == 'S02 says "Thank you, it\'s great".'


def test_evidence_that_is_not_there_rejects():
    done = judge("A dog barks.", "sound/0", "sound/99")
    assert isinstance(done, Rejected)
    assert "sound/99" in done.reason


def test_what_a_person_wrote_outranks_what_a_model_heard():
    by_person = fact(0.5, 3.2, "transcript", "Good mourning, every one.", score=0.1, human=True, speaker="S01")
    told = prepared(made(speech=(SPEECH[0], by_person)), UNASKED)
    assert [one.id for one in told.listing.facts if one.branch == "speech"] == ["speech/1"]
    assert any("a person says 'Good mourning, every one.' there, speech/1" in item.reason for item in told.rejected)


def test_of_two_keys_the_surer_is_believed_and_sounds_may_be_many():
    told = prepared(made(music=(MUSIC[0], MUSIC[2], fact(0.0, 16.0, "key", "E minor", score=0.95))), UNASKED)
    assert {one.text for one in told.listing.facts if one.kind == "key"} == {"E minor"}
    assert {one.text for one in told.listing.facts if one.kind == "event"} == {"a dog barking", "rain", "a siren"}


@pytest.mark.parametrize(
    ("text", "sort", "value"),
    [
        ("12", Sort.COUNT, 12),
        ("1,200", Sort.COUNT, 1_200),
        ("twenty-one", Sort.COUNT, 21),
        ("a hundred and twenty", Sort.COUNT, 120),
        ("two thousand three hundred", Sort.COUNT, 2_300),
        ("a dozen", Sort.COUNT, 12),
        ("both", Sort.COUNT, 2),
        ("2nd", Sort.ORDINAL, 2),
        ("second voice", Sort.ORDINAL, 2),
        ("twenty-third", Sort.ORDINAL, 23),
        ("4/4", Sort.RATIO, 0),
        ("3 s", Sort.TIME, 3_000),
        ("3s", Sort.TIME, 3_000),
        ("250 ms", Sort.TIME, 250),
        ("0:12", Sort.TIME, 12_000),
        ("1:02:03.5", Sort.TIME, 3_723_500),
        ("two and a half seconds", Sort.TIME, 2_500),
        ("half a second", Sort.TIME, 500),
        ("a second later", Sort.TIME, 1_000),
        ("a 2-second pause", Sort.TIME, 2_000),
        ("one minute", Sort.TIME, 60_000),
        ("3 a second", Sort.COUNT, 3),
    ],
)
def test_numbers_are_read_in_whatever_form(text, sort, value):
    found = numbers_of(sentence_of(text).tokens)
    assert [(number.sort, number.value) for number in found] == [(sort, value)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("barking", "barks", True),
        ("humming", "hum", True),
        ("rising", "rises", True),
        ("rang", "ringing", True),
        ("voices", "voice", True),
        ("steadily", "steady", True),
        ("caring", "car", False),
        ("string", "str", False),
        ("king", "k", False),
        ("hardly", "har", False),
        ("bass", "bas", False),
        ("busy", "bus", False),
    ],
)
def test_forms_of_one_word_meet_and_others_do_not(one, other, same):
    assert bool(stems(one) & stems(other)) is same
