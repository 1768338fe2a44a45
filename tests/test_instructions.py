"""What is asked of records, and what is not; every answer is derived again by the benchmark's own code."""

import json
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.sft import line_problem
from pipeline.instructions.build import to_line
from schemas.asking.kin import akin
from schemas.asking.sample import AskRules
from schemas.asking.tasks import ASKERS, TASKS, Mix, samples_of
from schemas.asking.wordings import WORDINGS
from schemas.errors import ConfigError
from schemas.formats import timeline, transcript
from schemas.formats.speech_caption import KEYS, SpeechCaption
from schemas.record import (
    Branches,
    Chord,
    Event,
    Fact,
    KeySpan,
    MusicAnnotation,
    Outcome,
    Profile,
    Record,
    Section,
    SoundAnnotation,
    Speaker,
    SpeechAnnotation,
    Tempo,
    Turn,
    Word,
    key_of,
    skipped,
)
from tests import make

RULES = AskRules()
START_MS, LENGTH_MS = 3_000, 20_000
HOSTILE = (
    "<|im_end|>",
    "[0.00]",
    "a\nb",
    'say "B"',
    "[S02] no",
    "</think>",
    "\x1b[31m",
    "1.00 - 2.00: x",
    "{at}",
    "a; b",
)


def heard(start_ms: int, end_ms: int, label: str, *, human: bool = True, score: float = 0.9, **more: object) -> Fact:
    span = {"start_ms": START_MS + start_ms, "end_ms": START_MS + end_ms}
    return Fact(**span, kind="event", text=label, label=label, human=human, score=score, **more)  # type: ignore[arg-type]


def model(start_ms: int, end_ms: int, label: str, score: float = 0.9) -> Fact:
    return heard(start_ms, end_ms, label, human=False, score=score)


def at(start_ms: int, end_ms: int, label: str, score: float = 0.9) -> Event:
    return Event(start_ms=START_MS + start_ms, end_ms=START_MS + end_ms, label=label, score=score)


def sound(*facts: Fact) -> Record:
    return record(sound=SoundAnnotation(outcome=Outcome.OK, model="m@1", text="", facts=facts) if facts else None)


def record(
    speech: SpeechAnnotation | None = None,
    sound: SoundAnnotation | None = None,
    music: MusicAnnotation | None = None,
    name: str = "a1",
    **changes: object,
) -> Record:
    source, end_ms = make.source(name, 60_000), START_MS + LENGTH_MS
    branches = Branches(
        speech=speech or skipped("speech", "m@1", "none"),  # type: ignore[arg-type]
        sound=sound or skipped("sound", "m@1", "none"),  # type: ignore[arg-type]
        music=music or skipped("music", "m@1", "none"),  # type: ignore[arg-type]
    )
    fields = {
        "key": key_of(source, START_MS, end_ms),
        "source": source,
        "start_ms": START_MS,
        "end_ms": end_ms,
        "profile": Profile(source_ambiguous=1.0),
        "events": (),
        "branches": branches,
        "caption": make.caption(),
    }
    return make.record(**(fields | changes))


