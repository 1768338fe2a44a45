"""What is sung: when a recogniser is asked at all, and which of its words are believed.

Recognisers write words into music that has none. So they are asked only where singing is heard, or speech that the
music outweighs, and what they write must pass the rules of `annotators.recognition.doubts`. A phrase that is often
written where nobody speaks is withheld here even where speech would keep it; that a song repeats itself is no doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from annotators.base import Transcript
from annotators.recognition.agreement import Verdict
from annotators.recognition.doubts import DoubtRules, Said, doubts_of, is_a_credit, is_a_farewell, verdict_of
from annotators.recognition.sentences import Sentence, SentenceRules, sentences_of
from schemas import audioset
from schemas.record import Clip, Word
from schemas.span import Span, union

SINGING = "Singing"


@dataclass(frozen=True, slots=True, kw_only=True)
class LyricsRules:
    min_singing: float = 0.3  # of profile.singing, or of the score of an event
    min_speech: float = 0.3  # of profile.speech: a voice that may sing
    outweighs: float = 1.0  # times the speech, from which the music makes a song of it
    bridge_ms: int = 2_000  # singing this close is one stretch
    margin_ms: int = 500  # a word begins before a tagger is sure of it
    min_ms: int = 1_000  # of a stretch
    min_score: float = 0.4  # mean of the words of a line
    lines: SentenceRules = field(default_factory=lambda: SentenceRules(pause_ms=600, max_ms=10_000))
    doubts: DoubtRules = field(default_factory=DoubtRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lyrics:
    lines: tuple[Sentence, ...] = ()
    language: str | None = None  # ISO 639-1
    withheld: tuple[str, ...] = ()  # why words were not told


def singing_in(clip: Clip, span: Span, rules: LyricsRules) -> list[Span]:
    """Where in the music someone may sing; nowhere where neither a tagger nor the profile hears it."""
    marked = [
        part
        for event in clip.segment.events
        if event.score >= rules.min_singing and audioset.is_kind(event.label, SINGING) and (part := event.clipped(span))
    ]
    profile = clip.segment.profile
    if not marked:
        over_music = profile.speech >= rules.min_speech and profile.music >= rules.outweighs * profile.speech
        marked = [span] if profile.singing >= rules.min_singing or over_music else []
    wide = (Span.of(max(0, part.start_ms - rules.margin_ms), part.end_ms + rules.margin_ms) for part in marked)
    stretches = (part.clipped(span) for part in union(wide, bridge_ms=rules.bridge_ms))
    return [part for part in stretches if part and part.duration_ms >= rules.min_ms]


def lyrics_of(heard: Sequence[tuple[Span, Transcript]], rules: LyricsRules) -> Lyrics:
    """The lines of all stretches that are believed; the language of the stretch with most of their words."""
    lines: list[Sentence] = []
    withheld: list[str] = []
    counts: dict[str, int] = {}
    for stretch, transcript in heard:
        kept, reasons = lines_of(stretch, transcript, rules)
        lines += kept
        withheld += reasons
        if kept and transcript.language:
            counts[transcript.language] = counts.get(transcript.language, 0) + sum(len(line.words) for line in kept)
    language = max(counts, key=lambda code: (counts[code], code)) if counts else None
    return Lyrics(lines=tuple(lines), language=language, withheld=tuple(withheld))


def lines_of(stretch: Span, transcript: Transcript, rules: LyricsRules) -> tuple[list[Sentence], list[str]]:
    """The lines of one stretch that are believed, and why the rest is not."""
    troubles = [transcript.error] if transcript.error else []
    if not transcript.text.strip():
        return [], troubles
    words = words_in(stretch, transcript)
    whole = replace(transcript, words=words)
    if reason := _against(stretch, whole, rules):
        return [], [*troubles, reason]
    kept: list[Sentence] = []
    reasons = troubles
    for line in sentences_of(words, rules.lines, transcript.language):
        said = Transcript(text=line.text, words=line.words, language=transcript.language, score=line.score)
        reason = _against(Span.of(line.start_ms, line.end_ms), said, rules)
        if not reason and line.score < rules.min_score:
            reason = f"the recogniser is sure of {line.text!r} by {line.score:.2f}, less than {rules.min_score:.2f}"
        if reason:
            reasons.append(reason)
        else:
            kept.append(line)
    return kept, reasons


def words_in(stretch: Span, transcript: Transcript) -> tuple[Word, ...]:
    """The words clipped to their stretch, in time order; the whole text as one where the recogniser tells no times."""
    if not transcript.words:
        score = transcript.score if transcript.score is not None else 0.0
        text = " ".join(transcript.text.split())
        return (Word(start_ms=stretch.start_ms, end_ms=stretch.end_ms, text=text, score=score),)
    inside = [
        replace(word, start_ms=part.start_ms, end_ms=part.end_ms)
        for word in transcript.words
        if word.text.strip() and (part := word.clipped(stretch))
    ]
    return tuple(sorted(inside, key=lambda word: (word.start_ms, word.end_ms)))


def _against(span: Span, transcript: Transcript, rules: LyricsRules) -> str | None:
    """The first thing that speaks against it so much that it is withheld."""
    said = Said(start_ms=span.start_ms, end_ms=span.end_ms, transcript=transcript)
    for rule in (is_a_credit, is_a_farewell):
        if reason := rule(said, rules.doubts):
            return reason
    doubts = doubts_of(said, rules.doubts)
    if verdict_of(doubts) is not Verdict.DROP:
        return None
    return next(doubt.reason for doubt in doubts if doubt.verdict is Verdict.DROP)
