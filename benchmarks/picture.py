"""One scene as a picture: python -m benchmarks.picture SCENE OUT.png [--from 0] [--to 60]

Above, what the scene sounds like, with our cuts as lines; below, the events of its answer key, and the segments we
and a grid of ten seconds make of it, with a cross at each cut through an event. SCENE lies beside its answer key.
"""

import argparse
import io
import os
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from benchmarks.baselines import Kinds, fixed, ours
from benchmarks.scoring import ScoreRules, judge
from benchmarks.segmentation import decoded
from benchmarks.truth import TRUTH, Claimed, Scene, read_truth
from schemas.audio import Waveform
from schemas.errors import InputError
from schemas.record import Branch
from schemas.span import Span

WIDTH_IN, HEIGHT_IN, DPI = 16.0, 6.0, 100
COLOURS = {Branch.SPEECH: "#2f6db5", Branch.MUSIC: "#c2571a", Branch.SOUND: "#2e8b57"}
CUT, GRID, INK = "#d7263d", "#8a8f98", "#22262e"
QUIETEST_DB, LOUDEST_DB = -76.0, -22.0
NUM_MELS = 96
NUM_COLOURS = 48


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

    rows = {"earmark": ours()(waveform), "every 10 s": fixed(10_000)(waveform)}
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 14, "text.color": INK, "axes.edgecolor": GRID})
    pyplot.rcParams.update({"xtick.color": INK, "ytick.color": INK, "axes.labelcolor": INK})
    figure, (sound, events, cuts) = pyplot.subplots(
        3, 1, sharex=True, figsize=(WIDTH_IN, HEIGHT_IN), height_ratios=(3.0, 2.6, 1.5), layout="constrained"
    )
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.06, hspace=0.0)
    draw_sound(sound, waveform)
    draw_events(events, scene)
    draw_segments(cuts, scene, rows)
    for axes in (sound, events):
        for ms in _cuts(rows["earmark"]):
            axes.axvline(ms / 1000, color=CUT, lw=1.3, zorder=5)
    for ms in _cuts(rows["every 10 s"])[1:-1]:
        events.axvline(ms / 1000, color=GRID, lw=1.2, ls=(0, (2, 3)), zorder=1)
    cuts.set_xlim(start_s, end_s)
    cuts.xaxis.set_major_formatter(lambda at_s, _: f"{at_s:g} s")
    cuts.set_xlabel("red lines: where earmark cuts      ×: a cut through an event", fontsize=12)
    save(figure, out)
    pyplot.close(figure)


def save(figure: Any, out: Path) -> None:
    """As a PNG of few colours: a third of the bytes, and no difference to the eye."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI)
    Image.open(buffer).convert("RGB").quantize(NUM_COLOURS).save(out, optimize=True)


def draw_sound(axes: Any, waveform: Waveform) -> None:
    """Log-mel energies, quiet to loud."""
    import librosa
    from matplotlib.colors import LinearSegmentedColormap

    mels = librosa.feature.melspectrogram(
        y=waveform.samples, sr=waveform.rate_hz, n_fft=1024, hop_length=512, n_mels=NUM_MELS, fmin=60, norm=None
    )
    level_db = 10 * np.log10(mels / 1024**2 * 8 + 1e-12)
    axes.imshow(
        level_db,
        origin="lower",
        aspect="auto",
        extent=(0, waveform.duration_ms / 1000, 0, NUM_MELS),
        cmap=LinearSegmentedColormap.from_list("ink", ["white", "#aeb6c2", "#1c2333"]),
        vmin=QUIETEST_DB,
        vmax=LOUDEST_DB,
        interpolation="bilinear",
    )
    axes.set_yticks([])
    axes.set_ylabel("spectrum")
    _bare(axes)


def draw_events(axes: Any, scene: Scene) -> None:
    """A row for each kind: pale from onset to offset, full where it is heard; other sounds by name."""
    from matplotlib.patheffects import withStroke

    for row, kind in enumerate(reversed(COLOURS)):
        for event in (event for event in scene.events if event.kind is kind):
            _bar(axes, event, row, 0.66, color=COLOURS[kind], alpha=0.3)
            for region in event.regions:
                _bar(axes, region, row, 0.66, color=COLOURS[kind])
            if kind is Branch.SOUND:
                middle_s = (event.start_ms + event.end_ms) / 2000
                name = axes.text(middle_s, row - 0.42, event.label, ha="center", va="top", fontsize=12, zorder=6)
                name.set(path_effects=[withStroke(linewidth=3, foreground="white")], clip_on=True)
    axes.set_yticks(range(len(COLOURS)), [str(kind) for kind in reversed(COLOURS)])
    axes.set_ylim(-1.0, len(COLOURS) - 0.5)
    _bare(axes)


def draw_segments(axes: Any, scene: Scene, rows: dict[str, list[tuple[Span, Kinds]]]) -> None:
    """The segments of each method, striped by the kinds they are said to hold; a cross at each cut through an event."""
    for row, segments in enumerate(reversed(rows.values())):
        for span, kinds in segments:
            stripes = [kind for kind in COLOURS if kind in kinds]
            for index, kind in enumerate(stripes):
                height = 0.6 / len(stripes)
                at = row + 0.3 - (index + 0.5) * height
                _bar(axes, span, at, height, color=COLOURS[kind], alpha=0.3)
            _bar(axes, span, row, 0.6, facecolor="none", edgecolor=INK, linewidth=1.2)
        claimed = [Claimed(scene=scene.name, start_ms=span.start_ms, end_ms=span.end_ms) for span, _ in segments]
        through = judge(scene, claimed, ScoreRules()).cut_through
        crossed = [ms for ms in _cuts(segments) if any(r.start_ms < ms < r.end_ms for e in through for r in e.regions)]
        axes.plot([ms / 1000 for ms in crossed], [row] * len(crossed), "x", color=CUT, ms=11, mew=2.6, zorder=6)
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set_ylim(-0.5, len(rows) - 0.5)
    _bare(axes)


def _cuts(segments: list[tuple[Span, Kinds]]) -> list[int]:
    """Where segments begin or end."""
    return sorted({ms for span, _ in segments for ms in (span.start_ms, span.end_ms)})


def _bar(axes: Any, span: Span, at: float, height: float, **look: Any) -> None:
    axes.barh(
        at, span.duration_ms / 1000, left=span.start_ms / 1000, height=height, zorder=3, **{"linewidth": 0, **look}
    )


def _bare(axes: Any) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    main()