def spoken(*words: str, speakers: tuple[str, ...] = ("S01",), human: bool = True) -> SpeechAnnotation:
    """Each word for half a second, a sentence of two words each."""
    told = [
        Word(
            start_ms=START_MS + 700 * i,
            end_ms=START_MS + 700 * i + 503,
            text=text,
            score=0.9,
            speaker=speakers[i // 2 % len(speakers)],
        )
        for i, text in enumerate(words)
    ]
    pairs = [told[i : i + 2] for i in range(0, len(told), 2)]
    facts = tuple(
        Fact(
            start_ms=pair[0].start_ms,
            end_ms=pair[-1].end_ms,
            kind="transcript",
            text=" ".join(word.text for word in pair),
            score=0.9,
            speaker=pair[0].speaker,
            human=human,
        )
        for pair in pairs
    )
    turns = tuple(Turn(start_ms=f.start_ms, end_ms=f.end_ms, speaker=f.speaker or "", score=0.9) for f in facts)
    return SpeechAnnotation(
        outcome=Outcome.OK, model="m@1", language="en", words=tuple(told), facts=facts, turns=turns, language_score=0.9
    )


def played() -> MusicAnnotation:
    def span(start_ms: int, end_ms: int) -> dict[str, int]:
        return {"start_ms": START_MS + start_ms, "end_ms": START_MS + end_ms}

    return MusicAnnotation(
        outcome=Outcome.OK,
        model="m@1",
        text="a slow waltz for piano",
        caption="A slow waltz.\nIt ends softly.",
        facts=(Fact(**span(0, 9_000), kind="music", text="music", score=0.9),),
        tempo_bpm=89.5,
        tempo_score=0.8,
        meter="3/4",
        meter_score=0.8,
        key="G major",
        key_score=0.8,
        keys=(KeySpan(**span(0, 9_000), name="G major", score=0.8),),
        chords=(Chord(**span(0, 4_001), name="G", score=0.8), Chord(**span(4_001, 9_000), name="D7", score=0.8)),
        sections=(Section(**span(0, 4_000), label="A", score=0.8), Section(**span(4_000, 9_000), label="B", score=0.8)),
        instruments=(Event(**span(0, 9_000), label="Piano", score=0.8),),
        lyrics=(Word(**span(500, 900), text="la", score=0.9), Word(**span(900, 1_300), text="lei", score=0.9)),
    )


def full() -> Record:
    """Something for every task but the two of absence and the description of a lone voice."""
    said = replace(
        spoken("hello", "there", "how", "are", "you", "now", speakers=("S01", "S02")),
        caption="Two people talk calmly.",
        speakers=tuple(Speaker(name=n, description=SpeechCaption(**dict.fromkeys(KEYS, n))) for n in ("S01", "S02")),
    )
    facts = (heard(200, 2_000, "Bark"), heard(5_000, 7_004, "Rain"), heard(9_000, 12_000, "Bark"))
    facts += (heard(14_000, 16_000, "Siren"),)
    sounds = SoundAnnotation(outcome=Outcome.OK, model="m@1", text="two barks, rain, a siren", facts=facts)
    claim = make.claim("A dog barks in the rain.", start_ms=START_MS, end_ms=START_MS + 2_000)
    return record(said, sounds, played(), caption=make.caption(claim))


def asked(of: Record, *tasks: str, rules: AskRules = RULES) -> list:
    return samples_of(of, rules, tasks or TASKS)


def wrong(of: Record, rules: AskRules = RULES) -> list[str]:
    lines = [json.loads(to_line(sample, "audio/a.flac", "s")) for sample in asked(of, rules=rules)]
    return [f"{line['id']}: {problem}" for line in lines if (problem := line_problem(line, of, rules.min_score))]


# ----------------------------------------------------------------------------------------------- answers


def test_every_task_is_asked_and_every_answer_is_derived_again():
    lone = record(replace(spoken("hi", "you"), speakers=full().branches.speech.speakers[:1]))
    silent = record(profile=Profile(animal=1.0))
    records = [full(), lone, silent]
    assert {sample.task for one in records for sample in asked(one)} == set(TASKS)
    assert [problem for one in records for problem in wrong(one)] == []


LABELS = st.sampled_from(["Dog", "Bark", "Rain", "Siren", "Music", "Meow", "Sound", "strange thing", *HOSTILE])
TIMES = st.lists(st.integers(0, LENGTH_MS), min_size=2, max_size=2, unique=True).map(sorted)
FACTS = st.builds(
    lambda times, label, human, score: heard(*times, label, human=human, score=score),
    TIMES,
    LABELS,
    st.booleans(),
    st.floats(0, 1),
)
EVENTS = st.builds(
    lambda fact: Event(start_ms=fact.start_ms, end_ms=fact.end_ms, label=fact.label, score=fact.score), FACTS
)
WORDS = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12)), max_size=8)


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(FACTS, max_size=6), st.lists(EVENTS, max_size=4), WORDS, st.integers(0, 9))
def test_no_answer_is_wrong_whatever_the_record_holds(facts, events, words, seed):
    sounds = SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=tuple(facts)) if facts else None
    one = record(spoken(*words, speakers=("S01", "S02")) if words else None, sounds, events=tuple(events))
    assert wrong(one, AskRules(seed=seed)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words(text):
    one = record(spoken("so", text, "it", "is"))
    for sample in asked(one):
        assert "<|" not in sample.question + sample.answer
        assert "</think>" not in sample.answer
        if sample.task.startswith("transcribe_"):
            parsed = transcript.parse(sample.answer)
            assert parsed.well_formed
            assert len(parsed.items) == {"transcribe_sentences": 2, "transcribe_words": 4}[sample.task]
    assert wrong(one) == []
    assert wrong(sound(heard(0, 2_000, text), heard(4_000, 6_000, "Rain"))) == []


def test_times_count_from_the_segment_and_are_rounded_half_up():
    (sample,) = asked(sound(heard(1_005, 2_004, "Rain")), "when")
    assert sample.answer == "1.01 - 2.00"


def test_a_timeline_reads_back():
    (sample,) = asked(sound(heard(0, 2_000, "Rain"), heard(1_000, 3_000, "Bark")), "timeline")
    assert [event.description for event in timeline.parse(sample.answer).items] == ["Rain", "Bark"]


# ------------------------------------------------------------------------------------- what is not asked


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.FAILED])
def test_branches_that_are_not_well_are_not_asked(outcome):
    one = full()
    branches = Branches(
        **{
            name: replace(getattr(one.branches, name), outcome=outcome, reason="because")
            for name in ("speech", "sound", "music")
        }
    )
    bad = replace(one, branches=branches, caption=make.caption())
    assert {sample.task for sample in asked(bad)} <= {"no_speech", "no_music"}
    assert asked(bad) == []


