"""Which names may stand for one and the same thing: a bark and a dog, a dog and an animal; but not a dog and a cat.

Names are looked up in the AudioSet ontology. One that is not there stands for every class it shares a word with.
"""

import re
from functools import cache, lru_cache

from schemas import audioset

_EMPTY = frozenset(("a", "an", "and", "of", "in", "on", "the", "to", "other", "sound", "small", "large", "big", "room"))
_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=1 << 16)
def akin(one: str, other: str) -> bool:
    """Whether what is called `one` may be the very thing that is called `other`: the same, or a kind of it."""
    if _stems(one) & _stems(other):
        return True
    mine, theirs = _classes(one), _classes(other)
    return any(audioset.is_family(a, b) for a in mine for b in theirs)


@lru_cache(maxsize=1 << 16)
def related(one: str, other: str) -> bool:
    """Whether the two are of one coarse class, and so perhaps mistaken for each other."""
    return akin(one, other) or bool(coarse_classes(one) & coarse_classes(other))


@lru_cache(maxsize=1 << 14)
def below(name: str, ancestor: str) -> bool:
    """Whether it may be a kind of `ancestor`, a class or a group of AudioSet ("Human voice")."""
    return any(label == ancestor or ancestor in audioset.ancestors(label) for label in _classes(name))


@lru_cache(maxsize=1 << 14)
def _classes(name: str) -> frozenset[str]:
    """The AudioSet classes that a name may stand for."""
    if label := audioset.known(name):
        return frozenset((label.name,))
    return frozenset(label for stem in _stems(name) for label in _by_stem().get(stem, ()))


@lru_cache(maxsize=1 << 14)
def coarse_classes(name: str) -> frozenset[str]:
    """Those of all the classes that a name may stand for; none for a name of which AudioSet knows no word."""
    return frozenset(kind for label in _classes(name) if (kind := audioset.coarse(label)))


@cache
def _by_stem() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for label in audioset.labels():
        for stem in _stems(label.name):
            found.setdefault(stem, []).append(label.name)
    return {stem: tuple(names) for stem, names in found.items()}


@lru_cache(maxsize=1 << 14)
def _stems(name: str) -> frozenset[str]:
    """Its words without the endings that tell one from several, and a thing from its doing."""
    return frozenset(stem for word in _WORD.findall(name.casefold()) if (stem := _stem(word)) not in _EMPTY)


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
