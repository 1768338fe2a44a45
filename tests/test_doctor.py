"""The doctor asks each server in its own words, and tells no server another's key."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from annotators.captions.chat import ChatConfig
from annotators.recognition.served import UrlAsrConfig
from jobs.doctor import Finding, Server, findings, servers_in
from pipeline.ray_runner import PLACES
from pipeline.route import AnnotateConfig
from tests.make import quick


@contextmanager
def serving(*models: str, elsewhere: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """The address of a server with these models, and the keys it is told."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["Authorization"])
            body = json.dumps({"data": [{"id": model} for model in models]}).encode()
            self.send_response(307 if elsewhere else 200)
            for name, value in {"Content-Length": str(len(body)), "Location": elsewhere or "/"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asking(*servers: object) -> AnnotateConfig:
    return replace(quick(), music=servers)  # type: ignore[arg-type]  # it is looked at, never built


def told(config: AnnotateConfig) -> list[Finding]:
    return [finding for finding in findings(None, config) if finding.what.startswith("server")]


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    monkeypatch.setenv("EARS_KEY", "ears")


def test_a_server_is_told_its_own_key_and_no_other():
    with serving("m") as (url, keys):
        named = (
            ChatConfig(url=url, model="m"),
            UrlAsrConfig(url=url, model="m", api_key_env="EARS_KEY"),
            UrlAsrConfig(url=url, model="m"),
        )
        assert [finding.ok for finding in told(asking(*named))] == [True] * 3
    assert keys == ["Bearer s3cret", "Bearer ears", "Bearer none"]


def test_an_address_in_the_environment_is_asked_there(monkeypatch):
    config = asking(ChatConfig(url="$SOME_URL", model="m"))
    assert servers_in(config) == [Server(url="$SOME_URL", model="m", key_env="OPENAI_API_KEY")]
    with serving("m") as (url, _):
        monkeypatch.setenv("SOME_URL", url)
        (finding,) = told(config)
    assert finding.ok
    monkeypatch.delenv("SOME_URL")
    (finding,) = told(config)
    assert not finding.ok
    assert not finding.needed


def test_a_key_is_not_carried_elsewhere():
    with serving("m") as (other, others), serving(elsewhere=f"{other}/models") as (url, _):
        (finding,) = told(asking(ChatConfig(url=url, model="m")))
    assert not finding.ok
    assert others == []
    assert "s3cret" not in finding.detail


def test_another_model_is_not_the_one():
    with serving("other") as (url, _):
        (finding,) = told(asking(ChatConfig(url=url, model="m")))
    assert not finding.ok
    assert "serves other, not this" in finding.detail


def test_a_cluster_is_told_all_that_the_recipe_reads_and_no_key():
    """Or the job's driver would build another config than the one that was asked for."""
    import inspect
    import re

    from jobs import recipes

    read = set(re.findall(r"EARMARK_[A-Z_]+", inspect.getsource(recipes)))
    assert read
    assert read <= set(PLACES)
    assert not any("KEY" in name or "TOKEN" in name for name in PLACES)
