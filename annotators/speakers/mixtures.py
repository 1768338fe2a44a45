"""Conversations made for training: few recorded voices, each heard as many, alone, in turn and at once.

A voice becomes another by its speed, which moves pitch and formants, and by its formants alone; it stands in a room,
at a level and behind a microphone of its own. Whether it sounds is known from the dry recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from scipy.ndimage import binary_closing
from scipy.signal import fftconvolve

from annotators.speakers.overlap import FRAMES_PER_STEP, HOP_SAMPLES, RATE_HZ, features

SCENE_STEPS = 150  # 6 s
STEP_SAMPLES = HOP_SAMPLES * FRAMES_PER_STEP
SCENE_SAMPLES = SCENE_STEPS * STEP_SAMPLES
UNKNOWN = -1.0  # a target that is neither rewarded nor punished
SPEED, FORMANTS = (0.66, 1.32), (0.86, 1.2)
ACTIVE_DB = -30.0  # against the loudest of a voice: it sounds
CLOSED_STEPS = 6  # shorter gaps of a voice count as sounding
COVERED_DB = -13.0  # against the other voice: whether it can be heard is anyone's guess
SIZE = 512  # samples of a frame in which formants are moved
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Take:
    """A recording as another voice might have spoken it: loud frames at 1, and where it sounds."""

    samples: np.ndarray  # float32 at 16 kHz
    sounds: np.ndarray  # bool, shape (steps,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Speaker:
    name: str
    recordings: tuple[np.ndarray, ...]  # float32 at 16 kHz


def takes_of(speaker: Speaker, count: int, seed: int) -> list[list[Take]]:
    """As many voices, each with a take of every recording."""
    rng = np.random.default_rng(seed)
    return [_voice(rng, speaker, plain=number % 6 == 0) for number in range(count)]


def _voice(rng: Rng, speaker: Speaker, plain: bool) -> list[Take]:
    speed = 1.0 if plain else float(np.exp(rng.uniform(*np.log(SPEED))))
    formants = 1.0 if plain else float(np.clip(np.exp(rng.normal(-0.4 * np.log(speed), 0.08)), *FORMANTS))
    room = _room(rng) if rng.random() < 0.75 else None
    takes = []
    for recording in speaker.recordings:
        samples = recording if speed == 1.0 else soxr.resample(recording, RATE_HZ * speed, RATE_HZ, quality="MQ")
        samples = samples if abs(formants - 1) < 0.02 else with_formants(samples, formants)
        samples, sounds = _levelled(samples)
        if room is not None:
            samples = fftconvolve(samples, room)[: len(samples)]
        takes.append(Take(samples=samples.astype(np.float32), sounds=sounds))
    return takes


def with_formants(samples: np.ndarray, factor: float) -> np.ndarray:
    """The same pitch with all formants moved by this factor."""
    window = np.sqrt(np.hanning(SIZE + 1)[:-1])
    padded = np.pad(samples, (SIZE, SIZE))
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, SIZE)[:: SIZE // 2] * window, axis=1)
    logs = np.log(np.abs(spectra) + 1e-5)
    cepstra = np.fft.irfft(logs, axis=1)
    cepstra[:, 30 : SIZE - 29] = 0
    envelopes = np.fft.rfft(cepstra, axis=1).real
    bins = np.arange(envelopes.shape[1])
    source = np.minimum(bins / factor, len(bins) - 1)
    below = np.minimum(source.astype(int), len(bins) - 2)
    moved = envelopes[:, below] + (envelopes[:, below + 1] - envelopes[:, below]) * (source - below)
    frames = np.fft.irfft(spectra * np.exp(np.clip(moved - envelopes, -4, 4)), axis=1) * window
    out = np.zeros(len(padded) + SIZE)
    for half in (0, 1):
        rows = frames[half::2].reshape(-1)
        out[half * SIZE // 2 : half * SIZE // 2 + len(rows)] += rows
    return out[SIZE : SIZE + len(samples)].astype(np.float32)


def _room(rng: Rng) -> np.ndarray:
    """What a room does to a click at some distance."""
    seconds = rng.uniform(0.12, 0.9)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tail = (
        rng.standard_normal(len(t)) * np.exp(-6.9 * t / seconds) * (rng.random(len(t)) < np.minimum(1, 0.05 + t * 20))
    )
    tail[0] = 0
    response = tail / np.sqrt(np.sum(tail**2)) * 10 ** (rng.uniform(-14, 4) / 20)
    response[0] = 1
    return np.asarray(response / np.sqrt(np.sum(response**2)))


def _levelled(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps = len(samples) // STEP_SAMPLES
    samples = samples[: steps * STEP_SAMPLES]
    power = np.square(samples, dtype=np.float64).reshape(steps, STEP_SAMPLES).mean(axis=1)
    loud = float(np.quantile(power, 0.9))
    sounds = np.pad(power > loud * 10 ** (ACTIVE_DB / 10), CLOSED_STEPS)
    closed = binary_closing(sounds, np.ones(CLOSED_STEPS))[CLOSED_STEPS:-CLOSED_STEPS]
    return samples / np.sqrt(max(loud, 1e-12)), closed


class Composer:
    """Makes one scene after another; the same seed makes the same scenes."""

    def __init__(self, voices: Sequence[Sequence[Sequence[Take]]], noises: Sequence[np.ndarray], seed: int) -> None:
        """`voices`: by recorded speaker, by the voice that was made of them, by recording."""
        self._rng = np.random.default_rng(seed)
        self._voices, self._noises = voices, noises

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (B, T, F) and targets (B, N)."""
        pictures, targets = zip(*(self.scene() for _ in range(size)), strict=True)
        return np.stack(pictures), np.stack(targets)

    def scene(self) -> tuple[np.ndarray, np.ndarray]:
        samples, target = self.sound()
        return features(samples), target

    def sound(self) -> tuple[np.ndarray, np.ndarray]:
        rng = self._rng
        number = int(rng.choice((1, 2, 3), p=(0.35, 0.5, 0.15)))
        voices = [self._drawn() for _ in range(number)]
        lines = [_spoken(rng, voice, when) for voice, when in zip(voices, _turns(rng, number), strict=True)]
        gains = [10 ** (gain_db / 20) for gain_db in rng.uniform(-4.5, 4.5, number)]
        tracks = [line * gain for (line, _), gain in zip(lines, gains, strict=True)]
        target = _target([sounds for _, sounds in lines], tracks)
        mixed = np.sum(tracks, axis=0)
        if rng.random() < 0.2:
            mixed = fftconvolve(mixed, _room(rng))[:SCENE_SAMPLES]
        if rng.random() < 0.5 and self._noises:
            mixed = mixed + self._noise() * 10 ** (rng.uniform(-30, -4) / 20)
        if rng.random() < 0.7:
            hiss = _coloured(rng, rng.standard_normal(SCENE_SAMPLES), 10.0)
            mixed = mixed + hiss / hiss.std() * 10 ** (rng.uniform(-50, -12) / 20)
        mixed = _coloured(rng, mixed, 5.0)
        loudest = max(1e-6, float(np.abs(mixed).max()))
        mixed = mixed / loudest * 10 ** (rng.uniform(-30, 0) / 20)
        if rng.random() < 0.3:
            mixed = np.clip(mixed, -0.5, 0.5) + rng.standard_normal(SCENE_SAMPLES) * 1e-5
        return mixed.astype(np.float32), target

    def _drawn(self) -> Sequence[Take]:
        speaker = self._voices[int(self._rng.integers(len(self._voices)))]
        return speaker[int(self._rng.integers(len(speaker)))]

    def _noise(self) -> np.ndarray:
        noise = self._noises[int(self._rng.integers(len(self._noises)))]
        start = self._rng.integers(0, max(1, len(noise) - SCENE_SAMPLES))
        stretch = np.resize(noise[start : start + SCENE_SAMPLES], SCENE_SAMPLES)
        return np.asarray(stretch / max(1e-6, float(stretch.std())))


