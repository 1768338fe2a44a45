"""A pause or an end: how likely another sound follows depends on the silence and on what lies on its two sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.record import Event
from schemas.span import Span
from segmenters.base import FRAME_MS, SOUND, SPEECH, Change, Hearing
from segmenters.pauses import other_follows, speech_edges_ms


def around(gap: Span, before: str, after: str, strength: float = 0.0) -> Hearing:
    """Five seconds of something, the gap, and five seconds of something."""
    start_ms, end_ms = gap.start_ms - 5_000, gap.end_ms + 5_000
    return Hearing(
        span=Span.of(start_ms, end_ms),
        events=(
            Event(start_ms=start_ms, end_ms=gap.start_ms, label=before, score=0.9),
            Event(start_ms=gap.end_ms, end_ms=end_ms, label=after, score=0.9),
        ),
        changes=(Change(at_ms=(gap.start_ms + gap.end_ms) // 2, strength=strength),) if strength else (),
        level_db=np.full((end_ms - start_ms) // FRAME_MS, -20, np.float32),
    )


def likely(gap: Span, hearing: Hearing) -> float:
    return other_follows(gap, hearing.changes, speech_edges_ms(hearing))


@pytest.mark.parametrize(
    ("before", "after", "length_ms", "strength", "other"),
    [
        pytest.param(SPEECH, SPEECH, 600, 0.2, False, id="a voice takes breath"),
        pytest.param(SPEECH, SPEECH, 900, 0.8, True, id="another voice answers"),
        pytest.param(SPEECH, SPEECH, 200, 0.8, False, id="a stop within a word"),
        pytest.param(SOUND, SOUND, 700, 0.2, False, id="a clock ticks"),
        pytest.param(SOUND, SOUND, 600, 0.8, True, id="a door after a dog"),
        pytest.param(SPEECH, SOUND, 800, 0.5, True, id="a sound after speech"),
        pytest.param(SOUND, SPEECH, 800, 0.5, True, id="speech after a sound"),
        pytest.param(SPEECH, SPEECH, 8_000, 0.1, True, id="a voice, and later a voice"),
    ],
)
def test_what_a_silence_is(before, after, length_ms, strength, other):
    gap = Span.of(7_000, 7_000 + length_ms)
    assert (likely(gap, around(gap, before, after, strength)) > 0.5) is other


@given(st.integers(60, 5_000), st.floats(0, 0.98), st.sampled_from([SPEECH, SOUND]))
def test_the_longer_the_silence_and_the_stronger_the_change_the_likelier(length_ms, strength, label):
    gap, longer = Span.of(7_000, 7_000 + length_ms), Span.of(7_000, 8_000 + length_ms)
    before = likely(gap, around(gap, label, label, strength))
    assert 0 <= before <= 1
    assert likely(longer, around(longer, label, label, strength)) > before
    assert likely(gap, around(gap, label, label, strength + 0.02)) > before


def test_a_change_elsewhere_says_nothing():
    gap = Span.of(7_000, 7_600)
    heard = around(gap, SPEECH, SPEECH)
    elsewhere = replace(heard, changes=(Change(at_ms=4_000, strength=1.0),))
    assert likely(gap, elsewhere) == likely(gap, heard)
