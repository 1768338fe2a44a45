"""Voices found again: whatever the windows call them, and never two of one window as one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.diarization.stitching import stitched

SIZE = 64
LIKENESS = 0.5
draws = st.integers(0, 2**32 - 1)


def voices(num, seed):
    """Directions at right angles: float, shape (num, size)."""
    square, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))
    return square[:num]


def heard(directions, present, drawn, noise):
    """A window in which the voices of `present` speak, in that order, each louder or fainter and a little off."""
    window = []
    for voice in present:
        off = drawn.standard_normal(SIZE)
        off *= noise / np.linalg.norm(off)
        window.append(drawn.uniform(0.1, 9.0) * (directions[voice] + off))
    return window


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(1, 7), st.floats(0, 0.3), draws)
def test_any_order_in_any_window_is_undone_exactly(num_voices, num_windows, noise, seed):
    drawn = np.random.default_rng(seed)
    directions = voices(num_voices, seed)
    present = [list(drawn.permutation(num_voices)[: drawn.integers(0, num_voices + 1)]) for _ in range(num_windows)]
    told = stitched([heard(directions, here, drawn, noise) for here in present], LIKENESS)
    assert [len(window) for window in told] == [len(here) for here in present]
    pairs = {
        (voice, name)
        for here, names in zip(present, told, strict=True)
        for voice, name in zip(here, names, strict=True)
    }
    assert len({voice for voice, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=6), st.floats(-1, 1), draws)
def test_two_of_one_window_are_never_one_voice(sizes, likeness, seed):
    drawn = np.random.default_rng(seed)
    near = drawn.standard_normal(SIZE)  # all embeddings are much alike, so that nothing but the bond keeps them apart
    windows = [[near + 0.01 * drawn.standard_normal(SIZE) for _ in range(size)] for size in sizes]
    told = stitched(windows, likeness)
    assert all(len(set(names)) == len(names) for names in told)
    if likeness < 0.9 and max(sizes, default=0) == 1:
        assert {name for names in told for name in names} == {0}


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), draws)
def test_voices_are_counted_in_the_order_they_are_listed(num_voices, num_windows, seed):
    drawn = np.random.default_rng(seed)
    windows = [list(drawn.standard_normal((num_voices, SIZE))) for _ in range(num_windows)]
    listed = [name for names in stitched(windows, 0.2) for name in names]
    first = list(dict.fromkeys(listed))
    assert first == list(range(len(first)))
    assert stitched(windows, 0.2) == stitched(windows, 0.2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=5), st.floats(-0.3, 0.8), draws)
def test_it_is_what_comparing_all_groups_anew_each_time_finds(sizes, likeness, seed):
    drawn = np.random.default_rng(seed)
    windows = [list(drawn.standard_normal((size, 5))) for size in sizes]
    assert stitched(windows, likeness) == slowly(windows, likeness)


def slowly(windows, likeness):
    """Mean linkage as it is defined, over pairs of groups that share no window."""
    speakers = [(index, vector / np.linalg.norm(vector)) for index, window in enumerate(windows) for vector in window]
    groups = [[n] for n in range(len(speakers))]
    while True:
        pairs = [
            (np.mean([speakers[a][1] @ speakers[b][1] for a in one for b in other]), one, other)
            for place, one in enumerate(groups)
            for other in groups[place + 1 :]
            if not {speakers[a][0] for a in one} & {speakers[b][0] for b in other}
        ]
        best = max(pairs, key=lambda pair: pair[0], default=(-np.inf, [], []))
        if best[0] < likeness:
            break
        groups.remove(best[2])
        best[1].extend(best[2])
    numbers = {n: place for place, group in enumerate(sorted(groups, key=min)) for n in group}
    told = iter(range(len(speakers)))
    return [[numbers[next(told)] for _ in window] for window in windows]


def test_who_is_not_known_is_a_voice_of_its_own():
    known = np.ones(SIZE)
    told = stitched([[known, None], [np.full(SIZE, np.nan), known], [np.zeros(SIZE)], [known]], LIKENESS)
    assert told == [[0, 1], [2, 0], [3], [0]]


def test_the_threshold_is_the_mean_cosine():
    one, other = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    assert stitched([[one], [other]], 0.59) == [[0], [0]]
    assert stitched([[one], [other]], 0.61) == [[0], [1]]


def test_nobody_is_nobody():
    assert stitched([], LIKENESS) == []
    assert stitched([[], []], LIKENESS) == [[], []]


def test_numbers_of_any_size_do_no_harm():
    huge, tiny = np.full(SIZE, 1e300), np.full(SIZE, 1e-300)
    assert stitched([[huge], [tiny], [-huge]], LIKENESS) == [[0], [0], [1]]
