"""From scores of windows to events with names. Pure: no sound, no model.

A class is heard from where its score rises above a low threshold to where it falls below it, if in between it passes a
high one. Where the ontology has a narrower name that is sure enough for the same time, the wider one is not told.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from schemas import audioset
from schemas.errors import ConfigError
from schemas.record import Event
from schemas.span import Span, covered_ms
from segmenters.base import MUSIC, SPEECH

NEVER_TOLD = frozenset({SPEECH, MUSIC, "Silence"})  # the first two are told by others, who hear their edges better
ONE_OF_MANY = frozenset({"music", "singing"})  # coarse classes whose members sound together as a rule


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """When a class counts as heard. One pair of thresholds for all classes, as none can be measured here."""

    on: float = 0.3  # an event's score must somewhere reach this
    off: float = 0.15  # and lasts while it is above this
    smooth_windows: int = 3  # a score is the median of so many windows; odd
    covered: float = 0.5  # a wider name is not told where narrower ones cover so much of its time
    rival_share: float = 0.7  # of its best sibling's score, that a name for the same time must have to be told as well

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise ConfigError(
                f"off={self.off} and on={self.on} must lie in this order in 0..1, or an event would end before it began"
            )
        if self.smooth_windows < 1 or self.smooth_windows % 2 == 0:
            raise ConfigError(f"smooth_windows={self.smooth_windows} must be odd and positive; a median has a middle")
        for name in ("covered", "rival_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..1 and not be 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Event):
    """An event as sharp as windows are, and what they tell of a short sound that it may be."""

    shared: Span | None = None  # what all its windows hold: a part of the sound lies there
    ends_after_ms: int = -1  # the window before does not hold it whole
    starts_before_ms: int | None = None  # nor does the window after

    def may_be(self, stretch: Span) -> bool:
        """Whether this stretch alone would be heard in all its windows and, whole, in neither of those beside them."""
        is_shared = self.shared is not None and stretch.overlap_ms(self.shared) > 0
        is_new = self.starts_before_ms is None or stretch.start_ms < self.starts_before_ms
        return is_shared and is_new and stretch.end_ms > self.ends_after_ms


def named_events(
    scores: np.ndarray,
    labels: Sequence[str],
    centres_ms: np.ndarray,
    whole: Span,
    heard: Sequence[Span],
    rules: EventRules,
    reach_ms: int,
) -> tuple[Event, ...]:
    """What is heard by name, in time order.

    `scores` has shape (windows, labels), with the middle of each window at `centres_ms` from the start of `whole`.
    `heard` is where anything stands out, in order and apart. `reach_ms` is half a window.
    """
    events = [
        refined(event, heard, reach_ms)
        for event in events_of(scores, labels, centres_ms, whole, rules, reach_ms)
        if event.label not in NEVER_TOLD
    ]
    told = without_rivals(most_specific(events, rules.covered), rules)
    return tuple(sorted(told, key=lambda event: (event.start_ms, event.end_ms, event.label)))


def events_of(
    scores: np.ndarray, labels: Sequence[str], centres_ms: np.ndarray, whole: Span, rules: EventRules, reach_ms: int
) -> list[Found]:
    """The events of each label, in order of the labels and then of time; each scores the mean of its windows.

    `reach_ms` is half a window.
    """
    if not len(scores):
        return []
    size = min(rules.smooth_windows, 2 * len(scores) - 1)
    smooth = median_filter(scores, size=(size, 1), mode="nearest")
    events: list[Found] = []
    for column in np.flatnonzero(smooth.max(axis=0) >= rules.on).tolist():
        for first, last in hysteresis(smooth[:, column], rules.on, rules.off):
            span = _span_of(first, last, centres_ms, whole)
            score = float(np.clip(smooth[first:last, column].mean(), 0, 1))
            before, after = centres_ms[first - 1] if first else None, centres_ms[last] if last < len(scores) else None
            found = Found(
                start_ms=span.start_ms,
                end_ms=span.end_ms,
                label=labels[column],
                score=score,
                shared=_shared(centres_ms[last - 1] - reach_ms, centres_ms[first] + reach_ms, whole),
                ends_after_ms=-1 if before is None else whole.start_ms + int(before + reach_ms),
                starts_before_ms=None if after is None else whole.start_ms + int(np.ceil(after - reach_ms)),
            )
            events.append(found)
    return events


def hysteresis(scores: np.ndarray, on: float, off: float) -> list[tuple[int, int]]:
    """Half-open ranges in which the scores stay above `off` and somewhere reach `on`."""
    above = np.flatnonzero(np.diff((scores > off).astype(np.int8), prepend=0, append=0)).tolist()
    pairs = zip(above[::2], above[1::2], strict=True)
    return [(first, last) for first, last in pairs if scores[first:last].max() >= on]


def refined(event: Found, heard: Sequence[Span], reach_ms: int) -> Event:
    """The event from the beginning to the end of what stands out in it; of a short one, in what its windows share.

    `heard` are stretches in order that do not meet. An edge moves out by half a window at most (`reach_ms`), to where
    what already stands out there begins or ends, and in by a whole one: so far off are the edges that windows tell. An
    event longer than a window, in which less than half stands out, is one of the background and stays as it is: what
    stands out of rain is no rain.
    """
    first = bisect_right(heard, event.start_ms, key=lambda stretch: stretch.end_ms)
    here = heard[first : bisect_left(heard, event.end_ms, key=lambda stretch: stretch.start_ms)]
    if event.shared:
        shared = [stretch for stretch in here if stretch.overlap_ms(event.shared)]
        here = [stretch for stretch in shared if event.may_be(stretch)] or shared or here
    is_long = event.shared is None
    is_background = is_long and 2 * covered_ms(here, event) < event.duration_ms - 3 * reach_ms
    start_ms, end_ms = event.start_ms, event.end_ms
    if here and not is_background:
        first_ms, last_ms = here[0].start_ms, max(stretch.end_ms for stretch in here)
        start_ms = first_ms if -reach_ms <= first_ms - start_ms <= 2 * reach_ms else start_ms
        end_ms = last_ms if -reach_ms <= end_ms - last_ms <= 2 * reach_ms else end_ms
    return Event(start_ms=start_ms, end_ms=end_ms, label=event.label, score=event.score)


def most_specific(events: Sequence[Event], covered: float) -> list[Event]:
    """The events without those whose time is covered, to this share, by events that the ontology has below them."""
    by_label = _by_label(events)
    told = []
    for event in events:
        narrower = [label for label in by_label if event.label in audioset.ancestors(label)]
        below = [other for label in narrower for other in by_label[label] if other.overlap_ms(event)]
        if covered_ms(below, event) < covered * event.duration_ms:
            told.append(event)
    return told


def without_rivals(events: Sequence[Event], rules: EventRules) -> list[Event]:
    """The events without those that much surer siblings in the ontology cover: two names for one sound.

    Instruments, voices that sing and kinds of music are left, because these sound together.
    """
    by_label = _by_label(events)
    told = []
    for event in events:
        siblings = [label for label in by_label if _are_siblings(label, event.label)]
        rivals = [other for label in siblings for other in by_label[label] if other.overlap_ms(event)]
        surer = [other for other in rivals if event.score < rules.rival_share * other.score]
        if audioset.coarse(event.label) in ONE_OF_MANY or not _covers(surer, event, rules):
            told.append(event)
    return told


def _covers(others: Sequence[Span], event: Event, rules: EventRules) -> bool:
    return covered_ms(others, event) >= rules.covered * event.duration_ms


def _by_label(events: Sequence[Event]) -> dict[str, list[Event]]:
    by_label: dict[str, list[Event]] = {}
    for event in events:
        by_label.setdefault(event.label, []).append(event)
    return by_label


def _are_siblings(one: str, other: str) -> bool:
    return one != other and not set(audioset.by_name(one).parents).isdisjoint(audioset.by_name(other).parents)


def _span_of(first: int, last: int, centres_ms: np.ndarray, whole: Span) -> Span:
    """From halfway to the window before to halfway to the window after; the ends of the sound are edges of windows."""
    start = (centres_ms[first - 1] + centres_ms[first]) / 2 if first else 0.0
    end = (centres_ms[last - 1] + centres_ms[last]) / 2 if last < len(centres_ms) else float(whole.duration_ms)
    return _inside(start, end, whole)


def _shared(start: float, end: float, whole: Span) -> Span | None:
    return _inside(start, end, whole) if start < end else None


def _inside(start: float, end: float, whole: Span) -> Span:
    """The span of these times from the start of the whole, inside it and never empty."""
    start_ms = min(whole.start_ms + max(0, int(start)), whole.end_ms - 1)
    return Span.of(start_ms, max(start_ms + 1, min(whole.end_ms, whole.start_ms + int(end))))
