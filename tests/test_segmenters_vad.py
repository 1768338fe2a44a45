"""The voice detector hears what its package hears, without torch."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from pipeline.decode import decode
from schemas.errors import ConfigError
from segmenters.embedded import EmbeddedDetectorConfig
from segmenters.vad import WINDOW_MS, SileroVad, SpeechRules, at_16k, speech_spans
from tests.sounds import RATE_HZ, noise, one_after_another, silence, together, tone, voice, waveform

REAL = Path(__file__).parents[2] / "shared" / "speech"


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


@pytest.fixture(scope="module")
def forgetful():
    return SileroVad(SpeechRules(memory_ms=8_000))


def spans(vad: SileroVad, samples: np.ndarray) -> list[tuple[int, int]]:
    heard = speech_spans(vad.probabilities(samples.astype(np.float32)), len(samples) * 1000 // RATE_HZ, vad.rules)
    return [(span.start_ms, span.end_ms) for span in heard]


def test_a_voice_is_speech(vad):
    ((start_ms, end_ms),) = spans(vad, one_after_another(silence(1_000), voice(3_000), silence(1_000)))
    assert start_ms == pytest.approx(1_000, abs=150)
    assert end_ms == pytest.approx(4_000, abs=150)


@pytest.mark.parametrize("samples", [silence(3_000), tone(3_000), noise(3_000), np.zeros(0)], ids=len)
def test_silence_tones_and_noise_are_not(vad, samples):
    assert spans(vad, samples) == []


def test_there_is_one_probability_for_each_window_begun(vad):
    for num_samples in (0, 1, 511, 512, 513, 512 * 600 + 1):
        assert len(vad.probabilities(np.zeros(num_samples, np.float32))) == -(-num_samples // 512)


def test_a_voice_is_heard_after_a_long_noise(forgetful):
    samples = one_after_another(noise(60_000, db=-30), voice(2_000), silence(500))
    assert any(abs(start_ms - 60_000) < 300 for start_ms, _ in spans(forgetful, samples))


def test_what_lies_beyond_its_memory_changes_nothing(forgetful):
    begun = forgetful.probabilities(together(voice(20_000), noise(20_000, -50)).astype(np.float32))
    other = one_after_another(noise(6_000), together(voice(20_000), noise(20_000, -50))[96_000:]).astype(np.float32)
    windows = 8_000 // WINDOW_MS
    assert np.array_equal(begun[windows:], forgetful.probabilities(other)[windows:])


def test_without_a_limit_it_remembers_all(vad):
    samples = one_after_another(voice(4_000), noise(12_000, -30)).astype(np.float32)
    halves = [vad.probabilities(part) for part in np.split(samples, [512 * 250])]
    assert not np.array_equal(vad.probabilities(samples), np.concatenate(halves))


def test_the_detector_asks_for_the_memory_that_the_package_does_not_limit():
    assert SpeechRules().memory_ms is None
    assert EmbeddedDetectorConfig().speech.memory_ms == 8_000


def test_other_sample_rates_are_brought_to_16_khz():
    assert len(at_16k(waveform(np.zeros(44_100), rate_hz=44_100))) == pytest.approx(16_000, abs=2)


RULES = SpeechRules()
SAID, SILENT, BETWEEN = 0.9, 0.1, 0.4


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        pytest.param([SILENT] * 20, [], id="silence"),
        pytest.param([SILENT] * 5 + [SAID] * 10 + [SILENT] * 10, [(130, 510)], id="padded on both sides"),
        pytest.param([SAID] * 7 + [SILENT] * 10, [], id="too short"),
        pytest.param([SAID] * 10 + [SILENT] * 3 + [SAID] * 10, [(0, 736)], id="a pause too short"),
        pytest.param([SAID] * 10 + [BETWEEN] * 20 + [SILENT] * 5, [(0, 990)], id="lasts between the thresholds"),
        pytest.param([SAID] * 20, [(0, 640)], id="until the end"),
    ],
)
def test_hysteresis(windows, expected):
    found = speech_spans(np.array(windows, np.float32), len(windows) * WINDOW_MS, RULES)
    assert [(span.start_ms, span.end_ms) for span in found] == expected


@pytest.mark.parametrize("wrong", [{"threshold": 0.2}, {"pad_ms": -1}, {"memory_ms": 10}], ids=str)
def test_rules_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SpeechRules(**wrong)


def test_torch_is_not_loaded():
    program = "import sys; from segmenters.vad import SileroVad; SileroVad(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.fixture(scope="module")
def package():
    """The package's own timestamps, in samples, from each of its two models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import silero_vad

        models = {name: silero_vad.load_silero_vad(onnx=name == "onnx") for name in ("onnx", "torch")}
    return lambda samples, name: silero_vad.get_speech_timestamps(samples, models[name])


def agree(ours: list[tuple[int, int]], theirs: list[dict[str, int]]) -> bool:
    edges = [(stretch["start"] / 16, stretch["end"] / 16) for stretch in theirs]
    return len(ours) == len(edges) and np.allclose(ours, edges, rtol=0, atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["onnx", "torch"])
def test_it_hears_made_voices_as_the_package_does(vad, package, model):
    pieces = [silence(700), voice(2_300), silence(400), voice(900), noise(3_000, -40), voice(5_000), noise(9_000, -30)]
    samples = together(one_after_another(*pieces), noise(12_000, -50)).astype(np.float32)
    ours = spans(vad, samples)
    assert len(ours) > 1
    assert agree(ours, package(samples, model))


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings of speech in ../shared are not beside the checkout")
@pytest.mark.parametrize("path", sorted(set(REAL.glob("*")) - set(REAL.glob("*.rttm"))), ids=lambda path: path.stem)
def test_it_hears_real_voices_as_the_package_does(vad, package, path):
    with path.open("rb") as file:
        samples = decode(file, RATE_HZ).waveform.samples
    assert agree(spans(vad, samples), package(samples, "onnx"))
