"""The speech branch on any CPU: what PocketSphinx understands, who speaks when and at once, and how each voice sounds.

Two things it does not know, and says so: which language it hears (the recogniser hears English in everything, so
`language` stays None), and often the words themselves. Words whose mean posterior is low are withheld, with the
reason; the voices are still described. Clean read English passes, conversation across a room hardly ever does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from annotators.recognition.sentences import Sentence, mean_score, sentence_of
from annotators.speakers.encoder import SpeakerEncoder
from annotators.speakers.overlap import Overlap, OverlapDetector, OverlapRules, marked, met, overlaps_of
from annotators.speakers.turns import TurnRules, turns_of, window_starts_ms
from annotators.voice import Take, Voice, described, rate_wpm, take, voice_of
from annotators.words import WordsConfig, in_order
from schemas.audio import Waveform
from schemas.record import Annotation, Branch, Clip, Fact, Outcome, Segment, SpeechAnnotation, Turn, Word
from schemas.span import Span, union

COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig:
    words: WordsConfig = field(default_factory=WordsConfig)
    turns: TurnRules = field(default_factory=TurnRules)
    overlap: OverlapRules = field(default_factory=OverlapRules)
    min_speech_ms: int = 300  # a shorter stretch is a breath or a mistake of the detector
    bridge_ms: int = 500  # stretches this close are heard in one breath
    pad_ms: int = 150  # of sound before and after, so that no first or last consonant is cut off
    pause_ms: int = 500  # a longer one between two words ends the sentence
    voice_gap_ms: int = 2_000  # after a longer silence a voice is described anew
    min_run_ms: int = 1_000  # of one voice, to be described where it has been before
    min_voice_ms: int = 2_000  # of every voice, for their number to be told
    min_pause_ms: int = 300
    told_pause_ms: int = 1_500  # a pause worth a sentence
    min_words_per_s: float = 0.5  # of speech; fewer are a hum or a chord that is like one of them
    min_voiced: float = 0.1  # share of the speech that has a pitch; noise taken for speech has none
    min_score: float = 0.42  # mean posterior of the words; clean read speech has about 0.6, conversation 0.3
    min_sentence_score: float = 0.35
    min_variety: float = 0.3  # share of different words in ten or more; less is a recogniser in a loop

    def build(self) -> "SpeechAnnotator":
        return SpeechAnnotator(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one speaker says before another does, or before a long silence."""

    speaker: str
    takes: tuple[Take, ...]

    @property
    def span(self) -> Span:
        return Span.of(self.takes[0].start_ms, self.takes[-1].end_ms)

    @property
    def spoken_ms(self) -> int:
        return sum(take.duration_ms for take in self.takes)


class SpeechAnnotator:
    branch = Branch.SPEECH

    def __init__(self, config: SpeechConfig) -> None:
        self._config = config
        self._recogniser = config.words.build()
        self._encoder = SpeakerEncoder()
        self._overlap_detector = OverlapDetector()
        self.model = f"{self._recogniser.model}+{self._encoder.model}+{self._overlap_detector.model}"

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
        return in_order(words, segment)

    def _turns(self, waveform: Waveform, speech: Sequence[Span], segment: Segment) -> list[Turn]:
        rules = self._config.turns
        starts_ms = window_starts_ms(speech, segment, rules)
        embeddings = self._encoder.hear(waveform, speech, starts_ms, rules.window_ms)
        return turns_of(embeddings, starts_ms, speech, segment, rules)

    def _told(self, clip: Clip, stretches: Sequence[Span], heard: Sequence[Word]) -> SpeechAnnotation:
        config, rules, segment = self._config, self._config.overlap, clip.segment
        speech = stretches_of_speech(segment, 0)
        asked = segment.profile.music <= rules.max_music
        overlaps = overlaps_of(self._overlap_detector.hear(clip.waveform), speech, segment, rules) if asked else []
        turns = self._turns(clip.waveform, speech, segment)
        runs = runs_of(clip.waveform, stretches, turns, config.voice_gap_ms)
        takes = [one for run in runs for one in run.takes]
        voice = voice_of(takes)
        doubt = doubts(heard, voice, sum(run.spoken_ms for run in runs), config)
        trusted = () if doubt else tuple(heard)
        sentences = sentences_of(trusted, config.pause_ms, turns)
        told = [sentence for sentence in sentences if sentence.score >= config.min_sentence_score]
        if num_left_out := len(sentences) - len(told):
            doubt = f"{num_left_out} of {len(sentences)} sentences withheld: their words are too unsure"
        pauses = pauses_of(segment, config.min_pause_ms)
        facts = [
            *(transcript(sentence) for sentence in told),
            *(voice_fact(segment, run, turns, trusted) for run in worth_telling(runs, config.min_run_ms)),
            *voices_fact(segment, runs, turns, config.min_voice_ms),
            *(pause_fact(segment, pause) for pause in pauses if pause.duration_ms >= config.told_pause_ms),
            *(overlap_fact(segment, overlap) for overlap in overlaps if is_clear(overlap, rules)),
        ]
        return SpeechAnnotation(
            outcome=Outcome.OK,
            model=self.model,
            reason=doubt,
            text="".join(bracketed(sentence, segment.start_ms) for sentence in told),
            facts=tuple(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind))),
            turns=tuple(marked(met(turns, overlaps, rules.reach_ms), overlaps, rules.min_ms) if asked else turns),
            words=tuple(word for sentence in told for word in sentence.words),
            pauses=tuple(pauses),
            overlaps=tuple(Span.of(overlap.start_ms, overlap.end_ms) for overlap in overlaps),
            pitch_hz=voice.pitch_hz,
            pitch_range_semitones=voice.pitch_range_semitones,
            rate_wpm=rate_wpm(len(trusted), takes),
            loudness_db=voice.loudness_db,
            score=mean_score(heard) if heard else None,
        )


