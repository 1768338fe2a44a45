"""The sound branch of trained models: what the detector named, what can be measured of it, what a captioner heard.

The tagger has run once, in the detector: its events are in the segment. Each becomes a fact with its name, and with its
physics where it sounds alone. What is left there as "Sound" has no name, and is told as measurements only. An audio
language model, where there is one, lists events with times and describes the whole in its own words. A name holds under
speech too: what is known to be a dog needs no silence around it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotators.base import Captioner, Question, Reply
from annotators.captions.prompts import SOUND_DESCRIPTION, SOUND_TIMELINE
from annotators.describe import describe
from annotators.sound import MODEL as MEASUREMENTS
from annotators.sound import SoundConfig, in_rows, inside, longest_outside, measured_fact
from annotators.timbre import measured
from schemas import audioset
from schemas.config import Builds
from schemas.errors import ConfigError
from schemas.formats import timeline
from schemas.record import Annotation, Branch, Clip, Event, Fact, Outcome, SoundAnnotation
from schemas.span import Span

NAMES = "audioset-names@1"  # counts up when a rule of this file changes
EVENT, CAPTION, TIMELINE = "event", "caption", "timeline"  # the kinds of fact besides those that are measured
SPEECH, MUSIC, SOUND = "Speech", "Music", "Sound"  # what the detector calls an event whose source it does not name
NOTHING_SURE = ("faint",)  # descriptions that add nothing to a name
MAX_SENTENCES, MAX_LINES, MAX_LETTERS = 12, 64, 300  # of what a captioner says; one that babbles on is cut short
_SENTENCE_END = re.compile(r"(?<=[.!?。！？]) ")
_FIRST_WORD = re.compile(r"[A-Z][a-z]*(?= |$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSoundConfig:
    captioner: Builds[Captioner] | None = None
    describes: bool = True  # whether the captioner is asked what the whole sounds like
    lists: bool = True  # whether it is asked for events with their times
    caption_score: float = 0.5  # of what a captioner says: it does not know how sure it is
    timeline_score: float = 0.5
    sure: float = 0.5  # from which score on a physical description is told with a name
    told: tuple[str, ...] = (  # coarse classes whose names are told here; of the others, other branches tell
        "human_voice",
        "natural_sounds",
        "source_ambiguous",
        "sounds_of_things",
        "environment",
        "animal",
    )
    measured: SoundConfig = field(default_factory=SoundConfig)

    def __post_init__(self) -> None:
        for name in ("caption_score", "timeline_score", "sure"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..1, as scores do")

    def build(self) -> "TrainedSoundAnnotator":
        return TrainedSoundAnnotator(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a captioner said of one clip, and what it failed to say."""

    facts: tuple[Fact, ...] = ()
    caption: str = ""
    troubles: tuple[str, ...] = ()


class TrainedSoundAnnotator:
    branch = Branch.SOUND

    def __init__(self, config: TrainedSoundConfig) -> None:
        self._config = config
        self._captioner = config.captioner.build() if config.captioner else None
        models = [NAMES, MEASUREMENTS, *([self._captioner.model] if self._captioner else [])]
        self.model = "+".join(models)
        asked = {SOUND_TIMELINE: config.lists, SOUND_DESCRIPTION: config.describes}
        self._prompts = tuple(prompt for prompt, is_asked in asked.items() if is_asked and self._captioner)

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        replies = self._asked(clips)
        return [self._annotation(clip, answers) for clip, answers in zip(clips, replies, strict=True)]

    def _asked(self, clips: Sequence[Clip]) -> list[dict[str, Reply]]:
        """The captioner's reply to each prompt, for each clip."""
        if not self._captioner or not self._prompts:
            return [{} for _ in clips]
        questions = [Question(waveform=clip.waveform, text=prompt) for clip in clips for prompt in self._prompts]
        replies = self._captioner.ask(questions)
        if len(replies) != len(questions):
            raise RuntimeError(f"{self._captioner.model}: {len(replies)} replies to {len(questions)} questions")
        step = len(self._prompts)
        return [dict(zip(self._prompts, replies[i : i + step], strict=True)) for i in range(0, len(replies), step)]

    def _annotation(self, clip: Clip, replies: dict[str, Reply]) -> SoundAnnotation:
        named = [fact for event in clip.segment.events if (fact := named_fact(clip, event, self._config))]
        measured_only = unnamed_facts(clip, self._config)
        said = read(clip, replies, self._config)
        heard = _in_order([*named, *measured_only])
        facts = _in_order([*heard, *said.facts])
        prompts = tuple(hashlib.sha256(prompt.encode()).hexdigest() for prompt in replies)
        reason = "; ".join(said.troubles) or None
        if facts:
            outcome = Outcome.OK
        elif said.troubles:
            outcome = Outcome.FAILED
        else:
            outcome, reason = Outcome.SKIPPED, "no sound that has a name or can be measured apart from speech and music"
        return SoundAnnotation(
            outcome=outcome,
            model=self.model,
            reason=reason,
            text="; ".join(fact.text for fact in heard),
            facts=tuple(facts),
            caption=said.caption,
            prompts=prompts,
        )


