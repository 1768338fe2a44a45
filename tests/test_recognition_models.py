"""The recognisers and the aligner run real checkpoints, tiny and random, through the code that runs the published."""

from itertools import pairwise

import numpy as np
import pytest

from annotators.base import Transcript
from annotators.recognition.alignment import AlignerConfig, Unaligned, spread, unaligned
from annotators.recognition.second import HubAsrConfig
from annotators.recognition.whisper import ISO_BY_WHISPER, LARGE_V3_TURBO, WhisperConfig
from schemas.audio import Waveform
from schemas.errors import ConfigError
from schemas.languages import SPACELESS
from schemas.span import Span
from schemas.weights import Weights
from tests.make_recognisers import (
    babbling_parakeet,
    tiny_ctc,
    tiny_whisper,
    tiny_whisper_transformers,
    voice,
)

pytestmark = pytest.mark.slow  # torch, transformers and CTranslate2 are loaded

DURATIONS_MS = (1_500, 4_200, 60, 2_800, 0)
STRETCHES = [voice(ms, seed, start_ms=10_000 * seed + 7) for seed, ms in enumerate(DURATIONS_MS)]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("recognisers")
    return {
        "whisper": tiny_whisper(root / "whisper"),
        "whisper of transformers": tiny_whisper_transformers(root / "hub-whisper"),
        "mms": tiny_ctc(root / "mms"),
        "base": tiny_ctc(root / "base", like="base"),
    }


@pytest.fixture(scope="session")
def whisper(folders):
    return WhisperConfig(weights=Weights(name=str(folders["whisper"])), device="cpu", beam_size=2).build()


@pytest.fixture(scope="session")
def heard(whisper):
    return whisper.transcribe(STRETCHES)


def hub(folder, **settings):
    return HubAsrConfig(weights=Weights(name=str(folder)), device="cpu", languages=(), **settings).build()


def same_words(one, other):
    """The same but for the last digit of a score, which a batch may round otherwise."""
    assert (one.text, one.language, one.error) == (other.text, other.language, other.error)
    assert [(w.text, w.start_ms, w.end_ms) for w in one.words] == [(w.text, w.start_ms, w.end_ms) for w in other.words]
    assert (one.score or 0) == pytest.approx(other.score or 0, abs=2e-3)


# ------------------------------------------------------------------------------------------- Whisper


def test_whisper_tells_one_transcript_a_stretch_with_times_inside(heard):
    assert len(heard) == len(STRETCHES)
    for stretch, told in zip(STRETCHES, heard, strict=True):
        if stretch.duration_ms < 100:
            assert told == Transcript(text="")
            continue
        within = Span.of(stretch.start_ms, stretch.end_ms)
        assert told.text == " ".join(told.text.split())
        assert "".join(word.text for word in told.words).replace(" ", "") == told.text.replace(" ", "")
        assert all(within.contains(word) for word in told.words)
        assert all(a.end_ms <= b.start_ms for a, b in pairwise(told.words))
        assert 0 < told.score < 1
        assert 0 <= told.no_speech <= 1
        assert 0 < told.language_score <= 1
        assert len(told.language) in (2, 3)


def test_whisper_hears_the_same_again(whisper, heard):
    assert whisper.transcribe(STRETCHES) == heard


def test_whisper_hears_in_a_batch_what_it_hears_alone(whisper, heard):
    for stretch, told in zip(STRETCHES, heard, strict=True):
        same_words(whisper.transcribe([stretch])[0], told)
    for one, other in zip(whisper.transcribe(STRETCHES[::-1])[::-1], heard, strict=True):
        same_words(one, other)


def test_whisper_times_words_in_a_batch_of_one_length_as_alone(whisper):
    """CTranslate2 by itself aligns the padding of shorter texts with them."""
    stretches = [voice(1_500, 40), *_many()[:2]]
    alone = [whisper.transcribe([stretch], "en")[0] for stretch in stretches]
    assert len({len(told.words) for told in alone}) == 3
    for told, one in zip(whisper.transcribe(stretches, "en"), alone, strict=True):
        same_words(told, one)


