"""The audio language model, whole (MOSS-Audio technical report, arXiv:2606.01802).

    mel_MF ─► AudioEncoder ─► audio_ND ─► audio_adapter ──────────────► written over the audio placeholders
                  │
                  └ taps after layers `deepstack_encoder_layer_indexes`
                          └─► deepstack_audio_merger_list ────────────► added at the same places after the first
                                                                        language layers (DeepStack, arXiv:2406.04334)

Letters name the axes of a tensor, and every tensor carries its letters:
M mel bands   F mel frames   R rows the encoder hears apart   A audio tokens of a row   N audio tokens of all audios
B sequences   T text and audio tokens   D encoder width   E language width   V vocabulary

Several audios lie end to end, frames in `mel_MF` and tokens in `audio_ND`, in the order their placeholders have in
`tokens_BT` read row by row. So a batch has any number of audios of any length, and no padding is heard.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import KVCache, Sight
from model.config import EncoderConfig, LanguageConfig, ModelConfig, Scope
from model.frames import FRAMES_PER_TOKEN, Row, halved, rows
from model.head import LanguageHead
from model.layers import EncoderLayer, GatedMLP, LanguageLayer, RMSNorm, rotation

STEM_FRAMES = 6400
"""Mel frames the stem takes at once. Its first convolution makes 30,720 values of each: the widest place there is."""


class Heard(NamedTuple):
    """Audio as the language model takes it in: what is written over the placeholders, and what DeepStack adds there.

    A tuple, because what shards a model looks for tensors in tuples only.
    """

    audio_NE: Tensor
    taps_NE: tuple[Tensor, ...]


class AudioEncoder(nn.Module):
    """Three convolutions that halve time and frequency, sinusoids, and Whisper layers; 12.5 tokens a second."""

    def __init__(self, config: EncoderConfig, scope: Scope) -> None:
        super().__init__()
        C, D = config.downsample_hidden_size, config.d_model
        self.conv1 = nn.Conv2d(1, C, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(C, C, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(C, C, 3, stride=2, padding=1)
        self.stem_proj = nn.Linear(config.stem_features, D)
        self.layers = nn.ModuleList([EncoderLayer(config, scope) for _ in range(config.encoder_layers)])
        self.layer_norm = nn.LayerNorm(D, eps=config.layer_norm_eps)
        self.out_proj = nn.Linear(D, config.output_dim, bias=False) if config.output_dim != D else nn.Identity()
        taps = config.deepstack_encoder_layer_indexes
        self.taps = tuple(sorted(taps)) if scope is Scope.FULL else taps  # the first release took them as they came
        self.block_frames = config.block_frames if scope is Scope.BLOCK_4S else None
        self.frames_at_once = config.conv_chunksize * config.block_frames

    def forward(self, mel_MF: Tensor, frames: Sequence[int]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The last layer and the tapped ones, each (N, D), of audios of `frames` mel frames that lie end to end."""
        parts = [self.encode(mel_RMF, batch) for mel_RMF, batch in self._batches(mel_MF, frames)]
        last, *taps = (torch.cat(states) for states in zip(*parts, strict=True))
        return last, tuple(taps)

    def encode(self, mel_RMF: Tensor, batch: Sequence[Row]) -> tuple[Tensor, ...]:
        """The last layer and the tapped ones of rows that hear nothing of each other, padding left out, each (N, D)."""
        lengths = [row.num_tokens for row in batch]
        index_N, heard_RA = _heard(lengths, mel_RMF.device)
        at_once = max(1, STEM_FRAMES // mel_RMF.shape[2])
        extents_R = torch.tensor([row.extent for row in batch], device=mel_RMF.device)
        stems = zip(mel_RMF.split(at_once), extents_R.split(at_once), strict=True)
        padded = any(row.extent < mel_RMF.shape[2] for row in batch)
        x_RAD = torch.cat([self.stem(mel, extents if padded else None) for mel, extents in stems])
        x_RAD = x_RAD[:, : max(lengths)]
        x_RAD = x_RAD + sinusoids(x_RAD.shape[1], x_RAD.shape[2], x_RAD.device).to(x_RAD.dtype)
        taps = {}
        for i, layer in enumerate(self.layers):
            x_RAD = layer(x_RAD, heard_RA)
            if i in self.taps:
                taps[i] = x_RAD
        states = [self.layer_norm(x_RAD), *(taps[i] for i in self.taps)]
        return tuple(self.out_proj(state.flatten(0, 1)[index_N]) for state in states)

    def stem(self, mel_RMF: Tensor, extents_R: Tensor | None) -> Tensor:
        """(R, A, D). `extents_R`: how many frames of each row are heard; None where all are.

        Long rows go in pieces, each with the 8 frames before it: that is as far back as the convolutions reach.
        """
        pieces = []
        for start in range(0, mel_RMF.shape[2], STEM_FRAMES):
            before = FRAMES_PER_TOKEN if start else 0
            x_RCMF = mel_RMF[:, None, :, start - before : start + STEM_FRAMES]
            left_R = None if extents_R is None else extents_R - start + before
            for conv in (self.conv1, self.conv2, self.conv3):
                x_RCMF = F.gelu(conv(x_RCMF))
                if left_R is not None:  # the next convolution must not hear padding
                    left_R = halved(left_R)
                    within_RF = torch.arange(x_RCMF.shape[3], device=left_R.device) < left_R[:, None]
                    x_RCMF = x_RCMF * within_RF[:, None, None, :]
            pieces.append(x_RCMF.permute(0, 3, 1, 2).flatten(2)[:, before // FRAMES_PER_TOKEN :])
        return self.stem_proj(torch.cat(pieces, dim=1))

    def _batches(self, mel_MF: Tensor, frames: Sequence[int]) -> Iterator[tuple[Tensor, list[Row]]]:
        """The rows of all audios in order, a bounded number of frames at once, padded on the right with 0."""
        batch: list[Row] = []
        pieces: list[Tensor] = []
        longest = 0
        for audio_MF, num_frames in zip(mel_MF.split(list(frames), dim=1), frames, strict=True):
            for row in rows(num_frames, self.block_frames):
                longest = max(longest, row.extent)
                if batch and longest * (len(batch) + 1) > self.frames_at_once:
                    yield _padded(pieces, batch), batch
                    batch, pieces, longest = [], [], row.extent
                batch.append(row)
                pieces.append(audio_MF[:, row.start : row.stop])
        yield _padded(pieces, batch), batch


class LanguageModel(nn.Module):
    """The parts of Qwen3 below the head; `AudioLM.read` walks through its layers."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([LanguageLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class AudioLM(nn.Module):
    """Sound and text in, logits of the next token out. Its state dict is the published layout."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        language = config.language_config
        widths = config.audio_config.output_dim, config.adapter_hidden_size, language.hidden_size
        self.audio_encoder = AudioEncoder(config.audio_config, config.encoder_attention)
        self.audio_adapter = GatedMLP(*widths)
        self.deepstack_audio_merger_list = nn.ModuleList([GatedMLP(*widths) for _ in range(config.num_taps)])
        self.language_model = LanguageModel(language)
        self.lm_head = LanguageHead(language.hidden_size, language.vocab_size)

    def forward(
        self,
        tokens_BT: Tensor,
        mel_MF: Tensor | None = None,
        frames: Sequence[int] = (),
        *,
        positions_BT: Tensor | None = None,
        sight: Sight = None,
    ) -> Tensor:
        """Logits (B, T, V). `frames` are the lengths of the audios that lie end to end in `mel_MF`.

        For sequences packed into rows, `positions_BT` and `sight` come from `attention.positions_in` and
        `attention.packed_sight`. Raises ValueError where placeholders and audio tokens do not match in number; without
        audio a placeholder is a token like any other.
        """
        heard = self.hear(mel_MF, frames) if mel_MF is not None and frames else None
        return self.lm_head(self.read(tokens_BT, heard, positions_BT=positions_BT, sight=sight))

    def hear(self, mel_MF: Tensor, frames: Sequence[int]) -> Heard:
        """Audio as the language model takes it in, computed in the encoder's precision."""
        audio_ND, taps_ND = self.audio_encoder(mel_MF.to(self.audio_encoder.conv1.weight.dtype), frames)
        merged = zip(self.deepstack_audio_merger_list, taps_ND, strict=False)
        return Heard(self.audio_adapter(audio_ND), tuple(merger(tap_ND) for merger, tap_ND in merged))

    def read(
        self,
        tokens_BT: Tensor,
        heard: Heard | None = None,
        *,
        positions_BT: Tensor | None = None,
        sight: Sight = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """What the head makes logits of, (B, T, E).

        With a `cache`, new tokens are read behind what it holds and kept in it; its `lengths_B` are the caller's to
        move on.
        """
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        language = self.config.language_config
        x_BTE = self.language_model.embed_tokens(tokens_BT)
        turn = rotation(positions_BT, language.head_dim, language.rope_theta, x_BTE.dtype)
        places_N = self._places(tokens_BT, heard)
        if heard is not None:
            x_BTE = _flat(x_BTE).index_copy(0, places_N, heard.audio_NE).view_as(x_BTE)  # audio takes its places
        for i, layer in enumerate(self.language_model.layers):
            x_BTE = layer(x_BTE, turn, sight, None if cache is None else cache.layer(i))
            if heard is not None and i < len(heard.taps_NE):  # DeepStack: they hear an earlier layer of the encoder
                x_BTE = _flat(x_BTE).index_add(0, places_N, heard.taps_NE[i]).view_as(x_BTE)
        return self.language_model.norm(x_BTE)

    def _places(self, tokens_BT: Tensor, heard: Heard | None) -> Tensor:
        """Where audio goes, as indices into all tokens row by row: (N,)."""
        if heard is None:
            return tokens_BT.new_empty(0)
        places_N = (tokens_BT.flatten() == self.config.audio_token_id).nonzero()[:, 0]
        if len(places_N) != len(heard.audio_NE):
            raise ValueError(
                f"the text has {len(places_N)} audio placeholders (id {self.config.audio_token_id}) and the audio "
                f"makes {len(heard.audio_NE)} tokens; render the prompt with the same number of mel frames"
            )
        return places_N


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Whisper's positions, (length, width): sines in the first half, cosines in the second; always float32."""
    step = math.log(10_000) / (width // 2 - 1)
    inverse = torch.exp(-step * torch.arange(width // 2, device=device, dtype=torch.float32))
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * inverse[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _flat(x_BTE: Tensor) -> Tensor:
    return x_BTE.flatten(0, 1)


def _padded(pieces: Sequence[Tensor], batch: Sequence[Row]) -> Tensor:
    longest = max(row.extent for row in batch)
    return torch.stack([F.pad(piece, (0, longest - piece.shape[1])) for piece in pieces])


def _heard(lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Where the tokens of rows of `lengths` lie among all, padded to the longest; and a mask where any is padded."""
    longest = max(lengths)
    index_N = torch.cat([torch.arange(length) + row * longest for row, length in enumerate(lengths)])
    if all(length == longest for length in lengths):
        return index_N.to(device), None
    heard_RA = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    return index_N.to(device), heard_RA.to(device)