@pytest.mark.parametrize(
    ("facts", "tasks"),
    [
        pytest.param([heard(0, 2_000, "Bark", human=False, score=0.3)], TASKS[8:], id="not sure"),
        pytest.param([heard(0, 2_000, "Sound")], TASKS[8:], id="without a name"),
        pytest.param([heard(0, 2_000, "Bark"), heard(4_000, 6_000, "Dog")], ("when", "count"), id="two names of one"),
        pytest.param([heard(0, 2_000, "Bark"), heard(2_100, 3_000, "Bark")], ("count",), id="hardly parted"),
        pytest.param([heard(0, 2_000, "Bark"), heard(400, 3_000, "Rain")], ("first", "first_of_two"), id="together"),
        pytest.param([heard(0, 500, "Bark")], ("sound_at",), id="no moment far from the edges"),
    ],
)
def test_what_is_not_clear_is_not_asked(facts, tasks):
    assert [sample.task for sample in asked(sound(*facts), *(set(tasks) - {"no_speech", "no_music"}))] == []


def test_a_persons_name_goes_before_a_models():
    one = sound(heard(1_000, 2_000, "Rain"), heard(900, 2_100, "Rain", human=False, score=1.0))
    (sample,) = asked(one, "when")
    assert sample.answer == "1.00 - 2.00"


ALL_SAID = ("transcribe", "transcribe_sentences", "transcribe_words", "diarise")
OF_ALL_SAID = {*ALL_SAID, "turns", "speakers"}


@pytest.mark.parametrize(
    ("untold", "tasks"),
    [
        pytest.param(None, OF_ALL_SAID, id="all is told"),
        pytest.param(at(0, 3_900, "Speech"), set(), id="speech"),
        pytest.param(at(8_000, 9_001, "Conversation", 0.5), set(), id="talk"),
        pytest.param(at(8_000, 9_000, "Speech"), OF_ALL_SAID, id="short"),
        pytest.param(at(8_000, 12_000, "Speech", 0.4), OF_ALL_SAID, id="unsure"),
        pytest.param(at(8_000, 12_000, "Bark"), OF_ALL_SAID, id="no speech"),
    ],
)
def test_what_is_said_is_asked_only_where_all_of_it_is_told(untold, tasks):
    one = record(spoken("a", "b", "c", "d", speakers=("S01", "S02")), events=(untold,) if untold else ())
    assert {sample.task for sample in asked(one, *OF_ALL_SAID)} == tasks


@pytest.mark.parametrize("human", [True, False])
def test_a_turn_whose_words_nobody_wrote_makes_a_transcript_no_whole(human):
    said = spoken("a", "b", "c", "d")
    more = Turn(start_ms=START_MS + 9_000, end_ms=START_MS + 12_000, speaker="S01", score=0.9)
    heard_of = Fact(
        start_ms=more.start_ms, end_ms=more.end_ms, kind="turn", text="someone speaks", score=1, human=human
    )
    assert asked(record(replace(said, turns=(*said.turns, more))), *ALL_SAID) == []
    assert (asked(record(replace(said, facts=(*said.facts, heard_of))), *ALL_SAID, "turns") == []) is human


