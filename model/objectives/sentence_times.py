"""Speech recognition with the start and the end of every sentence, in seconds of the audio.

user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Transcribe the audio sentence by sentence with timestamps …
assistant  [0.00]hello there[2.01][2.01]the weather is nice today[4.32]
"""

from schemas.asking.sample import AskRules, TaskSample
from schemas.asking.transcripts import transcribe_sentences
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    return transcribe_sentences(record, rules)
