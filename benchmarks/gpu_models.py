"""The models of the recipe `gpu` with random weights at their published dimensions, in their published formats.

python -m benchmarks.gpu_models FOLDER [--only PART_OF_A_NAME]

What a step costs depends on the shapes of its weights and not on what they have learnt.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from jobs.doctor import models_in
from jobs.recipes import gpu
from tests.make_models import HEARD, Maker, write_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="those whose name holds this")
    arguments = parser.parse_args()
    for weights in models_in(gpu()):
        if arguments.only in weights.name:
            begun = time.monotonic()
            write_models(arguments.folder, [weights], PUBLISHED)
            num_bytes = sum(path.stat().st_size for path in (arguments.folder / weights.name).rglob("*"))
            print(f"{weights.name}: {num_bytes / 1e9:.2f} GB in {time.monotonic() - begun:.0f} s")


def whisper(folder: Path) -> None:
    from tests.make_recognisers import tiny_whisper

    tiny_whisper(
        folder,
        quantization="float16",
        d_model=1_280,
        encoder_layers=32,
        decoder_layers=4,
        encoder_attention_heads=20,
        decoder_attention_heads=20,
        encoder_ffn_dim=5_120,
        decoder_ffn_dim=5_120,
        init_std=0.02,
    )


def aligner(folder: Path) -> None:
    from tests.make_recognisers import tiny_ctc

    tiny_ctc(
        folder,
        hidden_size=1_024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4_096,
        conv_dim=(512,) * 7,
        num_conv_pos_embeddings=128,
        num_conv_pos_embedding_groups=16,
        initializer_range=0.02,
    )


def parakeet(folder: Path) -> None:
    from tests.make_recognisers import tiny_parakeet

    tiny_parakeet(
        folder,
        decoder_hidden_size=640,
        encoder={
            "hidden_size": 1_024,
            "num_hidden_layers": 24,
            "num_attention_heads": 8,
            "intermediate_size": 4_096,
            "subsampling_conv_channels": 256,
        },
    )


def tagger(folder: Path) -> None:
    from tests.make_taggers import save

    save(
        folder,
        frames=1_024,
        heard=HEARD,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3_072,
    )


def clap(folder: Path) -> None:
    from tests.clap_checkpoint import write

    write(
        folder,
        spread=0.0,
        text={
            "vocab_size": 50_265,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3_072,
        },
        audio={
            "hidden_size": 1_024,
            "patch_embeds_hidden_size": 128,
            "depths": [2, 2, 12, 2],
            "num_attention_heads": [4, 8, 16, 32],
        },
        projection_dim=512,
    )


def pyannote(folder: Path) -> None:
    from tests.make_pyannote import write_pipeline

    write_pipeline(folder, hidden=128, lstm_layers=4, linear_layers=2, chunk_s=10.0)


def captioner(folder: Path) -> None:
    """The 4B in bfloat16, which as published is stored so."""
    from jobs.model import write_fresh

    write_fresh("4b", folder, dtype="bfloat16")


PUBLISHED: Mapping[str, Maker] = {
    "MIT/ast-finetuned-audioset-10-10-0.4593": tagger,
    "mobiuslabsgmbh/faster-whisper-large-v3-turbo": whisper,
    "nvidia/parakeet-tdt-0.6b-v3": parakeet,
    "MahmoudAshraf/mms-300m-1130-forced-aligner": aligner,
    "pyannote/speaker-diarization-community-1": pyannote,
    "OpenMOSS-Team/MOSS-Audio-4B-Instruct": captioner,
    "laion/larger_clap_general": clap,
}


if __name__ == "__main__":
    main()
