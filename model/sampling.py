"""From logits to the next token: a pure function of the logits and one number in [0, 1) for each row.

That number comes from the row's own seed and the step alone, so what a row says never depends on the rows beside it.
Nothing here has a shape that depends on values: it compiles.

B rows   V vocabulary   N steps
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from schemas.errors import ConfigError

FREE = -1
"""In `forced_B`: the row chooses for itself."""

MAX_SEED = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How answers are chosen; the defaults are the published ones.

    `temperature` 0 takes the likeliest token, the lowest id among equals. `top_k` 0 and `top_p` 1 leave all tokens in.
    `thinking_budget` is how many tokens a row may spend in thoughts, None for any number. `stop_ids` end an answer;
    None stands for the ends the tokenizer has.
    """

    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    max_new_tokens: int = 1024
    seed: int = 0
    thinking_budget: int | None = None
    stop_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str = "generation_config.json") -> Self:
        """What a `generation_config.json` says of sampling; what it leaves out keeps its default.

        `do_sample` false is a temperature of 0. Stop ids are the tokenizer's, not those of `eos_token_id`.
        Raises ConfigError for a value of the wrong kind or out of range.
        """
        values: dict[str, Any] = {}
        for name, whole in (("temperature", False), ("top_k", True), ("top_p", False), ("max_new_tokens", True)):
            value = found.get(name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53
            if not number or (whole and value % 1):
                raise ConfigError(f"{where}: {name} is {value!r}; it must be a {'whole ' if whole else ''}number")
            values[name] = int(value) if whole else float(value)
        if found.get("do_sample") is False:
            values["temperature"] = 0.0
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error


@dataclass(frozen=True, slots=True)
class Chosen:
    """What each row says next, and how likely it was.

    `logprob_B` is under the model's own distribution: temperature 1, every token allowed. `sampling_logprob_B` is
    under the one the token was drawn from; 0 where there was nothing to draw (temperature 0, or forced).
    """

    ids_B: Tensor
    logprob_B: Tensor
    sampling_logprob_B: Tensor


def choose(
    logits_BV: Tensor,
    uniform_B: Tensor,
    sampling: Sampling,
    *,
    forced_B: Tensor | None = None,
    barred: int | None = None,
) -> Chosen:
    """The next token of each row, by inverse CDF at `uniform_B` in [0, 1), all in float32.

    Where `forced_B` is not `FREE`, that id is said instead. The id `barred` is never drawn. A row whose logits are not
    numbers gives an arbitrary id.
    """
    logits_BV = logits_BV.float()
    allowed_BV = logits_BV
    if barred is not None:
        index_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
        allowed_BV = logits_BV.masked_fill(index_V == barred, -torch.inf)
    if sampling.temperature == 0:
        ids_B = _first(allowed_BV == allowed_BV.amax(dim=1, keepdim=True))
        drawn_B = torch.zeros_like(logits_BV[:, 0])
    else:
        left_BV = filtered(allowed_BV, sampling)
        ids_B = _drawn(left_BV, uniform_B)
        drawn_B = _logprob(left_BV, ids_B)
    if forced_B is not None:
        is_free_B = forced_B == FREE
        ids_B = torch.where(is_free_B, ids_B, forced_B)
        drawn_B = torch.where(is_free_B, drawn_B, 0.0)
    return Chosen(ids_B, _logprob(logits_BV, ids_B), drawn_B)


def filtered(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """Float32 logits divided by the temperature, -inf where top-k and then top-p leave a token out.

    As transformers does: tokens that equal the k-th stay, and top-p keeps the smallest set, at least one token, whose
    probability reaches it.
    """
    x_BV = logits_BV.float() / sampling.temperature
    if 0 < sampling.top_k < x_BV.shape[1]:
        least_B1 = x_BV.topk(sampling.top_k, dim=1).values[:, -1:]
        x_BV = x_BV.masked_fill(x_BV < least_B1, -torch.inf)
    if sampling.top_p < 1:
        sorted_BV, order_BV = x_BV.sort(dim=1, descending=True, stable=True)
        likely_BV = sorted_BV.softmax(dim=1)
        before_BV = likely_BV.cumsum(dim=1) - likely_BV
        out_BV = before_BV >= sampling.top_p
        x_BV = x_BV.masked_fill(torch.zeros_like(out_BV).scatter(1, order_BV, out_BV), -torch.inf)
    return x_BV


def row_seed(seed: int, index: int) -> int:
    """A seed of its own for row `index` of a run with `seed`."""
    return int(_mixed(_mixed(np.uint64(seed)) + np.uint64(index)) >> np.uint64(1))


def uniforms(seeds: Sequence[int], num_steps: int) -> Tensor:
    """One number in [0, 1) for each row and step, float32 of shape (B, N). Row b depends on `seeds[b]` alone.

    SplitMix64 (Steele, Lea and Flood, 2014) counted by the step, its 24 highest bits.
    """
    for seed in seeds:
        _check_seed(seed)
    keys_B1 = _mixed(np.array(seeds, dtype=np.uint64).reshape(-1, 1))
    bits_BN = _mixed(keys_B1 + np.arange(num_steps, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return torch.from_numpy(((bits_BN >> np.uint64(40)) * 2.0**-24).astype(np.float32))


def _mixed(bits: Any) -> Any:
    """SplitMix64's finalizer, on uint64 that wraps around."""
    with np.errstate(over="ignore"):
        z = bits + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _drawn(logits_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The first id at which the sum of probabilities, in the order of ids, passes `uniform_B` of the whole."""
    likely_BV = logits_BV.softmax(dim=1)
    sum_BV = likely_BV.cumsum(dim=1)
    passed_BV = (sum_BV > uniform_B[:, None].float() * sum_BV[:, -1:]) & (likely_BV > 0)
    none_B = ~passed_BV.any(dim=1)  # only where a sum in parallel is not quite monotonic
    return torch.where(none_B, likely_BV.argmax(dim=1), _first(passed_BV))


def _first(true_BV: Tensor) -> Tensor:
    """The lowest id that is true in each row; the last id where none is."""
    V = true_BV.shape[1]
    index_V = torch.arange(V, device=true_BV.device)
    return torch.where(true_BV, index_V, V - 1).amin(dim=1)


def _logprob(logits_BV: Tensor, ids_B: Tensor) -> Tensor:
    return logits_BV.log_softmax(dim=1).gather(1, ids_B[:, None])[:, 0]


def _check(sampling: Sampling) -> None:
    t, k, p, budget = sampling.temperature, sampling.top_k, sampling.top_p, sampling.thinking_budget
    if not math.isfinite(t) or t < 0:
        raise ConfigError(f"temperature is {t}; it must be zero (always the likeliest token) or above")
    if 0 < t < 1e-4:
        raise ConfigError(f"temperature is {t}, too small to divide by; 0 takes the likeliest token")
    if k < 0:
        raise ConfigError(f"top_k is {k}; it must be at least one, or zero for no limit")
    if not 0 < p <= 1:
        raise ConfigError(f"top_p is {p}; it must be above zero and at most one, which sets no limit")
    if sampling.max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is {sampling.max_new_tokens}; an answer takes at least one")
    if budget is not None and budget < 0:
        raise ConfigError(f"thinking_budget is {budget}; it must be zero (no thoughts) or above, or None for no limit")
    _check_seed(sampling.seed)
    for number in sampling.stop_ids or ():
        if number < 0:
            raise ConfigError(f"stop_ids holds {number}; ids begin at zero")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < MAX_SEED:
        raise ConfigError(f"seed is {seed}; it must be from 0 to {MAX_SEED - 1}")
