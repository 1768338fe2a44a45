"""Taggers of AudioSet in the format of the real one, small and random: config, feature extractor and safetensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from schemas import audioset
from schemas.weights import Weights
from segmenters.audioset.tagger import AudioSetTaggerConfig

NAMES = tuple(label.name for label in audioset.labels())
FRAMES = 256  # of 10 ms: what the small network hears


def save(
    folder: Path,
    order: Sequence[int] | None = None,
    names: Sequence[str] = NAMES,
    *,
    frames: int = FRAMES,
    heard: Mapping[str, float] | None = None,
    **sizes: object,
) -> Path:
    """An Audio Spectrogram Transformer whose label at place i is `names[order[i]]`; otherwise always the same.

    `heard` are names with the logit they have on average, where it is another than -4.

    Its weights are wide enough that different sounds score differently, and most classes score low.
    """
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.set_num_threads(1)
    order = list(range(len(names))) if order is None else list(order)
    written = [names[index] for index in order]
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = ASTConfig(
        **(small | sizes),
        max_length=frames,
        initializer_range=0.2,
        id2label=dict(enumerate(written)),
        label2id={name: index for index, name in enumerate(written)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ASTForAudioClassification(config)
    chance = np.random.default_rng(1)
    heads = chance.standard_normal((len(names), config.hidden_size)).astype(np.float32) * 0.5
    heads *= (32 / config.hidden_size) ** 0.5
    with torch.no_grad():
        network.classifier.dense.weight.copy_(torch.from_numpy(heads[order]))
        network.classifier.dense.bias.fill_(-4.0)
        for name, logit in (heard or {}).items():
            network.classifier.dense.bias[written.index(name)] = logit
    network.save_pretrained(folder)
    ASTFeatureExtractor(max_length=frames).save_pretrained(folder)
    return folder


def config_of(folder: Path, **changes: int | None) -> AudioSetTaggerConfig:
    settings: dict[str, int | None] = {"window_ms": 2_000, "hop_ms": 500, "context_ms": 2_500} | changes
    return AudioSetTaggerConfig(weights=Weights(name=str(folder)), device="cpu", **settings)  # type: ignore[arg-type]
