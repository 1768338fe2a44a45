"""Text to ids and back, and the ids that stand for something other than text.

Text is text: `encode` never gives a control token, whatever the text contains, so a transcript cannot end a turn or
close a thought. Control tokens are put between pieces of text by `model.prompt`, and only there.
"""

import codecs
import dataclasses
import json
import operator
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tokenizers

from model.config import ModelConfig
from model.frames import HOP_SAMPLES, MARKER_EVERY_S, MAX_AUDIO_S, SAMPLE_RATE_HZ
from model.mel import NUM_BANDS, WINDOW_SAMPLES
from schemas.errors import ConfigError, InputError

TOKENIZER_FILE = "tokenizer.json"
PROCESSOR_FILE = "processor_config.json"
MAX_TOKENIZER_BYTES = 64 << 20  # the published one has 11 MB
MAX_PROCESSOR_BYTES = 1 << 20
MAX_TEXT_CHARS = 1 << 22
"""What `encode` takes at once. 45 minutes of speech are some 50,000 characters."""

MEL_CONFIG = {
    "mel_dim": NUM_BANDS,
    "mel_sr": SAMPLE_RATE_HZ,
    "mel_hop_length": HOP_SAMPLES,
    "mel_n_fft": WINDOW_SAMPLES,
}
"""The mel spectrogram there is, under the names of `processor_config.json`."""

STRINGS = {
    "audio": "<|AUDIO|>",
    "audio_start": "<|audio_bos|>",
    "audio_end": "<|audio_eos|>",
    "im_start": "<|im_start|>",
    "im_end": "<|im_end|>",
    "end_of_text": "<|endoftext|>",
    "think": "<think>",
    "end_think": "</think>",
}
"""How each of `SpecialIds` is written."""

