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

from model.checkpoint import load, read_config
from model.config import IGNORE
from model.decoding import greedy_ids
from model.frames import num_audio_tokens, num_mel_frames
from model.mel import log_mel
from model.model import AudioLM
from model.prompt import Prompt
from model.tokens import PROCESSOR_FILE
from schemas.errors import InputError

CASES = "cases.safetensors"
NEEDED = ("waveform", "input_ids")
ALLOWED = {"mel": 1e-5, "encoder_out": 1e-4, "tap": 1e-4, "logits": 1e-4, "loss": 1e-4, "greedy_ids": 0.0}
"""The largest absolute difference in float32, for references of the order of one. Of `greedy_ids` none may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One quantity of one case: the largest absolute difference, or for ids how many differ.

    It is infinite where the numbers are not as many, or the model has none to compare. Where the root mean square of
    the reference, for the loss that of the logits, is above one, so many times more is allowed: float32 has so many
    digits, wherever the point is.
    """

    case: str
    quantity: str
    largest: float
    allowed: float

    @property
    def ok(self) -> bool:
        return self.largest <= self.allowed  # false also for NaN


def check(folder: Path, device: str = "cpu") -> list[Comparison]:
    """Compare everything `folder` has a reference for, in float32.

    Raises InputError where there are no cases, a case lacks its inputs, or its ids and its waveform do not belong
    together.
    """
    cases = _cases(folder)
    model = load(folder, config=read_config(folder), dtype=torch.float32, device=device)
    with torch.inference_mode():
        model.config = replace(model.config, audio_token_id=_audio_token_id(model, cases, device))
        return [found for name, case in cases.items() for found in _compare(model, name, case, device)]


def _compare(model: AudioLM, name: str, case: Mapping[str, Tensor], device: str) -> Iterator[Comparison]:
    mel_MF = _mel(name, case)
    _check_ids(model, name, case, mel_MF.shape[1])
    computed = dict(_computed(model, mel_MF, case, device))
    for quantity in [*computed, *sorted(case.keys() - computed.keys())]:
        kind = quantity.rstrip("0123456789")
        if quantity in case and kind in ALLOWED:
            largest = _difference(quantity, computed.get(quantity), case[quantity])
            allowed = ALLOWED[kind] * _scale(case, "logits" if kind == "loss" else quantity)
            yield Comparison(case=name, quantity=quantity, largest=largest, allowed=allowed)


def _mel(name: str, case: Mapping[str, Tensor]) -> Tensor:
    try:
        return torch.from_numpy(log_mel(case["waveform"].float().squeeze(0).numpy()))
    except InputError as error:
        raise InputError(f"case {name}: {error}") from error


def _check_ids(model: AudioLM, name: str, case: Mapping[str, Tensor], num_frames: int) -> None:
    ids, vocab_size = case["input_ids"], model.config.language_config.vocab_size
    if ids.ndim != 2 or len(ids) != 1 or ids.is_floating_point():
        raise InputError(f"case {name}: input_ids is {ids.dtype} of shape {list(ids.shape)}; it must be ids, (1, T)")
    if not 0 <= ids.min() <= ids.max() < vocab_size:
        raise InputError(
            f"case {name}: ids go from {ids.min()} to {ids.max()}, and the model has the tokens 0 to {vocab_size - 1}"
        )
    if (found := int((ids == model.config.audio_token_id).sum())) != (wanted := num_audio_tokens(num_frames)):
        raise InputError(
            f"case {name}: input_ids has {found} audio placeholders (id {model.config.audio_token_id}) and the "
            f"waveform makes {wanted} audio tokens"
        )
    if "labels" in case and case["labels"].shape != ids.shape:
        raise InputError(f"case {name}: labels has the shape {list(case['labels'].shape)}, input_ids {list(ids.shape)}")


def _computed(model: AudioLM, mel_MF: Tensor, case: Mapping[str, Tensor], device: str) -> Iterator[tuple[str, Tensor]]:
    """What the code here makes of the case's waveform and ids, quantity by quantity."""
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


def _scale(case: Mapping[str, Tensor], quantity: str) -> float:
    """The root mean square of a reference, at least one."""
    return max(1.0, float(case[quantity].double().square().mean().sqrt())) if quantity in case else 1.0


def _difference(quantity: str, ours: Tensor | None, theirs: Tensor) -> float:
    if ours is None or ours.numel() != theirs.numel():
        return float("inf")
    ours, theirs = ours.cpu().flatten(), theirs.flatten()
    if quantity == "greedy_ids":
        return float((ours != theirs).sum())
    return float((ours.double() - theirs.double()).abs().max())


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


def _audio_token_id(model: AudioLM, cases: Mapping[str, Mapping[str, Tensor]], device: str) -> int:
    """The placeholder. References come without a processor, so it may have to be found: the id that occurs in every
    case as often as its audio has tokens, and if there are several, the one that brings the logits of the shortest."""
    named = model.config.audio_token_id
    if any((case["input_ids"] == named).any() for case in cases.values()):
        return named
    candidates = set.intersection(*map(_candidates, cases.values()))
    told = [(case["input_ids"].numel(), name) for name, case in cases.items() if "logits" in case]
    if len(candidates) == 1:
        return candidates.pop()
    if not candidates or not told:
        raise InputError(
            f"{'more than' if candidates else 'no'} one id of `input_ids` occurs in every case as often as its audio "
            f"has tokens; name the placeholder as audio_token_id in {PROCESSOR_FILE}"
        )
    _, shortest = min(told)
    case = cases[shortest]
    mel_MF = _mel(shortest, case).to(device)
    heard = model.hear(mel_MF, [mel_MF.shape[1]])

    def largest(token: int) -> float:
        model.config = replace(model.config, audio_token_id=token)
        _check_ids(model, shortest, case, mel_MF.shape[1])
        return _difference("logits", model.lm_head(model.read(case["input_ids"].to(device), heard)), case["logits"])

    return min(sorted(candidates), key=largest)


def _candidates(case: Mapping[str, Tensor]) -> set[int]:
    wanted = num_audio_tokens(num_mel_frames(case["waveform"].numel()))
    return {token for token, count in Counter(case["input_ids"].flatten().tolist()).items() if count == wanted}
