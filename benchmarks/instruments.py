"""Two bands of instruments, each a function of a pitch, a length and a chance: all float64 of shape (time,).

What is tuned is tuned on the "workshop" band; the "stage" band shares no instrument with it and is for checking.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter

RATE_HZ = 16_000
RELEASE_S = 0.08

Player = Callable[[float, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    players: Mapping[str, Mapping[str, Player]]  # by part, by name
    drums: Mapping[str, Callable[[np.random.Generator], np.ndarray]]
    levels: Mapping[str, float]


def room(dry: np.ndarray, rng: np.random.Generator, decay_s: float, share: float) -> np.ndarray:
    """With reverberation: noise that dies away by 60 dB in `decay_s`."""
    time_s = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / decay_s)
    tail /= np.sqrt(np.sum(tail**2))
    return (1 - share) * dry + share * fftconvolve(dry, tail)[: len(dry)]


def _time(length_s: float) -> np.ndarray:
    return np.arange(int((length_s + RELEASE_S) * RATE_HZ)) / RATE_HZ


def _shaped(sound: np.ndarray, length_s: float, attack_s: float, decay_s: float = np.inf) -> np.ndarray:
    time_s = np.arange(len(sound)) / RATE_HZ
    shape = np.minimum(1, time_s / attack_s) * np.exp(-time_s / decay_s)
    return sound * shape * np.clip((length_s + RELEASE_S - time_s) / RELEASE_S, 0, 1)


def _partials(hz: float, length_s: float, strengths: np.ndarray, stretch: float = 0.0) -> np.ndarray:
    """Sines at multiples of `hz`, a little sharp by `stretch` as stiff strings are; none above the band."""
    time_s, number = _time(length_s), np.arange(1, len(strengths) + 1)
    each_hz = hz * number * np.sqrt(1 + stretch * number**2)
    kept = each_hz < 0.47 * RATE_HZ
    return np.sum(strengths[kept, None] * np.sin(2 * np.pi * each_hz[kept, None] * time_s), axis=0)


# ---------------------------------------------------------------------------------------- workshop


def piano(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    sound = _partials(hz, length_s, 1 / np.arange(1, 11) ** 1.3, stretch=3e-4)
    return 0.3 * _shaped(sound, length_s, 0.004, 0.9 * (261 / hz) ** 0.5)


def plucked(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    """Karplus and Strong: a burst of noise that goes round a short delay with a little loss."""
    delay = RATE_HZ / hz - 0.5
    whole, part = int(delay), delay - int(delay)
    burst = np.zeros(len(_time(length_s)))
    burst[: whole + 1] = rng.uniform(-1, 1, min(whole + 1, len(burst)))
    loop = np.zeros(whole + 3)
    loop[0], loop[whole : whole + 3] = 1, [-0.498 * (1 - part), -0.498, -0.498 * part]
    return 0.5 * _shaped(lfilter([1.0], loop, burst), length_s, 0.001)


def saw_pad(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    top = max(1, min(24, int(5_000 / hz)))
    voices = [_partials(hz * 2 ** (c / 1200), length_s, 1 / np.arange(1, top + 1)) for c in (-6, 5)]
    return 0.16 * _shaped(voices[0] + voices[1], length_s, 0.08)


def electric_piano(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    time_s = _time(length_s)
    index = 1.4 * np.exp(-time_s / 0.4)
    sound = np.sin(2 * np.pi * hz * time_s + index * np.sin(2 * np.pi * hz * time_s))
    return 0.4 * _shaped(sound, length_s, 0.005, 1.0)


def organ(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    strengths = np.zeros(8)
    strengths[[0, 1, 2, 3, 5, 7]] = [1, 0.8, 0.5, 0.4, 0.2, 0.2]
    return 0.2 * _shaped(_partials(hz, length_s, strengths), length_s, 0.015)


def _filtered_noise(rng: np.random.Generator, length_s: float, low_hz: float, high_hz: float) -> np.ndarray:
    b, a = butter(2, [low_hz, high_hz], "band", fs=RATE_HZ)
    return lfilter(b, a, rng.standard_normal(int(length_s * RATE_HZ)))


def kick(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.25 * RATE_HZ)) / RATE_HZ
    return 0.9 * np.sin(2 * np.pi * (50 * time_s - 4 * np.exp(-time_s / 0.03))) * np.exp(-time_s / 0.08)


def snare(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.2 * RATE_HZ)) / RATE_HZ
    body = 0.4 * np.sin(2 * np.pi * 190 * time_s) * np.exp(-time_s / 0.05)
    return body + 0.7 * _filtered_noise(rng, 0.2, 700, 7_000) * np.exp(-time_s / 0.06)


def hat(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.08 * RATE_HZ)) / RATE_HZ
    return 0.8 * _filtered_noise(rng, 0.08, 5_000, 7_800) * np.exp(-time_s / 0.02)


# ------------------------------------------------------------------------------------------- stage


def square(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    odd = np.arange(1, 30) % 2 / np.arange(1, 30)
    return 0.2 * _shaped(_partials(hz, length_s, odd), length_s, 0.002)


def sine(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    return 0.35 * _shaped(_partials(hz, length_s, np.ones(1)), length_s, 0.01)


def triangle(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    odd = np.arange(1, 12) % 2 / np.arange(1, 12) ** 2
    return 0.35 * _shaped(_partials(hz, length_s, odd), length_s, 0.005, 1.5)


def strings(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    """Bowed, with vibrato, through a fixed resonance."""
    time_s = _time(length_s)
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.005 * np.sin(2 * np.pi * 5.5 * time_s + rng.uniform(0, 6)))) / RATE_HZ
    number = np.arange(1, max(2, min(20, int(6_000 / hz))))
    body = 1 / number * (1 + 2 * np.exp(-(((number * hz - 1_000) / 500) ** 2)))
    return 0.15 * _shaped(np.sum(body[:, None] * np.sin(number[:, None] * phase), axis=0), length_s, 0.06)


def marimba(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    time_s = _time(length_s)
    high = 0.4 * np.sin(2 * np.pi * 3.93 * hz * time_s) * np.exp(-time_s / 0.06) * (3.93 * hz < 7_500)
    return 0.5 * _shaped(np.sin(2 * np.pi * hz * time_s) + high, length_s, 0.002, 0.35)


def brass(hz: float, length_s: float, rng: np.random.Generator) -> np.ndarray:
    time_s = _time(length_s)
    number = np.arange(1, max(2, min(16, int(7_000 / hz))))
    opening = np.exp(-number[:, None] * (0.15 + 0.6 * np.exp(-time_s / 0.06)))
    return 0.5 * _shaped(np.sum(opening * np.sin(2 * np.pi * hz * number[:, None] * time_s), axis=0), length_s, 0.03)


def thump(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.4 * RATE_HZ)) / RATE_HZ
    return 0.9 * np.sin(2 * np.pi * 62 * time_s) * np.exp(-time_s / 0.15)


def clap(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
    return 0.9 * _filtered_noise(rng, 0.15, 900, 2_800) * np.exp(-time_s / 0.05)


def click(rng: np.random.Generator) -> np.ndarray:
    time_s = np.arange(int(0.03 * RATE_HZ)) / RATE_HZ
    return 0.6 * np.sin(2 * np.pi * 2_000 * time_s) * np.exp(-time_s / 0.008)


BANDS = {
    "workshop": Band(
        players={
            "chords": {p.__name__: p for p in (piano, plucked, saw_pad, electric_piano, organ)},
            "bass": {p.__name__: p for p in (plucked, piano, saw_pad, organ)},
            "melody": {p.__name__: p for p in (piano, plucked, electric_piano, organ, saw_pad)},
        },
        drums={"kick": kick, "snare": snare, "hat": hat},
        levels={"chords": 0.7, "bass": 1.0, "melody": 0.9},
    ),
    "stage": Band(
        players={
            "chords": {p.__name__: p for p in (square, sine, triangle, strings, marimba, brass)},
            "bass": {p.__name__: p for p in (sine, triangle, square)},
            "melody": {p.__name__: p for p in (square, sine, strings, marimba, brass, triangle)},
        },
        drums={"kick": thump, "snare": clap, "hat": click},
        levels={"chords": 0.7, "bass": 1.0, "melody": 0.9},
    ),
}
