"""The speech branch with trained models: what is said, in which words, by whom, and how each voice sounds.

    speech of the segment -> stretches of up to 30 s -> words -> doubts -> a second recogniser -> told or withheld
    -> exact times -> who speaks when, over all clips of a recording -> each word's speaker -> sentences
    -> each speaker's voice described by an audio language model

The order is that of the pipelines of MOSS-Audio and of WhisperX (Bain et al., Interspeech 2023). What only adds to
the words may fail without costing them: a second recogniser, the aligner and the captioner leave a doubt where they
do not answer. A recogniser or a diarizer that fails raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress

from annotators.base import Captioner, Diarizer, Transcriber, Transcript
from annotators.conversation import Found, TellingRules, inside, told
from annotators.diarization.joining import joined
from annotators.diarization.pyannote import PyannoteConfig
from annotators.portraits import Portrait, PortraitRules, portraits_of, prompt_of
from annotators.recognition.agreement import AgreementRules
from annotators.recognition.alignment import Aligner, AlignerConfig, Alignment, Unaligned, as_told, spread, unaligned
from annotators.recognition.doubts import DoubtRules, Said, doubts_of
from annotators.recognition.second import SecondOpinion
from annotators.recognition.stretches import joined as joined_transcripts
from annotators.recognition.whisper import WhisperConfig
from annotators.speech import stretches_of_speech
from annotators.trust import Weighed, weighed
from schemas.audio import Waveform
from schemas.batches import sparing
from schemas.config import Builds
from schemas.record import Annotation, Branch, Clip, Segment, Word, skipped
from schemas.span import Span, union


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchRules:
    """What of a segment is heard in one breath by the recogniser."""

    min_speech_ms: int = 300  # in the whole segment; less is a breath or a mistake of the detector
    pad_ms: int = 150  # of sound before and after, so that no first or last consonant is cut off
    max_ms: int = 30_000
    max_gap_ms: int = 3_000  # a longer silence parts two stretches: recognisers invent words in it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSpeechConfig:
    transcriber: Builds[Transcriber] = field(default_factory=WhisperConfig)
    second: SecondOpinion | None = None
    aligner: AlignerConfig | None = field(default_factory=AlignerConfig)
    diarizer: Builds[Diarizer] = field(default_factory=PyannoteConfig)
    captioner: Builds[Captioner] | None = None
    stretches: StretchRules = field(default_factory=StretchRules)
    doubts: DoubtRules = field(default_factory=DoubtRules)
    agreement: AgreementRules = field(default_factory=AgreementRules)
    portraits: PortraitRules = field(default_factory=PortraitRules)
    telling: TellingRules = field(default_factory=TellingRules)
    reach_ms: int = 500  # from a word to a turn, where nobody speaks at the word

    def build(self) -> "TrainedSpeechAnnotator":
        return TrainedSpeechAnnotator(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Words with times, and what was in the way of exact ones."""

    words: tuple[Word, ...] = ()
    troubles: tuple[str, ...] = ()


