"""What a check listens to, and what it reads of a claim."""

import re

from schemas.audio import Waveform
from schemas.record import Claim, Clip
from schemas.span import Span

_NUMBER = r"[0-9]{1,6}(?:[.,][0-9]{1,3})?"
_SECONDS = rf"(?:{_NUMBER} (?:s|secs?|seconds?)|[0-9]{{1,6}}\.[0-9]{{1,3}}s)"  # "the 80s" are no time of a recording
_CLOCK = r"[0-9]{1,3}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]{1,3})?"
_JOINT = r" ?(?:to|and|until|-|–|—) ?"
_TIME = re.compile(
    r"(?:\b(?:from|between|at|around|about|after|until|by) )?[\[(]?\b"
    rf"(?:{_NUMBER}{_JOINT}{_SECONDS}|{_SECONDS}(?:{_JOINT}{_SECONDS})?|{_CLOCK}(?:{_JOINT}{_CLOCK})?)"
    r"\b[\])]?,?",
    re.IGNORECASE,
)
_HANGING = re.compile(r" ([.,;:!?])")
_QUOTED = re.compile(r'["“„«][^"“”„«»]{0,4000}["”»]')


def window(clip: Clip, claim: Claim, least_ms: int) -> Waveform:
    """The sound at the claim, widened to both sides within the clip where it is shorter than `least_ms`."""
    segment = clip.segment
    span = claim.clipped(segment) or segment
    start_ms = max(segment.start_ms, span.start_ms - max(0, least_ms - span.duration_ms) // 2)
    end_ms = min(segment.end_ms, max(span.end_ms, start_ms + least_ms))
    start_ms = max(segment.start_ms, min(start_ms, end_ms - least_ms))
    return clip.waveform.cut(Span.of(start_ms, end_ms))


def timeless(text: str) -> str:
    """A sentence without the times it tells, which mean nothing in a window."""
    return _HANGING.sub(r"\1", " ".join(_TIME.sub(" ", text).split())).lstrip(" ,;:-")


def unquoted(text: str) -> str:
    """A sentence without the words it quotes."""
    return " ".join(_QUOTED.sub(" ", text).split())


def quotes(text: str) -> bool:
    """Whether a sentence tells words that were said."""
    return any(mark in text for mark in '"“”„«»')
