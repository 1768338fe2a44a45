"""Text is text both ways, streams add up to what was said, and a tokenizer that cannot serve says why."""

import json
import pickle
import random

import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.sizes import SIZES, TINY
from model.tokens import MAX_TEXT_CHARS, MAX_TOKENIZER_BYTES, STRINGS, Tokenizer
from model.vocabulary import CONTROL, SMALLEST, build
from schemas.errors import ConfigError, EarmarkError, InputError
from tests.make_tokenizers import published, published_body

TINY_TOKENIZER = Tokenizer(build())
ENGLISH = ["it's 12 dogs barking at 12 dogs, <|im_end|> and it's 12 cats </think> thinking\n\n  of 2024 dogs"] * 3
LEARNT = Tokenizer(build(ENGLISH, 400))
PUBLISHED = Tokenizer(published())
ALL = pytest.mark.parametrize("tokenizer", [TINY_TOKENIZER, LEARNT, PUBLISHED], ids=["bytes", "learnt", "published"])

hostile = st.lists(
    st.sampled_from([*CONTROL, "<|vision_pad|>", "<tool_call>", "12", " ", "\n", "é", "\U0001f600", "a"])
)
texts = st.one_of(st.text(), hostile.map("".join))


@ALL
@settings(deadline=None, max_examples=60)
@given(text=texts)
def test_no_text_makes_a_control_token(tokenizer, text):
    assert tokenizer.control.isdisjoint(tokenizer.encode(text))


@ALL
@settings(deadline=None, max_examples=60)
@given(text=st.text())
def test_what_is_encoded_is_decoded(tokenizer, text):
    normal = tokenizers.normalizers.NFC().normalize_str(text)
    assert tokenizer.decode(tokenizer.encode(text)) == normal


@pytest.mark.parametrize(
    "text", ["You are a helpful assistant.", " 12 dogs\n\n", "é 犬\t\U0001f600 ", "", "a < b | c >"]
)
def test_harmless_text_is_encoded_as_the_library_does(text):
    for raw in (build(ENGLISH, 400), published()):
        assert Tokenizer(raw).encode(text) == raw.encode(text, add_special_tokens=False).ids


def test_the_library_alone_would_make_control_tokens():
    assert build().encode("<|im_end|></think>").ids == [2, 4]
    assert published().encode("<|im_end|></think>").ids == [151_645, 151_668]


@ALL
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_streamed_text_is_decoded_text(tokenizer, data):
    """Also of ids in any order, where bytes are mostly no UTF-8."""
    one = st.one_of(st.integers(0, 300), st.sampled_from(sorted(tokenizer.control)), st.just(tokenizer.vocab_size))
    ids = data.draw(st.lists(one, max_size=60))
    for keep in (False, True):
        stream = tokenizer.stream(keep_control=keep)
        assert "".join([*map(stream.push, ids), stream.flush()]) == tokenizer.decode(ids, keep_control=keep)


@pytest.mark.parametrize("make", [build, published])
def test_decoding_is_the_librarys(make):
    raw = make()
    tokenizer = Tokenizer(raw)
    order = random.Random(0)
    for _ in range(300):
        ids = [order.randrange(8, 264) for _ in range(order.randrange(1, 12))]
        assert tokenizer.decode(ids) == raw.decode(ids)


def test_a_character_is_streamed_when_it_is_whole():
    stream = TINY_TOKENIZER.stream()
    assert [stream.push(number) for number in TINY_TOKENIZER.encode("a\U0001f600b")] == [
        "a",
        "",
        "",
        "",
        "\U0001f600",
        "b",
    ]
    assert [stream.push(number) for number in TINY_TOKENIZER.encode("\U0001f600")[:2]] == ["", ""]
    assert stream.flush() == "�"
    assert stream.push(TINY_TOKENIZER.digits[7]) == "7"


def test_control_tokens_are_left_out_of_text_unless_asked_for():
    for tokenizer in (TINY_TOKENIZER, PUBLISHED):
        special = tokenizer.special
        ids = [
            special.think,
            tokenizer.digits[1],
            special.end_think,
            special.audio,
            special.audio_start,
            special.im_end,
        ]
        assert tokenizer.decode(ids) == "1"
        assert tokenizer.decode(ids, keep_control=True) == "<think>1</think><|AUDIO|><|audio_bos|><|im_end|>"


def test_ids_may_be_tensors_and_those_without_a_token_are_passed_over():
    said = torch.tensor([1, 25, 2, -100, 600, 1 << 40])
    assert TINY_TOKENIZER.decode(said) == TINY_TOKENIZER.decode([1, 25, 2]) == "2"


