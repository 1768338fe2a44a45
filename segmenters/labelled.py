"""What a person labelled, taken into what was heard. Pure.

A label outranks the detector: it stands as an event of score 1, what the detector heard of the same kind gives way to
it, and no cut goes through it where there is another way. What nobody labelled stays as it was heard, because labels
may be of a part of a recording or of one kind of sound only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from schemas import audioset
from schemas.gaps import gaps
from schemas.labels import LabelledSentence, Labels
from schemas.record import Event, Profile
from schemas.span import Span, union
from segmenters.base import MUSIC, SOUND, SPEECH, Hearing, Kept

BREATH_MS = 300  # words this close are one stretch of speech
REST_MS = 500  # less of a detector's event, beside a label of its kind, is the edge of what was labelled
SHORTEST_MS = 200  # of a stretch of sound; an instant that was marked stands in the middle of one
WORD_COST, WHOLE_COST, TURN_COST, LONG_COST = 1_000.0, 100.0, 10.0, 1.0  # of a cut through each


def labelled(hearing: Hearing, labels: Labels, max_ms: int) -> Hearing:
    """The hearing as the labels have it. `max_ms` is the longest piece; what is longer has to be cut."""
    human = list(_events(labels, hearing.span))
    heard = [rest for event in hearing.events for rest in _left(event, human)]
    events = sorted([*heard, *human], key=lambda event: (event.start_ms, event.end_ms, event.label))
    kept = sorted(_kept(labels, hearing.span, max_ms), key=lambda one: (one.start_ms, one.end_ms, one.cost))
    return replace(hearing, events=tuple(events), kept=tuple(kept))


def profile_as_labelled(profile: Profile, labels: Labels) -> Profile:
    """The profile of a piece with these labels: sure of every class that a person heard in it."""
    classes = {kind for event in labels.events if (kind := audioset.class_of(event.label))}
    classes |= {"speech"} if labels.speech else set()
    classes |= {"music"} if labels.music else set()
    if not classes:
        return profile
    scores = {f.name: getattr(profile, f.name) for f in fields(Profile)}
    return Profile(**(scores | {audioset.UNKNOWN: 0.0} | dict.fromkeys(classes, 1.0)))


def placed(labels: Labels, duration_ms: int, loud: Sequence[Span], hearing: Hearing) -> tuple[Labels, list[str]]:
    """The labels with their transcript without times where it belongs, or a note that nobody knows where.

    It is told of a recording that is one segment, from the first to the last speech of it.
    """
    if labels.text is None or labels.sentences or labels.words:
        return replace(labels, text=None), []
    if len(loud) != 1 or hearing.span.start_ms > 0 or hearing.span.end_ms < duration_ms:
        reason = "a transcript without times is told only of a recording that is one segment; give it times"
        return replace(labels, text=None), [reason]
    speech = [here for event in hearing.events if event.label == SPEECH and (here := event.clipped(loud[0]))]
    hull = Span.of(min(s.start_ms for s in speech), max(s.end_ms for s in speech)) if speech else loud[0]
    sentence = LabelledSentence(start_ms=hull.start_ms, end_ms=hull.end_ms, text=labels.text)
    return replace(labels, text=None, sentences=(sentence,)), []


def _events(labels: Labels, whole: Span) -> Iterator[Event]:
    """One event for each stretch of labelled speech and music, and one for each other label."""
    speech: list[Span] = union(labels.words, bridge_ms=BREATH_MS)
    speech += [*labels.turns, *labels.sentences]
    music: list[Span] = list(labels.music)
    for event in labels.events:
        kind = audioset.class_of(event.label)
        if kind == "speech":
            speech.append(event)
        elif kind == "music":
            music.append(event)
        elif kind:
            known = audioset.known(event.label)
            name = known.name if known else event.label
            if here := _widened(event, whole):
                yield Event(start_ms=here.start_ms, end_ms=here.end_ms, label=name, score=1.0)
    for label, spans in ((SPEECH, speech), (MUSIC, music)):
        for part in union(here for span in spans if (here := _widened(span, whole))):
            yield Event(start_ms=part.start_ms, end_ms=part.end_ms, label=label, score=1.0)


def _widened(span: Span, whole: Span) -> Span | None:
    """The part of it in the stretch that was heard, long enough to hold a sound."""
    here = span.clipped(whole)
    if here is None or here.duration_ms >= SHORTEST_MS:
        return here
    start_ms = max(whole.start_ms, (here.start_ms + here.end_ms - SHORTEST_MS) // 2)
    return Span.of(start_ms, start_ms + SHORTEST_MS).clipped(whole)


def _left(event: Event, human: Sequence[Event]) -> Iterator[Event]:
    """What is left of a detector's event where no label is of its kind."""
    same = [one for one in human if one.overlap_ms(event) and _is_same_kind(event, one)]
    if not same:
        yield event
        return
    for rest in gaps(same, Span.of(event.start_ms, event.end_ms)):
        if rest.duration_ms >= REST_MS:
            yield replace(event, start_ms=rest.start_ms, end_ms=rest.end_ms)


def _is_same_kind(heard: Event, human: Event) -> bool:
    """A sound without a name is whatever a person says it is; one with a name gives way to another of its class."""
    return heard.label == SOUND or audioset.class_of(heard.label) == audioset.class_of(human.label)


def _kept(labels: Labels, whole: Span, max_ms: int) -> Iterator[Kept]:
    costs: list[tuple[Span, float]] = [(word, WORD_COST) for word in labels.words]
    wholes: list[Span] = [*labels.sentences, *labels.music, *(e for e in labels.events if audioset.class_of(e.label))]
    costs += [(one, WHOLE_COST if one.duration_ms <= max_ms else LONG_COST) for one in wholes]
    costs += [(turn, TURN_COST if turn.duration_ms <= max_ms else LONG_COST) for turn in labels.turns]
    for span, cost in costs:
        if here := span.clipped(whole):
            yield Kept(start_ms=here.start_ms, end_ms=here.end_ms, cost=cost)