def test_whisper_takes_the_language_it_is_told(whisper):
    (german, _) = whisper.transcribe(STRETCHES[:2], "de")
    assert (german.language, german.language_score) == ("de", None)
    (unknown, _) = whisper.transcribe(STRETCHES[:2], "tlh")
    assert unknown.language_score is not None
    (javanese,) = whisper.transcribe(STRETCHES[:1], "jv")
    assert javanese.language == "jv"
    assert ISO_BY_WHISPER["jw"] == "jv"


def test_whisper_hears_each_stretch_in_its_language_within_one_batch(whisper):
    """Two languages in a batch part words by their own rules, as alone."""
    alone = [whisper.transcribe([stretch])[0] for stretch in _many()]
    assert len({told.language for told in alone}) > 2
    assert {told.language for told in alone} & SPACELESS
    for told, one in zip(whisper.transcribe(_many()), alone, strict=True):
        same_words(told, one)


def _many():
    random = np.random.default_rng(1)
    loud = [Waveform.from_float(level * random.standard_normal(24_000), 16_000) for level in (0.01, 0.9)]
    return [*loud, *(voice(1_000 + 300 * seed, 20 + seed) for seed in range(3))]


def test_whisper_hears_a_long_stretch_in_pieces(whisper):
    long = voice(31_000, 3, start_ms=2_000)
    (told,) = whisper.transcribe([long])
    assert told.words[0].start_ms >= 2_000
    assert told.words[-1].end_ms <= 33_000
    assert any(word.start_ms > 25_000 for word in told.words)


def test_whisper_resamples(whisper):
    stretch = STRETCHES[0]
    fast = Waveform(pcm=np.repeat(stretch.pcm, 3), rate_hz=48_000, start_ms=stretch.start_ms)
    (told,) = whisper.transcribe([fast])
    assert told.words[-1].end_ms <= fast.end_ms == stretch.end_ms


def test_whisper_goes_on_in_halves_where_memory_is_short(whisper, heard, monkeypatch):
    """The model is the real one; only the room is taken away."""
    encode, sizes = whisper._model.encode, []

    def cramped(features):
        if getattr(features, "ndim", 0) == 3:
            sizes.append(len(features))
            if len(features) > 1:
                raise RuntimeError("CUDA failed with error out of memory")
        return encode(features)

    monkeypatch.setattr(whisper._model, "encode", cramped)
    for one, other in zip(whisper.transcribe(STRETCHES), heard, strict=True):
        same_words(one, other)
    assert max(sizes) > 1


def test_whisper_is_named_by_its_weights(whisper):
    assert whisper.model.startswith("whisper@")
    assert LARGE_V3_TURBO.licence == "MIT"
    with pytest.raises(ConfigError, match="there is no folder"):
        WhisperConfig(weights=Weights(name="/nowhere/whisper")).build()


def test_the_weights_are_those_that_faster_whisper_itself_takes():
    from faster_whisper.utils import _MODELS

    assert _MODELS["large-v3-turbo"] == LARGE_V3_TURBO.name


# --------------------------------------------------------------------------------- second recognisers


@pytest.mark.parametrize("kind", ["whisper of transformers", "mms", "base"])
def test_a_recogniser_of_transformers_keeps_the_contract(folders, kind):
    recogniser = hub(folders[kind], max_tokens=24)
    told = recogniser.transcribe(STRETCHES)
    assert len(told) == len(STRETCHES)
    assert any(one.text for one in told)
    assert [one.text for one, ms in zip(told, DURATIONS_MS, strict=True) if ms < 100] == ["", ""]
    assert not any(token in one.text for one in told for token in ("<pad>", "<unk>", "<|"))
    assert recogniser.transcribe(STRETCHES) == told
    assert [recogniser.transcribe([stretch])[0] for stretch in STRETCHES] == told
    assert recogniser.transcribe([]) == []


def test_a_recogniser_says_which_languages_it_does_not_know(folders):
    config = HubAsrConfig(weights=Weights(name=str(folders["base"])), device="cpu", languages=("en",))
    recogniser = config.build()
    assert recogniser.transcribe(STRETCHES[:1], "en")[0].error is None
    (told,) = recogniser.transcribe(STRETCHES[:1], "zh")
    assert told.error == f"{recogniser.model} does not know the language 'zh'"


