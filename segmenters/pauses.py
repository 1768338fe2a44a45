"""Whether a silence is a pause of one sound, or the end of one and the beginning of another. Pure."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from schemas.span import Span
from segmenters.base import FRAME_MS, SPEECH, TAG_MS, Change, Hearing

HAIR_MS = 50  # a shorter gap between two events is none
NEAR_MS = 200  # how far from the silence the change that belongs to it may be placed
BESIDE_MS = 1_000  # of the sound on each side, whose classes are compared
LONG_MS = 5_000  # a longer sound is no more of a whole
QUIETEST_DB, LOUDEST_DB = -75.0, -30.0  # beyond these, what is left in a silence makes no difference

# Log odds that another sound follows: a logistic regression over 1,966 silences of composed scenes, with scores of
# the classes from taggers that had not heard the clips.
PER_LOG_MS = 2.57  # of the silence
PER_STRENGTH = 7.43  # of the change of timbre
PER_CLASS = 2.42  # by which the scores of the classes differ, summed up and halved
PER_LOG_SOUND_MS = 0.64  # of the longer of the two sounds: what clicks or drips is short, and comes again
PER_DB = -0.05  # of what is left in the silence: in noise the quiet parts of a sound pass for silence
BOTH_SPEECH = -1.68  # people take breath
INTERCEPT = -28.45


def other_follows(before: Span, after: Span, hearing: Hearing, spoken_ms: Sequence[int]) -> float:
    """How likely it is, 0..1, that what sounds after a silence is not what sounded before it.

    `spoken_ms` is what `speech_edges_ms` finds in the hearing, once for all its silences.
    """
    gap = Span.of(before.end_ms, after.start_ms)
    near = between(hearing.changes, gap.start_ms - NEAR_MS, gap.end_ms + NEAR_MS)
    is_speech = [_any_within(spoken_ms, at_ms - HAIR_MS, at_ms + HAIR_MS) for at_ms in (gap.start_ms, gap.end_ms)]
    log_odds = (
        INTERCEPT
        + PER_LOG_MS * math.log(gap.duration_ms)
        + PER_STRENGTH * max((change.strength for change in near), default=0.0)
        + PER_CLASS * _classes_apart(before, after, hearing)
        + PER_LOG_SOUND_MS * math.log(min(LONG_MS, max(before.duration_ms, after.duration_ms)))
        + PER_DB * _level_db(gap, hearing)
        + BOTH_SPEECH * all(is_speech)
    )
    return 1 / (1 + math.exp(-log_odds))


def _classes_apart(before: Span, after: Span, hearing: Hearing) -> float:
    """How far the scores of the classes just before and just after are apart; 0 where nobody asked for them."""
    if not len(hearing.classes):
        return 0.0
    last = _mean_classes(Span.of(max(before.start_ms, before.end_ms - BESIDE_MS), before.end_ms), hearing)
    first = _mean_classes(Span.of(after.start_ms, min(after.end_ms, after.start_ms + BESIDE_MS)), hearing)
    return float(np.abs(last - first).sum()) / 2


def _mean_classes(span: Span, hearing: Hearing) -> np.ndarray:
    """Shape (classes,)."""
    first, last = ((at_ms - hearing.span.start_ms) // TAG_MS for at_ms in (span.start_ms, span.end_ms - 1))
    first = min(first, len(hearing.classes) - 1)
    mean: np.ndarray = hearing.classes[first : last + 1].mean(axis=0)
    return mean


def _level_db(gap: Span, hearing: Hearing) -> float:
    """Of what is to be heard in the silence."""
    first, last = ((at_ms - hearing.span.start_ms) // FRAME_MS for at_ms in (gap.start_ms, gap.end_ms))
    here = hearing.level_db[first : max(first + 1, last)]
    return float(np.clip(np.median(here), QUIETEST_DB, LOUDEST_DB)) if len(here) else QUIETEST_DB


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
