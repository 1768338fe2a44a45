"""A speaker diarization pipeline as pyannote.audio 4 lays one out in a folder, of untrained networks.

The layout is that of pyannote/speaker-diarization-community-1: config.yaml, a segmentation and an embedding network
as Lightning checkpoints, and the two files of a PLDA. The segmentation network is small; of the embedding network
pyannote knows one size only.
"""

from pathlib import Path

import numpy as np
import torch

from annotators.diarization.pyannote import _quiet_import

CONFIG = """\
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 8
    segmentation_step: 0.5
    embedding: $model/embedding
    embedding_batch_size: 8
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""
EMBEDDING_SIZE, PLDA_SIZE = 256, 128
HIDDEN = 16
CHUNK_S = 2.0  # what the segmentation network hears at once; 10 s where it is trained


def write_pipeline(
    folder: Path,
    *,
    seed: int = 2,
    hidden: int = HIDDEN,
    lstm_layers: int = 1,
    linear_layers: int = 1,
    chunk_s: float = CHUNK_S,
) -> Path:
    """The same seed writes the same networks. The published segmentation has 128, 4, 2 and 10 s."""
    with _quiet_import():
        import pyannote.audio  # noqa: F401
    (folder / "segmentation").mkdir(parents=True)
    (folder / "embedding").mkdir()
    (folder / "plda").mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _write_segmentation(folder / "segmentation" / "pytorch_model.bin", hidden, lstm_layers, linear_layers, chunk_s)
        _write_embedding(folder / "embedding" / "pytorch_model.bin", chunk_s)
    drawn = np.random.default_rng(seed)
    square, _ = np.linalg.qr(drawn.standard_normal((EMBEDDING_SIZE, EMBEDDING_SIZE)))
    np.savez(
        folder / "plda" / "xvec_transform.npz",
        mean1=np.zeros(EMBEDDING_SIZE),
        mean2=np.zeros(PLDA_SIZE),
        lda=square[:, :PLDA_SIZE],
    )
    np.savez(
        folder / "plda" / "plda.npz",
        mu=np.zeros(PLDA_SIZE),
        tr=np.eye(PLDA_SIZE),
        psi=np.linspace(2.0, 0.1, PLDA_SIZE),
    )
    return folder


def _write_segmentation(path: Path, hidden: int, lstm_layers: int, linear_layers: int, chunk_s: float) -> None:
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

    lstm = {"hidden_size": hidden, "num_layers": lstm_layers, "bidirectional": True, "monolithic": True}
    network = PyanNet(lstm=lstm, linear={"hidden_size": hidden, "num_layers": linear_layers})
    network.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=chunk_s,
        min_duration=None,
        warm_up=(0.0, 0.0),
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    network.setup()
    with torch.no_grad():  # untrained as it is, it hears the same everywhere; so it changes its mind, and slowly
        for name, bias in network.lstm.named_parameters():
            if name.startswith("bias"):
                bias[hidden : 2 * hidden] = 2.0  # the forget gates
        network.classifier.weight.normal_(0, 6 * (HIDDEN / hidden) ** 0.5)
        network.classifier.bias.copy_(torch.tensor([-1.0, 1, 1, 1, -1, -1, -1]))  # nobody, one of three, two of three
    _write(network, path)


def _write_embedding(path: Path, chunk_s: float) -> None:
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    network = WeSpeakerResNet34()
    network.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=chunk_s
    )
    network.eval()
    with torch.no_grad():  # untrained as it is, all voices lie in one direction; so it is taken away
        network.resnet.seg_1.bias.sub_(network(torch.randn(4, 1, int(16_000 * chunk_s))).mean(0))
    _write(network, path)


def _write(network: torch.nn.Module, path: Path) -> None:
    """As Lightning's trainer writes it, less the state of the training."""
    checkpoint = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": network.state_dict(),
        "hparams_name": "kwargs",
        "hyper_parameters": dict(network.hparams),
    }
    network.on_save_checkpoint(checkpoint)
    checkpoint["pyannote.audio"]["versions"]["torch"] = (
        torch.__version__
    )  # as those trained with pyannote.audio 2 and 3
    torch.save(checkpoint, path)
