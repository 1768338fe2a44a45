"""One scene as a picture: python -m benchmarks.picture SCENE OUT.png [--from 0] [--to 60]

Above, what the scene sounds like, with our cuts as lines; below, the events of its answer key and the segments that
were cut, with a grid of ten seconds for comparison. SCENE is a recording beside its answer key.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from benchmarks.baselines import fixed, ours
from benchmarks.segmentation import decoded
from benchmarks.truth import TRUTH, Scene, TrueEvent, read_truth
from schemas.audio import Waveform
from schemas.errors import InputError
from schemas.record import Branch
from schemas.span import Span

WIDTH_IN, HEIGHT_IN, DPI = 16.0, 6.0, 100
COLOURS = {Branch.SPEECH: "#2f6db5", Branch.MUSIC: "#c2571a", Branch.SOUND: "#2e8b57"}
CUT, GRID, INK = "#d7263d", "#8a8f98", "#22262e"
QUIETEST_DB, LOUDEST_DB = -85.0, -25.0
NUM_MELS = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", type=float, default=0.0, dest="start_s")
    parser.add_argument("--to", type=float, default=None, dest="end_s")
    arguments = parser.parse_args()
    waveform, scene = decoded(arguments.scene), scene_of(arguments.scene)
    last_s = scene.duration_ms / 1000
    draw(scene, waveform, arguments.out, arguments.start_s, min(arguments.end_s or last_s, last_s))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


def scene_of(path: Path) -> Scene:
    for scene in read_truth(path.parent / TRUTH):
        if scene.name == path.name:
            return scene
    raise InputError(f"{path.parent / TRUTH} has no scene {path.name}")


def draw(scene: Scene, waveform: Waveform, out: Path, start_s: float, end_s: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kept = [span for span, _ in ours()(waveform)]
    grid = [span for span, _ in fixed(10_000)(waveform)]
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 13, "text.color": INK, "axes.edgecolor": GRID})
    figure, (sound, events, cuts) = pyplot.subplots(
        3, 1, sharex=True, figsize=(WIDTH_IN, HEIGHT_IN), height_ratios=(3.4, 2.2, 1.3), layout="constrained"
    )
    figure.get_layout_engine().set(h_pad=0.03, hspace=0.02)
    draw_sound(sound, waveform)
    draw_events(events, scene, start_s, end_s)
    draw_segments(cuts, {"earmark": (kept, CUT), "every 10 s": (grid, GRID)})
    for axes in (sound, events):
        for ms in sorted({ms for span in kept for ms in (span.start_ms, span.end_ms)}):
            axes.axvline(ms / 1000, color=CUT, lw=1.4, zorder=5)
    for ms in (span.end_ms for span in grid[:-1]):
        events.axvline(ms / 1000, color=GRID, lw=1.2, ls=(0, (2, 3)), zorder=1)
    cuts.set_xlim(start_s, end_s)
    cuts.set_xlabel("seconds")
    figure.savefig(out, dpi=DPI, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def draw_sound(axes: Any, waveform: Waveform) -> None:
    """Log-mel energies, quiet to loud."""
    import librosa

    mels = librosa.feature.melspectrogram(
        y=waveform.samples, sr=waveform.rate_hz, n_fft=1024, hop_length=512, n_mels=NUM_MELS, fmin=60, norm=None
    )
    level_db = 10 * np.log10(mels / 1024**2 * 8 + 1e-12)
    axes.imshow(
        level_db,
        origin="lower",
        aspect="auto",
        extent=(0, waveform.duration_ms / 1000, 0, NUM_MELS),
        cmap="Greys",
        vmin=QUIETEST_DB,
        vmax=LOUDEST_DB,
        interpolation="bilinear",
    )
    axes.set_yticks([])
    axes.set_ylabel("sound")
    _bare(axes)


def draw_events(axes: Any, scene: Scene, start_s: float, end_s: float) -> None:
    """A row for each kind: pale from onset to offset, full where it is heard."""
    for row, kind in enumerate(reversed(COLOURS)):
        for event in (event for event in scene.events if event.kind is kind):
            _bar(axes, event, row, COLOURS[kind], alpha=0.35)
            for region in event.regions:
                _bar(axes, region, row, COLOURS[kind], alpha=0.9)
            _write(axes, event, row, start_s, end_s)
    axes.set_yticks(range(len(COLOURS)), [str(kind) for kind in reversed(COLOURS)])
    axes.set_ylim(-0.55, len(COLOURS) - 0.45)
    _bare(axes)


def draw_segments(axes: Any, rows: dict[str, tuple[Sequence[Span], str]]) -> None:
    for row, (spans, colour) in enumerate(reversed(rows.values())):
        for span in spans:
            left, width = span.start_ms / 1000, span.duration_ms / 1000
            axes.barh(row, width, left=left, height=0.6, facecolor=f"{colour}22", edgecolor=colour, lw=1.4)
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set_ylim(-0.5, len(rows) - 0.5)
    _bare(axes)


def _bar(axes: Any, span: Span, row: int, colour: str, alpha: float) -> None:
    axes.barh(
        row, span.duration_ms / 1000, left=span.start_ms / 1000, height=0.72, color=colour, alpha=alpha, lw=0, zorder=3
    )


def _write(axes: Any, event: TrueEvent, row: int, start_s: float, end_s: float) -> None:
    """The label inside the bar, where it is something the row does not say and there is room."""
    room = event.duration_ms / 1000 / (end_s - start_s) * 130
    if event.kind is Branch.SOUND and room > len(event.label) + 1:
        middle_s = (event.start_ms + event.end_ms) / 2000
        axes.text(
            middle_s, row, event.label, ha="center", va="center", color="white", fontsize=11, zorder=6, clip_on=True
        )


def _bare(axes: Any) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    main()
