"""Questions about time with the way to their answer: the cold start before reinforcement learning.

    user       25 audio tokens "2" 25 audio tokens "4" … ⏎ How many times is "Dog" heard? …
    assistant  <think>
               I hear Dog at [00:01]-[00:03], Siren at [00:04]-[00:06], Dog at [00:07]-[00:08].
               Dog is heard at [00:01]-[00:03], [00:07]-[00:08]: that is 2 times.
               </think>

               2

Thoughts are written from the evidence, in the notation that published chains of thought use for moments: true, short,
and dull. They teach the shape; reinforcement learning teaches when it pays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.objectives import time_qa
from schemas.asking.heard import Named, heard_in
from schemas.asking.sample import AskRules, TaskSample
from schemas.errors import SchemaError
from schemas.formats import moments
from schemas.record import Record
from schemas.span import Span

CONCLUSIONS = {
    "count": "{told}: that is {answer} times.",
    "when": "{told}.",
    "first": "The earliest of these is {answer}.",
    "second": "The second of these is {answer}.",
    "last": "The last of these to begin is {answer}.",
    "before": "Right before it begins {answer}.",
    "after": "Right after it begins {answer}.",
    "first_of_two": "{answer} begins before the other.",
    "sound_at": "At that moment there is {answer}.",
}
"""What is concluded, by task; a task without a conclusion is not thought about."""


def samples(record: Record, rules: AskRules) -> list[TaskSample]:
    """The questions on sounds that can be thought about, each with its thought."""
    heard = heard_in(record, rules).named
    found = (replace(one, thought=_thought(record, one, heard)) for one in time_qa.samples(record, rules))
    return [sample for sample in found if sample.thought]


def _thought(record: Record, sample: TaskSample, heard: Sequence[Named]) -> str:
    """Nothing where the task is not thought about, or what was heard cannot be written as moments."""
    if sample.task not in CONCLUSIONS or not heard:
        return ""
    asked = [one for one in heard if set(one.evidence) & set(sample.evidence)]
    subject = asked[0].label if asked else ""
    told = f"{subject} is heard at " + ", ".join(_mention(record, one) for one in asked)
    listed = ", ".join(f"{moments.plain(one.label)} at {_mention(record, one)}" for one in heard)
    answer = moments.plain(sample.answer) if sample.task != "when" else sample.answer
    concluded = CONCLUSIONS[sample.task].format(told=told, answer=answer)
    text = f"I hear {listed}.\n{concluded}"
    return text if _reads_back(text, [*heard, *(asked if "{told}" in CONCLUSIONS[sample.task] else [])]) else ""


def _mention(record: Record, span: Span) -> str:
    return moments.mention(
        moments.Moment(start_ms=span.start_ms - record.start_ms, end_ms=span.end_ms - record.start_ms)
    )


def _reads_back(text: str, told: Iterable[Span]) -> bool:
    """Whether the text mentions as many moments as were written into it."""
    try:
        return len(moments.parse(text).items) == len(list(told))
    except SchemaError:
        return False
