"""The tensor half of answering: prompts into the cache, then one token of every row at a time.

B rows   U different prompts   T prompt tokens   S room in the cache   E language width   V vocabulary   M mel bands
F mel frames   L layers   G key-value heads
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from model.attention import KVCache
from model.frames import num_audio_tokens
from model.mel import Floats
from model.model import AudioLM, Heard
from model.prompt import Prompt
from model.sampling import FREE, Chosen, Sampling, choose

PREFILL_TOKENS = 16_384
"""Prompt tokens read at once, unless one prompt alone is longer: more would only take more memory."""

Asked = tuple[Prompt, tuple[Floats, ...]]
"""A prompt, and the log-mel of each of its audios."""


def empty_cache(model: AudioLM, num_rows: int, room_tokens: int) -> KVCache:
    """In the model's precision, on its device."""
    language, weight = model.config.language_config, model.language_model.embed_tokens.weight
    shape_BGSK = (num_rows, language.num_key_value_heads, room_tokens, language.head_dim)
    return KVCache.empty(language.num_hidden_layers, shape_BGSK, dtype=weight.dtype, device=weight.device)


def prefill(model: AudioLM, asked: Sequence[Asked], cache: KVCache, *, padding: int) -> Tensor:
    """Reads one prompt into each row of an empty cache; logits (B, V) of what comes after it.

    Prompts of the same ids about the same arrays are read once. `padding` is any id that is not the placeholder.
    """
    place_by_key: dict[tuple[object, ...], int] = {}
    source = [place_by_key.setdefault(_key(prompt, mels), len(place_by_key)) for prompt, mels in asked]
    different = [asked[source.index(place)] for place in range(len(place_by_key))]
    device = cache.lengths_B.device
    lengths_U = torch.tensor([len(prompt.ids) for prompt, _ in different], device=device)
    last_UE = torch.cat([_read(model, different, cache, lengths_U, rows, padding) for rows in _groups(different)])
    source_B = torch.tensor(source, device=device)
    if len(different) < len(asked):
        longest = max(len(prompt.ids) for prompt, _ in different)
        for kept_BGSK in (*cache.keys_BGSK, *cache.values_BGSK):
            kept_BGSK[:, :, :longest] = kept_BGSK[source_B, :, :longest]
    cache.lengths_B.copy_(lengths_U[source_B])
    logits_UV: Tensor = model.lm_head(last_UE)
    return logits_UV[source_B]


def decode_step(
    model: AudioLM,
    tokens_B: Tensor,
    cache: KVCache,
    active_B: Tensor,
    uniform_B: Tensor,
    forced_B: Tensor,
    sampling: Sampling,
    barred: int | None,
) -> Chosen:
    """Reads the last token of each row and chooses the next. Rows not in `active_B` stay as long as they are.

    Shapes are fixed by the cache, and nothing here asks for a value: it compiles as one graph.
    """
    state_BTE = model.read(tokens_B[:, None], positions_BT=cache.lengths_B[:, None], sight=cache.sight(), cache=cache)
    cache.lengths_B.add_(active_B)
    return choose(model.lm_head(state_BTE[:, 0]), uniform_B, sampling, forced_B=forced_B, barred=barred)


@torch.no_grad()
def greedy_ids(model: AudioLM, asked: Sequence[Asked], num_tokens: int) -> Tensor:
    """The likeliest `num_tokens` after each prompt, (B, num_tokens), whatever they are: for comparing models."""
    greedy = Sampling(temperature=0.0)
    cache = empty_cache(model, len(asked), num_tokens + max(len(prompt.ids) for prompt, _ in asked))
    logits_BV = prefill(model, asked, cache, padding=int(model.config.audio_token_id == 0))
    active_B, free_B = torch.ones_like(cache.lengths_B), torch.full_like(cache.lengths_B, FREE)
    unused_B = torch.zeros_like(logits_BV[:, 0])
    said = [choose(logits_BV, unused_B, greedy).ids_B]
    for _ in range(num_tokens - 1):
        said.append(decode_step(model, said[-1], cache, active_B, unused_B, free_B, greedy, None).ids_B)
    return torch.stack(said, dim=1)


def heard(model: AudioLM, asked: Sequence[Asked]) -> Heard | None:
    """The audios of all prompts in order, each different one encoded once."""
    mels = [mel for _, own in asked for mel in own]
    if not mels:
        return None
    different = list({id(mel): mel for mel in mels}.values())
    frames = [mel.shape[1] for mel in different]
    mel_MF = torch.cat([torch.from_numpy(mel) for mel in different], dim=1).to(model.lm_head.weight.device)
    once = model.hear(mel_MF, frames)
    if len(different) == len(mels):
        return once
    ends = accumulate(map(num_audio_tokens, frames), initial=0)
    span_by_id = {id(mel): slice(*span) for mel, span in zip(different, pairwise(ends), strict=True)}

    def in_order(x_NE: Tensor) -> Tensor:
        return torch.cat([x_NE[span_by_id[id(mel)]] for mel in mels])

    return Heard(in_order(once.audio_NE), tuple(map(in_order, once.taps_NE)))


def _key(prompt: Prompt, mels: Sequence[Floats]) -> tuple[object, ...]:
    return (prompt.ids, *map(id, mels))


def _groups(asked: Sequence[Asked]) -> Iterator[slice]:
    """Neighbours that are read together, padded to the longest."""
    start, longest = 0, 0
    for stop, (prompt, _) in enumerate(asked):
        longest = max(longest, len(prompt.ids))
        if stop > start and longest * (stop + 1 - start) > PREFILL_TOKENS:
            yield slice(start, stop)
            start, longest = stop, len(prompt.ids)
    yield slice(start, len(asked))


def _read(
    model: AudioLM, asked: Sequence[Asked], cache: KVCache, lengths_U: Tensor, rows: slice, padding: int
) -> Tensor:
    """Reads the prompts of `rows` into the same rows of the cache; gives what is known at the last token of each."""
    here = asked[rows]
    longest = max(len(prompt.ids) for prompt, _ in here)
    padded = [[*prompt.ids, *[padding] * (longest - len(prompt.ids))] for prompt, _ in here]
    tokens_BT = torch.tensor(padded, device=lengths_U.device)
    part = cache.rows(rows)
    sight = part.sight() if longest == 1 else None
    state_BTE = model.read(tokens_BT, heard(model, here), sight=sight, cache=part)
    return state_BTE[torch.arange(len(here), device=tokens_BT.device), lengths_U[rows] - 1]
