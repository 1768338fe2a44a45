"""DNSMOS against the package whose weights it runs, and the clips it is asked about."""

import itertools

import numpy as np
import pytest

from annotators.dnsmos import WINDOW_SAMPLES, Dnsmos, DnsmosConfig, windows
from annotators.quality import QualityConfig, measure
from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.record import Quality
from tests.make_clips import RATE_HZ, clip, event, noise, quiet, tone
from tests.sounds import voice

ASKED = QualityConfig(dnsmos=DnsmosConfig())


@pytest.fixture(scope="module")
def meter():
    return ASKED.build()


def waveform(samples):
    return Waveform.from_float(samples, RATE_HZ)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("duration_ms", [5_000, 9_300], ids=["repeated", "whole"])
def test_the_package_says_the_same(duration_ms):
    dnsmos = pytest.importorskip("speechmos.dnsmos", reason="the package speechmos cannot be imported here")
    heard = waveform(voice(duration_ms) + noise(duration_ms, 0.005))
    theirs = dnsmos.run(heard.samples, sr=RATE_HZ)
    ours = Dnsmos().hear(heard)
    assert ours.overall == pytest.approx(theirs["ovrl_mos"], abs=0.01)
    assert ours.signal == pytest.approx(theirs["sig_mos"], abs=0.01)
    assert ours.background == pytest.approx(theirs["bak_mos"], abs=0.01)
    assert ours.p808 == pytest.approx(theirs["p808_mos"], abs=0.01)


@pytest.mark.parametrize("num_samples", [1, 1_000, WINDOW_SAMPLES - 1, WINDOW_SAMPLES, 300_000, 480_000])
def test_windows_are_whole_and_spread_over_the_piece(num_samples):
    samples = np.arange(1, num_samples + 1, dtype=np.float32)
    heard = windows(samples, DnsmosConfig())
    assert all(window.shape == (WINDOW_SAMPLES,) for window in heard)
    assert 1 <= len(heard) <= DnsmosConfig().max_windows
    assert heard[0][0] == 1
    if len(heard) > 1:
        assert heard[-1][-1] == num_samples
        hop = DnsmosConfig().hop_ms * RATE_HZ // 1000
        assert all(after[0] - before[0] >= hop for before, after in itertools.pairwise(heard))


def test_noise_behind_a_voice_lowers_what_listeners_would_say(meter):
    spoken = voice(4_000)
    clean, noisy = (clip(sound, event(0, 4_000, "Speech")) for sound in (spoken, spoken + noise(4_000, 0.05)))
    before, after = meter.measure([clean, noisy])
    assert after.dnsmos_background < before.dnsmos_background - 0.3
    assert all(1 <= heard <= 5 for heard in (before.dnsmos_overall, before.dnsmos_signal, before.dnsmos_p808))


@pytest.mark.parametrize(
    ("samples", "events"),
    [
        pytest.param(tone(3_000), [event(0, 3_000, "Sound")], id="no speech"),
        pytest.param(tone(3_000), [event(0, 1_900, "Speech")], id="too little speech"),
        pytest.param(quiet(3_000), [event(0, 3_000, "Speech")], id="no sound"),
        pytest.param(np.zeros(0), [], id="nothing at all"),
    ],
)
def test_without_speech_there_is_no_opinion_but_levels(meter, samples, events):
    made = clip(samples, *events)
    assert meter.measure([made]) == [measure(made.waveform)]
    assert measure(made.waveform).dnsmos_overall is None


def test_levels_alone_need_no_networks():
    made = clip(voice(3_000), event(0, 3_000, "Speech"))
    meter = QualityConfig().build()
    assert meter.model == "levels@1"
    assert isinstance(meter.measure([made])[0], Quality)
    assert meter.measure([made])[0].dnsmos_overall is None


def test_the_same_clip_gets_the_same_opinion_whatever_came_before(meter):
    clips = [clip(voice(ms), event(0, ms, "Speech")) for ms in (2_500, 19_000)]
    assert meter.measure(clips) == meter.measure(clips[::-1])[::-1]
    assert "dnsmos@" in meter.model


@pytest.mark.parametrize("changes", [{"hop_ms": 0}, {"max_windows": 0}])
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError, match="at least 1"):
        DnsmosConfig(**changes)
