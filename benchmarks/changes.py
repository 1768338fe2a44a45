"""Changes of tempo and of key where answers are known: python -m benchmarks.changes [--pieces 40] [--seed 201]

The pieces of `benchmarks.music`, each played four times: as it is, with a step of tempo, with a ramp (both by 1.15 to
1.45, up or down), and with a change of key in the middle: up a semitone, a tone, a minor third, a fourth or a fifth, to
the parallel key, or to the relative one. Rules were set on seeds 1 to 60 of the workshop; the stage has seeds of its
own. A change counts as found where one is told; as right where the ratio of tempi is right within 8 %, or both keys.
"""

import argparse
import os
from collections import defaultdict
from dataclasses import dataclass

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from annotators.music import Heard, MusicConfig, heard_in
from benchmarks.instruments import BANDS
from benchmarks.music import STAGE_SEEDS, waveform_of
from benchmarks.pieces import Change, Piece, compose

TEMPO_RATIOS = (1.15, 1.45)
RATIO_NEAR = 0.08
KEYS = (
    ("up a semitone", Change(semitones=1)),
    ("up a tone", Change(semitones=2)),
    ("up a minor third", Change(semitones=3)),
    ("up a fourth", Change(semitones=5)),
    ("up a fifth", Change(semitones=7)),
    ("to the parallel key", Change(other_mode=True)),
    ("to the relative key", Change(semitones=9, other_mode=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    tempo: bool  # a change of tempo is told
    key: bool
    right: bool = False
    off_s: float | None = None  # of the change that was to be found, where one is told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=40, help="for each band")
    parser.add_argument("--seed", type=int, default=201)
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    by_key: dict[str, list[Row]] = defaultdict(list)
    for band in BANDS:
        for seed in range(arguments.seed, arguments.seed + arguments.pieces):
            number = seed + STAGE_SEEDS * (band == "stage")
            for kind, change in changes_of(number, compose(number, band)).items():
                piece = compose(number, band, change)
                row = judged(heard(piece), piece, change)
                rows[band, kind].append(row)
                if kind == "key":
                    by_key[KEYS[number % len(KEYS)][0]].append(row)
    print_table(rows, by_key)


def changes_of(seed: int, plain: Piece) -> dict[str, Change]:
    rng = np.random.default_rng(seed)
    ratio = float(np.exp(rng.uniform(*np.log(TEMPO_RATIOS)) * rng.choice([-1, 1])))
    middle, first, last = rng.uniform(0.35, 0.65), rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.9)
    name, key = KEYS[seed % len(KEYS)]
    if name == "to the relative key" and "minor" in plain.traits:
        key = Change(semitones=3, other_mode=True)
    return {
        "none": Change(),
        "step": Change(tempo_ratio=ratio, tempo_from=middle, tempo_to=middle),
        "ramp": Change(tempo_ratio=ratio, tempo_from=first, tempo_to=last),
        "key": key,
    }


def heard(piece: Piece) -> Heard:
    waveform = waveform_of(piece)
    return heard_in(waveform, waveform.duration_ms, MusicConfig())


def judged(answer: Heard, piece: Piece, change: Change) -> Row:
    tempo = answer.moving.curve.changes if answer.moving else ()
    runs = answer.keys.runs if answer.keys else ()
    if piece.tempo_change_s and tempo:
        told = float(np.sum([one.log_ratio for one in tempo]))
        right = abs(told - np.log(change.tempo_ratio)) < RATIO_NEAR
        middles_s = [(one.start_ms + one.end_ms) / 2000 for one in tempo]
        off_s = min(abs(at_s - float(np.mean(piece.tempo_change_s))) for at_s in middles_s)
        return Row(tempo=True, key=bool(runs), right=right, off_s=off_s)
    if len(piece.keys) > 1 and runs:
        right = [run.name for run in runs] == [key.name for key in piece.keys]
        off_s = min(abs(run.start_ms / 1000 - piece.keys[1].start_s) for run in runs[1:])
        return Row(tempo=bool(tempo), key=True, right=right, off_s=off_s)
    return Row(tempo=bool(tempo), key=bool(runs))


def print_table(rows: dict[tuple[str, str], list[Row]], by_key: dict[str, list[Row]]) -> None:
    print(f"{'share of pieces':36}{'tempo told':>12}{'key told':>12}{'right':>12}{'off, median':>14}")
    by_change = {("by key", name): found for name, found in by_key.items()}
    for (band, kind), found in {**rows, **by_change}.items():
        off_s = [row.off_s for row in found if row.off_s is not None]
        shares = [float(np.mean([getattr(row, name) for row in found])) for name in ("tempo", "key", "right")]
        cells = "".join(f"{share:12.3f}" for share in shares)
        off = f"{np.median(off_s):12.2f} s" if off_s else f"{'-':>14}"
        print(f"{f'{band}, {kind} ({len(found)})':36}{cells}{off}")


if __name__ == "__main__":
    main()
