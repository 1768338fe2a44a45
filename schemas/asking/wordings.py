"""How each task is asked. Which wording a sample gets depends on its record, task, index and the seed alone.

What MOSS-Audio's makers publish as prompts (github.com/OpenMOSS/MOSS-Audio, README and issues) stands first where it is
a phrase; their longer instructions are told in our words, with the same formats. A label stands in double quotes, and
a time is `12.30 s`, so that a question can be read back.
"""

from schemas.asking.sample import AskRules, TaskSample, draw
from schemas.record import Record

WORDINGS: dict[str, tuple[str, ...]] = {
    "transcribe": (
        "Transcribe the audio.",
        "Please transcribe this audio.",
        "Write down what is said.",
        "What is said in this recording, word for word?",
        "Give the transcript of this audio, and nothing else.",
        "请转写这段音频。",
        "把音频里说的话写下来。",
        "这段录音里说了什么？请逐字写出。",
    ),
    "transcribe_sentences": (
        "Transcribe the audio sentence by sentence with timestamps, as [start]text[end], in seconds with two decimals, "
        "one after the other without line breaks, for example [0.00]good morning[1.25][1.40]it is raining[2.90].",
        "Transcribe this audio with the start and the end of every sentence: [start]text[end], seconds, two decimals.",
        "Write down every sentence between its start and end time in seconds, like [0.00]text[2.01].",
        "When is each sentence said? Answer in the form [start]sentence[end], without anything between.",
        "请逐句转写音频，并用 [起始时间]内容[结束时间] 的格式标注时间，单位为秒，保留两位小数。",
        "转写这段音频，每句话前后标出起止时间（秒，两位小数），各句首尾相接。",
    ),
    "transcribe_words": (
        "Transcribe the audio word by word with timestamps, as [start]word[end], in seconds with two decimals.",
        "Give every word with its start and its end in seconds: [start]word[end][start]word[end], without line breaks.",
        "Align the words: write each one between its start and end time, like [0.00]word[0.32].",
        "请逐词转写音频，并用 [起始时间]词[结束时间] 的格式标注每个词的时间，保留两位小数。",
    ),
    "diarise": (
        "Transcribe the audio. Begin each utterance with its start time and a speaker label ([S01], [S02], ...), and "
        "end it with its end time.",
        "Who says what, and when? Answer as [start][S01]text[end], in seconds with two decimals.",
        "Write a transcript with speakers and times, like [0.00][S01]text[2.01].",
        "请转写音频，每句以起始时间和说话人编号（[S01]、[S02]…）开头，以结束时间结尾。",
    ),
    "turns": (
        "Who speaks when? One line for each turn: start - end: speaker, in seconds, speakers as S01, S02, ...",
        "List the turns of the speakers, one a line, like 0.00 - 2.10: S01.",
        "Segment this audio by speaker. Answer with lines of the form start - end: S01.",
    ),
    "language": (
        "What language is spoken?",
        "Which language do you hear? Answer with its name.",
        "Name the language of the speech.",
        "音频里说的是什么语言？请用英文名称回答。",
    ),
    "speakers": (
        "How many people speak? Answer with a number.",
        "How many different speakers are there? Give only the number.",
        "Count the voices that speak in this recording. Answer with a number.",
        "音频中有几个人说话？只回答数字。",
    ),
    "sound_at": (
        "What can be heard at {at} s? If there are several sounds, part them with semicolons.",
        "Which sounds are going on at {at} s? Part them with semicolons.",
        "Listen to the moment at {at} s. What is heard there? Answer with labels parted by semicolons.",
        "Name everything that sounds at {at} s, parted by semicolons.",
    ),
    "when": (
        'When is "{label}" heard? Give start - end in seconds, several parted by commas.',
        'At what times does "{label}" occur? Answer as start - end in seconds, parted by commas.',
        'Find "{label}" in this recording: start - end in seconds, parted by commas.',
        'From when to when can one hear "{label}"? Part several stretches by commas.',
    ),
    "count": (
        'How many times is "{label}" heard? Answer with a number.',
        'How often does "{label}" occur? Give only the number.',
        'Count how many separate times "{label}" sounds. Answer with a number.',
    ),
    "first_of_two": (
        'Which begins first, "{one}" or "{other}"?',
        'What starts earlier: "{one}" or "{other}"?',
        '"{one}" and "{other}" are both in this recording. Which one is heard first?',
    ),
    "first": (
        "Which sound begins first?",
        "What is the first thing to be heard? Answer with a label.",
        "What does this recording begin with? Name the first sound.",
    ),
    "second": (
        "Which sound is the second to begin?",
        "What is the second sound to start? Answer with a label.",
    ),
    "last": (
        "Which sound is the last to begin?",
        "What starts last? Answer with a label.",
        "Name the last sound to begin in this recording.",
    ),
    "after": (
        'What is the next sound to begin after "{label}" begins?',
        '"{label}" begins. What begins next?',
    ),
    "before": (
        'What is the last sound to begin before "{label}" begins?',
        'Something begins right before "{label}" begins. What is it?',
    ),
    "timeline": (
        "List what is heard and when, one line each: start - end: sound, in seconds with two decimals.",
        "Write a timeline of the sounds, with lines like 0.00 - 57.00: birds chirping.",
        "Describe this audio as a timeline. Each line reads start_sec - end_sec: event.",
        "Which sounds are there, from when to when? Answer with one line a sound: start - end: sound.",
    ),
    "caption": (
        "Describe the audio.",
        "What is in this recording?",
        "Describe this audio in a few sentences.",
        "What do you hear?",
    ),
    "caption_speech": (
        "Describe the speech in this recording.",
        "Describe how people speak here.",
        "What is to be said of the speech in this audio?",
    ),
    "caption_sound": (
        "Describe the sounds in this recording, apart from speech and music.",
        "Which sounds other than speech and music are there? Describe them.",
        "Describe the sound events of this audio.",
    ),
    "caption_music": (
        "Describe the music.",
        "Describe the music in this recording.",
        "What is to be said of the music here?",
    ),
    "speech_caption": (
        "Describe the voice in JSON with the fields gender, pitch, speed, volume, age, clarity, fluency, accent, "
        "texture, emotion, tone, personality and summary, each a short phrase.",
        "Answer with a JSON object about the speaker: gender, pitch, speed, volume, age, clarity, fluency, accent, "
        "texture, emotion, tone, personality, summary.",
        "用 JSON 描述说话人的声音，字段为 gender、pitch、speed、volume、age、clarity、fluency、accent、texture、"
        "emotion、tone、personality 和 summary。",
    ),
    "speech_caption_of": (
        "Describe in JSON the voice that is first heard at {at} s, with the fields gender, pitch, speed, volume, age, "
        "clarity, fluency, accent, texture, emotion, tone, personality and summary.",
        "One speaker begins at {at} s. Describe this voice as JSON: gender, pitch, speed, volume, age, clarity, "
        "fluency, accent, texture, emotion, tone, personality, summary.",
    ),
    "tempo": (
        "What is the tempo of the music, in beats per minute?",
        "How many beats a minute does the music have?",
        "Estimate the tempo. Answer like 120 BPM.",
    ),
    "meter": (
        "What is the time signature of the music?",
        "Which meter is the music in? Answer like 4/4.",
    ),
    "key": (
        "What key is the music in?",
        "Name the key of this music.",
    ),
    "chord_at": (
        "Which chord sounds at {at} s?",
        "Name the chord at {at} s.",
    ),
    "chords": (
        "Write the chord progression with timestamps, one chord a line: start - end: chord, and N for none.",
        "Which chords are played, and when? Lines of the form start - end: chord, in seconds, with N "
        "where there is none.",
    ),
    "sections": (
        "How is the music structured? One line a part: start - end: letter, the same letter where a part comes back.",
        "Segment the music into its parts, with lines like 0.00 - 12.50: A.",
    ),
    "instruments": (
        "Which instruments are heard? Part them with semicolons.",
        "Name the instruments in this music, parted by semicolons.",
    ),
    "lyrics": (
        "Transcribe the lyrics of this song.",
        "What is sung? Write down the words.",
        "写出这首歌的歌词。",
    ),
    "lyrics_words": (
        "Transcribe the lyrics with timestamps of this song.",
        "Write the lyrics word by word with times, like [0.00]word[0.32].",
    ),
    "choice_present": (
        "Choose the most suitable answer from options A, B, C, and D. Output only A, B, C, or D.\n"
        "Question: Which of these is heard in the recording?\n{options}",
        "Which of these sounds is in this audio? Answer with the letter alone.\n{options}",
    ),
    "choice_first": (
        "Choose the most suitable answer from options {letters}. Output only the letter.\n"
        "Question: Which of these begins first?\n{options}",
        "Which of these sounds is the first to begin? Answer with the letter alone.\n{options}",
    ),
    "choice_count": (
        "Choose the most suitable answer from options A, B, C, and D. Output only A, B, C, or D.\n"
        'Question: How many times is "{label}" heard?\n{options}',
        'How often is "{label}" heard? Answer with the letter alone.\n{options}',
    ),
    "no_speech": (
        "Transcribe the audio.",
        "What is said in this recording?",
        "Who speaks in this recording?",
        "What language is spoken?",
    ),
    "no_music": (
        "Describe the music.",
        "What is the tempo of the music, in beats per minute?",
        "What key is the music in?",
    ),
}


def ask(
    record: Record,
    rules: AskRules,
    task: str,
    answer: str,
    evidence: tuple[str, ...],
    *,
    index: int = 0,
    **told: str,
) -> TaskSample:
    """The sample, in one of the wordings of its task; `told` is what the wording leaves open."""
    wordings = WORDINGS[task]
    question = wordings[draw(rules.seed, "wording", record.key, task, index) % len(wordings)].format(**told)
    return TaskSample(key=record.key, task=task, index=index, question=question, answer=answer, evidence=evidence)
