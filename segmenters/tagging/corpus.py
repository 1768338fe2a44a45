"""The recordings the tagger learns from and is judged on: labelled clips, speech, digits, music, and music made here.

What may not be used in a product is never trained on: clips under CC-BY-NC, and music whose licence is CC-BY-NC or
could not be found out. It is still there to judge by.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from schemas.errors import InputError
from segmenters.bands import RATE_HZ
from segmenters.tagging.labels import COARSE, MUSIC, SPEECH, Coarse
from segmenters.tagging.synthesis import piece

FREE = ("CC0", "CC-BY")  # of the clips: what may be trained on
FREE_MUSIC = ("hungarian.ogg",)  # in the public domain; the other tracks are CC-BY-NC, or of unknown licence
EXCERPT_S = 5.0  # long recordings are judged in pieces of this length
DIGIT_STRINGS = 40  # of each speaker
MADE_PIECES = 150


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One labelled sound. Recordings of one group are never on both sides of a fold."""

    name: str
    group: str
    samples: np.ndarray  # float32 at 16 kHz, shape (time,)
    coarse: Coarse
    label: str | None = None  # of ESC-50, where it has one
    trainable: bool = True  # its licence allows it
    judged: bool = True  # real sound; what was made here is only trained on


def recordings_in(shared: Path) -> list[Recording]:
    """All there is in `clips`, `speech`, `digits` and `music` of this folder, and the music made here."""
    found = [*clips_in(shared / "clips"), *_speech(shared / "speech"), *_digits(shared / "digits")]
    return [*found, *_music(shared / "music"), *_made_music()]


def folds_of(recordings: Sequence[Recording], num_folds: int) -> dict[str, int]:
    """The fold of each group. The groups of a label are dealt out in turn, each label beginning at another fold."""
    folds: dict[str, int] = {}
    by_label: dict[str, list[str]] = {}
    for recording in recordings:
        if recording.judged:
            by_label.setdefault(recording.label or recording.coarse.name, []).append(recording.group)
    for index, groups in enumerate(by_label.values()):
        for place, group in enumerate(dict.fromkeys(groups)):
            folds.setdefault(group, (place + index) % num_folds)
    return folds


def clip_list(folder: Path) -> list[dict[str, str]]:
    """What `clips.json` says of each clip: file, label, licence, author, title."""
    index = folder / "clips.json"
    if not index.is_file():
        raise InputError(f"{index} is not there; it must list the clips with file, label, licence, author and title")
    clips: list[dict[str, str]] = json.loads(index.read_text())
    return clips


def excerpts(recording: Recording) -> Iterator[np.ndarray]:
    """Pieces to judge, each of some seconds; a short recording is one piece."""
    size = int(EXCERPT_S * RATE_HZ)
    for start in range(0, max(1, len(recording.samples) - size // 2), size):
        yield recording.samples[start : start + size]


def clips_in(folder: Path) -> Iterator[Recording]:
    for clip in clip_list(folder):
        group = clip["file"].split("-")[1]  # label__4-<freesound id>-<take>.ogg: takes are cut from one recording
        yield Recording(
            name=clip["file"],
            group=f"freesound {group}",
            samples=_read(folder / clip["file"]),
            coarse=COARSE[clip["label"]],
            label=clip["label"],
            trainable=clip["licence"] in FREE,
        )


def _speech(folder: Path) -> Iterator[Recording]:
    for path in _sounds(folder):
        stem = path.stem
        reader = "lj" if stem.startswith("lj") else "-".join(stem.replace("_", "-").split("-")[:2])
        yield Recording(name=path.name, group=f"speech {reader}", samples=_read(path), coarse=SPEECH)


def _digits(folder: Path) -> Iterator[Recording]:
    """Spoken digits strung together with pauses: {digit}_{speaker}_{take}.wav."""
    by_speaker: dict[str, list[Path]] = {}
    for path in _sounds(folder):
        by_speaker.setdefault(path.stem.split("_")[1], []).append(path)
    for speaker, paths in by_speaker.items():
        rng = np.random.default_rng(zlib.crc32(speaker.encode()))
        for number in range(DIGIT_STRINGS):
            said: list[np.ndarray] = []
            for path in rng.choice(np.array(paths), size=9):
                said += [_read(path), np.zeros(int(rng.uniform(0.02, 0.3) * RATE_HZ), np.float32)]
            samples = np.concatenate(said)[: int(EXCERPT_S * RATE_HZ)]
            judged = number < 8
            yield Recording(
                name=f"digits {speaker} {number}",
                group=f"digits {speaker}",
                samples=samples,
                coarse=SPEECH,
                judged=judged,
            )


def _music(folder: Path) -> Iterator[Recording]:
    for path in _sounds(folder):
        free = path.name in FREE_MUSIC
        yield Recording(name=path.name, group=path.name, samples=_read(path), coarse=MUSIC, trainable=free)


def _made_music() -> Iterator[Recording]:
    for seed in range(MADE_PIECES):
        samples = piece(np.random.default_rng(seed))
        yield Recording(name=f"made {seed}", group=f"made {seed}", samples=samples, coarse=MUSIC, judged=False)


def _sounds(folder: Path) -> Iterable[Path]:
    paths = sorted(path for path in folder.glob("*") if path.suffix in (".wav", ".ogg", ".flac"))
    if not paths:
        raise InputError(f"{folder} holds no wav, ogg or flac")
    return paths


def _read(path: Path) -> np.ndarray:
    """float32 at 16 kHz, mono."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono: np.ndarray = samples.mean(axis=1)
    return mono if rate_hz == RATE_HZ else np.asarray(soxr.resample(mono, rate_hz, RATE_HZ), np.float32)
