"""Short questions about the whole: the language, tempo, meter, key, instruments; and what is not there.

    user       25 audio tokens "2" 25 audio tokens "4" … ⏎ In which key is the music?
    assistant  G major

Asked in fine-tuning only.
"""

from schemas.asking import absence, music, transcripts
from schemas.asking.sample import AskRules, TaskSample
from schemas.record import Record


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    askers = (transcripts.language, music.music_facts, absence.no_speech, absence.no_music)
    return [sample for asker in askers for sample in asker(record, rules)]
