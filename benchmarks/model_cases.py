"""The cases of `benchmarks.model`: each kind runs in a process of its own, over the part of the model it needs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.model_timing import (
    Run,
    Timed,
    as_graph,
    forget_peak_memory,
    peak_memory_bytes,
    timed,
)
from model.attention import KVCache
from model.decoding import empty_cache
from model.flops import decode_bytes, hear_flops, prefill_flops
from model.frames import MAX_AUDIO_S, SAMPLE_RATE_HZ, frames_of_ms
from model.mel import log_mel
from model.model import AudioLM
from model.sizes import size

CLIP_S = 30
SLOW_S = 150.0
"""What took longer than this eagerly is not run again compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one process measures."""

    size: str
    what: str  # "mel", "encoder", "prefill" or "decode"
    device: str
    dtype: str
    batches: tuple[int, ...]
    prompt_tokens: int
    compile: bool
    whole_step: bool  # decode: also the step compiled as one graph
    budget_s: float  # for one case


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Something to run. It makes `units` of tokens or of seconds of sound by `work` operations (decode: bytes read)."""

    name: str
    units: float
    prepare: Callable[[], Run]
    work: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the table. `work` is operations of a run, or bytes where `is_bytes`; None where not counted."""

    size: str
    case: str
    how: str
    rate: float = 0.0
    unit: str = ""
    timed: Timed | None = None
    work: float | None = None
    is_bytes: bool = False
    memory_bytes: int = 0
    compile_s: float | None = None
    note: str = ""


def measured(plan: Plan) -> Iterator[Result]:
    """The results of a plan, each as it is ready. What does not fit into memory says so in its line."""
    cases: dict[str, Callable[[Plan], Iterator[Result]]] = {
        "mel": mel_cases,
        "encoder": encoder_cases,
        "prefill": prefill_cases,
        "decode": decode_cases,
    }
    with torch.inference_mode():
        yield from cases[plan.what](plan)


def mel_cases(plan: Plan) -> Iterator[Result]:
    for seconds in (CLIP_S, MAX_AUDIO_S):
        samples = np.random.default_rng(0).standard_normal(seconds * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
        load = Load(name=f"mel, {_minutes(seconds)}", units=seconds, prepare=partial(partial, log_mel, samples))
        yield _case(plan, load, "numpy")


def encoder_cases(plan: Plan) -> Iterator[Result]:
    model = part_of(plan, ("audio_encoder", "audio_adapter", "deepstack_audio_merger_list"))

    def hearing(frames: Sequence[int]) -> Run:
        mel_MF = torch.randn(128, sum(frames), device=plan.device).to(getattr(torch, plan.dtype))
        return lambda: model.hear(mel_MF, frames)

    loads = []
    for count, seconds in [*((batch, CLIP_S) for batch in plan.batches), (1, MAX_AUDIO_S)]:
        frames = [frames_of_ms(1000 * seconds)] * count
        work = count * hear_flops(model.config, frames[0])
        name = f"hear, {count} x {_minutes(seconds)}"
        loads.append(Load(name=name, units=count * seconds, work=work, prepare=partial(hearing, frames)))
    yield from _both_ways(plan, loads, model.audio_encoder.layers)


def prefill_cases(plan: Plan) -> Iterator[Result]:
    model = part_of(plan, ("language_model", "lm_head"))

    def reading(batch: int) -> Run:
        tokens_BT, cache = _tokens(model, plan, batch, plan.prompt_tokens), _cache(model, plan, batch)
        return lambda: model.lm_head(model.read(tokens_BT, cache=cache)[:, -1])

    loads = [
        Load(
            name=f"prefill, {batch} x {plan.prompt_tokens}",
            units=batch * plan.prompt_tokens,
            work=prefill_flops(model.config, batch, plan.prompt_tokens),
            prepare=partial(reading, batch),
        )
        for batch in plan.batches
    ]
    yield from _both_ways(plan, loads, model.language_model.layers)


def decode_cases(plan: Plan) -> Iterator[Result]:
    """One step near the end of a cache that holds `prompt_tokens`, repeated at the same place."""
    model = part_of(plan, ("language_model", "lm_head"))
    bytes_each = torch.finfo(getattr(torch, plan.dtype)).bits // 8

    def stepping(batch: int) -> Run:
        tokens_BT, cache = _tokens(model, plan, batch, 1), _cache(model, plan, batch)
        cache.lengths_B.fill_(cache.room_tokens - 1)

        def step() -> Tensor:
            positions_BT, sight = cache.lengths_B[:, None], cache.sight()
            return model.lm_head(model.read(tokens_BT, positions_BT=positions_BT, sight=sight, cache=cache)[:, 0])

        return step

    loads = [
        Load(
            name=f"decode, {batch} x {plan.prompt_tokens}",
            units=batch,
            work=decode_bytes(model.config, batch, plan.prompt_tokens, bytes_each),
            prepare=partial(stepping, batch),
        )
        for batch in plan.batches
    ]
    if plan.compile and plan.whole_step:
        mode = "reduce-overhead" if plan.device == "cuda" else "default"
        for load in loads:
            torch._dynamo.reset()
            whole = partial(_compiled, load.prepare, mode)
            yield _case(plan, replace(load, prepare=whole), f"step compiled, {mode}")
    # for one row, max-autotune makes reductions of products and fuses what follows them
    mode = "max-autotune-no-cudagraphs" if plan.device == "cuda" else "default"
    yield from _both_ways(plan, loads, model.language_model.layers, mode)


def _compiled(prepare: Callable[[], Run], mode: str) -> Run:
    return torch.compile(prepare(), fullgraph=True, mode=mode)


def _both_ways(plan: Plan, loads: Sequence[Load], layers: nn.ModuleList, mode: str = "default") -> Iterator[Result]:
    """Each load eagerly, and again with the layers compiled one by one: they are alike, so one graph serves all."""
    slow = set()
    for load in loads:
        result = _case(plan, load, "eager")
        yield result
        if result.timed is None or result.timed.seconds > SLOW_S:
            slow.add(load.name)
        if plan.what == "decode" and plan.device == "cuda":
            yield _case(plan, load, "eager, CUDA graph", graph=True)
    if not plan.compile:
        return
    for layer in layers:
        layer.compile(mode=mode)
    for load in loads:
        if load.name in slow:
            yield Result(size=plan.size, case=load.name, how="layers compiled", note="left out: slow eagerly")
            continue
        torch._dynamo.reset()
        yield _case(plan, load, "layers compiled")
        if plan.what == "decode" and plan.device == "cuda":
            yield _case(plan, load, "layers compiled, CUDA graph", graph=True)


def part_of(plan: Plan, names: Sequence[str]) -> AudioLM:
    """A model of which only the named parts have weights: random ones, made where and as precise as they are used."""
    with torch.device("meta"):
        model = AudioLM(size(plan.size)).eval()
    chance = torch.randn(1 << 20, device=plan.device).to(getattr(torch, plan.dtype)) * 0.02
    for name in names:
        part = getattr(model, name).to(getattr(torch, plan.dtype)).to_empty(device=plan.device)
        for parameter in part.parameters():
            for piece in parameter.data.view(-1).split(len(chance)):
                piece.copy_(chance[: len(piece)])
    return model


def _tokens(model: AudioLM, plan: Plan, batch: int, length: int) -> Tensor:
    return torch.randint(0, model.config.language_config.vocab_size, (batch, length), device=plan.device)


def _cache(model: AudioLM, plan: Plan, batch: int) -> KVCache:
    return empty_cache(model, batch, plan.prompt_tokens).kept_in_place()


def _case(plan: Plan, load: Load, how: str, *, graph: bool = False) -> Result:
    device = "cpu" if plan.what == "mel" else plan.device
    forget_peak_memory(device)
    try:
        run = load.prepare()
        took = timed(as_graph(run) if graph else run, device, plan.budget_s, compiles="compiled" in how)
    except (torch.OutOfMemoryError, RuntimeError) as failure:
        return Result(size=plan.size, case=load.name, how=how, note=_why(failure))
    return Result(
        size=plan.size,
        case=load.name,
        how=how,
        rate=load.units / took.seconds,
        unit="tokens/s" if plan.what in ("prefill", "decode") else "x real time",
        timed=took,
        work=load.work,
        is_bytes=plan.what == "decode",
        memory_bytes=peak_memory_bytes(device),
        compile_s=took.first_s - took.seconds if "compiled" in how and not graph else None,
    )


def _why(failure: Exception) -> str:
    text = str(failure).partition("\n")[0]
    lacking = isinstance(failure, torch.OutOfMemoryError) or "memory" in text
    return "does not fit" if lacking else f"{type(failure).__name__}: {text[:80]}"


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