@pytest.mark.parametrize("label", ["Speech", "Male speech, man speaking", "Singing", "Piano", "Radio", "Conversation"])
def test_what_goes_on_through_pauses_is_not_counted(label):
    one = sound(heard(0, 2_000, label), heard(5_000, 7_000, label), heard(9_000, 9_500, "Bark"))
    assert {s.answer for s in asked(one, "count")} == {"1"}
    assert all('"Bark"' in s.question for s in asked(one, "count", "choice_count"))


@pytest.mark.parametrize("label", ["Silence", "Inside, small room", "Outside, rural or natural"])
def test_silence_and_places_are_no_sounds(label):
    bare = sound(heard(2_000, 4_000, "Bark"), heard(9_000, 12_000, "Rain"))
    place = at(0, LENGTH_MS, label)
    told = sound(*bare.branches.sound.facts, heard(0, LENGTH_MS, label))
    tasks = set(TASKS) - {"choice_present"}
    for one in (replace(bare, events=(place,)), told):
        assert [(s.question, s.answer) for s in asked(one, *tasks)] == [
            (s.question, s.answer) for s in asked(bare, *tasks)
        ]


def test_a_name_that_audioset_does_not_have_leaves_nothing_certain_and_is_no_option():
    assert asked(sound(heard(0, 2_000, "Rain"), heard(5_000, 7_000, "woof")), "choice_present") == []
    (sample,) = asked(sound(heard(0, 2_000, "Rain"), heard(5_000, 7_000, "rain on tin")), "choice_present")
    assert ". Rain" in sample.question


def test_a_branch_is_described_in_sentences_of_the_caption_or_in_a_model_s():
    facts = (heard(0, 2_000, "Bark"), heard(5_000, 7_000, "Rain"))
    sounds = SoundAnnotation(outcome=Outcome.OK, model="m@1", text="a dog barking; rain", facts=facts)
    claims = [make.claim(f"From {i} to 2 s {f.text}.", (f"sound/{i}",), start_ms=f.start_ms, end_ms=f.end_ms)
              for i, f in enumerate(facts)]  # fmt: skip
    (sample,) = asked(record(sound=sounds, caption=make.caption(*claims)), "caption_sound")
    assert (sample.answer, sample.evidence) == ("From 0 to 2 s Bark. From 1 to 2 s Rain.", ("sound/0", "sound/1"))
    assert asked(record(sound=sounds), "caption_sound") == []
    described = replace(sounds, caption="A dog barks in the rain.")
    (sample,) = asked(record(sound=described, caption=make.caption(*claims)), "caption_sound")
    assert sample.answer == "A dog barks in the rain."


def test_chords_that_are_none_are_no_progression():
    none = replace(played(), chords=(Chord(start_ms=START_MS, end_ms=START_MS + 9_000, name="N", score=0.9),))
    assert asked(record(music=none), "chords", "chord_at") == []


SAID = spoken("a", "b", "c", "d", speakers=("S01", "S02"), human=False)
BARKS = sound(model(0, 4_000, "Bark"), model(9_000, 12_000, "Rain"), model(14_000, 16_000, "Siren"))
TOGETHER = sound(model(0, 4_000, "Bark"), model(300, 5_000, "Meow"), model(9_000, 12_000, "Rain"))
A_CLAIM = make.claim("A dog barks, then rain.", start_ms=START_MS, end_ms=START_MS + 2_000)


def music_like(**changes: object) -> Record:
    return record(music=replace(played(), **changes))


def with_events(*events: Event) -> Record:
    return replace(BARKS, events=events)


def with_branch(of: Record, **changes: object) -> Record:
    return replace(of, branches=replace(of.branches, **changes))