def stretches_of_speech(segment: Segment, bridge_ms: int) -> list[Span]:
    """Where the segment's events say that someone speaks, inside the segment and in order."""
    speech = (event.clipped(segment) for event in segment.events if event.label == "Speech")
    return union((span for span in speech if span), bridge_ms=bridge_ms)


def doubts(words: Sequence[Word], voice: Voice, spoken_ms: int, config: SpeechConfig) -> str | None:
    """Why these words are better not told, or None where they may be."""
    if not words:
        return "no words were understood"
    if len(words) < int(config.min_words_per_s * spoken_ms / 1000):
        return f"the words are withheld: {len(words)} in {spoken_ms / 1000:.1f} s is too few for speech"
    if voice.voiced_ratio < config.min_voiced:
        return f"the words are withheld: only {100 * voice.voiced_ratio:.0f} % of what is heard has a pitch"
    if (score := mean_score(words)) < config.min_score:
        return f"the words are withheld: their mean score {score:.2f} is below {config.min_score:.2f}"
    different = len({word.text for word in words})
    if len(words) >= 10 and different < config.min_variety * len(words):
        return f"the words are withheld: {different} different ones in {len(words)} is a recogniser in a loop"
    return None


def sentences_of(words: Sequence[Word], pause_ms: int, turns: Sequence[Turn] = ()) -> list[Sentence]:
    """The words parted at pauses longer than this, and where another speaker goes on."""
    parts: list[list[Word]] = []
    for word in words:
        last = parts[-1][-1] if parts else None
        near = last and word.start_ms - last.end_ms <= pause_ms
        if last and near and speaker_of(last, turns) == speaker_of(word, turns):
            parts[-1].append(word)
        else:
            parts.append([word])
    return [sentence_of(part) for part in parts]


def speaker_of(span: Span, turns: Sequence[Turn]) -> str | None:
    """Who has most of this span; None where nobody speaks."""
    most = max(turns, key=span.overlap_ms, default=None)
    return most.speaker if most and span.overlap_ms(most) else None


def transcript(sentence: Sentence) -> Fact:
    start_ms, end_ms = sentence.start_ms, sentence.end_ms
    return Fact(start_ms=start_ms, end_ms=end_ms, kind="transcript", text=sentence.text, score=sentence.score)


def bracketed(sentence: Sentence, segment_start_ms: int) -> str:
    """`[0.00]hello there[1.20]`, in seconds from the segment's start."""
    start_s, end_s = (sentence.start_ms - segment_start_ms) / 1000, (sentence.end_ms - segment_start_ms) / 1000
    return f"[{start_s:.2f}]{sentence.text}[{end_s:.2f}]"


