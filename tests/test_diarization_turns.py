"""Turns of clips out of what was heard in windows: nothing is lost between windows, clips and names."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.diarization.joining import joined
from annotators.diarization.turns import Heard, Spoken, TurnRules, diarizations_of, overlaps_of
from annotators.diarization.windows import laid_out
from benchmarks.conversations import real_conversation
from schemas.record import Speaker, Turn, Word
from schemas.span import Span

SPEECH = Path(__file__).parents[2] / "shared" / "speech"
RTTMS = sorted(SPEECH.glob("*.rttm"))
EVERY = TurnRules(min_ms=1, min_overlap_ms=1)
LIKENESS = 0.5


def spoken(start_ms, end_ms, voice):
    return Spoken(start_ms=start_ms, end_ms=end_ms, voice=voice)


def heard(windows, said, seed=0, noise=0.2):
    """What a listener without fault says of each window: who speaks is right, what they are called is drawn."""
    drawn = np.random.default_rng(seed)
    who = sorted({one.speaker for one in said})
    directions = dict(zip(who, np.linalg.qr(drawn.standard_normal((32, 32)))[0], strict=False))
    told = []
    for window in windows:
        parts = [(one.speaker, part) for one in said for piece in window.pieces if (part := one.clipped(piece))]
        here = [str(name) for name in drawn.permutation(sorted({name for name, _ in parts}))]
        turns = tuple(spoken(part.start_ms, part.end_ms, here.index(name)) for name, part in parts)
        off = [noise * drawn.standard_normal(32) / np.sqrt(32) for _ in here]
        embeddings = tuple(directions[name] + o for name, o in zip(here, off, strict=True))
        told.append(Heard(spoken=turns, exclusive=one_at_a_time(turns), embeddings=embeddings))
    return told


def one_at_a_time(turns):
    """The later of two has the floor."""
    kept = []
    for one in sorted(turns, key=lambda one: (one.start_ms, one.end_ms)):
        while kept and kept[-1].end_ms > one.start_ms:
            last = kept.pop()
            if last.start_ms < one.start_ms:
                kept.append(spoken(last.start_ms, one.start_ms, last.voice))
        kept.append(one)
    return tuple(kept)


voices = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 120), st.integers(0, 3)), max_size=12)


@settings(deadline=None)
@given(voices, st.lists(st.integers(1, 399), unique=True, max_size=5).map(sorted))
def test_turns_lie_in_their_clips_named_in_order_with_overlaps_that_agree(drawn, cuts):
    turns = [spoken(start, start + length, voice) for start, length, voice in drawn]
    clips = [Span.of(a, b) for a, b in pairwise([0, *cuts, 520])]
    one = Heard(spoken=tuple(turns), exclusive=one_at_a_time(turns), embeddings=(None,) * 4)
    for clip, told in zip(clips, diarizations_of(clips, [one], LIKENESS, EVERY), strict=True):
        assert all(clip.contains(span) for span in (*told.turns, *told.exclusive, *told.overlaps))
        assert [turn.start_ms for turn in told.turns] == sorted(turn.start_ms for turn in told.turns)
        first = dict.fromkeys(
            t.speaker for t in sorted((*told.turns, *told.exclusive), key=lambda t: (t.start_ms, t.end_ms))
        )
        assert [speaker.name for speaker in told.speakers] == [f"S{n + 1:02d}" for n in range(len(first))]
        assert set(first) == {speaker.name for speaker in told.speakers}
        assert all(a.end_ms <= b.start_ms for a, b in pairwise(told.exclusive))
        two = [
            ms
            for ms in range(clip.start_ms, clip.end_ms)
            if len({t.speaker for t in told.turns if t.start_ms <= ms < t.end_ms}) > 1
        ]
        assert two == [ms for span in told.overlaps for ms in range(span.start_ms, span.end_ms)]
        for turn in told.turns:
            assert turn.overlap == any(turn.start_ms <= ms < turn.end_ms for ms in two)


@settings(deadline=None)
@given(voices)
def test_whatever_is_cut_into_clips_is_the_same_speech(drawn):
    turns = [spoken(start, start + length, voice) for start, length, voice in drawn]
    one = Heard(spoken=tuple(turns), exclusive=one_at_a_time(turns), embeddings=(None,) * 4)
    (whole,) = diarizations_of([Span.of(0, 520)], [one], LIKENESS, EVERY)
    parts = diarizations_of([Span.of(0, 200), Span.of(200, 520)], [one], LIKENESS, EVERY)
    for exclusive in (False, True):
        together = {(voice, ms) for voice, ms in moments(whole, exclusive)}
        assert together == {(voice, ms) for part in parts for voice, ms in moments(part, exclusive)}


def moments(told, exclusive):
    """Who speaks at each millisecond, by the name in the recording."""
    voice_of = {speaker.name: speaker.voice for speaker in told.speakers}
    turns = told.exclusive if exclusive else told.turns
    return [(voice_of[turn.speaker], ms) for turn in turns for ms in range(turn.start_ms, turn.end_ms)]


def test_slivers_are_left_out():
    one = Heard(spoken=(spoken(0, 1_000, 0), spoken(990, 2_000, 1)), exclusive=(), embeddings=(None, None))
    (first, second) = diarizations_of([Span.of(0, 1_000), Span.of(1_000, 2_000)], [one], LIKENESS, TurnRules())
    assert [(turn.start_ms, turn.end_ms, turn.speaker, turn.overlap) for turn in first.turns] == [
        (0, 1_000, "S01", False)
    ]
    assert [(turn.start_ms, turn.end_ms, turn.speaker) for turn in second.turns] == [(1_000, 2_000, "S01")]
    assert (first.speakers, second.speakers) == (
        (Speaker(name="S01", voice="V01"),),
        (Speaker(name="S01", voice="V02"),),
    )


def test_of_a_voice_hardly_heard_it_is_not_said_who_it_is_among_several_windows():
    known, zeros = np.ones(4), np.zeros(4)
    one = Heard(spoken=(spoken(0, 900, 0), spoken(900, 1_000, 1)), exclusive=(), embeddings=(known, zeros))
    other = Heard(spoken=(spoken(1_000, 2_000, 0),), exclusive=(), embeddings=(known,))
    clips = [Span.of(0, 1_000), Span.of(1_000, 2_000)]
    told = diarizations_of(clips, [one, other], LIKENESS, TurnRules())
    assert [[speaker.voice for speaker in part.speakers] for part in told] == [["V01", None], ["V01"]]
    (alone,) = diarizations_of(clips[:1], [one], LIKENESS, TurnRules())
    assert [speaker.voice for speaker in alone.speakers] == ["V01", "V02"]


def test_a_sliver_does_not_count_as_the_first_voice():
    one = Heard(
        spoken=(spoken(0, 40, 0), spoken(40, 900, 1), spoken(900, 2_000, 0)), exclusive=(), embeddings=(None,) * 2
    )
    (told,) = diarizations_of([Span.of(0, 2_000)], [one], LIKENESS, TurnRules())
    assert [speaker.voice for speaker in told.speakers] == ["V01", "V02"]


def test_three_at_once_are_one_overlap():
    at_once = [spoken(0, 1_000, 0), spoken(300, 800, 1), spoken(500, 900, 2)]
    assert overlaps_of(at_once, 100) == [Span.of(300, 900)]
    assert overlaps_of(at_once, 601) == []


@pytest.mark.skipif(not RTTMS, reason="the recordings of speech in ../shared are not beside the checkout")
@pytest.mark.parametrize("rttm", RTTMS, ids=lambda path: path.stem)
@pytest.mark.parametrize("window_ms", [6_000, 11_000, 300_000])
def test_real_turns_called_by_other_names_in_every_window_are_found_again(rttm, window_ms):
    said = real_conversation(rttm).said
    clips = [Span.of(start, start + 5_000) for start in range(0, max(one.end_ms for one in said), 5_000)]
    told = diarizations_of(clips, heard(laid_out(clips, window_ms, 1_000), said), LIKENESS, EVERY)
    in_order = dict.fromkeys(one.speaker for one in sorted(said, key=lambda one: one.start_ms))
    voice_of = {name: f"V{n + 1:02d}" for n, name in enumerate(in_order)}
    true = {(voice_of[one.speaker], ms) for one in said for ms in range(one.start_ms, one.end_ms)}
    assert {moment for part in told for moment in moments(part, exclusive=False)} == true
    assert len(voice_of) == 2


@pytest.mark.skipif(not RTTMS, reason="the recordings of speech in ../shared are not beside the checkout")
@pytest.mark.parametrize("rttm", RTTMS, ids=lambda path: path.stem)
def test_words_of_real_turns_are_their_speakers(rttm):
    said = real_conversation(rttm).said
    told_ms = max(one.end_ms for one in said) + 1_000
    (told,) = diarizations_of(
        [Span.of(0, told_ms)], heard(laid_out([Span.of(0, told_ms)], told_ms, 0), said), LIKENESS, EVERY
    )
    assert len(told.exclusive) > 5
    for turn in told.exclusive:
        edge_ms = min(150, turn.duration_ms // 3)
        asked = [
            (turn.start_ms, turn.end_ms),
            (turn.start_ms, turn.start_ms + edge_ms),
            (turn.end_ms - edge_ms, turn.end_ms),
        ]
        before = (turn.start_ms - edge_ms // 2, turn.start_ms + edge_ms // 2 + 2)  # begins too early, and more inside
        after = (turn.end_ms - edge_ms // 2 - 2, turn.end_ms + edge_ms // 2)
        words = [Word(text="so", start_ms=a, end_ms=b, score=1.0) for a, b in (*asked, before, after)]
        assert [word.speaker for word in joined(words, told.exclusive, 300)] == [turn.speaker] * 5


def test_turn_scores_and_types():
    one = Heard(spoken=(spoken(0, 1_000, 0),), exclusive=(spoken(0, 1_000, 0),), embeddings=(np.ones(3),))
    (told,) = diarizations_of([Span.of(0, 1_000)], [one], LIKENESS, TurnRules(score=0.7))
    assert told.turns == told.exclusive == (Turn(start_ms=0, end_ms=1_000, speaker="S01", score=0.7, overlap=False),)
