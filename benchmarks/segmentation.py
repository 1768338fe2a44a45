"""How well segments keep events whole: python -m benchmarks.segmentation [SCENES] [--json FOLDER] [--misses]

SCENES is a folder of recordings with their answer key, as `benchmarks.scenes` makes them. Without it the scenes in
../shared/scenes beside the checkout are taken, or, where there are none, some are made for the occasion.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from rich.console import Console
from rich.table import Table

from benchmarks.baselines import METHODS, Segmenter
from benchmarks.library import MadeSounds
from benchmarks.scenes import make_scenes
from benchmarks.scoring import Judged, Score, ScoreRules, judge_all, total
from benchmarks.truth import TRUTH, Claimed, Scene, TrueEvent, read_truth, write_segments
from pipeline.decode import decode
from schemas.audio import Waveform

SHARED = Path(__file__).resolve().parents[2] / "shared" / "scenes"
RATE_HZ = 16_000
TOO_FAST = 1e5  # x real time: it does not listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    method: str
    segments: tuple[Claimed, ...]
    judged: tuple[Judged, ...]
    score: Score
    times_real: float  # on one core, of its own processor time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="?")
    parser.add_argument("--only", choices=METHODS, action="append", help="one method; may be given several times")
    parser.add_argument("--json", type=Path, help="a folder for <method>.jsonl: scene, start, end and kinds a line")
    parser.add_argument("--misses", action="store_true", help="list what the first method cuts through and misses")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="earmark-scenes-") as made:
        folder = scenes_in(arguments.scenes, Path(made))
        scenes = read_truth(folder / TRUTH)
        sounds = [decoded(folder / scene.name) for scene in scenes]
    results = [measured(method, METHODS[method](), scenes, sounds) for method in arguments.only or METHODS]
    hours = sum(scene.duration_ms for scene in scenes) / 3_600_000
    print(
        f"{len(scenes)} scenes of {folder}, {hours:.2f} h, {results[0].score.num_events} events no longer than the cap"
    )
    Console(width=130).print(table(results))
    if arguments.json:
        arguments.json.mkdir(parents=True, exist_ok=True)
        for result in results:
            write_segments(arguments.json / f"{result.method.replace(' ', '_')}.jsonl", result.segments)
    if arguments.misses:
        print("\n".join(misses(results[0])))


def scenes_in(asked: Path | None, made: Path) -> Path:
    """The folder asked for, or the shared one, or `made` with scenes newly made in it; says which."""
    if asked or (SHARED / TRUTH).is_file():
        return asked or SHARED
    print(f"no scenes were named and there are none in {SHARED}: some are made")
    make_scenes(made, MadeSounds(), num_scenes=24, seed=1)
    return made


def decoded(path: Path) -> Waveform:
    with path.open("rb") as file:
        return decode(file, RATE_HZ).waveform


def measured(method: str, segment: Segmenter, scenes: Sequence[Scene], sounds: Sequence[Waveform]) -> Result:
    """Segments every scene; the first twice, so that what is loaded on first use is not timed."""
    segment(sounds[0])
    begun = time.process_time()
    cut = [segment(sound) for sound in sounds]
    seconds = time.process_time() - begun
    segments = tuple(
        Claimed(scene=scene.name, start_ms=span.start_ms, end_ms=span.end_ms, kinds=kinds)
        for scene, spans in zip(scenes, cut, strict=True)
        for span, kinds in spans
    )
    judged = judge_all(scenes, segments, ScoreRules())
    audio_s = sum(sound.duration_ms for sound in sounds) / 1000
    return Result(
        method=method,
        segments=segments,
        judged=tuple(judged),
        score=total(judged),
        times_real=audio_s / max(seconds, 1e-9),
    )


def table(results: Sequence[Result]) -> Table:
    made = Table(box=None, pad_edge=False)
    made.add_column("")
    names = (
        "cut through",
        "boundary F1",
        "precision",
        "recall",
        "lost",
        "over cap",
        "under 1 s",
        "mean s",
        "routing F1",
    )
    for name in (*names, "x real time"):
        made.add_column(name, justify="right")
    for result in results:
        score = result.score
        made.add_row(
            result.method,
            f"{score.cut_through:.1%}",
            f"{score.boundary_f1:.3f}",
            f"{score.boundary_precision:.3f}",
            f"{score.boundary_recall:.3f}",
            f"{score.lost:.2%}",
            str(score.over_cap),
            str(score.under_short),
            f"{score.mean_s:.1f}",
            f"{score.routing_f1:.3f}",
            f"{result.times_real:,.0f}" if result.times_real < TOO_FAST else "-",
        )
    return made


def misses(result: Result) -> list[str]:
    """A line for each event cut through, boundary missed and cut in the midst of sound, with what else was heard."""
    lines, inside_ms = [], ScoreRules().inside_ms
    for judged in result.judged:
        name, events = judged.scene.name, judged.scene.events
        cuts = sorted({ms for s in result.segments if s.scene == name for ms in (s.start_ms, s.end_ms)})
        told = []
        for event in judged.cut_through:
            within = [(r.start_ms + inside_ms, r.end_ms - inside_ms) for r in event.regions]
            for cut in (ms for ms in cuts if any(first < ms < last for first, last in within)):
                told.append((cut, f"cuts through {_named(event)}{_beside(events, cut, event)}"))
        for ms in judged.missed:
            event = next(e for e in events if ms in (e.start_ms, e.end_ms))
            end = "onset" if ms == event.start_ms else "offset"
            nearest_ms = min((cut - ms for cut in cuts), key=abs, default=0)
            told.append(
                (ms, f"misses {end} of {_named(event)}, nearest cut {nearest_ms:+d} ms{_beside(events, ms, event)}")
            )
        told += [(ms, f"cuts where nothing begins or ends{_beside(events, ms, None)}") for ms in judged.wrong]
        lines += [f"{name} {ms / 1000:8.2f}  {what}" for ms, what in sorted(told)]
    return lines


def _named(event: TrueEvent) -> str:
    return f"{event.kind} {event.label} ({event.start_ms / 1000:.2f}-{event.end_ms / 1000:.2f} s, {event.level_db} dB)"


def _beside(events: Sequence[TrueEvent], ms: int, one: TrueEvent | None) -> str:
    """What else goes on at about that time."""
    near_ms = ScoreRules().near_ms
    others = [e for e in events if e is not one and e.start_ms - near_ms <= ms <= e.end_ms + near_ms]
    return f", beside {', '.join(map(_named, others))}" if others else ""


if __name__ == "__main__":
    main()
