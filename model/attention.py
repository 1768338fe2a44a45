"""Attention: who may look at whom, in one place, and what has been seen kept for later.

B batch   H heads   G key-value heads   T new tokens   S tokens looked at   K width of a head   W window   L layers
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Union, cast

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Sight = Union[Tensor, "BlockMask", None]
"""What a query may look at: a mask (true where it may, broadcast over (B, H, T, S)), a mask of blocks for
FlexAttention, or None: every token itself and those before it."""


def causal_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, sight: Sight, dropout: float = 0.0) -> Tensor:
    """Grouped-query attention (arXiv:2305.13245): H / G neighbouring heads share keys and values; (B, H, T, K).

    Raises ValueError for dropout under a mask of blocks: FlexAttention has none.
    """
    if sight is not None and not isinstance(sight, Tensor):
        if dropout:
            raise ValueError(f"dropout {dropout} with a mask of blocks: FlexAttention has none; take a plain mask")
        return _flex_attention()(q_BHTK, k_BGSK, v_BGSK, block_mask=sight, enable_gqa=True)
    if q_BHTK.shape[2] == 1 and sight is not None:
        return _one_token(q_BHTK, k_BGSK, v_BGSK, sight)
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=sight, is_causal=sight is None, dropout_p=dropout, enable_gqa=True
    )


@cache
def _flex_attention() -> Callable[..., Tensor]:
    """It only exists compiled; and what compiles takes seconds to import."""
    from torch.nn.attention.flex_attention import flex_attention

    return cast(Callable[..., Tensor], torch.compile(flex_attention, dynamic=False))


def _one_token(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, sight: Tensor) -> Tensor:
    """The same for one new token: the heads of a group become its queries, so that no key is read twice."""
    B, H, _, K = q_BHTK.shape
    G = k_BGSK.shape[1]
    mixed = F.scaled_dot_product_attention(q_BHTK.view(B, G, H // G, K), k_BGSK, v_BGSK, attn_mask=sight)
    return mixed.reshape(B, H, 1, K)


def packed_sight(documents_BT: Tensor, answers_BT: Tensor | None = None, *, in_blocks: bool | None = None) -> Sight:
    """The sight of sequences packed into rows: each token sees its own document, up to itself.

    `documents_BT` numbers the document of each token; each lies in one piece. With `answers_BT` a document is a prompt
    (0) with several answers behind it (1, 2, ...): each sees the prompt and itself, and none of the others.
    `in_blocks`, as by default on CUDA: blocks that are masked whole are never computed (FlexAttention,
    arXiv:2412.05496); else it is a plain mask.
    """
    B, T = documents_BT.shape
    if documents_BT.is_cuda if in_blocks is None else in_blocks:
        from torch.nn.attention.flex_attention import create_block_mask

        def visible(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            within = (query >= key) & (documents_BT[b, query] == documents_BT[b, key])
            if answers_BT is None:
                return within
            return within & ((answers_BT[b, key] == 0) | (answers_BT[b, query] == answers_BT[b, key]))

        return create_block_mask(visible, B=B, H=None, Q_LEN=T, KV_LEN=T, device=str(documents_BT.device))
    seen_BTT = (documents_BT[:, :, None] == documents_BT[:, None, :]).tril()
    if answers_BT is not None:
        seen_BTT &= (answers_BT[:, None, :] == 0) | (answers_BT[:, :, None] == answers_BT[:, None, :])
    return seen_BTT[:, None]


def positions_in(documents_BT: Tensor) -> Tensor:
    """The place of each token in its document, (B, T): 0, 1, 2, ... anew where a document begins."""
    index_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    return index_T - torch.where(begins_BT, index_T, 0).cummax(dim=1).values


def window_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, window: int, dropout: float = 0.0) -> Tensor:
    """Each token looks at itself and those before it, `window` in all. Time and memory grow with T, not with T squared.

    Queries go in blocks of W = window; the keys of a block are its own and the block's before it.
    """
    B, H, T, K = q_BHTK.shape
    W = window
    N = -(-T // W)
    q, k, v = (F.pad(x, (0, 0, 0, N * W - T)).view(B, H, N, W, K).transpose(1, 2) for x in (q_BHTK, k_BHTK, v_BHTK))
    before = [F.pad(x, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1] for x in (k, v)]  # block n - 1; zeros before the first
    k_BNHSK, v_BNHSK = (torch.cat(pair, dim=3) for pair in zip(before, (k, v), strict=True))
    at_W = torch.arange(W, device=q.device)
    ago_WS = at_W[:, None] + W - torch.arange(2 * W, device=q.device)[None, :]
    near_WS = (ago_WS >= 0) & (ago_WS < W)
    first_NS = (torch.arange(N, device=q.device)[:, None] > 0) | (torch.arange(2 * W, device=q.device)[None, :] >= W)
    sight = (near_WS[None] & first_NS[:, None, :])[None, :, None]  # (1, N, 1, W, S)
    mixed = F.scaled_dot_product_attention(
        q.flatten(0, 1),
        k_BNHSK.flatten(0, 1),
        v_BNHSK.flatten(0, 1),
        attn_mask=sight.expand(B, -1, -1, -1, -1).flatten(0, 1),
        dropout_p=dropout,
    )
    return mixed.view(B, N, H, W, K).transpose(1, 2).reshape(B, H, N * W, K)[:, :, :T]


@dataclass(slots=True)
class LayerCache:
    """What one layer has seen: its part of a `KVCache`."""

    keys_BGSK: Tensor
    values_BGSK: Tensor
    lengths_B: Tensor

    def put(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Write T new tokens of every row behind what it holds; give back all there is, (B, G, S, K).

        More than one new token at a time is only for an empty cache.
        """
        T = k_BGTK.shape[2]
        if T > 1:
            self.keys_BGSK[:, :, :T], self.values_BGSK[:, :, :T] = k_BGTK, v_BGTK
            return k_BGTK, v_BGTK
        row_B = torch.arange(len(self.lengths_B), device=self.lengths_B.device)
        self.keys_BGSK[row_B, :, self.lengths_B] = k_BGTK[:, :, 0]
        self.values_BGSK[row_B, :, self.lengths_B] = v_BGTK[:, :, 0]
        return self.keys_BGSK, self.values_BGSK


