"""Scenes composed for training: sounds of several classes over each other and over noise, with a target for each tag.

They are composed of band powers, where sounds add and filters multiply, which costs a hundredth of doing it in samples.
What only samples can do, speed, pitch and rooms, is done beforehand to a few variants of each recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from scipy.ndimage import maximum_filter1d

from segmenters.bands import RATE_HZ
from segmenters.base import CLASSES
from segmenters.tagging.corpus import Recording
from segmenters.tagging.features import FRAMES_PER_TAG, NUM_BANDS, band_powers, edges_hz, level_free
from segmenters.tagging.labels import FINE
from segmenters.tagging.synthesis import in_a_room

SCENE_TAGS = 40  # 6.4 s
SCENE_FRAMES = SCENE_TAGS * FRAMES_PER_TAG
UNKNOWN = -1.0  # a target that is neither rewarded nor punished
CHANCES = {
    "speech": 0.14,
    "human_voice": 0.18,
    "music": 0.15,
    "natural_sounds": 0.09,
    "sounds_of_things": 0.24,
    "animal": 0.20,
}
ACTIVE_DB, INACTIVE_DB = -24.0, -40.0  # against the loudest of a recording: it sounds, and it does not
MASKED_DB = -12.0  # against everything else at that time: whether it can be heard is anyone's guess
ROOM_S, WET = (0.15, 1.0), (0.1, 0.8)  # how long a room sounds on, and how strongly
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A recording as it might have sounded elsewhere: band powers, mean level of its loud frames 1."""

    powers: np.ndarray  # float32, shape (frames, bands)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    recording: Recording
    variants: tuple[Variant, ...]


def source_of(recording: Recording, num_variants: int) -> Source:
    rng = np.random.default_rng(len(recording.samples) + sum(recording.name.encode()))
    speeds = [1.0, *rng.uniform(0.82, 1.22, num_variants - 1)]
    return Source(recording=recording, variants=tuple(_variant(rng, recording.samples, speed) for speed in speeds))


def _variant(rng: Rng, samples: np.ndarray, speed: float) -> Variant:
    if speed != 1.0:
        samples = soxr.resample(samples, RATE_HZ * speed, RATE_HZ, quality="MQ")
        if rng.random() < 0.5:
            samples = in_a_room(rng, samples, ROOM_S, WET)
    powers = band_powers(samples)
    loud = np.quantile(powers.sum(axis=1), 0.97)
    return Variant(powers=(powers / max(float(loud), 1e-9)).astype(np.float32))


