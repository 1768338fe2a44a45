"""The client against a real server on loopback, in everything that a server may do to it."""

import asyncio
import gzip
import json
import logging
import socket
import threading

import pytest

from annotators.captions.chat import Asked, ChatConfig, prompt_sha256, system, user
from pipeline.route import config_row
from schemas.errors import ConfigError
from tests.chat_server import ChatServer, Request, envelope
from tests.local_server import MAX_HELD_S, Answer

pytestmark = pytest.mark.slow

KEY = "sk-very-secret-0123456789"
HTML = b"<!DOCTYPE html><html><body>Welcome to nginx!</body></html>"


def config(server: ChatServer, **changes) -> ChatConfig:
    return ChatConfig(**({"url": server.url, "model": "tiny", "retries": 0, "timeout_s": 20.0} | changes))


def one(answer, **changes):
    """What becomes of one question to a server that answers so."""
    with ChatServer(answer if callable(answer) else lambda request: answer) as server:
        (said,) = config(server, **changes).build().ask([[user("What is heard?")]])
    return said, server


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# -------------------------------------------------------------------------------------------- what is asked


def test_a_question_and_its_answer():
    schema = {"type": "object", "properties": {"heard": {"type": "string"}}}
    with ChatServer(lambda request: {"heard": request.text}) as server:
        chat = config(server, seed=3, temperature=0.5, thinks=False).build()
        (said,) = chat.ask([[system("Be short."), user("A dog?")]], schema=schema, max_tokens=9)
    assert said.error is None
    assert json.loads(said.text) == {"heard": "A dog?"}
    assert (said.prompt_tokens, said.completion_tokens) == (7, 3)
    assert said.seconds > 0
    (request,) = server.requests
    assert request.system == "Be short."
    assert request.schema == schema
    assert {name: request.body[name] for name in ("model", "max_tokens", "temperature", "seed")} == {
        "model": "tiny",
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 3,
    }
    assert request.body["chat_template_kwargs"] == {"enable_thinking": False}


def test_answers_stand_in_the_order_of_the_questions():
    """The first is answered last."""
    others, answered = threading.Event(), []

    def answer(request: Request) -> str:
        if request.text == "0":
            assert others.wait(timeout=20)
        answered.append(request.text)
        if len(answered) == 19:
            others.set()
        return f"answer {request.text}"

    with ChatServer(answer) as server:
        said = config(server, concurrency=5).build().ask([user(str(number))] for number in range(20))
    assert [one.text for one in said] == [f"answer {number}" for number in range(20)]
    assert answered[-1] == "0"


def test_each_question_may_have_its_own_schema_and_limit():
    asked = [
        Asked(messages=[user("one")], schema={"type": "object"}, max_tokens=5),
        Asked(messages=[user("two")], max_tokens=6),
    ]
    with ChatServer() as server:
        config(server, concurrency=1).build().answers(asked)
    assert [(request.schema, request.body["max_tokens"]) for request in server.requests] == [
        ({"type": "object"}, 5),
        (None, 6),
    ]


def test_no_questions_ask_nothing():
    with ChatServer() as server:
        assert config(server).build().ask([]) == []
    assert server.requests == []


def test_no_more_are_on_their_way_or_in_memory_than_allowed():
    """Three at once do come at once: each waits for the other two."""
    at_once = threading.Barrier(3)
    drawn, ahead = 0, []

    def answer(request: Request) -> str:
        if request.number < 9:
            at_once.wait(timeout=20)
        ahead.append(drawn - answered[0])
        answered[0] += 1
        return "fine"

    answered = [0]

    def questions():
        nonlocal drawn
        for number in range(9):
            drawn += 1
            yield [user(str(number))]

    with ChatServer(answer) as server:
        said = config(server, concurrency=3).build().ask(questions())
    assert [one.text for one in said] == ["fine"] * 9
    assert server.most_at_once == 3
    assert max(ahead) <= 3  # questions drawn and not answered yet


def test_the_server_tells_its_models():
    with ChatServer(model="Qwen/Qwen3") as server:
        assert config(server).build().served() == ("Qwen/Qwen3",)
    with pytest.raises(ConfigError, match="no connection"):
        config(server).build().served()


