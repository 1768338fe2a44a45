"""The speech branch with every part as a user's: Whisper, CTC models, pyannote, a served captioner, all untrained.

The folders are in the published formats and are loaded as a user's are.
"""

import math

import numpy as np
import pytest

from annotators.captions.prompts import SPEECH_DESCRIPTION, SPEECH_SCHEMA
from annotators.portraits import PortraitRules
from annotators.recognition.alignment import AlignerConfig
from annotators.recognition.second import HubAsrConfig, SecondOpinion
from annotators.recognition.whisper import WhisperConfig
from annotators.trained_speech import StretchRules, TrainedSpeechConfig
from schemas.formats.transcript import parse
from schemas.record import Outcome, Profile
from schemas.weights import Weights
from tests.branch_parts import DESCRIBED, Answers
from tests.make_clips import babble, clip, event, held_in_a_record, noise, quiet, tone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    import torch

    from tests.make_pyannote import write_pipeline
    from tests.make_recognisers import tiny_ctc, tiny_whisper

    torch.set_num_threads(1)
    at = tmp_path_factory.mktemp("models")
    return {
        "whisper": tiny_whisper(at / "whisper"),
        "ctc": tiny_ctc(at / "ctc"),
        "second": tiny_ctc(at / "second", like="base"),
        "pyannote": write_pipeline(at / "pyannote"),
    }


def real(folders, **changed):
    """All as a user's, but for the weights."""
    from annotators.diarization.pyannote import PyannoteConfig

    def weights(name):
        return Weights(name=str(folders[name]))

    second = HubAsrConfig(weights=weights("second"), languages=(), device="cpu")
    parts = {
        "transcriber": WhisperConfig(weights=weights("whisper"), device="cpu", beam_size=1),
        "second": SecondOpinion(config=second, on="all"),
        "aligner": AlignerConfig(weights=weights("ctc"), device="cpu"),
        "diarizer": PyannoteConfig(weights=weights("pyannote"), device="cpu"),
        "captioner": Answers(),
        "portraits": PortraitRules(min_ms=300),
    }
    return TrainedSpeechConfig(**(parts | changed))


SOUNDS = {
    "nothing at all": np.zeros(0),
    "one sample": np.full(1, 0.5),
    "a hundredth of a second": tone(10),
    "silence": quiet(2_000),
    "clipping": np.sign(noise(1_500)),
    "syllables": babble(4_000, 0, 0.01),
    "other syllables": babble(3_000, 1, 0.01),
}


def heard_everywhere(name, start_ms=7_000):
    samples = SOUNDS[name]
    end_ms = start_ms + max(1, -(-len(samples) * 1000 // 16_000))
    middle_ms = (start_ms + end_ms + 1) // 2
    events = (
        [event(start_ms, middle_ms, "Speech", 0.9), event(middle_ms, end_ms, "Speech", 0.8)]
        if end_ms - start_ms > 1
        else []
    )
    return clip(samples, *events, start_ms=start_ms, profile=Profile(speech=0.8))


@pytest.fixture(scope="module")
def real_branch(folders):
    return real(folders, stretches=StretchRules(min_speech_ms=1)).build()


def test_the_real_parts_keep_the_contract_on_any_sound(real_branch):
    clips = [heard_everywhere(name) for name in SOUNDS]
    annotations = real_branch.annotate(clips)
    assert len(annotations) == len(clips)
    assert real_branch.model.count("+") == 4
    for made, told in zip(clips, annotations, strict=True):
        assert told.model == real_branch.model
        assert told.outcome is Outcome.OK or told.reason
        held = held_in_a_record(made, real_branch.branch, told)
        assert held.branches.speech == told
        assert all(0 <= fact.score <= 1 and fact.text and fact.kind for fact in told.facts)
        assert [fact.start_ms for fact in told.facts] == sorted(fact.start_ms for fact in told.facts)
        if told.outcome is Outcome.OK:
            names = {speaker.name for speaker in told.speakers}
            assert {turn.speaker for turn in told.turns} <= names
            assert {word.speaker for word in told.words} <= names | {None}
            assert {fact.speaker for fact in told.facts} <= names | {None}
            assert [word.start_ms for word in told.words] == sorted(word.start_ms for word in told.words)
            assert all(
                math.isfinite(value) for value in (told.score, told.loudness_db, told.disagreement) if value is not None
            )
    syllables = annotations[list(SOUNDS).index("syllables")]
    assert syllables.turns
    assert syllables.second_text is not None
    assert syllables.language
    assert any(speaker.description for speaker in syllables.speakers)


def test_the_real_parts_say_the_same_whatever_was_heard_before(real_branch):
    clips = [heard_everywhere(name) for name in ("syllables", "other syllables", "clipping")]
    alone = [real_branch.annotate([one])[0] for one in clips]
    assert real_branch.annotate(clips) == alone
    assert real_branch.annotate(clips[::-1]) == alone[::-1]


def test_words_of_the_real_parts_reach_the_transcript_where_nothing_is_doubted(folders):
    from annotators.recognition.doubts import DoubtRules

    lenient = DoubtRules(
        max_compression=1e9,
        loop_repeats=10**6,
        max_letters_per_s=1e9,
        max_spaceless_letters_per_s=1e9,
        max_no_speech=1.0,
        max_outside_voice=1.0,
    )
    (told,) = real(folders, second=None, doubts=lenient).build().annotate([heard_everywhere("syllables")])
    assert told.words
    assert told.text.startswith("[")
    assert {fact.kind for fact in told.facts} >= {"transcript"}
    assert parse(told.text).well_formed


def test_a_served_captioner_describes_the_voices(folders):
    from annotators.captions.chat import ChatConfig
    from annotators.captions.served import ServedCaptionerConfig
    from tests.chat_server import ChatServer
    from tests.local_server import Answer

    def answer(request):
        assert request.schema == SPEECH_SCHEMA
        assert request.text == SPEECH_DESCRIPTION
        assert request.sounds[0].duration_ms >= 300
        return DESCRIBED

    made = heard_everywhere("syllables")
    with ChatServer(answer) as server:
        chat = ChatConfig(url=server.url, model="tiny", retries=0)
        (told,) = real(folders, captioner=ServedCaptionerConfig(chat=chat)).build().annotate([made])
        assert len(server.requests) == sum(bool(speaker.description) for speaker in told.speakers) > 0
    with ChatServer(lambda request: Answer(status=500)) as server:
        chat = ChatConfig(url=server.url, model="tiny", retries=0)
        (down,) = real(folders, captioner=ServedCaptionerConfig(chat=chat)).build().annotate([made])
    assert not any(speaker.description for speaker in down.speakers)
    assert any("is not described" in doubt for doubt in down.doubts)
    assert (down.text, down.words, down.turns) == (told.text, told.words, told.turns)
