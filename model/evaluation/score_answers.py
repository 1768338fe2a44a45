"""Scores of timelines of sounds, times, labels, numbers, lists, choices and captions."""

from collections import Counter
from collections.abc import Sequence

from model.evaluation import answers, captions, sounds
from model.evaluation.intervals import mean, ratio
from model.evaluation.items import Pair
from model.evaluation.scores import (
    Category,
    Metric,
    TaskScore,
    groups_of,
    mean_share,
    mean_shift,
    num_missing,
    num_well_formed,
    plain,
    share,
)
from schemas.formats import choice, speech_caption, timeline
from schemas.formats.choice import LETTERS

SAME_TEMPO = 0.04
"""How far a tempo may lie from the true one, as MIREX has it."""


def timelines(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """What is heard from when to when."""
    clips = [_clip(pair) for pair in pairs]
    events = [sounds.events_found(clip.reference, clip.predicted) for clip in clips]
    segments = [sounds.segments_found(clip.reference, clip.predicted) for clip in clips]
    classes = sounds.by_class(events)
    known = {one.label for clip in events for one in clip if one.right + one.missed}
    macro = [one.f1 for one in classes if one.label in known]
    metrics = [
        _f1("event F1", pairs, events),
        plain_percent("event F1, by class", macro, len(pairs)),
        _f1("segment F1", pairs, segments),
    ]
    for name, rules in (("PSDS 1", sounds.PsdsRules()), ("PSDS 2", sounds.CONFUSIONS)):
        metrics.append(Metric(name=name, unit="", value=sounds.psds(clips, rules), num_items=len(pairs)))
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        num_unread=sum(bool(pair.text.strip()) and not clip.predicted for pair, clip in zip(pairs, clips, strict=True)),
        num_well_formed=num_well_formed(pairs, lambda pair: timeline.parse(pair.text).well_formed),
        metrics=tuple(metrics),
        classes=classes,
    )


def when(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """In which stretches a thing is heard."""
    read = [answers.stretches_in(pair.text) for pair in pairs]
    found = [
        answers.stretches(answers.stretches_in(pair.item.reference), told)
        for pair, told in zip(pairs, read, strict=True)
    ]
    starts, ends = ([getattr(one, f"{name}_shifts_ms") for one in found] for name in ("start", "end"))
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        num_unread=sum(bool(pair.text.strip()) and not told for pair, told in zip(pairs, read, strict=True)),
        metrics=(
            mean_share("IoU", pairs, [one.iou for one in found]),
            mean_shift("start error", pairs, starts),
            mean_shift("end error", pairs, ends),
            share("matched", pairs, [len(one.start_shifts_ms) for one in found], [one.num_reference for one in found]),
            mean_share("right number", pairs, [float(one.num_predicted == one.num_reference) for one in found]),
        ),
        shifts_ms=tuple(shift for shifts in (*starts, *ends) for shift in shifts),
    )


