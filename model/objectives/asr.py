"""Plain speech recognition: the words, and nothing else.

    user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Transcribe the audio.
    assistant  hello there the weather is nice today

Where somebody sings and the words are sure, these are transcribed likewise.
"""

from schemas.asking import transcripts
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    sung = [sample for sample in transcripts.lyrics(record, rules) if sample.task == "lyrics"]
    return [*transcripts.transcribe(record, rules), *sung]
