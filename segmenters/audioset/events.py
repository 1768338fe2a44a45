"""From scores of windows to events with names. Pure: no sound, no model.

A class is heard from where its score rises above a low threshold to where it falls below it, if in between it passes a
high one. Where the ontology has a narrower name that is sure enough for the same time, the wider one is not told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    `heard` is where anything stands out, in order; an event begins and ends with what stands out within `reach_ms`.
    """
    events = [
        refined(event, heard, reach_ms)
        for event in events_of(scores, labels, centres_ms, whole, rules)
        if event.label not in NEVER_TOLD
    ]
    told = without_rivals(most_specific(events, rules.covered), rules)
    return tuple(sorted(told, key=lambda event: (event.start_ms, event.end_ms, event.label)))


def events_of(
    scores: np.ndarray, labels: Sequence[str], centres_ms: np.ndarray, whole: Span, rules: EventRules
) -> list[Event]:
    """The events of each label, in order of the labels and then of time; each scores the mean of its windows."""
    if not len(scores):
        return []
    size = min(rules.smooth_windows, 2 * len(scores) - 1)
    smooth = median_filter(scores, size=(size, 1), mode="nearest")
    events: list[Event] = []
    for column in np.flatnonzero(smooth.max(axis=0) >= rules.on).tolist():
        for first, last in hysteresis(smooth[:, column], rules.on, rules.off):
            span = _span_of(first, last, centres_ms, whole)
            score = float(np.clip(smooth[first:last, column].mean(), 0, 1))
            events.append(Event(start_ms=span.start_ms, end_ms=span.end_ms, label=labels[column], score=score))
    return events


def hysteresis(scores: np.ndarray, on: float, off: float) -> list[tuple[int, int]]:
    """Half-open ranges in which the scores stay above `off` and somewhere reach `on`."""
    above = np.flatnonzero(np.diff((scores > off).astype(np.int8), prepend=0, append=0)).tolist()
    pairs = zip(above[::2], above[1::2], strict=True)
    return [(first, last) for first, last in pairs if scores[first:last].max() >= on]


def refined(event: Event, heard: Sequence[Span], reach_ms: int) -> Event:
    """The event from the beginning to the end of what stands out in it.

    Where something already stands out at its edge, the edge moves out to where that begins or ends, if within reach.
    An event in which nothing stands out is one of the background, and stays as it is.
    """
    here = [stretch for stretch in heard if stretch.overlap_ms(event)]
    if not here:
        return event
    start_ms, end_ms = here[0].start_ms, max(stretch.end_ms for stretch in here)
    if start_ms < event.start_ms - reach_ms:
        start_ms = event.start_ms
    if end_ms > event.end_ms + reach_ms:
        end_ms = event.end_ms
    return replace(event, start_ms=start_ms, end_ms=end_ms)


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
    start_ms = min(whole.start_ms + int(start), whole.end_ms - 1)
    return Span.of(start_ms, max(start_ms + 1, min(whole.end_ms, whole.start_ms + int(end))))