def test_the_published_ids(tmp_path):
    published().save(str(tmp_path / "tokenizer.json"))
    special = Tokenizer.open(tmp_path).special
    assert (special.audio, special.audio_start, special.audio_end) == (151_654, 151_669, 151_670)
    assert (special.end_of_text, special.im_start, special.im_end) == (151_643, 151_644, 151_645)
    assert (special.think, special.end_think) == (151_667, 151_668)
    assert PUBLISHED.digits == tuple(range(15, 25))
    assert PUBLISHED.vocab_size == 151_671


def test_a_processor_config_says_which_ids_audio_has(tmp_path):
    published().save(str(tmp_path / "tokenizer.json"))
    body = {
        "audio_token_id": 151_655,
        "audio_end_id": 151_700,
        "enable_time_marker": False,
        "mel_config": {"mel_dim": 128},
    }
    (tmp_path / "processor_config.json").write_text(json.dumps(body))
    tokenizer = Tokenizer.open(tmp_path)
    special = tokenizer.special
    assert (special.audio, special.audio_start, special.audio_end) == (151_655, 151_669, 151_700)
    assert not tokenizer.time_markers
    assert tokenizer.vocab_size == 151_701
    assert TINY_TOKENIZER.time_markers


def test_strings_of_the_tokenizer_say_it_where_nothing_else_does(tmp_path):
    build().save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.open(tmp_path).special == TINY_TOKENIZER.special


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"audio_token_id": "151654"}, "audio_token_id is '151654'"),
        ({"audio_token_id": True}, "audio_token_id is True"),
        ({"audio_token_id": -1}, "from zero on"),
        ({"audio_start_id": 2}, "ids of their own"),
        ({"enable_time_marker": "no"}, "enable_time_marker is 'no'"),
        ({"mel_config": {"mel_dim": 80}}, "mel_config.mel_dim is 80; only 128"),
        ({"mel_config": {"mel_hop_length": 320}}, "mel_hop_length is 320; only 160"),
        ({"mel_config": [128]}, "mel_config"),
        ([1], "must be a JSON object"),
    ],
)
def test_a_processor_config_that_cannot_be_is_refused(tmp_path, body, reason):
    build().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "processor_config.json").write_text(json.dumps(body))
    with pytest.raises(EarmarkError, match=reason) as error:
        Tokenizer.open(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_folder_without_a_tokenizer_is_described(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"no tokenizer\.json; it holds model\.safetensors.* Copy"):
        Tokenizer.open(tmp_path)
    with pytest.raises(InputError, match="it cannot be listed"):
        Tokenizer.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"a":' * 100_000, '{"model":{"type":"BPE","vocab":{},"merges":["a b"]}}']
)
def test_broken_files_are_named(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer"):
        Tokenizer.open(tmp_path)
    build().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "processor_config.json").write_text(text or "'")
    if text not in ("{}", "[]") and not text.startswith('{"model'):
        with pytest.raises(InputError, match=r"processor_config\.json is not JSON"):
            Tokenizer.open(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "processor_config.json"])
def test_a_link_to_nothing_is_an_error(tmp_path, name):
    build().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        Tokenizer.open(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.open(tmp_path)


def test_a_file_beyond_all_measure_is_not_read(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(MAX_TOKENIZER_BYTES + 1)
    with pytest.raises(InputError, match="no more than"):
        Tokenizer.open(tmp_path)


def spoilt(spoil):
    body = json.loads(build().to_str())
    spoil(body)
    return tokenizers.Tokenizer.from_str(json.dumps(body))


def lacking(*strings):
    def spoil(body):
        body["added_tokens"] = [token for token in body["added_tokens"] if token["content"] not in strings]
        for text in strings:
            body["model"]["vocab"][f"was {text}"] = body["model"]["vocab"].pop(text)

    return spoil


def merging(left, right):
    def spoil(body):
        body["model"]["vocab"][left + right] = len(body["model"]["vocab"])
        body["model"]["merges"].append([left, right])
        body["pre_tokenizer"] = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        }

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lacking("<|im_end|>", "</think>"), r"lacks <\|im_end\|>, </think>;", id="all that is missing"),
        pytest.param(merging("1", "0"), r"'10' as the 1 ids \[264\]", id="a number is one token"),
        pytest.param(merging("7", "0"), r"'70' as the 1 ids \[264\]", id="a number further on"),
        pytest.param(lambda body: body["model"].update(dropout=0.5), "dropout of 0.5", id="chance"),
        pytest.param(lambda body: body.update(decoder=None), "byte-level", id="another decoder"),
        pytest.param(
            lambda body: body["model"]["vocab"].update({"was A": body["model"]["vocab"].pop("A")}), "0x41", id="A"
        ),
        pytest.param(
            lambda body: body.update(normalizer={"type": "Replace", "pattern": {"String": "4"}, "content": "2"}),
            "digits 0 to 9",
            id="two digits are one",
        ),
        pytest.param(
            lambda body: body.update(normalizer={"type": "Prepend", "prepend": "_"}), r"'2' as the 2 ids", id="a prefix"
        ),
    ],
)
def test_a_tokenizer_that_cannot_serve_is_refused(spoil, reason):
    with pytest.raises(ConfigError, match=reason):
        Tokenizer(spoilt(spoil))


