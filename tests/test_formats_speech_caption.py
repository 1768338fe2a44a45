"""Captions of speech: thirteen phrases, written one way and read in many."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.formats.speech_caption import KEYS, SpeechCaption, parse, plain, write
from tests.texts import hostile, much

SHREDS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "，",
    "：",
    "“",
    "”",
    "\\",
    "\\u00e9",
    "\\ud83d",
    '"gender"',
    '"tone": "x"',
    "null",
    "7",
]
SHREDS += ["```json\n", "```", " ", "\n", "pitch", '"age": {', '"emotion": [', "{}", "'", "'accent': 'x',"]
texts = hostile(SHREDS)
phrases = texts.map(plain).map(lambda phrase: phrase or "calm")
captions = st.builds(SpeechCaption, **dict.fromkeys(KEYS, phrases))

CALM = SpeechCaption(**{key: f"a {key}" for key in KEYS})
OBJECT = asdict(CALM)


def test_the_keys_are_those_published_in_their_order():
    published = "gender pitch speed volume age clarity fluency accent texture emotion tone personality summary"
    assert published.split() == list(KEYS)
    assert list(json.loads(write(CALM))) == list(KEYS)


@given(captions)
def test_what_is_written_is_json_and_is_read_back(caption):
    text = write(caption)
    assert "\n" not in text
    assert json.loads(text) == asdict(caption)
    parsed = parse(text)
    assert parsed.caption == caption
    assert parsed.well_formed
    assert not parsed.unread


@given(texts, captions)
def test_whatever_is_read_can_be_written(text, caption):
    for hostile_text in (text, write(caption)[:-1] + text, text + write(caption)):
        read = parse(hostile_text)
        whole = replace(CALM, **read.values)
        assert parse(write(whole)).caption == whole
        assert read.caption in (None, whole)


def without(text, *keys):
    return {key: value for key, value in text.items() if key not in keys}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps(OBJECT, indent=2), id="many lines"),
        pytest.param(json.dumps(OBJECT, separators=(",", ":")), id="no spaces"),
        pytest.param(f"```json\n{json.dumps(OBJECT)}\n```", id="a fence"),
        pytest.param(json.dumps(dict(reversed(OBJECT.items()))), id="another order"),
        pytest.param(json.dumps({"speech_caption": OBJECT}), id="an object in an object"),
        pytest.param(json.dumps({key.upper(): value for key, value in OBJECT.items()}), id="capitals"),
        pytest.param(json.dumps(OBJECT)[:-1] + ",}", id="a comma too many"),
        pytest.param(json.dumps(OBJECT).replace('",', '"'), id="no commas"),
        pytest.param(json.dumps(OBJECT).replace('",', '",,\n'), id="two commas"),
        pytest.param(json.dumps(OBJECT).replace(": ", "：").replace(", ", "，"), id="full width"),
        pytest.param("{" + ", ".join(f"“{key}”: “{value}”" for key, value in OBJECT.items()) + "}", id="other quotes"),
        pytest.param(str(OBJECT), id="single quotes"),
        pytest.param("{" + ", ".join(f"{key}: {value}" for key, value in OBJECT.items()) + "}", id="no quotes"),
        pytest.param(
            json.dumps({key: value.split() for key, value in OBJECT.items()}).replace('", "', " "), id="lists"
        ),
        pytest.param(json.dumps({key: f" {value}\n" for key, value in OBJECT.items()}), id="white space"),
    ],
)
def test_what_is_nearly_a_caption_is_read_as_one(text):
    parsed = parse(text)
    assert parsed.caption == CALM
    assert parsed.complete
    assert not parsed.well_formed


def test_prose_around_is_told():
    assert parse(json.dumps([OBJECT])).caption == CALM
    parsed = parse(f"Sure! Here:\n```json\n{write(CALM)}\n```\nAnything else?")
    assert parsed.caption == CALM
    assert [left.fragment for left in parsed.unread] == ["Sure! Here:", "Anything else?"]
    assert not parsed.complete


def test_a_list_and_a_number_are_phrases():
    assert parse('{"emotion": ["calm", "warm"], "age": 30}').values == {"emotion": "calm, warm", "age": "30"}


@pytest.mark.parametrize("cut", ['"very sl', '["slow", "fa', '["slow", ', "3", "very sl", '"\\', '"so \\"'])
def test_what_breaks_off_keeps_what_is_whole(cut):
    parsed = parse('{"gender": "female", "pitch": "low", "speed": ' + cut)
    assert parsed.values == {"gender": "female", "pitch": "low"}
    assert parsed.missing == KEYS[2:]
    assert parsed.caption is None
    assert [left.reason for left in parsed.unread] == ["the phrase breaks off", "the object breaks off"]


@pytest.mark.parametrize(
    ("text", "fragment", "reason"),
    [
        ('{"mood": "x"}', "mood: x", "no key of a speech caption"),
        ('{"tone": "x", "tone": "y"}', "tone: y", "given before"),
        ('{"tone": ""}', "tone", "no phrase"),
        ('{"tone": null}', "tone", "no phrase"),
        ('{"tone": {"pitch": "low"}}', "tone", "an object where a phrase should be"),
        ("She sounds calm.", "She sounds calm.", "no object"),
        ('{"x"}', '"x"', "no key"),
    ],
)
def test_what_is_not_read_is_told_with_its_reason(text, fragment, reason):
    parsed = parse(text)
    assert (fragment, reason) in [(left.fragment, left.reason) for left in parsed.unread]
    assert parsed.caption is None
    assert "pitch" not in parsed.values


@pytest.mark.parametrize("phrase", ["", " ", "a\nb", "a  b", " a", "a\ud800", 7, None])
@pytest.mark.parametrize("key", ["gender", "summary"])
def test_a_phrase_that_would_change_is_refused_by_its_key(key, phrase):
    with pytest.raises(SchemaError, match=f"{key} is "):
        write(replace(CALM, **{key: phrase}))


def test_a_caption_has_thirteen_keys():
    assert SpeechCaption.of(OBJECT) == CALM
    with pytest.raises(SchemaError, match=r"missing \['tone'\]"):
        SpeechCaption.of(without(OBJECT, "tone"))
    with pytest.raises(SchemaError, match="unknown \\['mood'\\]"):
        SpeechCaption.of({**OBJECT, "mood": "x"})


def test_half_a_character_does_not_come_in():
    (phrase,) = parse('{"tone": "a\\ud83d"}').values.values()
    phrase.encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "shred",
    ["{", "}", "[", '"', '\\"', "\\", '{"a":', '{"tone":', ":", ",", "“", "{}", "a", " ", "'", "' ", '"tone": "x",'],
)
def test_much_of_it_does_no_harm(shred):
    for text in (much(shred), "{" + much(shred), '{"tone": "' + much(shred)):
        assert set(parse(text).values) <= set(KEYS)