@dataclass(slots=True)
class KVCache:
    """Keys and values of the tokens a batch of sequences has seen, in buffers whose size never changes.

    Each layer has buffers of its own: a compiled step writes into those in place, where it would copy one buffer of
    all layers. Rows may be of different lengths: row b holds `lengths_B[b]` tokens, and what lies beyond is never
    looked at. So a batch of prompts is padded on the right, and each row's next token overwrites its padding.
    """

    keys_BGSK: tuple[Tensor, ...]
    values_BGSK: tuple[Tensor, ...]
    lengths_B: Tensor

    @classmethod
    def empty(
        cls, layers: int, shape_BGSK: tuple[int, int, int, int], *, dtype: torch.dtype, device: torch.device | str
    ) -> "KVCache":
        """Room for S tokens in each of B rows."""
        keys, values = (
            tuple(torch.zeros(shape_BGSK, dtype=dtype, device=device) for _ in range(layers)) for _ in range(2)
        )
        return cls(keys, values, torch.zeros(shape_BGSK[0], dtype=torch.int64, device=device))

    def kept_in_place(self) -> "KVCache":
        """The same, known to the compiler as buffers that stay: else a step is not replayed as a CUDA graph."""
        from torch._dynamo import mark_static_address

        for kept in (*self.keys_BGSK, *self.values_BGSK, self.lengths_B):
            mark_static_address(kept, guard=False)  # another cache is recorded anew, not compiled anew
        return self

    @property
    def room_tokens(self) -> int:
        return self.keys_BGSK[0].shape[2]

    def layer(self, index: int) -> LayerCache:
        return LayerCache(self.keys_BGSK[index], self.values_BGSK[index], self.lengths_B)

    def rows(self, rows: slice) -> "KVCache":
        """These rows alone; what is written into them is written here."""
        keys, values = (tuple(kept[rows] for kept in layers) for layers in (self.keys_BGSK, self.values_BGSK))
        return KVCache(keys, values, self.lengths_B[rows])

    def sight(self) -> Tensor:
        """What one new token of each row may look at: what the row holds, and itself. Shape (B, 1, 1, S)."""
        index_S = torch.arange(self.room_tokens, device=self.lengths_B.device)
        return (index_S <= self.lengths_B[:, None])[:, None, None, :]
