"""What the music branch knows of pieces whose answers are known: python -m benchmarks.music [--pieces 50] [--seed 1]

Composes pieces of 20 to 30 s, all keys, 60 to 180 beats a minute, in four, three and six-eight, a third without drums
and a third syncopated, and plays them by two bands: the "workshop", on which weights were fitted (seeds 1 to 160), and
the "stage", which shares no instrument with it. Beside ours stands plain librosa: `beat_track` with its defaults, and
the profiles of Krumhansl and Kessler on the mean of `chroma_cqt`.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from annotators.music import MusicConfig, heard_in
from benchmarks.instruments import BANDS, RATE_HZ
from benchmarks.pieces import NAMES, Named, Piece, compose
from schemas.audio import Waveform

STAGE_SEEDS = 1_000  # the stage plays other pieces than the workshop
TEMPO_NEAR, BEAT_NEAR_S = 0.04, 0.07
OCTAVES = (1, 2, 1 / 2)
OCTAVES_AND_THIRDS = (*OCTAVES, 3, 1 / 3)  # for pieces in three and in six-eight
KRUMHANSL = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one listener says of a piece; None and () for what it does not say."""

    tempo_bpm: float | None = None
    tempo_score: float | None = None
    beats_s: Sequence[float] = ()
    meter: str | None = None
    downbeats_s: Sequence[float] = ()
    key: str | None = None
    key_score: float | None = None
    chords: tuple[Named, ...] | None = None
    bounds_s: Sequence[float] | None = None


Row = dict[str, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=50, help="for each band")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    columns: dict[str, list[Row]] = defaultdict(list)
    sure: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    warm = compose(0)
    for listener in LISTENERS.values():
        listener(waveform_of(warm))
    for band in BANDS:
        for seed in range(arguments.seed, arguments.seed + arguments.pieces):
            piece = compose(seed + STAGE_SEEDS * (band == "stage"), band)
            waveform = waveform_of(piece)
            for name, listener in LISTENERS.items():
                begun = time.perf_counter()
                answer = listener(waveform)
                seconds = time.perf_counter() - begun
                row = scored(answer, piece) | {"seconds": seconds, "sound": waveform.duration_ms / 1000}
                columns[f"{name}, {band}"].append(row)
                if name == "ours":
                    note_sureness(sure, answer, row)
    print_table(columns)
    print_sureness(sure)


def waveform_of(piece: Piece) -> Waveform:
    return Waveform.from_float(piece.samples, RATE_HZ)


# ------------------------------------------------------------------------------------- listeners


def ours(waveform: Waveform) -> Answer:
    """All that is measured, however unsure, so that the scores can be judged as well."""
    anything = MusicConfig(min_beat_score=0, min_meter_score=0, min_key_score=0, min_section_score=0)
    heard = heard_in(waveform, waveform.duration_ms, anything)
    beat, meter, key = heard.beat, heard.meter, heard.key
    return Answer(
        tempo_bpm=beat.tempo_bpm if beat else None,
        tempo_score=beat.score if beat else None,
        beats_s=[at / 1000 for at in beat.beats_ms] if beat else (),
        meter=meter.name if meter else None,
        downbeats_s=[at / 1000 for at in meter.downbeats_ms] if meter else (),
        key=key.name if key else None,
        key_score=key.score if key else None,
        chords=tuple(Named(start_s=c.start_ms / 1000, end_s=c.end_ms / 1000, name=c.name) for c in heard.chords),
        bounds_s=[section.start_ms / 1000 for section in heard.sections[1:]],
    )


def plain_librosa(waveform: Waveform) -> Answer:
    import librosa

    samples, rate_hz = waveform.samples, waveform.rate_hz
    tempo, beats = librosa.beat.beat_track(y=samples, sr=rate_hz, units="time")
    mean = librosa.feature.chroma_cqt(y=samples, sr=rate_hz).mean(axis=1)
    fits = [np.corrcoef(np.roll(profile, tonic), mean)[0, 1] for profile in KRUMHANSL for tonic in range(12)]
    mode, tonic = divmod(int(np.argmax(fits)), 12)
    key = f"{NAMES[tonic]} {('major', 'minor')[mode]}"
    return Answer(tempo_bpm=float(np.atleast_1d(tempo)[0]), beats_s=list(beats), key=key)


LISTENERS: dict[str, Callable[[Waveform], Answer]] = {"ours": ours, "librosa": plain_librosa}


# --------------------------------------------------------------------------------------- measures


