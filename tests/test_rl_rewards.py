"""Rewards: the truth is worth 1, nothing is worth 0, honest attempts lie between, and no trick pays."""

import re

import pytest

from model.rewards import JUDGES, MAX_ANSWER_CHARS, PARTS, RewardConfig, reward
from schemas.asking.sample import TaskSample
from schemas.asking.tasks import TASKS
from schemas.errors import ConfigError

CONFIG = RewardConfig()
TEMPTING = "What is right?\nA. Dog\nB. Rain\nC. Siren\nD. Bell"
TRUTH = {
    "transcribe": "The quick brown fox jumps over the lazy dog, and it's gone.",
    "lyrics": "la la la over the sea",
    "transcribe_sentences": "[0.00]good morning to you[1.25][1.40]it is raining again[2.90]",
    "transcribe_words": "[0.00]it[0.20][0.20]is[0.35][0.40]raining[0.90]",
    "lyrics_words": "[0.10]over[0.50][0.50]the[0.70][0.80]sea[1.90]",
    "diarise": "[0.00][S01]good morning[1.20][1.10][S02]hello there you[2.40][2.50][S01]well[2.90]",
    "timeline": "0.00 - 9.00: Rain\n1.20 - 2.40: Dog\n5.00 - 5.60: Dog",
    "chords": "0.00 - 2.00: Am\n2.00 - 4.00: C#\n4.00 - 6.00: N",
    "turns": "0.00 - 2.10: S01\n2.00 - 4.30: S02\n4.30 - 6.00: S01",
    "sections": "0.00 - 12.50: A\n12.50 - 20.00: B\n20.00 - 30.00: A",
    "when": "1.20 - 3.40, 7.00 - 8.10",
    "count": "3",
    "speakers": "2",
    "tempo": "120 BPM",
    "sound_at": "Dog; Rain",
    "instruments": "Piano; Double bass",
    "choice_present": "B",
    "choice_first": "A",
    "choice_count": "D",
    "first_of_two": "Dog",
    "first": "Siren",
    "second": "Crowing, cock-a-doodle-doo",
    "last": "Rain",
    "before": "Door",
    "after": "Dog",
    "language": "English",
    "meter": "4/4",
    "key": "C# minor",
    "chord_at": "Am",
    "no_speech": "Nobody speaks in this recording.",
    "no_music": "There is no music in this recording.",
}


def sample(task: str, answer: str | None = None) -> TaskSample:
    truth = TRUTH[task] if answer is None else answer
    return TaskSample(key="k", task=task, index=0, question=TEMPTING, answer=truth, evidence=("events/0",))


def worth(task: str, text: str, truth: str | None = None) -> float:
    return reward(sample(task, truth), text, CONFIG).total


def test_every_task_has_a_rule_but_those_that_only_a_judge_could_score():
    told = {"caption", "caption_speech", "caption_sound", "caption_music", "speech_caption", "speech_caption_of"}
    assert set(JUDGES) == set(TASKS) - told == set(TRUTH)
    with pytest.raises(ConfigError, match=r"caption.*cannot be checked by a rule"):
        reward(sample("caption", "Rain falls."), "Rain falls.", CONFIG)


@pytest.mark.parametrize("task", TRUTH)
def test_the_truth_is_worth_one_and_nothing_is_worth_nothing(task):
    assert reward(sample(task), TRUTH[task], CONFIG).total == pytest.approx(1)
    assert set(reward(sample(task), TRUTH[task], CONFIG).parts) <= set(PARTS)
    for empty in ("", " ", "\n\n", "\u3000"):
        found = reward(sample(task), empty, CONFIG, thought="I know it.")
        assert found.total == 0
        assert set(found.parts.values()) == {0.0}