def _turns(rng: Rng, number: int) -> list[list[tuple[int, int]]]:
    """For each voice the steps from and to which it speaks: turns with gaps and overlaps, and words thrown in."""
    turns: list[list[tuple[int, int]]] = [[] for _ in range(number)]
    manner = rng.random()  # how often they speak at once
    now, voice = int(rng.integers(-40, 20)), 0
    while now < SCENE_STEPS:
        size = int(np.exp(rng.normal(np.log(40), 0.6)))
        turns[voice].append((now, now + size))
        if number > 1 and rng.random() < 0.35 * manner + 0.1:
            at = now + int(rng.integers(0, max(1, size)))
            other = (voice + int(rng.integers(1, number))) % number
            turns[other].append((at, at + int(rng.integers(6, 30))))
        at_once = number > 1 and rng.random() < 0.2 + 0.6 * manner
        gap = -int(rng.integers(4, 50)) if at_once else int(rng.choice((0, 1, int(rng.integers(0, 25)))))
        now = max(now + 3, now + size + gap)
        voice = (voice + int(rng.integers(1, number))) % number if number > 1 else 0
    return turns


def _spoken(rng: Rng, voice: Sequence[Take], turns: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """One voice through the scene, and where it sounds: shapes (samples,), (steps,)."""
    line, sounds = np.zeros(SCENE_SAMPLES), np.zeros(SCENE_STEPS, bool)
    for begin, end in turns:
        begin, end = max(0, begin), min(SCENE_STEPS, end)
        take = voice[int(rng.integers(len(voice)))]
        size = min(end - begin, len(take.sounds))
        if size < 2:
            continue
        start = int(rng.integers(0, len(take.sounds) - size + 1))
        piece = take.samples[start * STEP_SAMPLES : (start + size) * STEP_SAMPLES].astype(np.float64)
        ramp = np.minimum(1, np.arange(len(piece)) / 240)
        here = slice(begin * STEP_SAMPLES, (begin + size) * STEP_SAMPLES)
        line[here] = piece * ramp * ramp[::-1]
        sounds[begin : begin + size] = take.sounds[start : start + size]
    return _coloured(rng, line, 4.0), sounds


def _target(sounds: Sequence[np.ndarray], tracks: Sequence[np.ndarray]) -> np.ndarray:
    level_db = [
        10 * np.log10(1e-9 + np.square(track).reshape(SCENE_STEPS, STEP_SAMPLES).mean(axis=1)) for track in tracks
    ]
    target = np.zeros(SCENE_STEPS, np.float32)
    for one in range(len(tracks)):
        for other in range(one):
            both = sounds[one] & sounds[other]
            smooth = [np.convolve(10 ** (level_db[k] / 10), np.ones(5) / 5, "same") for k in (one, other)]
            apart_db = np.abs(10 * np.log10(smooth[0] + 1e-9) - 10 * np.log10(smooth[1] + 1e-9))
            target[both & (apart_db > -COVERED_DB) & (target == 0)] = UNKNOWN
            target[both & (apart_db <= -COVERED_DB)] = 1
    return target


def _coloured(rng: Rng, samples: np.ndarray, depth_db: float) -> np.ndarray:
    """Behind some microphone: a smooth change of colour, and sometimes of bandwidth."""
    if rng.random() < 0.25:
        return samples
    hz = np.fft.rfftfreq(255, 1 / RATE_HZ)
    gain_db = np.interp(np.log(hz + 60), np.linspace(np.log(60), np.log(8_000), 6), rng.normal(0, depth_db, 6))
    if rng.random() < 0.3:
        gain_db = gain_db - np.clip((hz / rng.uniform(2_800, 7_000) - 1) * 300, 0, 60)
    if rng.random() < 0.25:
        gain_db = gain_db - np.clip((rng.uniform(80, 350) / (hz + 1) - 1) * 30, 0, 40)
    response = np.roll(np.fft.irfft(10 ** (gain_db / 20), 255), 127) * np.hanning(255)
    return np.asarray(fftconvolve(samples, response, mode="same"))
