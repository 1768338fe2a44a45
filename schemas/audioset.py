"""The 527 classes of the AudioSet release: names, places in the ontology, coarse classes and plain words.

All of it stands in `audioset.txt`, which is read once, with its source and licence. Nothing here knows an index: a
checkpoint orders its labels as its own config says, and they are matched by name or MID.

The coarse classes are the nine of `schemas.record.Profile`, given by subtree, with exceptions where the ontology files
a sound under its first source and any other makes it too (a hiss is no cat). All human sounds but speech and singing
are `human_voice`, as in the tagger of the embedded recipe; bells are things; music is all that is played.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from schemas.errors import SchemaError
from schemas.record import Profile

TABLE = Path(__file__).with_name("audioset.txt")
UNKNOWN = "source_ambiguous"  # the class of a name that AudioSet does not have
NONE = "none"  # stands in the table where a class is of no coarse class


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One class of the release, or a group of the ontology that holds some."""

    mid: str | None  # "/m/0bt9lr"; None for a group
    name: str  # the display name: "Dog"
    words: str  # "a dog"
    coarse: str | None  # a field of `Profile`; None for silence and for groups
    parents: tuple[str, ...]  # names


def labels() -> tuple[Label, ...]:
    """The classes in the order of the release."""
    return tuple(label for label in _nodes().values() if label.mid)


def by_name(name: str) -> Label:
    """The class of this display name, whatever its case and with spaces or underscores. Raises SchemaError."""
    if label := _by_key().get(_key(name)):
        return label
    raise SchemaError(f"{name!r} names no class of AudioSet; one is named as in schemas/audioset.txt, such as 'Dog'")


def by_mid(mid: str) -> Label:
    """The class of this machine id. Raises SchemaError."""
    if label := _by_key().get(mid):
        return label
    raise SchemaError(
        f"{mid!r} is no machine id of a class of AudioSet; one is as in schemas/audioset.txt: '/m/0bt9lr'"
    )


def known(name_or_mid: str) -> Label | None:
    """The class of this name or machine id, or None where AudioSet has none such."""
    return _by_key().get(name_or_mid) or _by_key().get(_key(name_or_mid))


def is_a(name: str, ancestor: str) -> bool:
    """Whether the class is the other or lies below it. `ancestor` may be a group such as "Human sounds".

    Raises SchemaError where there is no such class, or no such group.
    """
    if ancestor not in _nodes():
        raise SchemaError(f"{ancestor!r} is neither a class nor a group of AudioSet; see schemas/audioset.txt")
    label = by_name(name)
    return label.name == ancestor or ancestor in ancestors(label.name)


def is_kind(label: str, ancestor: str) -> bool:
    """As `is_a`, of a label that may be none of AudioSet's, and then is of no kind."""
    known_label = known(label)
    return known_label is not None and is_a(known_label.name, ancestor)


def is_family(one: str, other: str) -> bool:
    """Whether one is the other, or lies above or below it. A label that is none of AudioSet's has no family."""
    if one == other:
        return True
    a, b = known(one), known(other)
    return a is not None and b is not None and (a is b or a.name in ancestors(b.name) or b.name in ancestors(a.name))


@cache
def ancestors(name: str) -> frozenset[str]:
    """The names of all that the class lies below, groups too."""
    above: set[str] = set()
    waiting = list(by_name(name).parents)
    while waiting:
        parent = waiting.pop()
        if parent not in above:
            above.add(parent)
            waiting += _nodes()[parent].parents
    return frozenset(above)


def coarse(name: str) -> str | None:
    """The field of `Profile` that the class counts for; None for silence."""
    return by_name(name).coarse


def class_of(label: str) -> str | None:
    """As `coarse`, of a label that may be none of AudioSet's: it sounds, and nobody can say of what."""
    found = known(label)
    return found.coarse if found else UNKNOWN


def in_words(name: str) -> str:
    """What is heard, as it can follow "From 0.3 to 2.2 s": "a dog", "rain"."""
    return by_name(name).words


@cache
def _by_key() -> dict[str, Label]:
    return {key: label for label in labels() for key in (_key(label.name), label.mid or "")}


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


@cache
def _nodes() -> dict[str, Label]:
    """Every line of the table by its name, in its order."""
    nodes = {label.name: label for label in _read(TABLE.read_text(encoding="utf-8"))}
    for label in nodes.values():
        if strange := [parent for parent in label.parents if parent not in nodes]:
            raise SchemaError(f"{TABLE.name}: {label.name!r} lies below {strange[0]!r}, which is not there")
    return nodes


def _read(table: str) -> Iterator[Label]:
    coarse_classes = {f.name for f in fields(Profile)} | {NONE}
    above: list[tuple[str, str]] = []  # name and coarse class of each level down to the last line
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        row = line.lstrip(" ")
        del above[len(line) - len(row) :]
        mid, name, words, own, also = (*row.split("|"), "", "", "")[:5]
        kind = own or (above[-1][1] if above else NONE)
        if kind not in coarse_classes:
            raise SchemaError(f"{TABLE.name}: {name!r} is of the coarse class {kind!r}, which a profile has not")
        parents = (*(parent for parent, _ in above[-1:]), *(also.split(";") if also else ()))
        is_class = mid != "-"
        yield Label(
            mid=mid if is_class else None,
            name=name,
            words=words,
            coarse=kind if is_class and kind != NONE else None,
            parents=parents,
        )
        above.append((name, kind))