class Composer:
    """Makes one scene after another; the same seed makes the same scenes."""

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._by_class: dict[str, list[list[Source]]] = {}
        labels: dict[str, list[Source]] = {}
        for source in sources:
            recording = source.recording
            kind = recording.label or (
                "made music" if not recording.judged and recording.coarse.name == "music" else ""
            )
            if not kind:
                kind = (
                    "digits" if recording.name.startswith("digits") else f"{recording.coarse.name} of {recording.group}"
                )
            labels.setdefault(kind, []).append(source)
        for group in labels.values():
            self._by_class.setdefault(group[0].recording.coarse.name, []).append(group)
        self._classes = [name for name in CHANCES if name in self._by_class]
        chances = np.array([CHANCES[name] for name in self._classes])
        self._chances = chances / chances.sum()

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (B, T, F), coarse targets (B, N, classes) and fine targets (B, N, labels)."""
        scenes = [self.scene() for _ in range(size)]
        features, coarse, fine = (np.stack(part) for part in zip(*scenes, strict=True))
        return features, coarse, fine

    def scene(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = self._rng
        noise = _noise(rng) * 10 ** (rng.uniform(-9.0, -5.0))
        base_db = rng.uniform(-40, -12)
        placed = [
            (source, _placed(rng, source) * 10 ** ((base_db + rng.uniform(-7, 7)) / 10)) for source in self._chosen()
        ]
        total = noise + sum((powers for _, powers in placed), np.zeros_like(noise))
        coarse = np.zeros((SCENE_TAGS, len(CLASSES)), np.float32)
        fine = np.zeros((SCENE_TAGS, len(FINE)), np.float32)
        for source, powers in placed:
            _mark(coarse, fine, source.recording, powers, total)
        _forgive_noise(coarse, noise)
        return _pictured(rng, total), coarse, fine

    def _chosen(self) -> list[Source]:
        rng = self._rng
        chosen: list[Source] = []
        for name in rng.choice(
            np.array(self._classes), size=rng.choice((0, 1, 2, 3), p=(0.05, 0.45, 0.35, 0.15)), p=self._chances
        ):
            groups = self._by_class[str(name)]
            group = groups[rng.integers(len(groups))]
            chosen.append(group[rng.integers(len(group))])
        return chosen


def _placed(rng: Rng, source: Source) -> np.ndarray:
    """A stretch of one variant somewhere in a scene, filtered at random: shape (frames, bands)."""
    powers = source.variants[rng.integers(len(source.variants))].powers
    pace = rng.uniform(0.85, 1.18)
    size = int(min(len(powers) / pace, rng.uniform(1.0, 8.0) * 50, SCENE_FRAMES))
    start = rng.integers(0, max(1, int(len(powers) - size * pace) + 1))
    stretch = powers[np.minimum(start + (np.arange(size) * pace).astype(int), len(powers) - 1)]
    out = np.zeros((SCENE_FRAMES, NUM_BANDS), np.float32)
    at = rng.integers(0, SCENE_FRAMES - size + 1)
    out[at : at + size] = stretch * _filter(rng, 5.0)
    return out


def _filter(rng: Rng, depth_db: float) -> np.ndarray:
    """A smooth change of colour, and sometimes of bandwidth: factors of shape (bands,)."""
    knots = rng.normal(0, depth_db, 6)
    gain_db = np.interp(np.arange(NUM_BANDS), np.linspace(0, NUM_BANDS - 1, 6), knots)
    centres = edges_hz()[1:-1]
    if rng.random() < 0.2:
        gain_db = gain_db - np.clip((centres / rng.uniform(3_200, 7_000) - 1) * 400, 0, rng.uniform(25, 70))
    if rng.random() < 0.15:
        gain_db = gain_db - np.clip((rng.uniform(80, 300) / centres - 1) * 30, 0, 40)
    factors: np.ndarray = 10 ** (gain_db / 10)
    return factors.astype(np.float32)


def _noise(rng: Rng) -> np.ndarray:
    """Steady noise of some colour, total power about 1, with the flutter of its spectra."""
    colour = _filter(rng, 8.0) * 10 ** (-rng.uniform(0, 2.5) * np.linspace(0, 1, NUM_BANDS))
    flutter = rng.gamma(2.0, 0.5, (SCENE_FRAMES, NUM_BANDS))
    noise: np.ndarray = flutter * colour / colour.sum()
    return noise.astype(np.float32)


def _mark(coarse: np.ndarray, fine: np.ndarray, recording: Recording, powers: np.ndarray, total: np.ndarray) -> None:
    """Writes into the targets where this recording sounds, and where nobody can tell."""
    level_db = _tag_db(powers)
    loudest_db = float(np.quantile(level_db, 0.98))
    active = level_db > max(loudest_db + ACTIVE_DB, -75.0)
    near = maximum_filter1d(active, 3)
    unsure = ~active & (near | (level_db > max(loudest_db + INACTIVE_DB, -80.0)))
    covered = level_db < _tag_db(total - powers) + MASKED_DB
    names = [recording.coarse.name, *recording.coarse.also]
    for index, name in enumerate(names):
        column = coarse[:, CLASSES.index(name)]
        sure = active & ~covered if index == 0 else np.zeros_like(active)
        column[(active | unsure) & ~sure & (column != 1)] = UNKNOWN
        column[sure] = 1
    if recording.label is not None:
        column = fine[:, FINE.index(recording.label)]
        column[(unsure | covered) & (column != 1)] = UNKNOWN
        column[active & ~covered] = 1


def _forgive_noise(coarse: np.ndarray, noise: np.ndarray) -> None:
    """Loud noise alone could be rain, wind or a fan: such tags teach these classes nothing."""
    alone = (coarse <= 0).all(axis=1) & (_tag_db(noise) > -62)
    for name in ("natural_sounds", "sounds_of_things"):
        coarse[alone, CLASSES.index(name)] = UNKNOWN


def _tag_db(powers: np.ndarray) -> np.ndarray:
    """Loudest frame of each tag, dB: shape (tags,)."""
    per_tag = np.maximum(powers.sum(axis=1), 1e-12).reshape(SCENE_TAGS, FRAMES_PER_TAG).max(axis=1)
    level_db: np.ndarray = 10 * np.log10(per_tag)
    return level_db


def _pictured(rng: Rng, total: np.ndarray) -> np.ndarray:
    """The scene as the network sees it, with one microphone's colour and a few bands and moments blotted out."""
    picture = level_free(total * _filter(rng, 3.0))
    for _ in range(rng.integers(0, 3)):
        width = rng.integers(1, 9)
        low = rng.integers(0, NUM_BANDS - width)
        picture[:, low : low + width] = picture.min()
    for _ in range(rng.integers(0, 3)):
        width = rng.integers(2, 16)
        start = rng.integers(0, SCENE_FRAMES - width)
        picture[start : start + width] = picture.min()
    return picture
