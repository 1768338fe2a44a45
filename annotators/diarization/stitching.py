"""Which speakers of several windows are one voice. Pure: nothing here listens.

Agglomerative clustering of the speakers' embeddings by the mean cosine between two groups, as speaker diarization
does it since x-vectors (Sell et al., "Diarization is hard", Interspeech 2018), with one bond more: two speakers of
one window were told apart by whoever heard them together, and never become one voice.
"""

from collections.abc import Sequence

import numpy as np

Embeddings = Sequence[np.ndarray | None]  # of the speakers of one window, each float, shape (size,); None: not known


def stitched(windows: Sequence[Embeddings], likeness: float) -> list[list[int]]:
    """The voice of each speaker of each window, counted from 0 in the order they are listed.

    The two groups most alike become one as long as their mean cosine is at least `likeness`; of equals the pair that
    is listed first. A speaker whose embedding is not known, or has no direction, is a voice of its own.
    """
    window_of = [index for index, speakers in enumerate(windows) for _ in speakers]
    units = [_unit(embedding) for speakers in windows for embedding in speakers]
    group_of = _grouped(units, window_of, likeness)
    numbers: dict[int, int] = {}
    voices = iter([numbers.setdefault(group, len(numbers)) for group in group_of])
    return [[next(voices) for _ in speakers] for speakers in windows]


def is_known(embedding: np.ndarray | None) -> bool:
    """Whether it says anything: pyannote gives NaN or zeros for a speaker it hardly heard alone."""
    return embedding is not None and bool(np.isfinite(embedding).all() and np.any(embedding))


def _unit(embedding: np.ndarray | None) -> np.ndarray | None:
    if embedding is None or not is_known(embedding):
        return None
    precise = embedding.astype(np.float64)
    precise /= np.abs(precise).max()
    return np.asarray(precise / np.linalg.norm(precise))


def _grouped(units: Sequence[np.ndarray | None], window_of: Sequence[int], likeness: float) -> list[int]:
    """The group of each, named by its first member."""
    known = [index for index, unit in enumerate(units) if unit is not None]
    groups = [[index] for index in known]
    stacked = np.stack([unit for unit in units if unit is not None]) if known else np.zeros((0, 1))
    totals = stacked @ stacked.T  # sum of the cosines between two groups
    apart = np.asarray([[window_of[one] == window_of[other] for other in known] for one in known], dtype=bool)
    sizes = np.ones(len(known))
    while len(groups) > 1:
        means = np.where(apart, -np.inf, totals / np.outer(sizes, sizes))
        means[np.tril_indices(len(groups))] = -np.inf
        one, other = divmod(int(np.argmax(means)), len(groups))
        if means[one, other] < likeness:
            break
        groups[one] += groups.pop(other)
        sizes[one] += sizes[other]
        for table in (totals, apart):
            table[one] += table[other]
            table[:, one] += table[:, other]
        kept = np.arange(len(sizes)) != other
        totals, apart, sizes = totals[kept][:, kept], apart[kept][:, kept], sizes[kept]
    group_of = list(range(len(units)))
    for group in groups:
        for member in group:
            group_of[member] = min(group)
    return group_of
