"""Stretches of sound as recognisers take them, and what is understood of their pieces put together again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotators.base import Transcript
from schemas.audio import Waveform
from schemas.languages import SPACELESS
from schemas.record import Word
from schemas.span import Span

RATE_HZ = 16_000  # of every recogniser here
FRAME_MS = 20
_SPACELESS_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xAA60, 0xAA7F),  # Myanmar, extended
    (0xF900, 0xFAFF),  # Han, for compatibility
    (0x20000, 0x3FFFF),  # Han, the later extensions
)


def pieces(waveform: Waveform, max_ms: int, search_ms: int = 5_000) -> list[Waveform]:
    """The stretch in pieces of at most `max_ms`, each cut at the quietest moment of its last `search_ms`."""
    cut: list[Waveform] = []
    while waveform.duration_ms > max_ms:
        first_ms = waveform.start_ms + max(max_ms // 2, max_ms - search_ms)
        at_ms = _quietest_ms(waveform.cut(Span.of(first_ms, waveform.start_ms + max_ms)))
        cut.append(waveform.cut(Span.of(waveform.start_ms, at_ms)))
        waveform = waveform.cut(Span.of(at_ms, waveform.end_ms))
    return [*cut, waveform]


def _quietest_ms(waveform: Waveform) -> int:
    frame = waveform.rate_hz * FRAME_MS // 1000
    whole = waveform.samples[: len(waveform.pcm) // frame * frame].reshape(-1, frame)
    if not len(whole):
        return waveform.end_ms
    return waveform.start_ms + int(np.argmin(np.square(whole).mean(axis=1))) * FRAME_MS + FRAME_MS // 2


def joined(parts: Sequence[Transcript]) -> Transcript:
    """What was understood of the pieces of one stretch; the language is that of the piece with most to say."""
    if len(parts) == 1:
        return parts[0]
    told = [part for part in parts if part.text]
    most = max(parts, key=lambda part: len(part.text))
    scored = [(part.score, len(part.text)) for part in told if part.score is not None]
    silent = [part.no_speech for part in told if part.no_speech is not None]
    errors = [part.error for part in parts if part.error]
    return Transcript(
        text=text_of((part.text for part in told), most.language),
        words=tuple(word for part in told for word in part.words) if all(part.words for part in told) else (),
        language=most.language,
        language_score=most.language_score,
        score=sum(score * size for score, size in scored) / sum(size for _, size in scored) if scored else None,
        no_speech=min(silent, default=None),
        error=errors[0] if errors else None,
    )


def refused(model: str, language: str | None, known: Sequence[str]) -> str | None:
    """Why a recogniser of these languages is not asked in this one; None where it is. Those of none are of any."""
    return f"{model} does not know the language {language!r}" if language and known and language not in known else None


def is_spaceless(text: str, language: str | None) -> bool:
    """Whether the language is written without spaces, by its code or, where that is not known, by its letters."""
    if language:
        return language.partition("-")[0].lower() in SPACELESS
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(map(_is_spaceless_letter, letters)) >= len(letters) > 0


def _is_spaceless_letter(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _SPACELESS_SCRIPTS)


def text_of(words: Iterable[str], language: str | None) -> str:
    """The words with spaces between them; without, where two letters meet that are written without.

    >>> text_of(["你好", "世界"], "zh"), text_of(["hello", "there"], "en")
    ('你好世界', 'hello there')
    """
    kept = [word for word in words if word]
    if not is_spaceless("".join(kept), language):
        return " ".join(kept)
    return "".join(f" {word}" if _latin_meet(last[-1], word[0]) else word for last, word in pairwise(["-", *kept]))


def _latin_meet(last: str, first: str) -> bool:
    """Whether both are letters or digits of a script with spaces: two English words in a Chinese sentence."""
    return all(one.isalnum() and not _is_spaceless_letter(one) for one in (last, first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A word as a recogniser or an aligner times it: of the recording, but perhaps outside, crossing or empty."""

    text: str
    start_ms: float
    end_ms: float
    score: float


def placed(timed: Sequence[Timed], within: Span) -> tuple[Word, ...]:
    """The words in order, inside, each of a millisecond at least and none over the next; none is lost.

    Empty where there are more words than milliseconds.
    """
    if len(timed) > within.duration_ms:
        return ()
    starts, ends = [round(one.start_ms) for one in timed], [round(one.end_ms) for one in timed]
    free = within.start_ms
    for i in range(len(timed)):
        starts[i] = max(starts[i], free)
        ends[i] = free = max(ends[i], starts[i] + 1)
    free = within.end_ms
    for i in reversed(range(len(timed))):
        ends[i] = min(ends[i], free)
        starts[i] = free = min(starts[i], ends[i] - 1)
    return tuple(
        Word(start_ms=start, end_ms=end, text=one.text, score=round(min(1.0, max(0.0, one.score)), 3))
        for one, start, end in zip(timed, starts, ends, strict=True)
    )
