"""A checkpoint's answers to the questions: the prompt of training, the likeliest token at every step."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from model.evaluation.items import Item
from model.generate import Finish, Generator, Request
from model.mel import Floats
from model.prompt import check_fits, question, render
from model.sampling import Sampling
from schemas.errors import ConfigError, DecodeError, InputError, SchemaError

AT_ONCE = 32
"""Questions whose sound is held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """`text` is None where the model could not be asked, and `reason` says why."""

    item: Item
    text: str | None
    thinking: str = ""
    finish: Finish | None = None
    reason: str | None = None


def answers_to(
    generator: Generator,
    items: Sequence[Item],
    mels_of: Callable[[Item], Sequence[Floats]],
    *,
    max_new_tokens: int,
    time_markers: bool = True,
    thinking_budget: int | None = None,
) -> Iterator[Answered]:
    """An answer to each item, in their order, at temperature 0.

    `mels_of` gives the log-mels of an item, (128, frames) each. Sound that cannot be read and prompts that do not fit
    are recorded and passed over. `time_markers` False is for measuring what they are worth.

    Raises ConfigError where the model computes what is no number.
    """
    sampling = Sampling(temperature=0.0, max_new_tokens=max_new_tokens, thinking_budget=thinking_budget)
    for start in range(0, len(items), AT_ONCE):
        requests: list[Request] = []
        refused: dict[str, str] = {}
        batch = items[start : start + AT_ONCE]
        for item in batch:
            try:
                requests.append(_request(generator, item, mels_of(item), time_markers))
            except (DecodeError, InputError, SchemaError) as error:
                refused[item.id] = str(error)
        found = iter(generator.generate(requests, sampling) if requests else [])
        for item in batch:
            if item.id in refused:
                yield Answered(item=item, text=None, reason=refused[item.id])
                continue
            answer = next(found)
            if any(map(math.isnan, answer.logprobs)):
                raise ConfigError(
                    "the model computes what is no number: its weights are damaged, or too large for their precision; "
                    "try --dtype float32"
                )
            yield Answered(item=item, text=answer.text, thinking=answer.thinking, finish=answer.finish)


def _request(generator: Generator, item: Item, mels: Sequence[Floats], time_markers: bool) -> Request:
    frames = [mel.shape[1] for mel in mels]
    prompt = render(question(item.question, frames), generator.tokenizer, time_markers=time_markers)
    check_fits(len(prompt.ids), frames, generator.model.config.language_config.max_position_embeddings, 1)
    return Request(prompt=prompt, mels=tuple(mels))
