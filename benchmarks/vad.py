"""Our voice detector beside its package and faster-whisper's: python -m benchmarks.vad [FOLDER]

FOLDER holds scenes as `benchmarks.scenes` makes them; without it the shared or newly made ones are taken. All hear the
same samples with the package's default rules. Agreement is with the package's own timestamps from its TorchScript
model: recordings whose stretches of speech all begin and end within one window of the package's, and edges that do.
"""

import argparse
import functools
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.segmentation import decoded, scenes_in
from benchmarks.truth import TRUTH, read_truth
from segmenters.embedded import EmbeddedDetectorConfig
from segmenters.vad import RATE_HZ, WINDOW_SAMPLES, SileroVad, SpeechRules, speech_spans

Stretches = list[tuple[int, int]]  # of speech, in samples
Hears = Callable[[np.ndarray], Stretches]
TIMED_S = 180  # of sound are heard for the timing
ROUNDS = 3
PACKAGE_MS = {"min_speech_duration_ms": 250, "min_silence_duration_ms": 100, "speech_pad_ms": 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How near one detector's stretches come to another's."""

    recordings: float  # share whose edges all agree within one window
    edges: float  # share, of all edges that either of them has
    furthest: int | None  # samples between edges, where all recordings have as many stretches; else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="?")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="earmark-scenes-") as made:
        folder = scenes_in(arguments.scenes, Path(made))
        recordings = [decoded(folder / scene.name).samples for scene in read_truth(folder / TRUTH)]
    seconds = sum(map(len, recordings)) / RATE_HZ
    print(f"{len(recordings)} recordings of {folder}, {seconds / 60:.1f} minutes")
    timed = recordings[: 1 + int(np.searchsorted(np.cumsum([len(r) for r in recordings]), TIMED_S * RATE_HZ))]
    timed_s = sum(map(len, timed)) / RATE_HZ
    theirs = heard_by(REFERENCE, recordings)
    made_table = Table(box=None, pad_edge=False)
    for name in ("", "x real time, one core", f"{arguments.processes} processes", "recordings agree", "edges agree"):
        made_table.add_column(name, justify="right" if name else "left")
    made_table.add_column("furthest edge", justify="right")
    for name in HEARS:
        core_s, wall_s = side_by_side(name, timed, arguments.processes)
        alone, together = timed_s / core_s, arguments.processes * timed_s / wall_s
        agreed = agreement(heard_by(name, recordings), theirs)
        furthest = "-" if agreed.furthest is None else f"{1000 * agreed.furthest / RATE_HZ:.1f} ms"
        made_table.add_row(
            name, f"{alone:,.0f}", f"{together:,.0f}", f"{agreed.recordings:.1%}", f"{agreed.edges:.1%}", furthest
        )
    Console(width=130).print(made_table)


def ours(rules: SpeechRules) -> Hears:
    vad = SileroVad(rules)

    def hears(samples: np.ndarray) -> Stretches:
        spans = speech_spans(vad.probabilities(samples), -(-len(samples) * 1000 // RATE_HZ), rules)
        return [(span.start_ms * RATE_HZ // 1000, span.end_ms * RATE_HZ // 1000) for span in spans]

    return hears


def package(onnx: bool) -> Hears:
    """The package's own function, as its README calls it."""
    import silero_vad

    model = silero_vad.load_silero_vad(onnx=onnx)
    return lambda samples: [
        (stretch["start"], stretch["end"]) for stretch in silero_vad.get_speech_timestamps(samples, model)
    ]


def package_sequence() -> Hears:
    """The package's front end to the model that hears many windows at once."""
    import silero_vad

    model = silero_vad.load_silero_vad(sequence=True)
    return lambda samples: [
        (stretch["start"], stretch["end"]) for stretch in silero_vad.get_speech_timestamps_sequence(samples, model)
    ]


def faster_whisper() -> Hears:
    """The detector bundled with faster-whisper, with the package's rules in place of its own."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(**PACKAGE_MS)
    return lambda samples: [(stretch["start"], stretch["end"]) for stretch in get_speech_timestamps(samples, options)]


REFERENCE = "silero-vad, TorchScript"
HEARS: dict[str, Callable[[], Hears]] = {
    "ours, as the package": lambda: ours(SpeechRules()),
    "ours, as the recipe": lambda: ours(EmbeddedDetectorConfig().speech),
    REFERENCE: lambda: package(onnx=False),
    "silero-vad, ONNX": lambda: package(onnx=True),
    "silero-vad, ONNX sequence": package_sequence,
    "faster-whisper": faster_whisper,
}


def heard_by(name: str, recordings: Sequence[np.ndarray]) -> list[Stretches]:
    hears = _ready(name)
    return [hears(samples) for samples in recordings]


def side_by_side(name: str, recordings: Sequence[np.ndarray], processes: int) -> tuple[float, float]:
    """Seconds of processor time of one process, and seconds until the slowest of so many has heard all recordings.

    Each is the best of a few rounds, so that what else the machine does counts as little as it can.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rounds = [list(pool.map(_seconds, [name] * processes, [recordings] * processes)) for _ in range(ROUNDS)]
    core_s = min(core for took in rounds for core, _ in took)
    return core_s, min(max(wall for _, wall in took) for took in rounds)


def agreement(heard: Sequence[Stretches], theirs: Sequence[Stretches]) -> Agreement:
    """How what one detector hears in each recording agrees with what another does."""
    pairs = list(zip(heard, theirs, strict=True))
    as_many = [len(one) == len(other) for one, other in pairs]
    apart = [np.abs(np.subtract(one, other)).max() for one, other in pairs if len(one) == len(other) and one]
    near = [_near(one, other) for one, other in pairs]
    num_edges = [2 * (len(one) + len(other)) for one, other in pairs]
    same = [many and here == edges for many, here, edges in zip(as_many, near, num_edges, strict=True)]
    return Agreement(
        recordings=sum(same) / max(1, len(pairs)),
        edges=sum(near) / max(1, sum(num_edges)),
        furthest=int(max(apart, default=0)) if all(as_many) else None,
    )


def _near(one: Stretches, other: Stretches) -> int:
    """How many edges of both have one of the same side within a window of theirs among the other's."""
    near = 0
    for side in (0, 1):
        mine, their = (np.array([stretch[side] for stretch in heard]) for heard in (one, other))
        close = np.abs(mine[:, None] - their[None, :]) <= WINDOW_SAMPLES
        near += int(close.any(axis=0).sum() + close.any(axis=1).sum())
    return near


@functools.cache
def _ready(name: str) -> Hears:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hears = HEARS[name]()
        hears(np.zeros(10 * RATE_HZ, np.float32))
    return hears


def _seconds(name: str, recordings: Sequence[np.ndarray]) -> tuple[float, float]:
    """Processor time and wall time of hearing all, once the detector is loaded and warm."""
    _ready(name)
    core, wall = time.process_time(), time.perf_counter()
    heard_by(name, recordings)
    return time.process_time() - core, time.perf_counter() - wall


if __name__ == "__main__":
    main()
