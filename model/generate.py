"""Answers of the model, one token of every row at a time.

    requests ─ by length ─► batches ─► prefill: sound is heard once, prompts fill the cache, logits of their last tokens
                                          └─► choose ─► step ─► choose ─► step … until every row has ended

Each step is one function of fixed shapes (`model.decoding`). What decides is here, on the host, and small: where a row
stands with its thoughts, its stop ids, its limit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor, nn

from model.decoding import decode_step, empty_cache, prefill
from model.frames import num_audio_tokens
from model.mel import NUM_BANDS, Floats
from model.model import AudioLM
from model.prompt import Prompt
from model.sampling import FREE, Chosen, Sampling, choose, row_seed, uniforms
from model.thinking import ThinkingRules, Thought, after, at_start, told
from model.tokens import Tokenizer
from schemas.errors import InputError

ROOM_STEP_TOKENS = 256
"""Caches are as long as a multiple of this, so that few shapes are compiled."""


class Finish(StrEnum):
    """Why an answer ended: the model ended it, or there was no more room."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """A prompt and the log-mel of each of its audios, float32 of shape (128, frames).

    To ask the same several times, give the same ids with the same arrays: a batch hears and reads them once.
    """

    prompt: Prompt
    mels: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        shapes = [np.shape(mel) for mel in self.mels]
        if shapes != [(NUM_BANDS, frames) for frames in self.prompt.frames]:
            raise InputError(
                f"the prompt is about audios of {list(self.prompt.frames)} mel frames, and the mels have the shapes "
                f"{shapes}; each must be ({NUM_BANDS}, frames), in the prompt's order"
            )
        if not self.prompt.ids:
            raise InputError("the prompt is empty; it takes at least one token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One token of the answer to request `index`. Log-probabilities are those of `sampling.Chosen`."""

    index: int
    id: int
    logprob: float
    sampling_logprob: float
    is_forced: bool  # said for the model, to close a thought
    finish: Finish | None  # with an answer's last token


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`ids` with the stop id where there is one, and for each of them what `Said` tells."""

    ids: tuple[int, ...]
    text: str
    thinking: str
    finish: Finish
    logprobs: tuple[float, ...]
    sampling_logprobs: tuple[float, ...]
    is_forced: tuple[bool, ...]


class Generator:
    """Answers of `model`, in its precision and on its device."""

    def __init__(
        self, model: AudioLM, tokenizer: Tokenizer, *, batch_tokens: int = 65_536, compiled: bool = False
    ) -> None:
        """`batch_tokens`: the room for keys and values that rows answered at once have together, unless one row alone
        needs more. `compiled` compiles the step, which pays after some hundreds of tokens.

        Raises ConfigError where `tokenizer` is another model's.
        """
        tokenizer.check(model.config)
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self._compiled = compiled
        mode = "reduce-overhead" if model.lm_head.weight.is_cuda else None  # there the step is replayed as a CUDA graph
        self._step = torch.compile(decode_step, fullgraph=True, dynamic=False, mode=mode) if compiled else decode_step

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, *, seeds: Sequence[int] | None = None
    ) -> list[Answer]:
        """An answer to each of `requests`, in their order. Arguments and errors are those of `stream`."""
        said: list[list[Said]] = [[] for _ in requests]
        for step in self.stream(requests, sampling, seeds=seeds):
            for token in step:
                said[token.index].append(token)
        return [self._answer(request, tokens) for request, tokens in zip(requests, said, strict=True)]

    def stream(
        self, requests: Sequence[Request], sampling: Sampling, *, seeds: Sequence[int] | None = None
    ) -> Iterator[list[Said]]:
        """What each row that still speaks said, step by step; one batch of requests after the other.

        `seeds` are the rows' own; without them row i takes `row_seed(sampling.seed, i)`. An answer that reaches the
        model's last position ends there, whatever `max_new_tokens` is. The audio placeholder is never said. Until the
        stream ends, or is closed, the model is in eval mode; then it is as it was.

        Raises InputError, before anything is computed, for a prompt that leaves no room for an answer.
        """
        if seeds is None:
            seeds = [row_seed(sampling.seed, index) for index in range(len(requests))]
        if len(seeds) != len(requests):
            raise ValueError(f"there are {len(seeds)} seeds for {len(requests)} requests; each takes one")
        rules = ThinkingRules.of(self.tokenizer, sampling.thinking_budget)
        rows = [
            self._row(*numbered, rules, sampling) for numbered in zip(range(len(seeds)), requests, seeds, strict=True)
        ]
        return self._streamed(rows, rules, sampling)

    def in_thought(self, prompt: Prompt) -> bool:
        """Whether an answer to `prompt` begins within a thought."""
        return at_start(prompt.ids, self.tokenizer.special, ThinkingRules.of(self.tokenizer, None)).is_open

    def _row(self, index: int, request: Request, seed: int, rules: ThinkingRules, sampling: Sampling) -> "_Row":
        prompt, positions = request.prompt, self.model.config.language_config.max_position_embeddings
        room = positions - len(prompt.ids)
        if room < 1:
            raise InputError(
                f"request {index}: a prompt of {len(prompt.ids):,} tokens "
                f"({sum(map(num_audio_tokens, prompt.frames)):,} of them audio) leaves no room for an answer in the "
                f"{positions:,} positions the model has; shorten the audio or the text"
            )
        limit_tokens = min(sampling.max_new_tokens, room)
        thought = at_start(prompt.ids, self.tokenizer.special, rules)
        return _Row(index=index, request=request, seed=seed, left_tokens=limit_tokens, thought=thought)

    def _streamed(self, rows: Sequence["_Row"], rules: ThinkingRules, sampling: Sampling) -> Iterator[list[Said]]:
        with _eval_mode(self.model):
            for batch, room_tokens in _batches(rows, self.batch_tokens):
                yield from self._spoken(batch, room_tokens, rules, sampling)

    def _spoken(
        self, rows: Sequence["_Row"], room_tokens: int, rules: ThinkingRules, sampling: Sampling
    ) -> Iterator[list[Said]]:
        special = self.tokenizer.special
        stop_ids = {special.im_end, special.end_of_text} if sampling.stop_ids is None else set(sampling.stop_ids)
        num_steps = max(row.left_tokens for row in rows)
        if self._compiled:  # idle rows, so that few numbers of rows are compiled
            idle = _Row(
                index=-1, request=rows[0].request, seed=0, left_tokens=0, thought=Thought(), finish=Finish.LENGTH
            )
            rows = [*rows, *[idle] * ((1 << (len(rows) - 1).bit_length()) - len(rows))]
        with torch.no_grad():
            cache = empty_cache(self.model, len(rows), room_tokens)
            if self._compiled:
                cache.kept_in_place()
            device = cache.lengths_B.device
            uniform_NB = uniforms([row.seed for row in rows], num_steps).T.contiguous().to(device)
            asked = [(row.request.prompt, row.request.mels) for row in rows]
            logits_BV = prefill(self.model, asked, cache, padding=special.end_of_text)
            forced_B = _forced(rows, device)
            chosen = choose(logits_BV, uniform_NB[0], sampling, forced_B=forced_B, barred=special.audio)
        for uniform_B in uniform_NB[1:]:
            yield list(_heard_out(rows, chosen, stop_ids, rules))
            if all(row.finish for row in rows):
                return
            with torch.no_grad():  # never across a yield: the mode would be the caller's too
                active_B = torch.tensor([row.finish is None for row in rows], device=device)
                forced_B = _forced(rows, device)
                ids_B = chosen.ids_B.clone()  # a graph writes its next results over its last
                chosen = self._step(self.model, ids_B, cache, active_B, uniform_B, forced_B, sampling, special.audio)
        yield list(_heard_out(rows, chosen, stop_ids, rules))

    def _answer(self, request: Request, said: Sequence[Said]) -> Answer:
        ids = tuple(token.id for token in said)
        text, thinking = told(ids, self.tokenizer, in_thought=self.in_thought(request.prompt))
        finish = said[-1].finish
        assert finish, "a stream that ends has ended every answer"
        return Answer(
            ids=ids,
            text=text,
            thinking=thinking,
            finish=finish,
            logprobs=tuple(token.logprob for token in said),
            sampling_logprobs=tuple(token.sampling_logprob for token in said),
            is_forced=tuple(token.is_forced for token in said),
        )


@dataclass(slots=True, kw_only=True)
class _Row:
    """What the host knows of a row."""

    index: int
    request: Request
    seed: int
    left_tokens: int
    thought: Thought
    finish: Finish | None = None

    @property
    def room_tokens(self) -> int:
        """What the cache must hold, before anything is said."""
        return len(self.request.prompt.ids) + self.left_tokens


def _batches(rows: Sequence[_Row], batch_tokens: int) -> Iterator[tuple[list[_Row], int]]:
    """Rows of like length together, with the room each has; the longest first, so that memory is asked for at once."""
    left = sorted(rows, key=lambda row: (-row.room_tokens, row.index))
    while left:
        room_tokens = -(-left[0].room_tokens // ROOM_STEP_TOKENS) * ROOM_STEP_TOKENS
        size = max(1, batch_tokens // room_tokens)
        yield left[:size], room_tokens
        left = left[size:]


def _forced(rows: Sequence[_Row], device: torch.device) -> Tensor:
    return torch.tensor([row.thought.owed[0] if row.thought.owed else FREE for row in rows], device=device)


def _heard_out(rows: Sequence[_Row], chosen: Chosen, stop_ids: set[int], rules: ThinkingRules) -> Iterator[Said]:
    """What each row that speaks has said; the row is moved on."""
    columns = (chosen.ids_B, chosen.logprob_B, chosen.sampling_logprob_B)
    for row, number, logprob, drawn in zip(rows, *(column.tolist() for column in columns), strict=True):
        if row.finish:
            continue
        is_forced = bool(row.thought.owed)
        row.left_tokens -= 1
        row.thought = after(row.thought, number, rules)
        if number in stop_ids:
            row.finish = Finish.STOP
        elif not row.left_tokens:
            row.finish = Finish.LENGTH
        yield Said(
            index=row.index,
            id=number,
            logprob=logprob,
            sampling_logprob=drawn,
            is_forced=is_forced,
            finish=row.finish,
        )


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
