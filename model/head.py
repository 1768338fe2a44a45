"""From the last hidden states to words: logits, and the loss of the next token.

B sequences   T tokens   N positions that have a target   E language width   V vocabulary
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.config import IGNORE

LOSS_TOKENS = 2048
"""Tokens whose logits are in memory at once."""


class TokenLoss(NamedTuple):
    """Cross entropy added up over `num_targets` positions, so that a mean can be taken over many batches and ranks.

    `each_N` is that of every position that has a target, in order; no gradient goes through it.
    """

    total: Tensor
    num_targets: Tensor
    each_N: Tensor

    @property
    def mean(self) -> Tensor:
        return self.total / self.num_targets.clamp(min=1)


class TokenLogprobs(NamedTuple):
    """Log-probability of each of N tokens, and the entropy of the distribution it was one of, without gradient."""

    logprob_N: Tensor
    entropy_N: Tensor


class LanguageHead(nn.Linear):
    """Called, it gives logits (…, V) of hidden states (…, E)."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__(width, vocabulary, bias=False)

    def loss(self, x_BTE: Tensor, targets_BT: Tensor, at_once: int = LOSS_TOKENS) -> TokenLoss:
        """Cross entropy against `targets_BT`, already shifted: `targets_BT[b, t]` follows token t.

        Only positions that have a target are looked at, `at_once` of them at a time, and their logits are made again
        for the backward pass: 8,192 tokens of a 151,936-word vocabulary would be 5 GB in float32, and as much again
        for their gradients.
        """
        counts_BT = targets_BT != IGNORE
        x_NE, targets_N = x_BTE[counts_BT], targets_BT[counts_BT]
        losses = [
            checkpoint(self._cross_entropy, x, targets, use_reentrant=False)
            for x, targets in zip(x_NE.split(at_once), targets_N.split(at_once), strict=True)
        ]
        each_N = torch.cat(losses)
        return TokenLoss(each_N.sum(), counts_BT.sum(), each_N.detach())

    def _cross_entropy(self, x_NE: Tensor, targets_N: Tensor) -> Tensor:
        return F.cross_entropy(F.linear(x_NE, self.weight).float(), targets_N, reduction="none")

    def logprobs(
        self, x_NE: Tensor, ids_N: Tensor, *, temperature: float = 1.0, at_once: int = LOSS_TOKENS
    ) -> TokenLogprobs:
        """How likely `ids_N[n]` is after the state `x_NE[n]`, by the softmax of all logits over `temperature`.

        Float32. As for `loss`, logits of `at_once` tokens are in memory at a time and made again for the backward pass.
        """
        parts = [
            checkpoint(self._logprobs, x, ids, temperature, use_reentrant=False)
            for x, ids in zip(x_NE.split(at_once), ids_N.split(at_once), strict=True)
        ]
        logprob_N, entropy_N = (torch.cat(column) for column in zip(*parts, strict=True))
        return TokenLogprobs(logprob_N, entropy_N)

    def _logprobs(self, x_NE: Tensor, ids_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        log_NV = (F.linear(x_NE, self.weight).float() / temperature).log_softmax(dim=1)
        with torch.no_grad():
            entropy_N = -(log_NV.exp() * log_NV).sum(dim=1)
        return log_NV.gather(1, ids_N[:, None])[:, 0], entropy_N