def test_thoughts_are_no_part_of_the_answer():
    said, _ = one(Answer(text="<think>\nHm, a dog?\n</think>\n\nA dog."))
    assert said.text == "A dog."
    said, _ = one(Answer(text="<think>\nHm, a dog"))
    assert (said.text, "empty" in said.error) == ("", True)


def test_the_same_questions_in_any_batch_are_the_same_bodies():
    questions = [[system("Be short."), user(f"question {number}")] for number in range(6)]
    bodies = []
    for concurrency, size in ((1, 6), (4, 2)):
        with ChatServer() as server:
            chat = config(server, concurrency=concurrency).build()
            for start in range(0, 6, size):
                chat.ask(questions[start : start + size])
        bodies.append(sorted(json.dumps(request.body, sort_keys=True) for request in server.requests))
    assert bodies[0] == bodies[1]


# ------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(text="half an answ", finish="length"), "cut off at its limit of 1,024 tokens"),
        (Answer(text=""), "answer is empty"),
        (Answer(text="  \n "), "answer is empty"),
        (Answer(text=None), "answer is empty"),
        (Answer(text="no", finish="content_filter"), "refuses"),
        (Answer(raw=HTML, headers={"Content-Type": "text/html"}), "web page"),
        (Answer(raw=b"fine"), "not JSON"),
        (Answer(raw=b""), "not JSON"),
        (Answer(raw=b"[" * 100_000), "not JSON"),
        (Answer(raw=b"[1]"), "JSON list"),
        (Answer(raw=b'{"choices": []}'), "no choices"),
        (Answer(raw=b'{"choices": [{"message": "hello"}]}'), "no choices"),
        (Answer(raw=b'{"choices": [{"message": {"content": {"a": 1}}}]}'), "is a dict"),
        (Answer(raw=envelope("x" * 5_000)), "longer than 4,000 bytes"),
        (Answer(status=500, raw=b"x" * 5_000), "longer than 4,000 bytes"),
        (Answer(raw=gzip.compress(envelope("fine")), headers={"Content-Encoding": "gzip"}), "compressed"),
        (Answer(status=400, raw=b'{"error": {"message": "too long a prompt"}}'), "400: too long a prompt"),
        (Answer(status=422, raw=b'{"detail": "no such thing"}'), "422: no such thing"),
        (Answer(status=404, raw=HTML), "404"),
        (Answer(status=500, raw=b"\xff\x00 oops"), "500"),
        (Answer(closes_after=0), "broke off"),
        (Answer(text="fine", closes_after=20), "broke off"),
        (Answer(status=418, raw=b'{"error": ' + b"[" * 3_000), "418"),
    ],
)
def test_what_goes_wrong_is_told_in_words(answer, words):
    said, server = one(answer, max_reply_bytes=400_000 if answer.raw and len(answer.raw) > 6_000 else 4_000)
    assert said.text == ""
    assert words in said.error
    assert "\n" not in said.error
    assert len(said.error) < 500
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Answer(never=True), Answer(text="fine", drip_s=0.05), Answer(delay_s=MAX_HELD_S)])
def test_a_question_takes_no_longer_than_it_may(answer):
    said, _ = one(answer, timeout_s=0.5, retries=5)
    assert "no whole answer within 0.5 s" in said.error
    assert said.seconds < MAX_HELD_S / 2  # it did not wait for the server


def test_tries_and_waits_are_within_the_time_too():
    said, server = one(Answer(status=503, headers={"Retry-After": "100"}), timeout_s=0.5, retries=5)
    assert "no whole answer within 0.5 s" in said.error
    assert len(server.requests) <= 1


@pytest.mark.parametrize(
    "first",
    [
        Answer(status=500, raw=b"busy"),
        Answer(status=503, headers={"Retry-After": "0.01"}),
        Answer(status=429, headers={"Retry-After": "0.01"}),
        Answer(closes_after=0),
        Answer(text="fine", closes_after=20),
    ],
)
def test_what_may_pass_is_tried_again(first):
    said, server = one(lambda request: "fine" if request.number else first, retries=1)
    assert (said.text, said.error) == ("fine", None)
    assert len(server.requests) == 2