def named_fact(clip: Clip, event: Event, config: TrainedSoundConfig) -> Fact | None:
    """An event that has a name, told in plain words, and with its physics where it sounds alone and they are sure."""
    label = audioset.known(event.label)
    span = inside(clip, event)
    if label is None or event.label in (SPEECH, MUSIC) or label.coarse not in config.told or span is None:
        return None
    text = label.words
    if physics := _physics(clip, event, span, config):
        text = f"{text} ({physics})"
    return Fact(
        start_ms=span.start_ms, end_ms=span.end_ms, kind=EVENT, text=text, score=round(event.score, 3), label=label.name
    )


def unnamed_facts(clip: Clip, config: TrainedSoundConfig) -> list[Fact]:
    """The sounds that nobody named, as measurements."""
    sounds = [event for event in clip.segment.events if event.label == SOUND]
    facts = [fact for event in sounds if (fact := measured_fact(clip, event, config.measured))]
    return in_rows(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind)), config.measured)


def read(clip: Clip, replies: dict[str, Reply], config: TrainedSoundConfig) -> Said:
    """The captioner's replies as facts."""
    facts: list[Fact] = []
    troubles: list[str] = []
    for prompt, asked_for in ((SOUND_TIMELINE, "timeline"), (SOUND_DESCRIPTION, "description")):
        reply = replies.get(prompt)
        if reply and reply.trouble:
            troubles.append(f"the captioner gave no {asked_for}: {reply.trouble}")
    lines = replies.get(SOUND_TIMELINE)
    if lines and not lines.trouble:
        listed, trouble = timeline_facts(clip, _printable(lines.text), config.timeline_score)
        facts += listed
        troubles += [trouble] if trouble else []
    described = replies.get(SOUND_DESCRIPTION)
    caption = " ".join(_printable(described.text).split()) if described and not described.trouble else ""
    facts += caption_facts(clip, caption, config.caption_score)
    return Said(facts=tuple(facts), caption=caption, troubles=tuple(troubles))


def timeline_facts(clip: Clip, text: str, score: float) -> tuple[list[Fact], str | None]:
    """The events of a timeline, clipped to the segment; and what is to be said of lines that were left out."""
    segment = clip.segment
    told = timeline.parse(text)
    facts: list[Fact] = []
    outside = 0
    for item in told.items[:MAX_LINES]:
        start_ms = segment.start_ms + item.start_ms
        part = Span.of(start_ms, max(start_ms + 1, segment.start_ms + item.end_ms)).clipped(segment)
        words = _as_phrase(item.description)
        if part is None or not words:
            outside += 1
            continue
        label = audioset.known(item.description.rstrip(" ."))
        name = label.name if label else None
        facts.append(
            Fact(start_ms=part.start_ms, end_ms=part.end_ms, kind=TIMELINE, text=words, score=score, label=name)
        )
    left_out = {
        "after the end of the clip": outside,
        "without two times": len(told.unread),
        "too many": max(0, len(told.items) - MAX_LINES),
    }
    reasons = [f"{count} {why}" for why, count in left_out.items() if count]
    return facts, f"lines left out of the captioner's timeline: {', '.join(reasons)}" if reasons else None


def caption_facts(clip: Clip, caption: str, score: float) -> list[Fact]:
    """One fact for each sentence, over the whole clip."""
    sentences = [words for sentence in _SENTENCE_END.split(caption) if (words := _as_phrase(sentence))]
    segment = clip.segment
    return [
        Fact(start_ms=segment.start_ms, end_ms=segment.end_ms, kind=CAPTION, text=words, score=score)
        for words in sentences[:MAX_SENTENCES]
    ]


def _physics(clip: Clip, event: Event, span: Span, config: TrainedSoundConfig) -> str | None:
    """What measurements say of the event where nothing else is heard; None where that is nowhere or they are unsure."""
    others = [other for other in clip.segment.events if other.label != SOUND and not _same_sound(event, other)]
    alone = longest_outside(span, others)
    if alone is None or 2 * alone.duration_ms < span.duration_ms:
        return None
    described = describe(measured(clip.waveform.cut(alone)))
    return described.text if described.score >= config.sure and described.kind not in NOTHING_SURE else None


def _same_sound(one: Event, other: Event) -> bool:
    """Whether two events may be one sound: the same name, or one name above the other."""
    others_tell = other.label in (SPEECH, MUSIC)
    return one.label == other.label or (not others_tell and audioset.is_family(one.label, other.label))


def _as_phrase(sentence: str) -> str:
    """Words that can follow "From 0.3 to 2.2 s": without a full stop, and in lower case where that is safe."""
    words = " ".join(sentence.split())[:MAX_LETTERS].rstrip(" .。")
    if _FIRST_WORD.match(words) and not words.startswith("I "):
        words = words[0].lower() + words[1:]
    return words if any(c.isalnum() for c in words) else ""


def _printable(text: str) -> str:
    """Without control characters and halves of characters, which no file can hold; lines stay lines."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs") else " " for c in text)


def _in_order(facts: Sequence[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, fact.kind, fact.text))
