"""What speaks against the words of a recogniser, without hearing them again: a rule each, and what follows from it.

The thresholds are those of the systems that published theirs:
* Whisper: compression ratio 2.4, no-speech probability 0.6 with a mean log probability of -1 (openai/whisper,
  transcribe);
* Granary: 4 in 10 different words, words of 25 letters (NeMo speech data processor, Whisper hallucination features);
* MOSS-Music: a chunk six times over, 12 characters a second (its data pipeline, asr_cleanup; lyrics mostly Chinese).
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from annotators.base import Transcript
from annotators.recognition.agreement import MAX_UNITS, Verdict, gravest, normalised, units
from annotators.recognition.phrases import CREDITS, FAREWELLS
from annotators.recognition.stretches import is_spaceless
from schemas.span import Span, covered_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtRules:
    max_compression: float = 2.4  # length of the text by its length under zlib
    loop_repeats: int = 6  # of one word or phrase, one after the other
    max_loop_units: int = 20  # of such a phrase, in words or characters
    max_loop_share: float = 0.5  # of the text that may be the loop
    min_variety: float = 0.4  # share of different words
    variety_words: int = 10  # fewer may well be the same
    max_word_letters: int = 25
    max_letters_per_s: float = 25.0  # fast speech has about 20
    max_spaceless_letters_per_s: float = 12.0
    impossible: float = 2.0  # times as many nobody says
    min_s: float = 1.0  # what is shorter is counted as this long
    max_no_speech: float = 0.6
    min_log_probability: float = -1.0  # mean of the tokens
    max_outside_voice: float = 0.5  # share of the words' time


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Span):
    """What a recogniser understood of the stretch [start_ms, end_ms), and where the voice detector heard a voice."""

    transcript: Transcript
    voice: tuple[Span, ...] | None = None  # None where none was asked

    @property
    def text(self) -> str:
        return self.transcript.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    verdict: Verdict  # FLAG or DROP
    reason: str


def doubts_of(said: Said, rules: DoubtRules | None = None) -> tuple[Doubt, ...]:
    """All that speaks against it, in the order of the rules; nothing against words that are not there."""
    rules = rules or DoubtRules()
    if not said.text.strip():
        return ()
    return tuple(
        Doubt(verdict=verdict, reason=reason)
        for rule, verdict in OBJECTIONS
        if (reason := rule(said, rules)) is not None
    )


def verdict_of(doubts: tuple[Doubt, ...]) -> Verdict:
    """The gravest of them; KEEP where there is none."""
    return gravest(doubt.verdict for doubt in doubts)


def is_a_credit(said: Said, rules: DoubtRules) -> str | None:
    return f"{said.text.strip()!r} is what recognisers write where nobody speaks" if _only(said, CREDITS) else None


def is_a_farewell(said: Said, rules: DoubtRules) -> str | None:
    return f"{said.text.strip()!r} is often written where nobody speaks" if _only(said, FAREWELLS) else None


def is_compressible(said: Said, rules: DoubtRules) -> str | None:
    ratio = compression_ratio(said.text)
    if ratio <= rules.max_compression:
        return None
    return f"the text compresses {ratio:.1f} to 1, more than {rules.max_compression:.1f}: it repeats itself"


def is_a_loop(said: Said, rules: DoubtRules) -> str | None:
    """Most of the text is one phrase over and over."""
    loop = _loop(said, rules)
    return loop.told if loop and loop.share > rules.max_loop_share and loop.num_units >= rules.variety_words else None


def has_a_loop(said: Said, rules: DoubtRules) -> str | None:
    loop = _loop(said, rules)
    return loop.told if loop and not is_a_loop(said, rules) else None


def says_little(said: Said, rules: DoubtRules) -> str | None:
    """Few different words; letters come back, so a text without spaces is left to the other rules."""
    if is_spaceless(said.text, said.transcript.language):
        return None
    words = units(said.text, said.transcript.language)
    different = len(set(words))
    if len(words) < rules.variety_words or different > rules.min_variety * len(words):
        return None
    return f"{different} different words in {len(words)}"


def has_a_long_word(said: Said, rules: DoubtRules) -> str | None:
    if is_spaceless(said.text, said.transcript.language):
        return None
    longest = max(normalised(said.text).split(), key=len, default="")
    return f"a word of {len(longest)} letters" if len(longest) >= rules.max_word_letters else None


def is_too_fast(said: Said, rules: DoubtRules) -> str | None:
    rate, limit = _pace(said, rules)
    return _paced(rate, limit) if limit < rate <= rules.impossible * limit else None


def is_impossibly_fast(said: Said, rules: DoubtRules) -> str | None:
    rate, limit = _pace(said, rules)
    return _paced(rate, rules.impossible * limit) if rate > rules.impossible * limit else None


def is_no_speech(said: Said, rules: DoubtRules) -> str | None:
    no_speech, score = said.transcript.no_speech, said.transcript.score
    if no_speech is None or score is None or no_speech <= rules.max_no_speech:
        return None
    log_probability = math.log(max(score, 1e-9))
    if log_probability >= rules.min_log_probability:
        return None
    return f"nobody speaks by {no_speech:.2f}, and the words have a mean log probability of {log_probability:.1f}"


def is_outside_the_voice(said: Said, rules: DoubtRules) -> str | None:
    words = said.transcript.words
    if said.voice is None or not words:
        return None
    spoken_ms = sum(word.duration_ms for word in words)
    inside_ms = sum(covered_ms(said.voice, word) for word in words)
    if (share := 1 - inside_ms / spoken_ms) <= rules.max_outside_voice:
        return None
    return f"{100 * share:.0f} of 100 parts of the words lie where no voice is heard"


OBJECTIONS: tuple[tuple[Callable[[Said, DoubtRules], str | None], Verdict], ...] = (
    (is_a_credit, Verdict.DROP),
    (is_compressible, Verdict.DROP),
    (is_a_loop, Verdict.DROP),
    (is_impossibly_fast, Verdict.DROP),
    (is_no_speech, Verdict.DROP),
    (is_outside_the_voice, Verdict.DROP),
    (is_a_farewell, Verdict.FLAG),
    (has_a_loop, Verdict.FLAG),
    (says_little, Verdict.FLAG),
    (has_a_long_word, Verdict.FLAG),
    (is_too_fast, Verdict.FLAG),
)


def compression_ratio(text: str) -> float:
    """Length by length under zlib; repetition is large, and a short text is below 1.

    Whisper counts bytes of UTF-8, of which the letters of Tamil or Thai have three each, two of them always the same:
    by that measure whatever is said in such a script repeats itself. Here letters are numbered as they first come, so
    that every script counts as Latin does.
    """
    numbers = {letter: number for number, letter in enumerate(dict.fromkeys(text))}
    width = 1 if len(numbers) <= 256 else 4
    plain = b"".join(numbers[letter].to_bytes(width, "big") for letter in text)
    return len(text) / len(zlib.compress(plain)) if plain else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    phrase: str
    repeats: int
    num_units: int
    share: float

    @property
    def told(self) -> str:
        return f"{self.phrase!r} {self.repeats} times over"


def _loop(said: Said, rules: DoubtRules) -> _Loop | None:
    """The loop that takes most of the text, the one of the shortest phrase where several do."""
    language = said.transcript.language
    all_units = units(said.text, language)[:MAX_UNITS]
    between = "" if is_spaceless(said.text, language) else " "
    best: _Loop | None = None
    for size in range(1, min(rules.max_loop_units, len(all_units) // max(2, rules.loop_repeats)) + 1):
        at = 0
        for same, run in groupby(all_units[i] == all_units[i + size] for i in range(len(all_units) - size)):
            num_same = len(list(run))
            repeats = num_same // size + 1
            if same and repeats >= rules.loop_repeats and (best is None or repeats * size > best.num_units):
                phrase = between.join(all_units[at : at + size])
                taken = repeats * size
                best = _Loop(phrase=phrase, repeats=repeats, num_units=taken, share=taken / len(all_units))
            at += num_same
    return best


def _only(said: Said, phrases: frozenset[str]) -> bool:
    """Whether the whole text is one of the phrases, or one over and over; spaces do not count."""
    text = normalised(said.text).replace(" ", "")
    return any(text == known * (len(text) // len(known)) for known in _squeezed(phrases) if known and text)


def _squeezed(phrases: frozenset[str]) -> frozenset[str]:
    return frozenset(phrase.replace(" ", "") for phrase in phrases)


def _pace(said: Said, rules: DoubtRules) -> tuple[float, float]:
    """Letters a second, and how many there may be."""
    letters = sum(letter.isalnum() for letter in said.text)
    spaceless = is_spaceless(said.text, said.transcript.language)
    limit = rules.max_spaceless_letters_per_s if spaceless else rules.max_letters_per_s
    return letters / max(rules.min_s, said.duration_ms / 1000), limit


def _paced(rate: float, limit: float) -> str:
    return f"{rate:.0f} letters a second, more than {limit:.0f}"
