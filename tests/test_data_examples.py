"""From an item to what is learnt of it, and what is told of what cannot be used."""

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from model.catalogue import SourceConfig, SourceKind
from model.config import IGNORE
from model.examples import Damaged, Example, Passed, Visit, at_16_khz, parse_conversation
from model.frames import num_mel_frames
from model.objectives import text
from model.objectives.mix import GROUPS
from model.prompt import question, render_sample
from model.tokens import Tokenizer
from model.vocabulary import build
from pipeline.instructions.build import BuildConfig
from pipeline.instructions.build import build as build_sft
from pipeline.lot import Lot
from pipeline.shards import Imprint, write_shard
from schemas.asking import transcripts
from schemas.asking.sample import AskRules
from schemas.audio import Waveform
from schemas.errors import SchemaError
from schemas.shard import read_index, read_sample
from schemas.store import store_at
from tests import make_shards
from tests.loading import read_round, reader_of

TOKENIZER = Tokenizer(build())
SPECIAL = TOKENIZER.special


def said_in(example: Example) -> str:
    """What is learnt, as text with its control tokens."""
    return TOKENIZER.decode([t for t in example.sample.targets if t != IGNORE], keep_control=True)


def asked_in(example: Example) -> str:
    return TOKENIZER.decode(example.sample.ids, keep_control=True)


# ------------------------------------------------------------------------------------------------ shards


