"""The one home of the prompt: training, reinforcement learning and answering build it here, so they cannot differ.

    <|im_start|>system ⏎ You are a helpful assistant.<|im_end|> ⏎
    <|im_start|>user ⏎ <|audio_bos|> 25 audio tokens "2" 25 audio tokens "4" … <|audio_eos|> ⏎ the question<|im_end|> ⏎
    <|im_start|>assistant ⏎ <think> ⏎ a thought ⏎ </think> ⏎ ⏎ the answer<|im_end|>

A time marker is the second, in ordinary digits, after the audio tokens up to it. What stands between two control
tokens is encoded as one string, as the published processor does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from model.config import IGNORE
from model.frames import FRAME_MS, MAX_AUDIO_S, TOKEN_MS, markers, num_audio_tokens, token_start_ms
from model.tokens import Tokenizer
from schemas.errors import ConfigError, InputError, SchemaError

Role = Literal["system", "user", "assistant"]

DEFAULT_SYSTEM = "You are a helpful assistant."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """An audio in a message, by its length in mel frames."""

    num_frames: int

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise SchemaError(f"an audio of {self.num_frames} mel frames is too short; it takes at least one (10 ms)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one side says. Parts follow each other with nothing between; only a user sends audio."""

    role: Role
    parts: tuple[str | Sound, ...]

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise SchemaError(f"a message has the role {self.role!r}; there are {', '.join(get_args(Role))}")
        for part in self.parts:
            if not isinstance(part, str | Sound):
                raise SchemaError(f"a message has a part that is neither text nor audio: {part!r}")
            if isinstance(part, Sound) and self.role != "user":
                raise SchemaError(f"a message of the {self.role} holds an audio; only the user's can")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """`frames` are the mel frames of the audios in `ids`, in order."""

    ids: tuple[int, ...]
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A prompt and its answer. `targets[i]` is the id to predict after `ids[i]`: shifted here, and nowhere again."""

    ids: tuple[int, ...]
    targets: tuple[int, ...]
    frames: tuple[int, ...]


def question(text: str, frames: Sequence[int] = (), system: str | None = DEFAULT_SYSTEM) -> tuple[Message, ...]:
    """The published layout of a question about audios of so many mel frames each, or about none."""
    sounds = [part for count in frames for part in (Sound(num_frames=count), "\n")]
    asked = Message(role="user", parts=(*sounds, text))
    return (asked,) if system is None else (Message(role="system", parts=(system,)), asked)


def render(messages: Sequence[Message], tokenizer: Tokenizer, *, time_markers: bool = True) -> Prompt:
    """The conversation up to where the assistant begins.

    Raises SchemaError for messages out of order, InputError for more audio than `MAX_AUDIO_S`.
    """
    _check_order(messages)
    _check_markers(tokenizer, time_markers)
    special = tokenizer.special
    pieces: list[int | str | Sound] = []
    for message in messages:
        pieces += [special.im_start, f"{message.role}\n", *message.parts, special.im_end, "\n"]
    pieces += [special.im_start, "assistant\n"]
    frames = tuple(piece.num_frames for piece in pieces if isinstance(piece, Sound))
    _check_length(frames)
    return Prompt(ids=tuple(_encoded(pieces, tokenizer, time_markers)), frames=frames)


def render_sample(
    messages: Sequence[Message],
    answer: str,
    tokenizer: Tokenizer,
    thinking: str | None = None,
    *,
    time_markers: bool = True,
) -> Sample:
    """The prompt as `render` gives it and what the assistant says then; only that is to be learnt."""
    prompt = render(messages, tokenizer, time_markers=time_markers)
    special = tokenizer.special
    said: list[int | str | Sound] = [answer, special.im_end]
    if thinking is not None:
        said = [special.think, f"\n{thinking}\n", special.end_think, "\n\n", *said]
    ids = (*prompt.ids, *_encoded(said, tokenizer, time_markers))
    unlearnt = len(prompt.ids) - 1
    return Sample(ids=ids, targets=(*[IGNORE] * unlearnt, *ids[unlearnt + 1 :], IGNORE), frames=prompt.frames)


def audio_span(num_tokens: int, tokenizer: Tokenizer, *, time_markers: bool = True) -> list[int]:
    """The ids of an audio of `num_tokens` audio tokens, at least one."""
    if num_tokens < 1:
        raise ValueError(f"an audio span of {num_tokens} tokens; it takes at least one")
    special = tokenizer.special
    ids, done = [special.audio_start], 0
    for marker in markers(num_tokens) if time_markers else ():
        ids += [special.audio] * (marker.after_tokens - done)
        ids += [tokenizer.digits[int(digit)] for digit in marker.digits]
        done = marker.after_tokens
    return [*ids, *[special.audio] * (num_tokens - done), special.audio_end]


def token_times_ms(ids: Sequence[int], tokenizer: Tokenizer, *, time_markers: bool = True) -> list[int | None]:
    """When in its audio each id is: where an audio token starts, the time a marker names, None for all else.

    Counted from the placeholders. Raises SchemaError that names the position where a span is cut short or a marker is
    not the one that belongs there.
    """
    times: list[int | None] = [None] * len(ids)
    for span in _spans(ids, tokenizer, time_markers):
        heard = 0
        for position in span:
            if ids[position] == tokenizer.special.audio:
                times[position] = token_start_ms(heard)
                heard += 1
            else:
                times[position] = heard * TOKEN_MS
    return times


def times_from_markers_ms(ids: Sequence[int], tokenizer: Tokenizer) -> list[int | None]:
    """As `token_times_ms`, but read: the last marker and the audio tokens after it. That this agrees is what lets the
    model tell the time of every token from close by."""
    times: list[int | None] = [None] * len(ids)
    values = {number: value for value, number in enumerate(tokenizer.digits)}
    for span in _spans(ids, tokenizer, time_markers=True):
        second = since = 0
        marker: list[int] = []
        for position in span:
            if ids[position] != tokenizer.special.audio:
                marker.append(position)
                second, since = (10 * second if len(marker) > 1 else 0) + values[ids[position]], 0
                for digit in marker:
                    times[digit] = second * 1000
            else:
                marker = []
                times[position] = second * 1000 + token_start_ms(since)
                since += 1
    return times


def check_fits(num_ids: int, frames: Sequence[int], max_positions: int, max_new_tokens: int = 0) -> None:
    """Raises InputError where a prompt of `num_ids` and an answer of `max_new_tokens` do not fit the model."""
    _check_length(frames)
    if num_ids + max_new_tokens > max_positions:
        heard_s = sum(frames) * FRAME_MS / 1000
        raise InputError(
            f"a prompt of {num_ids:,} ids ({heard_s:.0f} s of audio) and {max_new_tokens:,} for the answer need "
            f"{num_ids + max_new_tokens:,} positions; the model has {max_positions:,}. "
            f"Cut the audio, shorten the text or lower max_new_tokens"
        )


def _encoded(pieces: Sequence[int | str | Sound], tokenizer: Tokenizer, time_markers: bool) -> Iterator[int]:
    """Pieces to ids: control tokens as they are, neighbouring texts as one, audios as their spans."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        yield from tokenizer.encode(text)
        text = ""
        if isinstance(piece, Sound):
            yield from audio_span(num_audio_tokens(piece.num_frames), tokenizer, time_markers=time_markers)
        else:
            yield piece
    yield from tokenizer.encode(text)


