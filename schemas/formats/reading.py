"""How the readers here look at a text, and what they say of what they could not read.

All of them forgive alike: brackets, colons, digits and dashes as Chinese models write them count as the ASCII ones,
white space is what separates and nothing more, and a fence of backticks round an answer is no part of it. None of them
raises on any string, and their work grows in step with its length.
"""

import re
from dataclasses import dataclass

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_PAIRED = str.maketrans("【】〔〕「」", "[][][]")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_ALIKE = {**_WIDE, **_PAIRED, **_DASHES, 0x301C: "~", 0x3000: " "}

_FENCE = re.compile(r"```[A-Za-z0-9]{0,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A piece of a text that became no item, and why."""

    fragment: str
    reason: str


def alike(text: str) -> str:
    """`text` with its full-width and typographic characters as ASCII, for matching.

    Character for character, so that a place in the one is the same place in the other.
    """
    return text.translate(_ALIKE)


def collapsed(text: str) -> str:
    """`text` on one line, with single spaces between its words and none around them."""
    return " ".join(text.split())


def unfenced(text: str) -> str:
    """`text` without the fences (three backticks and a language) that it begins and ends with."""
    text = text.strip()
    if fence := _FENCE.match(text):
        text = text[fence.end() :]
    return text.removesuffix("```")


def same(written: str, text: str) -> bool:
    """Whether two texts are one but for white space at their ends."""
    return written.rstrip() == text.rstrip()


def shown(value: object) -> str:
    """`value` for an error message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
