"""What configs are made of besides values: settings that say where or how fast, and decide nothing of a shard."""

from dataclasses import MISSING, Field, field
from typing import Any

ASIDE = "aside"


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