def labels(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """One label, or one short sentence."""
    right = [float(answers.is_same(pair.item.reference, pair.text)) for pair in pairs]
    return _simple(task, pairs, [mean_share("exact", pairs, right)])


def numbers(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """A number, alone or in words around it."""
    return _numbers(task, pairs, 0.0, "exact")


def tempi(task: str, pairs: Sequence[Pair]) -> TaskScore:
    return _numbers(task, pairs, SAME_TEMPO, f"within {SAME_TEMPO:.0%}")


def lists(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Names parted by semicolons."""
    found = [answers.names_found(pair.item.reference, pair.text) for pair in pairs]
    right = [2 * one.right for one in found]
    metrics = [
        share("F1", pairs, right, [2 * one.right + one.wrong + one.missed for one in found]),
        mean_share("exact", pairs, [float(not one.wrong and not one.missed) for one in found]),
    ]
    return _simple(task, pairs, metrics)


def choices(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Multiple choice: what cannot be read is wrong."""
    read = [choice.parse(pair.text, num_options=len(pair.item.options), options=pair.item.options) for pair in pairs]
    right = [told.answer == pair.item.reference for told, pair in zip(read, pairs, strict=True)]
    asked, answered = Counter[str](), Counter[str]()
    for pair, is_right in zip(pairs, right, strict=True):
        if pair.item.category:
            asked[pair.item.category] += 1
            answered[pair.item.category] += is_right
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        num_unread=sum(bool(p.text.strip()) and told.answer is None for p, told in zip(pairs, read, strict=True)),
        num_well_formed=sum(told.well_formed for told in read),
        metrics=(
            mean_share("accuracy", pairs, [float(one) for one in right]),
            mean_share("by chance", pairs, [1 / len(pair.item.options) for pair in pairs]),
        ),
        categories=tuple(
            Category(name=name, num_items=number, num_right=answered[name]) for name, number in sorted(asked.items())
        ),
    )


def prose(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Captions."""
    references, texts = [pair.item.reference for pair in pairs], [pair.text for pair in pairs]
    groups = groups_of(pairs)
    told = [_facts_told(pair) for pair in pairs]
    timed = [[one for true, one in both if true.is_in_time] for both in told]
    shifts = [[one.shift_ms for one in found if one.shift_ms is not None] for found in timed]
    likeness = [captions.rouge_l(*both) for both in zip(references, texts, strict=True)]
    is_weighed = any(captions.cider_d(references, references))  # few references that are alike tell nothing apart
    metrics = [
        mean_share("ROUGE-L", pairs, likeness),
        plain("CIDEr-D", mean(captions.cider_d(references, texts) if is_weighed else (), groups if is_weighed else ())),
        share(
            "facts told", pairs, [sum(one.is_told for _, one in both) for both in told], [len(both) for both in told]
        ),
        share(
            "facts told in time",
            pairs,
            [sum(one.is_in_time for one in found) for found in timed],
            [len(found) for found in timed],
        ),
        mean_shift("time error", pairs, shifts),
    ]
    score = _simple(task, pairs, metrics)
    return TaskScore(
        task=task,
        num_items=score.num_items,
        num_missing=score.num_missing,
        metrics=score.metrics,
        shifts_ms=tuple(shift for found in shifts for shift in found),
    )


def portraits(task: str, pairs: Sequence[Pair]) -> TaskScore:
    """Thirteen phrases about a voice, in JSON; a key that is missing is like nothing."""
    said = [speech_caption.parse(pair.item.reference).values for pair in pairs]
    heard = [speech_caption.parse(pair.text).values for pair in pairs]
    likeness = [
        sum(captions.rouge_l(true[key], told[key]) for key in true if key in told) / max(1, len(true))
        for true, told in zip(said, heard, strict=True)
    ]
    keys = [len(told) / len(speech_caption.KEYS) for told in heard]
    return TaskScore(
        task=task,
        num_items=len(pairs),
        num_missing=num_missing(pairs),
        num_unread=sum(bool(pair.text.strip()) and not told for pair, told in zip(pairs, heard, strict=True)),
        num_well_formed=num_well_formed(pairs, lambda pair: speech_caption.parse(pair.text).well_formed),
        metrics=(mean_share("ROUGE-L of phrases", pairs, likeness), mean_share("keys", pairs, keys)),
    )


def plain_percent(name: str, values: Sequence[float], num_items: int) -> Metric:
    """The mean of what is no value of clips, so that it has no interval."""
    value = 100 * sum(values) / len(values) if values else None
    return Metric(name=name, unit="%", value=value, num_items=num_items)


def _numbers(task: str, pairs: Sequence[Pair], tolerance: float, name: str) -> TaskScore:
    told = [answers.number_in(pair.text) for pair in pairs]
    true = [answers.number_in(pair.item.reference) for pair in pairs]
    right = [float(_near(a, b, tolerance)) for a, b in zip(true, told, strict=True)]
    apart = [abs(a - b) if a is not None and b is not None else 0.0 for a, b in zip(true, told, strict=True)]
    both = [float(a is not None and b is not None) for a, b in zip(true, told, strict=True)]
    found = ratio(apart, both, groups_of(pairs))
    metrics = [mean_share(name, pairs, right), plain("mean error, of those read", found, lower_is_better=True)]
    unread = sum(bool(pair.text.strip()) and number is None for pair, number in zip(pairs, told, strict=True))
    return _simple(task, pairs, metrics, num_unread=unread)


def _near(true: float | None, told: float | None, tolerance: float) -> bool:
    return true is not None and told is not None and abs(told - true) <= tolerance * true


def _simple(task: str, pairs: Sequence[Pair], metrics: Sequence[Metric], num_unread: int = 0) -> TaskScore:
    return TaskScore(
        task=task, num_items=len(pairs), num_missing=num_missing(pairs), num_unread=num_unread, metrics=tuple(metrics)
    )


def _f1(name: str, pairs: Sequence[Pair], found: Sequence[Sequence[sounds.Found]]) -> Metric:
    """Over all classes and clips together."""
    right = [2 * sum(one.right for one in clip) for clip in found]
    every = [sum(2 * one.right + one.wrong + one.missed for one in clip) for clip in found]
    return share(name, pairs, right, every)


def _facts_told(pair: Pair) -> list[tuple[captions.Told, captions.Told]]:
    """Of each fact that the reference tells: what became of it there, and in the prediction."""
    evidence = pair.item.evidence
    both = (captions.facts_told(evidence, text) for text in (pair.item.reference, pair.text))
    return [(true, one) for true, one in zip(*both, strict=True) if true.is_told]


def _clip(pair: Pair) -> sounds.Clip:
    reference, predicted = (timeline.parse(text).items for text in (pair.item.reference, pair.text))
    last_ms = max((event.end_ms for event in (*reference, *predicted)), default=0)
    return sounds.Clip(reference=reference, predicted=predicted, duration_ms=pair.item.duration_ms or last_ms)


def options_in(question: str) -> tuple[str, ...]:
    """The options that a question lists, `A. a dog` a line; none where the letters are not in order."""
    listed = [line.split(". ", 1) for line in question.splitlines() if line[1:3] == ". " and line[0] in LETTERS]
    letters = [letter for letter, _ in listed]
    return tuple(option for _, option in listed) if letters == list(LETTERS[: len(letters)]) else ()
