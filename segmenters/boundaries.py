"""Where to cut: from what was heard to pieces that tile the stretch. Pure: no sound, no model.

A *mark* is a place where a listener might cut: a silence, an event that begins inside another, a change of
timbre, or, where a sound outlasts the cap, a quiet moment. A mark offers points. The cuts are the cheapest way
from the first point to the last: each cut costs a little, cutting into a sound costs much, and so does passing
a silence without cutting. All of it is one pass of dynamic programming.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.errors import ConfigError
from schemas.record import Event
from schemas.span import Span, union
from segmenters.base import Hearing
from segmenters.marks import Mark, marks_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """Where a recording may be cut. Costs are in units of one cut through a sound."""

    min_ms: int = 1_000  # shorter pieces carry no scene; they are made only where there is no other way
    max_ms: int = 30_000  # what one annotator call can hear; never exceeded
    margin_ms: int = 200  # of silence that an event keeps on each side, where there is so much
    longest_event_ms: int = 60_000  # a longer sound is a bed that others lie on; its ends are no place to cut
    cut_cost: float = 0.05  # of any cut, so that there are no more than it takes
    short_cost: float = 0.5  # of a piece of no length; less the nearer it comes to min_ms
    passed_cost: float = 0.25  # of a silence of a second or more that a piece goes over

    def __post_init__(self) -> None:
        if self.min_ms < 1 or self.max_ms < 2 * self.min_ms:
            raise ConfigError(
                f"max_ms={self.max_ms} must be at least twice min_ms={self.min_ms}, and that at least 1, "
                "or a long stretch cannot be halved without leaving a piece that is too short"
            )
        if not 0 <= self.margin_ms <= self.min_ms:
            raise ConfigError(
                f"margin_ms={self.margin_ms} must lie in 0..min_ms={self.min_ms}, or silence alone would make a piece"
            )
        if min(self.cut_cost, self.short_cost, self.passed_cost) < 0:
            raise ConfigError("cut_cost, short_cost and passed_cost must not be negative, or cutting would pay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece(Span):
    """A stretch between two cuts."""

    silent: bool  # nothing was heard in it: it is accounted for, and not kept


def decide(hearing: Hearing, rules: CutRules) -> list[Piece]:
    """Pieces that tile `hearing.span`, none longer than the cap, cut where events begin or end.

    Silence longer than the margins around events becomes silent pieces of its own.
    """
