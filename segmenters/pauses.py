"""Whether a silence is a pause of one sound, or the end of one and the beginning of another. Pure."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from schemas.span import Span
from segmenters.base import SPEECH, Change, Hearing

HAIR_MS = 50  # a shorter gap between two events is none
NEAR_MS = 200  # how far from the silence the change that belongs to it may be placed

# Log odds that another sound follows: a logistic regression over 1,567 silences of composed scenes.
PER_LOG_MS = 2.67
BOTH_SPEECH = -1.7  # people take breath
ONE_SPEECH = 0.8
PER_STRENGTH = 10.0  # of the change of timbre
INTERCEPT = -22.0


def other_follows(gap: Span, changes: Sequence[Change], speech_edges_ms: Sequence[int]) -> float:
    """How likely it is, 0..1, that what sounds after the gap is not what sounded before it.

    The changes are all that were heard, the edges those of `speech_edges_ms`; both in time order.
    """
    spoken = sum(_any_within(speech_edges_ms, at_ms - HAIR_MS, at_ms + HAIR_MS) for at_ms in (gap.start_ms, gap.end_ms))
    near = between(changes, gap.start_ms - NEAR_MS, gap.end_ms + NEAR_MS)
    log_odds = (
        INTERCEPT
        + PER_LOG_MS * math.log(gap.duration_ms)
        + (0.0, ONE_SPEECH, BOTH_SPEECH)[spoken]
        + PER_STRENGTH * max((change.strength for change in near), default=0.0)
    )
    return 1 / (1 + math.exp(-log_odds))


def speech_edges_ms(hearing: Hearing) -> list[int]:
    """Where speech begins or ends, in time order."""
    return sorted(at_ms for e in hearing.events if e.label == SPEECH for at_ms in (e.start_ms, e.end_ms))


def between(changes: Sequence[Change], first_ms: int, last_ms: int) -> Sequence[Change]:
    """Those of the changes, which are in time order, that lie in [first_ms, last_ms]."""
    return changes[bisect_left(changes, first_ms, key=_at_ms) : bisect_right(changes, last_ms, key=_at_ms)]


def _at_ms(change: Change) -> int:
    return change.at_ms


def _any_within(times_ms: Sequence[int], first_ms: int, last_ms: int) -> bool:
    return bisect_left(times_ms, first_ms) < bisect_right(times_ms, last_ms)
