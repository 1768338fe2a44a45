"""Training of the tagger: python -m segmenters.tagging.train SHARED OUT.onnx

Needs torch, which what it makes does not. The same folder gives the same scenes in the same order.
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segmenters.tagging.card import with_facts
from segmenters.tagging.corpus import clip_list, recordings_in
from segmenters.tagging.features import FRAMES_PER_TAG, NUM_BANDS
from segmenters.tagging.network import Average, TaggerNetwork
from segmenters.tagging.scenes import UNKNOWN, Composer, Source, source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    networks: int = 1  # averaged in what ships
    steps: int = 2_000  # of each
    batch: int = 8
    rate: float = 2e-3
    decay: float = 0.03
    memory: float = 0.998  # of the running mean of the weights
    fine_weight: float = 0.5
    variants: int = 6  # of each recording


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with clips, speech, digits and music")
    parser.add_argument("out", type=Path, help="where the ONNX file goes; a CARD.md beside it is brought up to date")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training = Training()
    free = [recording for recording in recordings_in(arguments.shared) if recording.trainable]
    export(trained([source_of(recording, training.variants) for recording in free], training), arguments.out)
    card = arguments.out.with_name("CARD.md")
    if card.is_file():
        card.write_text(with_facts(card.read_text(), arguments.out.read_bytes(), clip_list(arguments.shared / "clips")))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, from {len(free)} recordings")


def trained(sources: Sequence[Source], training: Training) -> Average:
    """Networks that have heard these sources, averaged."""
    return Average([_one(sources, training, seed) for seed in range(training.networks)]).eval()


def export(model: Average, out: Path) -> None:
    example = torch.zeros(1, 4 * FRAMES_PER_TAG, NUM_BANDS)
    torch.onnx.export(
        model,
        (example,),
        str(out),
        input_names=["features"],
        output_names=["coarse"],
        dynamic_axes={"features": {0: "batch", 1: "frames"}},
        dynamo=False,
    )


def _one(sources: Sequence[Source], training: Training, seed: int) -> TaggerNetwork:
    torch.manual_seed(seed)
    network: TaggerNetwork = TaggerNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kept: TaggerNetwork = deepcopy(network)
    composer = Composer(sources, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=training.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.rate, total_steps=training.steps, pct_start=0.15)
    for step in range(training.steps):
        features, coarse, fine = (torch.from_numpy(part) for part in composer.batch(training.batch))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            said_coarse, said_fine = network(features)
        loss = _loss(said_coarse, coarse) + training.fine_weight * _loss(said_fine, fine)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        _remember(kept, network, min(training.memory, (1 + step) / (10 + step)))
        if step % 50 == 49:
            print(f"network {seed}, step {step + 1} of {training.steps}: loss {loss.item():.4f}", flush=True)
    kept.eval()
    return kept


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the targets that are known; a present class counts twice, because it is rare."""
    known = (targets != UNKNOWN).float()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits.float(), targets.clamp(0.02, 0.98), reduction="none", pos_weight=torch.tensor(2.0)
    )
    return (losses * known).sum() / known.sum()


@torch.no_grad()
def _remember(kept: nn.Module, network: nn.Module, memory: float) -> None:
    for mean, now in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - memory)


if __name__ == "__main__":
    main()
