"""Questions to a language model behind any OpenAI-compatible address: vLLM, SGLang, a hosted one.

    chat = ChatConfig(url="http://models:8000/v1", model="Qwen/Qwen3-30B-A3B-Instruct-2507").build()
    for said in chat.ask([[system(RULES), user(facts)] for facts in many], schema=SCHEMA): ...

Whatever goes wrong with a question costs that question alone and is told in words. A server that is not there is found
out after a few questions, not after all of them.
"""

import asyncio
import hashlib
import json
import os
import ssl
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from schemas.config import aside
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from annotators.captions.wire import Wire

T = TypeVar("T")
Message = Mapping[str, Any]  # {"role": ..., "content": text or parts}, as the API has it
NO_KEY = "EMPTY"  # what a server without keys is given


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """Which model is asked, where, and with how much patience. The key itself is only ever read from the environment.

    An address that is read from there too leaves the config as it is when the server moves, and with it what is done.
    Redirects are not followed, so that key and sound go nowhere else than to `url`.
    """

    url: str = aside()  # with the version: http://models:8000/v1; "$NAME" takes it from the environment at work
    model: str  # as the server calls it
    revision: str = "served"  # of the weights, as whoever serves them knows it
    api_key_env: str = aside("OPENAI_API_KEY")  # the name of the variable; one that is not set is no error
    timeout_s: float = aside(300.0)  # of one question, with all its tries and the waits between them
    connect_s: float = aside(10.0)
    retries: int = aside(3)  # after the first try: no connection, 408, 409, 429, 5xx; Retry-After up to two minutes
    concurrency: int = aside(16)  # questions on their way at once
    max_failures: int = aside(8)  # questions in a row without any answer, then the rest of the batch is not asked
    max_reply_bytes: int = 1 << 20
    temperature: float = 0.0
    seed: int = 0
    thinks: bool | None = None  # `enable_thinking` of the chat template; None leaves it to the server

    def __post_init__(self) -> None:
        if not self.url.startswith("$"):
            _check_url(self.url)
        if not self.model.strip():
            raise ConfigError("a language model must be named as its server calls it; `model` is empty")
        for name in ("timeout_s", "connect_s", "concurrency", "max_failures", "max_reply_bytes"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} of the language model {self.model} is {getattr(self, name)}; it must be > 0")
        if self.retries < 0 or not 0 <= self.temperature <= 2:
            raise ConfigError(
                f"the language model {self.model} has retries {self.retries} and temperature {self.temperature}; "
                "there are no fewer than 0 retries, and temperatures lie in 0..2"
            )

    def build(self) -> "Chat":
        return Chat(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: the conversation so far, and what its answer may be."""

    messages: Sequence[Message]
    schema: Mapping[str, Any] | None = None  # JSON schema
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """`text` is what the model said, without its thoughts; empty where `error` says why there is none."""

    text: str
    error: str | None = None
    seconds: float = 0.0  # from asking to the answer, tries and waits with it
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chat:
    """Keeps `concurrency` questions on their way and no more than those in memory."""

    def __init__(self, config: ChatConfig) -> None:
        self.config = config
        self.model = f"{config.model}@{config.revision}"
        _key(config)
        self._url = _address(config)
        self._trust = ssl.create_default_context()  # takes longer than a short question

    def ask(
        self,
        messages_list: Iterable[Sequence[Message]],
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1024,
    ) -> list[Said]:
        """One answer per conversation, in order. An iterable is drawn from as there is room for another question."""
        return self.answers(
            Asked(messages=messages, schema=schema, max_tokens=max_tokens) for messages in messages_list
        )

    def answers(self, asked: Iterable[Asked]) -> list[Said]:
        """As `ask`, each question with its own schema and limit."""
        questions = iter(asked)
        first = next(questions, None)
        return [] if first is None else _run(self._answers(chain([first], questions)))

    def served(self) -> tuple[str, ...]:
        """The models the server has. Raises ConfigError, in words, where it does not tell."""
        return _run(self._served())

    def prompt_sha256(self, system: str, template: str = "", schema: Mapping[str, Any] | None = None) -> str:
        """The hash a record keeps of a prompt: `prompt_sha256` with this model and temperature."""
        config = self.config
        return prompt_sha256(
            system=system, template=template, schema=schema, model=config.model, temperature=config.temperature
        )

    async def _answers(self, asked: Iterator[Asked]) -> list[Said]:
        said: dict[int, Said] = {}
        numbered = enumerate(asked)
        unanswered, broken = 0, ""

        async def work(wire: "Wire") -> None:
            nonlocal unanswered, broken
            for index, question in numbered:
                if broken:
                    said[index] = Said(text="", error=broken)
                    continue
                said[index], reached = await wire.ask(question)
                unanswered = 0 if reached else unanswered + 1
                if unanswered >= self.config.max_failures:
                    broken = f"not asked: {unanswered} questions in a row had no answer, the last: {said[index].error}"

        async with self._wire() as wire:
            await asyncio.gather(*(work(wire) for _ in range(self.config.concurrency)))
        return [said[index] for index in range(len(said))]

    async def _served(self) -> tuple[str, ...]:
        async with self._wire() as wire:
            return await wire.served()

    def _wire(self) -> "Wire":
        from annotators.captions.wire import Wire

        return Wire(self.config, self._url, _key(self.config), self._trust)


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def prompt_sha256(
    *, system: str, template: str = "", model: str, schema: Mapping[str, Any] | None = None, temperature: float = 0.0
) -> str:
    """SHA-256, 64 hexadecimal digits, of all that stays the same from question to question."""
    constant = {
        "system": system,
        "template": template,
        "schema": schema,
        "model": model,
        "temperature": float(temperature),
    }
    return hashlib.sha256(json.dumps(constant, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """On an event loop of its own, also from within another one, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(asyncio.run, work).result()


def _address(config: ChatConfig) -> str:
    if not config.url.startswith("$"):
        return config.url
    url = os.environ.get(config.url[1:], "").strip()
    if not url:
        raise ConfigError(
            f"the address of the language model {config.model} is to be in the environment variable {config.url[1:]}, "
            "which is not set"
        )
    _check_url(url)
    return url


def _check_url(url: str) -> None:
    """The messages never repeat an address that may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError("the address of a language model is no URL; it looks like http://models:8000/v1") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            "the address of a language model holds a password or a query; a key goes into the environment "
            "variable that `api_key_env` names"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"the address of a language model is {url!r}; it looks like http://models:8000/v1")


def _key(config: ChatConfig) -> str:
    """Raises ConfigError for what no HTTP header can hold; the HTTP library would tell it to everyone."""
    key = os.environ.get(config.api_key_env, "").strip() if config.api_key_env else ""
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the environment variable {config.api_key_env} holds what is no key: it has odd characters")
    return key or NO_KEY
