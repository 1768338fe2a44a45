"""What a step of reinforcement learning tells of itself: sums while it runs, means at its end, over all ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from model import ranks
from model.dapo import PolicyLoss, differ
from model.generate import Answer, Finish
from model.head import TokenLogprobs
from model.optimiser import Update
from model.rewards import PARTS, Reward

_SUMS = (
    *("groups", "kept", "learnt", "answers", "answer_tokens", "cut_off", "reward", "reward_squared"),
    *(
        "tokens",
        "loss",
        "clipped",
        "heaviest",
        "entropy",
        "all_updates",
        "updates",
        "skipped_updates",
        "grad_norm",
        "lr",
    ),
    *(f"part_{name}" for name in PARTS),
    *(f"num_{name}" for name in PARTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RlReport:
    """One step. The reward and what is said of answers is of all that were drawn, before punishments for length."""

    step: int
    reward_mean: float
    reward_std: float
    parts: dict[str, float]  # of the reward, each over the answers it applies to
    answer_tokens_mean: float
    cut_off_share: float  # answers that had no room to end
    groups_drawn: int
    groups_kept_share: float  # of them, whose rewards differ
    groups_learnt: int  # kept ones, without those beyond what was wanted
    loss: float  # a token
    entropy: float  # a token that is learnt from, in nats
    clip_share: float  # tokens that have no gradient because of the clip
    heaviest_share: float  # tokens whose importance weight is at its upper bound
    grad_norm: float  # before clipping, over the updates that were made
    lr: float
    skipped_updates: int  # whose gradient was not finite
    sampling_s: float
    learning_s: float


class Tally:
    """The sums of this rank's step."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums = dict.fromkeys(_SUMS, 0.0)

    def count_group(self, answers: Sequence[Answer], judged: Sequence[Reward], rewards: Sequence[float]) -> None:
        self._add(groups=1, kept=differ(rewards), answers=len(answers))
        for answer, one in zip(answers, judged, strict=True):
            self._add(answer_tokens=len(answer.ids), cut_off=answer.finish is Finish.LENGTH)
            self._add(reward=one.total, reward_squared=one.total**2)
            for name, value in one.parts.items():
                self._add(**{f"part_{name}": value, f"num_{name}": 1})

    def count_learnt(self, groups: int) -> None:
        self._add(learnt=groups)

    def count_tokens(self, loss: PolicyLoss, now: TokenLogprobs) -> None:
        self._add(
            tokens=len(now.logprob_N),
            loss=loss.total.item(),
            clipped=loss.num_clipped.item(),
            heaviest=loss.num_heaviest.item(),
            entropy=now.entropy_N.sum().item(),
        )

    def count_update(self, update: Update) -> None:
        """All ranks count the same update; what is told is their mean."""
        self._add(all_updates=1, lr=update.lr)
        if update.is_finite:
            self._add(updates=1, grad_norm=update.grad_norm)
        else:
            self._add(skipped_updates=1)

    def report(self, step: int, *, sampling_s: float, learning_s: float) -> RlReport:
        """Of all ranks, which must all ask for it."""
        found = dict(zip(_SUMS, ranks.added(list(self._sums.values())), strict=True))

        def mean(of: str, over: str) -> float:
            return found[of] / found[over] if found[over] else 0.0

        reward = mean("reward", "answers")
        return RlReport(
            step=step,
            reward_mean=reward,
            reward_std=math.sqrt(max(0.0, mean("reward_squared", "answers") - reward**2)),
            parts={name: mean(f"part_{name}", f"num_{name}") for name in PARTS if found[f"num_{name}"]},
            answer_tokens_mean=mean("answer_tokens", "answers"),
            cut_off_share=mean("cut_off", "answers"),
            groups_drawn=round(found["groups"]),
            groups_kept_share=mean("kept", "groups"),
            groups_learnt=round(found["learnt"]),
            loss=mean("loss", "tokens"),
            entropy=mean("entropy", "tokens"),
            clip_share=mean("clipped", "tokens"),
            heaviest_share=mean("heaviest", "tokens"),
            grad_norm=mean("grad_norm", "updates"),
            lr=mean("lr", "all_updates"),
            skipped_updates=round(found["skipped_updates"] / ranks.num_ranks()),
            sampling_s=sampling_s,
            learning_s=learning_s,
        )

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            self._sums[name] += value
