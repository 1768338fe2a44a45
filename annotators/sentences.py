"""From facts to sentences: every sentence is a claim, and holds nothing that its facts do not.

Words that were heard stand in double quotes, and no text can bring a double quote of its own, so what was
said can never pass for what the caption says.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.record import Branch, Claim, Clip, Fact, Outcome, Segment
from schemas.span import Span

WORDS, VOICE, MUSIC, SUNG, CAPTION = "transcript", "voice", "music", "lyrics", "caption"
MUSIC_PHRASES = {  # in this order
    MUSIC: "",
    "genre": "heard as {}",
    "mood": "heard as {}",
    "instrument": "with {}",
    "singing": "with {}",
    "tempo": "at {}",
    "meter": "{}",
    "key": "in {}",
    "chords": "with {}",
    "sections": "in {}",
    "dynamics": "{}",
}
SOME_NAMES = ("genre", "mood", "instrument", "singing")  # of which there may be several: told in one phrase
HEARD_IN_MUSIC = ("instrument", "singing")  # told by themselves where they do not last as long as the music
INSTANT_MS = 500  # a shorter sound is told as a moment
MADE_UP = 0.5  # share that a named sound and a measured one have of each other, to be the same
THROUGHOUT = 0.95  # share of the segment
STARTS = frozenset({"A", "An", "The", "There", "Two", "Three", "Someone", "Several", "It"})  # of a sentence, not a name
QUOTES = dict.fromkeys('"“”„‟«»＂', "'")
JOINERS = "\u200c\u200d"  # invisible, but part of the spelling in Persian and Hindi


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A fact, and the id that claims point at it with."""

    branch: Branch
    index: int
    fact: Fact

    @property
    def evidence(self) -> str:
        return f"{self.branch}/{self.index}"

    @property
    def text(self) -> str:
        return harmless(self.fact.text)


def facts_of(clip: Clip) -> list[Told]:
    """What every branch said, in time order; a fact without words says nothing."""
    told = [
        Told(branch=branch, index=index, fact=fact)
        for branch in Branch
        if (annotation := clip.branches.get(branch)) and annotation.outcome is Outcome.OK
        for index, fact in enumerate(annotation.facts)
        if harmless(fact.text)
    ]
    return sorted(told, key=lambda one: (*_order(one.branch, one.fact), one.fact.kind, one.text, one.fact.score))


def claims_of(told: Sequence[Told], segment: Segment) -> list[Claim]:
    """Sentences for all the facts, in time order."""
    speech, sound, music = ([one for one in told if one.branch is branch] for branch in Branch)
    claims = [
        *_speech_claims(speech, segment),
        *_sound_claims(sound, segment),
        *_music_claims(music, segment),
    ]
    return sorted(claims, key=lambda claim: (*_order(claim.branch, claim), claim.text))


def harmless(text: str) -> str:
    """On one line, without control characters, double quotes made single."""
    plain = (QUOTES.get(c, c) if c in JOINERS or unicodedata.category(c)[0] not in "CZ" else " " for c in text)
    return " ".join("".join(plain).split())


def _order(branch: Branch, span: Span) -> tuple[int, int, int]:
    return span.start_ms, span.end_ms, list(Branch).index(branch)


def _speech_claims(told: Sequence[Told], segment: Segment) -> list[Claim]:
    """What is said. How it sounds is told with the first words of that voice, or alone where there are none."""
    words = [one for one in told if one.fact.kind == WORDS]
    voice_by_words: dict[str, Told] = {}
    alone: list[Told] = []
    for voice in (one for one in told if one.fact.kind == VOICE):
        free = [w for w in words if _is_of(voice, w) and w.evidence not in voice_by_words]
        if free:
            voice_by_words[free[0].evidence] = voice
        else:
            alone.append(voice)
    return [
        *(_says(one, voice_by_words.get(one.evidence), segment) for one in words),
        *(_claim([one], f"{_when(one.fact, segment)} {_who(one)} speaks in {one.text}.") for one in alone),
        *(_plain_claim(one, segment) for one in told if one.fact.kind not in (WORDS, VOICE)),
    ]


def _is_of(voice: Told, words: Told) -> bool:
    """Whether the words may be of the voice: it is heard meanwhile, and nobody else is named for them."""
    same = voice.fact.speaker is None or words.fact.speaker is None or voice.fact.speaker == words.fact.speaker
    return same and voice.fact.overlap_ms(words.fact) > 0


def _says(words: Told, voice: Told | None, segment: Segment) -> Claim:
    said = f"{_when(words.fact, segment)} {_who(words)} says {_quoted(words)}"
    return _claim([words, voice], f"{said} in {voice.text}.") if voice else _claim([words], f"{said}.")