def _check_order(messages: Sequence[Message]) -> None:
    roles = [message.role for message in messages]
    if not roles or roles[-1] != "user":
        raise SchemaError(f"a conversation must end with the user, so that the assistant can answer; it has {roles}")
    if "system" in roles[1:]:
        raise SchemaError(f"message {roles.index('system', 1)} is the system's; only the first can be")


def _check_markers(tokenizer: Tokenizer, time_markers: bool) -> None:
    if time_markers and not tokenizer.time_markers:
        raise ConfigError(
            "processor_config.json has enable_time_marker false: the model knows no time markers; "
            "render with time_markers=False, or set it true to teach them"
        )


def _check_length(frames: Sequence[int]) -> None:
    heard_ms = sum(frames) * FRAME_MS
    if heard_ms > MAX_AUDIO_S * 1000:
        raise InputError(
            f"{len(frames)} audios of {heard_ms / 60_000:.2f} minutes together are more than the {MAX_AUDIO_S // 60} "
            f"that fit one prompt; cut them into shorter ones"
        )


def _spans(ids: Sequence[int], tokenizer: Tokenizer, time_markers: bool) -> Iterator[range]:
    """The positions between the ends of each audio span, whole and rightly marked; else SchemaError says where not."""
    special, digits = tokenizer.special, frozenset(tokenizer.digits)
    position = 0
    while position < len(ids):
        if ids[position] in (special.audio, special.audio_end):
            raise SchemaError(f"position {position} holds {_named(ids[position], tokenizer)} outside of an audio span")
        if ids[position] != special.audio_start:
            position += 1
            continue
        start = stop = position + 1
        while stop < len(ids) and (ids[stop] == special.audio or ids[stop] in digits):
            stop += 1
        num_tokens = sum(number == special.audio for number in ids[start:stop])
        span = ids[position : stop + 1]
        wanted = audio_span(max(num_tokens, 1), tokenizer, time_markers=time_markers)
        for offset, number in enumerate(wanted):
            if offset >= len(span) or span[offset] != number:
                found = _named(span[offset], tokenizer) if offset < len(span) else "the end"
                raise SchemaError(
                    f"position {position + offset}, in the audio span from {position} on: found {found} "
                    f"where {_named(number, tokenizer)} belongs"
                )
        yield range(start, stop)
        position = stop + 1


def _named(number: int, tokenizer: Tokenizer) -> str:
    return f"{tokenizer.decode([number], keep_control=True)!r} ({number})"
