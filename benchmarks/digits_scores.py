"""How well words and their times were told: word error rate, and the shift of the words that are right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.formats.transcript import Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Of many segments together. Shifts are of starts and ends of words that were told rightly."""

    num_words: int
    num_errors: int  # substitutions, deletions and insertions
    shifts_ms: tuple[int, ...]

    @property
    def word_error_rate(self) -> float:
        return self.num_errors / max(1, self.num_words)

    @property
    def matched(self) -> float:
        """Share of the true words that were told rightly: those whose shift is known."""
        return len(self.shifts_ms) / 2 / max(1, self.num_words)

    @property
    def aas_ms(self) -> float | None:
        """Accumulated average shift (arXiv:2301.12343), None where no word is right."""
        return float(np.mean(self.shifts_ms)) if self.shifts_ms else None

    def to_json(self) -> dict[str, float | None]:
        aas_ms = self.aas_ms
        return {
            "wer": round(self.word_error_rate, 4),
            "aas_ms": None if aas_ms is None else round(aas_ms, 1),
            "median_shift_ms": round(float(np.median(self.shifts_ms)), 1) if self.shifts_ms else None,
            "matched": round(self.matched, 4),
            "num_words": self.num_words,
        }


def score(pairs: Sequence[tuple[Sequence[Utterance], Sequence[Utterance]]]) -> Scores:
    """Each pair is the truth of a segment and what was told of it."""
    num_errors, shifts_ms = 0, []
    for truth, told in pairs:
        errors, matches = aligned([word.text for word in truth], [word.text for word in told])
        num_errors += errors
        for here, there in matches:
            shifts_ms.append(abs(truth[here].start_ms - told[there].start_ms))
            shifts_ms.append(abs(truth[here].end_ms - told[there].end_ms))
    return Scores(num_words=sum(len(truth) for truth, _ in pairs), num_errors=num_errors, shifts_ms=tuple(shifts_ms))


def aligned(truth: Sequence[str], told: Sequence[str]) -> tuple[int, list[tuple[int, int]]]:
    """The edit distance, and which words of both are the same one in an alignment that costs so little."""
    cost = np.zeros((len(truth) + 1, len(told) + 1), dtype=np.int64)
    cost[:, 0], cost[0, :] = np.arange(len(truth) + 1), np.arange(len(told) + 1)
    for i, word in enumerate(truth, start=1):
        for j, other in enumerate(told, start=1):
            cost[i, j] = min(cost[i - 1, j - 1] + (word != other), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    matches: list[tuple[int, int]] = []
    i, j = len(truth), len(told)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != told[j - 1]):
            i, j = i - 1, j - 1
            if truth[i] == told[j]:
                matches.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return int(cost[-1, -1]), matches[::-1]
