"""What the model costs: python -m benchmarks.model [--size small 4b] [--device cpu|cuda] [--what peak encoder ...]

Weights are random, so nothing is downloaded. First the machine's own peaks are measured: a matrix product, and a large
buffer copied and read. Then the front end (`mel`), the audio encoder with its adapters (`encoder`), a prompt read into
an empty cache with logits of its last token (`prefill`), and one more token for each row of a full cache (`decode`),
eagerly and compiled. A share is that of the measured peak: operations (model/flops.py) of the matrix
product's, bytes of the faster of the two streams; on a known GPU also of its data sheet's. Each size and kind of case
runs in a process of its own, so one that does not fit takes none of the others with it.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from benchmarks.model_cases import Plan, Result, measured
from benchmarks.model_timing import product_flops, stream_bytes
from model.flops import Sheet, sheet_of
from model.sizes import SIZES

KINDS = ("mel", "encoder", "prefill", "decode")
PROMPT_TOKENS = 8192  # on a GPU
CPU_PROMPT_TOKENS = {"tiny": 2048, "small": 2048, "4b": 256, "8b": 128}
BUDGET_S = {"cpu": 8.0, "cuda": 3.0}  # of samples for one case


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What this machine can, as measured, and what its data sheet says."""

    device: str
    flops: dict[str, float]  # by precision
    bytes_per_s: dict[str, float]
    sheet: Sheet | None

    def shares(self, result: Result, dtype: str) -> tuple[float | None, float | None]:
        """Of the measured peak and of the data sheet's."""
        if result.timed is None or result.work is None:
            return None, None
        rate = result.work / result.timed.seconds
        most = max(self.bytes_per_s.values()) if result.is_bytes else self.flops[dtype]
        if self.sheet is None:
            return rate / most, None
        stated = self.sheet.bytes_per_s if result.is_bytes else getattr(self.sheet, f"{dtype}_flops")
        return rate / most, rate / stated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["small", "4b"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--what", nargs="+", choices=("peak", *KINDS), default=["peak", *KINDS])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--prompt", type=int, help="tokens of a prompt; default: 8192, on a CPU fewer")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--whole-step",
        action=argparse.BooleanOptionalAction,
        help="decode also as one compiled graph, which takes minutes to compile; default: on a GPU",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with get_context("spawn").Pool(1) as pool:  # so that the other processes find the memory free
        peaks = pool.apply(_peaks, (arguments.device,))
    _print_peaks(peaks)
    results = []
    if set(arguments.what) & set(KINDS):
        _print_head(peaks)
    for plan in _plans(arguments):
        for result in _results(plan):
            _print_line(result, *peaks.shares(result, plan.dtype))
            results.append(result)
    print(f"\n{(time.perf_counter() - begun) / 60:.1f} minutes in all")
    if arguments.json:
        body = {"peaks": dataclasses.asdict(peaks), "results": [dataclasses.asdict(result) for result in results]}
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1)


def _plans(arguments: argparse.Namespace) -> Iterator[Plan]:
    on_gpu = arguments.device == "cuda"
    for index, size in enumerate(arguments.size):
        for what in KINDS:
            if what in arguments.what and (index == 0 or what != "mel"):  # the front end is the same for all sizes
                yield Plan(
                    size=size,
                    what=what,
                    device=arguments.device,
                    dtype=arguments.dtype,
                    batches=tuple(arguments.batch),
                    prompt_tokens=arguments.prompt or (PROMPT_TOKENS if on_gpu else CPU_PROMPT_TOKENS[size]),
                    compile=arguments.compile,
                    whole_step=on_gpu if arguments.whole_step is None else arguments.whole_step,
                    budget_s=BUDGET_S[arguments.device],
                )


def _results(plan: Plan) -> Iterator[Result]:
    """Those of a plan as its process sends them; a process that dies leaves a line that says so."""
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_send_results, args=(plan, sender), daemon=True)
    process.start()
    sender.close()
    while True:
        try:
            result = receiver.recv()
        except EOFError:
            break
        yield result
    process.join()
    if process.exitcode != 0:
        why = "the process was killed: does not fit" if process.exitcode == -9 else f"ended with {process.exitcode}"
        yield Result(size=plan.size, case=plan.what, how="-", note=why)


def _send_results(plan: Plan, sender: Connection) -> None:
    for result in measured(plan):
        sender.send(result)


def _peaks(device: str) -> Peaks:
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return Peaks(
        device=name,
        flops={dtype: product_flops(device, getattr(torch, dtype)) for dtype in ("bfloat16", "float32")},
        bytes_per_s=stream_bytes(device),
        sheet=sheet_of(name) if device == "cuda" else None,
    )


def _print_peaks(peaks: Peaks) -> None:
    print(f"{peaks.device}, torch {torch.__version__}")
    for dtype, flops in peaks.flops.items():
        stated = f"   data sheet {getattr(peaks.sheet, f'{dtype}_flops') / 1e12:.1f}" if peaks.sheet else ""
        print(f"  matrix product, {dtype:<10}{flops / 1e12:9.3f} TFLOP/s{stated}")
    for how, rate in peaks.bytes_per_s.items():
        stated = f"   data sheet {peaks.sheet.bytes_per_s / 1e9:.0f}" if peaks.sheet else ""
        print(f"  memory, {how:<18}{rate / 1e9:9.1f} GB/s{stated}")
    if peaks.sheet:
        print(f"  ({peaks.sheet.source})")


def _print_head(peaks: Peaks) -> None:
    names = ("ms", "rate", "", "of peak", *(["of sheet"] if peaks.sheet else []), "GiB", "compile s", "samples")
    print(f"\n{'size':6}{'case':20}{'how':30}" + "".join(f"{name:>12}" for name in names))


def _print_line(result: Result, of_peak: float | None, of_sheet: float | None) -> None:
    begin = f"{result.size:6}{result.case:20}{result.how:30}"
    if result.timed is None:
        print(f"{begin}  {result.note}", flush=True)
        return
    cells = [f"{1000 * result.timed.seconds:.2f}", f"{result.rate:.1f}", result.unit]
    cells.append("-" if of_peak is None else f"{100 * of_peak:.1f} %")
    if of_sheet is not None:
        cells.append(f"{100 * of_sheet:.1f} %")
    cells.append(f"{result.memory_bytes / (1 << 30):.2f}")
    cells.append("-" if result.compile_s is None else f"{result.compile_s:.1f}")
    cells.append(str(result.timed.samples))
    print(begin + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
