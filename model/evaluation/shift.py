"""Accumulated average shift: how far predicted times lie from true ones, in milliseconds.

AAS is the mean of |predicted - true| over time stamps (arXiv:2301.12343; Qwen3-ASR and MOSS-Audio report it). How time
stamps find each other where the texts differ is told nowhere, so here it is fixed: units (words, or sentences) are
aligned by edit distance, the starts and the ends of units that match are compared, and nothing is clipped. A model that
gets few words right is measured at few of them: the matched share belongs beside every AAS.

N units of the reference   M predicted units
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation.errors import normalised
from schemas.formats.transcript import Utterance

_PAIR, _DELETE, _INSERT = 0, 1, 2
_NEVER = np.iinfo(np.int64).max // 2

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """`shifts_ms` are predicted minus true: the start and then the end of each matched unit, in order."""

    num_reference: int
    num_predicted: int
    shifts_ms: tuple[int, ...]

    @property
    def num_matched(self) -> int:
        return len(self.shifts_ms) // 2

    @property
    def matched_share(self) -> float:
        """Of the reference; 0 where there is none."""
        return self.num_matched / max(1, self.num_reference)

    @property
    def aas_ms(self) -> float | None:
        """None where nothing matches."""
        return sum(map(abs, self.shifts_ms)) / len(self.shifts_ms) if self.shifts_ms else None


def aas(reference: Sequence[Utterance], predicted: Sequence[Utterance], *, max_error: float = 0.0) -> Shift:
    """Shifts of the units of `reference` that are in `predicted`; both in the order of their starts.

    Units match where their normalised texts have a word error rate of at most `max_error`: 0 is for words, sentences
    may be given some.
    """
    pairs = aligned(reference, predicted, max_error=max_error)
    shifts = (
        shift
        for i, j in pairs
        for shift in (predicted[j].start_ms - reference[i].start_ms, predicted[j].end_ms - reference[i].end_ms)
    )
    return Shift(num_reference=len(reference), num_predicted=len(predicted), shifts_ms=tuple(shifts))


def aligned(
    reference: Sequence[Utterance], predicted: Sequence[Utterance], *, max_error: float = 0.0
) -> list[tuple[int, int]]:
    """The places of matched units, in order.

    Of all alignments with the fewest edits, one with the most matches; of these, the one whose matches lie nearest in
    time, summed over starts and ends. So a repeated word is not matched to its far twin. It takes time as N M, and two
    bytes of memory for each pair.
    """
    if not reference or not predicted:
        return []
    matches_NM = _matches(reference, predicted, max_error)
    if len(reference) == len(predicted) and matches_NM.diagonal().all():
        return [(place, place) for place in range(len(reference))]  # the one alignment without an edit
    steps = _steps(matches_NM, _times(reference), _times(predicted))
    pairs = []
    i, j = len(reference), len(predicted)
    while i and j:
        step = steps[i, j]
        if step == _PAIR and matches_NM[i - 1, j - 1]:
            pairs.append((i - 1, j - 1))
        i, j = i - (step != _INSERT), j - (step != _DELETE)
    return pairs[::-1]


def _steps(matches_NM: npt.NDArray[np.bool_], times_2N: Ints, times_2M: Ints) -> npt.NDArray[np.int8]:
    """The last step of the best way to each place, shape (N + 1, M + 1), one diagonal after the other.

    `order` counts edits first and matches against them: with the same edits more matches are less. Equal ways go by
    pairs first, then by leaving out, then by putting in.
    """
    num_n, num_m = matches_NM.shape
    edit = min(num_n, num_m) + 1  # weighs more than all matches there can be
    order = np.full((3, num_n + 1), _NEVER)  # by i: the diagonal at hand, and the two before it
    shift = np.zeros((3, num_n + 1), np.int64)
    steps = np.zeros((num_n + 1, num_m + 1), np.int8)
    for diagonal in range(num_n + num_m + 1):
        order, shift = order[[2, 0, 1]], shift[[2, 0, 1]]
        order[0], shift[0] = _NEVER, 0
        i = np.arange(max(0, diagonal - num_m), min(num_n, diagonal) + 1)
        j = diagonal - i
        if diagonal == 0:
            order[0, 0] = 0
            continue
        inner = (i > 0) & (j > 0)
        pair_order, pair_shift = np.full(len(i), _NEVER), np.zeros(len(i), np.int64)
        a, b = i[inner] - 1, j[inner] - 1
        pair_order[inner] = order[2, a] + np.where(matches_NM[a, b], -1, edit)
        apart_ms = np.abs(times_2N[:, a] - times_2M[:, b]).sum(axis=0)
        pair_shift[inner] = shift[2, a] + np.where(matches_NM[a, b], apart_ms, 0)
        up, left = np.maximum(i - 1, 0), i
        orders = np.stack([pair_order, np.where(i > 0, order[1, up] + edit, _NEVER), order[1, left] + edit])
        orders[2, j == 0] = _NEVER
        shifts = np.stack([pair_shift, shift[1, up], shift[1, left]])
        least = np.where(orders == orders.min(axis=0), shifts, np.iinfo(np.int64).max)
        best = least.argmin(axis=0)
        steps[i, j] = best
        order[0, i] = orders[best, np.arange(len(i))]
        shift[0, i] = shifts[best, np.arange(len(i))]
    return steps


def _matches(reference: Sequence[Utterance], predicted: Sequence[Utterance], max_error: float) -> npt.NDArray[np.bool_]:
    texts_N = [normalised(unit.text) or unit.text for unit in reference]
    texts_M = [normalised(unit.text) or unit.text for unit in predicted]
    numbers = {text: number for number, text in enumerate(dict.fromkeys([*texts_N, *texts_M]))}
    same = np.equal.outer([numbers[text] for text in texts_N], [numbers[text] for text in texts_M])
    if max_error <= 0:
        return same
    from rapidfuzz.distance import Levenshtein

    words_N, words_M = ([text.split() for text in texts] for texts in (texts_N, texts_M))
    near = [
        [Levenshtein.distance(a, b, score_cutoff=int(max_error * len(a))) <= max_error * len(a) for b in words_M]
        for a in words_N
    ]
    return same | np.array(near, bool)


def _times(units: Sequence[Utterance]) -> Ints:
    """Starts and ends, shape (2, units)."""
    return np.array([[unit.start_ms for unit in units], [unit.end_ms for unit in units]], np.int64)
