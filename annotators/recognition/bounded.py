"""Replies that never end, answers and errors alike, are not read to theirs. Imported only where one is asked for."""

import time
from collections.abc import Callable, Iterator

import httpx2


def bounding(max_bytes: int, max_s: float, error: type[Exception]) -> Callable[[httpx2.Response], None]:
    """A hook that sees a response before a byte of its body is read; `error` says what its body is too much of."""

    def bound(response: httpx2.Response) -> None:
        stream = response.stream
        assert isinstance(stream, httpx2.SyncByteStream), "a synchronous client reads synchronously"
        response.stream = _Bounded(stream, max_bytes, max_s, error)

    return bound


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, max_bytes: int, max_s: float, error: type[Exception]) -> None:
        self._stream, self._max_bytes, self._max_s, self._error = stream, max_bytes, max_s, error

    def __iter__(self) -> Iterator[bytes]:
        left, until = self._max_bytes, time.monotonic() + self._max_s
        for block in self._stream:
            left -= len(block)
            if left < 0:
                raise self._error(f"the reply is longer than {self._max_bytes} bytes")
            if time.monotonic() > until:
                raise self._error(f"the reply is not whole within {self._max_s:g} s")
            yield block

    def close(self) -> None:
        self._stream.close()
