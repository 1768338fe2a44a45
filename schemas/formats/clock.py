"""Times as the answers write them: seconds with two decimals, and minutes with seconds.

Inside they are whole milliseconds from the start of the audio. Written, they are hundredths of a second (`seconds`) or
whole seconds (`minutes`), each rounded half up; so reading what was written gives a multiple of 10 ms, or of 1000.
"""

from schemas.errors import SchemaError

HUNDREDTH_MS = 10
SECOND_MS = 1000
MAX_MS = 9_999_999_990
"""The last time there is a notation for, about 116 days in."""

CLOCK = r"(?:[0-9]{1,3}:[0-5]?[0-9]:[0-5]?[0-9]|[0-9]{1,4}:[0-5]?[0-9])(?:[.,][0-9]{1,9})?(?![0-9]|[.,][0-9])"
"""A pattern for mm:ss and h:mm:ss, with or without decimals. It has no groups."""

TIME = rf"(?:{CLOCK}|[0-9]{{1,7}}(?:[.,][0-9]{{1,9}})?(?![0-9]|[.,][0-9]))"
"""A pattern for what `milliseconds` reads: a `CLOCK`, or seconds with a point or a comma. It has no groups."""

UNIT = r"(?: ?(?:seconds?|secs?|s|秒)(?![A-Za-z]))?"
"""A pattern for the unit that may follow a time. It has no groups."""


def milliseconds(time: str) -> int:
    """The time that a match of `TIME` tells, to the hundredth of a second, rounded half up."""
    whole, _, decimals = time.replace(",", ".").partition(".")
    second = 0
    for unit in whole.split(":"):
        second = second * 60 + int(unit)
    hundredths = int(decimals[:2].ljust(2, "0")) + (decimals[2:3] >= "5")
    return min(second * SECOND_MS + hundredths * HUNDREDTH_MS, MAX_MS)


def rounded(time_ms: int, step_ms: int = HUNDREDTH_MS) -> int:
    """The multiple of `step_ms` that is nearest, the later of two."""
    return (time_ms + step_ms // 2) // step_ms * step_ms


def seconds(time_ms: int) -> str:
    """`12.34`: seconds with exactly two decimals."""
    second, rest_ms = divmod(rounded(time_ms), SECOND_MS)
    return f"{second}.{rest_ms // HUNDREDTH_MS:02d}"


def minutes(time_ms: int, digits: int = 2) -> str:
    """`03:07`: minutes, of at least so many digits, and whole seconds."""
    minute, second = divmod(rounded(time_ms, SECOND_MS) // SECOND_MS, 60)
    return f"{minute:0{digits}d}:{second:02d}"


def check_span(start_ms: int, end_ms: int, where: str) -> None:
    """Raises SchemaError, beginning with `where`, unless these are times and in order. They may be equal."""
    for name, time_ms in (("start_ms", start_ms), ("end_ms", end_ms)):
        if type(time_ms) is not int or not 0 <= time_ms <= MAX_MS:
            raise SchemaError(f"{where}: {name} is {time_ms!r}; it must be whole milliseconds from 0 to {MAX_MS}")
    if end_ms < start_ms:
        raise SchemaError(f"{where}: it ends at {end_ms} ms, before it starts at {start_ms} ms")