PUBLISHED_AUDIO_IDS = {"audio": 151_654, "audio_start": 151_669, "audio_end": 151_670}
"""The published tokenizer has no strings for these; a placeholder takes the slot of Qwen's `<|vision_pad|>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """The control tokens a prompt is built of. `audio` stands where an audio token goes."""

    audio: int
    audio_start: int
    audio_end: int
    im_start: int
    im_end: int
    end_of_text: int
    think: int
    end_think: int


class Tokenizer:
    """A byte-level tokenizer in Qwen's manner, with the ids of `SpecialIds`.

    `digits` are the ids of '0' to '9', `control` every id that is no text, and `time_markers` whether the model is
    said to have been trained with them.
    """

    __slots__ = ("_plain", "_raw", "_written", "control", "digits", "special", "time_markers", "vocab_size")

    def __init__(self, raw: tokenizers.Tokenizer, *, processor: Mapping[str, Any] | None = None) -> None:
        """`processor` is what a `processor_config.json` holds. An audio id it does not name is looked up in `raw` by
        its string, and is the published one where `raw` does not have it.

        Raises ConfigError where this tokenizer cannot serve, with the reason.
        """
        processor = processor or {}
        _check_mel(processor)
        self.special = _special_ids(raw, processor)
        self.time_markers = _checked(processor, "enable_time_marker", bool, True)
        self._raw = raw
        self._plain = _without_control(raw)
        added = raw.get_added_tokens_decoder()
        ids = dataclasses.asdict(self.special)
        self.control = frozenset({*ids.values(), *(number for number, token in added.items() if token.special)})
        self._written = {number: STRINGS[name].encode() for name, number in ids.items()}
        vocabulary = raw.get_vocab()
        self.vocab_size = 1 + max(*vocabulary.values(), *self.control)
        _check_bytes(raw, vocabulary)
        self.digits = _digits(self)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The tokenizer of a checkpoint folder. Raises InputError where its files cannot be read."""
        path = folder / TOKENIZER_FILE
        if not os.path.lexists(path):
            raise InputError(f"{folder} has no {TOKENIZER_FILE}; {_listing(folder)}. Copy it there from the checkpoint")
        text = _read(path, MAX_TOKENIZER_BYTES)
        with _complaints(f"{path} is no tokenizer that can be read"):
            raw = tokenizers.Tokenizer.from_str(text)
        processor: Any = {}
        if os.path.lexists(beside := folder / PROCESSOR_FILE):
            try:
                processor = json.loads(_read(beside, MAX_PROCESSOR_BYTES))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{beside} is not JSON: {error}") from error
            if not isinstance(processor, dict):
                raise InputError(f"{beside} holds a {type(processor).__name__}; it must be a JSON object")
        try:
            return cls(raw, processor=processor)
        except ConfigError as error:
            raise ConfigError(f"{folder}: {error}") from error

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, all of them text. Raises InputError for more than `MAX_TEXT_CHARS`."""
        if len(text) > MAX_TEXT_CHARS:
            raise InputError(
                f"a text of {len(text):,} characters is too long to encode; {MAX_TEXT_CHARS:,} are allowed"
            )
        with _complaints(f"the tokenizer could not encode {text[:60]!r}"):
            ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        if not self.control.isdisjoint(ids):
            raise ConfigError(f"the tokenizer makes a control token of the plain text {text[:60]!r}; use another")
        return ids

    def decode(self, ids: Iterable[int], *, keep_control: bool = False) -> str:
        """The text of `ids`. Bytes that are no UTF-8 become U+FFFD; ids without a token are passed over."""
        return b"".join(self._bytes(number, keep_control) for number in ids).decode("utf-8", errors="replace")

    def stream(self, *, keep_control: bool = False) -> "TextStream":
        return TextStream(self, keep_control=keep_control)

    def to_json(self) -> str:
        """What `tokenizer.json` holds."""
        text: str = self._raw.to_str(pretty=True)
        return text

    def check(self, config: ModelConfig) -> None:
        """Raises ConfigError where `config` belongs to another tokenizer."""
        if config.audio_token_id != self.special.audio:
            raise ConfigError(
                f"the model's audio_token_id is {config.audio_token_id}, the tokenizer's {self.special.audio}; "
                f"take {TOKENIZER_FILE} and {PROCESSOR_FILE} from the model's own folder"
            )
        if self.vocab_size > config.language_config.vocab_size:
            raise ConfigError(
                f"the tokenizer has ids up to {self.vocab_size - 1}, but the model has "
                f"{config.language_config.vocab_size} embeddings; take {TOKENIZER_FILE} from the model's own folder"
            )

    def _bytes(self, number: int, keep_control: bool) -> bytes:
        number = operator.index(number)  # a tensor of one would be in no set
        if (number in self.control and not keep_control) or not 0 <= number < self.vocab_size:
            return b""
        if number in self._written:
            return self._written[number]
        token: str | None = self._raw.id_to_token(number)
        if token is None:
            return b""
        try:
            return bytes(_BYTE_OF[letter] for letter in token)
        except KeyError:
            return token.encode()


class TextStream:
    """Text from ids as they come, each character as soon as it is whole; joined, it is what `decode` gives for all."""

    __slots__ = ("_keep_control", "_tokenizer", "_utf8")

    def __init__(self, tokenizer: Tokenizer, *, keep_control: bool = False) -> None:
        self._tokenizer = tokenizer
        self._keep_control = keep_control
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, number: int) -> str:
        return self._utf8.decode(self._tokenizer._bytes(number, self._keep_control))

    def flush(self) -> str:
        """What is left of a character that never became whole; the stream then starts anew."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest


def _letter_of_bytes() -> dict[str, int]:
    """The letter that a byte-level vocabulary writes for each byte: itself where it prints, else from U+0100 on.

    As GPT-2's vocabulary has it, and with it every byte-level one since.
    """
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in prints]
    return {chr(byte): byte for byte in sorted(prints)} | {chr(0x100 + n): byte for n, byte in enumerate(hidden)}


_BYTE_OF = _letter_of_bytes()