@pytest.mark.parametrize("task", TRUTH)
def test_an_answer_in_the_right_form_that_is_wrong_beats_none_and_is_far_from_the_truth(task):
    wrong = {
        **dict.fromkeys(("transcribe", "lyrics"), "something else entirely was said here"),
        **dict.fromkeys(("transcribe_sentences", "transcribe_words", "lyrics_words"), "[5.00]no idea[6.00]"),
        "diarise": "[5.00][S01]no idea[6.00]",
        **dict.fromkeys(("timeline", "chords", "turns", "sections"), "20.00 - 29.00: Cat"),
        "when": "20.00 - 21.00",
        **dict.fromkeys(("count", "speakers"), "7"),
        "tempo": "77 BPM",
        **dict.fromkeys(("choice_present", "choice_first", "choice_count"), "C"),
    }.get(task, "Cat")
    assert 0 < worth(task, wrong) < 0.35


@pytest.mark.parametrize("task", TRUTH)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 30_000,
        "<think>" * 4_000,
        "0.00 - " * 4_000,
        "[0.00]a[0.10]" * 2_500,
        "0.00 - 0.10: Dog\n" * 1_900,
        "9" * 32_000,
        "1000000000.00 - 9999999999.00: Dog",
        "[1000000000.00]it[9999999999.00]",
        "1000000000 BPM",
        "A " * 16_000,
        "Dog; " * 6_000,
        "\ufdfa" * 32_000,
        "\ud800\udfff" * 100,
        "{" * 10_000 + '"a":' * 1_000,
        "the " * 8_000,
        "x" * (MAX_ANSWER_CHARS + 1),
        (TRUTH["transcribe"] + " ") * 2_000,
    ],
    ids=range(17),
)
def test_hostile_answers_never_raise_and_are_worth_little(task, text):
    assert worth(task, text) < 0.5


@pytest.mark.parametrize(
    ("task", "trick", "honest"),
    [
        pytest.param("choice_present", "A, B, C or D", "A", id="all letters"),
        pytest.param("choice_present", "A. Dog\nB. Rain\nC. Siren\nD. Bell", "C", id="the options again"),
        pytest.param("count", "1 2 3 4 5", "4", id="all numbers"),
        pytest.param("tempo", "100 110 120 130 BPM", "110 BPM", id="all tempi"),
        pytest.param("first_of_two", "Dog Siren", "Siren", id="both"),
        pytest.param("first_of_two", "Dog or Siren", "Siren", id="one or the other"),
        pytest.param("sound_at", "; ".join(f"Thing {i}" for i in range(60)) + "; Dog; Rain", "Dog", id="all labels"),
        pytest.param("when", "0.00 - 30.00", "1.50 - 3.00, 7.20 - 8.40", id="one span over all"),
        pytest.param("timeline", "0.00 - 30.00: Dog", "0.00 - 8.00: Rain\n1.40 - 2.20: Dog", id="one event over all"),
        pytest.param(
            "timeline",
            "\n".join(f"{s}.00 - {s + 1}.00: {what}" for s in range(10) for what in ("Dog", "Rain", "Cat", "Bell")),
            "0.00 - 8.00: Rain\n1.40 - 2.20: Dog",
            id="everything at every second",
        ),
        pytest.param("transcribe", f"{TRUTH['transcribe']} {TRUTH['transcribe']}", "the quick fox jumps", id="twice"),
        pytest.param("transcribe", "the the the the the the", "quick brown dog over it", id="a common word"),
        pytest.param(
            "transcribe_words", "[0.00]it is raining[30.00]", "[0.00]it[0.30][0.30]is[0.50]", id="one long utterance"
        ),
        pytest.param(
            "transcribe_words",
            "[0.00]it[30.00]" * 3 + "[0.00]is[30.00][0.00]raining[30.00]",
            "[0.10]it[0.25][0.25]is[0.45][0.45]raining[0.80]",
            id="words at no time",
        ),
        pytest.param(
            "diarise", TRUTH["diarise"].replace("S02", "S01"), TRUTH["diarise"].replace("1.", "0."), id="one voice"
        ),
    ],
)
def test_no_trick_pays(task, trick, honest):
    assert worth(task, trick) <= worth(task, honest) < 1


