"""`earmark ask`: sound and a question in, the model's answer out, word by word."""

import io
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from jobs.show import duration, safe
from model.checkpoint import load, read_config
from model.frames import FRAME_MS, SAMPLE_RATE_HZ
from model.generate import Finish, Generator, Request
from model.mel import Floats, log_mel
from model.model import AudioLM
from model.prompt import check_fits, question, render
from model.sampling import Sampling
from model.sound import at_16_khz
from model.thinking import Piece, Speech
from model.tokens import Tokenizer
from model.weights import inside, json_object
from pipeline.decode import reading
from schemas.errors import ConfigError, DecodeError, InputError, StoreError

GENERATION_CONFIG = "generation_config.json"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LONGEST_S = 10_000_000  # four months: beyond any recording, within what seeking takes
SHARED_PARAMETERS = 100_000_000
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of which sound. `start_s` and `end_s` take a part of every audio."""

    checkpoint: Path
    audios: tuple[Path, ...]
    question: str
    start_s: float = 0.0
    end_s: float | None = None
    shows_thoughts: bool = True
    device: str | None = None
    dtype: str | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        for name, seconds in (("--start", self.start_s), ("--end", self.end_s)):
            if seconds is not None and not 0 <= seconds <= LONGEST_S:
                raise ConfigError(f"{name} is {seconds}; it must be seconds from zero to {LONGEST_S:,}")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ConfigError(f"--end {self.end_s} is not after --start {self.start_s}")
        if any("\ud800" <= char <= "\udfff" for char in self.question):  # how bytes come that are no text
            raise InputError(f"the question {safe(self.question[:60])!r} is not UTF-8; write it in that encoding")


@dataclass(slots=True)
class Tally:
    """What the last line tells."""

    audio_s: float = 0.0
    prompt_tokens: int = 0
    said_tokens: int = 0
    finish: Finish | None = None
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def line(self) -> str:
        ended = {Finish.STOP: "", Finish.LENGTH: ", cut at the limit", None: ", broken off"}[self.finish]
        prefill = self.prompt_tokens / self.prefill_s if self.prefill_s else 0.0
        decode = (self.said_tokens - 1) / self.decode_s if self.decode_s and self.said_tokens > 1 else 0.0
        return (
            f"{self.audio_s:.1f} s of audio, {self.prompt_tokens:,} prompt tokens at {prefill:,.0f}/s, "
            f"{self.said_tokens:,} said at {decode:,.1f}/s{ended}"
        )


def ask(asked: Ask, overrides: dict[str, float | int | None]) -> None:
    """Prints the answer on stdout as it is said, and what it cost on stderr.

    `overrides` are fields of `Sampling` that take the place of the checkpoint's own where they are not None. All that
    can be wrong with the question is told before the weights are read.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    config = read_config(asked.checkpoint)
    tokenizer = Tokenizer.open(asked.checkpoint)
    tokenizer.check(config)
    sampling = _sampling(asked.checkpoint, overrides)
    device, dtype = device_called(asked.device), dtype_called(asked.dtype)
    mels = tuple(_mel(path, asked, errors) for path in asked.audios)
    frames = [mel.shape[1] for mel in mels]
    prompt = render(question(asked.question, frames), tokenizer, time_markers=tokenizer.time_markers)
    check_fits(len(prompt.ids), frames, config.language_config.max_position_embeddings, 1)
    request = Request(prompt=prompt, mels=mels)
    model = loaded(asked.checkpoint, dtype, device, errors)
    generator = Generator(model, tokenizer, compiled=asked.compiled)
    tally = Tally(audio_s=sum(frames) * FRAME_MS / 1000, prompt_tokens=len(prompt.ids))
    pieces = _pieces(generator, request, sampling, tally)
    try:
        with threads_for(model):
            show(pieces, sys.stdout, shows_thoughts=asked.shows_thoughts)
    except BrokenPipeError:  # whoever reads has read enough
        raise
    except OSError as error:
        raise StoreError(f"the answer cannot be written: {error.strerror or error}") from error
    finally:
        if tally.said_tokens:
            errors.print(tally.line(), markup=False)


