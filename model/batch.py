"""A pack on its way through the model: arrays become tensors on a device, and a loss.

B rows   T tokens   M mel bands   F mel frames   N targets
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from model.attention import Sight, packed_sight, positions_in
from model.head import TokenLoss
from model.model import AudioLM, Heard
from model.packing import Layout, Pack
from model.parallel import heard_by_all


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What the model takes. `sight` keeps documents apart; None where each row is one document, padded on the right."""

    tokens_BT: Tensor
    targets_BT: Tensor
    positions_BT: Tensor
    sight: Sight
    mel_MF: Tensor
    frames: tuple[int, ...]

    @classmethod
    def of(cls, pack: Pack, device: torch.device | str, layout: Layout = Layout.PACKED) -> Self:
        tokens_BT, targets_BT, documents_BT = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (pack.tokens_BT, pack.targets_BT, pack.documents_BT)
        )
        return cls(
            tokens_BT=tokens_BT,
            targets_BT=targets_BT,
            positions_BT=positions_in(documents_BT),
            sight=packed_sight(documents_BT) if layout is Layout.PACKED else None,
            mel_MF=torch.from_numpy(pack.mel_MF).to(device, non_blocking=True),
            frames=pack.frames,
        )


def next_token_loss(model: AudioLM, batch: Batch, *, shared: bool = False) -> TokenLoss:
    """Cross entropy of every target, added up. `shared`: the model is that of several ranks, who step together."""
    if shared:
        heard: Heard | None = heard_by_all(model, batch.mel_MF, batch.frames)
    else:
        heard = model.hear(batch.mel_MF, batch.frames) if batch.frames else None
    x_BTE = model.read(batch.tokens_BT, heard, positions_BT=batch.positions_BT, sight=batch.sight)
    return model.lm_head.loss(x_BTE, batch.targets_BT)
