"""Time to tokens and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from model.frames import (
    FRAMES_PER_TOKEN,
    MAX_AUDIO_S,
    SAMPLE_RATE_HZ,
    TOKENS_PER_MARKER,
    halved,
    markers,
    num_audio_tokens,
    num_marker_digits,
    num_mel_frames,
    rows,
    token_start_ms,
)

FRAMES = st.integers(1, 100_000)


@pytest.mark.parametrize(
    ("seconds", "frames", "tokens", "num_markers", "digits"),
    [
        (0.1, 10, 2, 0, 0),
        (1.0, 100, 13, 0, 0),
        (1.99, 199, 25, 1, 1),
        (4.0, 400, 50, 2, 2),
        (7.3, 730, 92, 3, 3),
        (10, 1000, 125, 5, 6),
        (30, 3000, 375, 15, 26),
        (60, 6000, 750, 30, 56),
        (600, 60_000, 7500, 300, 847),
    ],
)
def test_the_published_vectors(seconds, frames, tokens, num_markers, digits):
    assert num_mel_frames(round(seconds * SAMPLE_RATE_HZ)) == frames
    assert num_audio_tokens(frames) == tokens
    assert len(list(markers(tokens))) == num_markers
    assert num_marker_digits(tokens) == digits


@given(st.integers(1, 3000))
def test_a_length_is_halved_as_the_convolution_halves_it(length):
    conv = nn.Conv1d(1, 1, 3, stride=2, padding=1)
    assert conv(torch.zeros(1, 1, length)).shape[2] == halved(length)
    assert halved(torch.tensor(length)).item() == halved(length)


@given(FRAMES)
def test_tokens_are_frames_by_eight_rounded_up(frames):
    assert num_audio_tokens(frames) == -(-frames // FRAMES_PER_TOKEN)


@given(FRAMES)
def test_a_marker_names_the_second_at_which_it_stands(frames):
    for marker in markers(num_audio_tokens(frames)):
        assert token_start_ms(marker.after_tokens) == marker.second * 1000
        assert marker.after_tokens % TOKENS_PER_MARKER == 0


@given(FRAMES, st.sampled_from([None, 8, 400]))
def test_rows_tile_the_audio_and_their_tokens_are_the_audios(frames, block):
    whole = rows(frames, block)
    assert [row.start for row in whole] == [0, *(row.stop for row in whole[:-1])]
    assert whole[-1].stop == frames
    assert sum(row.num_tokens for row in whole) == num_audio_tokens(frames)


def test_the_longest_audio_and_its_markers_fit_the_context():
    tokens = num_audio_tokens(MAX_AUDIO_S * 100)
    assert (tokens, num_marker_digits(tokens)) == (33_750, 4848)
    assert tokens + num_marker_digits(tokens) + 2 < 40_960
