"""Whether a claim is heard: by CLAP with tiny random weights, by the detector's events, by a captioner's yes or no."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotators.captions.chat import ChatConfig
from annotators.captions.served import ServedCaptionerConfig
from annotators.checks import clap, events, probe, windows
from annotators.checks.clap import CONTRASTS, ClapCheck, ClapCheckConfig, score
from annotators.checks.events import EventsCheckConfig, is_family, named_in
from annotators.checks.probe import ProbeCheckConfig
from pipeline.route import config_row
from schemas import audioset
from schemas.errors import ConfigError
from schemas.record import Branch, Branches, Claim, Clip, Event, Fact, MusicAnnotation, Outcome, SoundAnnotation
from schemas.weights import Weights
from tests import clap_checkpoint, make, sounds
from tests.chat_server import Answer, ChatServer

torch.set_num_threads(1)


def clip(samples: np.ndarray, *events: Event, start_ms: int = 0, label: str | None = None, kind: str = "event") -> Clip:
    """With one fact of the sound branch, and one of the music branch that is measured."""
    end_ms = start_ms + len(samples) // 16
    span = {"start_ms": start_ms, "end_ms": end_ms, "score": 0.9}
    heard = Fact(**span, kind=kind, text="a dog", label=label)
    measured = Fact(**span, kind="tempo", text="120 bpm")
    branches = Branches(
        sound=SoundAnnotation(outcome=Outcome.OK, model="ears@1", facts=(heard,)),
        music=MusicAnnotation(outcome=Outcome.OK, model="ears@1", facts=(measured, replace(heard, kind="music"))),
    )
    made = make.clip(samples, start_ms, branches=branches)
    return replace(made, segment=replace(made.segment, events=events))


def claim(text: str, start_ms: int = 0, end_ms: int = 1_000, **changes) -> Claim:
    usual = {"branch": Branch.SOUND, "evidence": ("sound/0",), "score": 0.9}
    return Claim(**(usual | changes), text=text, start_ms=start_ms, end_ms=end_ms)


def event(label: str, start_ms: int = 0, end_ms: int = 1_000, heard: float = 0.7) -> Event:
    return Event(start_ms=start_ms, end_ms=end_ms, label=label, score=heard)


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("From 0.3 to 2.2 s a dog barks.", "a dog barks."),
        ("At 1.0 s a click.", "a click."),
        ("Between 3 and 5 seconds, rain falls.", "rain falls."),
        ("A bark at 0:03-0:05, then silence.", "A bark then silence."),
        ("(2.0-3.1s) rain", "rain"),
        ("Rain falls until 29.9 s.", "Rain falls."),
        ("Two dogs bark 3 times.", "Two dogs bark 3 times."),
        ("Music of the 80s plays.", "Music of the 80s plays."),
        ("At 1.0 s", ""),
    ],
)
def test_times_are_left_out(text, without):
    assert windows.timeless(text) == without


def test_quoted_words_are_left_out():
    assert windows.unquoted('Someone says "a dog barks" in a low voice.') == "Someone says in a low voice."
    assert windows.quotes('He says "no".')
    assert windows.quotes("He says “no”.")
    assert not windows.quotes("A dog's bark.")


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text):
    windows.timeless(text)
    windows.unquoted(text)
    named_in(text)
    probe.verdict(text)


@pytest.mark.parametrize(
    "text", ["1" * 50_000, '"' * 50_000, "1:" * 25_000, "1 to " * 10_000, " " * 50_000, "dog " * 9_000]
)
def test_a_long_text_takes_no_long_time(text):
    windows.timeless(text)
    windows.unquoted(text)
    named_in(text)


@given(
    start=st.integers(0, 9_000),
    length=st.integers(1, 9_000),
    least=st.integers(1, 20_000),
    offset=st.integers(0, 5_000),
)
def test_a_window_holds_its_claim_and_stays_in_its_clip(start, length, least, offset):
    heard = make.clip(make.quiet(10_000), offset)
    span = {"start_ms": offset + start, "end_ms": min(offset + start + length, offset + 10_000)}
    found = windows.window(heard, claim("A dog.", **span), least)
    assert heard.segment.start_ms <= found.start_ms <= span["start_ms"]
    assert span["end_ms"] <= found.end_ms <= heard.segment.end_ms
    assert found.duration_ms == max(min(least, 10_000), span["end_ms"] - span["start_ms"])


# ---------------------------------------------------------------------------------------------------- CLAP


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
    whole = clip(sounds.one_after_another(*parts))
    (verdict,) = check.check([(whole, claim("A hiss.", 0, 30_000))])
    assert verdict.score == pytest.approx(max(scores), abs=0.02)  # the resampler hears a little over each cut


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


def test_texts_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr(clap, "KEPT_TEXTS", 2)
    texts = clap._Texts()
    for name in ("a", "b"):
        texts.put(name, np.zeros(1))
    texts.get("a")
    texts.put("c", np.zeros(1))
    assert list(texts.kept) == ["a", "c"]


@pytest.mark.slow
def test_a_folder_that_holds_no_whole_model_is_refused(weights, tmp_path):
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


# -------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A dog barks twice.", {"Dog", "Bark"}),
        ("Dogs are barking.", {"Dog", "Bark"}),
        ("A car door slams.", {"Car", "Door", "Slam"}),
        ("An electric guitar plays.", {"Electric guitar"}),
        ("A cat meows.", {"Cat", "Meow"}),
        ("Rain falls.", {"Rain"}),
        ("Footsteps on a hard floor.", {"Walk, footsteps"}),
        ("A low tone holds steady.", set()),
        ("", set()),
        ("Concatenated doggerel.", set()),
    ],
)
def test_what_a_sentence_names(text, names):
    found = set(named_in(text))
    assert names <= found
    assert bool(names) == bool(found)


def test_every_class_with_plain_words_of_its_own_is_found_in_them():
    found = [label for label in audioset.labels() if label.coarse and label.name in named_in(f"There is {label.name}.")]
    assert len(found) > 0.95 * len(audioset.labels())


def test_families():
    assert is_family("Dog", "Dog")
    assert is_family("Bark", "Dog")
    assert is_family("Animal", "Bark")
    assert not is_family("Dog", "Cat")
    assert not is_family("Dog", "Music")


def agreement(text: str, *heard: Event, label: str | None = None, **changes):
    return EventsCheckConfig(**changes).build().check([(clip(make.quiet(9_000), *heard, label=label), claim(text))])[0]


def test_a_claim_agrees_with_an_event_of_its_family_in_its_time():
    for label in ("Dog", "Bark", "Animal"):
        found = agreement("A dog barks.", event(label), event("Music", heard=0.9))
        assert (found.score, found.objection) == (0.7, None)


def test_a_claim_that_no_event_bears_out_meets_an_objection():
    for heard in (event("Cat"), event("Dog", 3_000, 4_000)):
        found = agreement("A dog barks.", heard)
        assert found.score == 0.0
        assert "names Dog" in found.objection
    assert "heard there: Cat" in agreement("A dog barks.", event("Cat")).objection
    assert "heard there: nothing" in agreement("A dog barks.").objection


def test_a_claim_that_contradicts_its_own_evidence_meets_an_objection():
    assert agreement("A cat meows.", event("Dog"), label="Dog").objection
    assert agreement("Something yaps.", event("Dog"), label="Dog").score == 0.7  # it names nothing: its fact does
    assert agreement("Something yaps.", event("Cat"), label="Dog").objection


def test_of_several_names_one_is_enough():
    assert agreement("A car door slams.", event("Door")).score == 0.7


def test_what_is_not_judged_by_events():
    assert agreement("A low tone holds.", event("Dog")).score is None
    assert agreement('Someone says "a dog barks".', event("Music")).score is None
    unnamed = agreement("A dog barks.", event("Sound"))  # it may be one
    assert (unnamed.score, unnamed.objection) == (None, None)


def test_events_reach_a_little_beyond_a_claim_and_weak_ones_do_not_count():
    late = event("Dog", 1_300, 2_000)
    assert agreement("A dog barks.", late).score == 0.7
    assert agreement("A dog barks.", late, reach_ms=0).objection
    assert agreement("A dog barks.", event("Dog", heard=0.2), least_score=0.3).objection
    for changes in ({"reach_ms": -1}, {"least_score": 2.0}):
        with pytest.raises(ConfigError):
            EventsCheckConfig(**changes)


def test_names_of_checks():
    assert (ClapCheck.name, events.EventsCheck.name, probe.ProbeCheck.name) == ("clap", "events", "probe")


# --------------------------------------------------------------------------------------------------- probe


@pytest.mark.parametrize("answer", ["yes", "Yes.", "YES!", " **yes** ", '"Yes"'])
def test_yes(answer):
    assert probe.verdict(answer) == probe.Verdict(score=1.0)


@pytest.mark.parametrize("answer", ["no", "No.", "NO", "no\n"])
def test_no(answer):
    found = probe.verdict(answer)
    assert found.score == 0.0
    assert found.objection


@pytest.mark.parametrize(
    "answer", [None, "", "maybe", "yes and no", "Yes, a dog barks.", "not", "nope", "yes no", "eyes"]
)
def test_neither(answer):
    assert probe.verdict(answer) == probe.Verdict()


@pytest.mark.slow
def test_a_captioner_is_asked_about_the_stretch_of_the_claim():
    noisy = sounds.one_after_another(sounds.silence(10_000), sounds.noise(1_000), sounds.silence(9_000))
    heard = clip(noisy, start_ms=5_000)

    def answer(request):
        if "bird" in request.text:
            return Answer(status=400)
        (sound,) = request.sounds
        loud = np.abs(sound.pcm.astype(float)).mean() > 100
        return ("Yes." if loud else "No.") if "hiss" in request.text else "Perhaps."

    claims = [
        claim("From 10.0 to 11.0 s a hiss.", 15_000, 16_000),
        claim("A hiss.", 5_000, 6_000),
        claim("A dog.", 15_000, 16_000),
        claim("A bird.", 15_000, 16_000),
    ]
    with ChatServer(answer) as server:
        chat = ChatConfig(url=server.url, model="ears", revision="1", retries=0)
        check = ProbeCheckConfig(captioner=ServedCaptionerConfig(chat=chat), least_ms=3_000).build()
        verdicts = check.check([(heard, one) for one in claims])
    assert check.model == "ears@1"
    assert [verdict.score for verdict in verdicts] == [1.0, 0.0, None, None]
    assert [verdict.objection is None for verdict in verdicts] == [True, False, True, True]
    assert {request.sounds[0].duration_ms for request in server.requests} == {3_000}
    assert any('"a hiss."' in text for text in server.texts)  # without its times
