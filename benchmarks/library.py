"""Where the sounds of a scene come from: made by arithmetic, or a folder of real ones."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from benchmarks import noises, tunes
from jobs.demo import RATE_HZ, silence, voice
from schemas.errors import InputError

# What goes on and on: beneath a scene it is a background, and among its events it would have no end.
BEDS = {
    "airplane",
    "crackling_fire",
    "crickets",
    "engine",
    "helicopter",
    "rain",
    "sea_waves",
    "train",
    "vacuum_cleaner",
    "washing_machine",
    "wind",
}
LONGEST_SPEECH_S = 18.0
JOIN_S = 0.25  # how long the ends of a repeated bed overlap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sound:
    """A sound by itself, as it was recorded or made."""

    samples: np.ndarray  # float64, shape (time,)
    rate_hz: int
    label: str
    source: str


class Library(Protocol):
    """Each answer is drawn with `rng` and nothing else: the same generator gives the same sound."""

    def speech(self, rng: np.random.Generator) -> Sound: ...

    def music(self, rng: np.random.Generator, seconds: float) -> Sound:
        """A stretch of that length, or a whole piece that is shorter."""

    def sound(self, rng: np.random.Generator) -> Sound: ...

    def bed(self, rng: np.random.Generator, seconds: float, label: str | None = None) -> Sound:
        """A steady sound of that length, of any label or of this."""


class MadeSounds:
    """Sounds made by arithmetic: nothing is read, nothing is anybody's."""

    def speech(self, rng: np.random.Generator) -> Sound:
        """A speaker says a few phrases of a few words."""
        pitch_hz, wanted_s = rng.uniform(95, 230), rng.choice([rng.uniform(1.4, 5), rng.uniform(9, 17)])
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < wanted_s * RATE_HZ:
            for _ in range(rng.integers(2, 7)):
                parts.append(voice(rng, int(rng.integers(1, 5)), pitch_hz * rng.uniform(0.9, 1.1)))
                parts.append(silence(rng.choice([0.0, 0.0, rng.uniform(0.03, 0.2)])))
            parts.append(silence(rng.uniform(0.15, 0.55)))
        return _made(np.concatenate(parts), "speech", f"voice of {pitch_hz:.0f} Hz")

    def music(self, rng: np.random.Generator, seconds: float) -> Sound:
        style = str(rng.choice(list(tunes.STYLES)))
        return _made(tunes.music(rng, style, seconds), "music", style)

    def sound(self, rng: np.random.Generator) -> Sound:
        label = str(rng.choice(list(noises.SOUNDS)))
        return _made(noises.SOUNDS[label](rng), label, f"made {label}")

    def bed(self, rng: np.random.Generator, seconds: float, label: str | None = None) -> Sound:
        label = label or str(rng.choice(list(noises.BEDS)))
        return _made(noises.BEDS[label](rng, seconds), label, f"made {label}")


class FolderOfSounds:
    """Real: `clips/<label>__<id>.ogg`, `music/`, `speech/`, and if there are any, `digits/<digit>_<who>_<n>.wav`."""

    def __init__(self, folder: Path) -> None:
        clips = sorted((folder / "clips").glob("*__*.*"))
        self._clips = [path for path in clips if _label(path) not in BEDS]
        self._beds = [path for path in clips if _label(path) in BEDS]
        self._music = _audio_in(folder / "music")
        self._speech = _audio_in(folder / "speech")
        self._digits = sorted((folder / "digits").glob("*_*_*.wav"))
        if not (self._clips and self._beds and self._music and self._speech):
            raise InputError(
                f"{folder} does not hold sounds as they are looked for: clips/<label>__<id>.ogg, some of them of "
                f"{', '.join(sorted(BEDS))}, and audio files in music/ and speech/"
            )

    def speech(self, rng: np.random.Generator) -> Sound:
        """Digits of one speaker strung together, or a reading or conversation."""
        if self._digits and rng.random() < 0.4:
            return self._string_of_digits(rng)
        path = _any(rng, self._speech)
        samples, rate_hz = _read(path)
        return Sound(
            samples=_stretch(rng, samples, rate_hz, LONGEST_SPEECH_S), rate_hz=rate_hz, label="speech", source=path.name
        )

    def music(self, rng: np.random.Generator, seconds: float) -> Sound:
        longest = max(self._music, key=lambda path: soundfile.info(path).duration)
        there = [path for path in self._music if soundfile.info(path).duration >= seconds] or [longest]
        path = _any(rng, self._music if seconds < 26 else there)
        samples, rate_hz = _read(path)
        return Sound(samples=_stretch(rng, samples, rate_hz, seconds), rate_hz=rate_hz, label="music", source=path.name)

    def sound(self, rng: np.random.Generator) -> Sound:
        path = _any(rng, self._clips)
        samples, rate_hz = _read(path)
        return Sound(samples=samples, rate_hz=rate_hz, label=_label(path), source=path.name)

    def bed(self, rng: np.random.Generator, seconds: float, label: str | None = None) -> Sound:
        path = _any(rng, [path for path in self._beds if label in (None, _label(path))])
        samples, rate_hz = _read(path)
        return Sound(
            samples=_repeated(samples, rate_hz, seconds), rate_hz=rate_hz, label=_label(path), source=path.name
        )

    def _string_of_digits(self, rng: np.random.Generator) -> Sound:
        who = _any(rng, self._digits).stem.split("_")[1]
        said = [path for path in self._digits if path.stem.split("_")[1] == who]
        parts: list[np.ndarray] = []
        for _ in range(rng.integers(3, 9)):
            samples, rate_hz = _read(_any(rng, said))
            parts += [samples, np.zeros(round(rng.uniform(0.08, 0.35) * rate_hz))]
        return Sound(samples=np.concatenate(parts[:-1]), rate_hz=rate_hz, label="speech", source=f"digits of {who}")


def _made(samples: np.ndarray, label: str, source: str) -> Sound:
    return Sound(samples=samples, rate_hz=RATE_HZ, label=label, source=source)


def _label(path: Path) -> str:
    return path.stem.partition("__")[0]


def _audio_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in {".wav", ".flac", ".ogg"})


def _any(rng: np.random.Generator, paths: list[Path]) -> Path:
    return paths[rng.integers(len(paths))]


@lru_cache(maxsize=256)
def _read(path: Path) -> tuple[np.ndarray, int]:
    samples, rate_hz = soundfile.read(path, always_2d=True)
    return samples.mean(axis=1), rate_hz


def _stretch(rng: np.random.Generator, samples: np.ndarray, rate_hz: int, seconds: float) -> np.ndarray:
    """Any stretch of that length, or all there is."""
    length = round(seconds * rate_hz)
    first = int(rng.integers(max(0, len(samples) - length) + 1))
    return samples[first : first + length]


def _repeated(samples: np.ndarray, rate_hz: int, seconds: float) -> np.ndarray:
    """Laid end to end until it is long enough, each end faded into the next beginning at equal power."""
    length, join = round(seconds * rate_hz), round(JOIN_S * rate_hz)
    turn = np.linspace(0, np.pi / 2, join)
    piece = samples.copy()
    piece[:join] *= np.sin(turn)
    piece[-join:] *= np.cos(turn)
    step = len(piece) - join
    whole = np.zeros((length // step + 2) * step + join)
    for first in range(0, len(whole) - len(piece) + 1, step):
        whole[first : first + len(piece)] += piece
    return whole[join : join + length]
