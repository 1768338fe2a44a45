"""PocketSphinx: English words with times and posteriors, from the model its package carries.

It knows English and hears English in everything; what its posterior is worth is for the caller to judge.
Between utterances it keeps the cepstral mean and the noise it has estimated, so both are begun anew before
each: the same sound gives the same words whatever was heard before.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import soxr

from schemas.audio import Waveform
from schemas.record import Word
from schemas.span import Span

RATE_HZ = 16_000
FRAME_MS = 10
MIN_SAMPLES = RATE_HZ // 10  # less than this holds no word, and none at all breaks the decoder
SPOKEN = re.compile(r"[^\s<>\[\]+\"]+")  # neither <s>, </s>, <sil> nor [NOISE], [SPEECH], ++COUGH++, nor anything odd
PRONUNCIATION = re.compile(r"\(\d+\)$")  # "read(2)" is the second way to say "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsConfig:
    """PocketSphinx's own search, bounded where it would run away on noise.

    On clean speech these bounds leave the words as they are; tighter ones change every tenth.
    """

    max_states: int = 5_000  # active HMMs in a frame; its own bound is 30 000
    max_words: int = 20  # words that may end in a frame; its own bound is none

    def build(self) -> "Recogniser":
        return Recogniser(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What the decoder gives back: words, but also silences and noises, in its own frames."""

    text: str
    start_frame: int
    end_frame: int  # included
    posterior: float  # may pass 1 by a rounding of its integer logarithms


class Recogniser:
    def __init__(self, config: WordsConfig) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(loglevel="FATAL", maxhmmpf=config.max_states, maxwpf=config.max_words)
        self.model = f"pocketsphinx@{version('pocketsphinx')}"

    def hear(self, waveform: Waveform) -> list[Word]:
        """The words of one stretch of sound, in order, with times of the recording."""
        pcm = waveform.pcm
        if waveform.rate_hz != RATE_HZ:
            pcm = soxr.resample(pcm, waveform.rate_hz, RATE_HZ)
        if len(pcm) < MIN_SAMPLES:
            return []
        return words_of(self._tokens(np.ascontiguousarray(pcm)), waveform.start_ms, waveform.end_ms)

    def _tokens(self, pcm: np.ndarray) -> list[Token]:
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm.tobytes(), full_utt=True)
        self._decoder.end_utt()
        return [
            Token(text=seg.word, start_frame=seg.start_frame, end_frame=seg.end_frame, posterior=seg.prob)
            for seg in self._decoder.seg() or ()
        ]


def words_of(tokens: Iterable[Token], start_ms: int, end_ms: int) -> list[Word]:
    """The words among the tokens, cleaned, monotone in time and inside [start_ms, end_ms)."""
    words: list[Word] = []
    for token in tokens:
        text = PRONUNCIATION.sub("", token.text)
        if not SPOKEN.fullmatch(text):
            continue
        begins = max(start_ms + token.start_frame * FRAME_MS, words[-1].end_ms if words else start_ms)
        ends = min(start_ms + (token.end_frame + 1) * FRAME_MS, end_ms)
        if begins < ends:
            score = round(min(1.0, max(0.0, token.posterior)), 3)
            words.append(Word(text=text, start_ms=begins, end_ms=ends, score=score))
    return words


def in_order(words: Iterable[Word], within: Span) -> list[Word]:
    """Those that lie inside and do not begin before the last one ended."""
    kept: list[Word] = []
    for word in words:
        if within.contains(word) and (not kept or kept[-1].end_ms <= word.start_ms):
            kept.append(word)
    return kept
