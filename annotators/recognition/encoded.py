"""A Whisper that can be given what its encoder has already made, so that asking for the language costs no second run.

Imported where faster-whisper is loaded, never before.
"""

from typing import Any

import ctranslate2
from faster_whisper import WhisperModel


class EncodedWhisper(WhisperModel):  # type: ignore[misc]
    """The encoder is by far the larger part of the turbo models, and both questions need what it makes."""

    def encode(self, features: Any) -> Any:
        return features if isinstance(features, ctranslate2.StorageView) else super().encode(features)