def show(pieces: Iterator[Piece], out: TextIO, *, shows_thoughts: bool) -> None:
    """Writes pieces as they come: thoughts dim on a terminal, elsewhere between their marks."""
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal of another encoding than UTF-8
    opens, closes = (DIM, PLAIN + "\n\n") if out.isatty() else ("<think>\n", "\n</think>\n\n")
    is_open, ends_line = False, True
    try:
        for piece in pieces:
            if piece.is_thought and not shows_thoughts:
                continue
            if piece.is_thought is not is_open:
                out.write(opens if piece.is_thought else closes)
                is_open = piece.is_thought
            out.write(printable(piece.text))
            out.flush()
            ends_line = piece.text.endswith("\n")
    finally:
        if is_open:
            out.write(closes.rstrip("\n"))
        if is_open or not ends_line:
            out.write("\n")
        out.flush()


def printable(text: str) -> str:
    """What a model says may hold anything: control characters but line ends and tabs must not reach a terminal."""
    return "".join(char if char in "\n\t" else safe(char) for char in text)


def _pieces(generator: Generator, request: Request, sampling: Sampling, tally: Tally) -> Iterator[Piece]:
    speech = Speech(generator.tokenizer, in_thought=generator.in_thought(request.prompt))
    begun = time.perf_counter()
    for (said,) in generator.stream([request], sampling):
        if not tally.said_tokens:
            tally.prefill_s, begun = time.perf_counter() - begun, time.perf_counter()
        if math.isnan(said.logprob):
            raise ConfigError(
                "the model computes what is no number: its weights are damaged, or too large for their precision; "
                "try --dtype float32"
            )
        tally.said_tokens += 1
        tally.decode_s, tally.finish = time.perf_counter() - begun, said.finish
        yield from speech.push(said.id)
    yield from speech.flush()


def _mel(path: Path, asked: Ask, errors: Console) -> Floats:
    samples = _samples(path, asked, errors)
    try:
        return log_mel(samples)
    except InputError as error:
        raise InputError(f"{safe(str(path))}: {error}") from error


def _samples(path: Path, asked: Ask, errors: Console) -> Floats:
    """The part of a file that is asked about, one channel at 16 kHz."""
    start_ms = round(asked.start_s * 1000)
    end_ms = None if asked.end_s is None else round(asked.end_s * 1000)
    try:
        with path.open("rb") as file, reading(file, start_ms, end_ms) as reader:
            samples = at_16_khz(reader.blocks(), reader.rate_hz)
            reader.check()
    except (InputError, DecodeError) as error:
        raise InputError(f"{safe(str(path))}: {error}") from error
    except OSError as error:
        raise InputError(f"{safe(str(path))} cannot be read: {error.strerror or error}") from error
    if not len(samples):
        nothing = f"it ends before {asked.start_s:.1f} s" if start_ms else "it holds no sound"
        raise InputError(f"{safe(str(path))}: {reader.trouble or nothing}")
    if reader.trouble:
        heard = duration(len(samples) / SAMPLE_RATE_HZ)
        errors.print(f"noted: {safe(str(path))}: {safe(reader.trouble)}; {heard} of it is heard", markup=False)
    return samples


def _sampling(checkpoint: Path, overrides: dict[str, float | int | None]) -> Sampling:
    sampling = Sampling()
    if (checkpoint / GENERATION_CONFIG).exists():
        path = inside(checkpoint, GENERATION_CONFIG)
        sampling = Sampling.from_json(json_object(path), where=str(path))
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(sampling, **given)  # type: ignore[arg-type]


def device_called(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # the device `meta` holds no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name!r} cannot be used: {reason}") from error
    return device


def dtype_called(name: str | None) -> torch.dtype | None:
    if name is not None and name not in DTYPES:
        raise ConfigError(f"--dtype {name!r} is not one of {', '.join(DTYPES)}")
    return None if name is None else DTYPES[name]


@contextmanager
def threads_for(model: AudioLM) -> Iterator[None]:
    """Every processor for a model that is worth it; a small one is slower shared out."""
    before = torch.get_num_threads()
    may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
    if sum(parameter.numel() for parameter in model.parameters()) >= SHARED_PARAMETERS:
        torch.set_num_threads(may_use or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def loaded(checkpoint: Path, dtype: torch.dtype | None, device: torch.device, errors: Console) -> AudioLM:
    """The model; on a terminal a bar shows how far its weights are read."""
    columns = (TextColumn("reading weights"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("", total=None)
        return load(
            checkpoint,
            dtype=dtype,
            device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
