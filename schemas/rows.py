"""Nouns as rows, and rows as nouns: the Arrow schema and the JSON are derived, never written by hand.

Spoken here: str, int, float, bool, StrEnum, a nested dataclass (struct), `tuple[X, ...]` (list) and
`X | None` (nullable). Anything else is refused by name.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from schemas.errors import SchemaError

T = TypeVar("T")
Row = dict[str, Any]

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def arrow_schema(cls: type) -> pa.Schema:
    """The Arrow schema of a dataclass, field by field."""
    return pa.schema([_field(name, hint) for name, hint in _hints(cls).items()])


def to_row(noun: Any) -> Row:
    """A dataclass as plain dicts, lists and values."""
    return {f.name: _plain(getattr(noun, f.name)) for f in fields(noun)}


def from_row(cls: type[T], row: Mapping[str, Any]) -> T:
    """The dataclass that `to_row` wrote. Raises SchemaError for unknown or missing fields and wrong types."""
    if not isinstance(row, Mapping):
        raise SchemaError(f"{cls.__name__} should be an object, not {_shown(row)}")
    hints, required = _hints(_noun(cls)), _required(_noun(cls))
    if unknown := sorted(map(str, set(row) - set(hints))):
        raise SchemaError(f"{cls.__name__} has no field {unknown}; it has {sorted(hints)}")
    if missing := [name for name in required if name not in row]:
        raise SchemaError(f"{cls.__name__} lacks {missing}")
    as_they_are = _as_they_are(_noun(cls))
    return cls(
        **{
            name: value if type(value) in as_they_are[name] else _typed(hints[name], value, f"{cls.__name__}.{name}")
            for name, value in row.items()
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if is_dataclass(value):
        return to_row(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any, where: str) -> Any:
    inner = _optional(hint)
    if inner is not None:
        return None if value is None else _typed(inner, value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise SchemaError(f"{where} should be a list, not {_shown(value)}")
        return tuple(_typed(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        return from_row(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if issubclass(hint, StrEnum):
        if value not in list(hint):
            raise SchemaError(f"{where} is {_shown(value)}; it can be {[member.value for member in hint]}")
        return hint(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise SchemaError(f"{where} should be {hint.__name__}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A value short enough for one line of an error, whatever someone put there."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _field(name: str, hint: Any) -> pa.Field:
    inner = _optional(hint)
    return pa.field(name, _arrow_type(name, hint if inner is None else inner), nullable=inner is not None)


def _arrow_type(name: str, hint: Any) -> pa.DataType:
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(name, get_args(hint)[0]))
    if is_dataclass(hint) and isinstance(hint, type):
        return pa.struct([_field(n, h) for n, h in _hints(hint).items()])
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return pa.string()
    if hint not in _ARROW:
        raise SchemaError(f"{name}: {hint} has no place in a row")
    return _ARROW[hint]


@cache
def _optional(hint: Any) -> Any | None:
    """X where the hint is `X | None`, else None."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    inner = [arg for arg in get_args(hint) if arg is not type(None)]
    if len(inner) != 1 or len(get_args(hint)) != 2:
        raise SchemaError(f"{hint} has no place in a row; only `X | None` does")
    return inner[0]


def _noun(cls: Any) -> type:
    """The class as a cache key."""
    found: type = cls
    return found


@cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


@cache
def _as_they_are(cls: type) -> dict[str, frozenset[type]]:
    """The types of values that each field takes without a look: most of a record, so it is read in half the time."""
    found = {}
    for name, hint in _hints(cls).items():
        inner = _optional(hint)
        plain = {hint if inner is None else inner} & _ARROW.keys()
        found[name] = frozenset(plain if inner is None else plain | {type(None)})
    return found


@cache
def _required(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
