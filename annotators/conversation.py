"""What is told of the speech of a clip, put together from what each part of the branch found. Pure, but for listening
to the pitch of the voices."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from annotators.base import Diarization, Transcript
from annotators.portraits import Portrait, captions_by_speaker, description_fact
from annotators.recognition.sentences import Sentence, SentenceRules, sentences_of, written
from annotators.recognition.stretches import is_spaceless
from annotators.speakers.overlap import Overlap
from annotators.speech import (
    Run,
    overlap_fact,
    pause_fact,
    pauses_of,
    runs_of,
    stretches_of_speech,
    voice_fact,
    voices_fact,
    worth_telling,
)
from annotators.trust import Weighed, disagreement, second_text, withheld
from annotators.voice import rate_wpm, take, voice_of
from schemas.formats.transcript import plain
from schemas.record import Clip, Fact, Outcome, Segment, Speaker, SpeechAnnotation, Word
from schemas.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingRules:
    sentences: SentenceRules = field(default_factory=SentenceRules)
    bridge_ms: int = 500  # stretches this close are one, where a voice is measured
    voice_gap_ms: int = 2_000  # after a longer silence a voice is described anew
    min_run_ms: int = 1_000  # of one voice, to be described where it has been before
    min_voice_ms: int = 2_000  # of every voice, for their number to be told
    min_pause_ms: int = 300
    told_pause_ms: int = 1_500  # a pause worth a sentence
    told_overlap_ms: int = 400  # an overlap worth a sentence
    overlap_score: float = 0.85  # of an overlap: the diarizer tells none
    description_score: float = 0.5  # of a description: the captioner tells none


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the parts of the branch found in one clip."""

    transcript: Transcript  # of all stretches together
    stretches: tuple[Weighed, ...]
    words: tuple[Word, ...]  # those that may be told, each with its speaker
    diarization: Diarization
    portraits: tuple[Portrait, ...] = ()
    troubles: tuple[str, ...] = ()  # what went wrong besides
    prompts: tuple[str, ...] = ()


def told(clip: Clip, found: Found, rules: TellingRules, model: str) -> SpeechAnnotation:
    segment, heard, transcript = clip.segment, found.diarization, found.transcript
    sentences = sentences_of(found.words, rules.sentences, transcript.language)
    speech = stretches_of_speech(segment, rules.bridge_ms)
    runs = runs_of(clip.waveform, speech, heard.exclusive, rules.voice_gap_ms)
    takes = [one for run in runs for one in run.takes] or [take(clip.waveform, stretch) for stretch in speech]
    voice = voice_of(takes)
    counted = () if is_spaceless(transcript.text, transcript.language) else found.words  # words a minute need words
    pauses = pauses_of(segment, rules.min_pause_ms)
    overlaps = [
        Overlap(start_ms=span.start_ms, end_ms=span.end_ms, score=rules.overlap_score)
        for span in heard.overlaps
        if span.duration_ms >= rules.told_overlap_ms
    ]
    facts = [
        *(fact for sentence in sentences if (fact := transcript_fact(sentence))),
        *(voice_facts(segment, runs, heard, counted, rules)),
        *voices_fact(segment, runs, heard.exclusive, rules.min_voice_ms),
        *(pause_fact(segment, pause) for pause in pauses if pause.duration_ms >= rules.told_pause_ms),
        *(overlap_fact(segment, overlap) for overlap in overlaps),
        *(fact for one in found.portraits if (fact := description_fact(one, rules.description_score))),
    ]
    return SpeechAnnotation(
        outcome=Outcome.OK,
        model=model,
        reason=withheld(found.stretches),
        text=written(sentences, segment),
        facts=tuple(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind, fact.text))),
        prompts=found.prompts,
        language=transcript.language,
        language_score=transcript.language_score,
        score=transcript.score,
        turns=heard.turns,
        words=found.words,
        pauses=tuple(pauses),
        overlaps=heard.overlaps,
        speakers=speakers_of(heard, found.portraits),
        second_text=second_text(found.stretches),
        disagreement=disagreement(found.stretches),
        doubts=doubts_of(found),
        rate_wpm=rate_wpm(len(counted), takes),
        pitch_hz=voice.pitch_hz,
        pitch_range_semitones=voice.pitch_range_semitones,
        loudness_db=voice.loudness_db,
    )


def transcript_fact(sentence: Sentence) -> Fact | None:
    """None where nothing is left of the text without what would be read as a time."""
    text = plain(sentence.text)
    if not text:
        return None
    return Fact(
        start_ms=sentence.start_ms,
        end_ms=sentence.end_ms,
        kind="transcript",
        text=text,
        score=sentence.score,
        speaker=sentence.speaker,
    )


def voice_facts(
    segment: Segment, runs: Sequence[Run], heard: Diarization, words: Sequence[Word], rules: TellingRules
) -> list[Fact]:
    """How each voice sounds, as `speech.voice_fact` tells it, and whose it is."""
    return [
        replace(voice_fact(segment, run, heard.exclusive, words), speaker=run.speaker)
        for run in worth_telling(runs, rules.min_run_ms)
    ]


def speakers_of(heard: Diarization, portraits: Sequence[Portrait]) -> tuple[Speaker, ...]:
    captions = captions_by_speaker(portraits)
    return tuple(replace(speaker, description=captions.get(speaker.name)) for speaker in heard.speakers)


def doubts_of(found: Found) -> tuple[str, ...]:
    """All that speaks against the words, and what went wrong, each once."""
    against = [doubt for one in found.stretches for doubt in one.doubts]
    missing = [one.trouble for one in found.portraits if one.trouble]
    return tuple(dict.fromkeys([*against, *found.troubles, *missing]))


def inside(words: Sequence[Word], within: Span) -> tuple[Word, ...]:
    """The words, cut where rounding has moved an edge out; none is lost of those that begin inside."""
    clipped = [(word, part) for word in words if (part := word.clipped(within))]
    return tuple(replace(word, start_ms=part.start_ms, end_ms=part.end_ms) for word, part in clipped)
