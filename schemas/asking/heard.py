"""What a record is sure to hold by name, from when to when: what the questions on sounds are made of.

A name may come from people's facts, from the branches' facts or from the detector's events. For one name the best of
these is taken and the others are not, so nothing is told twice. What is taken and not sure enough is kept as unsure,
for it makes some questions unfair; so is what the lesser ones say where the best is silent.
"""

from dataclasses import dataclass

from schemas import audioset
from schemas.asking.kin import akin
from schemas.asking.sample import AskRules, name_of
from schemas.record import Branch, Outcome, Record
from schemas.span import Span, covered_ms

PLACES = "Acoustic environment"  # the group of AudioSet that names no sounds
UNKNOWN = "sound"  # what a detector says that cannot know


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Span):
    """A stretch in which one named thing is heard."""

    label: str
    human: bool  # a person says so
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsure(Span):
    """Something is heard there; it has no name, or a name that is not sure."""

    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    named: tuple[Named, ...]  # by start; those of one label do not overlap
    unsure: tuple[Unsure, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of their first start."""
        return tuple(dict.fromkeys(one.label for one in self.named))

    @property
    def unexplained(self) -> tuple[Unsure, ...]:
        """What is unsure, and not for the most part where something named is heard."""
        return tuple(one for one in self.unsure if 2 * covered_ms(self.named, one) < one.duration_ms)

    def of(self, label: str) -> list[Named]:
        return [one for one in self.named if one.label == label]

    def stands_alone(self, label: str) -> bool:
        """Whether nothing else in the record may be the same thing by another name, or by this one, unsurely."""
        doubted = {one.label for one in self.unsure if one.label}
        others = {one.label for one in self.named if one.label != label}
        return label not in doubted and not any(akin(label, other) for other in others | doubted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Span):
    label: str
    score: float
    rank: int  # 0 a person's fact, 1 a branch's, 2 an event of the detector
    evidence: str


def heard_in(record: Record, rules: AskRules) -> Heard:
    named: list[Named] = []
    unsure = [Unsure(start_ms=e.start_ms, end_ms=e.end_ms, label=None) for e in record.events if _unknown(e.label)]
    found: dict[str, list[_Found]] = {}
    for one in _found(record):
        found.setdefault(one.label.casefold(), []).append(one)
    for alike in found.values():
        best = min(one.rank for one in alike)
        kept = sorted((one for one in alike if one.rank == best), key=lambda one: (one.start_ms, one.end_ms))
        label = kept[0].label
        sure = [one for one in kept if best == 0 or one.score >= rules.min_score]
        beside = [one for one in alike if one.rank != best and 2 * covered_ms(kept, one) < one.duration_ms]
        unsure_ones = [one for one in kept if best and one.score < rules.min_score]
        doubtful = [*unsure_ones, *beside]
        unsure += [Unsure(start_ms=one.start_ms, end_ms=one.end_ms, label=label) for one in doubtful]
        named += _joined(label, sure)
    named.sort(key=lambda one: (one.start_ms, one.end_ms, one.label))
    return Heard(named=tuple(named), unsure=tuple(unsure))


def _unknown(label: str) -> bool:
    return name_of(label).casefold() in ("", UNKNOWN)


def _is_no_sound(label: str) -> bool:
    """Whether it names silence, or the place where all is heard."""
    known = audioset.known(label)
    return known is not None and (known.coarse is None or audioset.is_a(known.name, PLACES))


def _found(record: Record) -> list[_Found]:
    found = []
    for index, event in enumerate(record.events):
        if not _unknown(event.label) and not _is_no_sound(event.label):
            found.append(_at(event, event.label, event.score, 2, f"events/{index}"))
    for branch in Branch:
        annotation = record.branches.get(branch)
        if annotation is None or annotation.outcome is not Outcome.OK:
            continue
        for index, fact in enumerate(annotation.facts):
            if fact.label is not None and not _unknown(fact.label) and not _is_no_sound(fact.label):
                found.append(_at(fact, fact.label, fact.score, 0 if fact.human else 1, f"{branch}/{index}"))
    return found


def _at(span: Span, label: str, score: float, rank: int, evidence: str) -> _Found:
    return _Found(
        start_ms=span.start_ms, end_ms=span.end_ms, label=name_of(label), score=score, rank=rank, evidence=evidence
    )


def _joined(label: str, sure: list[_Found]) -> list[Named]:
    """Those that touch or overlap as one."""
    groups: list[list[_Found]] = []
    last_ms = 0
    for one in sure:
        if groups and one.start_ms <= last_ms:
            groups[-1].append(one)
            last_ms = max(last_ms, one.end_ms)
        else:
            groups.append([one])
            last_ms = one.end_ms
    return [
        Named(
            start_ms=group[0].start_ms,
            end_ms=max(one.end_ms for one in group),
            label=label,
            human=group[0].rank == 0,
            evidence=tuple(one.evidence for one in group),
        )
        for group in groups
    ]
