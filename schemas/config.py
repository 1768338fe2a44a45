"""What configs are made of besides values: configs of parts, and settings that say where or how fast and decide nothing
of a shard."""

from collections.abc import Callable
from dataclasses import MISSING, Field, field
from typing import Any, Protocol, TypeVar

ASIDE = "aside"
T_co = TypeVar("T_co", covariant=True)


class Builds(Protocol[T_co]):
    """A config dataclass: its one method makes the ready object."""

    @property
    def build(self) -> Callable[[], T_co]: ...


def aside(default: Any = MISSING, *, default_factory: Any = MISSING) -> Any:
    """A field of a config that is no part of its fingerprint: an address, a device, how many at once.

    A run is resumed under another one, and makes the same shards.
    """
    metadata = {ASIDE: True}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def is_aside(one: Field[Any]) -> bool:
    return bool(one.metadata.get(ASIDE))
