"""How far a checkpoint computed here is from reference activations of the published code.

A reference folder is a checkpoint and `cases.safetensors`, which holds for each case number n the tensors
`n.waveform` (time,), `n.mel` (128, frames), `n.input_ids` and `n.labels` (1, T), `n.logits` (1, T, V), `n.loss` (1,),
`n.greedy_ids` (1, new tokens), and where they were kept `n.encoder_out` and `n.tap0`, `n.tap1`, ... (1, N, D).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.checkpoint import load, read_config
from model.config import ModelConfig
from model.frames import num_audio_tokens
from model.generate import generate_ids
from model.head import IGNORE
from model.mel import log_mel
from model.model import AudioLM
from schemas.errors import InputError

CASES = "cases.safetensors"
ALLOWED = {"mel": 1e-5, "encoder_out": 1e-4, "tap": 1e-4, "logits": 1e-4, "loss": 1e-4, "greedy_ids": 0.0}
"""The largest absolute difference in float32. Of `greedy_ids` none may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One quantity of one case: the largest absolute difference, or for ids how many differ."""

    case: str
    quantity: str
    largest: float
    allowed: float

    @property
    def ok(self) -> bool:
        return self.largest <= self.allowed  # false also for NaN


def check(folder: Path, device: str = "cpu") -> list[Comparison]:
    """Compare everything `folder` has a reference for, in float32.

    Raises InputError where there are no cases or a case lacks its inputs.
    """
    cases = _cases(folder)
    config = read_config(folder)
    config = replace(config, audio_token_id=_audio_token_id(folder, cases, config))
    model = load(folder, config=config, dtype=torch.float32, device=device).eval()
    with torch.inference_mode():
        return [found for name, case in cases.items() for found in _compare(model, name, case, device)]


def _compare(model: AudioLM, name: str, case: Mapping[str, Tensor], device: str) -> Iterator[Comparison]:
    mel_MF = torch.from_numpy(log_mel(case["waveform"].flatten().numpy()))
    yield _difference(name, "mel", mel_MF, case)
    mel_MF, tokens_BT = mel_MF.to(device), case["input_ids"].to(device)
    frames = [mel_MF.shape[1]]
    last_ND, taps_ND = model.audio_encoder(mel_MF, frames)
    yield _difference(name, "encoder_out", last_ND, case)
    for index, tap_ND in enumerate(taps_ND):
        yield _difference(name, f"tap{index}", tap_ND, case)
    x_BTE = model.read(tokens_BT, model.hear(mel_MF, frames))
    yield _difference(name, "logits", model.lm_head(x_BTE), case)
    if "labels" in case:
        targets_BT = torch.full_like(tokens_BT, IGNORE)
        targets_BT[:, :-1] = case["labels"][:, 1:]
        yield _difference(name, "loss", model.lm_head.loss(x_BTE, targets_BT).mean[None], case)
    if "greedy_ids" in case:
        said = generate_ids(model, tokens_BT, mel_MF, frames, case["greedy_ids"].shape[1])
        yield _difference(name, "greedy_ids", said, case)


def _difference(name: str, quantity: str, ours: Tensor, case: Mapping[str, Tensor]) -> Comparison:
    allowed = ALLOWED[quantity.rstrip("0123456789")]
    if quantity not in case:
        return None
    theirs = case[quantity]
    ours = ours.cpu().reshape(-1) ...
