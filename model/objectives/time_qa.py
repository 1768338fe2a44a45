"""Questions about time: what is heard at a moment, when a thing is heard, in which order, and how often.

user       25 audio tokens "2" 25 audio tokens "4" … ⏎ When is "Dog" heard? Give start - end in seconds …
assistant  1.20 - 3.40, 7.00 - 8.10

user       … ⏎ What can be heard at 2.50 s? …           assistant  Dog; Rain
user       … ⏎ Which begins first, "Dog" or "Siren"?    assistant  Dog
user       … ⏎ How many times is "Dog" heard? …         assistant  2
"""

from schemas.asking import choices, music, sounds
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    askers = (
        sounds.sound_at,
        sounds.when,
        sounds.count,
        sounds.first_of_two,
        sounds.order,
        choices.choice_present,
        choices.choice_first,
        choices.choice_count,
    )
    moments = [sample for sample in music.chords(record, rules) if sample.task == "chord_at"]
    return [*(sample for asker in askers for sample in asker(record, rules)), *moments]
