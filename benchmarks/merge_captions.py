"""Captions of the segments of `merge_cases` that are true, in many styles. Nothing here knows how they are verified."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.merge_cases import DESCRIPTIONS, Case, Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """A true claim, and the style it is written in."""

    style: str
    row: dict[str, Any]
    of: tuple[Known, ...]


def honest(made: Case, rng: random.Random) -> list[Honest]:
    """True claims on a segment, in one style for each fact or group of facts, in time order."""
    claims = [claim for one in made.known for claim in _of_one(one, made, rng)]
    claims += list(_of_several(made, rng))
    return sorted(claims, key=lambda claim: claim.row["start_s"])


def rows(claims: Sequence[Honest]) -> list[dict[str, Any]]:
    return [dict(claim.row) for claim in claims]


def _of_one(one: Known, made: Case, rng: random.Random) -> list[Honest]:
    styles = STYLES.get(one.fact.kind, SOUND_STYLES)
    style = rng.choice(styles)
    text = style(one, made, rng)
    return [written(style.__name__, text, one)] if text else []


def written(style: str, text: str, *of: Known) -> Honest:
    row = {
        "text": capital(text),
        "start_s": min(one.start_s for one in of),
        "end_s": max(one.end_s for one in of),
        "branch": of[0].id.partition("/")[0],
        "evidence": [one.id for one in of],
    }
    return Honest(style=style, row=row, of=of)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


Style = Callable[[Known, Case, random.Random], str]


def _span_words(one: Known) -> str:
    return f"from {one.start_s:.1f} to {one.end_s:.1f} s"


def _name(one: Known, rng: random.Random) -> str:
    if one.fact.speaker is None:
        return rng.choice(("someone", "a speaker", "a voice", "a person"))
    number = int(one.fact.speaker[1:])
    ordinals = ("first", "second", "third")
    return rng.choice((one.fact.speaker, f"speaker {number}", f"the {ordinals[number - 1]} speaker"))


def says_with_span(one: Known, made: Case, rng: random.Random) -> str:
    return f'{_span_words(one)} {_name(one, rng)} says "{one.quote}".'


def says_first(one: Known, made: Case, rng: random.Random) -> str:
    return f'{_name(one, rng)} says "{one.quote}" {_span_words(one)}.'


def says_at(one: Known, made: Case, rng: random.Random) -> str:
    return f"At {one.start_s:.1f} s, {_name(one, rng)} says: “{one.quote}”"


def quote_first(one: Known, made: Case, rng: random.Random) -> str:
    return f'"{one.quote}" says {_name(one, rng)} at {one.start_s:.1f} seconds.'


def says_from_word(one: Known, made: Case, rng: random.Random) -> str:
    return f'{_name(one, rng)} starts speaking at {one.start_s:.1f} s and says "{one.quote}" until {one.end_s:.1f} s.'


def clock_says(one: Known, made: Case, rng: random.Random) -> str:
    minutes, seconds = divmod(round(one.start_s), 60)
    return f'At {minutes}:{seconds:02d}, {_name(one, rng)} is heard saying "{one.quote}".'


def part_says(one: Known, made: Case, rng: random.Random) -> str:
    words = one.quote.split()
    return f'{_name(one, rng)} says "{" ".join(words[: max(2, len(words) - 2)])}" from {one.start_s:.1f} s.'


def voice_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"{_span_words(one)} {one.who} speaks in {one.fact.text}."


def voice_heard(one: Known, made: Case, rng: random.Random) -> str:
    return f"{one.fact.text} is heard {_span_words(one)}."


def voice_at(one: Known, made: Case, rng: random.Random) -> str:
    return f"At {one.start_s:.1f} s, {one.who} begins to talk in {one.fact.text}."


def described_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"{one.fact.text}."


def described_short(one: Known, made: Case, rng: random.Random) -> str:
    short = next(short for long, short in DESCRIPTIONS if long == one.fact.text)
    return f"{short} {_span_words(one)}."


def pause_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"Nobody speaks {_span_words(one)}."


def pause_there(one: Known, made: Case, rng: random.Random) -> str:
    return f"There is a pause {_span_words(one)}."


def pause_long(one: Known, made: Case, rng: random.Random) -> str:
    return f"A silence of {one.end_s - one.start_s:.1f} seconds begins at {one.start_s:.1f} s."


def pause_no_one(one: Known, made: Case, rng: random.Random) -> str:
    return f"At {one.start_s:.1f} s a pause begins, in which no one talks."


def _count(one: Known) -> str:
    return one.fact.text.split()[0]


def voices_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"{_count(one)} voices take turns {_span_words(one)}."


def voices_people(one: Known, made: Case, rng: random.Random) -> str:
    return f"{_count(one)} people take turns speaking."


def voices_alternate(one: Known, made: Case, rng: random.Random) -> str:
    return f"{_count(one)} speakers alternate {_span_words(one)}."


def overlap_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"At {one.start_s:.1f} s two voices speak at once."


def overlap_same(one: Known, made: Case, rng: random.Random) -> str:
    return f"Two speakers talk at the same time {_span_words(one)}."


def overlap_voices(one: Known, made: Case, rng: random.Random) -> str:
    return f"Two voices overlap {_span_words(one)}."


def sound_plain(one: Known, made: Case, rng: random.Random) -> str:
    return f"{_span_words(one)} {one.fact.text}."


def sound_heard(one: Known, made: Case, rng: random.Random) -> str:
    verb = "are" if one.fact.text[:1].isdigit() or one.fact.text.endswith("s") else "is"
    return f"{one.fact.text} {verb} heard {_span_words(one)}."


def sound_at(one: Known, made: Case, rng: random.Random) -> str:
    return f"At {one.start_s:.1f} s, there is {one.fact.text}."


def sound_of(one: Known, made: Case, rng: random.Random) -> str:
    return (
        f"The sound of {one.fact.text} can be heard, starting at {one.start_s:.1f} s and ending at {one.end_s:.1f} s."
    )


def sound_begins(one: Known, made: Case, rng: random.Random) -> str:
    return f"{one.fact.text} begins at {one.start_s:.1f} seconds and lasts until {one.end_s:.1f} seconds."


def sound_lasts(one: Known, made: Case, rng: random.Random) -> str:
    length_s = one.end_s - one.start_s
    return f"{one.fact.text} lasts for about {length_s:.1f} seconds." if length_s >= 1 else sound_at(one, made, rng)


def sound_in(one: Known, made: Case, rng: random.Random) -> str:
    return f"About {round(one.start_s)} seconds in, {one.fact.text} is audible." if one.start_s >= 2 else ""


def sound_between(one: Known, made: Case, rng: random.Random) -> str:
    return f"Between {one.start_s:.1f} and {one.end_s:.1f} s, {one.fact.text} occurs."


def sound_barks(one: Known, made: Case, rng: random.Random) -> str:
    words = one.fact.text.split()
    if len(words) < 3 or not words[-1].endswith("ing"):
        return sound_at(one, made, rng)
    verb = {"barking": "barks", "ringing": "rings", "honking": "honks"}.get(words[-1])
    return f"{' '.join(words[:-1])} {verb} {_span_words(one)}." if verb else sound_at(one, made, rng)


def music_runs(one: Known, made: Case, rng: random.Random) -> str:
    return f"Music plays {_span_words(one)}."


def music_heard(one: Known, made: Case, rng: random.Random) -> str:
    return f"A piece of music is heard from {one.start_s:.1f} s until {one.end_s:.1f} s."


def tempo_runs(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music runs at {one.fact.text}."


def tempo_is(one: Known, made: Case, rng: random.Random) -> str:
    return f"Its tempo is {one.fact.text.replace('a minute', 'per minute')}."


def tempo_bpm(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music has a tempo of about {one.fact.text.split()[1]} bpm."


def meter_is(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music is {one.fact.text}."


def key_in(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music is in {one.fact.text}."


def key_of(one: Known, made: Case, rng: random.Random) -> str:
    return f"The key of the piece is {one.fact.text}."


def chords_use(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music uses {one.fact.text}."


def chords_progress(one: Known, made: Case, rng: random.Random) -> str:
    return f"The chord progression is {one.fact.text.removeprefix('the chords ')}."


def dynamics_plays(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music plays {_span_words(one)}, {one.fact.text}."


def instrument_plays(one: Known, made: Case, rng: random.Random) -> str:
    return f"{one.fact.text} plays {_span_words(one)}."


def instrument_features(one: Known, made: Case, rng: random.Random) -> str:
    return f"The music features {one.fact.text}."


STYLES: dict[str, tuple[Style, ...]] = {
    "transcript": (says_with_span, says_first, says_at, quote_first, says_from_word, clock_says, part_says),
    "voice": (voice_plain, voice_heard, voice_at),
    "description": (described_plain, described_short),
    "pause": (pause_plain, pause_there, pause_long, pause_no_one),
    "voices": (voices_plain, voices_people, voices_alternate),
    "overlap": (overlap_plain, overlap_same, overlap_voices),
    "music": (music_runs, music_heard),
    "tempo": (tempo_runs, tempo_is, tempo_bpm),
    "meter": (meter_is,),
    "key": (key_in, key_of),
    "chords": (chords_use, chords_progress),
    "dynamics": (dynamics_plays,),
    "instrument": (instrument_plays, instrument_features),
}
SOUND_STYLES: tuple[Style, ...] = (
    sound_plain,
    sound_heard,
    sound_at,
    sound_of,
    sound_begins,
    sound_lasts,
    sound_in,
    sound_between,
    sound_barks,
)


def _of_several(made: Case, rng: random.Random) -> Iterator[Honest]:
    said = made.of("transcript")
    voices = {one.who: one for one in made.of("voice")}
    if len(said) >= 2:
        one, other = said[0], said[1]
        text = f'{one.who} says "{one.quote}", then {other.who} says "{other.quote}".'
        yield written("two_say", text, one, other)
    if said and said[0].fact.speaker in voices:
        one, voice = said[0], voices[said[0].who]
        yield written("says_in_voice", f'{one.who} says "{one.quote}" in {voice.fact.text}.', one, voice)
    sounds = made.sounds
    if len(sounds) >= 2:
        one, other = sounds[0], sounds[1]
        text = f"{one.fact.text} at {one.start_s:.1f} s is followed by {other.fact.text} at {other.start_s:.1f} s."
        yield written("followed_by", text, one, other)
        if _meet(one, other):
            text = f"While {one.fact.text} is heard, {other.fact.text} begins at {other.start_s:.1f} s."
            yield written("while", text, one, other)
    music = {one.fact.kind: one for one in made.known if one.id.startswith("music/")}
    if {"music", "tempo", "key"} <= music.keys():
        parts = [music[kind] for kind in ("music", "tempo", "key")]
        text = f"Music plays at {parts[1].fact.text} in {parts[2].fact.text}."
        yield written("music_whole", text, *parts)
        length_ms = made.clip.segment.duration_ms
        if parts[0].fact.duration_ms >= 0.95 * length_ms:
            text = f"Throughout the recording, music plays in {parts[2].fact.text} at {parts[1].fact.text}."
            yield written("music_throughout", text, *parts)
    if {"music", "instrument"} <= music.keys() and said and _meet(music["music"], said[0]):
        one = said[0]
        text = f'{one.who} says "{one.quote}" over music with {music["instrument"].fact.text}.'
        yield written("says_over_music", text, one, music["music"], music["instrument"])


def _meet(one: Known, other: Known) -> bool:
    return one.fact.overlap_ms(other.fact) > 0
