"""A sentence in pieces: words, figures, marks, and what stands in quotation marks."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ´", "'"),
        **dict.fromkeys("“”„‟«»＂″", '"'),
        **dict.fromkeys("–—‑‐−", "-"),
        "…": "...",
        "♯": "#",
        "\u00a0": " ",
        "\u202f": " ",
    }
)
MARKS = frozenset(".,;:!?'()-/%")
_PIECE = re.compile(
    r"(?P<time>[0-9]{1,3}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]{1,3})?)"
    r"|(?P<ratio>[0-9]{1,3}/[0-9]{1,3})"
    r"|(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,6})?|[0-9]{1,12}(?:\.[0-9]{1,6})?)"
    r"|(?P<word>[^\W\d_](?:[^\W_]|#(?![^\W_]*#))*(?:'[^\W\d_]+)*)"
    r"|(?P<mark>\S)"
)
_UNIT = re.compile(r"[^\W_]+", re.UNICODE)
_ALONE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # written without spaces: each sign is a word


class Piece(StrEnum):
    WORD = "word"
    NUMBER = "number"
    TIME = "time"  # 0:12
    RATIO = "ratio"  # 4/4
    MARK = "mark"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`text` as it is written; of a quotation what stands between its marks."""

    piece: Piece
    text: str
    start: int  # of the first character in the sentence, quotation marks with it
    end: int

    @property
    def word(self) -> str:
        return self.text.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """`defect` says why it can be no sentence of a caption, and then there are no tokens."""

    text: str
    tokens: tuple[Token, ...] = ()
    defect: str | None = None

    @property
    def quotes(self) -> tuple[Token, ...]:
        return tuple(token for token in self.tokens if token.piece is Piece.QUOTE)


def sentence_of(text: str) -> Sentence:
    """The text with plain quotation marks, dashes and spaces, in pieces.

    Outside of quotations there are letters, figures and the marks of `MARKS`; anything that cannot be seen, or looks
    like something else than it is, is a defect.
    """
    plain = " ".join(text.translate(TYPOGRAPHIC).split())
    if hidden := next((c for c in plain if unicodedata.category(c)[0] == "C"), None):
        return Sentence(text=plain, defect=f"it holds the character U+{ord(hidden):04X}, which cannot be seen")
    if plain.count('"') % 2:
        return Sentence(text=plain, defect="it has a quotation mark without its pair")
    tokens: list[Token] = []
    at = 0
    for start, end in [*_quotations(plain), (len(plain), len(plain))]:
        tokens += _tokens(plain, at, start)
        if start < end:
            tokens.append(Token(piece=Piece.QUOTE, text=plain[start + 1 : end - 1], start=start, end=end))
        at = end
    if strange := next((token.text for token in tokens if token.piece is Piece.MARK and token.text not in MARKS), None):
        return Sentence(text=plain, defect=f"the mark {strange!r} belongs to no caption")
    return Sentence(text=plain, tokens=tuple(tokens))


def tokens_of(text: str) -> tuple[Token, ...]:
    """The words and figures of a fact, which quotes nothing."""
    return tuple(_tokens(text.translate(TYPOGRAPHIC), 0, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The words of a transcript, each with its place in it."""

    text: str
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def runs(self, words: tuple[str, ...]) -> list[int]:
        """Where these words stand one after the other."""
        length = len(words)
        if not length:
            return []
        return [i for i in range(len(self.words) - length + 1) if self.words[i : i + length] == words]

    def written(self, first: int, last: int) -> str:
        """From one word to another, as the transcript has them; with the mark that ends a question or a call."""
        start, end = self.places[first][0], self.places[last][1]
        end += self.text[end : end + 1] in ("?", "!", "？", "！") and end < len(self.text)
        return self.text[start:end]


def heard_of(text: str) -> Heard:
    """The words in `text` without case and marks; of Chinese and Japanese every sign is one."""
    places: list[tuple[int, int]] = []
    straight = text.translate({ord(c): "'" for c in "’‘ʼ´"})
    for found in _UNIT.finditer(straight):
        start, end = found.span()
        if _ALONE.search(found[0]):
            places += [(at, at + 1) for at in range(start, end)]
        else:
            places.append((start, end))
    words = tuple(unicodedata.normalize("NFC", straight[start:end].casefold()) for start, end in places)
    return Heard(text=text, words=words, places=tuple(places))


def _tokens(text: str, start: int, end: int | None) -> list[Token]:
    return [
        Token(piece=Piece(str(found.lastgroup)), text=found[0], start=found.start(), end=found.end())
        for found in _PIECE.finditer(text, start, len(text) if end is None else end)
    ]


def _quotations(text: str) -> list[tuple[int, int]]:
    """Where quotations begin and end: between double marks, and between single ones that cannot be apostrophes."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = text.index('"', at + 1) + 1
        elif text[at] == "'" and _opens(text, at) and (closing := _closing(text, at)):
            end = closing + 1
        else:
            at += 1
            continue
        found.append((at, end))
        at = end
    return found


def _opens(text: str, at: int) -> bool:
    return not text[at - 1 : at].isalnum() and not text[at + 1 : at + 2].isspace() and at + 1 < len(text)


def _closing(text: str, opening: int) -> int | None:
    for at in range(opening + 2, len(text)):
        if text[at] == '"':
            return None
        if text[at] == "'" and not text[at - 1].isspace() and not text[at + 1 : at + 2].isalnum():
            return at
    return None