def test_what_will_not_pass_is_not_tried_again():
    for answer in (Answer(status=400), Answer(status=404), Answer(raw=HTML), Answer(text="", finish="length")):
        _, server = one(answer, retries=3)
        assert len(server.requests) == 1


def test_it_gives_up_in_the_end():
    said, server = one(Answer(status=500, raw=b"busy", headers={"Retry-After": "0.01"}), retries=2)
    assert "500: busy" in said.error
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status):
    with ChatServer() as elsewhere:
        where = {"Location": f"{elsewhere.url}/chat/completions"}
        said, _ = one(Answer(status=status, headers=where))
    assert "points elsewhere" in said.error
    assert elsewhere.requests == []


def test_one_question_fails_alone():
    with ChatServer(lambda request: Answer(status=400) if request.text == "2" else request.text) as server:
        said = config(server).build().ask([user(str(number))] for number in range(5))
    assert [one.text for one in said] == ["0", "1", "", "3", "4"]


def test_a_server_that_is_not_there_is_asked_a_few_times_and_then_no_more():
    chat = ChatConfig(
        url=f"http://127.0.0.1:{closed_port()}/v1", model="m", retries=0, concurrency=2, max_failures=3
    ).build()
    drawn = []
    said = chat.ask([user(str(number))] for number in range(50) if not drawn.append(number))
    assert len(said) == len(drawn) == 50
    tried = [one for one in said if "not asked" not in one.error]
    assert 3 <= len(tried) <= 4  # one more was on its way
    assert all("no connection to the server of m" in one.error for one in said)


def test_a_server_that_answers_nothing_is_found_out_too():
    with ChatServer(lambda request: Answer(never=True)) as server:
        chat = config(server, timeout_s=0.3, concurrency=2, max_failures=2).build()
        said = chat.ask([user(str(number))] for number in range(20))
    assert sum("not asked: 2 questions in a row" in one.error for one in said) >= 17


def test_it_is_tried_again_with_the_next_batch():
    breaks = True
    with ChatServer(lambda request: Answer(closes_after=0) if breaks else "fine") as server:
        chat = config(server, concurrency=2, max_failures=2).build()
        said = chat.ask([user(str(number))] for number in range(20))
        assert sum("not asked" in one.error for one in said) >= 17
        breaks = False
        assert [one.text for one in chat.ask([[user("a")], [user("b")]])] == ["fine", "fine"]


def test_half_a_character_in_a_question_costs_that_question_alone():
    with ChatServer() as server:
        said = config(server).build().ask([[user("one")], [user("a \ud800 dog")], [user("three")]])
    assert [one.text for one in said] == ["fine", "", "fine"]
    assert "surrogate" in said[1].error


def test_failures_that_are_answers_break_nothing():
    with ChatServer(lambda request: Answer(status=500)) as server:
        said = config(server, max_failures=2, concurrency=1).build().ask([user(str(n))] for n in range(12))
    assert len(server.requests) == 12
    assert all("500" in one.error for one in said)


def test_it_can_be_asked_from_within_an_event_loop():
    async def notebook(chat):
        return chat.ask([[user("?")]])

    with ChatServer() as server:
        (said,) = asyncio.run(notebook(config(server).build()))
    assert said.text == "fine"


def test_the_address_may_come_from_the_environment_of_the_worker(monkeypatch):
    wish = ChatConfig(url="$MODEL_URL", model="tiny", retries=0)
    with pytest.raises(ConfigError, match="MODEL_URL, which is not set"):
        wish.build()
    monkeypatch.setenv("MODEL_URL", "http://me:hunter2@models/v1")
    with pytest.raises(ConfigError) as error:
        wish.build()
    assert "hunter2" not in str(error.value)
    with ChatServer() as server:
        monkeypatch.setenv("MODEL_URL", server.url)
        assert wish.build().ask([[user("?")]])[0].text == "fine"
    error = wish.build().ask([[user("?")]])[0].error
    assert "no connection to the server of" in error
    assert str(server.url) not in error


def test_an_error_in_the_questions_is_raised():
    def questions():
        yield [user("one")]
        raise ZeroDivisionError

    with ChatServer() as server, pytest.raises(ZeroDivisionError):
        config(server).build().ask(questions())


