"""A branch that lets a person speak first: facts from labels, and of another annotator's what adds to them.

Where the labels of a clip say something for the branch, its facts are the person's (`human`, score 1), and the inner
annotator keeps what the person did not speak of: how a voice sounds, a pause, how a sound is made up, a tempo. What
of it contradicts the person is left out: other words for what is transcribed, another name for a sound, other turns.
Where the labels say nothing, the inner annotation stays as it is.

Speakers are numbered as they begin in the segment (S01, S02), and `Speaker.voice` numbers them over the recording; the
names that a person gave them are not told. A transcript without times reaches a clip only where the recording is one
segment (`segmenters/labelled.py`); its words then have no times of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from annotators.base import Annotator
from annotators.labelled_speech import human_fact, speech_as_labelled
from annotators.music import METERS as MEASURED_METERS
from schemas import audioset
from schemas.config import Builds
from schemas.labels import LabelledMusic, Labels
from schemas.record import Annotation, Branch, Clip, Event, Fact, MusicAnnotation, Outcome, SoundAnnotation

MODEL = "labels@2"  # counts up when a rule changes
METERS = MEASURED_METERS | {"2/4": "in two"}
NEARLY = 0.8  # share of both stretches that two facts of one piece of music have in common
GROUPS = {"instrument": "Musical instrument", "genre": "Music genre", "mood": "Music mood"}  # by kind of fact
SINGLE = ("music", "tempo", "key", "meter", "event", "singing")  # kinds of which one is true at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledConfig:
    branch: Branch
    inner: Builds[Annotator]  # hears what nobody labelled

    def build(self) -> "LabelledAnnotator":
        return LabelledAnnotator(self)


class LabelledAnnotator:
    def __init__(self, config: LabelledConfig) -> None:
        self._inner = config.inner.build()
        self.branch = config.branch
        self.model = f"{MODEL}+{self._inner.model}"

    def annotate(self, clips: Sequence[Clip]) -> list[Annotation]:
        inner = self._inner.annotate(clips)
        return [self._one(clip, said) for clip, said in zip(clips, inner, strict=True)]

    def _one(self, clip: Clip, inner: Annotation) -> Annotation:
        told = as_labelled(self.branch, clip, inner) if clip.labels else None
        return inner if told is None else replace(told, model=f"{MODEL}+{inner.model}")


def as_labelled(branch: Branch, clip: Clip, inner: Annotation) -> Annotation | None:
    """What the branch says with the labels of the clip taken in; None where they say nothing for it."""
    assert clip.labels is not None, "only clips with labels come here"
    labels = clip.labels.cut(clip.segment)
    kinds = {Branch.SPEECH: speech_as_labelled, Branch.SOUND: sound_as_labelled, Branch.MUSIC: music_as_labelled}
    return kinds[branch](labels, clip, inner)


def sound_as_labelled(labels: Labels, clip: Clip, inner: Annotation) -> Annotation | None:
    """Every labelled sound that is neither speech nor music, and how those sounds are made up."""
    human = [
        named(event)
        for event in labels.events
        if audioset.class_of(event.label) not in (None, "speech", "music", "singing")
    ]
    if not human:
        return None
    facts = in_order([*human, *beside(inner, human)])
    text = "; ".join(fact.text for fact in facts)
    return SoundAnnotation(outcome=Outcome.OK, model=inner.model, text=text, facts=facts, caption=inner.caption)


def music_as_labelled(labels: Labels, clip: Clip, inner: Annotation) -> Annotation | None:
    """Where there is music and singing, and what is known of it."""
    human = [fact for event in labels.events for fact in _music_facts(event)]
    human += [fact for music in labels.music for fact in _known_of(music)]
    if not human:
        return None
    base = inner if isinstance(inner, MusicAnnotation) and inner.outcome is Outcome.OK else None
    base = base or MusicAnnotation(outcome=Outcome.OK, model=inner.model)
    tempo = next((music.tempo_bpm for music in labels.music if music.tempo_bpm), None)
    key = next((music.key for music in labels.music if music.key), None)
    meter = next((music.meter for music in labels.music if music.meter), None)
    facts = in_order([*dict.fromkeys(human), *measured_there(beside(inner, human), human)])
    return replace(
        base,
        text=", ".join(dict.fromkeys(fact.text for fact in facts)),
        facts=facts,
        tempo_bpm=tempo or base.tempo_bpm,
        tempo_score=1.0 if tempo else base.tempo_score,
        tempi=() if tempo else base.tempi,
        key=key or base.key,
        key_score=1.0 if key else base.key_score,
        keys=() if key else base.keys,
        meter=meter or base.meter,
        meter_score=1.0 if meter else base.meter_score,
        instruments=_instruments(labels) or base.instruments,
    )


def named(event: Event, kind: str = "event") -> Fact:
    """What a person says is heard, in the words of AudioSet where it has the name, else in their own."""
    known = audioset.known(event.label)
    text = known.words if known else event.label.replace("_", " ")
    label = known.name if known else None
    return human_fact(event, kind, text, label=label)


def beside(inner: Annotation, human: Sequence[Fact]) -> list[Fact]:
    """The facts of another annotator that say nothing against those of a person."""
    facts = inner.facts if inner.outcome is Outcome.OK else ()
    return [fact for fact in facts if fact.human or not any(contradicts(fact, one) for one in human)]


def contradicts(fact: Fact, human: Fact) -> bool:
    """Whether both speak of one thing at one time: the same kind of fact, or two names for a sound."""
    if not fact.overlap_ms(human):
        return False
    both_named = fact.label is not None and human.kind in ("event", "music", "singing", *GROUPS)
    return both_named or (fact.kind == human.kind and fact.kind in SINGLE)


def measured_there(facts: Sequence[Fact], human: Sequence[Fact]) -> list[Fact]:
    """What was measured of music, where a person heard that music; what was measured of anything else is left out.

    A fact whose stretch is nearly a person's takes over its times, and so can be told with it.
    """
    music = [one for one in human if one.kind == "music"]
    placed = []
    for fact in facts:
        near = max(music, key=fact.overlap_ms, default=None)
        if near is None or not near.overlap_ms(fact):
            placed.append(fact)
        elif near.overlap_ms(fact) >= NEARLY * max(near.duration_ms, fact.duration_ms):
            placed.append(replace(fact, start_ms=near.start_ms, end_ms=near.end_ms))
    return placed


def in_order(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(sorted(facts, key=lambda fact: (fact.start_ms, fact.end_ms, not fact.human, fact.kind, fact.text)))


def _music_facts(event: Event) -> list[Fact]:
    known, kind = audioset.known(event.label), audioset.class_of(event.label)
    if kind == "singing":
        return [named(event, "singing")]
    if kind != "music" or known is None:
        return []
    music = human_fact(event, "music", "music", label="Music")
    return [music] if known.name == "Music" else [music, named(event, _kind_in_music(event))]


def _known_of(music: LabelledMusic) -> list[Fact]:
    facts = [human_fact(music, "music", "music", label="Music")]
    facts += [human_fact(music, "tempo", f"{music.tempo_bpm:g} beats a minute")] if music.tempo_bpm else []
    facts += [human_fact(music, "meter", METERS.get(music.meter, f"in {music.meter}"))] if music.meter else []
    facts += [human_fact(music, "key", music.key)] if music.key else []
    for name in music.instruments:
        event = Event(start_ms=music.start_ms, end_ms=music.end_ms, label=name, score=1.0)
        facts.append(named(event, "instrument"))
    return [*facts, human_fact(music, "description", music.text)] if music.text else facts


def _kind_in_music(event: Event) -> str:
    """The kind of fact by which trained annotators tell of it, so that it is told with the music."""
    return next((kind for kind, group in GROUPS.items() if audioset.is_kind(event.label, group)), "event")


def _instruments(labels: Labels) -> tuple[Event, ...]:
    """The names of AudioSet that stand for an instrument."""
    named_in_music = [
        Event(start_ms=music.start_ms, end_ms=music.end_ms, label=name, score=1.0)
        for music in labels.music
        for name in music.instruments
    ]
    known = (
        replace(event, label=label.name)
        for event in (*labels.events, *named_in_music)
        if (label := audioset.known(event.label)) and audioset.is_a(label.name, "Musical instrument")
    )
    return tuple(sorted(known, key=lambda event: (event.start_ms, event.end_ms, event.label)))
