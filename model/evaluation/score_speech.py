"""Scores of transcripts, plain and with times and speakers, and of turns."""

from collections.abc import Sequence

from model.evaluation.errors import character_errors, is_spaceless, word_errors
from model.evaluation.intervals import ratio
from model.evaluation.items import Pair
from model.evaluation.scores import (
    Metric,
    TaskScore,
    by_length,
    error_rate,
    groups_of,
    mean_shift,
    num_missing,
    num_well_formed,
    percent,
    share,
)
from model.evaluation.shift import Shift, aas
from model.evaluation.speakers import DiarizationError, diarization_error, speaker_word_errors, turns_of
from schemas.formats import timeline, transcript
from schemas.record import Turn

SENTENCE_ERROR = 0.5
"""Up to this word error rate two sentences are one, and their times are compared."""


def plain(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """What is said or sung, without times."""
    return _words(task, pairs, [(pair.item.reference, pair.text) for pair in pairs])


def timed(task: str, pairs: Sequence[Pair], *, max_error: float = 0.0) -> TaskScore:
    """What is said, and when: words as above, times by AAS."""
    texts = [(transcript.words_only(pair.item.reference), transcript.words_only(pair.text)) for pair in pairs]
    words, shifts = _words(task, pairs, texts), [_shift(pair, max_error) for pair in pairs]
    return _with(
        words,
        pairs,
        [mean_shift("AAS", pairs, [one.shifts_ms for one in shifts]), _matched(pairs, shifts)],
        shifts_ms=tuple(shift for one in shifts for shift in one.shifts_ms),
    )


def timed_sentences(task: str, pairs: Sequence[Pair]) -> TaskScore:
    return timed(task, pairs, max_error=SENTENCE_ERROR)


def diarised(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Who says what, and when."""
    score = timed(task, pairs, max_error=SENTENCE_ERROR)
    read = [(_said(pair, pair.item.reference), _said(pair, pair.text)) for pair in pairs]
    speakers = [speaker_word_errors(said, heard) for said, heard in read]
    errors = [
        diarization_error(*(turns_of((u.start_ms, u.end_ms, u.speaker) for u in told) for told in both), duration_ms=ms)
        for both, ms in zip(read, _durations_ms(pairs, read), strict=True)
    ]
    return _with(score, pairs, [error_rate("cpWER", pairs, speakers), *_diarization(pairs, errors)], first=True)


def turns(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Who speaks when, a line a turn; parts of music, too, whose letters mean as little as names of speakers."""
    read = [(_turns(pair.item.reference), _turns(pair.text)) for pair in pairs]
    durations = _durations_ms(pairs, read)
    errors = [diarization_error(*both, duration_ms=ms) for both, ms in zip(read, durations, strict=True)]
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        num_unread=sum(bool(pair.text.strip()) and not told for pair, (_, told) in zip(pairs, read, strict=True)),
        num_well_formed=num_well_formed(pairs, lambda pair: timeline.parse(pair.text).well_formed),
        metrics=tuple(_diarization(pairs, errors)),
    )


def _words(task: str, pairs: Sequence[Pair], texts: Sequence[tuple[str, str]]) -> TaskScore:
    """Word errors where there are spaces, character errors of all; raw is what was not normalised."""
    spaced = [not is_spaceless(said, pair.item.language) for pair, (said, _) in zip(pairs, texts, strict=True)]
    metrics: list[Metric] = []
    words = [word_errors(*both) for both in texts]
    characters = [character_errors(*both) for both in texts]
    with_spaces = [pair for pair, parts in zip(pairs, spaced, strict=True) if parts]
    if with_spaces:
        raw = [word_errors(*both, raw=True) for both, parts in zip(texts, spaced, strict=True) if parts]
        metrics += [
            error_rate("WER", with_spaces, [one for one, parts in zip(words, spaced, strict=True) if parts]),
            error_rate("WER, raw", with_spaces, raw),
        ]
    metrics += [
        error_rate("CER", pairs, characters),
        error_rate("CER, raw", pairs, [character_errors(*both, raw=True) for both in texts]),
    ]
    without = [pair for pair, parts in zip(pairs, spaced, strict=True) if not parts]
    if with_spaces and without:
        theirs = [one for one, parts in zip(characters, spaced, strict=True) if not parts]
        metrics.append(error_rate("CER, no spaces", without, theirs))
    counted = [word if parts else letter for word, letter, parts in zip(words, characters, spaced, strict=True)]
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        metrics=tuple(metrics),
        num_words=sum(one.num_reference for one in counted),
        lengths=by_length(pairs, counted),
    )


def _with(
    score: TaskScore,
    pairs: Sequence[Pair],
    metrics: Sequence[Metric],
    *,
    first: bool = False,
    shifts_ms: tuple[int, ...] = (),
) -> TaskScore:
    read = [_said(pair, pair.text) for pair in pairs]
    return TaskScore(
        task=score.task,
        num_items=score.num_items,
        num_missing=score.num_missing,
        num_unread=sum(bool(pair.text.strip()) and not said for pair, said in zip(pairs, read, strict=True)),
        num_well_formed=num_well_formed(pairs, lambda pair: _parsed(pair, pair.text).well_formed),
        num_words=score.num_words,
        lengths=score.lengths,
        metrics=(*metrics, *score.metrics) if first else (*score.metrics, *metrics),
        shifts_ms=shifts_ms or score.shifts_ms,
    )


def _matched(pairs: Sequence[Pair], shifts: Sequence[Shift]) -> Metric:
    return share("matched", pairs, [one.num_matched for one in shifts], [one.num_reference for one in shifts])


def _diarization(pairs: Sequence[Pair], errors: Sequence[DiarizationError]) -> list[Metric]:
    totals, groups = [one.total_ms for one in errors], groups_of(pairs)
    parts = {
        "DER": [one.errors_ms for one in errors],
        "DER, missed": [one.missed_ms for one in errors],
        "DER, false alarm": [one.false_alarm_ms for one in errors],
        "DER, confusion": [one.confused_ms for one in errors],
    }
    return [percent(name, ratio(part, totals, groups), lower_is_better=True) for name, part in parts.items()]


def _parsed(pair: Pair, text: str) -> transcript.ParsedTranscript:
    return transcript.parse(text, duration_ms=pair.item.duration_ms)


def _said(pair: Pair, text: str) -> tuple[transcript.Utterance, ...]:
    return _parsed(pair, text).items


def _shift(pair: Pair, max_error: float) -> Shift:
    return aas(_said(pair, pair.item.reference), _said(pair, pair.text), max_error=max_error)


def _turns(text: str) -> list[Turn]:
    return turns_of(
        (event.start_ms, event.end_ms, event.description.casefold()) for event in timeline.parse(text).items
    )


def _durations_ms(
    pairs: Sequence[Pair], read: Sequence[tuple[Sequence[Turn | transcript.Utterance], ...]]
) -> list[int]:
    """That of the sound, else up to the last time anybody names."""
    return [
        pair.item.duration_ms or max((one.end_ms for told in both for one in told), default=0)
        for pair, both in zip(pairs, read, strict=True)
    ]