@pytest.mark.parametrize(
    ("sure", "unsure", "tasks"),
    [
        pytest.param(BARKS, with_events(at(0, 20_000, "Meow", 0.2)), ("sound_at",), id="doubt at the moment"),
        pytest.param(BARKS, with_events(at(5_000, 6_000, "Sound")), ("timeline", "first", "after"), id="no name"),
        pytest.param(sound(model(0, 2_000, "Bark")), sound(model(0, 2_000, "Bark"), model(5_000, 6_000, "Bark", 0.3)),
                     ("when", "count"), id="perhaps again"),
        pytest.param(record(SAID), record(replace(SAID, language_score=0.3)), ("language",), id="language"),
        pytest.param(record(SAID), record(replace(SAID, turns=(*SAID.turns, Turn(
            start_ms=START_MS, end_ms=START_MS + 400, speaker="S03", score=0.9)))), ("speakers",), id="short voice"),
        pytest.param(record(SAID), record(replace(SAID, speakers=(Speaker(name="S01"),))), ("speakers",), id="counts"),
        pytest.param(record(SAID), record(replace(SAID, turns=tuple(replace(t, score=0.4) for t in SAID.turns))),
                     ("turns", "speakers"), id="turns"),
        pytest.param(record(SAID), record(replace(SAID, words=SAID.words[:-1])), ("transcribe_words",), id="a word"),
        pytest.param(music_like(), music_like(reason="lyrics withheld: x"), ("lyrics", "lyrics_words"), id="withheld"),
        pytest.param(music_like(), music_like(lyrics=tuple(replace(w, score=0.4) for w in played().lyrics)),
                     ("lyrics", "lyrics_words"), id="lyrics"),
        pytest.param(music_like(), music_like(tempi=(Tempo(start_ms=START_MS, end_ms=START_MS + 9, bpm=90.0, score=1),
                     Tempo(start_ms=START_MS + 9, end_ms=START_MS + 99, bpm=99.0, score=1))), ("tempo",), id="tempi"),
        pytest.param(music_like(), music_like(keys=(*played().keys, replace(played().keys[0], name="A minor"))),
                     ("key",), id="keys"),
        pytest.param(music_like(), music_like(chords=(*played().chords, replace(played().chords[0], score=0.1))),
                     ("chords",), id="a chord"),
        pytest.param(music_like(), music_like(meter_score=0.4), ("meter",), id="meter"),
        pytest.param(music_like(), music_like(instruments=(replace(played().instruments[0], score=0.4),)),
                     ("instruments",), id="instruments"),
        pytest.param(replace(BARKS, caption=make.caption(replace(A_CLAIM, score=0.9))),
                     replace(BARKS, caption=make.caption(replace(A_CLAIM, score=0.4))),
                     ("caption", "caption_sound"), id="claims"),
        pytest.param(BARKS, with_events(at(5_000, 6_000, "Sound")), ("choice_present",), id="choice, no name"),
        pytest.param(BARKS, with_branch(BARKS, music=MusicAnnotation(outcome=Outcome.FAILED, model="m@1", reason="x")),
                     ("choice_present",), id="choice, a branch failed"),
        pytest.param(BARKS, TOGETHER, ("choice_first",), id="choice, begins with another"),
        pytest.param(record(profile=Profile(animal=1.0)), record(music=replace(
            skipped("music", "m@1", "x"), lyrics=played().lyrics), profile=Profile(animal=1.0)),
                     ("no_speech",), id="song"),
        pytest.param(record(profile=Profile(animal=1.0)), record(profile=Profile(animal=1.0, singing=0.1)),
                     ("no_speech", "no_music"), id="may be sung"),
    ],
)  # fmt: skip
def test_one_doubt_is_enough_to_leave_a_task_out(sure, unsure, tasks):
    assert {sample.task for sample in asked(sure, *tasks)} == set(tasks)
    assert asked(unsure, *tasks) == []


def test_what_begins_with_another_is_no_second_and_comes_neither_next_nor_right_before():
    def asked_of(*starts_ms: int) -> set[tuple[str, str]]:
        facts = [heard(a, a + 900, label) for a, label in zip(starts_ms, ("Bark", "Rain", "Siren"), strict=True)]
        return {(s.task, s.answer) for s in asked(sound(*facts), "first", "second", "last", "before", "after")}

    assert asked_of(0, 2_000, 4_000) == {
        *(("first", "Bark"), ("second", "Rain"), ("last", "Siren"), ("before", "Bark"), ("before", "Rain")),
        *(("after", "Rain"), ("after", "Siren")),
    }
    assert asked_of(0, 2_000, 2_400) == {("first", "Bark"), ("before", "Bark")}
    assert asked_of(0, 400, 4_000) == {("last", "Siren"), ("after", "Siren")}


