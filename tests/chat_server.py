"""A language model's server on this machine, over real HTTP, that says what a test wants it to say.

    with ChatServer(lambda request: "yes" if "rain" in request.text else "no") as server:
        chat = ChatConfig(url=server.url, model=server.model).build()
        ...
        assert len(server.requests) == 2

What answers is a function of the request. It returns the text of the answer, a JSON value to be written as that text,
or an `Answer` for anything else that a server may do. An exception in it is kept in `server.troubles` and answered with
500; leaving the `with` block raises it, so that a test never passes over it.

It speaks `POST /v1/chat/completions` and `GET /v1/models`. Audio parts (`input_audio`, `audio_url` with a data URL) are
decoded; one that is no sound is answered with 400, as vLLM does.
"""

import base64
import binascii
import io
import json
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile

from schemas.audio import Waveform

MAX_HELD_S = 60.0  # nothing here waits longer than this, whatever a test asks for


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in. `number` counts the questions from 0, in the order they arrived."""

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]  # names in lower case
    sounds: tuple[Waveform, ...] = ()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body["messages"]

    @property
    def system(self) -> str:
        return "\n".join(_text(message) for message in self.messages if message["role"] == "system")

    @property
    def text(self) -> str:
        """All that the user wrote, the parts joined by line ends."""
        return "\n".join(_text(message) for message in self.messages if message["role"] == "user")

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema asked for."""
        wish = self.body.get("response_format")
        return wish["json_schema"]["schema"] if wish else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server may do. `raw` is sent as the body in place of the usual envelope around `text`."""

    text: str | None = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    finish: str = "stop"
    delay_s: float = 0.0  # before the first byte
    drip_s: float | None = None  # between one byte of the body and the next
    closes_after: int | None = None  # bytes of the body, then the connection is closed; 0 closes it before the status
    never: bool = False  # holds the connection and says nothing


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # leaving the `with` block waits for every one of them
    request_queue_size = 128  # as many as may knock at once


class ChatServer:
    """Answers on a free port of the loopback interface until the `with` block is left."""

    def __init__(
        self, answer: Callable[[Request], Any] = lambda request: "fine", *, model: str = "tiny", path: str = "/v1"
    ) -> None:
        self.answer, self.model = answer, model
        self.requests: list[Request] = []  # the questions, in the order they arrived
        self.troubles: list[BaseException] = []
        self.most_at_once = 0  # questions that were being answered at the same time
        self._now = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._path = path
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """What `ChatConfig.url` takes."""
        return f"http://127.0.0.1:{self._http.server_port}{self._path}"

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.requests]

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

    def _answered(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            found = json.loads(body)
            sounds = tuple(_sounds(found["messages"]))
        except (ValueError, KeyError, soundfile.SoundFileError) as error:
            return Answer(status=400, raw=json.dumps({"error": {"message": f"bad request: {error}"}}).encode())
        with self._lock:
            request = Request(number=len(self.requests), body=found, headers=headers, sounds=sounds)
            self.requests.append(request)
        try:
            answer = self.answer(request)
        except BaseException as error:
            self.troubles.append(error)
            return Answer(status=500, raw=b'{"error": {"message": "the test has gone wrong"}}')
        if isinstance(answer, Answer):
            return answer
        return Answer(text=answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))

    def _entered(self, step: int) -> None:
        with self._lock:
            self._now += step
            self.most_at_once = max(self.most_at_once, self._now)


def envelope(text: str | None, *, model: str = "tiny", finish: str = "stop") -> bytes:
    """The body of an answer as vLLM writes it."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": len((text or "").split()), "total_tokens": 7},
    }
    return json.dumps(body).encode()


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out as two writes
        timeout = 5  # of a connection that is kept open

        def do_GET(self) -> None:
            if self.path == f"{server._path}/models":
                rows = {"object": "list", "data": [{"id": server.model, "object": "model"}]}
                self._send(Answer(raw=json.dumps(rows).encode()))
            else:
                self._send(Answer(status=404, raw=b"no such page"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != f"{server._path}/chat/completions":
                self._send(Answer(status=404, raw=b"no such page"))
                return
            server._entered(+1)
            try:
                self._send(server._answered(body, {name.lower(): value for name, value in self.headers.items()}))
            except OSError:  # whoever asked has gone
                self.close_connection = True
            finally:
                server._entered(-1)

        def _send(self, answer: Answer) -> None:
            held = MAX_HELD_S if answer.never else answer.delay_s
            if (held and server.wait(held)) or answer.never or answer.closes_after == 0:
                self.close_connection = True
                return
            body = answer.raw
            if body is None:
                body = envelope(answer.text, model=server.model, finish=answer.finish)
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


def _text(message: Mapping[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _sounds(messages: list[dict[str, Any]]) -> list[Waveform]:
    """Raises ValueError for a part that is no sound."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    sounds = []
    for part in parts:
        if part["type"] == "input_audio":
            data = part["input_audio"]["data"]
            kind = part["input_audio"]["format"]
        elif part["type"] == "audio_url":
            head, _, data = urllib.parse.unquote(part["audio_url"]["url"]).partition(",")
            if not head.startswith("data:audio/") or not head.endswith(";base64"):
                raise ValueError(f"{head[:40]!r} is no data URL of a sound")
            kind = head.removeprefix("data:audio/").removesuffix(";base64")
        else:
            continue
        try:
            content = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"a sound is not base64: {error}") from error
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.format.lower() != kind:
                raise ValueError(f"a sound said to be {kind} is {file.format}")
            pcm = file.read(dtype="int16", always_2d=True)
            sounds.append(Waveform(pcm=np.ascontiguousarray(pcm[:, 0]), rate_hz=file.samplerate))
    return sounds
