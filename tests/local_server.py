"""A server on this machine, over real HTTP, that does whatever a test wants it to do.

What answers is a function of the request. It returns an `Answer`, or whatever else the server at hand writes into one.
An exception in it is kept in `server.troubles` and answered with 500; leaving the `with` block raises it, so that a
test never passes over it.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

MAX_HELD_S = 60.0  # nothing here waits longer than this, whatever a test asks for


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server may do. `raw` is sent as the body in place of the usual one around `text`."""

    text: str | None = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    finish: str = "stop"
    delay_s: float = 0.0  # before the first byte
    drip_s: float | None = None  # between one byte of the body and the next
    closes_after: int | None = None  # bytes of the body, then the connection is closed; 0 closes it before the status
    never: bool = False  # holds the connection and says nothing


NO_PAGE = Answer(status=404, raw=b"no such page")


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # leaving the `with` block waits for every one of them
    request_queue_size = 128  # as many as may knock at once


class LocalServer:
    """Answers on a free port of the loopback interface until the `with` block is left.

    A kind of server says how a request is read, what becomes of what the test returns, and how a text is sent.
    """

    def __init__(self, answer: Callable[[Any], Any], *, path: str = "/v1") -> None:
        self.answer, self.path = answer, path
        self.requests: list[Any] = []  # the questions, in the order they arrived
        self.troubles: list[BaseException] = []
        self.most_at_once = 0  # questions that were being answered at the same time
        self._now = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def read(self, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        """A request with its `number` left open, or an Answer to one that is none."""
        raise NotImplementedError

    def listed(self, path: str, headers: Mapping[str, str]) -> Answer:
        """The answer to whoever only looks."""
        return NO_PAGE

    def written(self, told: Any) -> Answer:
        """What a test returned that is no Answer yet."""
        return Answer(text=told)

    def body(self, answer: Answer) -> bytes:
        """Of an answer that is a text."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{self.path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        if self.troubles and error is None:
            raise self.troubles[0]

    def wait(self, seconds: float) -> bool:
        """Waits, or until the server is stopped; whether it was."""
        return self._stopped.wait(min(seconds, MAX_HELD_S))

    def _answered(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        request = self.read(path, headers, body)
        if isinstance(request, Answer):
            return request
        with self._lock:
            request = replace(request, number=len(self.requests))
            self.requests.append(request)
        try:
            told = self.answer(request)
        except BaseException as error:
            self.troubles.append(error)
            return Answer(status=500, raw=b'{"error": {"message": "the test has gone wrong"}}')
        return told if isinstance(told, Answer) else self.written(told)

    def _entered(self, step: int) -> None:
        with self._lock:
            self._now += step
            self.most_at_once = max(self.most_at_once, self._now)


def _handler(server: LocalServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out as two writes
        timeout = 5  # of a connection that is kept open

        def do_GET(self) -> None:
            self._send(server.listed(self.path, self._lowered()))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            server._entered(+1)
            try:
                self._send(server._answered(self.path, self._lowered(), body))
            except OSError:  # whoever asked has gone
                self.close_connection = True
            finally:
                server._entered(-1)

        def _lowered(self) -> dict[str, str]:
            return {name.lower(): value for name, value in self.headers.items()}

        def _send(self, answer: Answer) -> None:
            held = MAX_HELD_S if answer.never else answer.delay_s
            if (held and server.wait(held)) or answer.never or answer.closes_after == 0:
                self.close_connection = True
                return
            body = server.body(answer) if answer.raw is None else answer.raw
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.drip_s is not None:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    if server.wait(answer.drip_s):
                        break
            elif answer.closes_after is not None:
                self.wfile.write(body[: answer.closes_after])
            else:
                self.wfile.write(body)
                return
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
