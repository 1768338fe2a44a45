"""The doctor asks each server in its own words, and tells no server another's key."""

from dataclasses import replace

import pytest

from annotators.captions.chat import ChatConfig
from annotators.recognition.served import UrlAsrConfig
from jobs.doctor import Finding, Server, findings, servers_in
from pipeline.ray_runner import PLACES
from pipeline.route import AnnotateConfig
from tests.chat_server import ChatServer
from tests.local_server import Answer
from tests.make import quick


def asking(*servers: object) -> AnnotateConfig:
    return replace(quick(), music=servers)  # type: ignore[arg-type]  # it is looked at, never built


def told(config: AnnotateConfig) -> list[Finding]:
    return [finding for finding in findings(None, config) if finding.what.startswith("server")]


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    monkeypatch.setenv("EARS_KEY", "ears")


def test_a_server_is_told_its_own_key_and_no_other():
    with ChatServer(model="m") as server:
        named = (
            ChatConfig(url=server.url, model="m"),
            UrlAsrConfig(url=server.url, model="m", api_key_env="EARS_KEY"),
            UrlAsrConfig(url=server.url, model="m"),
        )
        assert [finding.ok for finding in told(asking(*named))] == [True] * 3
    assert server.keys == ["Bearer s3cret", "Bearer ears", "Bearer none"]


def test_an_address_in_the_environment_is_asked_there(monkeypatch):
    config = asking(ChatConfig(url="$SOME_URL", model="m"))
    assert servers_in(config) == [Server(url="$SOME_URL", model="m", key_env="OPENAI_API_KEY")]
    with ChatServer(model="m") as server:
        monkeypatch.setenv("SOME_URL", server.url)
        (finding,) = told(config)
    assert finding.ok
    monkeypatch.delenv("SOME_URL")
    (finding,) = told(config)
    assert not finding.ok
    assert not finding.needed


def test_a_key_is_not_carried_elsewhere():
    with ChatServer(model="m") as other:
        away = Answer(status=307, headers={"Location": f"{other.url}/models"}, raw=b"{}")
        with ChatServer(listing=away) as server:
            (finding,) = told(asking(ChatConfig(url=server.url, model="m")))
    assert not finding.ok
    assert other.keys == []
    assert "s3cret" not in finding.detail


def test_another_model_is_not_the_one():
    with ChatServer(model="other") as server:
        (finding,) = told(asking(ChatConfig(url=server.url, model="m")))
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
