"""Who spoke when, and who said what: diarization error by pyannote.metrics, and words counted speaker by speaker.

Names of speakers mean nothing: S01 of a prediction may be S02 of the reference, and the best pairing counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from model.evaluation.errors import Edits, total, word_errors
from schemas.formats.transcript import Utterance
from schemas.record import Turn
from schemas.span import Span, union

COLLAR_MS = 250
"""In all, around each edge of the reference: half before and half after it, as pyannote.metrics counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizationError:
    """Milliseconds of speech by speaker; two who speak at once count twice."""

    total_ms: int  # of the reference
    missed_ms: int
    false_alarm_ms: int
    confused_ms: int  # given to another speaker

    @property
    def errors_ms(self) -> int:
        return self.missed_ms + self.false_alarm_ms + self.confused_ms

    @property
    def rate(self) -> float | None:
        """May pass 1. None where nobody speaks in the reference."""
        return self.errors_ms / self.total_ms if self.total_ms else None


def diarization_error(
    reference: Sequence[Turn], predicted: Sequence[Turn], *, duration_ms: int, collar_ms: int = COLLAR_MS
) -> DiarizationError:
    """The error within [0, duration_ms); overlapped speech is scored."""
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    whole = Span.of(0, max(1, duration_ms))
    metric = DiarizationErrorRate(collar=collar_ms / 1000)
    found = metric(
        _labelled(reference, whole),
        _labelled(predicted, whole),
        uem=Timeline([Segment(0, whole.end_ms / 1000)]),
        detailed=True,
    )
    return DiarizationError(
        total_ms=round(1000 * found["total"]),
        missed_ms=round(1000 * found["missed detection"]),
        false_alarm_ms=round(1000 * found["false alarm"]),
        confused_ms=round(1000 * found["confusion"]),
    )


def speaker_word_errors(reference: Sequence[Utterance], predicted: Sequence[Utterance]) -> Edits:
    """cpWER (Watanabe et al., CHiME-6, 2020): each speaker's words in a row, paired so that errors are fewest.

    A speaker without a partner is left out, or put in, with every word.
    """
    from scipy.optimize import linear_sum_assignment

    said, heard = _by_speaker(reference), _by_speaker(predicted)
    paired = [[word_errors(one, other) for other in heard] for one in said]
    left_out, put_in = [word_errors(one, "") for one in said], [word_errors("", other) for other in heard]
    gains = [
        [both.errors - missed.errors - false.errors for both, false in zip(row, put_in, strict=True)]
        for row, missed in zip(paired, left_out, strict=True)
    ]
    places, others = linear_sum_assignment(gains) if said and heard else ([], [])
    pairs = dict(zip(map(int, places), map(int, others), strict=True))
    counted = [paired[i][pairs[i]] if i in pairs else left_out[i] for i in range(len(said))]
    counted += [put_in[j] for j in range(len(heard)) if j not in pairs.values()]
    return total(counted)


def turns_of(told: Iterable[tuple[int, int, str | None]]) -> list[Turn]:
    """Turns of (start_ms, end_ms, speaker); those that last no time are none, and who is not named is one of all."""
    return [Turn(start_ms=start, end_ms=end, speaker=name or "?") for start, end, name in told if end > start]


def _labelled(turns: Sequence[Turn], whole: Span) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for name in dict.fromkeys(turn.speaker for turn in turns):
        for stretch in union(turn for turn in turns if turn.speaker == name):
            if inside := stretch.clipped(whole):
                annotation[Segment(inside.start_ms / 1000, inside.end_ms / 1000), name] = name
    return annotation


def _by_speaker(utterances: Sequence[Utterance]) -> list[str]:
    texts: dict[str | None, list[str]] = {}
    for one in sorted(utterances, key=lambda one: one.start_ms):
        texts.setdefault(one.speaker, []).append(one.text)
    return [" ".join(said) for said in texts.values()]
