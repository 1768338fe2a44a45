"""The music branch of trained models: what is measured of it, what a tagger hears in it, what is sung, what it is like.

Tempo, meter, key, chords, sections and changes are measured as in `annotators/music.py`. Instruments, genres and moods
are the events that the detector has named. Where singing is heard a recogniser writes the words down. An audio language
model, told what was measured, describes the whole in its own words.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from annotators.base import Captioner, Question, Reply, Transcriber, Transcript
from annotators.captions.prompts import MUSIC_DESCRIPTION
from annotators.lyrics import Lyrics, LyricsRules, lyrics_of, singing_in
from annotators.music import MODEL as MEASUREMENTS
from annotators.music import MusicConfig, annotation_of, heard_in, music_span, too_little
from annotators.trained_sound import caption_facts
from schemas import audioset
from schemas.config import Builds
from schemas.errors import ConfigError
from schemas.record import Annotation, Branch, Clip, Event, Fact, MusicAnnotation, Outcome, Word
from schemas.span import Span, covered_ms, union

RULES = "music-by-name@1"  # counts up when a rule of this file or of annotators/lyrics.py changes
INSTRUMENT, GENRE, MOOD, SINGING, LYRICS, CAPTION = "instrument", "genre", "mood", "singing", "lyrics", "caption"
GROUPS = {INSTRUMENT: "Musical instrument", GENRE: "Music genre", MOOD: "Music mood", SINGING: "Singing"}
MEASURED = """\

