"""What is said, when, by whom and in which language."""

from collections.abc import Sequence
from itertools import groupby

from schemas import audioset
from schemas.asking.sample import AskRules, TaskSample, line, music_of, speech_of, timeline_of
from schemas.asking.wordings import ask
from schemas.errors import SchemaError
from schemas.formats import timeline, transcript
from schemas.gaps import gaps
from schemas.languages import LANGUAGES, SPACELESS
from schemas.record import Fact, Record, SpeechAnnotation, Word
from schemas.span import Span, union

KIND = "transcript"
WORDS = "branches.speech.words"
SPOKEN = (KIND, "turn", "speech")  # kinds of facts that somebody speaks all the while


def transcribe(record: Record, rules: AskRules) -> list[TaskSample]:
    """All that is said, as plain text."""
    speech = _clear_speech(record, rules)
    told = _whole_transcript(record, speech, rules) if speech else []
    answer = _together([line(fact.text) for _, fact in told], speech.language if speech else None)
    if not answer:
        return []
    return [ask(record, rules, "transcribe", answer, tuple(evidence for evidence, _ in told))]


def transcribe_sentences(record: Record, rules: AskRules) -> list[TaskSample]:
    """`[0.00]text[2.01]`, sentence by sentence."""
    speech = _clear_speech(record, rules)
    told = _whole_transcript(record, speech, rules) if speech else []
    answer = _bracketed(record, [(fact.start_ms, fact.end_ms, fact.text, None) for _, fact in told])
    if not answer:
        return []
    return [ask(record, rules, "transcribe_sentences", answer, tuple(evidence for evidence, _ in told))]


def transcribe_words(record: Record, rules: AskRules) -> list[TaskSample]:
    """`[0.00]word[0.32]`, word by word, where the words are those of the sentences."""
    speech = _clear_speech(record, rules)
    if not speech or not speech.words or not _agree(speech) or is_untold(record, speech.words, rules):
        return []
    answer = _bracketed(record, [(word.start_ms, word.end_ms, word.text, None) for word in speech.words])
    return [ask(record, rules, "transcribe_words", answer, (WORDS,))] if answer else []


def diarise(record: Record, rules: AskRules) -> list[TaskSample]:
    """`[start][S01]text[end]`, by sentence where the sentences have speakers, else by runs of words."""
    speech = _clear_speech(record, rules)
    if not speech:
        return []
    told = _whole_transcript(record, speech, rules)
    evidence: tuple[str, ...] = ()
    if told and all(fact.speaker for _, fact in told):
        pieces = [(fact.start_ms, fact.end_ms, fact.text, fact.speaker) for _, fact in told]
        evidence = tuple(name for name, _ in told)
    elif _agree(speech) and all(word.speaker for word in speech.words) and not is_untold(record, speech.words, rules):
        pieces = [
            (run[0].start_ms, max(word.end_ms for word in run), _together([w.text for w in run], speech.language), name)
            for name, run in _runs(speech.words)
        ]
        evidence = (WORDS,)
    else:
        return []
    answer = _bracketed(record, pieces)
    return [ask(record, rules, "diarise", answer, evidence)] if answer else []


def turns(record: Record, rules: AskRules) -> list[TaskSample]:
    """`0.00 - 2.10: S01`, a line a turn, where every turn is sure."""
    speech = speech_of(record)
    if not speech or not _sure_turns(record, speech, rules):
        return []
    in_order = sorted(speech.turns, key=lambda turn: (turn.start_ms, turn.end_ms, turn.speaker))
    answer = timeline_of(record, ((turn, timeline.plain(line(turn.speaker))) for turn in in_order))
    return [ask(record, rules, "turns", answer, ("branches.speech.turns",))] if answer else []


def speakers(record: Record, rules: AskRules) -> list[TaskSample]:
    """How many speak, where each is heard long enough, and whoever counts them agrees."""
    speech = speech_of(record)
    if not speech or not _sure_turns(record, speech, rules):
        return []
    spoken_ms: dict[str, int] = {}
    for turn in speech.turns:
        spoken_ms[turn.speaker] = spoken_ms.get(turn.speaker, 0) + turn.duration_ms
    listed = {speaker.name for speaker in speech.speakers} or set(spoken_ms)
    tagged = {word.speaker for word in speech.words if word.speaker} or set(spoken_ms)
    if min(spoken_ms.values()) < rules.min_voice_ms or not listed == tagged == set(spoken_ms):
        return []
    return [ask(record, rules, "speakers", str(len(spoken_ms)), ("branches.speech.turns",))]


