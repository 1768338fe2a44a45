"""Every rule speaks against what it is made for, and not against ordinary words."""

import zlib

import pytest

from annotators.base import Transcript
from annotators.recognition import doubts
from annotators.recognition.agreement import Verdict, normalised
from annotators.recognition.doubts import DoubtRules, Said, doubts_of, verdict_of
from annotators.recognition.phrases import CREDITS, FAREWELLS
from schemas.record import Word
from schemas.span import Span

ORDINARY = "we walked down to the harbour and looked at the boats until it was dark"
CHINESE = "今天天气很好我们一起去公园散步"


def said(text, duration_ms=6_000, language="en", voice=None, **known):
    transcript = Transcript(text=text, language=language, **known)
    return Said(start_ms=10_000, end_ms=10_000 + duration_ms, transcript=transcript, voice=voice)


def timed(*spans):
    return tuple(Word(start_ms=a, end_ms=b, text="word", score=0.9) for a, b in spans)


CASES = [
    ("is_a_credit", said("Subtitles by the Amara.org community"), said("subtitles by my brother")),
    ("is_a_credit", said("请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", language="zh"), said(CHINESE, language="zh")),
    ("is_a_farewell", said("Thank you for watching!"), said("thank you for watching the children")),
    ("is_a_farewell", said("Thank you. Thank you. Thank you."), said("I said thank you")),
    ("is_a_farewell", said("ご視聴ありがとうございました。", language="ja"), said("ありがとう母さん", language="ja")),
    ("is_compressible", said("and then we go " * 12), said(ORDINARY)),
    ("is_a_loop", said("no " * 12), said("no no no no no that is not what I said to you")),
    ("is_a_loop", said("谢谢" * 12, language="zh"), said(CHINESE, language="zh")),
    ("is_a_loop", said("no " * 12 + ORDINARY[:20]), said("no " * 12 + ORDINARY)),
    ("has_a_loop", said("no " * 12 + ORDINARY), said("no " * 12 + ORDINARY[:20])),
    ("has_a_loop", said("well " + "no no no no no no " + ORDINARY), said("no no no no no " + ORDINARY)),
    ("says_little", said("yes no maybe yes no maybe yes no maybe yes"), said(ORDINARY)),
    ("has_a_long_word", said("it was a " + "re" * 13 + "ally"), said("it was incomprehensibly long")),
    ("is_too_fast", said(ORDINARY, 1_500), said(ORDINARY, 4_000)),
    ("is_too_fast", said(CHINESE, 1_000, "zh"), said(CHINESE, 3_000, "zh")),
    ("is_impossibly_fast", said(ORDINARY * 2, 1_500), said(ORDINARY, 1_500)),
    ("is_no_speech", said("so", no_speech=0.9, score=0.2), said("so", no_speech=0.9, score=0.8)),
    ("is_no_speech", said("so", no_speech=0.61, score=0.36), said("so", no_speech=0.6, score=0.1)),
    (
        "is_outside_the_voice",
        said("two words", words=timed((10_000, 10_500), (12_000, 13_000)), voice=(Span.of(9_000, 10_700),)),
        said("two words", words=timed((10_000, 11_000), (12_000, 13_000)), voice=(Span.of(9_000, 11_000),)),
    ),
]


@pytest.mark.parametrize(("rule", "trips", "passes"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_a_rule_trips_where_it_should(rule, trips, passes):
    judge = getattr(doubts, rule)
    assert judge(trips, DoubtRules())
    assert judge(passes, DoubtRules()) is None


def test_a_script_is_no_repetition():
    """The same letters, each three bytes long in UTF-8, are as repetitive as in Latin, and no more."""
    text = f"{ORDINARY} and my sister said that she would come home before the evening so that we could cook together"
    tamil = text.translate({ord(letter): 0x0B85 + n for n, letter in enumerate(sorted(set(text) - {" "}))})
    assert len(zlib.compress(tamil.encode())) * 2.4 < len(tamil.encode()), "bytes would say that it repeats itself"
    assert doubts.compression_ratio(tamil) == pytest.approx(doubts.compression_ratio(text), rel=0.02)
    assert doubts.compression_ratio(text) == pytest.approx(len(text) / len(zlib.compress(text.encode())), rel=0.05)
    assert doubts.is_compressible(said(tamil, 12_000, language="ta"), DoubtRules()) is None
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    assert doubts.compression_ratio(many) < 1 < doubts.compression_ratio(many * 9)


def test_every_rule_is_tried_here():
    assert {rule.__name__ for rule, _ in doubts.OBJECTIONS} == {case[0] for case in CASES}


@pytest.mark.parametrize("text", [ORDINARY, CHINESE, "yes", "Straßenbahnhaltestelle", "ha ha ha"])
def test_ordinary_words_are_not_doubted(text):
    language = "zh" if text is CHINESE else "en"
    assert doubts_of(said(text, language=language, no_speech=0.1, score=0.8)) == ()


def test_nothing_said_is_not_doubted():
    assert doubts_of(said("", no_speech=1.0, score=0.0)) == ()
    assert doubts_of(said(" \n ")) == ()


def test_the_gravest_doubt_decides():
    told = doubts_of(said("thank you " * 40))
    assert {doubt.verdict for doubt in told} == {Verdict.DROP, Verdict.FLAG}
    assert verdict_of(told) is Verdict.DROP
    assert verdict_of(doubts_of(said("Thank you."))) is Verdict.FLAG
    assert verdict_of(()) is Verdict.KEEP
    assert all(doubt.reason for doubt in told)


def test_the_loop_is_told_by_its_phrase():
    (loop,) = [d.reason for d in doubts_of(said("come on " * 6 + ORDINARY)) if "times over" in d.reason]
    assert loop == "'come on' 6 times over"


def test_the_phrases_are_in_the_form_they_are_compared_in():
    assert all(normalised(phrase) == phrase for phrase in CREDITS | FAREWELLS)
    assert not CREDITS & FAREWELLS


@pytest.mark.parametrize("text", ["a" * 100_000, "ab " * 50_000, "(((" * 10_000, "\0\n\t" * 1_000])
def test_hostile_text_costs_little_and_does_no_harm(text):
    assert isinstance(doubts_of(said(text)), tuple)