These were measured in it, and are most likely right; hold to them where they fit what you hear, and do not list them:
{facts}"""
NO_MUSIC = "no music"
MAX_CAPTION_LETTERS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedMusicConfig:
    music: MusicConfig = field(default_factory=MusicConfig)
    transcriber: Builds[Transcriber] | None = None
    captioner: Builds[Captioner] | None = None
    lyrics: LyricsRules = field(default_factory=LyricsRules)
    min_event_score: float = 0.25  # of instruments, genres and moods
    bridge_ms: int = 2_000  # an instrument that rests no longer plays on
    throughout: float = 0.6  # share of the music from which an instrument is told of all of it
    max_names: int = 2  # of genres, and of moods, each
    caption_score: float = 0.5  # of what a captioner says: it does not know how sure it is

    def __post_init__(self) -> None:
        for name in ("min_event_score", "throughout", "caption_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..1")

    def build(self) -> "TrainedMusicAnnotator":
        return TrainedMusicAnnotator(self)


class TrainedMusicAnnotator:
    branch = Branch.MUSIC

    def __init__(self, config: TrainedMusicConfig) -> None:
        self._config = config
        self._transcriber = config.transcriber.build() if config.transcriber else None
        self._captioner = config.captioner.build() if config.captioner else None
        parts = (self._transcriber, self._captioner)
        self.model = "+".join([MEASUREMENTS, RULES, *(part.model for part in parts if part)])

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        spans = [music_span(clip, self._config.music.bridge_ms) for clip in clips]
        reasons = [too_little(clip, span, self._config.music) for clip, span in zip(clips, spans, strict=True)]
        with_music = [(clip, span) for clip, span, why in zip(clips, spans, reasons, strict=True) if span and not why]
        told = [
            with_names(self._measured(clip, span), clip, span, lyrics, self._config)
            for (clip, span), lyrics in zip(with_music, self._sung(with_music), strict=True)
        ]
        described = iter(self._described([clip for clip, _ in with_music], told))
        return [
            next(described) if not why else MusicAnnotation(outcome=Outcome.SKIPPED, model=self.model, reason=why)
            for why in reasons
        ]

    def _measured(self, clip: Clip, span: Span) -> MusicAnnotation:
        music = self._config.music
        heard = heard_in(clip.waveform.cut(span), span.duration_ms, music)
        return replace(annotation_of(heard, span, clip.segment.profile.music, music), model=self.model)

    def _sung(self, clips: Sequence[tuple[Clip, Span]]) -> list[Lyrics]:
        """All that is sung, in one batch: the recogniser is asked only where singing is heard."""
        if self._transcriber is None:
            return [Lyrics()] * len(clips)
        stretches = [singing_in(clip, span, self._config.lyrics) for clip, span in clips]
        sounds = [clip.waveform.cut(part) for (clip, _), parts in zip(clips, stretches, strict=True) for part in parts]
        transcripts: list[Transcript] = self._transcriber.transcribe(sounds) if sounds else []
        if len(transcripts) != len(sounds):
            raise RuntimeError(f"{self._transcriber.model}: {len(transcripts)} transcripts of {len(sounds)} stretches")
        rest = iter(transcripts)
        return [lyrics_of([(part, next(rest)) for part in parts], self._config.lyrics) for parts in stretches]

    def _described(self, clips: Sequence[Clip], told: Sequence[MusicAnnotation]) -> list[MusicAnnotation]:
        if self._captioner is None or not clips:
            return list(told)
        prompts = [prompt_of(annotation) for annotation in told]
        asked = [Question(waveform=clip.waveform, text=text) for clip, text in zip(clips, prompts, strict=True)]
        replies = self._captioner.ask(asked)
        if len(replies) != len(asked):
            raise RuntimeError(f"{self._captioner.model}: {len(replies)} replies to {len(asked)} questions")
        return [
            with_caption(annotation, clip, prompt, reply, self._config.caption_score)
            for annotation, clip, prompt, reply in zip(told, clips, prompts, replies, strict=True)
        ]


def with_names(
    measured: MusicAnnotation, clip: Clip, span: Span, lyrics: Lyrics, config: TrainedMusicConfig
) -> MusicAnnotation:
    """What was measured, with what the detector names in this stretch of music and what is sung there."""
    named = [fact for kind in GROUPS for fact in named_facts(clip, span, kind, config)]
    sung = [
        Fact(start_ms=line.start_ms, end_ms=line.end_ms, kind=LYRICS, text=line.text, score=line.score)
        for line in lyrics.lines
    ]
    words: list[Word] = [word for line in lyrics.lines for word in line.words]
    withheld = [f"lyrics withheld: {reason}" for reason in lyrics.withheld]
    names = dict.fromkeys(fact.text for fact in named)
    return replace(
        measured,
        text=", ".join([measured.text, *names]),
        facts=_in_order([*measured.facts, *named, *sung]),
        instruments=tuple(events_in(clip, span, INSTRUMENT, config)),
        lyrics=tuple(words),
        lyrics_language=lyrics.language,
        reason="; ".join(withheld) or None,
    )


def events_in(clip: Clip, span: Span, kind: str, config: TrainedMusicConfig) -> list[Event]:
    """The events of a group of the ontology inside the music, without the group itself and without a general name where
    a more special one is heard."""
    group = GROUPS[kind]
    heard = [
        replace(event, start_ms=part.start_ms, end_ms=part.end_ms)
        for event in clip.segment.events
        if event.score >= config.min_event_score
        and audioset.is_kind(event.label, group)
        and (kind == SINGING or event.label != group)
        and (part := event.clipped(span))
    ]
    special = [event for event in heard if not any(_says_more(other, event) for other in heard)]
    return sorted(special, key=lambda event: (event.start_ms, event.end_ms, event.label))


def named_facts(clip: Clip, span: Span, kind: str, config: TrainedMusicConfig) -> list[Fact]:
    """A fact for each name: of all the music where it is heard in most of it, else where it is heard."""
    by_label: dict[str, list[Event]] = {}
    for event in events_in(clip, span, kind, config):
        by_label.setdefault(event.label, []).append(event)
    labels = sorted(by_label, key=lambda label: (-_weight(by_label[label]), label))
    if kind in (GENRE, MOOD):
        labels = labels[: config.max_names]
    facts: list[Fact] = []
    for label in labels:
        events = by_label[label]
        parts = union(events, bridge_ms=config.bridge_ms)
        everywhere = kind in (GENRE, MOOD) or covered_ms(parts, span) >= config.throughout * span.duration_ms
        for part in [span] if everywhere else parts:
            score = max(event.score for event in events if event.overlap_ms(part))
            facts.append(
                Fact(
                    start_ms=part.start_ms,
                    end_ms=part.end_ms,
                    kind=kind,
                    text=audioset.in_words(label),
                    score=round(score, 3),
                    label=audioset.by_name(label).name,
                )
            )
    return facts


def prompt_of(annotation: MusicAnnotation) -> str:
    """What the captioner is asked, with what is known; never with the words of a song."""
    first_ms = min((fact.start_ms for fact in annotation.facts), default=0)
    known = [
        f"- {fact.text}" + (f" (at {(fact.start_ms - first_ms) // 1000} s)" if fact.start_ms > first_ms else "")
        for fact in annotation.facts
        if fact.kind not in ("music", LYRICS)
    ]
    return MUSIC_DESCRIPTION + (MEASURED.format(facts="\n".join(known)) if known else "")


def with_caption(annotation: MusicAnnotation, clip: Clip, prompt: str, reply: Reply, score: float) -> MusicAnnotation:
    caption = " ".join("".join(c if c.isprintable() else " " for c in reply.text).split())[:MAX_CAPTION_LETTERS]
    trouble = None
    if reply.trouble:
        trouble, caption = f"the captioner gave no description: {reply.trouble}", ""
    elif caption.rstrip(".!").casefold() == NO_MUSIC:
        trouble, caption = "the captioner hears no music", ""
    return replace(
        annotation,
        caption=caption,
        facts=_in_order([*annotation.facts, *caption_facts(clip, caption, score)]),
        prompts=(hashlib.sha256(prompt.encode()).hexdigest(),),
        reason="; ".join(part for part in (annotation.reason, trouble) if part) or None,
    )


def _in_order(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    return tuple(sorted(facts, key=lambda fact: fact.start_ms))


def _says_more(one: Event, other: Event) -> bool:
    """Whether a name is a kind of the other and is heard at the same time."""
    return one.label != other.label and audioset.is_kind(one.label, other.label) and one.overlap_ms(other) > 0


def _weight(events: Sequence[Event]) -> float:
    return sum(event.score * event.duration_ms for event in events)
