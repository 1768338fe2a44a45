"""Music is divided where it changes, and the place is where the new part begins."""

import numpy as np
import pytest

from segmenters.phrases import phrase_points
from tests.make_clips import RATE_HZ, noise, plucked, quiet, tone

HOME, AWAY = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)), ((2, 6, 9), (6, 9, 13), (11, 14, 18), (4, 8, 11))


def part(chords, bpm=120.0, num_bars=4, notes_a_beat=1, octave=60):
    """Bars of four, a chord to a bar, plucked evenly."""
    gap_ms = round(60_000 / bpm / notes_a_beat)
    played = [[octave + note for note in chords[bar % 4]] for bar in range(num_bars) for _ in range(4 * notes_a_beat)]
    return np.concatenate([plucked(chord, gap_ms) for chord in played])


def joined(*parts):
    """The whole, and where its parts meet, in ms."""
    ends = np.cumsum([len(one) for one in parts])[:-1]
    return np.concatenate(parts).astype(np.float32), [int(end) * 1000 // RATE_HZ for end in ends]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(part(AWAY, notes_a_beat=2, octave=48), id="other chords, faster and lower"),
        pytest.param(part(HOME, notes_a_beat=4), id="the same chords, four times as many notes"),
        pytest.param(part(AWAY, octave=72), id="other chords, an octave higher"),
    ],
)
def test_the_strongest_place_is_where_the_parts_meet(other):
    samples, (meet_ms,) = joined(part(HOME), other)
    points = phrase_points(samples)
    strongest_ms = max(points, key=lambda point: point[1])[0]
    assert strongest_ms == pytest.approx(meet_ms, abs=150)


def test_a_rest_ends_a_phrase():
    phrase = part(HOME, num_bars=2)
    phrase[-RATE_HZ:] *= 0.01
    samples, meet_ms = joined(phrase, phrase, phrase)
    strongest = sorted(phrase_points(samples), key=lambda point: -point[1])[:2]
    assert sorted(at_ms for at_ms, _ in strongest) == pytest.approx(meet_ms, abs=150)


def test_chords_change_at_places_that_hardly_anything_beats():
    samples, _ = joined(part(HOME, num_bars=8))
    off_ms = [abs((at_ms + 1_000) % 2_000 - 1_000) for at_ms, _ in phrase_points(samples)]
    assert np.mean(np.array(off_ms) <= 120) >= 0.8


def test_places_are_in_order_inside_and_apart():
    samples, _ = joined(part(HOME), part(AWAY), part(HOME, notes_a_beat=2), noise(6_000))
    points = phrase_points(samples)
    at_ms = [at for at, _ in points]
    assert min(np.diff(at_ms)) >= 500
    assert 500 <= at_ms[0] < at_ms[-1] <= len(samples) // 16 - 500
    assert all(0 <= strength <= 1 for _, strength in points)


def test_how_loud_it_is_does_not_matter():
    samples, _ = joined(part(HOME), part(AWAY))
    loud, soft = phrase_points(samples), phrase_points(0.1 * samples)
    assert [at for at, _ in loud] == pytest.approx([at for at, _ in soft], abs=50)


@pytest.mark.parametrize("samples", [quiet(20_000), tone(20_000), noise(20_000)], ids=["silence", "a tone", "noise"])
def test_where_nothing_changes_no_place_is_strong(samples):
    changed, _ = joined(part(HOME), part(AWAY, notes_a_beat=2))
    strongest = max(strength for _, strength in phrase_points(changed))
    assert all(strength < 0.5 * strongest for _, strength in phrase_points(samples.astype(np.float32)))


@pytest.mark.parametrize("duration_ms", [0, 1, 500, 3_000])
def test_what_is_short_is_not_divided(duration_ms):
    assert phrase_points(tone(duration_ms).astype(np.float32)) == []
