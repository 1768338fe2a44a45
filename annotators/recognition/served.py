"""A recogniser behind a URL: `/v1/audio/transcriptions` as OpenAI, vLLM, Speaches and others serve it.

A stretch travels as FLAC in memory. What fails costs that stretch alone, and its transcript says why.
"""

import json
import os
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from annotators.base import Transcript
from annotators.recognition.stretches import joined, pieces
from schemas.audio import Waveform, encode_flac
from schemas.config import aside
from schemas.errors import ConfigError

NO_KEY = "none"  # what a server that wants no key is told
SHOWN_CHARS = 300  # of an error


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlAsrConfig:
    url: str = aside()  # up to and with /v1
    model: str
    api_key_env: str | None = None  # the variable the key is in; the key itself is never part of a config
    languages: tuple[str, ...] = ()  # ISO 639-1; any where there are none
    timeout_s: float = aside(120.0)  # of one try
    connect_s: float = aside(10.0)
    retries: int = aside(
        2
    )  # of what may pass: no connection, no answer in time, too many requests, a fault of the server
    concurrency: int = aside(8)
    max_ms: int = 30_000  # a longer stretch is asked for in pieces
    min_ms: int = 100
    max_reply_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"url={self.url!r} is no address; it must be like http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ConfigError("url holds a key or a password; put it into a variable and name that as api_key_env")
        if self.concurrency < 1 or self.retries < 0:
            raise ConfigError(f"concurrency={self.concurrency} must be 1 or more, retries={self.retries} not negative")

    def build(self) -> "UrlTranscriber":
        return UrlTranscriber(self)


class UrlTranscriber:
    def __init__(self, config: UrlAsrConfig) -> None:
        self._config = config
        self._key = os.environ.get(config.api_key_env or "") or NO_KEY
        self._trust = ssl.create_default_context()
        self.model = f"{config.model}@{urlsplit(config.url).netloc}"

    def transcribe(self, stretches: Sequence[Waveform], language: str | None = None) -> list[Transcript]:
        """One transcript per stretch, without times; `error` says why there is none."""
        config = self._config
        if language and config.languages and language not in config.languages:
            return [
                Transcript(text="", error=f"{self.model} does not know the language {language!r}") for _ in stretches
            ]
        cut = [pieces(stretch, config.max_ms) for stretch in stretches]
        with self._connected() as client, ThreadPoolExecutor(config.concurrency) as threads:
            heard = threads.map(lambda part: self._ask(client, part, language), [p for parts in cut for p in parts])
            return [joined([next(heard) for _ in parts]) for parts in cut]

    def _connected(self) -> Any:
        """A pool of connections for one batch; nothing stays open between two."""
        import httpx2
        import openai

        config = self._config
        timeout = httpx2.Timeout(config.timeout_s, connect=min(config.connect_s, config.timeout_s))
        return openai.OpenAI(
            api_key=self._key,
            base_url=config.url,
            timeout=timeout,
            max_retries=config.retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultHttpxClient(verify=self._trust, follow_redirects=False, timeout=timeout),
        )

    def _ask(self, client: Any, part: Waveform, language: str | None) -> Transcript:
        import openai

        if part.duration_ms < self._config.min_ms:
            return Transcript(text="")
        try:
            text = text_of_reply(self._reply(client, part, language))
        except (openai.OpenAIError, _BadReplyError) as error:
            return Transcript(text="", error=self._told(error))
        return Transcript(text=text, language=language)

    def _reply(self, client: Any, part: Waveform, language: str | None) -> bytes:
        config = self._config
        arguments: dict[str, Any] = {"language": language} if language else {}
        until = time.monotonic() + config.timeout_s * (config.retries + 1)
        body = bytearray()
        with client.audio.transcriptions.with_streaming_response.create(
            file=("stretch.flac", encode_flac(part), "audio/flac"),
            model=config.model,
            response_format="json",
            temperature=0,
            **arguments,
        ) as response:
            for block in response.iter_bytes():
                body += block
                if len(body) > config.max_reply_bytes:
                    raise _BadReplyError(f"the reply is longer than {config.max_reply_bytes} bytes")
                if time.monotonic() > until:
                    raise _BadReplyError(f"the reply is not whole within {config.timeout_s:g} s a try")
        return bytes(body)

    def _told(self, error: Exception) -> str:
        """One line, without the key."""
        import openai

        config = self._config
        if isinstance(error, openai.APITimeoutError):
            text = f"{config.url} gave no answer within {config.timeout_s:g} s"
        elif isinstance(error, openai.APIStatusError):
            text = f"{config.url} answers {error.status_code}"
        elif isinstance(error, openai.APIConnectionError):
            text = f"no connection to {config.url}: {error.__cause__ or error}"
        else:
            text = f"{config.url}: {error}"
        return " ".join(text.replace(self._key, "[key]" if self._key != NO_KEY else NO_KEY).split())[:SHOWN_CHARS]


class _BadReplyError(Exception):
    """A reply that is no transcript."""


def text_of_reply(body: bytes) -> str:
    """The transcript in the JSON object a server answers with; raises _BadReplyError where there is none."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _BadReplyError("the reply is no JSON") from error
    text = reply.get("text") if isinstance(reply, dict) else None
    if not isinstance(text, str):
        raise _BadReplyError("the reply has no `text`")
    return " ".join(text.split())