def language(record: Record, rules: AskRules) -> list[TaskSample]:
    """The language by its English name."""
    speech = speech_of(record)
    name = LANGUAGES.get(speech.language or "") if speech else None
    if not speech or not name:
        return []
    by_hand = any(fact.human and fact.kind == KIND for fact in speech.facts)
    if not by_hand and (speech.language_score or 0.0) < rules.min_score:
        return []
    return [ask(record, rules, "language", name, ("branches.speech.language",))]


def lyrics(record: Record, rules: AskRules) -> list[TaskSample]:
    """What is sung, as plain text and word by word, where nothing of it was withheld."""
    music = music_of(record)
    if not music or not music.lyrics or music.reason:
        return []
    if sum(word.score for word in music.lyrics) / len(music.lyrics) < rules.min_score:
        return []
    evidence = ("branches.music.lyrics",)
    plain = _together([line(word.text) for word in music.lyrics], music.lyrics_language)
    timed = _bracketed(record, [(word.start_ms, word.end_ms, word.text, None) for word in music.lyrics])
    samples = [("lyrics", plain), ("lyrics_words", timed)]
    return [ask(record, rules, task, answer, evidence) for task, answer in samples if answer]


def _clear_speech(record: Record, rules: AskRules) -> SpeechAnnotation | None:
    """Speech whose words may be taught: written by people, or sure, undoubted and understood alike by two."""
    speech = speech_of(record)
    if not speech:
        return None
    facts = [fact for fact in speech.facts if fact.kind == KIND]
    if any(fact.human for fact in facts):
        return speech
    scores = [fact.score for fact in facts] or [word.score for word in speech.words]
    sure = bool(scores) and min(scores) >= rules.min_score
    agreed = speech.disagreement is None or speech.disagreement <= rules.max_disagreement
    return speech if sure and agreed and not speech.doubts else None


def _sentences(speech: SpeechAnnotation) -> list[tuple[str, Fact]]:
    """The sentences with their names as evidence, by start; where people wrote some, theirs alone."""
    told = [(f"speech/{index}", fact) for index, fact in enumerate(speech.facts) if fact.kind == KIND]
    by_hand = [(name, fact) for name, fact in told if fact.human]
    return sorted(by_hand or told, key=lambda one: (one[1].start_ms, one[1].end_ms))


def _whole_transcript(record: Record, speech: SpeechAnnotation, rules: AskRules) -> list[tuple[str, Fact]]:
    """The sentences, or none where somebody speaks and they do not tell what."""
    told = _sentences(speech)
    return [] if is_untold(record, [fact for _, fact in told], rules) else told


def _sure_turns(record: Record, speech: SpeechAnnotation, rules: AskRules) -> bool:
    sure = bool(speech.turns) and min(turn.score for turn in speech.turns) >= rules.min_score
    return sure and not is_untold(record, speech.turns, rules)


def is_untold(record: Record, told: Sequence[Span], rules: AskRules) -> bool:
    """Whether somebody surely speaks for longer than `rules.untold_ms` where none of these spans lies."""
    speech = record.branches.speech
    heard: list[Span] = (
        [*speech.turns, *(fact for fact in speech.facts if fact.human and fact.kind in SPOKEN)] if speech else []
    )
    heard += [
        event
        for event in record.events
        if event.score >= rules.min_score and audioset.class_of(event.label) == "speech"
    ]
    return any(gap.duration_ms > rules.untold_ms for stretch in union(heard) for gap in gaps(told, stretch))


def _agree(speech: SpeechAnnotation) -> bool:
    """Whether words and sentences say the same."""
    sentences = "".join(fact.text for _, fact in _sentences(speech))
    return not sentences or _bare(sentences) == _bare("".join(word.text for word in speech.words))


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _runs(words: Sequence[Word]) -> list[tuple[str | None, list[Word]]]:
    """Words in a row by one speaker."""
    in_order = sorted(words, key=lambda word: (word.start_ms, word.end_ms))
    return [(name, list(run)) for name, run in groupby(in_order, key=lambda word: word.speaker)]


def _together(texts: Sequence[str], language: str | None) -> str:
    space = "" if language in SPACELESS else " "
    return space.join(text for text in texts if text)


def _bracketed(record: Record, pieces: Sequence[tuple[int, int, str, str | None]]) -> str:
    """The pieces between their times; nothing where one of them cannot be written so that it is read back."""
    utterances = [
        transcript.Utterance(
            start_ms=start_ms - record.start_ms,
            end_ms=end_ms - record.start_ms,
            text=transcript.plain(line(text)),
            speaker=speaker,
        )
        for start_ms, end_ms, text, speaker in sorted(pieces, key=lambda piece: piece[:2])
    ]
    try:
        return transcript.write(utterances)
    except SchemaError:
        return ""
