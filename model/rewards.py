"""Rewards that rules can check: how good an answer is, by the one that follows from the record's evidence.

    format     the answer is written as its task asks, to the character
    thinking   there is a thought before it, where one is asked for
    correct    it is the label, the number, the letter, or the set of labels; nothing beside it counts as right
    words      1 - word error rate, at least 0
    times      exp(-|t - t_ref| / time_scale_ms) of every start and end; what was left out or made up counts 0
    spans      of how much of the time each thing is heard: intersection over union, a mean over all things named
    speakers   of the words that are right, how many are said by the right one

Which apply follows from the task; the reward is their weighted mean, 0 to 1. The publication names correctness,
quality, format and reasoning and no weights: these are ours. What only a judge could score (captions, voices) has no
rule here, and `reward` refuses it. More is never better: a letter too many, a second number, words said twice, a span
over everything and a label beside the right one all cost more than they gain.

Answers are whatever a model may say. None raises, and what one costs is bounded: `MAX_ANSWER_CHARS`, and no alignment
with an answer that is more than twice as long as the reference, for its score is 0 by then.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from model.alignment import aligned, word_score, words_of
from model.stretches import near, nearness_of, shared_by_name, stretches_in
from schemas.asking.sample import TaskSample
from schemas.errors import ConfigError
from schemas.formats import choice, timeline, transcript
from schemas.formats.clock import seconds
from schemas.formats.reading import alike, collapsed

PARTS = ("format", "thinking", "correct", "words", "times", "spans", "speakers")

MAX_ANSWER_CHARS = 32_768
"""A longer answer is worth nothing: 2,048 tokens are some 8,000 letters."""

TEMPO_TOLERANCE = 0.04  # of the tempo: MIREX's


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """Weights of the parts: each thing that an answer tells weighs ten times what it looks like."""

    format: float = 0.1
    thinking: float = 0.1
    correct: float = 1.0
    words: float = 1.0
    times: float = 1.0
    spans: float = 1.0
    speakers: float = 1.0
    thoughts_wanted: bool = False  # an answer without a thought before it loses the part `thinking`
    time_scale_ms: float = 300.0  # an error as large leaves 37 of 100

    def __post_init__(self) -> None:
        for name in PARTS:
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"the weight of {name} is {getattr(self, name)}; it must be at least 0")
        for name in ("correct", "words", "times", "spans"):
            if not getattr(self, name):
                raise ConfigError(f"the weight of {name} is 0, so answers to some tasks would be judged by looks alone")
        if not 0 < self.time_scale_ms < math.inf:
            raise ConfigError(f"time_scale_ms is {self.time_scale_ms}; it must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """`parts` that apply, each 0 to 1, and their weighted mean."""

    total: float
    parts: Mapping[str, float]


Parts = dict[str, float]
Judge = Callable[[TaskSample, str, RewardConfig], Parts]


def reward(sample: TaskSample, text: str, config: RewardConfig, *, thought: str = "") -> Reward:
    """What the answer `text` to `sample`, after `thought`, is worth.

    An empty answer is worth 0 in every part, whatever was thought. Raises ConfigError for a task that has no rule.
    """
    check_has_rule(sample)
    judge = JUDGES[sample.task]
    is_answer = 0 < len(text) <= MAX_ANSWER_CHARS and bool(text.strip())
    parts = judge(sample, text if is_answer else "", config)
    if config.thoughts_wanted:
        parts["thinking"] = float(is_answer and bool(thought.strip()))
    parts = {name: parts[name] if is_answer else 0.0 for name in PARTS if name in parts}
    weight = math.fsum(getattr(config, name) for name in parts)
    total = math.fsum(getattr(config, name) * value for name, value in parts.items()) / weight
    return Reward(total=total, parts=parts)


def check_has_rule(sample: TaskSample) -> None:
    """Raises ConfigError where no rule can tell how good an answer to `sample` is."""
    if sample.task not in JUDGES:
        raise ConfigError(
            f"{sample.id}: answers to {sample.task!r} cannot be checked by a rule; learn from {', '.join(JUDGES)}"
        )


# ------------------------------------------------------------------------------------------- one kind of answer each


def _label(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """One name: itself, but for case and marks. A sentence around it is not it, or listing all names would pay."""
    return {"format": _is_line(sample, text), "correct": float(words_of(text) == words_of(sample.answer))}


def _symbol(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """A chord, a key, a meter: to the letter, for Cm is not CM and neither is C#."""
    return {"format": _is_line(sample, text), "correct": float(_exactly(text) == _exactly(sample.answer))}


