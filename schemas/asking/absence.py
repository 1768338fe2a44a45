"""Saying that there is nothing to say, where the record is sure of it."""

from schemas.asking.heard import heard_in
from schemas.asking.kin import below
from schemas.asking.sample import AskRules, TaskSample
from schemas.asking.wordings import ask
from schemas.record import Branch, Outcome, Record

NO_SPEECH = "Nobody speaks in this recording."
NO_MUSIC = "There is no music in this recording."
VOICES = ("Human voice", "Human group actions", "Radio", "Television")  # where somebody may speak, too
MUSIC = ("Music", "Singing", "Humming", "Whistling", "Radio", "Television")


def no_speech(record: Record, rules: AskRules) -> list[TaskSample]:
    """Nobody speaks: nothing like a voice scores or is named, and the branch passed the segment over."""
    profile = record.profile
    voices = max(profile.speech, profile.singing, profile.human_voice)
    if voices >= rules.absent or not _passed_over(record, Branch.SPEECH) or _named(record, rules, VOICES):
        return []
    if (music := record.branches.music) and (music.lyrics or music.outcome is Outcome.FAILED):
        return []
    return [ask(record, rules, "no_speech", NO_SPEECH, ("profile", "events", "branches.speech.outcome"))]


def no_music(record: Record, rules: AskRules) -> list[TaskSample]:
    """There is no music: it does not score, nothing like it is named, and the branch passed the segment over."""
    profile = record.profile
    music = max(profile.music, profile.singing)
    if music >= rules.absent or not _passed_over(record, Branch.MUSIC) or _named(record, rules, MUSIC):
        return []
    return [ask(record, rules, "no_music", NO_MUSIC, ("profile", "events", "branches.music.outcome"))]


def _passed_over(record: Record, branch: Branch) -> bool:
    """Whether the branch found nothing for it, and no person had anything for it."""
    said = record.branches.get(branch)
    return said is not None and said.outcome is Outcome.SKIPPED and not said.facts


def _named(record: Record, rules: AskRules, names: tuple[str, ...]) -> bool:
    heard = heard_in(record, rules)
    labels = {*heard.labels, *(one.label for one in heard.unsure if one.label), *(e.label for e in record.events)}
    return any(below(label, name) for label in labels for name in names)
