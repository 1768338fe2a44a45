"""Where to cut: laws that hold for any hearing, and what they look like on simple ones."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.record import Event
from schemas.span import Span, covered_ms
from segmenters.base import FRAME_MS, MUSIC, SOUND, SPEECH, Change, Hearing
from segmenters.boundaries import CutRules, decide

RULES = CutRules()


def sound(start_ms: int, end_ms: int, label: str = SOUND) -> Event:
    return Event(start_ms=start_ms, end_ms=end_ms, label=label, score=0.9)


def hearing(*events: Event, end_ms: int = 60_000, start_ms: int = 0, changes: tuple[Change, ...] = ()) -> Hearing:
    """What one would hear: sounds at -20 dB, silence at -80 dB."""
    level_db = np.full(-(-(end_ms - start_ms) // FRAME_MS), -80, np.float32)
    for event in events:
        level_db[(event.start_ms - start_ms) // FRAME_MS : (event.end_ms - start_ms) // FRAME_MS] = -20
    return Hearing(
        span=Span.of(start_ms, end_ms),
        events=tuple(sorted(events, key=lambda e: (e.start_ms, e.end_ms, e.label))),
        changes=changes,
        level_db=level_db,
    )


@st.composite
def hearings(draw):
    start_ms = draw(st.integers(0, 5_000))
    length_ms = draw(st.integers(1, 150_000))
    events = []
    for _ in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, length_ms - 1))
        last = min(length_ms, first + draw(st.integers(1, 80_000)))
        events.append(sound(start_ms + first, start_ms + last, draw(st.sampled_from([SPEECH, SOUND]))))
    changes = tuple(
        Change(at_ms=start_ms + at, strength=draw(st.floats(0, 1)))
        for at in sorted(draw(st.sets(st.integers(0, length_ms - 1), max_size=5)))
    )
    return hearing(*events, start_ms=start_ms, end_ms=start_ms + length_ms, changes=changes)


rules = st.builds(
    CutRules, min_ms=st.integers(500, 1_500), max_ms=st.integers(3_000, 40_000), margin_ms=st.integers(0, 500)
)


@settings(max_examples=150, deadline=None)
@given(hearings(), rules)
def test_pieces_tile_the_stretch_and_keep_the_cap(heard, rules):
    pieces = decide(heard, rules)
    assert pieces[0].start_ms == heard.span.start_ms
    assert pieces[-1].end_ms == heard.span.end_ms
    assert all(left.end_ms == right.start_ms for left, right in pairwise(pieces))
    assert all(piece.duration_ms <= rules.max_ms for piece in pieces)


@settings(max_examples=100, deadline=None)
@given(hearings(), rules)
def test_what_is_heard_is_never_in_a_silent_piece(heard, rules):
    assert all(covered_ms(heard.events, piece) == 0 for piece in decide(heard, rules) if piece.silent)


@settings(max_examples=50, deadline=None)
@given(hearings())
def test_the_same_hearing_gives_the_same_pieces(heard):
    assert decide(heard, RULES) == decide(heard, RULES)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1_000, 5_000), st.integers(100, 29_000)), min_size=1, max_size=6))
def test_an_event_shorter_than_the_cap_with_silence_around_it_is_never_cut(gaps_and_lengths):
    events, at_ms = [], 0
    for gap_ms, length_ms in gaps_and_lengths:
        events.append(sound(at_ms + gap_ms, at_ms + gap_ms + length_ms))
        at_ms = events[-1].end_ms
    cuts = [piece.start_ms for piece in decide(hearing(*events, end_ms=at_ms + 1_000), RULES)]
    assert not [cut for cut in cuts for event in events if event.start_ms < cut < event.end_ms]


@settings(max_examples=100, deadline=None)
@given(st.integers(1_000, 20_000), st.integers(1_000, 20_000))
def test_cuts_lie_within_half_a_second_of_the_edges(start_ms, length_ms):
    event = sound(start_ms, start_ms + length_ms)
    (piece,) = [p for p in decide(hearing(event), RULES) if not p.silent]
    assert 0 <= event.start_ms - piece.start_ms <= 500
    assert 0 <= piece.end_ms - event.end_ms <= 500


def active(heard: Hearing, rules: CutRules = RULES) -> list[tuple[int, int]]:
    return [(piece.start_ms, piece.end_ms) for piece in decide(heard, rules) if not piece.silent]


def test_silence_is_accounted_for_in_pieces_no_longer_than_the_cap():
    pieces = decide(hearing(end_ms=100_000), RULES)
    assert all(piece.silent for piece in pieces)
    assert [piece.start_ms for piece in pieces] == [0, 25_000, 50_000, 75_000]


def test_a_long_silence_stays_out_of_the_pieces_around_it():
    pieces = active(hearing(sound(5_000, 8_000), sound(30_000, 40_000)))
    assert pieces == [(4_650, 8_350), (29_650, 40_350)]


def test_a_very_short_event_brings_silence_along_until_the_piece_is_long_enough():
    ((start_ms, end_ms),) = active(hearing(sound(5_000, 5_100)))
    assert end_ms - start_ms >= RULES.min_ms


def test_speech_is_not_parted_at_a_short_pause():
    assert len(active(hearing(sound(1_000, 5_000, SPEECH), sound(5_500, 9_000, SPEECH)))) == 1


def test_another_sound_after_a_short_silence_begins_a_piece():
    change = Change(at_ms=5_250, strength=0.9)
    assert len(active(hearing(sound(1_000, 5_000), sound(5_500, 9_000), changes=(change,)))) == 2


def test_a_sound_longer_than_the_cap_is_cut_where_it_is_quiet():
    heard = hearing(sound(0, 50_000), end_ms=50_000)
    heard.level_db[2_600:2_630] = -45
    (_, first_end), _ = active(heard)
    assert 26_000 <= first_end <= 26_300


def test_a_sound_longer_than_the_cap_is_cut_at_a_clear_change():
    change = Change(at_ms=27_310, strength=1.0)
    assert active(hearing(sound(0, 50_000), end_ms=50_000, changes=(change,))) == [(0, 27_310), (27_310, 50_000)]


@pytest.mark.parametrize("length_ms", [50_000, 150_000], ids=["longer than the cap", "a bed"])
def test_long_music_is_divided_where_phrases_end(length_ms):
    phrases = tuple(Change(at_ms=at_ms, strength=0.9) for at_ms in range(8_130, length_ms - 4_000, 8_130))
    heard = replace(hearing(sound(0, length_ms, MUSIC), end_ms=length_ms), phrases=phrases)
    cuts = [piece.start_ms for piece in decide(heard, RULES)][1:]
    assert cuts
    assert set(cuts) <= {phrase.at_ms for phrase in phrases}


def test_minutes_of_rain_are_divided_where_it_is_quietest():
    heard = hearing(sound(0, 180_000), end_ms=180_000)
    quiet_ms = range(26_000, 160_000, 26_000)
    for at_ms in quiet_ms:
        heard.level_db[at_ms // FRAME_MS : at_ms // FRAME_MS + 30] = -40
    cuts = [piece.start_ms for piece in decide(heard, RULES)][1:]
    assert len(cuts) == 6
    assert all(any(at_ms <= cut <= at_ms + 300 for at_ms in quiet_ms) for cut in cuts)


def test_events_on_a_long_bed_are_kept_whole():
    speech = [sound(at, at + 20_000, SPEECH) for at in (5_000, 32_000, 58_000)]
    cuts = [piece.start_ms for piece in decide(hearing(sound(0, 90_000), *speech, end_ms=90_000), RULES)]
    assert not [cut for cut in cuts for event in speech if event.start_ms < cut < event.end_ms]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"max_ms": 1_500}, id="the cap leaves no room for two pieces"),
        pytest.param({"min_ms": 0}, id="pieces of no length"),
        pytest.param({"margin_ms": 2_000}, id="a margin longer than a piece"),
        pytest.param({"cut_cost": -1.0}, id="cuts that pay"),
    ],
)
def test_rules_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CutRules(**wrong)
