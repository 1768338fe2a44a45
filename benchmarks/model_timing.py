"""How the model's benchmarks take time and memory, and what the machine itself can do."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

Run = Callable[[], object]

SAMPLES = 7
SAMPLE_S = 0.2  # a sample repeats the run until it lasts this long
SHAPES = ((2048, 2048, 2048), (4096, 4096, 4096), (8192, 2560, 9728), (8192, 8192, 8192), (16384, 8192, 8192))
STREAM_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of one run, the median of `samples`; `first_s` is what the run before them took."""

    seconds: float
    samples: int
    first_s: float


def timed(run: Run, device: str, budget_s: float, *, compiles: bool = False) -> Timed:
    """The median of several samples after a first run that does not count.

    Where one run takes more than `budget_s`, it is what is given, as 1 sample: the first run, unless it `compiles`.
    """
    first_s = _lasts(run, device, 1)
    if first_s > budget_s and not compiles:
        return Timed(seconds=first_s, samples=1, first_s=first_s)
    second_s = _lasts(run, device, 1)
    if second_s > budget_s:
        return Timed(seconds=second_s, samples=1, first_s=first_s)
    inner = max(1, round(SAMPLE_S / max(second_s, 1e-6)))
    samples, begun = [], time.perf_counter()
    while len(samples) < SAMPLES and (not samples or time.perf_counter() - begun < budget_s):
        samples.append(_lasts(run, device, inner) / inner)
    return Timed(seconds=statistics.median(samples), samples=len(samples), first_s=first_s)


def _lasts(run: Run, device: str, times: int) -> float:
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(times):
        run()
    synchronise(device)
    return time.perf_counter() - begun


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def product_flops(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product: the best of a few large shapes."""
    best = 0.0
    for m, k, n in SHAPES if device == "cuda" else SHAPES[:2]:
        left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((m, k), (k, n)))
        product = torch.empty(m, n, device=device, dtype=dtype)
        took = timed(lambda left=left, right=right, product=product: torch.mm(left, right, out=product), device, 5.0)
        best = max(best, 2 * m * k * n / took.seconds)
    return best


def stream_bytes(device: str) -> dict[str, float]:
    """Bytes a second of a large buffer: copied (read and written both count) and read alone."""
    source = torch.randn(STREAM_BYTES // 4, device=device)
    target = torch.empty_like(source)
    copied = timed(lambda: target.copy_(source), device, 5.0).seconds
    read = timed(source.sum, device, 5.0).seconds
    return {"copy": 2 * source.nbytes / copied, "read": source.nbytes / read}


def forget_peak_memory(device: str) -> None:
    """Start the count of `peak_memory_bytes` anew."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: str) -> int:
    """The most this process held: memory of the device, or resident memory on a CPU (weights and libraries too)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def as_graph(run: Run) -> Run:
    """The run as one CUDA graph, to be replayed. It must read and write the same tensors each time."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
