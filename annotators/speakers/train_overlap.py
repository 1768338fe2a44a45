"""Training of the overlap detector: python -m annotators.speakers.train_overlap SHARED OUT.onnx

Needs torch, which what it makes does not. The same folder gives the same scenes in the same order.

Letters name the axes of a tensor. B batch   T frames of 20 ms   F features   N steps of 40 ms   D channels
"""

import argparse
import json
from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn

from annotators.speakers.mixtures import UNKNOWN, Composer, Speaker, takes_of
from annotators.speakers.overlap import FEATURES, NUM_MELS, RATE_HZ
from schemas.errors import InputError

READ_ALOUD = (
    "libri_1088",
    "libri_198",
    "libri_2412",
    "libri_3436",
    "lj",
)  # what the names of a voice's files begin with
COUNTING = ("george", "jackson", "nicolas")
FREE = ("CC0", "CC-BY")
VOICED = ("laughing", "crying_baby", "breathing", "coughing", "sneezing", "snoring")  # clips that are a voice
DIGIT_STRINGS = 4  # of each speaker, of 12 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    steps: int = 900
    batch: int = 16
    rate: float = 3e-3
    decay: float = 0.03
    memory: float = 0.995  # of the running mean of the weights
    voices: int = 40  # made of each speaker
    width: int = 96
    dropout: float = 0.2


