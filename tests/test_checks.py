"""Whether a claim is heard: by the detector's events, by a captioner's yes or no."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotators.captions.chat import ChatConfig
from annotators.captions.served import ServedCaptionerConfig
from annotators.checks import events, probe, windows
from annotators.checks.clap import ClapCheck
from annotators.checks.events import EventsCheckConfig, named_in
from annotators.checks.probe import ProbeCheckConfig
from schemas import audioset
from schemas.errors import ConfigError
from schemas.record import Event
from tests import make, sounds
from tests.chat_server import ChatServer
from tests.local_server import Answer
from tests.make_claims import claim, clip, event

torch.set_num_threads(1)


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("From 0.3 to 2.2 s a dog barks.", "a dog barks."),
        ("At 1.0 s a click.", "a click."),
        ("Between 3 and 5 seconds, rain falls.", "rain falls."),
        ("A bark at 0:03-0:05, then silence.", "A bark then silence."),
        ("(2.0-3.1s) rain", "rain"),
        ("Rain falls until 29.9 s.", "Rain falls."),
        ("Two dogs bark 3 times.", "Two dogs bark 3 times."),
        ("Music of the 80s plays.", "Music of the 80s plays."),
        ("At 1.0 s", ""),
    ],
)
def test_times_are_left_out(text, without):
    assert windows.timeless(text) == without


def test_quoted_words_are_left_out():
    assert windows.unquoted('Someone says "a dog barks" in a low voice.') == "Someone says in a low voice."
    assert windows.quotes('He says "no".')
    assert windows.quotes("He says “no”.")
    assert not windows.quotes("A dog's bark.")


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text):
    windows.timeless(text)
    windows.unquoted(text)
    named_in(text)
    probe.verdict(text)


@pytest.mark.parametrize(
    "text", ["1" * 50_000, '"' * 50_000, "1:" * 25_000, "1 to " * 10_000, " " * 50_000, "dog " * 9_000]
)
def test_a_long_text_takes_no_long_time(text):
    windows.timeless(text)
    windows.unquoted(text)
    named_in(text)


@given(
    start=st.integers(0, 9_000),
    length=st.integers(1, 9_000),
    least=st.integers(1, 20_000),
    offset=st.integers(0, 5_000),
)
def test_a_window_holds_its_claim_and_stays_in_its_clip(start, length, least, offset):
    heard = make.clip(make.quiet(10_000), offset)
    span = {"start_ms": offset + start, "end_ms": min(offset + start + length, offset + 10_000)}
    found = windows.window(heard, claim("A dog.", **span), least)
    before, after = span["start_ms"] - found.start_ms, found.end_ms - span["end_ms"]
    if found.start_ms > heard.segment.start_ms and found.end_ms < heard.segment.end_ms:
        assert abs(before - after) <= 1  # it lies in the middle
    assert heard.segment.start_ms <= found.start_ms <= span["start_ms"]
    assert span["end_ms"] <= found.end_ms <= heard.segment.end_ms
    assert found.duration_ms == max(min(least, 10_000), span["end_ms"] - span["start_ms"])


# -------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A dog barks twice.", {"Dog", "Bark"}),
        ("Dogs are barking.", {"Dog", "Bark"}),
        ("A car door slams.", {"Car", "Door", "Slam"}),
        ("An electric guitar plays.", {"Electric guitar"}),
        ("A cat meows.", {"Cat", "Meow"}),
        ("Rain falls.", {"Rain"}),
        ("Footsteps on a hard floor.", {"Walk, footsteps"}),
        ("A low tone holds steady.", set()),
        ("", set()),
        ("Concatenated doggerel.", set()),
    ],
)
def test_what_a_sentence_names(text, names):
    found = set(named_in(text))
    assert names <= found
    assert bool(names) == bool(found)


def test_every_class_with_plain_words_of_its_own_is_found_in_them():
    found = [label for label in audioset.labels() if label.coarse and label.name in named_in(f"There is {label.name}.")]
    assert len(found) > 0.95 * len(audioset.labels())


def test_families():
    assert audioset.is_family("Dog", "Dog")
    assert audioset.is_family("Bark", "Dog")
    assert audioset.is_family("Animal", "Bark")
    assert not audioset.is_family("Dog", "Cat")
    assert not audioset.is_family("Dog", "Music")


def agreement(text: str, *heard: Event, label: str | None = None, **changes):
    return EventsCheckConfig(**changes).build().check([(clip(make.quiet(9_000), *heard, label=label), claim(text))])[0]


def test_a_claim_agrees_with_an_event_of_its_family_in_its_time():
    for label in ("Dog", "Bark", "Animal"):
        found = agreement("A dog barks.", event(label), event("Music", heard=0.9))
        assert (found.score, found.objection) == (0.7, None)


def test_a_claim_that_no_event_bears_out_meets_an_objection():
    for heard in (event("Cat"), event("Dog", 3_000, 4_000)):
        found = agreement("A dog barks.", heard)
        assert found.score == 0.0
        assert "names Dog" in found.objection
    assert "heard there: Cat" in agreement("A dog barks.", event("Cat")).objection
    assert "heard there: nothing" in agreement("A dog barks.").objection


def test_a_claim_that_contradicts_its_own_evidence_meets_an_objection():
    assert agreement("A cat meows.", event("Dog"), label="Dog").objection
    assert agreement("Something yaps.", event("Dog"), label="Dog").score == 0.7  # it names nothing: its fact does
    assert agreement("Something yaps.", event("Cat"), label="Dog").objection


def test_of_several_names_one_is_enough():
    assert agreement("A car door slams.", event("Door")).score == 0.7


def test_what_is_not_judged_by_events():
    assert agreement("A low tone holds.", event("Dog")).score is None
    assert agreement('Someone says "a dog barks".', event("Music")).score is None
    unnamed = agreement("A dog barks.", event("Sound"))  # it may be one
    assert (unnamed.score, unnamed.objection) == (None, None)


def test_events_reach_a_little_beyond_a_claim_and_weak_ones_do_not_count():
    late = event("Dog", 1_300, 2_000)
    assert agreement("A dog barks.", late).score == 0.7
    assert agreement("A dog barks.", late, reach_ms=0).objection
    assert agreement("A dog barks.", event("Dog", heard=0.2), least_score=0.3).objection
    for changes in ({"reach_ms": -1}, {"least_score": 2.0}):
        with pytest.raises(ConfigError):
            EventsCheckConfig(**changes)


def test_names_of_checks():
    assert (ClapCheck.name, events.EventsCheck.name, probe.ProbeCheck.name) == ("clap", "events", "probe")


# --------------------------------------------------------------------------------------------------- probe


@pytest.mark.parametrize("answer", ["yes", "Yes.", "YES!", " **yes** ", '"Yes"'])
def test_yes(answer):
    assert probe.verdict(answer) == probe.Verdict(score=1.0)


@pytest.mark.parametrize("answer", ["no", "No.", "NO", "no\n"])
def test_no(answer):
    found = probe.verdict(answer)
    assert found.score == 0.0
    assert found.objection


@pytest.mark.parametrize(
    "answer", [None, "", "maybe", "yes and no", "Yes, a dog barks.", "not", "nope", "yes no", "eyes"]
)
def test_neither(answer):
    assert probe.verdict(answer) == probe.Verdict()


@pytest.mark.slow
def test_a_captioner_is_asked_about_the_stretch_of_the_claim():
    noisy = sounds.one_after_another(sounds.silence(10_000), sounds.noise(1_000), sounds.silence(9_000))
    heard = clip(noisy, start_ms=5_000)

    def answer(request):
        if "bird" in request.text:
            return Answer(status=400)
        (sound,) = request.sounds
        loud = np.abs(sound.pcm.astype(float)).mean() > 100
        return ("Yes." if loud else "No.") if "hiss" in request.text else "Perhaps."

    claims = [
        claim("From 10.0 to 11.0 s a hiss.", 15_000, 16_000),
        claim("A hiss.", 5_000, 6_000),
        claim("A dog.", 15_000, 16_000),
        claim("A bird.", 15_000, 16_000),
    ]
    with ChatServer(answer) as server:
        chat = ChatConfig(url=server.url, model="ears", revision="1", retries=0)
        check = ProbeCheckConfig(captioner=ServedCaptionerConfig(chat=chat), least_ms=3_000).build()
        verdicts = check.check([(heard, one) for one in claims])
    assert check.model == "ears@1"
    assert [verdict.score for verdict in verdicts] == [1.0, 0.0, None, None]
    assert [verdict.objection is None for verdict in verdicts] == [True, False, True, True]
    assert {request.sounds[0].duration_ms for request in server.requests} == {3_000}
    assert any('"a hiss."' in text for text in server.texts)  # without its times
