"""faster-whisper's model, with two things mended that show in batches.

Imported where faster-whisper is loaded, never before.
"""

from collections.abc import Sequence
from typing import Any

import ctranslate2
from faster_whisper import WhisperModel


class EncodedWhisper(WhisperModel):  # type: ignore[misc]
    def encode(self, features: Any) -> Any:
        """Takes what is encoded already as it is, so that asking for the language costs no second run: the encoder is
        by far the larger part of the turbo models."""
        return features if isinstance(features, ctranslate2.StorageView) else super().encode(features)

    def find_alignment(
        self,
        tokenizer: Any,
        text_tokens: list[list[int]],
        encoder_output: Any,
        num_frames: Sequence[int],
        median_filter_width: int = 7,
    ) -> Any:
        """Where windows of one length have texts of several, CTranslate2 (4.8) aligns the padding of the shorter texts
        as well, and their words move by up to a second. It aligns each by itself where the lengths of windows differ,
        so they are made to: one is said to be shorter, and asked again for the times of that one."""

        def found(frames: list[int]) -> list[Any]:
            told: list[Any] = super(EncodedWhisper, self).find_alignment(
                tokenizer, text_tokens, encoder_output, frames, median_filter_width
            )
            return told

        frames = list(num_frames)
        if len(set(frames)) > 1 or len({len(tokens) for tokens in text_tokens}) < 2:
            return found(frames)
        return [found([*frames[:-1], frames[-1] - 2])[0], *found([frames[0] - 2, *frames[1:]])[1:]]
