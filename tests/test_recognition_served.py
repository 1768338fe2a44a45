"""A recogniser behind a real server on loopback: its answers, its faults, its silence and its nonsense."""

import io
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from annotators.recognition.second import SecondOpinion, is_drawn
from annotators.recognition.served import UrlAsrConfig
from schemas.errors import ConfigError
from tests.local_server import Answer, LocalServer
from tests.make import tone, waveform

STRETCHES = [waveform(tone(300 + 100 * n, 200.0 + 50 * n), 1_000 * n) for n in range(4)]


@dataclass(frozen=True, kw_only=True)
class Request:
    number: int = 0
    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, bytes]  # of the form


class Ears(LocalServer):
    """Answers each form with a text."""

    requests: list[Request]

    def read(self, path, headers, body):
        boundary = re.search("boundary=(.+)", headers["content-type"])[1].encode()
        fields = {}
        for part in body.split(b"--" + boundary)[1:-1]:
            head, _, value = part.strip(b"\r\n").partition(b"\r\n\r\n")
            fields[re.search(rb'name="([^"]+)"', head)[1].decode()] = value
        return Request(path=path, headers=headers, fields=fields)

    def body(self, answer):
        return json.dumps({"text": answer.text}).encode()


def sound_of(request: Request) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(request.fields["file"]), dtype="int16")


def length_told(request: Request) -> str:
    samples, rate_hz = sound_of(request)
    return f" {1000 * len(samples) // rate_hz} ms\n of  sound"


def asr(url, **settings):
    return UrlAsrConfig(**({"url": url, "model": "ears", "retries": 0, "timeout_s": 20.0} | settings)).build()


