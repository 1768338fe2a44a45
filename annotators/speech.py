"""The speech branch on any CPU: what PocketSphinx understands, when, and how the voice sounds.

Three things it does not know, and says so: who speaks (every turn is of "S00", the speaker nobody told
apart), which language it hears (the recogniser hears English in everything, so `language` stays None), and
often the words themselves. Words whose mean posterior is low are withheld, with the reason; the voice is
still described. Clean read English passes, conversation across a room hardly ever does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from annotators.voice import Take, described, rate_wpm, take, voice_of
from annotators.words import WordsConfig
from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Clip, Fact, Outcome, Segment, SpeechAnnotation, Turn, Word
from schemas.span import Span, union

UNKNOWN_SPEAKER = "S00"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig:
    words: WordsConfig = field(default_factory=WordsConfig)
    min_speech_ms: int = 300  # a shorter stretch is a breath or a mistake of the detector
    bridge_ms: int = 500  # stretches this close are heard in one breath
    pad_ms: int = 150  # of sound before and after, so that no first or last consonant is cut off
    pause_ms: int = 500  # a longer one between two words ends the sentence
    voice_gap_ms: int = 2_000  # after a longer silence a voice is described anew
    min_score: float = 0.42  # mean posterior of the words; clean read speech has about 0.6, conversation 0.3
    min_sentence_score: float = 0.35
    min_variety: float = 0.3  # share of different words in ten or more; less is a recogniser in a loop

    def build(self) -> "SpeechAnnotator":
        return SpeechAnnotator(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence(Span):
    """Words without a long pause between them."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def score(self) -> float:
        return mean_score(self.words)


class SpeechAnnotator:
    branch = Branch.SPEECH

    def __init__(self, config: SpeechConfig) -> None:
        self._config = config
        self._recogniser = config.words.build()
        self.model = self._recogniser.model

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        return [self._annotate(clip) for clip in clips]

    def _annotate(self, clip: Clip) -> SpeechAnnotation:
        config, segment = self._config, clip.segment
        stretches = stretches_of_speech(segment, config.bridge_ms)
        spoken_ms = sum(stretch.duration_ms for stretch in stretches)
        if spoken_ms < config.min_speech_ms:
            reason = f"{spoken_ms / 1000:.2f} s of speech: too little to describe"
            return SpeechAnnotation(outcome=Outcome.SKIPPED, model=self.model, reason=reason)
        return self._told(clip, stretches, self._words(clip.waveform, stretches, segment))

    def _words(self, waveform: Waveform, stretches: Sequence[Span], segment: Segment) -> list[Word]:
        pad_ms, words = self._config.pad_ms, list[Word]()
        padded = [Span.of(max(0, s.start_ms - pad_ms), s.end_ms + pad_ms).clipped(segment) for s in stretches]
        for stretch in union(span for span in padded if span):
            words += self._recogniser.hear(waveform.cut(stretch))
        return [word for word in words if segment.contains(word)]

    def _told(self, clip: Clip, stretches: Sequence[Span], heard: Sequence[Word]) -> SpeechAnnotation:
        doubt = doubts(heard, self._config)
        trusted = () if doubt else tuple(heard)
        sentences = sentences_of(trusted, self._config.pause_ms)
        told = [sentence for sentence in sentences if sentence.score >= self._config.min_sentence_score]
        if num_left_out := len(sentences) - len(told):
            doubt = f"{num_left_out} of {len(sentences)} sentences withheld: their words are too unsure"
        takes = [take(clip.waveform, stretch) for stretch in stretches]
        voice = voice_of(takes)
        voices = [voice_fact(clip.segment, run, trusted) for run in voices_of(takes, self._config.voice_gap_ms)]
        facts = [*(transcript(sentence) for sentence in told), *voices]
        return SpeechAnnotation(
            outcome=Outcome.OK,
            model=self.model,
            reason=doubt,
            text="".join(bracketed(sentence, clip.segment.start_ms) for sentence in told),
            facts=tuple(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind))),
            turns=tuple(Turn(speaker=UNKNOWN_SPEAKER, start_ms=s.start_ms, end_ms=s.end_ms) for s in stretches),
            words=tuple(word for sentence in told for word in sentence.words),
            pitch_hz=voice.pitch_hz,
            pitch_range_semitones=voice.pitch_range_semitones,
            rate_wpm=rate_wpm(len(trusted), stretches),
            loudness_db=voice.loudness_db,
            score=mean_score(heard) if heard else None,
        )


def stretches_of_speech(segment: Segment, bridge_ms: int) -> list[Span]:
    """Where the segment's events say that someone speaks, inside the segment and in order."""
    speech = (event.clipped(segment) for event in segment.events if event.label == "Speech")
    return union((span for span in speech if span), bridge_ms=bridge_ms)


def mean_score(words: Sequence[Word]) -> float:
    return round(sum(word.score for word in words) / len(words), 3)


def doubts(words: Sequence[Word], config: SpeechConfig) -> str | None:
    """Why these words are better not told, or None where they may be."""
    if not words:
        return "no words were understood"
    if (score := mean_score(words)) < config.min_score:
        return f"the words are withheld: their mean score {score:.2f} is below {config.min_score:.2f}"
    different = len({word.text for word in words})
    if len(words) >= 10 and different < config.min_variety * len(words):
        return f"the words are withheld: {different} different ones in {len(words)} is a recogniser in a loop"
    return None


def sentences_of(words: Sequence[Word], pause_ms: int) -> list[Sentence]:
    """The words parted at pauses longer than this."""
    parts: list[list[Word]] = []
    for word in words:
        if parts and word.start_ms - parts[-1][-1].end_ms <= pause_ms:
            parts[-1].append(word)
        else:
            parts.append([word])
    return [Sentence(start_ms=p[0].start_ms, end_ms=p[-1].end_ms, words=tuple(p)) for p in parts]


def transcript(sentence: Sentence) -> Fact:
    span = {"start_ms": sentence.start_ms, "end_ms": sentence.end_ms}
    return Fact(**span, kind="transcript", text=sentence.text, score=sentence.score)


def bracketed(sentence: Sentence, segment_start_ms: int) -> str:
    """`[0.00]hello there[1.20]`, in seconds from the segment's start."""
    start_s, end_s = (sentence.start_ms - segment_start_ms) / 1000, (sentence.end_ms - segment_start_ms) / 1000
    return f"[{start_s:.2f}]{sentence.text}[{end_s:.2f}]"


def voices_of(takes: Sequence[Take], gap_ms: int) -> list[list[Take]]:
    """Runs of takes in one register without a long gap: a change of register may be a change of speaker."""
    runs: list[list[Take]] = []
    for one in takes:
        last = runs[-1][-1] if runs else None
        near = last and one.start_ms - last.end_ms <= gap_ms
        if last and near and voice_of([one]).register == voice_of([last]).register:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def voice_fact(segment: Segment, takes: Sequence[Take], words: Sequence[Word]) -> Fact:
    """How one voice sounds; as sure as the detector was that it is speech."""
    whole = Span.of(takes[0].start_ms, takes[-1].end_ms)
    pace_wpm = rate_wpm(sum(whole.overlap_ms(word) > 0 for word in words), takes)
    scores = [e.score for e in segment.events if e.label == "Speech" and e.overlap_ms(whole)]
    return Fact(
        start_ms=whole.start_ms,
        end_ms=whole.end_ms,
        kind="voice",
        text=described(voice_of(takes), pace_wpm),
        score=round(sum(scores) / len(scores), 3),
    )
