"""Lines of predictions are read whoever wrote them, every item finds its answer, and every task has a score."""

import json

import pytest

from model.evaluation.items import Item, items_of, pairs_of, read_line, read_system, write_line
from model.evaluation.score_answers import options_in
from model.evaluation.scoring import scorer_of, scores_of
from schemas.asking.tasks import TASKS
from schemas.errors import SchemaError


def item(number: int = 0, task: str = "transcribe", reference: str = "hello there", **more: object) -> Item:
    return Item(id=f"a-{number}.{task}.0", task=task, reference=reference, **more)  # type: ignore[arg-type]


def system(*lines: str, name: str = "s", task: str = "transcribe"):
    return read_system(name, [("file", task, lines)])


def test_a_line_is_read_as_it_was_written():
    one = item(options=("yes", "no"), reference="B", duration_ms=9, language="en", category="c", group="g")
    read = read_line(write_line(one, "B", thinking="hm"), 1, "other")
    assert (read.item, read.text, read.id, read.task) == (one, "B", one.id, one.task)


def test_another_system_needs_only_key_and_text():
    read = read_line('{"key": "a-1-2", "prediction": "<think>hm</think> hello"}', 1, "transcribe")
    assert (read.id, read.task, read.answer, read.item) == ("a-1-2.transcribe.0", "transcribe", "hello", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": 3}, "id is 3; it should be text"),
        ({"prediction": ["a"]}, r"prediction is \['a'\]"),
        ({"reference": 3}, "reference"),
        ({"options": ["yes", "no"], "reference": "yes"}, "should be one of AB"),
        ({"options": ["x"] * 27}, "27 options"),
        ({"duration_ms": 0}, "should be above 0"),
        ({"duration_ms": "long"}, "duration_ms"),
        ({"evidence": [{"text": "x"}]}, "lacks"),
        ({"task": None}, "task is None"),
    ],
)
def test_a_line_that_is_wrong_is_told(change, reason):
    body = {"id": "a.transcribe.0", "prediction": "x", "reference": "y", **change}
    with pytest.raises(SchemaError, match=reason):
        read_line(json.dumps(body), 1, "transcribe")
    told = system("", json.dumps(body))
    assert not told.predictions
    assert told.troubles[0].startswith("file, line 2: ")


@pytest.mark.parametrize("line", ["{", "[]", "3", '"x"', "[" * 100_000, '{"id": "\\ud800"}', "\x00"])
def test_no_line_is_too_strange(line):
    assert len(system(line).troubles) == 1


def test_an_item_without_an_answer_is_missing_and_empty():
    one, other, third = item(0), item(1), item(2)
    told = system(
        json.dumps({"id": one.id, "prediction": "hello there"}), json.dumps({"id": other.id, "prediction": None})
    )
    found = list(pairs_of([one, other, third], told))
    assert [(pair.text, pair.is_missing) for pair in found] == [("hello there", False), ("", True), ("", True)]
    (score,), unscored = scores_of(found)
    assert (score.num_items, score.num_missing, unscored) == (3, 2, {})
    assert score.metrics[0].value == pytest.approx(100 * 4 / 6)


def test_items_come_from_any_system_and_the_first_reference_counts():
    one, other = item(0), item(1)
    a = system(write_line(one, "x"), name="a")
    b = system(write_line(other, "y"), write_line(item(0, reference="else"), "x"), name="b")
    items, troubles = items_of([a, b])
    assert items == [one, other]
    assert troubles == [f"b: {one.id} has another reference than before; the first one counts"]


def test_scores_do_not_depend_on_the_order_of_lines():
    items = [item(n, reference=f"word{n} and more", group=f"g{n % 3}") for n in range(9)]
    lines = [write_line(one, "word1 and") for one in items]
    found = [scores_of(pairs_of(order, system(*lines)))[0] for order in (items, items[::-1])]
    assert found[0][0].metrics == found[1][0].metrics


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_score(task):
    assert scorer_of(task, has_options=task.startswith("choice_"))


@pytest.mark.parametrize("task", [task for task in TASKS if not task.startswith("choice_")])
@pytest.mark.parametrize(
    "text", ["", "I cannot tell.", "[0.00][S01]hi[9.99]", "0.00 - 1e9: x\n0 - 0: y", "{" * 50, "\ud800 \x00"]
)
def test_whatever_is_answered_is_scored(task, text):
    reference = {"timeline": "0.00 - 1.00: Dog", "turns": "0.00 - 1.00: S01", "when": "0.00 - 1.00"}.get(task, "1")
    (score,), _ = scores_of(pairs_of([item(0, task, reference)], system(write_line(item(0, task, reference), text))))
    assert score.num_items == 1
    assert all(metric.value is None or metric.value >= 0 for metric in score.metrics)


def test_a_task_that_nothing_scores_is_told():
    assert scores_of(pairs_of([item(0, "poetry")], system())) == ([], {"poetry": 1})


def test_options_are_read_from_their_question():
    assert options_in("Which?\nA. a dog\nB. Fig. 3\nC. ") == ("a dog", "Fig. 3", "")
    assert options_in("Which?\nB. a dog\nA. a cat") == ()
    assert options_in("Which?") == ()
