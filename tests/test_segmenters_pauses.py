"""A pause or an end: what a silence is depends on what lies on its two sides."""

import numpy as np
import pytest

from schemas.record import Event
from schemas.span import Span
from segmenters.base import FRAME_MS, SOUND, SPEECH, Change, Hearing
from segmenters.pauses import is_pause


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


@pytest.mark.parametrize(
    ("before", "after", "length_ms", "strength", "expected"),
    [
        pytest.param(SPEECH, SPEECH, 600, 0.0, True, id="a voice takes breath"),
        pytest.param(SPEECH, SPEECH, 600, 0.8, False, id="another voice answers"),
        pytest.param(SPEECH, SPEECH, 260, 0.8, True, id="a stop within a word"),
        pytest.param(SOUND, SOUND, 600, 0.3, True, id="a clock ticks"),
        pytest.param(SOUND, SOUND, 600, 0.8, False, id="a door after a dog"),
        pytest.param(SPEECH, SOUND, 600, 0.0, False, id="a sound after speech"),
        pytest.param(SOUND, SPEECH, 600, 0.0, False, id="speech after a sound"),
        pytest.param(SOUND, SPEECH, 200, 0.9, True, id="too short to be heard as an end"),
    ],
)
def test_pauses(before, after, length_ms, strength, expected):
    gap = Span.of(7_000, 7_000 + length_ms)
    assert is_pause(gap, around(gap, before, after, strength)) is expected


def test_a_change_elsewhere_says_nothing():
    gap = Span.of(7_000, 7_600)
    heard = around(gap, SPEECH, SPEECH)
    elsewhere = Change(at_ms=4_000, strength=1.0)
    assert is_pause(gap, Hearing(span=heard.span, events=heard.events, changes=(elsewhere,), level_db=heard.level_db))
