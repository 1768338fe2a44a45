"""What a person wrote down of speech, as the speech branch tells it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from annotators.sentences import VOICE, WORDS
from annotators.speech import COUNTS
from schemas import audioset
from schemas.formats import transcript
from schemas.labels import LabelledSentence, Labels
from schemas.record import Annotation, Clip, Fact, Outcome, Speaker, SpeechAnnotation, Turn, Word
from schemas.span import Span, Union, at_once, union

PAUSE_MS = 500  # a longer one between two words that are in no sentence begins another
TOLD_OVERLAP_MS = 500  # two at once, to be told
VOICES, OVERLAP, PAUSE = "voices", "overlap", "pause"
SPEECH = "Speech"  # the label that says no more than that somebody speaks


def speech_as_labelled(labels: Labels, clip: Clip, inner: Annotation) -> SpeechAnnotation | None:
    """The transcript, the turns and the words of a person; None where they wrote nothing of speech."""
    known = ((event, audioset.known(event.label)) for event in labels.events)
    named = [(event, label) for event, label in known if label and label.coarse == "speech"]
    if not labels.speech and not named and not labels.notes:
        return None
    base = inner if isinstance(inner, SpeechAnnotation) and inner.outcome is Outcome.OK else None
    names = _names(labels)
    sentences = [replace(one, speaker=names.get(one.speaker or "")) for one in sentences_of(labels)]
    words = tuple(replace(word, speaker=names.get(word.speaker or "")) for word in labels.words)
    turns = [replace(turn, speaker=names[turn.speaker]) for turn in turns_of(labels)]
    overlaps = overlaps_of(turns)
    transcribed = [human_fact(one, WORDS, one.text, one.speaker) for one in sentences]
    spoken, written = Union([*sentences, *words, *turns]), Union(sentences)
    human = [
        *transcribed,
        *(human_fact(turn, "turn", "someone speaks", turn.speaker) for turn in turns if not written.meets(turn)),
        *(
            human_fact(event, "speech", label.words, label=label.name)
            for event, label in named
            if not spoken.meets(event)
        ),
        *_voices(turns),
        *(human_fact(span, OVERLAP, "two voices speak at once") for span in overlaps if _is_long(span)),
    ]
    if not human and base is None:
        return None
    several = len({turn.speaker for turn in turns}) > 1
    added = [fact for fact in (base.facts if base else ()) if not contradicts(fact, written, spoken, turns)]
    more = Union(added)
    human = [fact for fact in human if fact.label != SPEECH or not more.meets(fact)]  # they tell more
    facts = sorted([*human, *added], key=lambda fact: (fact.start_ms, fact.end_ms, not fact.human, fact.kind))
    base = base or SpeechAnnotation(outcome=Outcome.OK, model=inner.model)
    if sentences:
        text = words_told(sentences, base, clip.segment.start_ms)
        base = replace(
            base, text=text, words=words, score=1.0, second_text=None, disagreement=None, doubts=(), reason=None
        )
        base = replace(base, rate_wpm=_rate_wpm(sentences))
    if turns:
        at_once = Union(overlaps)
        marked = tuple(replace(turn, overlap=at_once.meets(turn)) for turn in turns)
        base = replace(base, turns=marked, overlaps=tuple(overlaps), speakers=_speakers(labels, names))
    elif several:
        base = replace(base, speakers=_speakers(labels, names))
    return replace(
        base,
        facts=tuple(facts),
        language=labels.language or base.language,
        language_score=1.0 if labels.language else base.language_score,
        reason="; ".join(labels.notes) or base.reason,
        pauses=tuple(pause for pause in base.pauses if not spoken.meets(pause)),
    )


def sentences_of(labels: Labels) -> list[LabelledSentence]:
    """The sentences as they were written, and those that the words outside of them make."""
    written = Union(labels.sentences)
    loose = [word for word in labels.words if not written.meets(word)]
    made: list[list[Word]] = []
    for word in loose:
        last = made[-1][-1] if made else None
        if last and word.start_ms - last.end_ms <= PAUSE_MS and word.speaker == last.speaker:
            made[-1].append(word)
        else:
            made.append([word])
    grown = [
        LabelledSentence(
            start_ms=part[0].start_ms,
            end_ms=max(word.end_ms for word in part),
            text=" ".join(word.text for word in part),
            speaker=part[0].speaker,
        )
        for part in made
    ]
    readable = (replace(one, text=transcript.plain(one.text)) for one in (*labels.sentences, *grown))
    return sorted((one for one in readable if one.text), key=lambda one: (one.start_ms, one.end_ms))


def turns_of(labels: Labels) -> list[Turn]:
    """The turns as they were marked; without any, one for each run of sentences or words of one named speaker."""
    if labels.turns:
        return sorted(labels.turns, key=lambda turn: (turn.start_ms, turn.end_ms))
    named = sorted((one.start_ms, one.end_ms, one.speaker) for one in sentences_of(labels) if one.speaker)
    turns = []
    for speaker, run in groupby(named, key=lambda one: one[2]):
        parts = list(run)
        turns.append(Turn(start_ms=parts[0][0], end_ms=max(end for _, end, _ in parts), speaker=speaker))
    return turns


def overlaps_of(turns: Sequence[Turn]) -> list[Span]:
    """Where two speakers have turns at once."""
    by_speaker: dict[str, list[Turn]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker, []).append(turn)
    return at_once(by_speaker.values())


def contradicts(fact: Fact, written: Union, spoken: Union, turns: Sequence[Turn]) -> bool:
    """Whether what a model says of the speech goes against a person.

    Other words for what is transcribed; silence where somebody speaks; and with turns, another count of voices and
    a voice whose stretch is not one speaker's, or which is counted among several that a person did not tell apart so.
    """
    if fact.kind == WORDS:
        return written.meets(fact)
    if fact.kind == PAUSE:
        return spoken.meets(fact)
    if not turns:
        return False
    whose = {turn.speaker for turn in turns if turn.overlap_ms(fact)}
    return fact.kind in (VOICES, OVERLAP) or (fact.kind == VOICE and (len(whose) > 1 or " voice," in fact.text))


def words_told(sentences: Sequence[LabelledSentence], base: SpeechAnnotation, start_ms: int) -> str:
    """The transcript with times from the segment's start; what a model heard outside of a person's stays in it."""
    written = Union(sentences)
    heard = [
        LabelledSentence(start_ms=fact.start_ms, end_ms=fact.end_ms, text=transcript.plain(fact.text))
        for fact in base.facts
        if fact.kind == WORDS and not written.meets(fact) and transcript.plain(fact.text)
    ]
    return transcript.write(
        [
            transcript.Utterance(start_ms=one.start_ms - start_ms, end_ms=one.end_ms - start_ms, text=one.text)
            for one in sorted([*sentences, *heard], key=lambda one: (one.start_ms, one.end_ms))
        ]
    )


def _names(labels: Labels) -> dict[str, str]:
    """What each speaker is called in the segment: by who begins first."""
    return {speaker: f"S{number:02d}" for number, speaker in enumerate(labels.named(), 1)}


def _speakers(labels: Labels, names: dict[str, str]) -> tuple[Speaker, ...]:
    voices = {speaker: f"V{number:02d}" for number, speaker in enumerate(labels.speakers, 1)}
    return tuple(Speaker(name=name, voice=voices.get(speaker)) for speaker, name in names.items())


def _voices(turns: Sequence[Turn]) -> list[Fact]:
    count = len({turn.speaker for turn in turns})
    if count not in COUNTS:
        return []
    whole = Span.of(min(turn.start_ms for turn in turns), max(turn.end_ms for turn in turns))
    in_order = sorted(turns, key=lambda turn: turn.start_ms)
    taking_turns = all(one.end_ms <= other.start_ms for one, other in pairwise(in_order))
    how = "take turns" if taking_turns else "are heard"
    return [human_fact(whole, VOICES, f"{COUNTS[count]} voices {how}")]


def _rate_wpm(sentences: Sequence[LabelledSentence]) -> float:
    spoken_ms = sum(span.duration_ms for span in union(sentences))
    return round(sum(len(one.text.split()) for one in sentences) * 60_000 / spoken_ms, 1)


def _is_long(span: Span) -> bool:
    return span.duration_ms >= TOLD_OVERLAP_MS


def human_fact(span: Span, kind: str, text: str, speaker: str | None = None, label: str | None = None) -> Fact:
    """What a person says of the span, and so sure."""
    return Fact(
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        kind=kind,
        text=text,
        score=1.0,
        speaker=speaker,
        label=label,
        human=True,
    )
