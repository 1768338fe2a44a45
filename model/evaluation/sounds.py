"""Timelines of sounds against references: F1 by event and by second (Mesaros et al., Applied Sciences 6(6), 2016), and
PSDS at the one operating point that a timeline is (Bilen et al., arXiv:1910.08440).

An event is of the class that its description names, normalised; "dog" and "barking" are two classes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.evaluation.errors import normalised
from schemas.formats.timeline import Event
from schemas.span import Span, covered_ms, union

ONSET_MS = 200
OFFSET_MS = 200
OFFSET_SHARE = 0.2  # of the length of the reference, where that is more
SEGMENT_MS = 1_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many of one class were found, of one clip or of all."""

    label: str
    right: int
    wrong: int  # predicted and not in the reference
    missed: int

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PsdsRules:
    """Shares that must be met, and how errors weigh. The defaults are DCASE's scenario 1: it asks for right times."""

    detection: float = 0.7  # of a detection, that lies in events of its class
    truth: float = 0.7  # of an event, that such detections cover
    cross_trigger: float = 0.0  # of a wrong detection, that lies in events of another class; 0 counts none
    cross_weight: float = 0.0
    spread_weight: float = 1.0  # how much unlike classes cost
    max_false_per_hour: float = 100.0


CONFUSIONS = PsdsRules(detection=0.1, truth=0.1, cross_trigger=0.3, cross_weight=0.5)
"""DCASE's scenario 2, which asks for the right classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Two timelines of one clip."""

    reference: tuple[Event, ...]
    predicted: tuple[Event, ...]
    duration_ms: int


def events_found(reference: Sequence[Event], predicted: Sequence[Event]) -> tuple[Found, ...]:
    """By class: an event is found where start and end are near enough; pairs are as many as there can be."""
    said, heard = _by_label(reference), _by_label(predicted)
    counts = []
    for label in sorted(said.keys() | heard.keys()):
        true, told = said.get(label, []), heard.get(label, [])
        right = _num_pairs(true, told)
        counts.append(Found(label=label, right=right, wrong=len(told) - right, missed=len(true) - right))
    return tuple(counts)


def segments_found(
    reference: Sequence[Event], predicted: Sequence[Event], *, segment_ms: int = SEGMENT_MS
) -> tuple[Found, ...]:
    """By class: whole seconds in any part of which it is heard."""
    said, heard = _by_label(reference), _by_label(predicted)
    counts = []
    for label in sorted(said.keys() | heard.keys()):
        true, told = (_on_grid(events.get(label, []), segment_ms) for events in (said, heard))
        right = sum(covered_ms(told, one) for one in true)
        num_true, num_told = (sum(one.duration_ms for one in spans) for spans in (true, told))
        counts.append(Found(label=label, right=right, wrong=num_told - right, missed=num_true - right))
    return tuple(counts)


def by_class(clips: Iterable[Sequence[Found]]) -> tuple[Found, ...]:
    """The counts of all clips together, class by class."""
    counts: dict[str, Counter[str]] = {}
    for one in (one for clip in clips for one in clip):
        counts.setdefault(one.label, Counter()).update(right=one.right, wrong=one.wrong, missed=one.missed)
    return tuple(
        Found(label=label, right=count["right"], wrong=count["wrong"], missed=count["missed"])
        for label, count in sorted(counts.items())
    )


def psds(clips: Sequence[Clip], rules: PsdsRules | None = None) -> float | None:
    """Polyphonic sound detection score, 0..1, of the classes in the references; None where there are none.

    A timeline has no scores, so there is one operating point, and the curve of each class is one step: a model that
    could trade misses for false alarms cannot show it. Compare only with others that were scored so.
    """
    rules = rules or PsdsRules()
    labels = sorted({label for clip in clips for label in _by_label(clip.reference)})
    total_ms = sum(clip.duration_ms for clip in clips)
    if not labels or not total_ms:
        return None
    place = {label: index for index, label in enumerate(labels)}
    num_true, num_right, num_wrong = (np.zeros(len(labels)) for _ in range(3))
    crossed = np.zeros((len(labels), len(labels)))
    true_ms = np.zeros(len(labels))
    for clip in clips:
        said = {label: union(events) for label, events in _by_label(clip.reference).items()}
        heard = {label: union(events) for label, events in _by_label(clip.predicted).items() if label in place}
        for label, true in said.items():
            told = heard.get(label, [])
            relevant = [one for one in told if _covers(true, one, rules.detection)]
            num_true[place[label]] += len(true)
            num_right[place[label]] += sum(_covers(relevant, one, rules.truth) for one in true)
            true_ms[place[label]] += sum(one.duration_ms for one in true)
        for label, told in heard.items():
            for one in told:
                if _covers(said.get(label, []), one, rules.detection):
                    continue
                num_wrong[place[label]] += 1
                for other, true in said.items():
                    if rules.cross_trigger and other != label and _covers(true, one, rules.cross_trigger):
                        crossed[place[label], place[other]] += 1
    false_per_hour = num_wrong * HOUR_MS / total_ms
    if len(labels) > 1:
        false_per_hour += rules.cross_weight * (crossed * HOUR_MS / true_ms).sum(axis=1) / (len(labels) - 1)
    return _area(num_right / num_true, false_per_hour, rules)


def _area(rates: "np.ndarray", false_per_hour: "np.ndarray", rules: PsdsRules) -> float:
    """Under the effective rate: the mean over the classes whose step is reached, less their spread."""
    edges = sorted({0.0, *(float(x) for x in false_per_hour if x < rules.max_false_per_hour), rules.max_false_per_hour})
    area = 0.0
    for low, high in pairwise(edges):
        reached = np.where(false_per_hour <= low, rates, 0.0)
        area += (high - low) * max(0.0, float(reached.mean() - rules.spread_weight * reached.std()))
    return area / rules.max_false_per_hour


def _covers(spans: Sequence[Span], one: Span, share: float) -> bool:
    return bool(spans) and covered_ms(spans, one) >= share * one.duration_ms


def _num_pairs(true: Sequence[Span], told: Sequence[Span]) -> int:
    """The most pairs that are near enough."""
    from scipy.optimize import linear_sum_assignment

    if not true or not told:
        return 0
    starts = np.abs(np.subtract.outer([one.start_ms for one in true], [one.start_ms for one in told]))
    ends = np.abs(np.subtract.outer([one.end_ms for one in true], [one.end_ms for one in told]))
    allowed = np.maximum(OFFSET_MS, OFFSET_SHARE * np.array([one.duration_ms for one in true]))
    near = (starts <= ONSET_MS) & (ends <= allowed[:, None])
    return int(near[linear_sum_assignment(near, maximize=True)].sum())


def _by_label(events: Sequence[Event]) -> dict[str, list[Span]]:
    """Those that last some time."""
    found: dict[str, list[Span]] = {}
    for event in events:
        if event.end_ms > event.start_ms:
            label = normalised(event.description) or event.description
            found.setdefault(label, []).append(Span.of(event.start_ms, event.end_ms))
    return found


def _on_grid(spans: Sequence[Span], segment_ms: int) -> list[Span]:
    """In whole segments, counted from 0."""
    return union(Span.of(one.start_ms // segment_ms, -(-one.end_ms // segment_ms)) for one in spans)
