"""Answers that were drawn, laid out so that the model reads them again: for log-probabilities with a gradient.

    a row:  prompt 1 │ answer 1 │ answer 2 │ answer 3 │ prompt 2 │ answer 1 │ …        positions go on from the prompt
                ▲──────────┴──────────┴──────────┘  each answer sees its prompt and itself

A prompt and its audio are heard and read once for all of its answers that lie in the row. Rows are bounded, so memory
is; a group of answers that does not fit one goes on in the next, behind its prompt again.

T tokens of a row   N answer tokens that are learnt from   E language width   M mel bands   F mel frames
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention import packed_sight
from model.decoding import Asked, heard
from model.generate import Answer, Request
from model.head import TokenLogprobs
from model.model import AudioLM
from model.parallel import heard_by_all
from model.prompt import Prompt
from model.tokens import SpecialIds

ROW_STEP_TOKENS = 128
"""Rows are as long as a multiple of this, so that few shapes are compiled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rollout:
    """An answer and what it is worth beside the others to its prompt. Those of one prompt hold the same `request`."""

    request: Request
    answer: Answer
    advantage: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """One row. For n of N: after reading the token at `from_N[n]` the model said `ids_N[n]`.

    What was said for the model (`Answer.is_forced`) is read and not learnt from, so it is not among the N.
    """

    asked: tuple[Asked, ...]  # the prompts in the row, in order
    tokens_T: Tensor
    positions_T: Tensor
    documents_T: Tensor  # one a prompt
    answers_T: Tensor  # 0 in a prompt, then 1, 2, ...
    from_N: Tensor
    ids_N: Tensor
    drawn_N: Tensor  # log-probability under the distribution it was drawn from
    advantage_N: Tensor

    @property
    def num_learnt(self) -> int:
        return len(self.ids_N)


def packed(rollouts: Sequence[Rollout], pack_tokens: int, special: SpecialIds) -> Iterator[Pack]:
    """Rows of at most `pack_tokens`, unless one prompt with one answer is longer; in the order given."""
    row = _Row()
    for rollout in rollouts:
        if row.answers and row.length_with(rollout) > pack_tokens:
            yield row.pack(special)
            row = _Row()
        row.add(rollout)
    if row.answers:
        yield row.pack(special)


def idle_pack(special: SpecialIds) -> Pack:
    """A row that is read and from which nothing is learnt: for a rank that has none left while others have."""
    row = _Row()
    row.begin(Request(prompt=Prompt(ids=(special.im_start,), frames=())))
    return row.pack(special)


def logprobs(model: AudioLM, pack: Pack, temperature: float) -> TokenLogprobs:
    """Of the learnt tokens of `pack`, (N,) each, under the model's whole distribution at `temperature`.

    Processes that share a model call it as often as each other; a row without sound hears silence with those that have.
    """
    device = model.lm_head.weight.device
    documents_BT, answers_BT = pack.documents_T[None].to(device), pack.answers_T[None].to(device)
    sound = heard(model, pack.asked)
    x_BTE = model.read(
        pack.tokens_T[None].to(device),
        sound if sound is not None else heard_by_all(model, None, ()),
        positions_BT=pack.positions_T[None].to(device),
        sight=packed_sight(documents_BT, answers_BT),
    )
    x_NE = x_BTE[0].index_select(0, pack.from_N.to(device))
    found: TokenLogprobs = model.lm_head.logprobs(x_NE, pack.ids_N.to(device), temperature=temperature)
    return found


class _Row:
    """A row while it fills."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers = 0  # to the last of them
        self.begins = 0  # where the last of them does
        self.columns: tuple[list[int], ...] = ([], [], [], [])  # token, position, document, answer
        self.learnt: list[tuple[int, int, float, float]] = []  # from where, id, log-probability drawn, advantage

    def length_with(self, rollout: Rollout) -> int:
        prompt = 0 if self._goes_on(rollout.request) else len(rollout.request.prompt.ids)
        return len(self.columns[0]) + prompt + len(rollout.answer.ids) - 1

    def begin(self, request: Request) -> None:
        self.begins = len(self.columns[0])
        self.requests.append(request)
        self.answers = 0
        self._read(request.prompt.ids, 0)

    def add(self, rollout: Rollout) -> None:
        if not self._goes_on(rollout.request):
            self.begin(rollout.request)
        self.answers += 1
        answer, prompt_tokens = rollout.answer, len(rollout.request.prompt.ids)
        here = len(self.columns[0])
        said_from = (self.begins + prompt_tokens - 1, *range(here, here + len(answer.ids) - 1))
        self._read(answer.ids[:-1], prompt_tokens)  # the last token is said and never read
        said = zip(said_from, answer.ids, answer.sampling_logprobs, answer.is_forced, strict=True)
        self.learnt += [(at, number, drawn, rollout.advantage) for at, number, drawn, forced in said if not forced]

    def pack(self, special: SpecialIds) -> Pack:
        """Padding is a document of its own, which nobody looks at."""
        missing = -len(self.columns[0]) % ROW_STEP_TOKENS
        ends = (special.end_of_text, 0, len(self.requests), 0)
        tokens, positions, documents, answers = (
            torch.tensor([*column, *[end] * missing]) for column, end in zip(self.columns, ends, strict=True)
        )
        from_N, ids_N, drawn_N, advantage_N = zip(*self.learnt, strict=True) if self.learnt else ((), (), (), ())
        return Pack(
            asked=tuple((request.prompt, request.mels) for request in self.requests),
            tokens_T=tokens,
            positions_T=positions,
            documents_T=documents,
            answers_T=answers,
            from_N=torch.tensor(from_N, dtype=torch.int64),
            ids_N=torch.tensor(ids_N, dtype=torch.int64),
            drawn_N=torch.tensor(drawn_N, dtype=torch.float32),
            advantage_N=torch.tensor(advantage_N, dtype=torch.float32),
        )

    def _goes_on(self, request: Request) -> bool:
        return bool(self.requests) and self.requests[-1] is request

    def _read(self, ids: Sequence[int], position: int) -> None:
        values = (
            ids,
            range(position, position + len(ids)),
            [len(self.requests) - 1] * len(ids),
            [self.answers] * len(ids),
        )
        for column, new in zip(self.columns, values, strict=True):
            column.extend(new)