class OverlapNetwork(nn.Module):
    """Logits of two voices at once, for each step."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.shape = nn.Sequential(
            _conv(2, 16, (3, 5), (1, 2)), _conv(16, 24, (3, 3), (2, 2)), _conv(24, 32, (3, 3), (1, 2))
        )
        self.periods = nn.Sequential(
            _conv(1, 16, (3, 9), (1, 2)), _conv(16, 24, (3, 7), (2, 2)), _conv(24, 24, (3, 5), (1, 2))
        )
        self.together = nn.Sequential(
            nn.Dropout(dropout), nn.Conv1d(32 * 8 + 24 * 12, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.over_time = nn.ModuleList(_TimeBlock(width, dilation, dropout) for dilation in (1, 2, 4, 8))
        self.out = nn.Conv1d(width, 1, 1)

    def forward(self, features_BTF: Tensor) -> Tensor:
        mels_BTF = features_BTF[..., :NUM_MELS]
        mean_BTF = nn.functional.avg_pool1d(
            mels_BTF.transpose(1, 2), 101, stride=1, padding=50, count_include_pad=False
        ).transpose(1, 2)
        shape = self.shape(torch.stack([mels_BTF, mels_BTF - mean_BTF], dim=1))
        periods = self.periods(features_BTF[:, None, :, NUM_MELS:])
        x_BDN = torch.cat([part.permute(0, 1, 3, 2).flatten(1, 2) for part in (shape, periods)], dim=1)
        x_BDN = self.together(x_BDN)
        for block in self.over_time:
            x_BDN = block(x_BDN)
        logits: Tensor = self.out(x_BDN)[:, 0]
        return logits


class _TimeBlock(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BDN: Tensor) -> Tensor:
        added: Tensor = x_BDN + torch.relu(self.norm(self.conv(self.dropout(x_BDN))))
        return added


class _Scores(nn.Module):
    """What ships."""

    def __init__(self, network: OverlapNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features_BTF: Tensor) -> Tensor:
        scores: Tensor = self.network(features_BTF).sigmoid()
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with speech, digits, clips and music")
    parser.add_argument("out", type=Path, help="where the ONNX file goes")
    parser.add_argument("--without", nargs="*", default=[], help="speakers never to be heard, for judging")
    parser.add_argument("--steps", type=int, default=Training().steps)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    speakers = speakers_in(arguments.shared, arguments.without)
    training = Training(steps=arguments.steps)
    export(trained(speakers, noises_in(arguments.shared), training), arguments.out)
    size_kb = arguments.out.stat().st_size / 1e3
    print(f"{arguments.out}: {size_kb:.0f} kB, from {', '.join(speaker.name for speaker in speakers)}")


def speakers_in(shared: Path, without: Collection[str] = ()) -> list[Speaker]:
    """Whoever reads aloud or counts in these folders; the conversations there are left to judge by."""
    found = []
    for name in READ_ALOUD:
        files = sorted((shared / "speech").glob(f"{name}*"))
        if files and name not in without:
            found.append(Speaker(name=name, recordings=tuple(_read(file) for file in files)))
    for name in COUNTING:
        files = sorted((shared / "digits").glob(f"*_{name}_*.wav"))
        if files and name not in without:
            found.append(Speaker(name=name, recordings=tuple(_counted(files, len(name)))))
    if len(found) < 2:
        raise InputError(f"{shared} holds {len(found)} speakers in speech and digits; two voices at once need two")
    return found


def noises_in(shared: Path) -> list[np.ndarray]:
    """Sounds and music that may be used in a product and are no voices."""
    clips = json.loads((shared / "clips" / "clips.json").read_text())
    names = [c["file"] for c in clips if c["licence"] in FREE and c["label"] not in VOICED]
    files = [shared / "clips" / name for name in names]
    return [_read(file) for file in [*files, *[shared / "music" / "hungarian.ogg"] * 8]]


def trained(speakers: Sequence[Speaker], noises: Sequence[np.ndarray], training: Training, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    voices = [takes_of(speaker, training.voices, seed + index) for index, speaker in enumerate(speakers)]
    print(f"{len(voices)} speakers, {training.voices} voices of each", flush=True)
    network = OverlapNetwork(training.width, training.dropout)
    kept = deepcopy(network)
    composer = Composer(voices, noises, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=training.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.rate, total_steps=training.steps, pct_start=0.15)
    losses = []
    for step in range(training.steps):
        features, targets = (torch.from_numpy(part) for part in composer.batch(training.batch))
        loss = _loss(network(features), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        _remember(kept, network, min(training.memory, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1} of {training.steps}: loss {np.mean(losses[-50:]):.4f}", flush=True)
    return _Scores(kept).eval()


def export(model: nn.Module, out: Path) -> None:
    torch.onnx.export(
        model,
        (torch.zeros(1, 200, FEATURES),),
        str(out),
        input_names=["features"],
        output_names=["overlap"],
        dynamic_axes={"features": {0: "batch", 1: "frames"}},
        dynamo=False,
    )
    _halve(out)


def _halve(file: Path) -> None:
    """Stores the weights in half precision, which the runtime widens as it loads them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(file)
    casts = []
    for weight in [one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT]:
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}_half")
        casts.append(helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(weight)
        model.graph.initializer.append(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the targets that are known."""
    known = (targets != UNKNOWN).float()
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets.clamp(0.02, 0.98), reduction="none")
    return (losses * known).sum() / known.sum()


@torch.no_grad()
def _remember(kept: nn.Module, network: nn.Module, memory: float) -> None:
    for mean, now in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - memory)


def _conv(inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    padding = (size[0] // 2, size[1] // 2)
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _counted(files: Sequence[Path], seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for _ in range(DIGIT_STRINGS):
        said: list[np.ndarray] = []
        while sum(map(len, said)) < 12 * RATE_HZ:
            gap = np.zeros(int(rng.uniform(0.0, 0.15) * RATE_HZ), np.float32)
            digit = _read(files[int(rng.integers(len(files)))])
            said += [digit / np.float32(max(1e-4, np.abs(digit).max())), gap]
        yield np.concatenate(said)


def _read(file: Path) -> np.ndarray:
    """float32 at 16 kHz, mono."""
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    mono: np.ndarray = samples.mean(axis=1)
    return mono if rate_hz == RATE_HZ else np.asarray(soxr.resample(mono, rate_hz, RATE_HZ), np.float32)


if __name__ == "__main__":
    main()
