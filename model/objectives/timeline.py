"""All that is heard, a line for each stretch, with its start and its end in seconds of the audio.

    user       25 audio tokens "2" 25 audio tokens "4" … ⏎ List the sound events …
    assistant  0.00 - 57.00: birds chirping
               3.20 - 4.10: a dog barking

For music, the same of its chords and of its sections.
"""

from schemas.asking import music, sounds
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    chords = [sample for sample in music.chords(record, rules) if sample.task == "chords"]
    return [*sounds.whole_timeline(record, rules), *chords, *music.sections(record, rules)]
