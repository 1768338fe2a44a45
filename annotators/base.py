"""What every branch promises, and nothing else."""

from collections.abc import Sequence
from typing import Protocol

from schemas.record import Annotation, Branch, Caption, Clip, Quality


class Annotator(Protocol):
    """Describes clips for one branch.

    Building one loads its weights: an annotator that exists is ready. It is built inside the worker that
    runs it, so nothing heavy is ever pickled. The same clip gives the same annotation, whatever came before.

    `annotate` returns exactly one annotation per clip, in order. A clip the branch has nothing to say about
    comes back SKIPPED with a reason; it never goes missing. Every time lies inside the clip's segment.
    """

    branch: Branch
    model: str  # "name@revision"

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]: ...


class Meter(Protocol):
    """Measures the sound of clips, one quality per clip, in order."""

    model: str

    def measure(self, clips: Sequence[Clip]) -> list[Quality]: ...


class Merger(Protocol):
    """Makes one caption per clip out of what the branches said, in order. Every claim points at its facts."""

    model: str

    def merge(self, clips: Sequence[Clip]) -> list[Caption]: ...