def test_half_characters_do_not_come_through():
    said, _ = one(Answer(raw=envelope("fine").replace(b"fine", rb"a \ud800 dog")))
    assert said.text == "a \N{REPLACEMENT CHARACTER} dog"
    said, _ = one(Answer(status=400, raw=rb'{"error": "a \udfff"}'))
    said.error.encode()


# ------------------------------------------------------------------------------------------------ the key


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MODEL_KEY", KEY)
    return KEY


def test_the_key_is_sent_and_nowhere_else(key, caplog):
    caplog.set_level(logging.DEBUG)
    with ChatServer() as server:
        wish = config(server, api_key_env="MODEL_KEY")
        chat = wish.build()
        chat.ask([[user("?")]])
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    for told in (repr(wish), repr(chat), repr(vars(chat)), json.dumps(config_row(wish)), caplog.text):
        assert KEY not in told
    assert KEY not in json.dumps(server.requests[0].body)


@pytest.mark.parametrize(
    "answer",
    [
        lambda said: Answer(status=400, raw=said),
        lambda said: Answer(status=401, raw=said),
        lambda said: Answer(status=403, raw=said),
        lambda said: Answer(status=500, raw=b"x" * 390 + said),
        lambda said: Answer(status=404, raw=json.dumps({"error": {"message": said.decode()}}).encode()),
        lambda said: Answer(raw=said),
        lambda said: Answer(raw=b"x" * 310 + said),
        lambda said: Answer(raw=b'{"wrong": "' + said + b'"}'),
        lambda said: Answer(status=307, headers={"Location": f"http://127.0.0.1/{said.decode()}"}),
    ],
)
def test_an_error_that_repeats_the_key_does_not_pass_it_on(key, answer):
    said, _ = one(answer(f"your key {KEY} is bad".encode()), api_key_env="MODEL_KEY")
    assert said.error
    assert KEY[:10] not in said.error


def test_a_key_that_is_refused_or_missing_is_told_by_the_name_of_its_variable(key, monkeypatch):
    assert "key in MODEL_KEY is not accepted" in one(Answer(status=401), api_key_env="MODEL_KEY")[0].error
    monkeypatch.delenv("MODEL_KEY")
    said, server = one(Answer(status=401), api_key_env="MODEL_KEY")
    assert "key in MODEL_KEY is missing" in said.error
    assert server.requests[0].headers["authorization"] == "Bearer EMPTY"


def test_a_key_that_is_no_key_is_refused_without_telling_it(monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "sk-two\nlines")
    with pytest.raises(ConfigError, match="MODEL_KEY") as error:
        ChatConfig(url="http://models/v1", model="m", api_key_env="MODEL_KEY").build()
    assert "sk-two" not in str(error.value)


# ------------------------------------------------------------------------------------------- configs, hashes


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "models:8000"},
        {"url": "ftp://models/v1"},
        {"url": "http:///v1"},
        {"url": "http://[::1/v1"},
        {"url": "http://models:port/v1"},
        {"url": "http://me:hunter2@models/v1"},
        {"url": "http://models/v1?key=hunter2"},
        {"model": " "},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"concurrency": 0},
        {"retries": -1},
        {"max_failures": 0},
        {"max_reply_bytes": 0},
        {"temperature": 3.0},
    ],
)
def test_a_setting_that_cannot_work_is_refused(changes):
    with pytest.raises(ConfigError) as error:
        ChatConfig(**({"url": "http://models:8000/v1", "model": "m"} | changes))
    assert "hunter2" not in str(error.value)


def test_a_hash_knows_everything_that_stays_the_same():
    base = {"system": "s", "template": "t", "model": "m", "schema": {"a": 1, "b": 2}, "temperature": 0}
    first = prompt_sha256(**base)
    assert len(first) == 64
    assert first == prompt_sha256(**{**base, "schema": {"b": 2, "a": 1}, "temperature": 0.0})
    others = [{"system": "st", "template": ""}, {"template": "u"}, {"model": "n"}, {"schema": None}, {"temperature": 1}]
    assert len({first, *(prompt_sha256(**{**base, **other}) for other in others)}) == 6
    chat = ChatConfig(url="http://models/v1", model="m").build()
    assert chat.prompt_sha256("s", "t", base["schema"]) == first
