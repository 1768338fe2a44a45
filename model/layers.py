"""The two kinds of layers: Whisper's in the encoder, Qwen3's in the language model.

Attributes are named as the tensors of the published checkpoints are, so a state dict is the published layout.

B batch (rows of the encoder, sequences of the language model)   A audio tokens   T tokens   D encoder width
E language width   H heads   G key-value heads   K width of a head
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import LayerCache, Sight, causal_attention, window_attention
from model.config import EncoderConfig, LanguageConfig, Scope


def split_heads(x: Tensor, width: int) -> Tensor:
    """(B, T, heads * width) to (B, heads, T, width)."""
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, heads, T, width) to (B, T, heads * width)."""
    return x.transpose(1, 2).flatten(2)


class EncoderAttention(nn.Module):
    """Multi-head attention over an audio's tokens; keys have no bias (arXiv:2212.04356, released code)."""

    def __init__(self, config: EncoderConfig, scope: Scope) -> None:
        super().__init__()
        D = config.d_model
        self.q_proj = nn.Linear(D, D)
        self.k_proj = nn.Linear(D, D, bias=False)
        self.v_proj = nn.Linear(D, D)
        self.out_proj = nn.Linear(D, D)
        self.head_dim = config.head_dim
        self.dropout = config.attention_dropout
        self.window = config.encoder_attention_window_size if scope is Scope.SLIDING_WINDOW else None

    def forward(self, x_BAD: Tensor, heard_BA: Tensor | None) -> Tensor:
        q, k, v = (split_heads(proj(x_BAD), self.head_dim) for proj in (self.q_proj, self.k_proj, self.v_proj))
        dropout = self.dropout if self.training else 0.0
        if self.window is not None:  # looks back only, so padding behind a row is never seen
            mixed = window_attention(q, k, v, self.window, dropout)
        else:
            sight = None if heard_BA is None else heard_BA[:, None, None, :]
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=sight, dropout_p=dropout)
        return self.out_proj(join_heads(mixed))


class EncoderLayer(nn.Module):
    """Whisper's encoder layer: norm before, exact GELU."""

    def __init__(self, config: EncoderConfig, scope: Scope) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.self_attn = EncoderAttention(config, scope)
        self.final_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout

    def forward(self, x_BAD: Tensor, heard_BA: Tensor | None) -> Tensor:
        """`heard_BA`: which tokens are sound rather than padding; None where all are."""
        mixed = self.self_attn(self.self_attn_layer_norm(x_BAD), heard_BA)
        x_BAD = x_BAD + F.dropout(mixed, self.dropout, self.training)
        inner = F.dropout(F.gelu(self.fc1(self.final_layer_norm(x_BAD))), self.activation_dropout, self.training)
        x_BAD = x_BAD + F.dropout(self.fc2(inner), self.dropout, self.training)
        if x_BAD.dtype == torch.float16:  # as released: half precision overflows here
            limit = torch.finfo(torch.float16).max - 1000
            x_BAD = x_BAD.clamp(-limit, limit)
        return x_BAD


class RMSNorm(nn.Module):
    """Divides by the root mean square over the last axis (arXiv:1910.07467), computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * F.rms_norm(x, x.shape[-1:], eps=self.eps)  # rounded before it is scaled, as published


def rotation(positions_BT: Tensor, width: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of rotary position embedding (arXiv:2104.09864), each (B, 1, T, K), K = `width`.

    Angles are computed in float32, whatever the model's precision: bfloat16 cannot count past 256.
    """
    pair = torch.arange(0, width, 2, device=positions_BT.device, dtype=torch.float32)
    angle = positions_BT[:, None, :, None].float() * (1.0 / theta ** (pair / width))
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """`x` (B, heads, T, K) turned by its position: coordinate i is paired with i + K / 2."""
    cos, sin = turn
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class LanguageAttention(nn.Module):
    """Grouped-query attention with normalised queries and keys (arXiv:2505.09388, section 2)."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        E, K = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(E, config.num_attention_heads * K, bias=False)
        self.k_proj = nn.Linear(E, config.num_key_value_heads * K, bias=False)
        self.v_proj = nn.Linear(E, config.num_key_value_heads * K, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * K, E, bias=False)
        self.q_norm = RMSNorm(K, config.rms_norm_eps)
        self.k_norm = RMSNorm(K, config.rms_norm_eps)
        self.head_dim, self.dropout = K, config.attention_dropout

    def forward(self, x_BTE: Tensor, turn: tuple[Tensor, Tensor], sight: Sight, cache: LayerCache | None) -> Tensor:
        q, k, v = (split_heads(proj(x_BTE), self.head_dim) for proj in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotated(self.q_norm(q), turn), rotated(self.k_norm(k), turn)
        if cache is not None:
            k, v = cache.put(k, v)
        mixed = causal_attention(q, k, v, sight, self.dropout if self.training else 0.0)
        return self.o_proj(join_heads(mixed))


class GatedMLP(nn.Module):
    """SwiGLU (arXiv:2002.05202): the language layers' MLP, and the adapters from sound to language."""

    def __init__(self, width_in: int, width_inner: int, width_out: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width_in, width_inner, bias=False)
        self.up_proj = nn.Linear(width_in, width_inner, bias=False)
        self.down_proj = nn.Linear(width_inner, width_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LanguageLayer(nn.Module):
    """Qwen3's layer: norm before, attention, SwiGLU."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        E = config.hidden_size
        self.input_layernorm = RMSNorm(E, config.rms_norm_eps)
        self.self_attn = LanguageAttention(config)
        self.post_attention_layernorm = RMSNorm(E, config.rms_norm_eps)
        self.mlp = GatedMLP(E, config.intermediate_size, E)

    def forward(
        self,
        x_BTE: Tensor,
        turn: tuple[Tensor, Tensor],
        sight: Sight = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """`turn` rotates by position, `sight` says who may look at whom, `cache` is read and written."""
        x_BTE = x_BTE + self.self_attn(self.input_layernorm(x_BTE), turn, sight, cache)
        x_BTE = x_BTE + self.mlp(self.post_attention_layernorm(x_BTE))
        return x_BTE
