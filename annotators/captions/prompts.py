"""What audio language models are asked, branch by branch. The answers are read by `schemas/formats`.

The formats asked for are those that MOSS-Audio was trained on and answers in by itself: a timeline of lines
`start - end: description` in seconds, and a JSON object of thirteen phrases for a voice. Any model that follows
instructions can keep to them.
"""

from collections.abc import Mapping
from typing import Any

from schemas.formats.speech_caption import KEYS

SOUND_TIMELINE = """\
List every sound event in this recording in the order in which they begin.
Write one event per line, exactly in this form, with times in seconds from the start of the recording and two decimals:
start_sec - end_sec: event description
Events may overlap. Name only what can be heard, and leave speech to one plain line such as "a man speaks": do not \
write down its words. Write nothing but these lines."""

SOUND_DESCRIPTION = """\
Describe what is heard in this recording in two to four plain sentences: the sounds and what makes them, how loud, \
near or long they are, what follows what, and the place if it can be heard. Do not write down the words that are \
spoken, and do not guess at what cannot be heard."""

MUSIC_DESCRIPTION = """\
Describe the music in this recording in three to five plain sentences: style and tempo, harmony, the instruments and \
voices, its structure from beginning to end, and its mood. Give a time as m:ss where something changes. Say only what \
can be heard, and name no title and no artist. If there is no music, write only: no music."""

SPEECH_DESCRIPTION = f"""\
Describe the voice of the person who speaks in this recording. Answer with one JSON object with exactly these keys, in \
this order: {", ".join(KEYS)}. Each value is a short phrase in English; "summary" is one or two sentences on the voice \
and the manner of speaking. Write "unclear" where it cannot be heard. Do not write down what is said. Write nothing \
but the object."""

PROBE = """\
Listen to the recording. Is this heard in it: {claim}
Answer yes or no, with that one word."""

SPEECH_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in KEYS},
    "required": list(KEYS),
    "additionalProperties": False,
}
"""Of `SpeechCaption`: all keys, in order, and no others. Lengths are left out, which not every server can hold to."""


def probe(claim: str) -> str:
    """The yes-or-no question about a claim."""
    return PROBE.format(claim=quoted(claim))


def quoted(claim: str) -> str:
    """A claim between quotation marks; its own become single ones, so that it ends where it ends."""
    return '"' + " ".join(claim.replace('"', "'").split()) + '"'
