"""The tagger, ready to listen: frame-wise scores of the coarse classes, from weights that lie beside this file."""

import hashlib
from pathlib import Path

import numpy as np

from schemas.network import opened
from segmenters.base import CLASSES
from segmenters.tagging.features import FRAMES_PER_TAG, HOP_SAMPLES, features

WEIGHTS = Path(__file__).with_name("tagger.onnx")
TAG_SAMPLES = HOP_SAMPLES * FRAMES_PER_TAG
CONTEXT_TAGS = 28  # to each side of a block; beyond it nothing changes a score
BLOCK_TAGS = 400  # 64 s of sound in one call of the network


class Tagger:
    """Hears which coarse classes sound. The same samples give the same scores, wherever in a recording they lie."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        read = weights.read_bytes()
        self.model = f"earmark-tagger@1+{hashlib.sha256(read).hexdigest()[:8]}"
        self._session = opened(read)

    def scores(self, samples_16k: np.ndarray) -> np.ndarray:
        """How likely each class sounds in each 160 ms begun: float32, shape (tags, classes), columns as `CLASSES`."""
        num_tags = -(-len(samples_16k) // TAG_SAMPLES)
        scores = np.zeros((num_tags, len(CLASSES)), np.float32)
        for first in range(0, num_tags, BLOCK_TAGS):
            count = min(BLOCK_TAGS, num_tags - first)
            scores[first : first + count] = self._block(samples_16k, first, count)
        return scores

    def _block(self, samples_16k: np.ndarray, first: int, count: int) -> np.ndarray:
        """The scores of `count` tags, heard with what surrounds them; beyond the recording lies silence."""
        start, end = (first - CONTEXT_TAGS) * TAG_SAMPLES, (first + count + CONTEXT_TAGS) * TAG_SAMPLES
        here = np.zeros(end - start, np.float32)
        there = samples_16k[max(0, start) : end]
        here[max(0, -start) : max(0, -start) + len(there)] = there
        block: np.ndarray = self.scores_of(features(here)[None])[0, CONTEXT_TAGS : CONTEXT_TAGS + count]
        return block

    def scores_of(self, pictures: np.ndarray) -> np.ndarray:
        """Scores of what `features` made, (batch, frames, bands) to (batch, tags, classes); the edges are blurred."""
        (scores,) = self._session.run(["coarse"], {"features": pictures})
        return np.asarray(scores)
