"""How each speaker of a clip sounds, in the words of an audio language model: thirteen phrases about a voice.

It hears what that speaker says alone, and nothing else of the clip. An answer that cannot be read describes nobody,
and says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotators.base import Captioner, Diarization, Question, Reply
from annotators.captions.chat import prompt_sha256
from annotators.captions.prompts import SPEECH_DESCRIPTION, SPEECH_SCHEMA
from schemas.audio import Waveform
from schemas.batches import sparing
from schemas.formats.speech_caption import SpeechCaption, parse
from schemas.record import Clip, Fact
from schemas.span import Span, sample_at


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitRules:
    min_ms: int = 2_000  # of a speaker alone; less is not described
    max_ms: int = 30_000  # of it that is sent, from the beginning
    gap_ms: int = 200  # of silence between what is put together
    max_tokens: int = 512  # of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """`trouble` says why there is no caption, where one was asked for."""

    speaker: str
    span: Span  # from the first to the last that was heard of the speaker
    caption: SpeechCaption | None = None
    trouble: str | None = None


def portraits_of(
    captioner: Captioner, clips: Sequence[Clip], heard: Sequence[Diarization], rules: PortraitRules
) -> list[list[Portrait]]:
    """One portrait for every speaker of a clip who is heard alone for long enough; all are asked for together.

    A captioner that breaks its contract and raises costs the descriptions it raises for, not the clips.
    """
    alone = [
        (index, speaker.name, heard_alone(one, speaker.name, clip.segment))
        for index, (clip, one) in enumerate(zip(clips, heard, strict=True))
        for speaker in one.speakers
    ]
    wanted = [one for one in alone if sum(span.duration_ms for span in one[2]) >= rules.min_ms]
    questions = [
        Question(
            waveform=put_together(clips[index].waveform, spans, rules),
            text=SPEECH_DESCRIPTION,
            schema=SPEECH_SCHEMA,
            max_tokens=rules.max_tokens,
        )
        for index, _, spans in wanted
    ]
    made: list[list[Portrait]] = [[] for _ in clips]
    for (index, name, spans), reply in zip(wanted, _asked(captioner, questions), strict=True):
        made[index].append(_portrait(name, Span.of(spans[0].start_ms, spans[-1].end_ms), reply))
    return made


def prompt_of(captioner: Captioner) -> str:
    """SHA-256 of what is asked of every voice."""
    return prompt_sha256(system="", template=SPEECH_DESCRIPTION, model=captioner.model, schema=SPEECH_SCHEMA)


def heard_alone(heard: Diarization, speaker: str, within: Span) -> list[Span]:
    """Where this speaker has the floor and nobody talks across, in order."""
    free = [Span.of(a, b) for a, b in pairwise([within.start_ms, *_edges(heard.overlaps), within.end_ms]) if a < b]
    free = [span for span in free if not any(span.overlap_ms(overlap) for overlap in heard.overlaps)]
    own = [turn for turn in heard.exclusive if turn.speaker == speaker]
    return [part for turn in own for span in free if (part := turn.clipped(span))]


def put_together(waveform: Waveform, spans: Sequence[Span], rules: PortraitRules) -> Waveform:
    """The sound of the spans one after the other, with short silences between, cut off at the most that is sent."""
    gap = np.zeros(sample_at(rules.gap_ms, waveform.rate_hz), np.int16)
    parts = [part for span in spans for part in (gap, waveform.cut(span).pcm)][1:]
    pcm = np.concatenate(parts)[: sample_at(rules.max_ms, waveform.rate_hz)]
    return Waveform(pcm=pcm, rate_hz=waveform.rate_hz, start_ms=spans[0].start_ms)


def description_fact(portrait: Portrait, score: float) -> Fact | None:
    """The summary of what is said of the voice."""
    text = portrait.caption.summary.rstrip(" .") if portrait.caption else ""
    if not text:
        return None
    span = portrait.span
    return Fact(
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        kind="description",
        text=text,
        score=score,
        speaker=portrait.speaker,
    )


def captions_by_speaker(portraits: Sequence[Portrait]) -> Mapping[str, SpeechCaption]:
    return {portrait.speaker: portrait.caption for portrait in portraits if portrait.caption}


def _asked(captioner: Captioner, questions: Sequence[Question]) -> list[Reply]:
    replies = sparing(questions, captioner.ask, lambda _, why: Reply(text="", error=why), captioner.model)
    if len(replies) != len(questions):
        raise RuntimeError(f"{captioner.model}: {len(replies)} replies to {len(questions)} questions")
    return replies


def _portrait(speaker: str, span: Span, reply: Reply) -> Portrait:
    parsed = parse(reply.text)
    if reply.error:
        return Portrait(speaker=speaker, span=span, trouble=f"{speaker} is not described: {reply.error}")
    if parsed.caption is None:
        missing = "nothing in it can be read" if not parsed.values else f"it lacks {', '.join(parsed.missing)}"
        trouble = f"{speaker} is not described: the answer is no description of a voice, {missing}"
        return Portrait(speaker=speaker, span=span, trouble=trouble)
    return Portrait(speaker=speaker, span=span, caption=parsed.caption)


def _edges(spans: Sequence[Span]) -> list[int]:
    return [at_ms for span in spans for at_ms in (span.start_ms, span.end_ms)]
