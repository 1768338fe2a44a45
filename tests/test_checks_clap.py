"""Whether a claim is heard, by CLAP: a tiny one with random weights, in the published format."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotators.checks import clap
from annotators.checks.clap import CONTRASTS, ClapCheck, ClapCheckConfig, score
from pipeline.route import config_row
from schemas.errors import ConfigError
from schemas.record import Branch
from schemas.weights import Weights
from tests import clap_checkpoint, sounds
from tests.make_claims import claim, clip

torch.set_num_threads(1)


def unit(*values: float) -> np.ndarray:
    return np.array(values) / np.linalg.norm(values)


def test_a_score_tells_how_many_contrasts_a_claim_beats():
    sound = unit(1, 0, 0)
    others = np.stack([unit(0.1, 1, 0), unit(0.1, 0, 1), unit(0.1, 1, 1), unit(0.9, 1, 0)])
    assert score(sound, unit(1, 0.1, 0), others, 100.0) == pytest.approx(1.0, abs=1e-3)
    assert score(sound, unit(-1, 0.1, 0), others, 100.0) == pytest.approx(0.0, abs=1e-3)
    assert score(sound, unit(0.4, 1, 0), others, 100.0) == pytest.approx(0.75, abs=1e-3)  # one fits better
    assert score(sound, others[0], others[:1], 100.0) == 0.5


def test_another_sound_at_the_same_time_costs_a_claim_no_more_than_its_share():
    """Under one softmax over all it would lose to the louder one outright."""
    sound, rain, voice = unit(1, 0.6, 0), unit(0, 1, 0), unit(1, 0, 0)
    others = np.stack([voice, *(unit(0, 0, number + 1) for number in range(9))])
    assert score(sound, rain, others, 50.0) == pytest.approx(0.9, abs=1e-3)
    alone = np.exp(50.0 * np.array([sound @ rain, *(others @ sound)]))
    assert alone[0] / alone.sum() < 0.01


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0.1, 1e6))
def test_a_score_lies_between_0_and_1(values, scale):
    claimed = np.array(values)
    found = score(unit(1, 0, 0), claimed, np.eye(3), scale)
    assert 0.0 <= found <= 1.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    def made(**kind) -> Weights:
        name = "-".join(map(str, kind.values())) or "plain"
        folder = tmp_path_factory.getbasetemp() / f"clap-{name}"
        return Weights(name=str(folder if folder.exists() else clap_checkpoint.write(folder, **kind)))

    return made


@pytest.fixture(scope="module")
def check(weights) -> ClapCheck:
    return ClapCheckConfig(weights=weights(), device="cpu").build()


ASKED = [
    (clip(sounds.noise(3_000)), claim("At 0.5 s a dog barks.", 500, 900)),
    (clip(sounds.tone(25_000)), claim("A tone holds.", 0, 25_000)),
    (clip(sounds.melody(4_000), start_ms=7_000), claim("Music plays.", 7_000, 11_000, evidence=("music/0", "music/1"))),
    (clip(sounds.click(300)), claim("A click.", 0, 300)),
]


@pytest.mark.slow
def test_it_scores_claims_as_the_network_of_the_library_does(check, weights):
    """From the samples on, with transformers alone."""
    import soxr
    from transformers import ClapModel, ClapProcessor

    folder = weights().name
    model, processor = ClapModel.from_pretrained(folder).eval(), ClapProcessor.from_pretrained(folder)
    heard, said = ASKED[0]
    samples = soxr.resample(heard.waveform.samples[:32_000], 16_000, 48_000)  # two seconds around the claim
    texts = processor.tokenizer(["A dog barks.", *CONTRASTS], padding=True, return_tensors="pt")
    features = processor.feature_extractor(samples, sampling_rate=48_000, return_tensors="pt")
    with torch.inference_mode():
        (logits,) = model(**texts, **features).logits_per_audio.double().numpy()
    wanted = np.mean(1 / (1 + np.exp(logits[1:] - logits[0])))
    assert check.check([(heard, said)])[0].score == pytest.approx(wanted, abs=1e-3)


@pytest.mark.slow
def test_verdicts_do_not_depend_on_the_batch(check, weights):
    together = check.check(ASKED)
    assert all(verdict.score is not None and 0 < verdict.score < 1 for verdict in together)
    assert len({verdict.score for verdict in together}) == len(ASKED)
    assert [check.check([asked])[0] for asked in ASKED] == together
    assert check.check(ASKED[::-1]) == together[::-1]
    assert ClapCheckConfig(weights=weights(), device="cpu", batch_size=1).build().check(ASKED) == together


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{"safe": False}, {"fused": True}])
def test_other_kinds_of_checkpoints_are_read_and_give_the_same_every_time(check, weights, kind):
    other = ClapCheckConfig(weights=weights(**kind), device="cpu").build()
    found = other.check(ASKED)
    assert other.check(ASKED) == other.check(ASKED) == found  # a fused one would mark a sound by chance
    assert [other.check([asked])[0] for asked in ASKED] == found
    if "safe" in kind:
        assert found == check.check(ASKED)
        assert other.model != check.model


@pytest.mark.slow
def test_a_claim_is_judged_by_its_own_stretch_of_sound(check):
    both = sounds.one_after_another(sounds.noise(5_000), sounds.tone(5_000))
    first, second = claim("A hiss.", 0, 5_000), claim("A hiss.", 5_000, 10_000)
    apart = [check.check([(clip(part), first)])[0] for part in (sounds.noise(5_000), sounds.tone(5_000))]
    assert check.check([(clip(both), first), (clip(both), second)]) == apart
    assert apart[0] != apart[1]


@pytest.mark.slow
def test_of_a_long_claim_the_piece_that_fits_best_counts(check):
    parts = [sounds.noise(10_000), sounds.tone(10_000), sounds.melody(10_000)]
    scores = [check.check([(clip(part), claim("A hiss.", 0, 10_000))])[0].score for part in parts]
    assert max(scores) - min(scores) > 0.2
    for order in (parts, parts[1:] + parts[:1], parts[2:] + parts[:2]):
        (verdict,) = check.check([(clip(sounds.one_after_another(*order)), claim("A hiss.", 0, 30_000))])
        assert verdict.score == pytest.approx(max(scores), abs=0.05)  # the resampler hears a little over each cut


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        claim('Someone says "a dog barks".'),
        claim("Someone speaks.", branch=Branch.SPEECH),
        claim("Music runs at 120 bpm.", branch=Branch.MUSIC, evidence=("music/0",)),
        claim("At 0.5 s"),
        claim("...!"),
        claim("A dog.", evidence=("sound/7",)),
    ],
)
def test_what_it_cannot_judge_has_no_score_and_no_objection(check, said):
    (verdict, other) = check.check([(ASKED[0][0], said), ASKED[0]])
    assert (verdict.score, verdict.objection) == (None, None)
    assert other.score is not None


@pytest.mark.slow
def test_it_objects_below_the_least_score(check, weights):
    scores = [verdict.score for verdict in check.check(ASKED)]
    least = sorted(scores)[2]
    verdicts = ClapCheckConfig(weights=weights(), device="cpu", least_score=least).build().check(ASKED)
    assert [verdict.score for verdict in verdicts] == scores
    assert [verdict.objection is not None for verdict in verdicts] == [one < least for one in scores]
    assert any("CLAP" in (verdict.objection or "") for verdict in verdicts)


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_heard_in_halves(check, monkeypatch):
    wanted, heard, sizes = check.check(ASKED), check._clap._heard, []

    def room_for_one(pieces):
        sizes.append(len(pieces))
        if len(pieces) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return heard(pieces)

    monkeypatch.setattr(check._clap, "_heard", room_for_one)
    assert check.check(ASKED) == wanted
    assert sizes.count(1) == 6  # the long tone is three
    assert max(sizes) == 6


@pytest.mark.slow
def test_a_text_is_read_once(check, monkeypatch):
    check.check(ASKED)
    monkeypatch.setattr(check._clap, "_tokenizer", None)
    check.check(ASKED)


@pytest.mark.slow
def test_claims_on_one_stretch_hear_it_once(check, monkeypatch):
    here, there = clip(sounds.noise(4_000)), clip(sounds.tone(4_000))
    asked = [(here, claim("A hiss.", 0, 4_000)), (here, claim("Rain.", 0, 4_000)), (here, claim("Rain.", 0, 3_000))]
    asked += [(there, claim("Rain.", 0, 4_000)), (here, claim("A car.", 0, 4_000))]
    wanted, heard, sizes = [check.check([one])[0] for one in asked], check._clap._heard, []
    monkeypatch.setattr(check._clap, "_heard", lambda pieces: sizes.append(len(pieces)) or heard(pieces))
    assert check.check(asked) == wanted
    assert sizes == [3]


@pytest.mark.slow
def test_what_is_no_number_is_no_verdict(check, monkeypatch):
    monkeypatch.setattr(check._clap, "of_sounds", lambda pieces: [np.full(16, np.nan) for _ in pieces])
    assert {(verdict.score, verdict.objection) for verdict in check.check(ASKED)} == {(None, None)}


def test_texts_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr(clap, "KEPT_TEXTS", 2)
    texts = clap._Texts()
    for name in ("a", "b"):
        texts.put(name, np.zeros(1))
    texts.get("a")
    texts.put("c", np.zeros(1))
    assert list(texts.kept) == ["a", "c"]


@pytest.mark.slow
def test_a_folder_that_holds_no_whole_model_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    def refused(words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            ClapCheckConfig(weights=Weights(name=str(tmp_path)), device="cpu").build()

    refused("cannot be opened")
    clap_checkpoint.write(tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    held.pop("text_projection.linear1.weight")
    save_file(held, tmp_path / "model.safetensors", metadata={"format": "pt"})
    refused("lacks 1 tensors, text_projection.linear1.weight")
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    refused("cannot be opened")


def test_the_published_weights_are_named_with_their_licence():
    weights = ClapCheckConfig().weights
    assert weights.licence == "Apache-2.0"
    assert len(weights.revision) == 40
    assert len(set(CONTRASTS)) == len(CONTRASTS)
    json.dumps(config_row(ClapCheckConfig()))
    for changes in ({"least_score": 1.5}, {"contrasts": ()}, {"least_ms": 0}):
        with pytest.raises(ConfigError, match="contrasts and least_ms"):
            ClapCheckConfig(**changes)