def spoken_in(folder: Path, rate_hz: int = 16_000, quiet_s: int = 0) -> SourceConfig:
    """Five records of speech, at a rate, with silence behind what is said."""
    clips = [make_shards.spoken(number) for number in range(5)]
    for clip in clips:
        times = np.arange(len(clip.waveform.pcm) * rate_hz // 16_000) * 16_000 / rate_hz
        sound = np.interp(times, np.arange(len(clip.waveform.pcm)), clip.waveform.samples)
        object.__setattr__(clip, "waveform", Waveform.from_float(np.pad(sound, (0, quiet_s * rate_hz)), rate_hz))
        segment = clip.segment
        object.__setattr__(segment, "end_ms", segment.end_ms + quiet_s * 1_000)
    imprint = Imprint(recipe="r", config="c", max_shard_bytes=1 << 30)
    write_shard(store_at(str(folder / "shards")), Lot(plan="0123456789", number=0, items=tuple(clips)), imprint)
    return SourceConfig(place=str(folder / "shards"), group="asr", kinds=("asr",))


def test_a_prompt_is_that_of_model_prompt_with_time_markers(tmp_path):
    source = spoken_in(tmp_path)
    examples, _, _ = read_round(reader_of(tmp_path, source))
    store = store_at(source.place)
    stored = {row.key: read_sample(store, "0123456789-000000", row) for row in read_index(store, "0123456789-000000")}
    assert {one.key for one in examples} == stored.keys()
    for one in examples:
        record, waveform = stored[one.key]
        (asked,) = transcripts.transcribe(record, AskRules())
        messages = question(asked.question, [num_mel_frames(len(waveform.pcm))])
        assert one.sample == render_sample(messages, asked.answer, TOKENIZER, time_markers=True)
        assert (one.sounds[0] == waveform.pcm).all()
        assert said_in(one) == f"{asked.answer}<|im_end|>"
        assert (one.task, one.group) == ("transcribe", "asr")
    digits = set(TOKENIZER.digits)
    span = examples[0].sample.ids
    inside = span[span.index(SPECIAL.audio_start) : span.index(SPECIAL.audio_end)]
    assert bool(digits & set(inside)) == (len(examples[0].sounds[0]) >= 32_000)


def test_without_time_markers_none_are_rendered(tmp_path):
    examples, _, _ = read_round(reader_of(tmp_path, spoken_in(tmp_path), time_markers=False))
    for one in examples:
        ids = one.sample.ids
        assert set(ids[ids.index(SPECIAL.audio_start) + 1 : ids.index(SPECIAL.audio_end)]) == {SPECIAL.audio}


def test_too_long_a_transcript_loses_sound_behind_the_last_word_and_never_an_answer(tmp_path):
    source = spoken_in(tmp_path, quiet_s=30)
    whole = {one.key: one for one in read_round(reader_of(tmp_path, source, pack_tokens=2_000))[0]}
    cut = {one.key: one for one in read_round(reader_of(tmp_path, source, pack_tokens=400))[0]}
    assert whole.keys() == cut.keys()
    for key, one in cut.items():
        assert one.num_tokens <= 400 < whole[key].num_tokens
        assert said_in(one) == said_in(whole[key])
        last_ms = len(make_shards.spoken(int(key[1])).branches.speech.words) * 600  # a word every 600 ms
        assert last_ms < len(one.sounds[0]) / 16 < last_ms + 1_000
        assert (one.sounds[0] == whole[key].sounds[0][: len(one.sounds[0])]).all()


def test_what_does_not_fit_at_all_is_passed_over_and_counted(tmp_path):
    examples, passed, damaged = read_round(reader_of(tmp_path, spoken_in(tmp_path), pack_tokens=64))
    assert not examples
    assert not damaged
    assert Counter(one.reason for one in passed) == {"longer than the 64 tokens of a pack": 5}


def test_what_tells_of_the_whole_is_not_cut(tmp_path):
    source = spoken_in(tmp_path, quiet_s=30)
    captions = SourceConfig(place=source.place, group="captions", kinds=("captions",))
    examples, passed, _ = read_round(reader_of(tmp_path, captions, pack_tokens=400))
    assert not examples
    assert len(passed) == 5


def test_shards_of_another_rate_are_resampled(tmp_path):
    source = spoken_in(tmp_path, rate_hz=24_000)
    examples, _, damaged = read_round(reader_of(tmp_path, source))
    assert len(examples) == 5, damaged
    for one in examples:
        original = make_shards.spoken(int(one.key[1])).waveform
        assert abs(len(one.sounds[0]) - len(original.pcm)) <= 1
        assert one.sounds[0].dtype == np.float32
        assert one.sample.frames == (num_mel_frames(len(one.sounds[0])),)
        both = min(len(one.sounds[0]), len(original.pcm))
        assert np.corrcoef(one.sounds[0][:both], original.samples[:both])[0, 1] > 0.97


def test_a_record_whose_sound_has_another_length_is_damaged(tmp_path):
    clip = make_shards.spoken(0)
    object.__setattr__(clip, "waveform", Waveform(pcm=clip.waveform.pcm[:-800], rate_hz=16_000))
    imprint = Imprint(recipe="r", config="c", max_shard_bytes=1 << 30)
    write_shard(store_at(str(tmp_path / "s")), Lot(plan="0123456789", number=0, items=(clip,)), imprint)
    _, _, damaged = read_round(reader_of(tmp_path, SourceConfig(place=str(tmp_path / "s"), group="asr")))
    (one,) = damaged
    assert "ms long, and its sound" in one.reason


def test_over_the_rounds_all_that_a_record_gives_comes_up(tmp_path):
    store = make_shards.shards(tmp_path / "shards", 1, 1)
    (row,) = read_index(store, "0123456789-000000")
    record, _ = read_sample(store, "0123456789-000000", row)
    reader = reader_of(tmp_path, SourceConfig(place=str(tmp_path / "shards")))
    met = Counter(reader.read(Visit(source=0, number=n))[0].task for n in range(200))
    asked = (sample for kind in GROUPS["instructions"] for sample in kind.samples(record, AskRules()))
    assert met.keys() == {sample.task for sample in asked}
    assert len(met) > 6


# ------------------------------------------------------------------------------------------------ conversations


def wav(samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype=subtype)
    return buffer.getvalue()


def talk(folder: Path, *lines: object) -> SourceConfig:
    """A file of conversations with a sound beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "a.wav").write_bytes(wav(0.1 * np.sin(np.arange(24_000) / 9)))
    (folder / "stereo.wav").write_bytes(wav(np.stack([np.ones(4_800), np.zeros(4_800)], axis=1) / 2, 48_000))
    written = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "talks.jsonl").write_bytes(b"\n".join(written))
    place = str(folder / "talks.jsonl")
    return SourceConfig(place=place, kind=SourceKind.CONVERSATIONS, group="conversations")


def turn(role: str, content: str, kind: str = "text") -> dict[str, str]:
    return {"role": role, "message_type": kind, "content": content}


def one_of(folder: Path, *turns: dict[str, str], **changes: object) -> Example | Passed | Damaged:
    read = reader_of(folder, talk(folder / "set", {"conversation": turns}), **changes).read(Visit(source=0, number=0))
    return read[0] if isinstance(read, tuple) else read


def test_what_build_sft_writes_is_read_as_it_was_asked(tmp_path):
    make_shards.shards(tmp_path / "shards", 1, 3)
    build_sft(store_at(str(tmp_path / "shards")), store_at(str(tmp_path / "sft")), BuildConfig())
    source = SourceConfig(place=str(tmp_path / "sft"), kind=SourceKind.CONVERSATIONS, group="conversations")
    examples, passed, damaged = read_round(reader_of(tmp_path, source, pack_tokens=2_000))
    lines = [json.loads(line) for line in (tmp_path / "sft" / "sft-00000.jsonl").read_bytes().splitlines()]
    assert not passed
    assert not damaged
    expected = Counter()
    for line in lines:
        audio, asked, answer = (one["content"] for one in line["conversation"])
        pcm, _ = soundfile.read(tmp_path / "sft" / audio, dtype="int16")
        messages = question(asked, [num_mel_frames(len(pcm))])
        expected[render_sample(messages, answer, TOKENIZER)] += 1
    assert Counter(one.sample for one in examples) == expected


def test_several_turns_and_a_thought_are_rendered_and_only_the_last_answer_is_learnt(tmp_path):
    found = one_of(
        tmp_path,
        turn("system", "Be brief."),
        turn("user", "a.wav", "audio"),
        turn("user", "What is it?"),
        turn("assistant", "A tone."),
        turn("user", "stereo.wav", "audio"),
        turn("user", "And this?"),
        turn("assistant", "<think>\nIt hums.\n</think>\n\nA hum."),
    )
    assert isinstance(found, Example), found
    assert said_in(found) == "<think>\nIt hums.\n</think>\n\nA hum.<|im_end|>"
    assert found.sample.targets.count(SPECIAL.think) == 1
    assert found.sample.frames == (150, 10)
    shown = asked_in(found).replace("<|AUDIO|>", "")
    assert shown.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|audio_bos|>")
    assert "What is it?<|im_end|>\n<|im_start|>assistant\nA tone.<|im_end|>\n<|im_start|>user\n<|audio_bos|>" in shown


def test_without_a_system_the_usual_words_stand(tmp_path):
    found = one_of(tmp_path, turn("user", "hello"), turn("assistant", "hi"))
    assert asked_in(found) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n"
        "<|im_start|>assistant\nhi<|im_end|>"
    )


def test_control_tokens_in_words_are_words(tmp_path):
    found = one_of(tmp_path, turn("user", "<|im_end|><|AUDIO|>"), turn("assistant", "<|im_end|><|endoftext|>"))
    assert isinstance(found, Example)
    assert found.sample.targets.count(SPECIAL.im_end) == 1
    assert SPECIAL.audio not in found.sample.ids
    assert found.sample.frames == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "a line is not JSON"),
        (b"\xff\xfe", "a line is not JSON"),
        (b"[" * 100_000, "a line is not JSON"),
        (b"[1]", "a line holds a list"),
        ({"conversation": "hello"}, 'has a list "conversation" of 2 to 64'),
        ({"conversation": [turn("user", "x")]}, 'has a list "conversation" of 2 to 64'),
        ({"conversation": [turn("user", "x")] * 65}, 'has a list "conversation" of 2 to 64'),
        ({"conversation": [turn("user", "x"), "y"]}, "a message has role None"),
        ({"conversation": [turn("user", "x"), turn("robot", "y")]}, "a message has role 'robot'"),
        ({"conversation": [turn("user", "x"), turn("assistant", "y", "video")]}, "message_type 'video'"),
        ({"conversation": [turn("user", "x"), {"role": "assistant", "content": 3}]}, "content '3'"),
        ({"conversation": [turn("user", "x"), turn("user", "y")]}, "ends with what the assistant says"),
        ({"conversation": [turn("assistant", "x"), turn("assistant", "y")]}, "must end with the user"),
        ({"conversation": [turn("user", "x"), turn("assistant", "a.wav", "audio")]}, "in text; this one does not"),
        ({"conversation": [turn("user", "x"), turn("assistant", "<think>on and on")]}, "is not closed"),
        ({"conversation": [turn("user", "x"), turn("assistant", "oh <think>a</think>b")]}, "before a block of thought"),
        ({"conversation": [turn("user", "\ud800"), turn("assistant", "y")]}, "could not encode"),
        ({"conversation": [turn("system", "a.wav", "audio"), turn("user", "x"), turn("assistant", "y")]}, "system"),
    ],
)
def test_lines_that_are_no_conversation_are_told_in_a_sentence(tmp_path, line, said):
    good = {"conversation": [turn("user", "hello"), turn("assistant", "hi")]}
    examples, _, damaged = read_round(reader_of(tmp_path, talk(tmp_path / "set", line, good)))
    assert [said_in(one) for one in examples] == ["hi<|im_end|>"]
    (one,) = damaged
    assert said in one.reason
    assert "talks.jsonl, item 0" in one.where
    assert "\n" not in one.reason
    assert len(one.reason) < 400


@pytest.mark.parametrize(
    "audio",
    ["../a.wav", "x/../../a.wav", "/etc/passwd", "s3://b/a.wav", "file:///a.wav", "..\\a.wav", "\\\\host\\a.wav"],
)
def test_an_audio_outside_of_its_set_is_refused(tmp_path, audio):
    (tmp_path / "a.wav").write_bytes(wav(np.zeros(1_600)))
    found = one_of(tmp_path, turn("user", audio, "audio"), turn("user", "x"), turn("assistant", "y"))
    assert isinstance(found, Damaged)
    assert "lies outside of its set" in found.reason


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone.wav", None, "it is not there"),
        ("", None, "no name of a file"),
        ("a\0.wav", None, "no name of a file"),
        ("\ud800.wav", None, "no name of a file"),
        ("x" * 5_000, None, ""),
        (".", None, ""),
        ("text.wav", b"no sound", "cannot be read as sound"),
        ("empty.wav", wav(np.zeros(0)), "too short"),
        ("short.wav", wav(np.zeros(100)), "too short"),
        ("nan.wav", wav(np.full(1_600, np.nan), subtype="FLOAT"), "not finite"),
        ("inf.wav", wav(np.full(1_600, np.inf), subtype="FLOAT"), "not finite"),
        ("long.wav", wav(np.zeros(46 * 60 * 1_000), 1_000), "minutes"),
    ],
)
def test_a_sound_that_cannot_be_heard_is_told_in_a_sentence(tmp_path, name, data, said):
    (tmp_path / "set").mkdir()
    if data is not None:
        (tmp_path / "set" / name).write_bytes(data)
    found = one_of(tmp_path, turn("user", name, "audio"), turn("user", "x"), turn("assistant", "y"))
    assert isinstance(found, Damaged)
    assert said in found.reason


def test_channels_are_mixed_and_resampled(tmp_path):
    found = one_of(tmp_path, turn("user", "stereo.wav", "audio"), turn("user", "x"), turn("assistant", "y"))
    assert isinstance(found, Example)
    assert len(found.sounds[0]) == 1_600
    assert np.abs(found.sounds[0][200:-200] - 0.25).max() < 0.01


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_makes_the_parser_fail_in_another_way(value):
    for line in (json.dumps(value), json.dumps({"conversation": value}), json.dumps({"conversation": [value, value]})):
        with pytest.raises(SchemaError):
            parse_conversation(line.encode())


# ------------------------------------------------------------------------------------------------ text


@given(st.lists(st.integers(8, 200), max_size=300), st.integers(1, 64))
def test_windows_lose_no_token_and_predict_across_their_borders(ids, max_tokens):
    samples = text.windows(ids, TOKENIZER, max_tokens)
    assert [token for sample in samples for token in sample.ids] == ids
    whole = [*ids, SPECIAL.end_of_text]
    assert [token for sample in samples for token in sample.targets] == whole[1:]
    lengths = [len(sample.ids) for sample in samples]
    assert all(0 < length <= max_tokens for length in lengths)
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


def test_documents_of_both_kinds_are_learnt_whole(tmp_path):
    place = make_shards.texts(tmp_path / "texts")
    source = SourceConfig(place=str(place), kind=SourceKind.TEXT, group="text")
    examples, _, damaged = read_round(reader_of(tmp_path, source, pack_tokens=100))
    assert not damaged
    learnt: dict[str, list[int]] = {}
    for one in sorted(examples, key=lambda one: one.index):
        learnt.setdefault(one.key, []).extend(one.sample.ids)
    documents = [path.read_text() for path in place.glob("*.txt")]
    documents += [json.loads(line)["text"] for line in (place / "lines.jsonl").read_text().splitlines()]
    assert sorted(TOKENIZER.decode(ids) for ids in learnt.values()) == sorted(documents)


@pytest.mark.parametrize("line", [b"{", b'{"text": 3}', b"[]", b'{"words": "x"}', b'{"text": "\\ud800"}'])
def test_a_line_without_a_text_is_damaged_and_the_others_are_learnt(tmp_path, line):
    (tmp_path / "t.jsonl").write_bytes(line + b'\n\n{"text": "good"}\n{"text": ""}\n')
    source = SourceConfig(place=str(tmp_path / "t.jsonl"), kind=SourceKind.TEXT, group="text")
    examples, passed, damaged = read_round(reader_of(tmp_path, source))
    assert [TOKENIZER.decode(one.sample.ids) for one in examples] == ["good"]
    assert [one.reason for one in passed] == ["an empty document"]
    assert len(damaged) == 1


def test_sound_at_its_rate_is_left_as_it_is():
    pcm = np.arange(100, dtype=np.int16)
    assert at_16_khz(Waveform(pcm=pcm, rate_hz=16_000)) is pcm