def _special_ids(raw: tokenizers.Tokenizer, processor: Mapping[str, Any]) -> SpecialIds:
    found: dict[str, int | None] = {name: raw.token_to_id(text) for name, text in STRINGS.items()}
    for name, published in PUBLISHED_AUDIO_IDS.items():
        by_string = found[name]
        key = f"{name}_token_id" if name == "audio" else f"{name}_id"
        found[name] = _checked(processor, key, int, published if by_string is None else by_string)
    if missing := [STRINGS[name] for name, number in found.items() if number is None]:
        raise ConfigError(f"the tokenizer lacks {', '.join(missing)}; it must be one of Qwen's chat tokenizers")
    ids = {name: number for name, number in found.items() if number is not None}
    if len(set(ids.values())) < len(ids) or min(ids.values()) < 0:
        raise ConfigError(f"control tokens must have ids of their own, from zero on; found {ids}")
    return SpecialIds(**ids)


def _checked(processor: Mapping[str, Any], key: str, kind: type, absent: Any) -> Any:
    value = processor.get(key, absent)
    if type(value) is not kind:
        raise ConfigError(f"{PROCESSOR_FILE}: {key} is {value!r}, which is no {kind.__name__}")
    return value


def _check_mel(processor: Mapping[str, Any]) -> None:
    found = _checked(processor, "mel_config", dict, {})
    for key, ours in MEL_CONFIG.items():
        if found.get(key, ours) != ours:
            raise ConfigError(f"{PROCESSOR_FILE}: mel_config.{key} is {found[key]!r}; only {ours} is supported")


def _without_control(raw: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The same vocabulary and merges, shared, with no string that stands for a control token."""
    plain = tokenizers.Tokenizer(raw.model)
    if raw.normalizer is not None:
        plain.normalizer = raw.normalizer
    if raw.pre_tokenizer is not None:
        plain.pre_tokenizer = raw.pre_tokenizer
    return plain


def _check_bytes(raw: tokenizers.Tokenizer, vocabulary: Mapping[str, int]) -> None:
    if not isinstance(raw.model, tokenizers.models.BPE) or not isinstance(raw.decoder, tokenizers.decoders.ByteLevel):
        raise ConfigError("the tokenizer is not a byte-level BPE, as Qwen's is; use one that is")
    if raw.model.dropout:
        raise ConfigError(
            f"the tokenizer has a dropout of {raw.model.dropout}: no text would have fixed ids; set it to null"
        )
    if missing := [byte for letter, byte in _BYTE_OF.items() if letter not in vocabulary]:
        raise ConfigError(f"the tokenizer has no token for {len(missing)} of 256 bytes, such as 0x{missing[0]:02x}")


def _digits(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids of '0' to '9'. Raises ConfigError unless every time marker is written digit by digit."""
    of = {digit: tokenizer.encode(digit) for digit in "0123456789"}
    for second in range(MARKER_EVERY_S, MAX_AUDIO_S + 1, MARKER_EVERY_S):
        text = str(second)
        ids = tokenizer.encode(text)
        if len(ids) != len(text) or ids != [number for digit in text for number in of[digit]]:
            raise ConfigError(
                f"the tokenizer writes {text!r} as the {len(ids)} ids {ids}; time markers need one token for each "
                f"digit, the same wherever it stands"
            )
    digits = tuple(number for ids in of.values() for number in ids)
    if len(set(digits)) != 10:
        raise ConfigError(f"the tokenizer writes the digits 0 to 9 as {of}; time markers need ten different tokens")
    return digits


def _read(path: Path, max_bytes: int) -> str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is no file")
        if found.st_size > max_bytes:
            raise InputError(f"{path} has {found.st_size:,} bytes; no more than {max_bytes:,} are read")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _listing(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"it cannot be listed ({error.strerror})"
    return f"it holds {', '.join(names[:8])}{' and more' if len(names) > 8 else ''}" if names else "it is empty"


@contextmanager
def _complaints(sentence: str) -> Iterator[None]:
    """Turns what the tokenizers library raises, its panics too (they are no `Exception`), into one InputError."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{sentence}: {error}") from error
