"""Who said which word: known cases, and the obvious way to find it written out."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.diarization.joining import joined
from schemas.record import Turn, Word

REACH_MS = 300


def word(start_ms, end_ms):
    return Word(text="so", start_ms=start_ms, end_ms=end_ms, score=0.9)


def turn(start_ms, end_ms, speaker):
    return Turn(start_ms=start_ms, end_ms=end_ms, speaker=speaker)


TURNS = (turn(1_000, 2_000, "S01"), turn(2_000, 3_000, "S02"), turn(4_000, 5_000, "S01"))


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "speaker"),
    [
        pytest.param(1_200, 1_500, "S01", id="inside a turn"),
        pytest.param(1_000, 2_000, "S01", id="a whole turn"),
        pytest.param(1_600, 2_300, "S01", id="mostly before the change"),
        pytest.param(1_800, 2_500, "S02", id="mostly after the change"),
        pytest.param(1_900, 2_100, "S01", id="half and half is the earlier one's"),
        pytest.param(700, 750, "S01", id="shortly before anyone speaks"),
        pytest.param(699, 699 + 1, "S01", id="as far as it reaches"),
        pytest.param(600, 699, None, id="a millisecond too far"),
        pytest.param(3_100, 3_200, "S02", id="shortly after a turn"),
        pytest.param(3_800, 3_900, "S01", id="shortly before the next"),
        pytest.param(3_400, 3_600, None, id="in the middle of a silence"),
        pytest.param(5_300, 5_400, "S01", id="after the last turn"),
        pytest.param(5_301, 5_400, None, id="long after the last turn"),
        pytest.param(1_500, 4_800, "S01", id="two turns of one speaker count together"),
    ],
)
def test_a_word_is_whose_turn_it_is(start_ms, end_ms, speaker):
    (said,) = joined([word(start_ms, end_ms)], TURNS, REACH_MS)
    assert said.speaker == speaker
    assert (said.start_ms, said.end_ms, said.text, said.score) == (start_ms, end_ms, "so", 0.9)


def test_without_turns_nobody_said_it():
    assert joined([word(0, 100)], [], REACH_MS)[0].speaker is None
    assert joined([], TURNS, REACH_MS) == []


edges = st.lists(st.integers(0, 60), min_size=2, max_size=14, unique=True).map(sorted)
words = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8)


@settings(deadline=None)
@given(
    edges, st.lists(st.sampled_from(["S01", "S02", "S03", None]), min_size=14, max_size=14), words, st.integers(0, 12)
)
def test_it_is_what_going_through_all_turns_finds(edges, speakers, words, reach_ms):
    turns = [turn(a, b, who) for (a, b), who in zip(pairwise(edges), speakers, strict=False) if who]
    asked = [word(start, start + length) for start, length in words]
    assert [said.speaker for said in joined(asked, turns, reach_ms)] == [slowly(one, turns, reach_ms) for one in asked]


def slowly(said, turns, reach_ms):
    spoken = {}
    for ms in range(said.start_ms, said.end_ms):
        for one in turns:
            if one.start_ms <= ms < one.end_ms:
                spoken[one.speaker] = spoken.get(one.speaker, 0) + 1
    if spoken:
        most = max(spoken.values())
        return next(one.speaker for one in turns if spoken.get(one.speaker) == most and one.overlap_ms(said))
    gaps = [max(said.start_ms - one.end_ms, one.start_ms - said.end_ms) for one in turns]
    near = [gap for gap in gaps if gap <= reach_ms]
    return turns[gaps.index(min(near))].speaker if near else None
