"""An audio language model behind an OpenAI-compatible address: MOSS-Audio, Qwen3-Omni and others by vLLM or SGLang."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import soundfile

from annotators.base import Question, Reply
from annotators.captions.chat import Asked, Chat, ChatConfig, Message
from annotators.captions.chat import system as system_message
from annotators.captions.prompts import schema_in_words
from schemas.audio import Waveform, encode_flac, resampled
from schemas.errors import ConfigError

RATE_HZ = 16_000

Part = Literal["input_audio", "audio_url"]
Format = Literal["wav", "flac"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCaptionerConfig:
    """Sound goes as one channel of 16 bits at 16 kHz, before the text. 30 s of it are 1.3 MB of WAV in base64."""

    chat: ChatConfig
    audio: Part = "input_audio"  # of the OpenAI API; "audio_url" is a data URL, as vLLM takes it too
    format: Format = "wav"  # lossless either way; FLAC is about half of it, and not every server reads it
    system: str = ""  # no system message where it is empty
    longest_ms: int = 600_000  # of one question; what is longer is answered with an error
    guided: bool = True  # whether the server holds answers to a JSON schema; if not, it is put into words

    def __post_init__(self) -> None:
        for name, wish, choices in (("audio", self.audio, get_args(Part)), ("format", self.format, get_args(Format))):
            if wish not in choices:
                raise ConfigError(f"{name} of a served captioner is {wish!r}; it must be one of {', '.join(choices)}")

    def build(self) -> "ServedCaptioner":
        return ServedCaptioner(self)


class ServedCaptioner:
    """No more sounds are encoded than questions are on their way."""

    def __init__(self, config: ServedCaptionerConfig) -> None:
        self._config = config
        self._chat: Chat = config.chat.build()
        self.model = self._chat.model

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        troubles = [self._trouble(question.waveform) for question in questions]
        said = iter(
            self._chat.answers(
                self._asked(question) for question, trouble in zip(questions, troubles, strict=True) if not trouble
            )
        )
        replies = []
        for trouble in troubles:
            if trouble:
                replies.append(Reply(text="", error=trouble))
            else:
                answer = next(said)
                replies.append(Reply(text=answer.text, error=answer.error))
        return replies

    def _trouble(self, waveform: Waveform) -> str | None:
        if not len(waveform.pcm):
            return "there is no sound to ask about"
        longest_ms = self._config.longest_ms
        if waveform.duration_ms > longest_ms:
            return (
                f"{waveform.duration_ms / 1000:.1f} s of sound are longer than the {longest_ms / 1000:g} s it is asked"
            )
        return None

    def _asked(self, question: Question) -> Asked:
        text, schema = question.text, question.schema
        if schema is not None and not self._config.guided:
            text, schema = f"{text}\n{schema_in_words(schema)}", None
        parts = [sound_part(question.waveform, self._config.audio, self._config.format), {"type": "text", "text": text}]
        messages: list[Message] = [{"role": "user", "content": parts}]
        if self._config.system:
            messages.insert(0, system_message(self._config.system))
        return Asked(messages=messages, schema=schema, max_tokens=question.max_tokens)


def sound_part(waveform: Waveform, part: Part, kind: Format) -> dict[str, Any]:
    """A part of a message's content; the same sound always gives the same text."""
    data = base64.b64encode(_encoded(at_16_khz(waveform), kind)).decode("ascii")
    if part == "input_audio":
        return {"type": part, part: {"data": data, "format": kind}}
    return {"type": part, part: {"url": f"data:audio/{kind};base64,{data}"}}


def at_16_khz(waveform: Waveform) -> Waveform:
    if waveform.rate_hz == RATE_HZ:
        return waveform
    return Waveform.from_float(resampled(waveform, RATE_HZ), RATE_HZ, waveform.start_ms)


def _encoded(waveform: Waveform, kind: Format) -> bytes:
    if kind == "flac":
        return encode_flac(waveform)
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.pcm, waveform.rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
