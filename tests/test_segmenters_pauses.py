"""A pause or an end: how likely another sound follows depends on the silence and on what lies on its two sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.record import Event
from schemas.span import Span
from segmenters.base import CLASSES, FRAME_MS, SOUND, SPEECH, TAG_MS, Change, Hearing
from segmenters.pauses import other_follows, speech_edges_ms

CALM_DB = -60.0


def heard(length_ms: int, labels: tuple[str, str], strength: float = 0.0, sounds_ms: int = 5_000) -> Hearing:
    """A sound, a silence of that length, and another sound."""
    gap = Span.of(1_000 + sounds_ms, 1_000 + sounds_ms + length_ms)
    end_ms = gap.end_ms + sounds_ms
    level_db = np.full(-(-end_ms // FRAME_MS), CALM_DB, np.float32)
    return Hearing(
        span=Span.of(0, end_ms),
        events=(
            Event(start_ms=1_000, end_ms=gap.start_ms, label=labels[0], score=0.9),
            Event(start_ms=gap.end_ms, end_ms=end_ms, label=labels[1], score=0.9),
        ),
        changes=(Change(at_ms=(gap.start_ms + gap.end_ms) // 2, strength=strength),) if strength else (),
        level_db=level_db,
    )


def likely(hearing: Hearing) -> float:
    before, after = hearing.events
    return other_follows(before, after, hearing, speech_edges_ms(hearing))


@pytest.mark.parametrize(
    ("labels", "length_ms", "strength", "other"),
    [
        pytest.param((SPEECH, SPEECH), 600, 0.2, False, id="a voice takes breath"),
        pytest.param((SPEECH, SPEECH), 1_200, 0.8, True, id="another voice answers"),
        pytest.param((SPEECH, SPEECH), 200, 0.8, False, id="a stop within a word"),
        pytest.param((SOUND, SOUND), 600, 0.2, False, id="an engine misses a beat"),
        pytest.param((SOUND, SOUND), 900, 0.8, True, id="a door after a dog"),
        pytest.param((SPEECH, SOUND), 1_000, 0.6, True, id="a sound after speech"),
        pytest.param((SOUND, SPEECH), 1_000, 0.6, True, id="speech after a sound"),
        pytest.param((SPEECH, SPEECH), 10_000, 0.1, True, id="a voice, and later a voice"),
    ],
)
def test_what_a_silence_is(labels, length_ms, strength, other):
    assert (likely(heard(length_ms, labels, strength)) > 0.5) is other


lengths_ms = st.integers(60, 5_000)
strengths = st.floats(0, 0.9)
labels = st.tuples(st.sampled_from([SPEECH, SOUND]), st.sampled_from([SPEECH, SOUND]))


@given(lengths_ms, strengths, labels)
def test_the_longer_the_silence_and_the_stronger_the_change_the_likelier(length_ms, strength, labels):
    here = likely(heard(length_ms, labels, strength))
    assert 0 <= here <= 1
    assert likely(heard(length_ms + 500, labels, strength)) > here
    assert likely(heard(length_ms, labels, strength + 0.05)) > here


@given(lengths_ms, strengths, labels)
def test_short_sounds_come_again_and_noise_hides_what_goes_on(length_ms, strength, labels):
    here = heard(length_ms, labels, strength)
    assert likely(heard(length_ms, labels, strength, sounds_ms=300)) < likely(here)
    assert likely(replace(here, level_db=here.level_db + 20)) < likely(here)


@given(lengths_ms, strengths)
def test_people_take_breath(length_ms, strength):
    assert likely(heard(length_ms, (SPEECH, SPEECH), strength)) < likely(heard(length_ms, (SOUND, SPEECH), strength))


@given(lengths_ms, strengths, labels)
def test_other_classes_after_it_make_another_sound_likelier(length_ms, strength, labels):
    here = heard(length_ms, labels, strength)
    alike = np.full((-(-here.span.end_ms // TAG_MS), len(CLASSES)), 0.1, np.float32)
    changed = alike.copy()
    changed[here.events[1].start_ms // TAG_MS :, CLASSES.index("animal")] = 0.9
    assert likely(replace(here, classes=alike)) == likely(here)
    assert likely(replace(here, classes=changed)) > likely(here)


def test_a_change_elsewhere_says_nothing():
    here = heard(600, (SPEECH, SPEECH))
    assert likely(replace(here, changes=(Change(at_ms=3_000, strength=1.0),))) == likely(here)
