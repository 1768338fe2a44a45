"""Captions: the unified one, each branch's own, and thirteen phrases about a voice.

user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Describe the audio.
assistant  From 0.4 to 3.1 s a dog barks. From 3.2 to 8.0 s music runs at about 120 beats a minute, in C major.
"""

from schemas.asking import captions
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    return [
        *captions.caption(record, rules),
        *captions.branch_captions(record, rules),
        *captions.voices(record, rules),
    ]
