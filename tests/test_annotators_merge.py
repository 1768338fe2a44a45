"""Laws of the caption: nothing is claimed that no fact holds, nothing is lost, and order does not matter."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.merge import TemplateMergerConfig, merged
from annotators.sentences import harmless
from schemas.record import (
    Branch,
    Branches,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    SoundAnnotation,
    SpeechAnnotation,
)
from tests.make_clips import clip, event

CONFIG = TemplateMergerConfig()
START_MS, END_MS = 60_000, 70_000
KINDS = {
    Branch.SPEECH: ("transcript", "voice", "voices", "pause", "emotion"),
    Branch.SOUND: ("burst", "bang", "hum"),
    Branch.MUSIC: ("music", "tempo", "key", "chords", "dynamics", "genre"),
}
PROFILES = (Profile(), Profile(speech=0.9), Profile(music=0.9), Profile(speech=0.8, music=0.7))


def fact(start_ms, end_ms, kind, text="a thing", score=0.9):
    return Fact(start_ms=START_MS + start_ms, end_ms=START_MS + end_ms, kind=kind, text=text, score=score)


def heard(*, speech=(), sound=(), music=(), profile=None):
    """A segment of ten seconds, a minute into its recording, of which these facts are known."""
    spoken = [event(f.start_ms, f.end_ms, "Speech") for f in speech]
    said = Branches(
        speech=SpeechAnnotation(outcome=Outcome.OK, model="m@1", facts=tuple(speech)),
        sound=SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=tuple(sound)),
        music=MusicAnnotation(outcome=Outcome.OK, model="m@1", facts=tuple(music)),
    )
    return clip(np.zeros(160_000), *spoken, start_ms=START_MS, profile=profile, branches=said)


def facts_of_kind(branch):
    return st.builds(
        lambda start, length, kind, text, score: fact(start, min(10_000, start + length), kind, text, score),
        st.integers(0, 9_900),
        st.integers(1, 10_000),
        st.sampled_from(KINDS[branch]),
        st.text(max_size=12) | st.sampled_from(["a low hum", 'he "said" 42', "about 120 beats a minute"]),
        st.floats(0, 1),
    )


captioned = st.builds(
    lambda speech, sound, music, profile: heard(speech=speech, sound=sound, music=music, profile=profile),
    *(st.lists(facts_of_kind(branch), max_size=4) for branch in Branch),
    st.sampled_from(PROFILES),
)


@settings(deadline=None)
@given(captioned)
def test_every_fact_is_claimed_or_rejected_and_every_claim_rests_on_facts(made):
    caption = merged(made, CONFIG)
    used = [evidence for claim in caption.claims for evidence in claim.evidence]
    assert len(used) == len(set(used))
    for claim in caption.claims:
        facts = [made.branches.fact(evidence) for evidence in claim.evidence]
        assert claim.score <= min(f.score for f in facts)
        assert (claim.start_ms, claim.end_ms) == (facts[0].start_ms, facts[0].end_ms)
        assert all(evidence.startswith(claim.branch.value) for evidence in claim.evidence)
    worded = [f for branch in Branch for f in made.branches.get(branch).facts if harmless(f.text)]
    assert len(used) + len(caption.rejected) == len(worded)
    assert all(rejected.reason and rejected.text for rejected in caption.rejected)


@settings(deadline=None)
@given(captioned)
def test_claims_come_in_time_order(made):
    spans = [(claim.start_ms, claim.end_ms) for claim in merged(made, CONFIG).claims]
    assert spans == sorted(spans)


@settings(deadline=None)
@given(captioned)
def test_no_number_and_no_quoted_word_comes_from_nowhere(made):
    for claim in merged(made, CONFIG).claims:
        facts = [made.branches.fact(evidence) for evidence in claim.evidence]
        texts = " ".join(harmless(f.text) for f in facts)
        times = {(at - START_MS) // 100 / 10 for f in facts for at in (f.start_ms, f.end_ms)}
        when = re.match(r"(At [\d.]+ s|From [\d.]+ to [\d.]+ s)?", claim.text)[0]
        without = claim.text.removeprefix(when)
        for f in facts:
            without = without.replace(harmless(f.text), "", 1)
        assert {float(number) for number in re.findall(r"[0-9.]*[0-9]", when)} <= times
        assert not re.search("[0-9]", without)
        assert all(quoted in texts for quoted in re.findall('"(.*?)"', claim.text))
        assert claim.text.count('"') in (0, 2)


@settings(deadline=None, max_examples=30)
@given(captioned, st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_change_the_caption(made, random):
    shuffled = made
    for branch in Branch:
        said = made.branches.get(branch)
        facts = random.sample(said.facts, len(said.facts))
        shuffled = replace(shuffled, branches=shuffled.branches.having(branch, replace(said, facts=tuple(facts))))
    before, after = merged(made, CONFIG), merged(shuffled, CONFIG)
    assert (before.text, before.rejected) == (after.text, after.rejected)


def test_clips_are_merged_each_for_itself():
    clips = [heard(sound=[fact(0, 1_000, "hum", text)]) for text in ("a", "b", "c")]
    captions = CONFIG.build().merge(clips)
    assert CONFIG.build().merge(clips[::-1]) == captions[::-1]
    assert [caption.text for caption in captions] == [f"From 0.0 to 1.0 s {text}." for text in "abc"]


def test_what_a_caption_looks_like():
    made = heard(
        speech=[fact(1_200, 3_400, "transcript", "hello there"), fact(1_200, 3_400, "voice", "a low voice")],
        sound=[fact(5_000, 5_100, "burst", "a short broadband burst"), fact(6_000, 9_000, "hum", "a steady hum")],
    )
    assert merged(made, CONFIG).text == (
        'From 1.2 to 3.4 s someone says "hello there" in a low voice. '
        "At 5.0 s a short broadband burst. From 6.0 to 9.0 s a steady hum."
    )


def test_what_is_known_of_music_is_one_sentence():
    told = {"music": "music", "tempo": "about 120 beats a minute", "key": "C major", "dynamics": "growing louder"}
    facts = [fact(0, 10_000, kind, text) for kind, text in told.items()]
    (claim,) = merged(heard(music=facts, profile=Profile(music=0.9)), CONFIG).claims
    assert claim.text == "Music runs throughout at about 120 beats a minute, in C major, growing louder."
    assert claim.evidence == ("music/0", "music/1", "music/2", "music/3")


def test_a_voice_without_words_is_told_without_words():
    caption = merged(heard(speech=[fact(0, 4_000, "voice", "a high voice of about 210 Hz")]), CONFIG)
    assert caption.text == "From 0.0 to 4.0 s someone speaks in a high voice of about 210 Hz."


def test_voices_that_take_turns_and_their_pauses_are_told():
    facts = [
        fact(0, 9_000, "voices", "two voices take turns"),
        fact(0, 4_000, "voice", "the first voice, a low one of about 110 Hz"),
        fact(4_000, 6_100, "pause", "nobody speaks"),
    ]
    assert merged(heard(speech=facts), CONFIG).text == (
        "From 0.0 to 4.0 s someone speaks in the first voice, a low one of about 110 Hz. "
        "From 0.0 to 9.0 s two voices take turns. From 4.0 to 6.1 s nobody speaks."
    )


def test_where_nothing_is_known_nothing_is_said():
    assert merged(heard(), CONFIG).text == ""
    assert merged(replace(heard(), branches=Branches()), CONFIG).claims == ()


WORDS, MUSIC = fact(0, 4_000, "transcript", "la la"), fact(0, 10_000, "music", "music")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        pytest.param(heard(sound=[fact(0, 900, "hum", score=0.1)]), "", id="too unsure"),
        pytest.param(
            heard(speech=[WORDS], music=[MUSIC], profile=Profile(music=0.9)), "Music runs", id="words in music"
        ),
        pytest.param(heard(speech=[WORDS], profile=Profile(music=0.9)), "la la", id="words beside music"),
        pytest.param(
            heard(speech=[fact(0, 9_000, "transcript", "hm")], music=[MUSIC], profile=Profile(speech=0.9)),
            "hm",
            id="music under speech",
        ),
        pytest.param(heard(speech=[WORDS], sound=[fact(1_000, 2_000, "hum")]), "la la", id="a sound under speech"),
        pytest.param(
            heard(speech=[WORDS], sound=[fact(1_000, 1_200, "bang", "Crack")]), "Crack", id="a bang in speech"
        ),
        pytest.param(heard(sound=[fact(0, 900, "hum")], music=[MUSIC]), "Music runs", id="a sound of the music"),
        pytest.param(
            heard(speech=[WORDS, fact(5_000, 6_000, "transcript")], sound=[fact(4_050, 4_950, "hum", "a hum")]),
            "a hum",
            id="a sound in a pause",
        ),
    ],
)
def test_conflicts_are_decided_by_rules_and_the_loser_is_kept_with_its_reason(made, text):
    caption = merged(made, CONFIG)
    assert text in caption.text
    assert not any(rejected.text in caption.text for rejected in caption.rejected)
    num_facts = sum(len(made.branches.get(branch).facts) for branch in Branch)
    assert len(caption.rejected) == num_facts - sum(len(claim.evidence) for claim in caption.claims)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param('say "hi"', "say 'hi'", id="quotes"),
        pytest.param("say “hi”", "say 'hi'", id="printers' quotes"),
        pytest.param("two\nlines\tand\x00more", "two lines and more", id="control characters"),
        pytest.param("left\u202eright", "left right", id="marks that turn text around"),
        pytest.param("\ud800 half a character", "half a character", id="a lone surrogate"),
        pytest.param("می\u200cخواهم 你好 é", "می\u200cخواهم 你好 é", id="any script stays"),
    ],
)
def test_quoted_words_are_harmless(text, shown):
    assert harmless(text) == shown
