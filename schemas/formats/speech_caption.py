"""Captions of speech: a JSON object of thirteen short phrases, in the order of `KEYS`.

    {"gender": "female", "pitch": "medium-high", ..., "summary": "A young woman speaks calmly."}

Written on one line, as `json.dumps` does, and with the characters of every language as they are.

Read as well: any other layout, fences and prose around the object, trailing or missing commas, typographic, single or
no quotes, keys in capitals, an object within an object, lists and numbers for phrases, and an object that breaks off.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import zip_longest

from schemas.errors import SchemaError
from schemas.formats.reading import Unread, collapsed, same, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechCaption:
    """Each a phrase in free words, in the caption's language."""

    gender: str
    pitch: str
    speed: str
    volume: str
    age: str
    clarity: str
    fluency: str
    accent: str
    texture: str
    emotion: str
    tone: str
    personality: str
    summary: str

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "SpeechCaption":
        """Raises SchemaError that names the keys which are missing or unknown."""
        missing, unknown = [key for key in KEYS if key not in values], [key for key in values if key not in KEYS]
        if missing or unknown:
            raise SchemaError(f"speech caption: missing {missing}, unknown {shown(unknown)}; it has {', '.join(KEYS)}")
        return cls(**values)


KEYS = tuple(item.name for item in fields(SpeechCaption))

_TOKEN = re.compile(
    r'"(?P<string>(?:[^"\\]|\\.)*+)(?P<closed>")?+'
    r"|“(?P<quoted>[^”]*+)(?P<closed_too>”)?+"
    r"|'(?P<single>[^'\n]*+)'(?=\s*[:,}\]：，])"
    r"|(?P<mark>[{}\[\]:,｛｝［］：，])"
    r"|(?P<bare>[^\s{}\[\]:,｛｝［］：，\"“]++)",
    re.DOTALL,
)
_MARKS = str.maketrans("｛｝［］：，", "{}[]:,")
_FENCE = re.compile(r"```[A-Za-z0-9]{0,16}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOTHING = {"null", "none", "undefined"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSpeechCaption:
    """`values` are the phrases that were read, by key in the order of `KEYS`; `caption` needs all of them."""

    text: str
    values: Mapping[str, str]
    unread: tuple[Unread, ...]

    @property
    def caption(self) -> SpeechCaption | None:
        return SpeechCaption(**self.values) if len(self.values) == len(KEYS) else None

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(key for key in KEYS if key not in self.values)

    @property
    def complete(self) -> bool:
        """Whether the text is an object with all phrases and nothing else, in whatever layout and order."""
        return not self.missing and not self.unread

    @property
    def well_formed(self) -> bool:
        """Whether the text is, to the character, what `write` makes of its caption."""
        return self.caption is not None and same(write(self.caption), self.text)


def parse(text: str) -> ParsedSpeechCaption:
    """The phrases of the first object in `text`. Of a key that is given twice the first counts."""
    start = min((place for brace in "{｛" if (place := text.find(brace)) >= 0), default=len(text))
    reading = _Reading()
    end = reading.take(text, start)
    unread = [Unread(fragment=outside, reason="outside the object") for outside in _prose(text[:start], text[end:])]
    if start == len(text):
        unread = [Unread(fragment=text.strip(), reason="no object")]
    values = {key: reading.values[key] for key in KEYS if key in reading.values}
    return ParsedSpeechCaption(text=text, values=values, unread=(*reading.unread, *unread))


def write(caption: SpeechCaption) -> str:
    """The object on one line.

    Raises SchemaError that names the key whose phrase is no text, is blank, or holds line breaks, other white space
    than single spaces between words, or half a surrogate pair. `plain` makes any words writable.
    """
    for key, phrase in asdict(caption).items():
        if not isinstance(phrase, str) or not phrase or plain(phrase) != phrase:
            raise SchemaError(f"speech caption: {key} is {shown(phrase)}; it must be a phrase, as plain() makes it")
    return json.dumps(asdict(caption), ensure_ascii=False)


def plain(text: str) -> str:
    """`text` on one line with single spaces, and without halves of surrogate pairs."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", collapsed(text))


@dataclass(slots=True)
class _Reading:
    """Goes through the tokens of an object once, however deep it is, and keeps the phrases of known keys."""

    values: dict[str, str] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    key: str | None = None
    parts: list[str] = field(default_factory=list)
    whole: bool = True  # no part of the phrase has broken off
    brackets: int = 0
    listed: bool = False

    def take(self, text: str, start: int) -> int:
        """Reads the object that begins at `start`; returns where it ends."""
        depth, skipped_from = 0, 0
        tokens = list(_TOKEN.finditer(text, start))
        for token, following in zip_longest(tokens, tokens[1:]):
            mark = _mark(token)
            if mark == "{":
                depth += 1
                if self.key in KEYS and not skipped_from:
                    self._leave(self.key, "an object where a phrase should be")
                    skipped_from = depth
                self._start(None)
            elif mark == "}":
                depth -= 1
                self._keep()
                skipped_from = 0 if depth < skipped_from else skipped_from
                if not depth:
                    return token.end()
            elif skipped_from:
                if not mark:
                    self._leave(token.group(), "within an object where a phrase should be")
            elif mark in ("[", "]"):
                self.brackets = max(0, self.brackets + (1 if mark == "[" else -1))
                self.listed = True
            elif mark == ",":
                if not self.brackets:
                    self._keep()
            elif not mark and following is not None and _mark(following) == ":":
                self._keep()
                self._start(collapsed(_words(token)).lower())
            elif not mark:
                self._add(token)
        if tokens:
            self.whole &= tokens[-1]["bare"] is None and not self.brackets
            self._keep()
            self._leave("", "the object breaks off")
        return len(text)

    def _add(self, token: re.Match[str]) -> None:
        if self.key is None:
            self._leave(token.group(), "no key")
            return
        if token["string"] is not None or token["quoted"] is not None:
            self.whole &= bool(token["closed"] or token["closed_too"])
        if words := _words(token):
            self.parts.append(words)

    def _keep(self) -> None:
        key, phrase = self.key, plain((", " if self.listed else " ").join(self.parts))
        if key is None:
            pass
        elif key not in KEYS:
            self._leave(f"{key}: {phrase}", "no key of a speech caption")
        elif key in self.values:
            self._leave(f"{key}: {phrase}", "given before")
        elif not phrase:
            self._leave(key, "no phrase")
        elif not self.whole:
            self._leave(f"{key}: {phrase}", "the phrase breaks off")
        else:
            self.values[key] = phrase
        self._start(None)

    def _start(self, key: str | None) -> None:
        self.key, self.parts, self.whole, self.brackets, self.listed = key, [], True, 0, False

    def _leave(self, fragment: str, reason: str) -> None:
        self.unread.append(Unread(fragment=fragment, reason=reason))


def _mark(token: re.Match[str]) -> str:
    return (token["mark"] or "").translate(_MARKS)


def _words(token: re.Match[str]) -> str:
    """What a word or a string says."""
    if token["bare"] is not None:
        return "" if token["bare"].lower() in _NOTHING else token["bare"]
    if token["string"] is None:
        return token["single"] or token["quoted"] or ""
    try:
        return str(json.loads(f'"{token["string"]}"', strict=False))
    except ValueError:
        return token["string"]


def _prose(*texts: str) -> list[str]:
    return [words for text in texts if (words := collapsed(_FENCE.sub("", text)))]