def runs_of(waveform: Waveform, stretches: Sequence[Span], turns: Sequence[Turn], gap_ms: int) -> list[Run]:
    """The speech, turn by turn, turns of one speaker without a long gap between them together."""
    runs: list[Run] = []
    for turn in turns:
        takes = tuple(take(waveform, part) for stretch in stretches if (part := stretch.clipped(turn)))
        last = runs[-1] if runs else None
        if last and last.speaker == turn.speaker and turn.start_ms - last.span.end_ms <= gap_ms:
            runs[-1] = Run(speaker=turn.speaker, takes=(*last.takes, *takes))
        elif takes:
            runs.append(Run(speaker=turn.speaker, takes=takes))
    return runs


def worth_telling(runs: Sequence[Run], min_run_ms: int) -> list[Run]:
    """Everybody's longest, and all the others that are not too short."""
    longest = {run.speaker: run for run in sorted(runs, key=lambda run: run.spoken_ms)}
    return [run for run in runs if run.spoken_ms >= min_run_ms or run is longest[run.speaker]]


def certainty(segment: Segment, span: Span) -> float:
    """How sure the detector was that it is speech."""
    scores = [event.score for event in segment.events if event.label == "Speech" and event.overlap_ms(span)]
    return sum(scores) / len(scores) if scores else 0.0


def turn_score(turns: Sequence[Turn]) -> float:
    return sum(turn.score * turn.duration_ms for turn in turns) / sum(turn.duration_ms for turn in turns)


def voice_fact(segment: Segment, run: Run, turns: Sequence[Turn], words: Sequence[Word]) -> Fact:
    """How one voice sounds; as sure as the detector was that it is speech, and that it is this voice."""
    pace_wpm = rate_wpm(
        sum(speaker_of(word, turns) == run.speaker and run.span.overlap_ms(word) > 0 for word in words), run.takes
    )
    speakers = sorted({turn.speaker for turn in turns})
    mine = [turn for turn in turns if turn.speaker == run.speaker and turn.overlap_ms(run.span)]
    return Fact(
        start_ms=run.span.start_ms,
        end_ms=run.span.end_ms,
        kind="voice",
        text=described(voice_of(run.takes), pace_wpm, speakers.index(run.speaker) if len(speakers) > 1 else None),
        score=round(certainty(segment, run.span) * turn_score(mine), 3),
    )


def voices_fact(segment: Segment, runs: Sequence[Run], turns: Sequence[Turn], min_voice_ms: int) -> list[Fact]:
    """How many voices speak, where each of several is heard long enough to be sure."""
    spoken_ms: dict[str, int] = {}
    for run in runs:
        spoken_ms[run.speaker] = spoken_ms.get(run.speaker, 0) + run.spoken_ms
    if len(spoken_ms) not in COUNTS or min(spoken_ms.values()) < min_voice_ms:
        return []
    whole = Span.of(runs[0].span.start_ms, runs[-1].span.end_ms)
    score = round(certainty(segment, whole) * turn_score(turns), 3)
    text = f"{COUNTS[len(spoken_ms)]} voices take turns"
    return [Fact(start_ms=whole.start_ms, end_ms=whole.end_ms, kind="voices", text=text, score=score)]


def pauses_of(segment: Segment, min_pause_ms: int) -> list[Span]:
    """Where nobody speaks, between the first and the last of the speech."""
    speech = stretches_of_speech(segment, min_pause_ms - 1)
    return [Span.of(one.end_ms, other.start_ms) for one, other in pairwise(speech)]


def pause_fact(segment: Segment, pause: Span) -> Fact:
    """As sure as the detector was of the speech around it."""
    score = round(certainty(segment, segment), 3)
    return Fact(start_ms=pause.start_ms, end_ms=pause.end_ms, kind="pause", text="nobody speaks", score=score)


def is_clear(overlap: Overlap, rules: OverlapRules) -> bool:
    return overlap.duration_ms >= rules.told_ms and overlap.score >= rules.told_score


def overlap_fact(segment: Segment, overlap: Overlap) -> Fact:
    """As sure as the detectors were that it is speech, and that it is of two."""
    score = round(certainty(segment, overlap) * overlap.score, 3)
    start_ms, end_ms = overlap.start_ms, overlap.end_ms
    return Fact(start_ms=start_ms, end_ms=end_ms, kind="overlap", text="two voices speak at once", score=score)
