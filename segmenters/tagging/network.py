"""The network: convolutions over time and frequency, then over time alone.

Letters name the axes of a tensor. B batch   T frames of 20 ms   F bands   N tags of 160 ms   D channels   C classes
"""

import torch
from torch import Tensor, nn

from segmenters.tagging.features import NUM_BANDS
from segmenters.tagging.labels import CLASSES, FINE, UNTAUGHT


class TaggerNetwork(nn.Module):
    """Logits of the coarse classes and of the fine labels for each tag; about 0.4 M parameters."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = _conv(2, 32, 5, stride=2)
        self.rooms = nn.Sequential(
            _conv(32, 48, 3),
            nn.AvgPool2d(2),
            _conv(48, 64, 3),
            _Residual(64),
            nn.AvgPool2d(2),
            _conv(64, 96, 3),
            _Residual(96),
            nn.AvgPool2d((1, 2)),
        )
        width = 128
        self.flatten = nn.Conv2d(96, width, (1, NUM_BANDS // 16))
        self.over_time = nn.ModuleList(_TimeBlock(width, dilation, dropout) for dilation in (1, 2))
        self.dropout = nn.Dropout(dropout)
        self.coarse = nn.Linear(2 * width, len(CLASSES))
        self.fine = nn.Linear(2 * width, len(FINE))
        self.register_buffer("taught", torch.tensor([float(name not in UNTAUGHT) for name in CLASSES]))

    def forward(self, features_BTF: Tensor) -> tuple[Tensor, Tensor]:
        x_BDTF = self.rooms(self.stem(_with_change(features_BTF)))
        x_BDN = torch.relu(self.flatten(x_BDTF)[..., 0])
        for block in self.over_time:
            x_BDN = block(x_BDN)
        around_BDN = nn.functional.avg_pool1d(x_BDN, 9, stride=1, padding=4)
        x_BND = self.dropout(torch.cat([x_BDN, around_BDN], dim=1).transpose(1, 2))
        return self.coarse(x_BND), self.fine(x_BND)


class Average(nn.Module):
    """What ships: the mean of the logits of several networks as probabilities; classes never taught are 0."""

    def __init__(self, networks: list[TaggerNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, features_BTF: Tensor) -> Tensor:
        coarse_BNC = torch.stack([network(features_BTF)[0] for network in self.networks]).mean(0)
        taught: Tensor = self.networks[0].taught  # type: ignore[assignment]
        return coarse_BNC.sigmoid() * taught


def _with_change(features_BTF: Tensor) -> Tensor:
    """Each band as it is, and against its own mean of the second around, which no filter of a microphone alters."""
    bands_BFT = features_BTF.transpose(1, 2)
    around_BFT = nn.functional.avg_pool1d(bands_BFT, 51, stride=1, padding=25, count_include_pad=False)
    return torch.stack([features_BTF, (bands_BFT - around_BFT).transpose(1, 2)], dim=1)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.conv(x)
        return added


class _TimeBlock(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BDN: Tensor) -> Tensor:
        added: Tensor = x_BDN + torch.relu(self.norm(self.conv(self.dropout(x_BDN))))
        return added


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())
