"""Small random models for tests."""

from dataclasses import replace

import torch

from model.config import ModelConfig, Scope
from model.frames import num_audio_tokens
from model.model import AudioLM
from model.sizes import TINY

MELS = 128

torch.set_num_threads(1)  # models this small only wait for each other's threads


def tiny(scope: Scope = Scope.BLOCK_4S, config: ModelConfig = TINY, seed: int = 0) -> AudioLM:
    """A model whose every weight is random, biases and norms too, so that each of them matters."""
    model = AudioLM(replace(config, encoder_attention=scope))
    chance = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=chance) * 0.08)
    for module in model.modules():  # norms near one, so that signals neither die nor explode
        if "Norm" in type(module).__name__:
            module.weight.data += 1.0
    return model.eval()


def noise_mel(num_frames: int, seed: int = 0) -> torch.Tensor:
    """Something to hear, (128, num_frames)."""
    return torch.randn(MELS, num_frames, generator=torch.Generator().manual_seed(seed)) * 0.5


def told(frames: list[int], text: list[int], config: ModelConfig = TINY) -> list[int]:
    """Token ids of a sequence: `text`, and before each of its tokens but the last one audio while there is any."""
    ids: list[int] = []
    for index, token in enumerate(text):
        if index < len(frames):
            ids += [config.audio_token_id] * num_audio_tokens(frames[index])
        ids.append(token)
    return ids
