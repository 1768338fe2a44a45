"""The log-mel is the published front end's, to the last bit."""

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from model.frames import SAMPLE_RATE_HZ
from model.mel import FRAMES_AT_ONCE, log_mel
from schemas.errors import InputError


def sound(num_samples: int, seed: int = 0) -> np.ndarray:
    """Noise that grows, with a tone: the loudest part comes last."""
    at = np.arange(num_samples)
    noise = np.random.default_rng(seed).standard_normal(num_samples)
    return (noise * 0.1 * (at + 1) / num_samples + 0.3 * np.sin(at * 0.2)).astype(np.float32)


@pytest.mark.parametrize("num_samples", [160, 161, 319, 399, 400, 401, 1600, 16_000, 116_800, 77_777])
def test_equal_to_whispers_extractor_bit_for_bit(num_samples):
    samples = sound(num_samples)
    theirs = WhisperFeatureExtractor(feature_size=128)._np_extract_fbank_features(samples[None], "cpu")[0]
    np.testing.assert_array_equal(log_mel(samples), theirs)


@pytest.mark.parametrize("frames", [FRAMES_AT_ONCE, FRAMES_AT_ONCE + 1, FRAMES_AT_ONCE + 2, 2 * FRAMES_AT_ONCE + 100])
@pytest.mark.parametrize("rest", [0, 159])
def test_pieces_of_the_transform_leave_no_seam(frames, rest):
    samples = sound(frames * 160 + rest)
    theirs = WhisperFeatureExtractor(feature_size=128)._np_extract_fbank_features(samples[None], "cpu")[0]
    np.testing.assert_array_equal(log_mel(samples), theirs)


def test_silence_is_the_floor_everywhere():
    mel = log_mel(np.zeros(16_000, np.float32))
    assert mel.shape == (128, 100)
    np.testing.assert_array_equal(mel, np.float32((-10 + 4) / 4))


def test_the_loudest_moment_sets_the_floor_of_the_whole_clip():
    quiet, loud = sound(16_000) * 1e-6, sound(16_000)
    alone, together = log_mel(quiet), log_mel(np.concatenate([quiet, loud]))
    assert together[:, :90].min() == pytest.approx(together.max() - 2.0)
    assert alone[:, :90].min() < together[:, :90].min()


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((2, 1600), np.float32), "mix them first"),
        (np.zeros(159, np.float32), "too short to be heard"),
        (np.zeros(0, np.float32), "too short to be heard"),
        (np.full(1600, np.nan, np.float32), "go to nan, and full scale is 1"),
        (np.full(1600, -np.inf, np.float32), "go to inf, and full scale is 1"),
        (np.full(1600, 1e38, np.float32), r"go to 1e\+38, and full scale is 1"),
        (np.zeros(45 * 60 * SAMPLE_RATE_HZ + 1, np.float32), "more than one prompt holds"),
    ],
)
def test_what_cannot_be_heard_is_refused_in_a_sentence(samples, says):
    with pytest.raises(InputError, match=says):
        log_mel(samples)
