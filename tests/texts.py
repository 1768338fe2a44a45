"""Texts that nobody would write, for readers that must stand them."""

from hypothesis import strategies as st

PIECE_CHARACTERS = 200_000

_characters = st.one_of(st.integers(0, 0x7F), st.integers(0, 0x33FF), st.integers(0, 0x10FFFF)).map(chr)
anything = st.lists(_characters, max_size=40).map("".join)
"""Any characters: control characters, halves of surrogate pairs and all."""


def hostile(shreds: list[str]) -> st.SearchStrategy[str]:
    """Any characters, or what looks like a format without being it: its marks in any order."""
    return st.lists(st.sampled_from(shreds) | anything, max_size=6).map("".join) | st.lists(
        st.sampled_from(shreds), max_size=30
    ).map("".join)


def much(shred: str) -> str:
    """So much of one thing that work which grows with its square does not end."""
    return shred * (PIECE_CHARACTERS // len(shred))
