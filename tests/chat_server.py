"""A language model's server on this machine, over real HTTP, that says what a test wants it to say.

    with ChatServer(lambda request: "yes" if "rain" in request.text else "no") as server:
        chat = ChatConfig(url=server.url, model=server.model).build()
        ...
        assert len(server.requests) == 2

What answers returns the text of the answer, a JSON value to be written as that text, or an `Answer` for anything else
that a server may do.

It speaks `POST /v1/chat/completions` and `GET /v1/models`. Audio parts (`input_audio`, `audio_url` with a data URL) are
decoded; one that is no sound is answered with 400, as vLLM does.
"""

import base64
import binascii
import io
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from schemas.audio import Waveform
from tests.local_server import NO_PAGE, Answer, LocalServer


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in. `number` counts the questions from 0, in the order they arrived."""

    number: int = 0
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


class ChatServer(LocalServer):
    """`model` is the one that it lists; `listing` is what it answers in place of that list."""

    requests: list[Request]

    def __init__(
        self,
        answer: Callable[[Request], Any] = lambda request: "fine",
        *,
        model: str = "tiny",
        path: str = "/v1",
        listing: Answer | None = None,
    ) -> None:
        super().__init__(answer, path=path)
        rows = {"object": "list", "data": [{"id": model, "object": "model"}]}
        self.model, self.listing = model, listing or Answer(raw=json.dumps(rows).encode())
        self.keys: list[str] = []  # of those who asked for the list

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.requests]

    def read(self, path: str, headers: Mapping[str, str], body: bytes) -> Request | Answer:
        if path != f"{self.path}/chat/completions":
            return NO_PAGE
        try:
            found = json.loads(body)
            sounds = tuple(_sounds(found["messages"]))
        except (ValueError, KeyError, soundfile.SoundFileError) as error:
            return Answer(status=400, raw=json.dumps({"error": {"message": f"bad request: {error}"}}).encode())
        return Request(body=found, headers=headers, sounds=sounds)

    def listed(self, path: str, headers: Mapping[str, str]) -> Answer:
        if path != f"{self.path}/models":
            return NO_PAGE
        self.keys.append(headers["authorization"])
        return self.listing

    def written(self, told: Any) -> Answer:
        return Answer(text=told if isinstance(told, str) else json.dumps(told, ensure_ascii=False))

    def body(self, answer: Answer) -> bytes:
        return envelope(answer.text, model=self.model, finish=answer.finish)


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
