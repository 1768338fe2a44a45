"""A recogniser behind a URL: `/v1/audio/transcriptions` as OpenAI, vLLM, Speaches and others serve it.

A stretch travels as FLAC in memory. What fails costs that stretch alone, and its transcript says why. A server that is
not there is found out after a few stretches, not after all of them.
"""

import json
import os
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from annotators.base import Transcript
from annotators.recognition.stretches import joined, pieces, refused
from schemas.audio import Waveform, encode_flac
from schemas.config import aside
from schemas.errors import ConfigError

NO_KEY = "none"  # what a server that wants no key is told
SHOWN_CHARS = 300  # of an error


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlAsrConfig:
    url: str = aside()  # up to and with /v1
    model: str
    revision: str = "served"  # of the weights, as whoever serves them knows it
    api_key_env: str | None = aside(None)  # the variable the key is in; the key itself is never part of a config
    languages: tuple[str, ...] = ()  # ISO 639-1; any where there are none
    timeout_s: float = aside(120.0)  # of one try
    connect_s: float = aside(10.0)
    retries: int = aside(2)  # after the first try: no connection, no answer in time, too many requests, 5xx
    concurrency: int = aside(8)
    max_failures: int = aside(8)  # stretches in a row without a transcript or a refusal, then no more of the batch
    max_ms: int = 30_000  # a longer stretch is asked for in pieces
    min_ms: int = 100
    max_reply_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or parts.password or parts.query:  # before it could be told in any complaint
            raise ConfigError("url holds a key or a password; put it into a variable and name that as api_key_env")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"url={self.url!r} is no address; it must be like http://127.0.0.1:8000/v1")
        if self.concurrency < 1 or self.max_failures < 1 or self.retries < 0:
            raise ConfigError(
                f"concurrency={self.concurrency} and max_failures={self.max_failures} must be 1 or more, "
                f"retries={self.retries} not negative"
            )

    def build(self) -> "UrlTranscriber":
        return UrlTranscriber(self)


class UrlTranscriber:
    def __init__(self, config: UrlAsrConfig) -> None:
        self._config = config
        self._key = os.environ.get(config.api_key_env or "") or NO_KEY
        self._trust = ssl.create_default_context()
        self.model = f"{config.model}@{config.revision}"

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]:
        """One transcript per stretch, without times; `error` says why there is none."""
        config = self._config
        if why := refused(self.model, language, config.languages):
            return [Transcript(text="", error=why) for _ in stretches]
        cut = [pieces(stretch, config.max_ms) for stretch in stretches]
        patience = _Patience(max_failures=config.max_failures)
        with self._connected() as client, ThreadPoolExecutor(config.concurrency) as threads:
            parts_of_all = [part for parts in cut for part in parts]
            heard = threads.map(lambda part: self._ask(client, part, language, patience), parts_of_all)
            return [joined([next(heard) for _ in parts]) for parts in cut]

    def _connected(self) -> Any:
        """A pool of connections for one batch; nothing stays open between two."""
        import httpx2
        import openai

        from annotators.recognition.bounded import bounding

        config = self._config
        bound = bounding(config.max_reply_bytes, config.timeout_s, BadReplyError)
        timeout = httpx2.Timeout(config.timeout_s, connect=min(config.connect_s, config.timeout_s))
        return openai.OpenAI(
            api_key=self._key,
            base_url=config.url,
            timeout=timeout,
            max_retries=config.retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultHttpxClient(
                verify=self._trust, follow_redirects=False, timeout=timeout, event_hooks={"response": [bound]}
            ),
        )

    def _ask(self, client: Any, part: Waveform, language: str | None, patience: "_Patience") -> Transcript:
        import httpx2
        import openai

        if part.duration_ms < self._config.min_ms:
            return Transcript(text="")
        if patience.broken:
            return Transcript(text="", error=patience.broken)
        try:
            text = text_of_reply(self._reply(client, part, language))
        except (openai.OpenAIError, httpx2.HTTPError, BadReplyError) as error:
            told = self._told(error)
            patience.met(None if isinstance(error, openai.APIStatusError) else told)
            return Transcript(text="", error=told)
        patience.met(None)
        return Transcript(text=text, language=language)

    def _reply(self, client: Any, part: Waveform, language: str | None) -> bytes:
        config = self._config
        arguments: dict[str, Any] = {"language": language} if language else {}
        with client.audio.transcriptions.with_streaming_response.create(
            file=("stretch.flac", encode_flac(part), "audio/flac"),
            model=config.model,
            response_format="json",
            temperature=0,
            **arguments,
        ) as response:
            return b"".join(response.iter_bytes())

    def _told(self, error: Exception) -> str:
        """One line, without the key and the address, which may be another tomorrow."""
        import httpx2
        import openai

        config, server = self._config, f"the server of {self._config.model}"
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            text = f"{server} gave no answer within {config.timeout_s:g} s"
        elif isinstance(error, openai.APIStatusError):
            text = f"{server} answers {error.status_code}"
        elif isinstance(error, openai.APIConnectionError):
            text = f"no connection to {server}: {error.__cause__ or error}"
        elif isinstance(error, httpx2.HTTPError):
            text = f"the connection to {server} broke off: {error}"
        else:
            text = f"{server}: {error}"
        return " ".join(text.replace(self._key, "[key]" if self._key != NO_KEY else NO_KEY).split())[:SHOWN_CHARS]


@dataclass(slots=True)
class _Patience:
    """With a server that does not answer, for one batch."""

    max_failures: int
    broken: str = ""  # why the rest is not asked
    _in_a_row: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def met(self, trouble: str | None) -> None:
        """A transcript or a refusal; or what came instead of one."""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if trouble else 0
            if self._in_a_row >= self.max_failures:
                self.broken = f"not asked: {self._in_a_row} stretches in a row had no transcript, the last: {trouble}"


class BadReplyError(Exception):
    """A reply that is no transcript. It is not of the HTTP library's family, so that it is not tried again."""


def text_of_reply(body: bytes) -> str:
    """The transcript in the JSON object a server answers with; raises BadReplyError where there is none."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadReplyError("the reply is no JSON") from error
    text = reply.get("text") if isinstance(reply, dict) else None
    if not isinstance(text, str):
        raise BadReplyError("the reply has no `text`")
    return " ".join(text.split())