@pytest.mark.parametrize("task", TRUTH)
def test_saying_the_truth_twice_or_more_around_it_is_worth_less_than_the_truth(task):
    truth = TRUTH[task]
    for more in (
        f"{truth} {truth}",
        f"{truth}\n{truth}\n{truth}",
        f"**{truth}**",
        f"```\n{truth}\n```",
        f"Well: {truth}",
    ):
        assert worth(task, more) < 1


def test_nearer_times_are_worth_more():
    def late(by_ms: int) -> list[float]:
        starts = [0.0, 1.4], [1.25, 2.9]
        a, b = ([round(value + by_ms / 1000, 2) for value in times] for times in starts)
        words = ("good morning to you", "it is raining again")
        text = "".join(f"[{s:.2f}]{w}[{e:.2f}]" for s, w, e in zip(a, words, b, strict=True))
        spans = (
            f"{1.2 + by_ms / 1000:.2f} - {3.4 + by_ms / 1000:.2f}, {7 + by_ms / 1000:.2f} - {8.1 + by_ms / 1000:.2f}"
        )
        events = "\n".join(
            f"{s + by_ms / 1000:.2f} - {e + by_ms / 1000:.2f}: {w}"
            for s, e, w in ((0, 9, "Rain"), (1.2, 2.4, "Dog"), (5, 5.6, "Dog"))
        )
        return [worth("transcribe_sentences", text), worth("when", spans), worth("timeline", events)]

    rows = [late(by_ms) for by_ms in (0, 50, 150, 400, 1000, 4000)]
    for column in zip(*rows, strict=True):
        assert list(column) == sorted(column, reverse=True)
        assert column[0] == pytest.approx(1)
        assert len(set(column)) == len(column)


def test_more_words_right_are_worth_more():
    words = TRUTH["transcribe"].split()
    found = [worth("transcribe", " ".join([*words[:right], *["um"] * (len(words) - right)])) for right in range(1, 13)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("task", "text", "truth"),
    [
        ("count", "There are 3.", "3"),
        ("count", "３", "3"),
        ("choice_present", "The answer is B.", "B"),
        ("language", "english", "English"),
        ("tempo", "about 118 bpm", "120 BPM"),
        ("when", "from 1.20 to 3.40 s", "1.20 - 3.40"),
        ("timeline", "* 0.00 – 9.00: rain", "0.00 - 9.00: Rain"),
    ],
)
def test_what_is_right_but_not_in_form_is_worth_nearly_as_much(task, text, truth):
    assert 0.85 < worth(task, text, truth) < 1 or (task, text) == ("language", "english")


def test_symbols_are_compared_to_the_letter():
    assert worth("chord_at", "AM") < 0.2
    assert worth("key", "C minor") < 0.2
    assert worth("meter", "44") < 0.2


def test_speakers_may_go_by_other_names():
    renamed = TRUTH["diarise"].replace("S01", "S09")
    assert worth("diarise", renamed) == pytest.approx(1)
    assert worth("turns", TRUTH["turns"].replace("S02", "S05")) == pytest.approx(1)
    mixed = re.sub(r"S02", "S01", TRUTH["diarise"])
    assert reward(sample("diarise"), mixed, CONFIG).parts["speakers"] < 1


def test_scripts_without_spaces_are_compared_by_character():
    assert worth("transcribe", "今天天气很好", "今天天气很好。") == pytest.approx(1)
    assert 0.8 < worth("transcribe", "今天天气很坏", "今天天气很好") < 0.9


def test_a_thought_is_rewarded_only_where_thoughts_are_wanted():
    wanted = RewardConfig(thoughts_wanted=True)
    with_thought = reward(sample("count"), "3", wanted, thought="One, two, three.")
    without = reward(sample("count"), "3", wanted)
    assert with_thought.total == pytest.approx(1)
    assert without.total == pytest.approx(1.1 / 1.2)
    assert "thinking" not in reward(sample("count"), "3", CONFIG, thought="One, two.").parts


@pytest.mark.parametrize("wrong", [{"format": -1.0}, {"correct": 0.0}, {"words": float("nan")}, {"time_scale_ms": 0.0}])
def test_weights_that_cannot_work_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RewardConfig(**wrong)
