"""Speech recognition with the start and the end of every word, in seconds of the audio.

    user       25 audio tokens "2" 25 audio tokens "4" … ⏎ Transcribe the audio word by word with timestamps …
    assistant  [0.00]hello[0.52][0.60]there[1.20]

Sung words, where they are sure, likewise.
"""

from schemas.asking import transcripts
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    sung = [sample for sample in transcripts.lyrics(record, rules) if sample.task == "lyrics_words"]
    return [*transcripts.transcribe_words(record, rules), *sung]
