"""What a segment is told of a hearing: its events, by name where they have one. Pure."""

from schemas import audioset
from schemas.record import Event
from schemas.span import covered_ms, union
from segmenters.base import SOUND, Hearing

NAMES_NO_SOUND = "environment"  # the coarse class of labels that tell of the place, not of anything in it


def told(hearing: Hearing) -> list[Event]:
    """All that was heard in time order, without the sounds that have a name.

    A named event made of sounds, to half of its time or more, names those that lie in it, to half of theirs. Rain
    behind everything is made of none, and names no door that slams in it.
    """
    sounds = [event for event in hearing.events if event.label == SOUND]
    activity = union(sounds)
    naming = [
        event
        for event in hearing.labelled
        if audioset.coarse(event.label) != NAMES_NO_SOUND and 2 * covered_ms(activity, event) >= event.duration_ms
    ]
    unnamed = [event for event in sounds if 2 * covered_ms(naming, event) < event.duration_ms]
    others = [event for event in hearing.events if event.label != SOUND]
    return sorted((*others, *unnamed, *hearing.labelled), key=lambda e: (e.start_ms, e.end_ms, e.label))
