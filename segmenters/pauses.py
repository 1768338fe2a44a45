"""Whether a silence is a pause of one sound, or the end of one and the beginning of another. Pure."""

from schemas.span import Span
from segmenters.base import SPEECH, Hearing

HAIR_MS = 50  # a shorter gap between two events is none
SHORT_MS = 250  # a shorter silence is a pause, whatever follows it
OTHER_SOUND = 0.6  # a change this strong at a silence says that another sound follows
OTHER_VOICE = 0.56  # the same between two stretches of speech, where the silence is long enough to be no stop of a word
BREATH_MS = 300
NEAR_MS = 200  # how far from the silence a change may be placed


def is_pause(gap: Span, hearing: Hearing) -> bool:
    """Whether the sound goes on after the gap much as it was before."""
    if gap.duration_ms < SHORT_MS:
        return True
    spoken_before, spoken_after = _spoken(gap.start_ms, hearing), _spoken(gap.end_ms, hearing)
    if spoken_before != spoken_after:
        return False
    changes = (c.strength for c in hearing.changes if gap.start_ms - NEAR_MS <= c.at_ms <= gap.end_ms + NEAR_MS)
    strength = max(changes, default=0.0)
    if spoken_before:
        return strength < OTHER_VOICE or gap.duration_ms < BREATH_MS
    return strength < OTHER_SOUND


def _spoken(edge_ms: int, hearing: Hearing) -> bool:
    """Whether what begins or ends at this moment is speech."""
    return any(
        event.label == SPEECH and (abs(event.start_ms - edge_ms) <= HAIR_MS or abs(event.end_ms - edge_ms) <= HAIR_MS)
        for event in hearing.events
    )
