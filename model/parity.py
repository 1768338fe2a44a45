"""How far a checkpoint computed here is from reference activations of the published code.

A reference folder is a checkpoint and `cases.safetensors`, which holds for each case number n the tensors
`n.waveform` (time,), `n.mel` (128, frames), `n.input_ids` and `n.labels` (1, T), `n.logits` (1, T, V), `n.loss` (1,),
`n.greedy_ids` (1, new tokens), and where they were kept `n.encoder_out` and `n.tap0`, `n.tap1`, ... (1, N, D).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.checkpoint import PROCESSOR_CONFIG, load, read_config
from model.config import IGNORE
from model.decoding import greedy_ids
from model.frames import num_audio_tokens, num_mel_frames
from model.mel import log_mel
from model.model import AudioLM
from model.prompt import Prompt
from schemas.errors import InputError

CASES = "cases.safetensors"
NEEDED = ("waveform", "input_ids")
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
    if not (folder / PROCESSOR_CONFIG).exists():
        config = replace(config, audio_token_id=_audio_token_id(cases))
    model = load(folder, config=config, dtype=torch.float32, device=device)
    with torch.inference_mode():
        return [found for name, case in cases.items() for found in _compare(model, name, case, device)]


def _compare(model: AudioLM, name: str, case: Mapping[str, Tensor], device: str) -> Iterator[Comparison]:
    for quantity, ours in _computed(model, case, device):
        if quantity in case:
            yield _difference(name, quantity, ours, case)


def _computed(model: AudioLM, case: Mapping[str, Tensor], device: str) -> Iterator[tuple[str, Tensor]]:
    """What the code here makes of the case's waveform and ids, quantity by quantity."""
    mel_MF = torch.from_numpy(log_mel(case["waveform"].flatten().numpy()))
    yield "mel", mel_MF
    mel_MF, tokens_BT, frames = mel_MF.to(device), case["input_ids"].to(device), [mel_MF.shape[1]]
    last_ND, taps_ND = model.audio_encoder(mel_MF, frames)
    yield "encoder_out", last_ND
    yield from ((f"tap{index}", tap_ND) for index, tap_ND in enumerate(taps_ND))
    x_BTE = model.read(tokens_BT, model.hear(mel_MF, frames))
    yield "logits", model.lm_head(x_BTE)
    if "labels" in case:
        targets_BT = torch.full_like(tokens_BT, IGNORE)
        targets_BT[:, :-1] = case["labels"].to(device)[:, 1:]
        yield "loss", model.lm_head.loss(x_BTE, targets_BT).mean
    if "greedy_ids" in case:
        prompt = Prompt(ids=tuple(case["input_ids"].flatten().tolist()), frames=tuple(frames))
        yield "greedy_ids", greedy_ids(model, [(prompt, (mel_MF.cpu().numpy(),))], case["greedy_ids"].numel())


def _difference(name: str, quantity: str, ours: Tensor, case: Mapping[str, Tensor]) -> Comparison:
    ours, theirs = ours.cpu(), case[quantity]
    if ours.numel() != theirs.numel():
        largest = float("inf")
    elif quantity == "greedy_ids":
        largest = float((ours.flatten() != theirs.flatten()).sum())
    else:
        largest = float((ours.flatten().double() - theirs.flatten().double()).abs().max())
    return Comparison(case=name, quantity=quantity, largest=largest, allowed=ALLOWED[quantity.rstrip("0123456789")])


def _cases(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The tensors of each case by name, in the order of the cases' numbers."""
    try:
        tensors = load_file(folder / CASES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} holds no {CASES}: there is no reference to compare with") from error
    except SafetensorError as error:
        raise InputError(f"{folder / CASES} is damaged: {error}") from error
    cases: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, quantity = key.partition(".")
        cases.setdefault(name, {})[quantity] = tensor
    for name, case in cases.items():
        if lacking := [quantity for quantity in NEEDED if quantity not in case]:
            raise InputError(f"{folder / CASES}: case {name} lacks {', '.join(lacking)}")
    if not cases:
        raise InputError(f"{folder / CASES} holds no cases")
    return dict(sorted(cases.items(), key=lambda item: (len(item[0]), item[0])))


def _audio_token_id(cases: Mapping[str, Mapping[str, Tensor]]) -> int:
    """The id that occurs in every case as often as its audio has tokens: references come without a processor."""
    candidates: set[int] | None = None
    for case in cases.values():
        wanted = num_audio_tokens(num_mel_frames(case["waveform"].numel()))
        counts = Counter(case["input_ids"].flatten().tolist())
        these = {token for token, count in counts.items() if count == wanted}
        candidates = these if candidates is None else candidates & these
    if not candidates or len(candidates) > 1:
        raise InputError(
            "no one id of `input_ids` occurs in every case as often as its audio has tokens; name the placeholder as "
            "audio_token_id in processor_config.json"
        )
    return candidates.pop()
