"""Forty-five minutes in one piece, in bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from model.frames import MAX_AUDIO_S

HEAR = """
import resource, sys
import numpy as np, torch
from model.mel import log_mel
from model.model import AudioLM
from model.sizes import TINY

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

torch.set_num_threads(1)
encoder = AudioLM(TINY).eval()
with torch.inference_mode():
    encoder.hear(torch.zeros(128, 60_000), [60_000])  # ten minutes, so that all that is loaded once is loaded
samples = np.random.default_rng(0).standard_normal(int(sys.argv[1]) * 16_000, dtype=np.float32)
before = peak_mib()
mel = log_mel(samples)
with torch.inference_mode():
    heard = encoder.hear(torch.from_numpy(mel), [mel.shape[1]])
assert torch.isfinite(heard.audio_NE).all()
print(len(heard.audio_NE), peak_mib() - before, mel.nbytes >> 20)
"""


@pytest.mark.slow
def test_the_longest_audio_takes_little_more_memory_than_its_mel():
    done = subprocess.run(
        [sys.executable, "-c", HEAR, str(MAX_AUDIO_S)],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    tokens, grown_mib, mel_mib = map(int, done.stdout.split())
    assert tokens == 33_750
    assert grown_mib < mel_mib + 200  # the rest is tokens: four states of each, and what adapters make of them
