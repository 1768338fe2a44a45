"""Levels of sounds whose levels are known."""

import numpy as np
import pytest

from annotators.quality import measure
from schemas.audio import Waveform
from tests.make_clips import RATE_HZ, band, noise, quiet, tone


def quality(samples):
    return measure(Waveform.from_float(samples, RATE_HZ))


def test_a_sine_at_half_scale():
    heard = quality(tone(3_000, 997.0, 0.5))
    assert heard.peak_db == pytest.approx(-6.02, abs=0.05)
    assert heard.loudness_lufs == pytest.approx(-9.0, abs=0.2)  # BS.1770 counts -3.01 for a full-scale sine of 997 Hz
    assert heard.clipped_ratio == 0.0
    assert heard.bandwidth_hz == pytest.approx(1_000, abs=50)


@pytest.mark.parametrize("gain_db", [-30, -12, -6])
def test_a_gain_moves_levels_and_nothing_else(gain_db):
    sound = np.concatenate([noise(1_000, 0.2), noise(1_000, 0.02)])
    before, after = quality(sound), quality(sound * 10 ** (gain_db / 20))
    assert after.peak_db - before.peak_db == pytest.approx(gain_db, abs=0.1)
    assert after.loudness_lufs - before.loudness_lufs == pytest.approx(gain_db, abs=0.1)
    assert after.snr_db == pytest.approx(before.snr_db, abs=0.1)
    assert after.bandwidth_hz == pytest.approx(before.bandwidth_hz, abs=20)


def test_a_telephone_is_narrow():
    assert quality(band(noise(2_000), 300, 3_400)).bandwidth_hz == pytest.approx(3_400, abs=50)


def test_clipping_is_counted_on_both_sides():
    assert quality(np.array([1.0, -1.0, 0.5, 0.0] * 1_000)).clipped_ratio == 0.5


@pytest.mark.parametrize("samples", [np.zeros(0), quiet(2_000)], ids=["nothing", "silence"])
def test_what_cannot_be_measured_is_none(samples):
    heard = quality(samples)
    assert (heard.peak_db, heard.loudness_lufs, heard.snr_db, heard.bandwidth_hz) == (None, None, None, None)


def test_a_piece_shorter_than_one_block_has_no_loudness_but_a_peak():
    heard = quality(tone(399))
    assert heard.loudness_lufs is None
    assert heard.peak_db is not None
