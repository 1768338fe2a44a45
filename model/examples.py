"""From a visit to what is learnt: the item is read, asked, rendered with its sound, and made to fit.

    Visit ─► members of a shard ─► Record ─► TaskSample ─► Sample (ids, targets, frames)    and the sound itself
             a line of JSON ──────────────► conversation ─►
             a document ──────────────────► windows of text ─►

What cannot be used is told, never dropped in silence: `Passed` where nothing is wrong and nothing is to be learnt,
`Damaged` where something is wrong.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from model.catalogue import Catalogue, SourceKind, lines_of, rows_of, store_of
from model.frames import SAMPLE_RATE_HZ, num_mel_frames
from model.objectives import text
from model.objectives.mix import kinds_of, sample_of, told_until_ms
from model.order import Order
from model.prompt import Message, Role, Sample, Sound, question, render_sample
from model.tokens import Tokenizer
from schemas.asking.sample import AskRules
from schemas.audio import Waveform, decode_flac, resampled
from schemas.errors import DecodeError, EarmarkError, InputError, SchemaError, StoreError
from schemas.formats import thinking
from schemas.shard import IndexRow, parse_record, read_members

Samples16k = npt.NDArray[np.int16] | npt.NDArray[np.float32]
"""One channel at 16 kHz, shape (time,): as stored where that is its rate, else resampled to floats."""

MARGIN_MS = 200  # of sound kept behind the last word, where the rest is cut off to make an example fit
LENGTH_SLACK_MS = 2  # by which a record and its sound may differ
MAX_TURNS = 64
CONTROL_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One item of one source, as `order.Order` counts visits."""

    source: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """What is learnt, with its sound. `index` counts the examples of one visit."""

    visit: Visit
    index: int
    key: str
    group: str
    task: str
    sample: Sample
    sounds: tuple[Samples16k, ...] = ()

    @property
    def num_tokens(self) -> int:
        return len(self.sample.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Nothing is wrong, and nothing is to be learnt."""

    visit: Visit
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    visit: Visit
    where: str
    reason: str


Read = tuple[Example, ...] | Passed | Damaged


class ExampleReader:
    """Reads visits of a catalogue. May be used by several threads at once."""

    def __init__(
        self,
        catalogue: Catalogue,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        rules: AskRules,
        seed: int,
        window: int,
        time_markers: bool = True,
    ) -> None:
        self.catalogue, self._tokenizer, self._max_tokens = catalogue, tokenizer, max_tokens
        self._rules, self._time_markers = rules, time_markers
        self._stores = [store_of(source.config) for source in catalogue.sources]
        self._kinds = [
            kinds_of(source.config.group, source.config.kinds) if source.config.kind is SourceKind.SHARDS else ()
            for source in catalogue.sources
        ]
        self._orders = [
            Order([part.num_items for part in source.parts], seed + index, window)
            for index, source in enumerate(catalogue.sources)
        ]
        self._rows = lru_cache(maxsize=64)(self._read_rows)
        self._lines = lru_cache(maxsize=8)(self._read_lines)

    def read(self, visit: Visit) -> Read:
        """What a visit gives. Raises nothing for what is damaged: it says so."""
        source = self.catalogue.sources[visit.source]
        part, item = self._orders[visit.source].at(visit.number)
        where = f"{self._stores[visit.source].uri(source.parts[part].name)}, item {item}"
        readers = {
            SourceKind.SHARDS: self._from_shard,
            SourceKind.CONVERSATIONS: self._from_conversation,
            SourceKind.TEXT: self._from_text,
        }
        try:
            return readers[source.config.kind](visit, part, item)
        except (SchemaError, DecodeError, InputError, StoreError) as error:
            return Damaged(visit=visit, where=where, reason=str(error))

    # ------------------------------------------------------------------------------------------ shards

    def _from_shard(self, visit: Visit, part: int, item: int) -> Read:
        source = self.catalogue.sources[visit.source]
        row = self._rows(visit.source, part)[item]
        members = read_members(self._stores[visit.source], source.parts[part].name, row)
        record = parse_record(members["json"])
        if record.key != row.key:
            raise SchemaError(f"the index calls {row.key!r} what calls itself {record.key[:80]!r}")
        asked = sample_of(record, self._kinds[visit.source], self._rules, visit.number)
        if asked is None:
            return Passed(visit=visit, reason=f"gives nothing to {source.config.group}")
        waveform = decode_flac(members["flac"])
        if abs(waveform.duration_ms - record.duration_ms) > LENGTH_SLACK_MS:
            raise SchemaError(f"{row.key} is {record.duration_ms} ms long, and its sound {waveform.duration_ms} ms")
        sound = at_16_khz(waveform)

        def rendered(heard: Samples16k) -> Sample:
            messages = question(asked.question, [num_mel_frames(len(heard))])
            return render_sample(
                messages, asked.answer, self._tokenizer, asked.thought, time_markers=self._time_markers
            )

        sample = rendered(sound)
        if len(sample.ids) > self._max_tokens and (until_ms := told_until_ms(record, asked)) is not None:
            sound = sound[: (until_ms + MARGIN_MS) * SAMPLE_RATE_HZ // 1000]
            sample = rendered(sound)
        if len(sample.ids) > self._max_tokens:
            return self._too_long(visit, len(sample.ids))
        return (
            Example(
                visit=visit,
                index=0,
                key=record.key,
                group=source.config.group,
                task=asked.task,
                sample=sample,
                sounds=(sound,),
            ),
        )

    def _read_rows(self, source: int, part: int) -> list[IndexRow]:
        catalogued = self.catalogue.sources[source]
        return rows_of(self._stores[source], catalogued.parts[part], catalogued.config.group)

    # ----------------------------------------------------------------------------------- conversations

    def _from_conversation(self, visit: Visit, part: int, item: int) -> Read:
        source = self.catalogue.sources[visit.source]
        name, store = source.parts[part].name, self._stores[visit.source]
        messages, said, audios = parse_conversation(self._lines(visit.source, part)[item])
        folder = name.rpartition("/")[0]
        sounds = tuple(decoded(store.read(f"{folder}/{audio}" if folder else audio), audio) for audio in audios)
        parsed = thinking.parse(said)
        if parsed.unread:
            raise SchemaError(f"the answer's thought cannot be read: {parsed.unread[0].reason}")
        reply = parsed.reply
        sample = render_sample(
            with_sounds(messages, sounds),
            reply.answer,
            self._tokenizer,
            reply.thought,
            time_markers=self._time_markers,
        )
        if len(sample.ids) > self._max_tokens:
            return self._too_long(visit, len(sample.ids))
        key = f"{name}:{item}"
        group = source.config.group
        return (Example(visit=visit, index=0, key=key, group=group, task=group, sample=sample, sounds=sounds),)

    # -------------------------------------------------------------------------------------------- text

    def _from_text(self, visit: Visit, part: int, item: int) -> Read:
        source = self.catalogue.sources[visit.source]
        name = source.parts[part].name
        line = self._lines(visit.source, part)[item]
        document = line.decode("utf-8", "replace") if name.endswith(".txt") else text_of(line)
        samples = text.windows(self._tokenizer.encode(document), self._tokenizer, self._max_tokens)
        if not samples:
            return Passed(visit=visit, reason="an empty document")
        return tuple(
            Example(visit=visit, index=index, key=f"{name}:{item}", group="text", task="text", sample=sample)
            for index, sample in enumerate(samples)
        )

    def _read_lines(self, source: int, part: int) -> list[bytes]:
        wanted = self.catalogue.sources[source].parts[part]
        store = self._stores[source]
        stored = store.stat(wanted.name)
        lines = lines_of(store.read(wanted.name), wanted.name)
        if stored is None or stored.etag != wanted.digest or len(lines) != wanted.num_items:
            raise SchemaError(f"it was changed since the run began, when it held {wanted.num_items:,} items")
        return lines

    def _too_long(self, visit: Visit, num_tokens: int) -> Passed:
        return Passed(visit=visit, reason=f"longer than the {self._max_tokens:,} tokens of a pack")


# ------------------------------------------------------------------------------------------------ parts


def at_16_khz(waveform: Waveform) -> Samples16k:
    if waveform.rate_hz == SAMPLE_RATE_HZ:
        return waveform.pcm
    return resampled(waveform, SAMPLE_RATE_HZ).astype(np.float32)


def as_floats(sound: Samples16k) -> npt.NDArray[np.float32]:
    """In [-1, 1], as `mel.log_mel` takes them."""
    if sound.dtype == np.float32:
        return np.asarray(sound, np.float32)
    return Waveform(pcm=sound, rate_hz=SAMPLE_RATE_HZ).samples


def decoded(data: bytes, name: str) -> Samples16k:
    """A sound file of any kind that libsndfile reads, its channels mixed. Raises DecodeError."""
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise DecodeError(f"{name[:200]} cannot be read as sound: {error}") from error
    if not np.isfinite(samples).all():
        raise DecodeError(f"{name[:200]} holds samples that are not finite")
    return at_16_khz(Waveform.from_float(samples.mean(axis=1), rate_hz))


def parse_conversation(line: bytes) -> tuple[list[tuple[Role, str, str]], str, list[str]]:
    """The messages before the last answer as (role, "text" or "audio", content), that answer, and the audios' names.

    The format is that of MOSS-Audio's fine-tuning script (finetune/FINETUNE.md): a "conversation" of messages with a
    role, a message_type and a content. Raises SchemaError for anything else, and for an audio that lies outside of its
    folder.
    """
    body = _object(line)
    turns = body.get("conversation")
    if not isinstance(turns, list) or not 2 <= len(turns) <= MAX_TURNS:
        raise SchemaError(f'a line of conversations has a list "conversation" of 2 to {MAX_TURNS} messages')
    messages: list[tuple[Role, str, str]] = []
    for turn in turns:
        role, kind, content = (
            (turn.get("role"), turn.get("message_type", "text"), turn.get("content"))
            if isinstance(turn, dict)
            else (None, None, None)
        )
        if role not in CONTROL_ROLES or kind not in ("text", "audio") or not isinstance(content, str):
            raise SchemaError(f"a message has role {role!r}, message_type {kind!r} and content {str(content)[:60]!r}")
        messages.append((role, kind, content))
    cut = len(messages)
    while cut and messages[cut - 1][0] == "assistant":
        cut -= 1
    messages, answer = messages[:cut], messages[cut:]
    if not answer or any(kind == "audio" for _, kind, _ in answer):
        raise SchemaError("a conversation ends with what the assistant says, in text; this one does not")
    audios = [content for _, kind, content in messages if kind == "audio"]
    for audio in audios:
        if audio.startswith(("/", "\\")) or "://" in audio or ".." in audio.replace("\\", "/").split("/"):
            raise SchemaError(f"the audio {audio[:80]!r} lies outside of its set; its address must be relative to it")
        if not audio.isprintable() or not audio:
            raise SchemaError(f"the audio {audio[:80]!r} is no name of a file")
    return messages, "\n".join(content for _, _, content in answer), audios


def with_sounds(messages: Sequence[tuple[Role, str, str]], sounds: Sequence[Samples16k]) -> tuple[Message, ...]:
    """Messages as the prompt takes them: neighbours of one role become one, an audio before its line break, texts
    parted by line breaks; the usual words of the system where there are none."""
    left = list(sounds)
    joined: list[Message] = []
    for role, kind, content in messages:
        parts: tuple[str | Sound, ...]
        parts = (Sound(num_frames=num_mel_frames(len(left.pop(0)))), "\n") if kind == "audio" else (content,)
        if joined and joined[-1].role == role:
            before = joined[-1].parts
            between: tuple[str, ...] = ("\n",) if isinstance(before[-1], str) and before[-1] != "\n" else ()
            joined[-1] = replace(joined[-1], parts=(*before, *between, *parts))
        else:
            joined.append(Message(role=role, parts=parts))
    if joined and joined[0].role != "system":
        joined.insert(0, question("")[0])
    return tuple(joined)


def text_of(line: bytes) -> str:
    """The document of a line of JSON. Raises SchemaError where it has none."""
    found = _object(line).get("text")
    if not isinstance(found, str):
        raise SchemaError('a line of text is a JSON object with a string "text"')
    return found


def _object(line: bytes) -> dict[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"a line is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise SchemaError(f"a line holds a {type(body).__name__}; it must be a JSON object")
    return body


def raised(damaged: Damaged) -> EarmarkError:
    return SchemaError(f"{damaged.where}: {damaged.reason}")