def _number(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """A count. In a sentence it is right where it is the only number there."""
    found = set(re.findall("[0-9]+", alike(text)))
    is_alone = re.fullmatch("[0-9]+", text.strip(), re.ASCII) is not None
    return {"format": float(is_alone), "correct": float(found == {sample.answer})}


def _tempo(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """`120 BPM`, within four in a hundred."""
    wanted, found = _numbers(sample.answer), _numbers(text)
    is_near = len(found) == len(wanted) == 1 and abs(found[0] - wanted[0]) <= TEMPO_TOLERANCE * wanted[0]
    is_written = re.fullmatch(r"[1-9][0-9]{1,2} BPM", text.strip(), re.ASCII) is not None
    return {"format": float(is_written), "correct": float(is_near)}


def _set(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """Labels parted by semicolons: how many of those named on either side are named on both, once."""
    wanted, found = (
        [words for part in told.split(";") if (words := " ".join(words_of(part)))] for told in (sample.answer, text)
    )
    named = {*wanted, *found}
    repeated = len(found) - len(set(found))
    return {
        "format": _is_line(sample, text),
        "correct": len(set(wanted) & set(found)) / (len(named) + repeated) if named else 1.0,
    }


def _choice(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    options = re.findall(r"^[A-Z]\. (.+)$", sample.question, re.MULTILINE)
    found = choice.parse(text, options=options, num_options=len(choice.LETTERS))
    return {"format": float(found.well_formed), "correct": float(found.answer == sample.answer)}


def _transcript(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """Plain words."""
    return {"format": _is_line(sample, text), "words": word_score(words_of(sample.answer), words_of(text))}


def _timed_transcript(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """`[0.00]words[1.20]`: an utterance has the times of its first and its last word, where these are right."""
    wanted, found = transcript.parse(sample.answer), transcript.parse(text)
    reference, predicted = _Told.of(wanted.items), _Told.of(found.items)
    is_written = found.well_formed and found.items and found.diarised == wanted.diarised
    parts = {
        "format": float(bool(is_written)),
        "words": word_score(reference.words, words_of(transcript.words_only(text))),
        "times": 0.0,
    }
    parts |= {"speakers": 0.0} if wanted.diarised else {}
    if not reference.words or len(predicted.words) >= 2 * len(reference.words):
        return parts
    _, pairs = aligned(reference.words, predicted.words)
    for edges_ms, others_ms in ((reference.starts_ms, predicted.starts_ms), (reference.ends_ms, predicted.ends_ms)):
        nearness = (
            near(edges_ms[i] - others_ms[j], config.time_scale_ms) for i, j in pairs if i in edges_ms and j in others_ms
        )
        parts["times"] += math.fsum(nearness) / max(len(edges_ms), len(others_ms)) / 2
    if wanted.diarised:
        right = sum(reference.speakers[i] == predicted.speakers[j] for i, j in pairs)
        parts["speakers"] = right / max(len(reference.words), len(predicted.words))
    return parts


def _timeline(
    sample: TaskSample, text: str, config: RewardConfig, *, named: Callable[[Sequence[str]], list[str]]
) -> Parts:
    """`0.00 - 57.00: birds chirping`; `named` tells which of the names are the same."""
    wanted, found = timeline.parse(sample.answer), timeline.parse(text)
    reference, predicted = (
        [
            (name, item.start_ms, item.end_ms)
            for name, item in zip(named([item.description for item in items]), items, strict=True)
        ]
        for items in (wanted.items, found.items)
    )
    is_written = found.well_formed and bool(found.items)
    return {
        "format": float(is_written),
        "spans": shared_by_name(reference, predicted),
        "times": nearness_of(reference, predicted, config.time_scale_ms),
    }


def _spans(sample: TaskSample, text: str, config: RewardConfig) -> Parts:
    """`1.20 - 3.40, 7.00 - 8.10`: stretches of one thing."""
    reference, predicted = stretches_in(sample.answer), stretches_in(text)
    written = ", ".join(f"{seconds(start_ms)} - {seconds(end_ms)}" for _, start_ms, end_ms in predicted)
    return {
        "format": float(bool(predicted) and written == text.strip()),
        "spans": shared_by_name(reference, predicted),
        "times": nearness_of(reference, predicted, config.time_scale_ms),
    }


# ---------------------------------------------------------------------------------------------------- what they share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """The words of a transcript, with the times of those that begin or end an utterance, by their index."""

    words: list[str]
    speakers: list[str]  # of each word
    starts_ms: dict[int, int]
    ends_ms: dict[int, int]

    @classmethod
    def of(cls, items: Sequence[transcript.Utterance]) -> "_Told":
        told = cls(words=[], speakers=[], starts_ms={}, ends_ms={})
        for item, speaker in zip(items, _by_turn([item.speaker or "" for item in items]), strict=True):
            if words := words_of(item.text):
                told.starts_ms[len(told.words)] = item.start_ms
                told.words.extend(words)
                told.speakers.extend([speaker] * len(words))
                told.ends_ms[len(told.words) - 1] = item.end_ms
        return told


def _by_words(names: Sequence[str]) -> list[str]:
    return [" ".join(words_of(name)) for name in names]


def _by_letter(names: Sequence[str]) -> list[str]:
    return [_exactly(name) for name in names]


def _by_turn(names: Sequence[str]) -> list[str]:
    """Names that mean no more than who is the same: whoever comes first is 0."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [str(numbers[name]) for name in names]


def _exactly(text: str) -> str:
    return collapsed(alike(text)).removesuffix(".")


def _is_line(sample: TaskSample, text: str) -> float:
    """Whether `text` is one line without marks of markup, unless the reference has them."""
    marks = {mark for mark in text if mark in "`*#_<>[]{}|"} - set(sample.answer)
    return float(text.strip() == collapsed(text) != "" and not marks)


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", ".")) for number in re.findall(r"[0-9]{1,9}(?:[.,][0-9]{1,9})?", alike(text))]


JUDGES: dict[str, Judge] = {
    **dict.fromkeys(("transcribe", "lyrics"), _transcript),
    **dict.fromkeys(("transcribe_sentences", "transcribe_words", "diarise", "lyrics_words"), _timed_transcript),
    "timeline": partial(_timeline, named=_by_words),
    "chords": partial(_timeline, named=_by_letter),
    **dict.fromkeys(("turns", "sections"), partial(_timeline, named=_by_turn)),
    **dict.fromkeys(("count", "speakers"), _number),
    **dict.fromkeys(("sound_at", "instruments"), _set),
    **dict.fromkeys(("choice_present", "choice_first", "choice_count"), _choice),
    **dict.fromkeys(("first_of_two", "first", "second", "last", "before", "after"), _label),
    **dict.fromkeys(("language", "no_speech", "no_music"), _label),
    **dict.fromkeys(("meter", "key", "chord_at"), _symbol),
    "when": _spans,
    "tempo": _tempo,
}
"""By task: all that `schemas.asking.tasks` asks for but captions, of speech or of anything."""
