"""The published model to the letter, slowly, for ours to be compared with: transformers' layers, hooks and loops."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Qwen3Config, WhisperConfig, WhisperFeatureExtractor
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from model.checkpoint import save
from model.config import EncoderConfig, LanguageConfig, ModelConfig, Scope
from model.model import AudioLM

BOS, EOS, DIGITS = 6, 7, range(20, 30)


class PublishedMLP(nn.Module):
    def __init__(self, width_in: int, width_inner: int, width_out: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width_in, width_inner, bias=False)
        self.up_proj = nn.Linear(width_in, width_inner, bias=False)
        self.down_proj = nn.Linear(width_inner, width_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(nn.SiLU()(self.gate_proj(x)) * self.up_proj(x))


class PublishedEncoder(nn.Module):
    def __init__(self, config: EncoderConfig, scope: Scope) -> None:
        super().__init__()
        channels, width = config.downsample_hidden_size, config.d_model
        self.config, self.scope = config, scope
        self.conv1 = nn.Conv2d(1, channels, 3, 2, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.conv3 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.stem_proj = nn.Linear(channels * 16, width)
        theirs = WhisperConfig(
            d_model=width,
            encoder_attention_heads=config.encoder_attention_heads,
            encoder_ffn_dim=config.encoder_ffn_dim,
            attn_implementation="eager",
        )
        self.layers = nn.ModuleList([WhisperEncoderLayer(theirs) for _ in range(config.encoder_layers)])
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.out_proj = nn.Identity() if config.output_dim == width else nn.Linear(width, config.output_dim, bias=False)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """The last layer and the taps, each (1, tokens, width)."""
        block = mel.shape[1] if self.scope is Scope.FULL else 2 * self.config.n_window
        blocks = mel.T.split(block)
        x = nn.utils.rnn.pad_sequence(blocks, batch_first=True).transpose(1, 2)[:, None]
        for conv in (self.conv1, self.conv2, self.conv3):
            x = nn.functional.gelu(conv(x))
        channels = [x[:, channel, band] for channel in range(x.shape[1]) for band in range(16)]
        x = self.stem_proj(torch.stack(channels, dim=-1))
        lengths = [-(-len(block) // 8) for block in blocks]
        x = x[:, : max(lengths)]
        width = x.shape[2]
        for place in range(x.shape[1]):
            turns = torch.tensor([place * math.exp(-i * math.log(10_000) / (width / 2 - 1)) for i in range(width // 2)])
            x[:, place] += torch.cat([turns.sin(), turns.cos()])
        padding = torch.arange(x.shape[1])[None] >= torch.tensor(lengths)[:, None]
        mask = padding.float()[:, None, None] * torch.finfo(torch.float32).min
        tapped: dict[int, Tensor] = {}
        for index, layer in enumerate(self.layers):
            out = layer(x, mask)
            tapped[index] = x = out if isinstance(out, Tensor) else out[0]
        indexes = list(self.config.deepstack_encoder_layer_indexes)
        if self.scope is Scope.FULL:  # the first release appended them as it met them
            indexes.sort()
        states = [self.layer_norm(x), *(tapped[index] for index in indexes)]
        return [torch.cat([state[b, :n] for b, n in enumerate(lengths)])[None] for state in map(self.out_proj, states)]


class Published(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        audio, language = config.audio_config, config.language_config
        self.config = config
        self.audio_encoder = PublishedEncoder(audio, config.encoder_attention)
        widths = audio.output_dim, config.adapter_hidden_size, language.hidden_size
        self.audio_adapter = PublishedMLP(*widths)
        merged = min(len(audio.deepstack_encoder_layer_indexes), config.deepstack_num_inject_layers)
        self.deepstack_audio_merger_list = nn.ModuleList([PublishedMLP(*widths) for _ in range(merged)])
        self.language_model = Qwen3Model(_qwen3(language))
        self.lm_head = nn.Linear(language.hidden_size, language.vocab_size, bias=False)

    def forward(self, ids: Tensor, states: Sequence[Tensor], here: Tensor) -> Tensor:
        """Logits. `states` are what the encoder gave; `here` is where audio goes."""
        embedded = self.language_model.embed_tokens(ids).masked_scatter(here[..., None], self.audio_adapter(states[0]))
        hooks = []
        merged = zip(self.deepstack_audio_merger_list, states[1:], strict=False)
        for (merger, state), layer in zip(merged, self.language_model.layers, strict=False):
            hooks.append(layer.register_forward_hook(_adding(merger(state)[0], here)))
        out = self.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        for hook in hooks:
            hook.remove()
        return self.lm_head(out)


def _adding(told: Tensor, here: Tensor) -> Callable[..., Tensor]:
    def add(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        out = out.clone()
        out[here] += told
        return out

    return add


def _qwen3(c: LanguageConfig) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=c.vocab_size, hidden_size=c.hidden_size, intermediate_size=c.intermediate_size,
        num_hidden_layers=c.num_hidden_layers, num_attention_heads=c.num_attention_heads,
        num_key_value_heads=c.num_key_value_heads, head_dim=c.head_dim, rms_norm_eps=c.rms_norm_eps,
        rope_parameters={"rope_theta": c.rope_theta, "rope_type": "default"},
    )  # fmt: skip


def marked_span(num_tokens: int, audio_token_id: int) -> list[int]:
    """Placeholders, and after every 25 of them the second in digits."""
    ids = [BOS]
    for number in range(1, num_tokens + 1):
        ids.append(audio_token_id)
        if number % 25 == 0:
            ids += [DIGITS[int(digit)] for digit in str(number // 25 * 2)]
    return [*ids, EOS]


@torch.no_grad()
def write_references(folder: Path, model: AudioLM, lengths: Sequence[int], *, text: Sequence[int]) -> None:
    """A reference folder of `model` as the published code computes it: a case for each of `lengths`, in samples."""
    config = model.config
    theirs = Published(config).eval()
    theirs.load_state_dict(model.state_dict(), strict=True)
    extractor = WhisperFeatureExtractor(feature_size=128)
    tensors: dict[str, Tensor] = {}
    for case, num_samples in enumerate(lengths):
        chance = np.random.default_rng(case)
        samples = np.sin(np.arange(num_samples) * 0.1 * (case + 1)) * 0.3 + chance.standard_normal(num_samples) * 0.05
        waveform = samples.astype(np.float32)
        mel = torch.from_numpy(extractor._np_extract_fbank_features(waveform[None], "cpu")[0])
        states = theirs.audio_encoder(mel)
        start = [8, 40, 41, *marked_span(-(-mel.shape[1] // 8), config.audio_token_id)]
        ids = torch.tensor([[*start, *text]])
        labels = ids.clone()
        labels[:, : len(start) + 3] = -100
        here = ids == config.audio_token_id
        logits = theirs(ids, states, here)
        said, grown = [], ids
        for _ in range(3):
            last = theirs(grown, states, nn.functional.pad(here, (0, len(said))))[:, -1]
            said.append(last.argmax(dim=1, keepdim=True))
            grown = torch.cat([ids, *said], dim=1)
        found = {
            "waveform": torch.from_numpy(waveform), "mel": mel, "input_ids": ids, "labels": labels, "logits": logits,
            "loss": nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:]).reshape(1),
            "greedy_ids": torch.cat(said, dim=1),
            "encoder_out": states[0], **{f"tap{index}": state for index, state in enumerate(states[1:])},
        }  # fmt: skip
        tensors |= {f"{case}.{name}": tensor.contiguous() for name, tensor in found.items()}
    save(model, folder, config=config)
    save_file(tensors, folder / "cases.safetensors")


def edit_config(folder: Path, **changed: object) -> None:
    """Other values at the top of `config.json`; ... takes one away."""
    body = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps({key: value for key, value in body.items() if value is not ...}))
