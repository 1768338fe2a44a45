"""What is heard at a moment, when a thing is heard and how often, what comes first, and the whole as a timeline."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import TypeVar

from schemas.asking.heard import Heard, Named, heard_in
from schemas.asking.kin import akin, coarse_classes
from schemas.asking.sample import AskRules, TaskSample, draw, second, timeline_of
from schemas.asking.wordings import ask
from schemas.formats import timeline
from schemas.record import Record

T = TypeVar("T")

GOES_ON = frozenset(("speech", "singing", "music", "environment"))  # coarse classes of what has no number
GRID_MS = 100  # moments that are asked about are whole tenths of a second


def sound_at(record: Record, rules: AskRules) -> list[TaskSample]:
    """What is heard at a moment that lies well within whatever is heard there."""
    heard = heard_in(record, rules)
    samples: list[TaskSample] = []
    asked: set[tuple[Named, ...]] = set()
    for at_ms in _moments(record, rules, heard):
        there = tuple(one for one in heard.named if one.start_ms <= at_ms < one.end_ms)
        doubted = any(one.start_ms <= at_ms < one.end_ms for one in heard.unsure)
        if not there or there in asked or (doubted and not all(one.human for one in there)):
            continue
        asked.add(there)
        answer, evidence = "; ".join(one.label for one in there), tuple(e for one in there for e in one.evidence)
        told = {"at": second(record, at_ms)}
        samples.append(ask(record, rules, "sound_at", answer, evidence, index=len(samples), **told))
        if len(samples) == rules.per_record:
            break
    return samples


def when(record: Record, rules: AskRules) -> list[TaskSample]:
    """`1.20 - 3.40, 7.00 - 8.10`: all stretches in which a thing is heard that goes by one name."""
    heard = heard_in(record, rules)
    samples: list[TaskSample] = []
    for label in drawn(record, rules, "when", [name for name in heard.labels if heard.stands_alone(name)]):
        spans = heard.of(label)
        answer = ", ".join(f"{second(record, one.start_ms)} - {second(record, one.end_ms)}" for one in spans)
        evidence = tuple(e for one in spans for e in one.evidence)
        samples.append(ask(record, rules, "when", answer, evidence, index=len(samples), label=label))
    return samples


def count(record: Record, rules: AskRules) -> list[TaskSample]:
    """How many times a thing is heard, where the times are parted."""
    heard = heard_in(record, rules)
    samples: list[TaskSample] = []
    for label in drawn(record, rules, "count", countable(heard, rules)):
        spans = heard.of(label)
        evidence = tuple(e for one in spans for e in one.evidence)
        samples.append(ask(record, rules, "count", str(len(spans)), evidence, index=len(samples), label=label))
    return samples


def countable(heard: Heard, rules: AskRules) -> list[str]:
    """The labels of which it is clear where one time ends and the next begins.

    Speech, song, music and places go on through pauses: nobody can say how many times they are heard.
    """
    return [
        label
        for label in heard.labels
        if heard.stands_alone(label)
        and not GOES_ON & coarse_classes(label)
        and all(b.start_ms - a.end_ms >= rules.apart_ms for a, b in pairwise(heard.of(label)))
    ]


def first_of_two(record: Record, rules: AskRules) -> list[TaskSample]:
    """Which of two begins first, by their first times."""
    heard = heard_in(record, rules)
    alone = [label for label in heard.labels if heard.stands_alone(label)]
    pairs = [(a, b) for a, b in combinations(alone, 2) if starts_apart(heard, a, b, rules)]
    samples: list[TaskSample] = []
    for index, (early, late) in enumerate(drawn(record, rules, "first_of_two", pairs)):
        one, other = (early, late) if draw(rules.seed, "turned", record.key, index) % 2 else (late, early)
        evidence = heard.of(early)[0].evidence + heard.of(late)[0].evidence
        samples.append(ask(record, rules, "first_of_two", early, evidence, index=index, one=one, other=other))
    return samples


def starts_apart(heard: Heard, one: str, other: str, rules: AskRules) -> bool:
    return abs(heard.of(one)[0].start_ms - heard.of(other)[0].start_ms) > rules.order_ms


def order(record: Record, rules: AskRules) -> list[TaskSample]:
    """What begins first, second and last, and what begins right before and after something."""
    heard = heard_in(record, rules)
    row = heard.named
    if len(row) < 2 or heard.unexplained:
        return []

    def clear(index: int) -> bool:
        """Whether the one at this place begins well before the next, and is not another name for it."""
        a, b = row[index], row[index + 1]
        return b.start_ms - a.start_ms > rules.order_ms and (a.label == b.label or not akin(a.label, b.label))

    samples: list[TaskSample] = []
    if clear(0):
        samples.append(ask(record, rules, "first", row[0].label, row[0].evidence))
    if clear(len(row) - 2):
        samples.append(ask(record, rules, "last", row[-1].label, row[-1].evidence))
    if clear(0) and row[0].label != row[1].label and (len(row) == 2 or clear(1)):
        samples.append(ask(record, rules, "second", row[1].label, row[0].evidence + row[1].evidence))
    alone = [i for i, one in enumerate(row) if len(heard.of(one.label)) == 1 and heard.stands_alone(one.label)]
    after = [i for i in alone if i + 1 < len(row) and clear(i) and (i + 2 == len(row) or clear(i + 1))]
    before = [i for i in alone if i > 0 and clear(i - 1) and (i == 1 or clear(i - 2))]
    for task, places, step in (("after", after, 1), ("before", before, -1)):
        for index, i in enumerate(drawn(record, rules, task, places)):
            evidence = row[i].evidence + row[i + step].evidence
            told = {"label": row[i].label}
            samples.append(ask(record, rules, task, row[i + step].label, evidence, index=index, **told))
    return samples


def whole_timeline(record: Record, rules: AskRules) -> list[TaskSample]:
    """`0.00 - 57.00: birds chirping`, a line for each stretch, where all that is heard has a name."""
    heard = heard_in(record, rules)
    if not heard.named or heard.unexplained:
        return []
    answer = timeline_of(record, ((one, timeline.plain(one.label)) for one in heard.named))
    if not answer:
        return []
    return [ask(record, rules, "timeline", answer, tuple(e for one in heard.named for e in one.evidence))]


def _moments(record: Record, rules: AskRules, heard: Heard) -> list[int]:
    """Moments far from every edge, drawn."""
    edges = sorted({edge for one in (*heard.named, *heard.unsure) for edge in (one.start_ms, one.end_ms)})
    bounds = [record.start_ms, *edges, record.end_ms]
    moments: list[int] = []
    for a, b in pairwise(bounds):
        first = -(-(a + rules.edge_ms - record.start_ms + 1) // GRID_MS)
        last = (b - rules.edge_ms - record.start_ms - 1) // GRID_MS
        if first <= last:
            step = draw(rules.seed, "moment", record.key, a - record.start_ms) % (last - first + 1)
            moments.append(record.start_ms + (first + step) * GRID_MS)
    return sorted(moments, key=lambda at_ms: draw(rules.seed, "moments", record.key, at_ms))


def drawn(record: Record, rules: AskRules, task: str, items: Sequence[T]) -> list[T]:
    """As many as may be asked, in an order that the seed gives."""
    return sorted(items, key=lambda item: draw(rules.seed, task, record.key, item))[: rules.per_record]
