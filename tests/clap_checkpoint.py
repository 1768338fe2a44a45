"""A tiny CLAP with random weights, in the format of the published ones, for the tests."""

from pathlib import Path

import torch
from tokenizers import pre_tokenizers

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def write(
    folder: Path,
    *,
    fused: bool = False,
    safe: bool = True,
    seed: int = 0,
    spread: float = 1.5,
    text: dict | None = None,
    audio: dict | None = None,
    **sizes: object,
) -> Path:
    """Config, weights (safetensors, or the older pytorch_model.bin), tokenizer and feature extractor."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate((*SPECIAL[:4], *letters, SPECIAL[4]))}
    tokenizer = RobertaTokenizer(vocab=vocab, merges=[], model_max_length=512)
    extractor = ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc")
    config = ClapConfig(
        text_config={
            "vocab_size": len(vocab),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 514,
            **(text or {}),
        },
        audio_config={
            "hidden_size": 64,
            "patch_embeds_hidden_size": 8,
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 2],
            "num_hidden_layers": 4,
            "enable_fusion": fused,
            "fusion_type": None,
            **(audio or {}),
        },
        **({"projection_dim": 16} | sizes),
        initializer_factor=1.0,
    )
    torch.manual_seed(seed)
    model = ClapModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.add_(torch.randn_like(parameter) * spread)  # its own weights hardly tell sounds apart
    extractor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    if not safe:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return folder
