"""Who may look at whom, against attention with every mask written out."""

import pytest
import torch
import torch.nn.functional as F

from model.attention import KVCache, causal_attention, packed_sight, positions_in, window_attention


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("window", [1, 3, 8, 100])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 50])
def test_window_attention_is_attention_under_a_band(length, window):
    q, k, v = (normal(2, 3, length, 4, seed=seed) for seed in range(3))
    ago = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    slow = F.scaled_dot_product_attention(q, k, v, attn_mask=(ago >= 0) & (ago < window))
    torch.testing.assert_close(window_attention(q, k, v, window), slow, atol=1e-6, rtol=0)


def test_groups_of_heads_share_keys():
    q, k, v = normal(2, 6, 5, 4), normal(2, 2, 5, 4, seed=1), normal(2, 2, 5, 4, seed=2)
    slow = F.scaled_dot_product_attention(q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1), is_causal=True)
    torch.testing.assert_close(causal_attention(q, k, v, None), slow, atol=1e-6, rtol=0)


def test_one_new_token_against_a_cache_is_the_last_of_all_at_once():
    q, k, v = normal(2, 6, 5, 4), normal(2, 2, 5, 4, seed=1), normal(2, 2, 5, 4, seed=2)
    whole = causal_attention(q, k, v, None)
    cache = KVCache.empty(1, (2, 2, 9, 4), dtype=torch.float32, device="cpu")
    cache.layer(0).put(k[:, :, :4], v[:, :, :4])
    cache.lengths_B += 4
    keys, values = cache.layer(0).put(k[:, :, 4:], v[:, :, 4:])
    last = causal_attention(q[:, :, 4:], keys, values, cache.sight())
    torch.testing.assert_close(last, whole[:, :, 4:], atol=1e-6, rtol=0)


def test_rows_of_a_cache_grow_each_behind_its_own_end():
    cache = KVCache.empty(1, (2, 1, 6, 1), dtype=torch.float32, device="cpu")
    prompt = torch.arange(1.0, 9.0).view(2, 1, 4, 1)
    cache.layer(0).put(prompt, -prompt)
    cache.lengths_B += torch.tensor([2, 4])  # the first row was padded by two
    keys, values = cache.layer(0).put(torch.full((2, 1, 1, 1), 9.0), torch.full((2, 1, 1, 1), -9.0))
    assert keys[:, 0, :, 0].tolist() == [[1, 2, 9, 4, 0, 0], [5, 6, 7, 8, 9, 0]]
    assert torch.equal(values, -keys)
    assert cache.sight()[:, 0, 0].tolist() == [[True] * 3 + [False] * 3, [True] * 5 + [False]]


def test_positions_begin_anew_with_each_document():
    documents = torch.tensor([[0, 0, 0, 1, 1, 2], [5, 5, 5, 5, 5, 5]])
    assert positions_in(documents).tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5]]


def test_packed_documents_see_themselves_and_the_past_only():
    documents = torch.tensor([[0, 0, 1, 1, 1]])
    assert packed_sight(documents)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 1],
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_masks_of_blocks_are_plain_masks():
    documents = torch.tensor([[0] * 100 + [1] * 60 + [2] * 96, [0] * 200 + [1] * 56])
    q, k, v = normal(2, 6, 256, 16), normal(2, 2, 256, 16, seed=1), normal(2, 2, 256, 16, seed=2)
    in_blocks, plain = (packed_sight(documents, in_blocks=blocks) for blocks in (True, False))
    assert type(in_blocks) is not type(plain)
    with torch.no_grad():
        found, slow = causal_attention(q, k, v, in_blocks), causal_attention(q, k, v, plain)
    torch.testing.assert_close(found, slow, atol=1e-5, rtol=0)