def scored(answer: Answer, piece: Piece) -> Row:
    related = OCTAVES if piece.meter == "4/4" else OCTAVES_AND_THIRDS
    weight = key_weight(answer.key, piece.key)
    row: Row = {
        "tempo": tempo_near(answer.tempo_bpm, piece.tempo_bpm, (1,)),
        "tempo, octave allowed": tempo_near(answer.tempo_bpm, piece.tempo_bpm, OCTAVES),
        "the same, x3 and /3 too where in three": tempo_near(answer.tempo_bpm, piece.tempo_bpm, related),
        "beats, F at 70 ms": f_measure(answer.beats_s, piece.beats_s, BEAT_NEAR_S),
        "key": float(weight == 1),
        "key, or a fifth, relative or parallel": float(weight > 0),
        "key, MIREX weighted": weight,
    }
    if answer.chords is not None:
        row |= {
            "meter": float(answer.meter == piece.meter),
            "downbeats, F at 70 ms": f_measure(answer.downbeats_s, piece.downbeats_s, BEAT_NEAR_S),
            "chords, major and minor, share of time": chord_overlap(answer.chords, piece.chords),
        }
    if answer.bounds_s is not None:
        bounds_s = [section.start_s for section in piece.sections[1:]]
        row |= {f"section bounds, F at {near} s": f_measure(answer.bounds_s, bounds_s, near) for near in (0.5, 3)}
    return row


def tempo_near(bpm: float | None, true_bpm: float, ratios: Sequence[float]) -> float:
    return float(bpm is not None and any(abs(bpm / (true_bpm * ratio) - 1) <= TEMPO_NEAR for ratio in ratios))


def f_measure(found_s: Sequence[float], true_s: Sequence[float], near_s: float) -> float:
    """Of one-to-one matches within `near_s`, nearest first; 1 where nothing was to be found and nothing was."""
    if not len(found_s) and not len(true_s):
        return 1.0
    apart = np.abs(np.subtract.outer(np.asarray(found_s, float), np.asarray(true_s, float)))
    hits = 0
    while apart.size and apart.min() <= near_s:
        one, other = np.unravel_index(apart.argmin(), apart.shape)
        apart[one, :], apart[:, other] = np.inf, np.inf
        hits += 1
    return 2 * hits / (len(found_s) + len(true_s))


def key_weight(key: str | None, true_key: str) -> float:
    """As MIREX weighs: 1, a fifth above or below 0.5, relative 0.3, parallel 0.2."""
    if key is None or key == true_key:
        return float(key == true_key)
    (tonic, mode), (true_tonic, true_mode) = key.split(), true_key.split()
    steps = (NAMES.index(tonic) - NAMES.index(true_tonic)) % 12
    if mode == true_mode:
        return 0.5 if steps in (5, 7) else 0.0
    return {9 if true_mode == "major" else 3: 0.3, 0: 0.2}.get(steps, 0.0)


def chord_overlap(chords: Sequence[Named], true: Sequence[Named]) -> float:
    agreed = sum(
        max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))
        for one in chords
        for other in true
        if one.name == other.name
    )
    return agreed / sum(one.end_s - one.start_s for one in true)


# ---------------------------------------------------------------------------------------- printing


def note_sureness(sure: dict[str, list[tuple[float, bool]]], answer: Answer, row: Row) -> None:
    if answer.tempo_score is not None:
        sure["tempo"].append((answer.tempo_score, row["tempo"] == 1))
    if answer.key_score is not None:
        sure["key"].append((answer.key_score, row["key"] == 1))


def print_table(columns: dict[str, list[Row]]) -> None:
    names = list(columns)
    print(f"{'share of pieces, or mean':42}" + "".join(f"{name:>20}" for name in names))
    for measure in [m for m in columns[names[0]][0] if m not in ("seconds", "sound")]:
        cells = [[row[measure] for row in columns[name] if measure in row] for name in names]
        print(f"{measure:42}" + "".join(f"{np.mean(cell):20.3f}" if cell else f"{'-':>20}" for cell in cells))
    speeds = [
        sum(row["sound"] for row in columns[name]) / sum(row["seconds"] for row in columns[name]) for name in names
    ]
    print(f"{'x real time, one core':42}" + "".join(f"{speed:20.0f}" for speed in speeds))


def print_sureness(sure: dict[str, list[tuple[float, bool]]]) -> None:
    print("\nright, by score (both bands)")
    for what, pairs in sure.items():
        parts = np.array_split(np.array(sorted(pairs), float), 4)
        print(f"  {what:8}" + "".join(f"   {part[:, 0].mean():.2f}: {part[:, 1].mean():.2f}" for part in parts))


if __name__ == "__main__":
    main()
