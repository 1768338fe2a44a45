"""Who speaks when: with what is said, as turns alone, and as a number.

user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Who says what, and when? …
assistant  [0.00][S01]hello there[2.01][1.80][S02]hi[2.40]

user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Who speaks when? …
assistant  0.00 - 2.01: S01
           1.80 - 2.40: S02
"""

from schemas.asking import transcripts
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    return [
        *transcripts.diarise(record, rules),
        *transcripts.turns(record, rules),
        *transcripts.speakers(record, rules),
    ]