@pytest.mark.slow  # the HTTP client is loaded
class TestServed:
    def test_every_stretch_has_its_own_answer_in_order(self, monkeypatch):
        monkeypatch.setenv("EARS_KEY", "s3cret")
        with Ears(length_told) as server:
            recogniser = asr(server.url, api_key_env="EARS_KEY", concurrency=2)
            told = recogniser.transcribe(STRETCHES, "en")
            assert [one.text for one in told] == [
                "300 ms of sound",
                "400 ms of sound",
                "500 ms of sound",
                "600 ms of sound",
            ]
            assert {(one.language, one.error, one.words) for one in told} == {("en", None, ())}
            assert recogniser.transcribe(STRETCHES, "en") == told
            assert recogniser.model == "ears@served", "an address is no part of what is told"
        assert server.most_at_once <= 2
        request = server.requests[0]
        assert (request.path, request.headers["authorization"]) == ("/v1/audio/transcriptions", "Bearer s3cret")
        fields = request.fields
        assert (fields["model"], fields["language"], fields["temperature"]) == (b"ears", b"en", b"0")

    def test_the_sound_arrives_sample_for_sample(self):
        with Ears(length_told) as server:
            asr(server.url).transcribe(STRETCHES[:1])
        samples, rate_hz = sound_of(server.requests[0])
        assert np.array_equal(samples, STRETCHES[0].pcm)
        assert rate_hz == STRETCHES[0].rate_hz
        assert "language" not in server.requests[0].fields

    def test_a_fault_that_passes_is_tried_again(self):
        with Ears(lambda request: "well" if request.number else Answer(status=500)) as server:
            (told,) = asr(server.url, retries=1).transcribe(STRETCHES[:1])
        assert (told.text, told.error) == ("well", None)
        assert len(server.requests) == 2

    @pytest.mark.parametrize("status", [400, 401, 404, 500])
    def test_a_fault_that_stays_costs_that_stretch_alone(self, status, monkeypatch):
        monkeypatch.setenv("EARS_KEY", "s3cret")

        def second_fails(request):
            if request.number == 1:
                return Answer(status=status, raw=b'{"error": {"message": "s3cret is wrong"}}')
            return length_told(request)

        with Ears(second_fails) as server:
            told = asr(server.url, concurrency=1, api_key_env="EARS_KEY").transcribe(STRETCHES[:3])
            assert [bool(one.text) for one in told] == [True, False, True]
            assert told[1].error == f"the server of ears answers {status}"

    def test_silence_is_not_waited_for(self):
        begun = time.monotonic()
        with Ears(lambda request: Answer(never=True)) as server:
            (told,) = asr(server.url, timeout_s=0.3).transcribe(STRETCHES[:1])
            assert told.error == "the server of ears gave no answer within 0.3 s"
        assert time.monotonic() - begun < 25, "the server alone ends later"

    @pytest.mark.parametrize("status", [200, 404])
    def test_a_reply_that_never_ends_is_not_waited_for(self, status):
        dripping = Answer(status=status, raw=b" " * 1_000_000, drip_s=0.02)
        with Ears(lambda request: dripping) as server:
            (told,) = asr(server.url, timeout_s=0.5).transcribe(STRETCHES[:1])
            assert told.error == "the server of ears: the reply is not whole within 0.5 s"

    def test_a_server_that_is_not_there_is_asked_a_few_times_and_then_no_more(self):
        nothing = Answer(raw=b"", headers={"Content-Length": "10"})  # and no more, until it is given up
        with Ears(lambda request: nothing) as server:
            told = asr(server.url, timeout_s=0.2, concurrency=1, max_failures=2).transcribe(STRETCHES * 2)
        assert len(server.requests) == 2
        assert [one.error.startswith("not asked: 2 stretches in a row") for one in told] == [False] * 2 + [True] * 6

    def test_refusals_are_answers_and_the_rest_is_asked(self):
        with Ears(lambda request: Answer(status=400, raw=b"{}")) as server:
            told = asr(server.url, concurrency=1, max_failures=2).transcribe(STRETCHES)
        assert len(server.requests) == len(told) == 4

    def test_nobody_there_is_an_error_of_the_stretch(self):
        with Ears(length_told) as server:
            pass
        (told,) = asr(server.url).transcribe(STRETCHES[:1])
        assert told.error.startswith("no connection to the server of ears")
        assert told.text == ""

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (b"<html>it works</html>", "the reply is no JSON"),
            (b"[" * 100_000, "the reply is no JSON"),
            (b"", "the reply is no JSON"),
            (b'{"tekst": "hello"}', "the reply has no `text`"),
            (b'{"text": 5}', "the reply has no `text`"),
            (b'["text"]', "the reply has no `text`"),
            (b'{"text": "' + b"a" * 300_000 + b'"}', "the reply is longer than 200000 bytes"),
        ],
        ids=["html", "deep", "nothing", "another name", "a number", "a list", "too long"],
    )
    def test_nonsense_is_an_error(self, reply, error):
        with Ears(lambda request: Answer(raw=reply)) as server:
            (told,) = asr(server.url, max_reply_bytes=200_000).transcribe(STRETCHES[:1])
            assert told.error == f"the server of ears: {error}"

    def test_it_is_not_led_elsewhere(self):
        with (
            Ears(length_told) as other,
            Ears(lambda _: Answer(status=307, headers={"Location": f"{other.url}/audio/transcriptions"})) as server,
        ):
            (told,) = asr(server.url).transcribe(STRETCHES[:1])
            assert told.error == "the server of ears answers 307"
        assert other.requests == []

    def test_what_it_cannot_know_is_not_asked(self):
        with Ears(length_told) as server:
            recogniser = asr(server.url, languages=("en",))
            assert "does not know the language 'zh'" in recogniser.transcribe(STRETCHES[:1], "zh")[0].error
            assert recogniser.transcribe([waveform(tone(50))])[0].text == ""
            assert recogniser.transcribe([]) == []
        assert server.requests == []

    def test_a_long_stretch_is_asked_for_in_pieces(self):
        with Ears(length_told) as server:
            (told,) = asr(server.url, max_ms=400, concurrency=1).transcribe([waveform(tone(1_000))])
        assert len(server.requests) >= 3
        assert sum(int(ms) for ms in re.findall(r"(\d+) ms", told.text)) == 1_000


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("localhost:8000", "is no address"),
        ("file:///etc/passwd", "is no address"),
        ("http://me:secret@host/v1", "holds a key or a password"),
        ("http://host/v1?key=secret", "holds a key or a password"),
    ],
)
def test_addresses_that_cannot_be_meant_are_refused(url, error):
    with pytest.raises(ConfigError, match=error) as raised:
        UrlAsrConfig(url=url, model="ears")
    assert "secret" not in str(raised.value)


# ------------------------------------------------------------------------------------ who is heard again


def opinion(**settings):
    return SecondOpinion(config=UrlAsrConfig(url="http://127.0.0.1:1/v1", model="ears"), **settings)


def test_who_is_heard_again():
    keys = [f"a{n}-000000000-000001000" for n in range(2_000)]
    drawn = [key for key in keys if is_drawn(key, 0.1)]
    assert 150 < len(drawn) < 250
    assert all(is_drawn(key, 0.3) for key in drawn)
    assert not any(is_drawn(key, 0.0) for key in keys)
    assert all(is_drawn(key, 1.0) for key in keys)
    everyone, sample, suspects = opinion(on="all"), opinion(on="sample"), opinion(on="suspects")
    assert all(everyone.asks(key, suspect=False) for key in keys)
    assert [key for key in keys if sample.asks(key, suspect=True)] == drawn
    assert all(suspects.asks(key, suspect=True) for key in keys)
    assert [key for key in keys if suspects.asks(key, suspect=False)] == drawn


@pytest.mark.parametrize("settings", [{"on": "some"}, {"share": 1.5}, {"share": -0.1}])
def test_samples_that_cannot_be_drawn_are_refused(settings):
    with pytest.raises(ConfigError):
        opinion(**settings)
