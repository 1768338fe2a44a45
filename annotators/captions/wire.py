"""One question over HTTP, and what its answer or its failure means. Imported only where a question is asked."""

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
import openai

from annotators.captions.chat import NO_KEY, Asked, ChatConfig, Said
from schemas.errors import ConfigError
from schemas.formats import thinking
from schemas.formats.reading import collapsed

SHOWN_CHARS = 400  # of an error; cut only when the key is out of it, lest half a key is left
_SURROGATE = re.compile("[\ud800-\udfff]")


class _RefusedError(Exception):
    """A reply that is not read to its end. It is not of the HTTP library's family, so that it is not tried again."""


class Wire:
    """A connection pool for one batch of questions, on one event loop.

    Errors name the address as the config does: they get into records, and a host from the environment need not.
    """

    def __init__(self, config: ChatConfig, url: str, key: str, trust: ssl.SSLContext) -> None:
        self._config, self._key = config, key
        timeout = httpx2.Timeout(config.timeout_s, connect=min(config.connect_s, config.timeout_s))
        http = openai.DefaultAsyncHttpxClient(
            verify=trust,
            follow_redirects=False,
            timeout=timeout,
            limits=httpx2.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency),
            event_hooks={"response": [self._bound]},
        )
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=url,
            timeout=timeout,
            max_retries=config.retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=http,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(self, asked: Asked) -> tuple[Said, bool]:
        """The answer, and whether the server gave any sign of life."""
        begun = time.perf_counter()
        reached = True
        try:
            async with asyncio.timeout(self._config.timeout_s):
                body = await self._body(asked)
            said = _read(body, asked)
        except (TimeoutError, openai.APITimeoutError, openai.APIConnectionError) as error:
            said, reached = Said(text="", error=self._no_answer(error)), False
        except openai.APIStatusError as error:
            said = Said(text="", error=self._status(error.response))
        except _RefusedError as error:
            said = Said(text="", error=str(error))
        except UnicodeEncodeError:
            said = Said(text="", error="the question holds half a surrogate pair, which cannot be sent")
        return Said(
            text=said.text,
            error=said.error and self._told(said.error),
            seconds=time.perf_counter() - begun,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
        ), reached

    async def served(self) -> tuple[str, ...]:
        """Raises ConfigError where the server does not tell."""
        try:
            async with asyncio.timeout(self._config.timeout_s):
                reply = await self._client.models.with_raw_response.list()
            rows = _envelope(reply.content).get("data")
            if not isinstance(rows, list):
                raise _RefusedError("the reply has no list `data`")
        except (TimeoutError, openai.APITimeoutError, openai.APIConnectionError) as error:
            trouble = self._no_answer(error)
        except openai.APIStatusError as error:
            trouble = self._status(error.response)
        except _RefusedError as error:
            trouble = str(error)
        else:
            names = [row.get("id") for row in rows if isinstance(row, dict)]
            return tuple(name for name in names if isinstance(name, str))
        raise ConfigError(f"the server of {self._config.model} does not say which models it has: {self._told(trouble)}")

    async def _body(self, asked: Asked) -> bytes:
        config = self._config
        arguments: dict[str, Any] = {
            "model": config.model,
            "messages": asked.messages,
            "max_tokens": asked.max_tokens,
            "temperature": config.temperature,
            "seed": config.seed,
        }
        if asked.schema is not None:
            named = {"name": "answer", "schema": asked.schema, "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": named}
        if config.thinks is not None:
            arguments["extra_body"] = {"chat_template_kwargs": {"enable_thinking": config.thinks}}
        reply = await self._client.chat.completions.with_raw_response.create(**arguments)
        return bytes(reply.content)

    async def _bound(self, response: httpx2.Response) -> None:
        """Before a byte of the body is read, be it an answer or an error."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _RefusedError("the reply is compressed though that was not asked for; it is not unpacked")
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream), "an asynchronous client reads asynchronously"
        response.stream = _Bounded(stream, self._config.max_reply_bytes)

    def _no_answer(self, error: BaseException) -> str:
        """The address is not told: these words stand in records, and it may be another tomorrow."""
        config, server, cause = self._config, f"the server of {self._config.model}", error.__cause__
        if isinstance(cause, httpx2.ConnectTimeout):
            return f"no connection to {server} within {config.connect_s:g} s"
        if isinstance(cause, httpx2.ConnectError):
            return f"no connection to {server}: {cause or type(cause).__name__}"
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return f"{server} gave no whole answer within {config.timeout_s:g} s"
        return f"the connection to {server} broke off: {cause or error}"

    def _status(self, response: httpx2.Response) -> str:
        status, server = response.status_code, f"the server of {self._config.model}"
        if status in (401, 403):
            key = self._config.api_key_env or "no variable"
            return (
                f"{server} answers {status}: the key in {key} is {'missing' if self._key == NO_KEY else 'not accepted'}"
            )
        if 300 <= status < 400:
            return (
                f"{server} answers {status} and points elsewhere, which is not followed; give the final address as url"
            )
        return f"{server} answers {status}: {_reason(response.content)}"

    def _told(self, error: str) -> str:
        """One line that repeats neither the key nor pages of text."""
        if self._key != NO_KEY:
            error = error.replace(self._key, "[key]")
        return _plain(collapsed(error))[:SHOWN_CHARS]


class _Bounded(httpx2.AsyncByteStream):
    """Ends a body that is longer than it may be."""

    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._max_bytes
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise _RefusedError(f"the reply is longer than {self._max_bytes:,} bytes; the rest is not read")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _read(body: bytes, asked: Asked) -> Said:
    """The answer in a reply with status 200. Raises _RefusedError for what is no such reply."""
    envelope = _envelope(body)
    choices = envelope.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise _RefusedError(f"the reply has no choices[0].message; is it a chat server? It says {_text(body)}")
    finish, content = choice.get("finish_reason"), message.get("content")
    if content is not None and not isinstance(content, str):
        raise _RefusedError(f"the reply's content is a {type(content).__name__}; it must be text")
    text = _plain(thinking.parse(content or "").reply.answer.strip())
    error = None if text else f"the answer is empty (finish_reason {str(finish)[:40]!r})"
    if finish == "length":
        error = f"the answer was cut off at its limit of {asked.max_tokens:,} tokens"
    elif finish == "content_filter" or message.get("refusal"):
        error = "the server refuses to answer"
    usage = envelope.get("usage")
    return Said(
        text="" if error else text,
        error=error,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        what = "a web page" if re.match(rb"\s{0,100}<(?:!doctype|html|head|body)", body[:200], re.I) else "not JSON"
        raise _RefusedError(
            f"the reply is {what}; is it a chat server, and does url end with /v1? It says {_text(body)}"
        ) from error
    if not isinstance(found, dict):
        raise _RefusedError(f"the reply is a JSON {type(found).__name__}, not an object; is it a chat server?")
    return found


def _reason(body: bytes) -> str:
    """What the body of an error says: `error.message` and its relatives, or all of it."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return _text(body)
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else _text(body)


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace").strip() or "nothing"


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and value > 0 else 0


def _plain(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