def _sound_claims(told: Sequence[Told], segment: Segment) -> list[Claim]:
    """One sentence a sound; where a person named it, how it is made up is told with the name."""
    made_up: dict[str, Told] = {}
    for name in (one for one in told if one.fact.human):
        free = [
            one
            for one in told
            if not (one.fact.human or one.fact.label or one.evidence in {other.evidence for other in made_up.values()})
            and one.fact.overlap_ms(name.fact) >= MADE_UP * max(one.fact.duration_ms, name.fact.duration_ms)
        ]
        if free:
            made_up[name.evidence] = max(free, key=lambda one: one.fact.overlap_ms(name.fact))
    taken = {one.evidence for one in made_up.values()}
    return [
        _claim([one, how], f"{_when(one.fact, segment)} {one.text}, {how.text}.")
        if (how := made_up.get(one.evidence))
        else _plain_claim(one, segment)
        for one in told
        if one.evidence not in taken
    ]


def _music_claims(told: Sequence[Told], segment: Segment) -> list[Claim]:
    """One sentence for all that is known of one stretch of music, and one for each thing that happens in it."""
    whole = {(one.fact.start_ms, one.fact.end_ms) for one in told if one.fact.kind == MUSIC}
    claims: list[Claim] = []
    for one in told:
        kind, is_whole = one.fact.kind, (one.fact.start_ms, one.fact.end_ms) in whole
        if kind == "lyrics":
            claims.append(_claim([one], f'{_when(one.fact, segment)} someone sings "{one.text}".'))
        elif kind in HEARD_IN_MUSIC and not is_whole:
            claims.append(_claim([one], f"{_when(one.fact, segment)} {one.text} in the music."))
        elif kind not in MUSIC_PHRASES:
            claims.append(_plain_claim(one, segment))
    for start_ms, end_ms in sorted({(one.fact.start_ms, one.fact.end_ms) for one in told}):
        span = Span.of(start_ms, end_ms)
        here = [one for one in told if (one.fact.start_ms, one.fact.end_ms) == (start_ms, end_ms)]
        if (start_ms, end_ms) not in whole:
            here = [one for one in here if one.fact.kind not in HEARD_IN_MUSIC]
        known = [one for kind in MUSIC_PHRASES for one in here if one.fact.kind == kind]
        if known:
            runs = "Music runs throughout" if _is_throughout(span, segment) else f"{_when(span, segment)} music runs"
            phrases = ", ".join(_music_phrases(known))
            comma = "," if phrases.startswith("heard as") else ""
            claims.append(_claim(known, f"{runs}{comma} {phrases}".rstrip() + "."))
    return claims


def _music_phrases(known: Sequence[Told]) -> list[str]:
    phrases = []
    for kind, phrase in MUSIC_PHRASES.items():
        words = list(dict.fromkeys(one.text for one in known if one.fact.kind == kind))
        if kind in SOME_NAMES and len(words) > 1:
            words = [f"{', '.join(words[:-1])} and {words[-1]}"]
        phrases += [told for one in words if (told := phrase.format(one))]
    return phrases


def _plain_claim(told: Told, segment: Segment) -> Claim:
    if told.fact.kind == SUNG:
        return _claim([told], f"{_when(told.fact, segment)} {_who(told)} sings {_quoted(told)}.")
    if told.fact.kind == CAPTION:  # of the whole: what it tells of may be anywhere
        return _claim([told], f"{told.text[0].upper()}{told.text[1:].removesuffix('.')}.")
    return _claim([told], f"{_when(told.fact, segment)} {_in_a_sentence(told.text)}.")


def _who(told: Told) -> str:
    return harmless(told.fact.speaker or "") or "someone"


def _quoted(told: Told) -> str:
    """What was heard, without the point that ends it: another follows."""
    return f'"{told.text.removesuffix(".") or told.text}"'


def _in_a_sentence(text: str) -> str:
    """A whole sentence, as language models describe in, so that it can follow a time."""
    first = text.partition(" ")[0]
    return f"{text[0].lower()}{text[1:]}".rstrip(".") if first in STARTS else text


def _claim(told: Sequence[Told], text: str) -> Claim:
    """At the time of the first fact, and no surer than the least sure."""
    first = told[0]
    return Claim(
        start_ms=first.fact.start_ms,
        end_ms=first.fact.end_ms,
        text=text,
        branch=first.branch,
        evidence=tuple(one.evidence for one in told),
        score=min(one.fact.score for one in told),
    )


def _is_throughout(span: Span, segment: Segment) -> bool:
    return span.overlap_ms(segment) >= THROUGHOUT * segment.duration_ms


def _when(span: Span, segment: Segment) -> str:
    """Seconds from the segment's start, in whole tenths rounded down, so that none lies after its end."""
    start, end = ((at_ms - segment.start_ms) // 100 for at_ms in (span.start_ms, span.end_ms))
    if span.duration_ms < INSTANT_MS or start == end:
        return f"At {start / 10:.1f} s"
    return f"From {start / 10:.1f} to {end / 10:.1f} s"
