"""Resampling: the published front end's, in pieces that change nothing."""

import math

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from model import sound
from model.frames import MAX_AUDIO_S
from model.sound import at_16_khz, resampled
from schemas.errors import InputError

torch.set_num_threads(1)


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)


def blocks(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("rate_hz", [1_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("num_samples", [1, 7, 40_001])
def test_as_torchaudio_resamples(rate_hz, num_samples):
    samples = noise(num_samples)
    wanted = resample(torch.from_numpy(samples), rate_hz, 16_000).numpy()
    np.testing.assert_allclose(at_16_khz([samples], rate_hz), wanted, atol=2e-6)  # the order of a sum may differ


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000, 44_101, 12_347])
def test_pieces_are_the_whole(rate_hz, monkeypatch):
    """Small pieces against one: rounding alone, as the order of a sum may differ with its place."""
    samples = noise(30_011)
    whole = at_16_khz([samples], rate_hz)
    monkeypatch.setattr(sound, "PIECE_SAMPLES", 3_000)
    pieces = list(resampled([samples], rate_hz))
    assert len(pieces) > 2 or rate_hz > 44_100
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-6)
    for size in (1, 441, 29_000):  # however it arrives, it is cut at the same places: not a bit differs
        assert np.array_equal(at_16_khz(blocks(samples, size), rate_hz), np.concatenate(pieces))


@pytest.mark.parametrize("rate_hz", [11_025, 12_345, 44_100])
def test_rates_with_little_in_common_are_resampled_alike(rate_hz):
    """Against torchaudio in float64, whose table has the same values there."""
    samples = noise(9_001)
    shared = math.gcd(rate_hz, 16_000)
    found = sound._gathered(samples, rate_hz // shared, 16_000 // shared)
    wanted = resample(torch.from_numpy(samples).double(), rate_hz, 16_000).numpy()
    np.testing.assert_allclose(found, wanted, atol=3e-6)


@pytest.mark.slow
def test_no_table_is_large(monkeypatch):
    """44,101 Hz would take one of 16,000 by 44,135 values."""
    shapes = []
    monkeypatch.setattr(
        sound, "resample", lambda x, before, after: shapes.append((before, after)) or resample(x, before, after)
    )
    for rate_hz in (44_100, 44_101, 767_999):
        assert len(at_16_khz([noise(5_000)], rate_hz)) == -(-5_000 * 16_000 // rate_hz)
    assert shapes == [(441, 160)]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 44_101])
def test_a_tone_stays_a_tone(rate_hz):
    seconds = np.arange(rate_hz) / rate_hz
    found = at_16_khz([np.sin(2 * np.pi * 1_000 * seconds).astype(np.float32)], rate_hz)
    wanted = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert np.abs(found - wanted)[100:-100].max() < 5e-3


def test_the_longest_prompt_is_heard_whole():
    minutes = [np.zeros(60 * 1_000, np.float32)] * (MAX_AUDIO_S // 60)
    assert len(at_16_khz(minutes, 1_000)) == MAX_AUDIO_S * 16_000
    with pytest.raises(InputError, match="45 minutes"):
        at_16_khz([*minutes, np.zeros(1, np.float32)], 1_000)


def test_16_khz_is_left_as_it_is():
    samples = noise(1_000)
    assert np.array_equal(at_16_khz(blocks(samples, 77), 16_000), samples)
    assert len(at_16_khz([], 16_000)) == len(at_16_khz([], 44_100)) == 0


@pytest.mark.slow
def test_what_is_too_long_is_told_before_it_is_read():
    def endless():
        for minute in range(60 * 24):
            assert minute < MAX_AUDIO_S / 60 + 10
            yield np.zeros(8_000 * 60, np.float32)

    with pytest.raises(InputError, match="45 minutes"):
        at_16_khz(endless(), 8_000)