def test_of_a_model_s_sounds_the_other_options_are_of_other_families():
    for seed in range(30):
        (sample, *_) = asked(sound(model(0, 2_000, "Bark")), "choice_present", rules=AskRules(seed=seed))
        assert not any(
            name in sample.question for name in ("Cat", "Frog", "Horse", "Pig", "Bleat", "Cricket", "Crowing")
        )


def test_a_voice_is_described_only_where_it_begins_alone():
    one = full()
    near = replace(one.branches.speech.turns[1], start_ms=START_MS + 300, end_ms=START_MS + 2_000)
    speech = replace(one.branches.speech, turns=(one.branches.speech.turns[0], near))
    assert len(asked(one, "speech_caption_of")) == 2
    assert asked(with_branch(one, speech=speech), "speech_caption_of") == []


def test_doubted_words_are_not_taught():
    for change in ({"doubts": ("too fast",)}, {"disagreement": 0.5}):
        heard_only = replace(spoken("a", "b", human=False), **change)
        assert asked(record(heard_only), "transcribe", "transcribe_sentences", "transcribe_words") == []


def test_nobody_speaks_only_where_the_record_is_sure():
    sure = record(profile=Profile(animal=1.0))
    assert [sample.task for sample in asked(sure, "no_speech")] == ["no_speech"]
    event = at(0, 500, "Whispering", 0.1)
    assert asked(replace(sure, events=(event,)), "no_speech") == []
    assert asked(replace(sure, profile=Profile(animal=1.0, speech=0.1)), "no_speech") == []


def test_distractors_are_never_what_the_record_speaks_of():
    spoken_of = sound(heard(0, 2_000, "Bark"), replace(heard(3_000, 5_000, "Rain"), text="rain, and a train far off"))
    for seed in range(60):
        for sample in asked(spoken_of, "choice_present", rules=AskRules(seed=seed)):
            options = dict(line.split(". ", 1) for line in sample.question.splitlines() if line[1:3] == ". ")
            others = [name for letter, name in options.items() if letter != sample.answer]
            assert len(others) == 3
            assert not any(akin(name, label) for name in others for label in ("Bark", "Rain", "train"))


# ------------------------------------------------------------------------------------------------ chance


def test_all_wordings_are_used_and_all_letters():
    one = full()
    many = [s for seed in range(120) for s in asked(one, rules=AskRules(seed=seed))]
    for task in ("when", "transcribe", "count", "timeline", "tempo"):
        wordings = {sample.question.split('"')[0] for sample in many if sample.task == task}
        assert len(wordings) == len(WORDINGS[task]), task
    assert {sample.answer for sample in many if sample.task == "choice_present"} == set("ABCD")


def test_samples_depend_on_the_record_and_the_seed_alone():
    alone = asked(full(), "when")
    asked(record(name="b2"))
    assert [s for s in asked(full()) if s.task == "when"] == alone
    assert asked(full(), rules=AskRules(seed=1)) != asked(full())


def test_every_task_has_wordings_and_a_place():
    assert set(WORDINGS) == set(TASKS)
    assert len(TASKS) == len(set(TASKS)) == sum(len(names) for _, names in ASKERS)


def test_an_unknown_task_is_refused_by_name():
    with pytest.raises(ConfigError, match="'sing'"):
        Mix(tasks=("sing",))


@pytest.mark.parametrize(
    ("one", "other", "kin"),
    [("Bark", "Dog", True), ("dog barking", "Dog", True), ("Dog", "Meow", False), ("Rain", "rain", True)],
)
def test_kin(one, other, kin):
    assert akin(one, other) is akin(other, one) is kin


def test_the_check_finds_answers_of_another_sample():
    """Each answer put under another question of its task, or spoilt, is told as wrong."""
    one = full()
    for sample in asked(one):
        spoilt = replace(sample, answer="7 nothing of the kind" if not sample.answer.isdigit() else "7")
        line = json.loads(to_line(spoilt, "audio/a.flac", "s"))
        assert line_problem(line, one, RULES.min_score), sample.task
