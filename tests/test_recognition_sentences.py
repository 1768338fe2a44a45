"""Sentences end where the writing, a pause or another speaker ends them, and are written as the form has it."""

import doctest
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import annotators.recognition.agreement
import annotators.recognition.sentences
import annotators.recognition.stretches
from annotators.recognition.sentences import SentenceRules, sentences_of, written
from schemas.formats.transcript import parse, plain
from schemas.record import Word
from schemas.span import Span


def words(*told, word_ms=300, gap_ms=50):
    """Words one after the other; a number among them is a pause of so many milliseconds, `S01:` a speaker."""
    made, at_ms, speaker = [], 0, None
    for one in told:
        if isinstance(one, int):
            at_ms += one - gap_ms
        elif one.endswith(":"):
            speaker = one[:-1]
        else:
            made.append(Word(start_ms=at_ms, end_ms=at_ms + word_ms, text=one, score=0.8, speaker=speaker))
            at_ms += word_ms + gap_ms
    return made


@pytest.mark.parametrize(
    ("told", "sentences"),
    [
        pytest.param(["hi", "there.", "all", "well?"], ["hi there.", "all well?"], id="punctuation"),
        pytest.param(["hi", 900, "there"], ["hi", "there"], id="a long pause"),
        pytest.param(["hi", 800, "there"], ["hi there"], id="a pause at the limit is none"),
        pytest.param(["S01:", "hi", "S02:", "hi"], ["hi", "hi"], id="another speaker"),
        pytest.param(["Dr.", "J.", "Who", "is", "in."], ["Dr. J. Who is in."], id="abbreviations go on"),
        pytest.param(["he", "said", "“go.”", "So"], ["he said “go.”", "So"], id="quotes after the end"),
        pytest.param(["你", "好。", "再", "见！"], ["你好。", "再见！"], id="Chinese"),
        pytest.param(["क्या", "है।", "ठीक"], ["क्या है।", "ठीक"], id="danda"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_sentences(told, sentences):
    assert [sentence.text for sentence in sentences_of(words(*told))] == sentences


def test_a_long_sentence_is_parted_at_its_longest_pause():
    told = words(*["one", "two", "three", "four"], 400, *["five", "six", "seven", "eight"], 300, *["nine", "ten"])
    parts = sentences_of(told, SentenceRules(max_ms=2_200, min_ms=300))
    assert [part.text for part in parts] == ["one two three four", "five six seven eight", "nine ten"]
    whole = sentences_of(told, SentenceRules(max_ms=10_000))
    assert [part.text for part in whole] == ["one two three four five six seven eight nine ten"]


@given(
    told=st.lists(
        st.tuples(st.text(min_size=1, max_size=8), st.integers(1, 900), st.integers(0, 1_500), st.sampled_from("12")),
        max_size=40,
    ),
    max_ms=st.integers(300, 20_000),
    start_ms=st.integers(0, 100_000),
)
def test_every_word_is_in_one_sentence_and_all_can_be_written(told, max_ms, start_ms):
    at_ms, all_words = start_ms, []
    for text, word_ms, gap_ms, speaker in told:
        all_words.append(Word(start_ms=at_ms, end_ms=at_ms + word_ms, text=text, score=0.5, speaker=f"S0{speaker}"))
        at_ms += word_ms + gap_ms
    sentences = sentences_of(all_words, SentenceRules(max_ms=max_ms))
    assert [word for sentence in sentences for word in sentence.words] == all_words
    assert all(len({word.speaker for word in sentence.words}) == 1 for sentence in sentences)
    assert all(sentence.duration_ms <= max_ms or len(sentence.words) == 1 for sentence in sentences)
    text = written(sentences, Span.of(start_ms, at_ms + 1), speakers=True)
    read = parse(text)
    assert read.well_formed
    assert [item.text for item in read.items] == [plain(s.text) for s in sentences if plain(s.text)]


def test_a_transcript_counts_from_the_segment():
    told = sentences_of(words("S01:", "hello", "there.", "S02:", "hi", 2_000, "S01:", "well"))
    moved = [
        type(sentence)(start_ms=sentence.start_ms + 5_000, end_ms=sentence.end_ms + 5_000, words=sentence.words)
        for sentence in told
    ]
    segment = Span.of(5_000, 20_000)
    assert written(moved, segment) == "[0.00]hello there.[0.65][0.70]hi[1.00][3.00]well[3.30]"
    assert written(moved, segment, speakers=True).startswith("[0.00][S01]hello there.[0.65][0.70][S02]hi[1.00]")
    assert written([], segment) == ""
    pauses = [Span.of(a.end_ms, b.start_ms) for a, b in pairwise(moved) if a.end_ms < b.start_ms]
    assert pauses == [Span.of(5_650, 5_700), Span.of(6_000, 8_000)]


def test_what_reads_as_a_time_is_made_harmless():
    assert written(sentences_of(words("[1.00]", "[S02]", "x")), Span.of(0, 9_000)) == "[0.00](1.00) (S02) x[1.00]"


@pytest.mark.parametrize(
    "module",
    [annotators.recognition.sentences, annotators.recognition.agreement, annotators.recognition.stretches],
    ids=lambda module: module.__name__,
)
def test_the_examples_in_docstrings_hold(module):
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
