"""What every annotator promises, held against every one of them, on sounds no one would expect."""

import math
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from annotators.music import MusicConfig
from annotators.sound import SoundConfig
from annotators.speech import SpeechConfig
from annotators.trained_sound import TrainedSoundConfig
from schemas.record import Outcome, Profile
from tests.make_clips import RATE_HZ, clip, event, held_in_a_record, noise, quiet, tone

CONFIGS = {
    "speech": SpeechConfig(),
    "sound": SoundConfig(),
    "music": MusicConfig(),
    "trained sound": TrainedSoundConfig(),
}
NOISE = noise(1_500)
SYLLABLES = np.concatenate([tone(180, hz) * np.hanning(2_880) + noise(180, 0.02) for hz in (140, 180, 120, 160)])
SOUNDS = {
    "nothing at all": np.zeros(0),
    "one sample": np.full(1, 0.5),
    "a hundredth of a second": tone(10),
    "a fiftieth of a second": NOISE[:320],
    "silence": quiet(3_000),
    "a constant offset": np.full(24_000, 0.3),
    "white noise": NOISE,
    "clipping": np.sign(NOISE),
    "a tone": tone(3_000),
    "syllables": np.concatenate([quiet(300), SYLLABLES, quiet(300)]),
    "one click": np.concatenate([quiet(500), NOISE[:80], quiet(500)]),
}


@pytest.fixture(scope="module", params=CONFIGS)
def annotator(request):
    return CONFIGS[request.param].build()


def heard_everywhere(samples, start_ms=7_000, marked=True):
    """A clip that every branch is asked to speak about, somewhere inside a recording."""
    end_ms = start_ms + max(1, -(-len(samples) * 1000 // RATE_HZ))
    middle_ms = (start_ms + end_ms + 1) // 2
    events = [
        event(start_ms, middle_ms, "Speech", 0.9),
        event(start_ms, end_ms, "Sound", 0.8),
        event(middle_ms - 1, end_ms, "Sound", 0.8),
    ]
    return clip(samples, *(events if marked else []), start_ms=start_ms, profile=Profile(speech=0.6, music=0.6))


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("marked", [True, False], ids=["with events", "without events"])
def test_any_sound_gets_an_annotation_inside_its_segment(annotator, name, marked):
    made = heard_everywhere(SOUNDS[name], marked=marked)
    (said,) = annotator.annotate([made])
    assert said.outcome is Outcome.OK or said.reason
    assert said.model == annotator.model
    assert "@" in said.model
    held = held_in_a_record(made, annotator.branch, said)
    assert all(made.segment.contains(chord) for chord in getattr(said, "chords", ()))
    assert all(made.segment.start_ms <= beat < made.segment.end_ms for beat in getattr(said, "beats_ms", ()))
    assert all(math.isfinite(number) for number in numbers(held))
    assert all(0 <= fact.score <= 1 and fact.text and fact.kind for fact in said.facts)


def test_one_annotation_a_clip_in_order_whatever_was_heard_before(annotator):
    clips = [heard_everywhere(SOUNDS[name]) for name in ("syllables", "white noise", "a tone", "silence")]
    alone = [annotator.annotate([one])[0] for one in clips]
    assert annotator.annotate(clips) == alone
    assert annotator.annotate(clips[::-1]) == alone[::-1]
    assert annotator.annotate([]) == []


def test_facts_come_in_time_order(annotator):
    for samples in SOUNDS.values():
        (said,) = annotator.annotate([heard_everywhere(samples)])
        assert [f.start_ms for f in said.facts] == sorted(f.start_ms for f in said.facts)


def test_where_the_recording_begins_does_not_change_what_is_said(annotator):
    early, late = (annotator.annotate([heard_everywhere(SOUNDS["syllables"], at)])[0] for at in (0, 600_000))
    assert early.text == late.text
    assert [(f.kind, f.text, f.score) for f in early.facts] == [(f.kind, f.text, f.score) for f in late.facts]
    assert [f.start_ms + 600_000 for f in early.facts] == [f.start_ms for f in late.facts]


def test_a_branch_without_its_subject_is_skipped_with_a_reason(annotator):
    (said,) = annotator.annotate([clip(tone(2_000))])
    assert said.outcome is Outcome.SKIPPED
    assert said.reason
    assert not said.facts


def numbers(value):
    """Every float anywhere in a record."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple):
        return [number for item in value for number in numbers(item)]
    return [n for f in fields(value) for n in numbers(getattr(value, f.name))] if is_dataclass(value) else []
