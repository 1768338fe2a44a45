"""Each kind of sample teaches what its file says, and thoughts are true."""

from collections import Counter
from dataclasses import replace

import pytest

from model.objectives import (
    asr,
    captions,
    diarised,
    facts,
    reasoning,
    sentence_times,
    time_qa,
    timeline,
    word_times,
)
from model.objectives.mix import GROUPS, PRETRAINING, kinds_of, may_give, sample_of, told_until_ms
from schemas.asking.heard import heard_in
from schemas.asking.sample import AskRules
from schemas.errors import ConfigError
from schemas.formats import moments, thinking
from schemas.record import (
    Branches,
    Claim,
    Fact,
    KeySpan,
    MusicAnnotation,
    Outcome,
    Record,
    SoundAnnotation,
    SpeechAnnotation,
    Tempo,
    Turn,
    Word,
    skipped,
)
from schemas.shard import IndexRow, Status
from tests import make

RULES = AskRules()
START_MS = 3_000


def at(start_ms: int, end_ms: int) -> dict[str, int]:
    return {"start_ms": START_MS + start_ms, "end_ms": START_MS + end_ms}


def said(start_ms: int, end_ms: int, text: str, speaker: str) -> Fact:
    return Fact(**at(start_ms, end_ms), kind="transcript", text=text, score=1.0, speaker=speaker, human=True)


def heard(start_ms: int, end_ms: int, label: str) -> Fact:
    return Fact(**at(start_ms, end_ms), kind="event", text=label.lower(), label=label, score=1.0, human=True)


def word(start_ms: int, end_ms: int, text: str, speaker: str) -> Word:
    return Word(**at(start_ms, end_ms), text=text, score=1.0, speaker=speaker)


def speech(**changes: object) -> SpeechAnnotation:
    fields = {
        "outcome": Outcome.OK,
        "model": "m@1",
        "language": "en",
        "language_score": 1.0,
        "facts": (said(0, 2_010, "hello there", "S01"), said(2_200, 3_400, "hi", "S02")),
        "words": (word(0, 520, "hello", "S01"), word(600, 2_010, "there", "S01"), word(2_200, 3_400, "hi", "S02")),
        "turns": (Turn(**at(0, 2_010), speaker="S01"), Turn(**at(2_200, 3_400), speaker="S02")),
    }
    return SpeechAnnotation(**(fields | changes))  # type: ignore[arg-type]


def record(**branches: object) -> Record:
    """20 s of a recording, from its third second on."""
    known = {name: skipped(name, "m@1", "none") for name in ("speech", "sound", "music")} | branches
    length = {"start_ms": START_MS, "end_ms": START_MS + 20_000}
    told = [Claim(**at(0, 3_400), text="Two people talk.", branch="speech", evidence=("speech/0",), score=1.0)]
    told = told if "speech" in branches else []
    return make.record(
        **length, key="a1-000003000-000023000", events=(), branches=Branches(**known), caption=make.caption(*told)
    )


TALK = record(speech=speech())
NOISES = record(
    sound=SoundAnnotation(
        outcome=Outcome.OK,
        model="m@1",
        text="noises",
        facts=(heard(1_200, 3_400, "Dog"), heard(5_000, 6_000, "Siren"), heard(7_000, 8_100, "Dog")),
    )
)
SONG = record(
    music=MusicAnnotation(
        outcome=Outcome.OK,
        model="m@1",
        text="a song",
        tempi=(Tempo(**at(0, 20_000), bpm=120.0, score=0.9),),
        keys=(KeySpan(**at(0, 20_000), name="G major", score=0.9),),
        lyrics=(word(0, 520, "la", "S01"), word(600, 1_200, "lo", "S01")),
        lyrics_language="en",
    )
)


def answers(found) -> dict[str, str]:
    return {sample.task: sample.answer for sample in found}


@pytest.mark.parametrize(
    ("kind", "one", "expected"),
    [
        (asr, TALK, {"transcribe": "hello there hi"}),
        (asr, SONG, {"lyrics": "la lo"}),
        (sentence_times, TALK, {"transcribe_sentences": "[0.00]hello there[2.01][2.20]hi[3.40]"}),
        (word_times, TALK, {"transcribe_words": "[0.00]hello[0.52][0.60]there[2.01][2.20]hi[3.40]"}),
        (word_times, SONG, {"lyrics_words": "[0.00]la[0.52][0.60]lo[1.20]"}),
        (
            diarised,
            TALK,
            {
                "diarise": "[0.00][S01]hello there[2.01][2.20][S02]hi[3.40]",
                "turns": "0.00 - 2.01: S01\n2.20 - 3.40: S02",
                "speakers": "2",
            },
        ),
        (timeline, NOISES, {"timeline": "1.20 - 3.40: Dog\n5.00 - 6.00: Siren\n7.00 - 8.10: Dog"}),
    ],
)
def test_a_kind_teaches_exactly_what_it_says(kind, one, expected):
    assert answers(kind.samples(one, RULES)) == expected


def test_captions_teach_the_caption_and_facts_the_whole():
    assert "Two people talk." in answers(captions.samples(TALK, RULES))["caption"]
    assert answers(facts.samples(TALK, RULES))["language"] == "English"