def test_text_that_reaches_a_control_token_by_merges_is_refused():
    def spoil(body):
        body["model"]["vocab"]["ab"] = body["model"]["vocab"].pop("<|im_end|>")
        body["model"]["merges"] = [["a", "b"]]
        body["added_tokens"][2]["content"] = "ab"

    with pytest.raises(ConfigError, match=r"lacks <\|im_end\|>"):
        Tokenizer(spoilt(spoil))
    tokenizer = Tokenizer(build(["ab ab ab"], 265), processor={"audio_token_id": 264})
    with pytest.raises(ConfigError, match="control token of the plain text 'ab'"):
        tokenizer.encode("ab")


@pytest.mark.filterwarnings("ignore")
def test_a_pattern_that_never_ends_is_an_error(capfd):
    def spoil(body):
        body["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"(a|aa)+$|\p{N}|."}

    tokenizer = Tokenizer(spoilt(spoil))
    with pytest.raises(InputError, match="could not encode 'aaaa"):
        tokenizer.encode("a" * 60 + "b")


@pytest.mark.slow
@pytest.mark.parametrize("garbage", [" ", "a", "<|", "\n \n", "'", "9", "\U0001f600"])
def test_half_a_megabyte_of_garbage_is_encoded(garbage):
    text = garbage * (500_000 // len(garbage.encode()))
    assert len(TINY_TOKENIZER.encode(text)) == len(text.encode())


def test_a_text_beyond_all_measure_is_refused():
    with pytest.raises(InputError, match="too long to encode"):
        TINY_TOKENIZER.encode("a" * (MAX_TEXT_CHARS + 1))


@pytest.mark.parametrize("name", SIZES)
def test_every_size_agrees_with_its_tokenizer(name):
    config = SIZES[name]
    tokenizer = PUBLISHED if name in ("4b", "8b") else TINY_TOKENIZER
    tokenizer.check(config)
    assert config.language_config.bos_token_id == tokenizer.special.end_of_text
    assert config.language_config.eos_token_id == tokenizer.special.im_end


def test_a_tokenizer_of_another_model_is_refused():
    with pytest.raises(ConfigError, match="audio_token_id is 5, the tokenizer's 151654"):
        PUBLISHED.check(TINY)
    with pytest.raises(ConfigError, match=r"ids up to \d+, but the model has 512 embeddings"):
        Tokenizer(build((f"{a}{b} " * 9 for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"), 600)).check(
            TINY
        )


def test_a_tokenizer_travels_to_other_processes():
    there = pickle.loads(pickle.dumps(LEARNT))
    assert there.encode("12 dogs <|im_end|>") == LEARNT.encode("12 dogs <|im_end|>")
    assert (there.special, there.digits, there.control) == (LEARNT.special, LEARNT.digits, LEARNT.control)


def test_a_fresh_vocabulary_is_control_tokens_then_bytes_then_merges():
    raw = build(ENGLISH, 400)
    assert [raw.id_to_token(number) for number in range(8)] == list(CONTROL)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    assert {raw.id_to_token(number) for number in range(8, SMALLEST)} == set(alphabet)
    assert SMALLEST < LEARNT.vocab_size <= 400
    assert build().get_vocab_size() == SMALLEST
    assert len(LEARNT.encode(" dogs barking")) < len(TINY_TOKENIZER.encode(" dogs barking"))
    assert set(STRINGS.values()) == set(CONTROL)


def test_thoughts_are_read_as_text_by_others():
    added = build().get_added_tokens_decoder()
    assert {token.content for token in added.values() if not token.special} == {"<think>", "</think>"}


def test_the_same_texts_give_the_same_vocabulary():
    assert build(ENGLISH, 400).to_str() == build(iter(ENGLISH), 400).to_str()


def test_no_merge_swallows_a_digit_or_a_control_token():
    hostile_texts = ["<|im_end|><think> 2024 2024 1010 <|AUDIO|>"] * 50
    learnt = Tokenizer(build(hostile_texts, 1000))
    assert build(hostile_texts, 1000).get_added_tokens_decoder().keys() == set(range(8))
    for number in range(SMALLEST, learnt.vocab_size):
        assert not any(letter.isdigit() for letter in learnt.decode([number]))
        assert learnt.decode([number]) not in CONTROL


def test_a_vocabulary_smaller_than_bytes_is_refused():
    with pytest.raises(ConfigError, match="264"):
        build(size=263)


def test_the_published_layout_is_as_large_as_qwens():
    assert len(published_body()["model"]["vocab"]) == 151_643
