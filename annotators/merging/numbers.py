"""Numbers and times as they are written: 3, three, 3rd, third, 0:12, "two and a half seconds", "a second"."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from annotators.merging.tokens import Piece, Token
from annotators.merging.words import in_order, words_of

_SMALL = in_order(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = in_order("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = in_order(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
)
CARDINALS = {word: float(value) for value, word in enumerate(_SMALL)} | {
    word: 10.0 * (index + 2) for index, word in enumerate(_TENS)
}
ORDINALS = {word: float(value) for value, word in enumerate(_ORDINALS)} | {"twentieth": 20.0, "thirtieth": 30.0}
SCALES = {"hundred": 100.0, "thousand": 1_000.0, "million": 1_000_000.0}
GROUPS = {
    "couple": 2.0,
    "pair": 2.0,
    "both": 2.0,
    "dozen": 12.0,
    "score": 20.0,
    "once": 1.0,
    "twice": 2.0,
    "thrice": 3.0,
    "double": 2.0,
    "triple": 3.0,
    "duo": 2.0,
    "duet": 2.0,
    "trio": 3.0,
    "quartet": 4.0,
    "single": 1.0,
    "half": 0.5,
    "quarter": 0.25,
    "twofold": 2.0,
}
VAGUE = words_of(
    "several many few multiple numerous various countless dozens hundreds thousands lots plenty group crowd another "
    "others repeatedly again pairs couples always constantly every each most more less fewer halfway midway"
)
SECONDS = frozenset({"s", "sec", "secs", "second", "seconds"})
UNITS_MS = (
    dict.fromkeys(SECONDS, 1_000.0)
    | dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0)
    | dict.fromkeys(("min", "mins", "minute", "minutes"), 60_000.0)
    | dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000.0)
)
_SUFFIXES = ("st", "nd", "rd", "th")


class Sort(StrEnum):
    COUNT = "count"
    ORDINAL = "ordinal"
    RATIO = "ratio"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """What stands in `tokens[first:last]`; of a time `value` is in milliseconds, as is its unit."""

    sort: Sort
    value: float
    unit_ms: float = 1.0
    text: str
    first: int
    last: int

    def same(self, other: "Number") -> bool:
        return self.sort is other.sort and abs(self.value - other.value) < 1e-9 and self.is_ratio_of(other)

    def is_ratio_of(self, other: "Number") -> bool:
        return self.sort is not Sort.RATIO or self.text == other.text


def numbers_of(tokens: Sequence[Token]) -> list[Number]:
    """All of them in order. A figure with a unit of time behind it is a time, unless it is a rate ("3 a second")."""
    found: list[Number] = []
    at = 0
    while at < len(tokens):
        number = _number_at(tokens, at)
        if number is None:
            at += 1
            continue
        found.append(number)
        at = number.last
    return found


def _number_at(tokens: Sequence[Token], at: int) -> Number | None:
    token = tokens[at]
    if token.piece is Piece.TIME:
        parts = [float(part) for part in token.text.split(":")]
        seconds = sum(part * 60 ** (len(parts) - 1 - place) for place, part in enumerate(parts))
        return _made(tokens, at, at + 1, Sort.TIME, seconds * 1_000)
    if token.piece is Piece.RATIO:
        return _made(tokens, at, at + 1, Sort.RATIO, 0.0)
    read = _figure(tokens, at) or _worded(tokens, at) or _article(tokens, at)
    if read is None:
        return None
    value, last, sort = read
    if sort is Sort.ORDINAL:
        return _made(tokens, at, last, sort, value)
    value, last = _and_a_half(tokens, last, value)
    unit = last + (last < len(tokens) and tokens[last].text == "-")
    if unit < len(tokens) and tokens[unit].word in UNITS_MS:
        unit_ms = UNITS_MS[tokens[unit].word]
        return _made(tokens, at, unit + 1, Sort.TIME, value * unit_ms, unit_ms)
    if token.word in ("a", "an"):
        return None
    return _made(tokens, at, last, sort, value)


def _made(tokens: Sequence[Token], first: int, last: int, sort: Sort, value: float, unit_ms: float = 1.0) -> Number:
    text = " ".join(token.text for token in tokens[first:last])
    return Number(sort=sort, value=value, unit_ms=unit_ms, text=text, first=first, last=last)


def _figure(tokens: Sequence[Token], at: int) -> tuple[float, int, Sort] | None:
    if tokens[at].piece is not Piece.NUMBER:
        return None
    value = float(tokens[at].text.replace(",", ""))
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if after and after.word in _SUFFIXES and after.start == tokens[at].end:
        return value, at + 2, Sort.ORDINAL
    if after and after.word in SCALES:
        return value * SCALES[after.word], at + 2, Sort.COUNT
    return value, at + 1, Sort.COUNT


def _worded(tokens: Sequence[Token], at: int) -> tuple[float, int, Sort] | None:
    """ "a hundred and twenty", "twenty-one", "third", "dozen"."""
    word = tokens[at].word
    if word == "one" and at and tokens[at - 1].word == "no":
        return None
    if word in ORDINALS and not (word == "second" and _is_a_unit(tokens, at)):
        return ORDINALS[word], at + 1, Sort.ORDINAL
    if word in GROUPS and not (word == "half" and _follows(tokens, at, "a", "an")):
        return GROUPS[word], at + 1, Sort.COUNT
    if word == "half":
        return 0.5, at + 2, Sort.COUNT
    if word not in CARDINALS and word not in SCALES and not (word == "a" and _follows(tokens, at, *SCALES)):
        return None
    total, part, last = 0.0, 0.0, at
    while last < len(tokens):
        word = tokens[last].word
        if word in CARDINALS:
            if last > at and tokens[last - 1].word in CARDINALS and not (part >= 20 and CARDINALS[word] < 10):
                break
            part += CARDINALS[word]
        elif word in SCALES:
            part = (part or 1.0) * SCALES[word]
            if SCALES[word] >= 1_000:
                total, part = total + part, 0.0
        elif word == "a" and last == at:
            pass
        elif word in ("and", "-") and last > at and _follows(tokens, last, *CARDINALS, *ORDINALS):
            if word == "and" and part < 100 and not total:
                break
            if word == "-" and part < 20:
                break
        elif word in ORDINALS and last > at and part >= 20:
            return total + part + ORDINALS[word], last + 1, Sort.ORDINAL
        else:
            break
        last += 1
    return total + part, last, Sort.COUNT


def _article(tokens: Sequence[Token], at: int) -> tuple[float, int, Sort] | None:
    """ "a second" as a length of time, which "a second voice" is not; and never the end of a rate."""
    if tokens[at].word not in ("a", "an") or not _follows(tokens, at, *UNITS_MS):
        return None
    if is_rate(tokens, at) or (tokens[at + 1].word == "second" and not _is_a_unit(tokens, at + 1)):
        return None
    return 1.0, at + 1, Sort.COUNT


def is_rate(tokens: Sequence[Token], at: int) -> bool:
    """Whether "a second" here says how often: "3 a second", "120 beats a minute"."""
    before = [token for token in tokens[max(0, at - 3) : at] if token.piece in (Piece.WORD, Piece.NUMBER)]
    return bool(before) and (before[-1].piece is Piece.NUMBER or before[-1].word in ("beats", "words", "times", "beat"))


def _is_a_unit(tokens: Sequence[Token], at: int) -> bool:
    """Whether "second" is time here: after a figure or "half a", or with nothing behind it that it could count."""
    before = tokens[at - 1].word if at else ""
    earlier = tokens[at - 2].word if at > 1 else ""
    if before in ("per", "each", "every") or (before == "-" and _number_before(tokens, at - 1)):
        return True
    if _number_before(tokens, at):
        return True
    if before in ("a", "the"):
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        behind = after is None or after.piece is Piece.MARK or after.word in _AFTER_TIME
        return behind or earlier in ("half", "about", "for", "under", "over") or is_rate(tokens, at - 1)
    return False


_AFTER_TIME = words_of("in into later long of from after before at and or then while as")


def _number_before(tokens: Sequence[Token], at: int) -> bool:
    if not at:
        return False
    before = tokens[at - 1]
    return before.piece is Piece.NUMBER or before.word in CARDINALS or before.word in SCALES or before.word == "half"


def _follows(tokens: Sequence[Token], at: int, *words: str) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1].word in words


def _and_a_half(tokens: Sequence[Token], last: int, value: float) -> tuple[float, int]:
    words = [token.word for token in tokens[last : last + 3]]
    return (value + 0.5, last + 3) if words == ["and", "a", "half"] else (value, last)