def test_whisper_of_transformers_takes_the_language_it_is_told(folders):
    recogniser = hub(folders["whisper of transformers"], max_tokens=20)
    assert recogniser.transcribe(STRETCHES[:1], "de")[0].language == "de"
    assert recogniser.transcribe(STRETCHES[:1], "de") != recogniser.transcribe(STRETCHES[:1], "zh")


# ------------------------------------------------------------------------------------------- aligner


@pytest.mark.parametrize("kind", ["mms", "base"])
def test_the_aligner_loses_no_word_and_batches_as_it_aligns_alone(folders, kind):
    aligner = AlignerConfig(weights=Weights(name=str(folders[kind])), device="cpu").build()
    said = ("Hello", "there,", "—", "1984", "Straße", "Привет!")
    asked = [Unaligned(waveform=stretch, words=said, language="en") for stretch in STRETCHES]
    told = aligner.align(asked)
    for one, stretch in zip(told, STRETCHES, strict=True):
        if stretch.duration_ms < 1_000:
            assert one.words == ()
            assert one.reason.startswith("not aligned: ")
            continue
        assert one.reason is None
        assert tuple(word.text for word in one.words) == said
        assert all(Span.of(stretch.start_ms, stretch.end_ms).contains(word) for word in one.words)
        assert all(a.end_ms <= b.start_ms for a, b in pairwise(one.words))
    alone = [aligner.align([one])[0] for one in asked]
    for one, other in zip(told, alone, strict=True):
        assert [(w.start_ms, w.end_ms) for w in one.words] == [(w.start_ms, w.end_ms) for w in other.words]
    assert aligner.align([]) == []


def test_a_long_stretch_is_heard_in_windows_with_the_same_frames(folders):
    weights = Weights(name=str(folders["mms"]))
    whole = AlignerConfig(weights=weights, device="cpu").build()
    parts = AlignerConfig(weights=weights, device="cpu", window_s=2.0, context_s=1.0).build()
    samples = voice(9_100, 5).samples
    (one,), many = whole._windows(samples), parts._windows(samples)
    assert len(many) == 5
    frames = [len(emissions) for emissions in parts._emissions(many)]
    assert sum(frames) == len(whole._emissions([one])[0])
    assert frames[:4] == [100] * 4


def test_what_cannot_be_aligned_keeps_the_recognisers_times(folders):
    aligner = AlignerConfig(weights=Weights(name=str(folders["mms"])), device="cpu", languages=("en",)).build()
    stretch = STRETCHES[0]

    def told(text, language="en"):
        timed = spread(text.split(), Span.of(stretch.start_ms, stretch.end_ms))
        asked = unaligned(stretch, Transcript(text=text, words=timed, language=language))
        alignment = aligner.align([asked])[0]
        assert alignment.words == timed
        return alignment.reason

    assert told("abcdefghij" * 20) == "not aligned: 200 letters do not fit into 74 frames"
    assert told("… —") == "not aligned: there are no words"
    assert told("") == "not aligned: there are no words"
    assert told("好", "zh") == "not aligned: the aligner knows en, not zh"
    assert told("good", None) == "not aligned: the aligner knows en, not an unknown language"


def test_windows_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"context_s=0\.0"):
        AlignerConfig(context_s=0.0)


def test_a_transducer_hears_no_words_after_the_end_of_a_short_stretch(tmp_path):
    """The default second recogniser: in a batch each stretch has the words it has alone, and the patterns fetch it."""
    from annotators.recognition.second import PARAKEET_V3

    folder = babbling_parakeet(tmp_path / "parakeet")
    assert all(any(path.match(pattern) for pattern in PARAKEET_V3.files) for path in folder.iterdir())
    recogniser = hub(folder)
    together = [one.text for one in recogniser.transcribe(STRETCHES, "en")]
    alone = [recogniser.transcribe([stretch], "en")[0].text for stretch in STRETCHES]
    assert together == alone
    assert len({text for text in alone if text}) >= 3
