"""How well the tagger hears what it has never heard: python -m benchmarks.tagger SHARED [--folds 4] [--keep FOLDER]

Cross-validation. Takes of one recording, a speaker's digits, a reader's sentences and a track of music are never on
both sides. A piece of at most five seconds is judged by the mean of its scores over the tags where it sounds.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

from segmenters.tagging.corpus import Recording, excerpts, folds_of, recordings_in
from segmenters.tagging.labels import CLASSES, TAUGHT
from segmenters.tagging.scenes import UNKNOWN, Composer, source_of
from segmenters.tagging.tagger import TAG_SAMPLES, Tagger
from segmenters.tagging.train import Training, export, trained

QUIET_DB = -30.0  # against the loudest tag of a piece: below it, it does not sound
SCENES = 100  # of each fold
TAUGHT_COLUMNS = [CLASSES.index(name) for name in TAUGHT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with clips, speech, digits and music")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="a folder for each fold's weights and what they never heard")
    parser.add_argument("--steps", type=int, default=Training().steps)
    parser.add_argument("--networks", type=int, default=Training().networks)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training = Training(steps=arguments.steps, networks=arguments.networks)
    recordings = recordings_in(arguments.shared)
    folds = folds_of(recordings, arguments.folds)
    sources = [source_of(recording, training.variants) for recording in recordings if recording.trainable]
    judged: list[tuple[Recording, np.ndarray]] = []
    mixed: list[tuple[np.ndarray, np.ndarray]] = []
    held_out: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        for fold in range(arguments.folds):
            began = time.perf_counter()
            weights = kept / f"fold_{fold}.onnx"
            heard = [source for source in sources if folds.get(source.recording.group) != fold]
            export(trained(heard, training), weights)
            tagger = Tagger(weights)
            unheard = [r for r in recordings if r.judged and folds[r.group] == fold]
            held_out[weights.name] = sorted({r.group if r.group.startswith("digits") else r.name for r in unheard})
            judged += [(r, score) for r in unheard for score in pooled(tagger, r)]
            mixed += in_scenes(tagger, unheard)
            print(f"fold {fold}: {len(unheard)} recordings, {time.perf_counter() - began:.0f} s", flush=True)
        if arguments.keep:
            (kept / "folds.json").write_text(json.dumps(held_out, indent=1))
        report(judged)
        report_scenes(mixed)
        print(f"{speed(tagger):.0f} x real time on one core")


def pooled(tagger: Tagger, recording: Recording) -> Iterator[np.ndarray]:
    """Mean scores of each excerpt where it sounds: shape (classes,)."""
    for samples in excerpts(recording):
        scores = tagger.scores(samples)
        padded = np.zeros(len(scores) * TAG_SAMPLES, np.float32)
        padded[: len(samples)] = samples
        power = (padded.reshape(len(scores), -1) ** 2).mean(axis=1)
        active = power > max(power.max() * 10 ** (QUIET_DB / 10), 1e-9)
        if active.any():
            yield scores[active].mean(axis=0)


def report(judged: list[tuple[Recording, np.ndarray]]) -> None:
    """What each class is taken for by its highest score, and how well 0.5 serves as a threshold."""
    scores = np.array([score for _, score in judged])[:, TAUGHT_COLUMNS]
    truth = np.array([TAUGHT.index(recording.coarse.name) for recording, _ in judged])
    fair = np.array([[name in recording.coarse.also for name in TAUGHT] for recording, _ in judged])
    highest = scores.argmax(axis=1)
    heard = np.where(fair[np.arange(len(highest)), highest], truth, highest)  # a second class is no mistake
    head = ("pieces", "recall", "precision", "F1", "AP", "recall@.5", "prec@.5", "best at", "F1 there")
    print(f"{'':18s}" + "".join(f"{name:>10s}" for name in head))
    rows = []
    for index, name in enumerate(TAUGHT):
        there, said, known = truth == index, heard == index, ~fair[:, index]
        over = scores[:, index] >= 0.5
        row = [
            *_rates(there, said),
            average_precision(scores[known, index], there[known]),
            *_rates(there[known], over[known])[:2],
            *_best_threshold(scores[known, index], there[known]),
        ]
        rows.append(row)
        print(f"{name:18s}{there.sum():10d}" + "".join(f"{figure:10.3f}" for figure in row))
    print(f"{'macro':18s}{len(truth):10d}" + "".join(f"{figure:10.3f}" for figure in np.mean(rows, axis=0)))
    strict = np.mean([(highest[truth == index] == index).mean() for index in range(len(TAUGHT))])
    print(f"macro recall where a second class counts as a mistake: {strict:.3f}")
    print(f"{'heard as':18s}" + "".join(f"{name[:9]:>10s}" for name in TAUGHT))
    for index, name in enumerate(TAUGHT):
        counts = np.bincount(heard[truth == index], minlength=len(TAUGHT))
        print(f"{name:18s}" + "".join(f"{count:10d}" for count in counts))
    what = np.array([recording.label or recording.name.split(" ")[0] for recording, _ in judged])
    wrong = {name: (heard != truth)[what == name] for name in sorted(set(what.tolist()))}
    print("missed:", ", ".join(f"{name} {miss.sum()} of {len(miss)}" for name, miss in wrong.items() if miss.any()))


def _rates(there: np.ndarray, said: np.ndarray) -> tuple[float, float, float]:
    """Recall, precision and F1."""
    right = float((there & said).sum())
    return (
        right / max(1, there.sum()),
        right / max(1, said.sum()),
        2 * right / max(1, there.sum() + said.sum()),
    )


def _best_threshold(scores: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """The threshold of the highest F1, and that F1: chosen on what it is measured on, so a little flattering."""
    best = max(np.arange(0.1, 0.9, 0.05), key=lambda threshold: _rates(there, scores >= threshold)[2])
    return float(best), _rates(there, scores >= best)[2]


def in_scenes(tagger: Tagger, recordings: Sequence[Recording]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and targets, each of shape (tags, classes), of scenes composed as for training from these recordings."""
    composer = Composer([source_of(recording, 1) for recording in recordings], seed=7)
    scenes = [composer.scene() for _ in range(SCENES)]
    return [(tagger.scores_of(features[None])[0], coarse) for features, coarse, _ in scenes]


def report_scenes(mixed: list[tuple[np.ndarray, np.ndarray]]) -> None:
    scores, targets = (np.concatenate(part) for part in zip(*mixed, strict=True))
    print(f"tag by tag, in {len(mixed)} scenes of up to three sounds over each other and over noise:")
    rows = []
    for name, column in zip(TAUGHT, TAUGHT_COLUMNS, strict=True):
        known = targets[:, column] != UNKNOWN
        there, score = targets[known, column] == 1, scores[known, column]
        rows.append([*_rates(there, score >= 0.5), average_precision(score, there)])
        print(f"{name:18s}" + "".join(f"{figure:10.3f}" for figure in rows[-1]))
    print(f"{'macro':18s}" + "".join(f"{figure:10.3f}" for figure in np.mean(rows, axis=0)))
    silent = (targets == 0).all(axis=1)
    print(f"silent tags where anything reaches 0.5: {(scores[silent].max(axis=1) >= 0.5).mean():.4f}")


def average_precision(scores: np.ndarray, there: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = there[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / max(1, hits.sum()))


def speed(tagger: Tagger) -> float:
    samples = np.random.default_rng(0).standard_normal(16_000 * 600).astype(np.float32) * np.float32(0.1)
    tagger.scores(samples[: 16_000 * 70])
    began = time.perf_counter()
    tagger.scores(samples)
    return 600 / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
