"""Every task by name, and how it is scored."""

from collections.abc import Callable, Iterable, Sequence

from model.evaluation import score_answers, score_speech
from model.evaluation.items import Pair
from model.evaluation.scores import TaskScore
from schemas.asking.tasks import TASKS

Scorer = Callable[[str, Sequence[Pair]], TaskScore]

SCORERS: tuple[tuple[Scorer, tuple[str, ...]], ...] = (
    (score_speech.plain, ("transcribe", "lyrics")),
    (score_speech.timed_sentences, ("transcribe_sentences",)),
    (score_speech.timed, ("transcribe_words", "lyrics_words")),
    (score_speech.diarised, ("diarise",)),
    (score_speech.turns, ("turns", "sections")),
    (score_answers.timelines, ("timeline", "chords")),
    (score_answers.when, ("when",)),
    (score_answers.numbers, ("count", "speakers")),
    (score_answers.tempi, ("tempo",)),
    (
        score_answers.labels,
        (
            *("first_of_two", "first", "second", "last", "before", "after"),
            *("language", "meter", "key", "chord_at", "no_speech", "no_music"),
        ),
    ),
    (score_answers.lists, ("sound_at", "instruments")),
    (score_answers.prose, ("caption", "caption_speech", "caption_sound", "caption_music")),
    (score_answers.portraits, ("speech_caption", "speech_caption_of")),
)
CHOICES = score_answers.choices
"""Scores whatever has options, under any name."""


def scorer_of(task: str, *, has_options: bool) -> Scorer | None:
    if has_options:
        return CHOICES
    return next((scorer for scorer, tasks in SCORERS if task in tasks), None)


def scores_of(pairs: Iterable[Pair]) -> tuple[list[TaskScore], dict[str, int]]:
    """A score of each task, in the order of all, and how many items there are of tasks that nothing scores."""
    by_task: dict[tuple[str, bool], list[Pair]] = {}  # by name, and whether there are options
    for pair in pairs:
        by_task.setdefault((pair.item.task, bool(pair.item.options)), []).append(pair)
    scored, unscored = [], {}
    for (task, has_options), asked in sorted(by_task.items(), key=lambda one: (_rank(one[0][0]), one[0])):
        if scorer := scorer_of(task, has_options=has_options):
            scored.append(scorer(task, asked))
        else:
            unscored[task] = len(asked)
    return scored, unscored


def _rank(task: str) -> int:
    return TASKS.index(task) if task in TASKS else len(TASKS)