class TrainedSpeechAnnotator:
    branch = Branch.SPEECH

    def __init__(self, config: TrainedSpeechConfig) -> None:
        self._config = config
        self._transcriber: Transcriber = config.transcriber.build()
        self._second = config.second.build() if config.second else None
        self._aligner: Aligner | None = config.aligner.build() if config.aligner else None
        self._diarizer = config.diarizer.build()
        self._captioner = config.captioner.build() if config.captioner else None
        parts = (self._transcriber, self._second, self._aligner, self._diarizer, self._captioner)
        self.model = "+".join(part.model for part in parts if part)

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        """Raises RuntimeError where the recogniser does not answer."""
        min_ms = max(1, self._config.stretches.min_speech_ms)
        spoken_ms = [sum(stretch.duration_ms for stretch in stretches_of_speech(c.segment, 0)) for c in clips]
        made = iter(self._annotated([clip for clip, ms in zip(clips, spoken_ms, strict=True) if ms >= min_ms]))
        return [next(made) if ms >= min_ms else self._skipped(ms) for ms in spoken_ms]

    def _skipped(self, spoken_ms: int) -> Annotation:
        return skipped(self.branch, self.model, f"{spoken_ms / 1000:.2f} s of speech: too little to describe")

    def _annotated(self, clips: Sequence[Clip]) -> list[Annotation]:
        config = self._config
        if not clips:
            return []
        understood = self._understood(clips)
        timed = self._timed(clips, understood)
        heard = self._diarizer.diarize(clips)
        portraits: list[list[Portrait]] = [[] for _ in clips]
        if self._captioner:
            portraits = portraits_of(self._captioner, clips, heard, config.portraits)
        annotations: list[Annotation] = []
        for clip, weighed_here, words, who, seen in zip(clips, understood, timed, heard, portraits, strict=True):
            found = Found(
                transcript=joined_transcripts([one.said.transcript for one in weighed_here]),
                stretches=tuple(weighed_here),
                words=tuple(joined(inside(words.words, clip.segment), who.exclusive, config.reach_ms)),
                diarization=who,
                portraits=tuple(seen),
                troubles=words.troubles,
                prompts=(prompt_of(self._captioner),) if self._captioner and seen else (),
            )
            annotations.append(told(clip, found, config.telling, self.model))
        return annotations

    def _understood(self, clips: Sequence[Clip]) -> list[list[Weighed]]:
        """What is said in each stretch of each clip, and what speaks against it."""
        config = self._config
        asked = [(index, span) for index, clip in enumerate(clips) for span in to_hear(clip.segment, config.stretches)]
        waveforms = [clips[index].waveform.cut(span) for index, span in asked]
        transcripts = self._transcriber.transcribe(waveforms)
        for transcript in transcripts:
            if transcript.error:
                raise RuntimeError(f"{self._transcriber.model}: {transcript.error}")
        said = [
            Said(
                start_ms=span.start_ms,
                end_ms=span.end_ms,
                transcript=transcript,
                voice=tuple(stretches_of_speech(clips[index].segment, config.telling.bridge_ms)),
            )
            for (index, span), transcript in zip(asked, transcripts, strict=True)
        ]
        suspects = {index for (index, _), one in zip(asked, said, strict=True) if doubts_of(one, config.doubts)}
        again = [self._is_heard_again(clips[index].segment, index in suspects) for index, _ in asked]
        seconds = self._heard_again(waveforms, transcripts, again)
        made: list[list[Weighed]] = [[] for _ in clips]
        for (index, _), one, second in zip(asked, said, seconds, strict=True):
            made[index].append(weighed(one, second, config.agreement, config.doubts))
        return made

    def _is_heard_again(self, segment: Segment, suspect: bool) -> bool:
        return bool(self._config.second and self._config.second.asks(segment.key, suspect=suspect))

    def _heard_again(
        self, waveforms: Sequence[Waveform], transcripts: Sequence[Transcript], again: Sequence[bool]
    ) -> list[Transcript | None]:
        """What the second recogniser understands of those it is to hear; stretches of one language at a time."""
        heard: list[Transcript | None] = [None] * len(waveforms)
        second = self._second
        if second is None:
            return heard
        for language in sorted({one.language or "" for one in compress(transcripts, again)}):
            here = [n for n, one in enumerate(transcripts) if again[n] and (one.language or "") == language]
            answers = sparing(
                [waveforms[n] for n in here],
                partial(second.transcribe, language=language or None),
                lambda _, why: Transcript(text="", error=why),
                second.model,
            )
            for n, answer in zip(here, answers, strict=True):
                heard[n] = answer
        return heard

    def _timed(self, clips: Sequence[Clip], understood: Sequence[Sequence[Weighed]]) -> list[Timing]:
        """The words of each clip that may be told, with their times."""
        asked = [
            (index, unaligned(clips[index].waveform.cut(one.said), one.said.transcript))
            for index, stretches in enumerate(understood)
            for one in stretches
            if one.is_told
        ]
        made = [Timing() for _ in clips]
        for (index, one), alignment in zip(asked, self._aligned([one for _, one in asked]), strict=True):
            before, here = made[index], timing_of(one, alignment)
            made[index] = Timing(words=before.words + here.words, troubles=before.troubles + here.troubles)
        return made

    def _aligned(self, asked: Sequence[Unaligned]) -> list[Alignment]:
        if self._aligner is None:
            return [Alignment(words=one.timed) for one in asked]
        return sparing(asked, self._aligner.align, as_told, self._aligner.model)


def timing_of(asked: Unaligned, alignment: Alignment) -> Timing:
    """The words as they were aligned, or as the recogniser timed them, or spread over the stretch.

    Each is as sure as the recogniser was of it, where that is known; as the aligner was, where not.
    """
    troubles = (alignment.reason,) if alignment.reason else ()
    words = alignment.words
    if not words:
        whole = Span.of(asked.waveform.start_ms, max(asked.waveform.end_ms, asked.waveform.start_ms + 1))
        return Timing(words=spread(asked.words, whole), troubles=(*troubles, "nobody knows when its words are said"))
    if len(words) == len(asked.timed):
        words = tuple(replace(word, score=by.score) for word, by in zip(words, asked.timed, strict=True))
    return Timing(words=words, troubles=troubles)


def to_hear(segment: Segment, rules: StretchRules) -> list[Span]:
    """Stretches of speech with some sound around them, as many together as the recogniser hears at once."""
    speech = stretches_of_speech(segment, 0)
    padded = (Span.of(max(0, s.start_ms - rules.pad_ms), s.end_ms + rules.pad_ms).clipped(segment) for s in speech)
    packed: list[Span] = []
    for span in union(one for one in padded if one):
        last = packed[-1] if packed else None
        near = last and span.start_ms - last.end_ms <= rules.max_gap_ms
        if last and near and span.end_ms - last.start_ms <= rules.max_ms:
            packed[-1] = Span.of(last.start_ms, span.end_ms)
        else:
            packed.append(span)
    return packed
