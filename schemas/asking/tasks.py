"""All tasks by name, and how much of each goes into a build."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.asking import absence, captions, choices, music, sounds, transcripts
from schemas.asking.sample import AskRules, TaskSample
from schemas.errors import ConfigError
from schemas.record import Record

Asker = Callable[[Record, AskRules], list[TaskSample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShare:
    """How much of a build one task is to be."""

    task: str
    weight: float = 1.0  # where fewer are wanted than there are
    max_share: float = 1.0  # of the build, however many there are


ASKERS: tuple[tuple[Asker, tuple[str, ...]], ...] = (
    (transcripts.transcribe, ("transcribe",)),
    (transcripts.transcribe_sentences, ("transcribe_sentences",)),
    (transcripts.transcribe_words, ("transcribe_words",)),
    (transcripts.diarise, ("diarise",)),
    (transcripts.turns, ("turns",)),
    (transcripts.speakers, ("speakers",)),
    (transcripts.language, ("language",)),
    (transcripts.lyrics, ("lyrics", "lyrics_words")),
    (sounds.sound_at, ("sound_at",)),
    (sounds.when, ("when",)),
    (sounds.count, ("count",)),
    (sounds.first_of_two, ("first_of_two",)),
    (sounds.order, ("first", "second", "last", "before", "after")),
    (sounds.whole_timeline, ("timeline",)),
    (captions.caption, ("caption",)),
    (captions.branch_captions, ("caption_speech", "caption_sound", "caption_music")),
    (captions.voices, ("speech_caption", "speech_caption_of")),
    (music.music_facts, ("tempo", "meter", "key", "instruments")),
    (music.chords, ("chord_at", "chords")),
    (music.sections, ("sections",)),
    (choices.choice_present, ("choice_present",)),
    (choices.choice_first, ("choice_first",)),
    (choices.choice_count, ("choice_count",)),
    (absence.no_speech, ("no_speech",)),
    (absence.no_music, ("no_music",)),
)
TASKS = tuple(task for _, tasks in ASKERS for task in tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Which tasks a build holds, and in which proportion."""

    shares: tuple[TaskShare, ...] = (
        *(TaskShare(task=task, weight=2.0) for task in TASKS if task.startswith(("transcribe", "caption", "timeline"))),
        TaskShare(task="language", max_share=0.03),
        TaskShare(task="no_speech", weight=0.3, max_share=0.02),
        TaskShare(task="no_music", weight=0.3, max_share=0.02),
    )
    tasks: tuple[str, ...] = TASKS  # others are not asked
    per_record: int = 24  # samples of one record, of all tasks

    def __post_init__(self) -> None:
        if unknown := sorted({*self.tasks, *(share.task for share in self.shares)} - set(TASKS)):
            raise ConfigError(f"there is no task {', '.join(map(repr, unknown))}; there is {', '.join(TASKS)}")
        if not self.tasks:
            raise ConfigError(f"no task is asked for; there is {', '.join(TASKS)}")
        if self.per_record < 1:
            raise ConfigError(f"per_record is {self.per_record}; it must be at least 1")
        for share in self.shares:
            if share.weight <= 0 or not 0 < share.max_share <= 1:
                raise ConfigError(f"{share.task}: weight must be above 0 and max_share in 0..1; they are {share}")

    def share(self, task: str) -> TaskShare:
        return next((share for share in self.shares if share.task == task), TaskShare(task=task))


def samples_of(record: Record, rules: AskRules, tasks: Sequence[str]) -> list[TaskSample]:
    """All samples that a record gives for these tasks."""
    wanted = set(tasks)
    asked = (asker(record, rules) for asker, names in ASKERS if wanted & set(names))
    return [sample for samples in asked for sample in samples if sample.task in wanted]