def test_questions_about_time_tell_when_what_and_how_often():
    found = time_qa.samples(NOISES, RULES)
    by_question = {(sample.task, sample.question): sample.answer for sample in found}
    dog = [answer for (task, asked), answer in by_question.items() if task == "when" and "Dog" in asked]
    assert dog == ["1.20 - 3.40, 7.00 - 8.10"]
    counted = [answer for (task, asked), answer in by_question.items() if task == "count" and "Dog" in asked]
    assert counted == ["2"]
    firsts = [sample.answer for sample in found if sample.task == "first_of_two"]
    assert firsts and set(firsts) == {"Dog"}  # noqa: PT018


# ------------------------------------------------------------------------------------------------ thoughts


def spans_in(text: str) -> list[tuple[int, int]]:
    return [(one.start_ms // 1_000, one.end_ms // 1_000) for one in moments.parse(text).items]


def in_seconds(spans) -> list[tuple[int, int]]:
    """As a thought tells them: from the segment's start, rounded half up."""
    return [tuple((ms - START_MS + 500) // 1_000 for ms in (span.start_ms, span.end_ms)) for span in spans]


def test_a_thought_is_true_and_leaves_the_answer_as_it_is():
    found = reasoning.samples(NOISES, RULES)
    plain = {sample.id: sample for sample in time_qa.samples(NOISES, RULES)}
    named = heard_in(NOISES, RULES).named
    assert {"count", "when", "first_of_two"} <= {sample.task for sample in found}
    for sample in found:
        assert replace(sample, thought=None) == plain[sample.id]
        heard_line, concluded = sample.thought.split("\n")
        assert spans_in(heard_line) == in_seconds(named)
        told = [one for one in named if set(one.evidence) & set(sample.evidence)]
        if sample.task in ("when", "count"):
            assert spans_in(concluded) == in_seconds(told)
            assert {one.label for one in told} == {concluded.split(" is heard at ")[0]}
            seconds = [tuple(float(t) for t in part.split(" - ")) for part in sample.answer.split(", ")]
        if sample.task == "when":
            assert spans_in(concluded) == [(int(a + 0.5), int(b + 0.5)) for a, b in seconds]
        elif sample.task == "count":
            assert concluded.endswith(f": that is {sample.answer} times.") or sample.answer == "1"
            assert len(spans_in(concluded)) == int(sample.answer)
        else:
            assert sample.answer in concluded


def test_a_thought_can_be_written_as_a_reply():
    for sample in reasoning.samples(NOISES, RULES):
        reply = thinking.Reply(thought=sample.thought, answer=sample.answer)
        assert thinking.parse(thinking.write(reply)).reply == reply


@pytest.mark.parametrize("label", ["[00:03]", "Dog 0:03-0:09", "</think>", "{told}", "{answer}", "<|im_end|>"])
def test_names_in_a_thought_are_names(label):
    sound = NOISES.branches.sound
    strange = replace(sound, facts=(heard(1_200, 3_400, label), *sound.facts[1:]))
    one = replace(NOISES, branches=replace(NOISES.branches, sound=strange))
    named = heard_in(one, RULES).named
    for sample in reasoning.samples(one, RULES):
        assert spans_in(sample.thought.split("\n")[0]) == in_seconds(named)
        assert "</think>" not in sample.thought
        assert "<|im_end|>" not in sample.thought


def test_without_sounds_there_is_nothing_to_think_about():
    assert reasoning.samples(TALK, RULES) == []


# ------------------------------------------------------------------------------------------------ the mix


def test_a_kind_is_drawn_by_its_weight():
    kinds = kinds_of("asr")
    drawn = Counter(sample_of(TALK, kinds, RULES, visit).task for visit in range(2_000))
    by_diarised = sum(drawn[task] for task in ("diarise", "turns", "speakers"))
    for count, weight in ((drawn["transcribe"], 1.0), (drawn["transcribe_words"], 1.0), (by_diarised, 0.5)):
        assert abs(count / 2_000 - weight / 3.5) < 0.04


def test_draws_depend_on_seed_record_and_visit_alone():
    kinds = kinds_of("instructions")

    def drawn(seed: int) -> list[str]:
        return [sample_of(TALK, kinds, AskRules(seed=seed), visit).id for visit in range(40)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert sample_of(NOISES, kinds_of("asr"), RULES, 0) is None


def test_what_is_told_until_is_known_of_transcripts_alone():
    for sample in asr.samples(TALK, RULES) + word_times.samples(TALK, RULES):
        assert told_until_ms(TALK, sample) == 3_400
    others = [*diarised.samples(TALK, RULES), *captions.samples(TALK, RULES), *asr.samples(SONG, RULES)]
    assert all(told_until_ms(TALK, sample) is None for sample in others)


def test_an_index_row_promises_no_less_than_its_record_gives():
    for one in (TALK, NOISES, SONG):
        outcomes = {name: getattr(one.branches, name).outcome.value for name in ("speech", "sound", "music")}
        row = IndexRow(
            key=one.key, status=Status.SAMPLE, source_id="a1", uri="u", etag="e", start_ms=0, end_ms=1, **outcomes
        )
        for group in GROUPS:
            if sample_of(one, kinds_of(group), RULES, 0):
                assert may_give(row, group), (group, outcomes)
            assert not may_give(replace(row, status=Status.SILENCE), group)


def test_kinds_are_known_by_name():
    assert [kind.name for kind in kinds_of("asr", ("asr", "diarised"))] == ["asr", "diarised"]
    assert sum(PRETRAINING.values()) == 100
    with pytest.raises(ConfigError, match="the group 'asr' has no samples captions; it has asr"):
        kinds_of("asr", ("captions",))
