"""Every model of a recipe, small and random, as a folder of models in the formats of the published ones.

    write_models(folder, models_in(gpu()))   # FOLDER/ORGANISATION/NAME, for `--models FOLDER`

The recipe says which there are; one without a maker here is an error with its name.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch

from schemas.network import no_bars
from schemas.weights import Weights
from tests import clap_checkpoint, make_taggers
from tests.make_pyannote import write_pipeline
from tests.make_recognisers import tiny_ctc, tiny_parakeet, tiny_whisper

Maker = Callable[[Path], object]
HEARD = {"Music": 1.5, "Singing": 0.0, "Dog": 1.0, "Piano": 0.0, "Rain": 0.5}  # so that every branch has work to do


def captioner(folder: Path) -> None:
    """What it says are random bytes, control characters among them; to most questions it comes to an end."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from jobs.model import init
    from model.tokens import Tokenizer

    init("tiny", folder, seed=0, texts=None)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["lm_head.weight"][Tokenizer.open(folder).special.im_end] *= 2
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, weights, metadata=metadata)


TEN_SECONDS = 1_024  # frames: what the published tagger hears at once

MAKERS: Mapping[str, Maker] = {
    "MIT/ast-finetuned-audioset-10-10-0.4593": partial(make_taggers.save, frames=TEN_SECONDS, heard=HEARD),
    "mobiuslabsgmbh/faster-whisper-large-v3-turbo": tiny_whisper,
    "nvidia/parakeet-tdt-0.6b-v3": tiny_parakeet,
    "MahmoudAshraf/mms-300m-1130-forced-aligner": tiny_ctc,
    "pyannote/speaker-diarization-community-1": write_pipeline,
    "OpenMOSS-Team/MOSS-Audio-4B-Instruct": captioner,
    "laion/larger_clap_general": clap_checkpoint.write,
}


def write_models(folder: Path, models: Iterable[Weights], makers: Mapping[str, Maker] = MAKERS) -> Path:
    """Raises KeyError with the name of a model that nothing here makes."""
    torch.set_num_threads(1)
    no_bars()
    wanted = [weights.name for weights in models]
    if missing := [name for name in wanted if name not in makers]:
        raise KeyError(f"no maker in tests/make_models.py for {', '.join(missing)}")
    for name in wanted:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        makers[name](folder / name)
    return folder
