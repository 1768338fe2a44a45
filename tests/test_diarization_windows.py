"""Clips laid out in windows: nothing is lost, nothing moves against its neighbours, no window is too long."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.diarization.pyannote import sound_of
from annotators.diarization.windows import laid_out, layers
from schemas.span import Span
from tests.make_clips import clip, tone

lengths_ms = st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 12_000)), min_size=1, max_size=12)


def spans_of(pairs):
    """From gaps and lengths."""
    spans, at_ms = [], 0
    for gap_ms, length_ms in pairs:
        spans.append(Span.of(at_ms + gap_ms, at_ms + gap_ms + length_ms))
        at_ms = spans[-1].end_ms
    return spans


@settings(deadline=None)
@given(lengths_ms, st.integers(1_000, 20_000), st.integers(0, 2_000))
def test_windows_hold_every_millisecond_once_in_order_and_are_bounded(pairs, window_ms, gap_ms):
    spans = spans_of(pairs)
    windows = laid_out(spans, window_ms, gap_ms)
    pieces = [piece for window in windows for piece in window.pieces]
    assert [ms for span in spans for ms in (span.start_ms, span.end_ms)] == [
        ms
        for span in spans
        for inside in [[piece for piece in pieces if span.contains(piece)]]
        for ms in (inside[0].start_ms, inside[-1].end_ms)
    ]
    assert sum(piece.duration_ms for piece in pieces) == sum(span.duration_ms for span in spans)
    for window in windows:
        assert window.duration_ms <= window_ms
        assert window.pieces[0].at_ms == 0
        for one, other in zip(window.pieces, window.pieces[1:], strict=False):
            silence_ms = other.at_ms - one.at_ms - one.duration_ms
            assert silence_ms == min(gap_ms, other.start_ms - one.end_ms)


@settings(deadline=None)
@given(lengths_ms, st.integers(12_000, 40_000))
def test_as_few_windows_as_will_do_and_none_needlessly_long(pairs, window_ms):
    spans = spans_of(pairs)
    windows = laid_out(spans, window_ms, 1_000)
    longest_ms = max(window.duration_ms for window in windows)
    assert len(windows) == len(greedy(spans, window_ms))
    assert len(greedy(spans, longest_ms - 1)) > len(windows) or longest_ms == max(s.duration_ms for s in spans)


def greedy(spans, window_ms):
    """The lengths of windows filled one after the other."""
    filled = []
    for index, span in enumerate(spans):
        gap_ms = min(1_000, span.start_ms - spans[index - 1].end_ms) if index else 0
        if filled and filled[-1] + gap_ms + span.duration_ms <= window_ms:
            filled[-1] += gap_ms + span.duration_ms
        else:
            filled.append(span.duration_ms)
    return filled


@settings(deadline=None)
@given(lengths_ms, st.integers(1_000, 20_000), st.data())
def test_times_in_a_window_lead_back_to_the_recording(pairs, window_ms, data):
    for window in laid_out(spans_of(pairs), window_ms, 500):
        start_ms = data.draw(st.integers(0, window.duration_ms - 1))
        end_ms = data.draw(st.integers(start_ms + 1, window.duration_ms))
        back = window.in_recording(start_ms, end_ms)
        there = [(p.at_ms + ms, p.start_ms + ms) for p in window.pieces for ms in range(p.duration_ms)]
        expected = [recorded_ms for at_ms, recorded_ms in there if start_ms <= at_ms < end_ms]
        assert [ms for span in back for ms in range(span.start_ms, span.end_ms)] == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_what_overlaps_is_heard_apart(pairs):
    spans = [Span.of(start, start + length) for start, length in pairs]
    made = layers(spans)
    assert sorted(index for layer in made for index in layer) == list(range(len(spans)))
    for layer in made:
        assert all(spans[a].end_ms <= spans[b].start_ms for a, b in itertools.pairwise(layer))
    if all(not a.overlap_ms(b) for i, a in enumerate(spans) for b in spans[:i]):
        assert len(made) <= 1


def test_the_sound_of_a_window_is_that_of_its_clips_at_their_places():
    clips = [
        clip(tone(1_000, 200), start_ms=5_000),
        clip(tone(500, 300), start_ms=6_000),
        clip(tone(700), start_ms=60_000),
    ]
    (window,) = laid_out([one.segment for one in clips], 10_000, 1_000)
    samples = sound_of(window, clips)
    silence = np.zeros(16_000, np.float32)
    expected = [clips[0].waveform.samples, clips[1].waveform.samples, silence, clips[2].waveform.samples]
    np.testing.assert_array_equal(samples, np.concatenate(expected))
    assert samples.dtype == np.float32
