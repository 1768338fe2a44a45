"""Everyday sounds made by arithmetic: animals, things that ring, knock, run and break, rain and wind.

Each only has to behave as its name does: in how it begins and ends, repeats, and fills the spectrum. Everything is
float64 of shape (time,) at the rate of `jobs.demo`; levels are set where the sounds are put into a scene.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from jobs.demo import RATE_HZ, banded, noise, rain, silence, siren

Rng = np.random.Generator


def times_s(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def swept(pitch_hz: np.ndarray, harmonics: int = 1, fall: float = 1.0) -> np.ndarray:
    """A tone whose pitch follows the curve, its n-th harmonic weaker by n to the power of `fall`."""
    turn = np.exp(2j * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    sound, here = np.zeros(len(pitch_hz)), np.ones(len(pitch_hz), complex)
    for n in range(1, harmonics + 1):
        here *= turn
        sound += here.imag * (pitch_hz * n < 0.45 * RATE_HZ) / n**fall
    return sound


def hump(length: int, attack: float = 0.2) -> np.ndarray:
    """Rises over that share of its length, and falls over the rest, to nothing."""
    at = np.linspace(0, 1, length)
    return np.sin(0.5 * np.pi * np.minimum(at / attack, np.minimum(1, (1 - at) / (1 - attack)))) ** 2


def dying(seconds: float, half_s: float) -> np.ndarray:
    """Falls by half every `half_s`."""
    return 0.5 ** (times_s(seconds) / half_s)


def repeated(rng: Rng, count: int, gap_s: tuple[float, float], one: Callable[[], np.ndarray]) -> np.ndarray:
    parts: list[np.ndarray] = []
    for _ in range(count):
        parts += [one(), silence(rng.uniform(*gap_s))]
    return np.concatenate(parts[:-1])


def low(samples: np.ndarray, below_hz: float) -> np.ndarray:
    filtered: np.ndarray = sosfilt(butter(2, below_hz, "low", fs=RATE_HZ, output="sos"), samples)
    return filtered


def wandering(rng: Rng, length: int, slowness_s: float) -> np.ndarray:
    """A slow curve between 0 and 1."""
    knots = rng.uniform(0, 1, max(2, int(length / RATE_HZ / slowness_s) + 2))
    return np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots)


def bark(rng: Rng) -> np.ndarray:
    pitch_hz = rng.uniform(250, 700)

    def one() -> np.ndarray:
        seconds = rng.uniform(0.12, 0.3)
        at = np.linspace(0, 1, len(times_s(seconds)))
        call = swept(pitch_hz * (1 + 0.4 * np.sin(np.pi * at)), 10, 0.8)
        return (call + 0.8 * banded(noise(rng, seconds), 500, 4_000)) * hump(len(at), 0.15)

    return repeated(rng, int(rng.integers(1, 7)), (0.15, 0.9), one)


def meow(rng: Rng) -> np.ndarray:
    def one() -> np.ndarray:
        at = np.linspace(0, 1, len(times_s(rng.uniform(0.5, 1.2))))
        pitch_hz = rng.uniform(450, 750) * (0.8 + 0.5 * np.sin(np.pi * at**0.7))
        return swept(pitch_hz, 8, 0.7) * hump(len(at), 0.3)

    return repeated(rng, int(rng.integers(1, 4)), (0.3, 1.0), one)


def moo(rng: Rng) -> np.ndarray:
    seconds = rng.uniform(1.2, 3.0)
    at = np.linspace(0, 1, len(times_s(seconds)))
    pitch_hz = rng.uniform(100, 180) * (0.8 + 0.4 * np.minimum(1, 2 * at)) * (1 + 0.02 * wandering(rng, len(at), 0.05))
    return low(swept(pitch_hz, 20, 0.4), 1_200) * hump(len(at), 0.3)


def birds(rng: Rng) -> np.ndarray:
    centre_hz, wide, rate_hz = rng.uniform(2_200, 5_500), rng.uniform(0.05, 0.3), rng.uniform(5, 30)

    def one() -> np.ndarray:
        seconds = rng.uniform(0.08, 0.7)
        at = times_s(seconds)
        return swept(centre_hz * (1 + wide * np.sin(2 * np.pi * rate_hz * at + rng.uniform(0, 6)))) * hump(len(at))

    return repeated(rng, int(rng.integers(3, 12)), (0.05, 0.5), one)


def frog(rng: Rng) -> np.ndarray:
    pulse_hz, centre_hz = rng.uniform(25, 60), rng.uniform(500, 1_600)

    def one() -> np.ndarray:
        at = times_s(rng.uniform(0.2, 0.6))
        return (
            np.sin(2 * np.pi * centre_hz * at) * np.maximum(0, np.sin(2 * np.pi * pulse_hz * at)) ** 3 * hump(len(at))
        )

    return repeated(rng, int(rng.integers(3, 8)), (0.15, 0.6), one)


def crow(rng: Rng) -> np.ndarray:
    def one() -> np.ndarray:
        at = np.linspace(0, 1, len(times_s(rng.uniform(0.25, 0.5))))
        rough = 1 + 0.6 * rng.standard_normal(len(at))
        return banded(swept(rng.uniform(420, 560) * (1.1 - 0.3 * at), 12, 0.2) * rough, 900, 3_500) * hump(len(at), 0.1)

    return repeated(rng, int(rng.integers(2, 6)), (0.2, 0.6), one)


def alarm(rng: Rng) -> np.ndarray:
    hz, on_s, off_s = rng.uniform(800, 3_200), rng.uniform(0.08, 0.5), rng.uniform(0.08, 0.6)
    other_hz = hz * float(rng.choice([1.0, 1.0, 1.25, 0.75]))
    beeps = [np.sign(swept(np.full(round(on_s * RATE_HZ), h))) * 0.6 for h in (hz, other_hz)]
    count = max(2, round(rng.uniform(2.5, 5) / (on_s + off_s)))
    return np.concatenate([part for i in range(count) for part in (low(beeps[i % 2], 5_000), silence(off_s))])


def wail(rng: Rng) -> np.ndarray:
    return siren(float(rng.uniform(3, 5)))


def horn(rng: Rng) -> np.ndarray:
    pitches_hz = rng.uniform(300, 480) * np.array([1.0, float(rng.choice([1.19, 1.26]))])

    def one() -> np.ndarray:
        seconds = rng.uniform(0.2, 1.5)
        return sum(swept(np.full(len(times_s(seconds)), hz), 12, 0.6) for hz in pitches_hz) * _plateau(seconds)

    return repeated(rng, int(rng.integers(1, 4)), (0.1, 0.5), one)


def bell(rng: Rng) -> np.ndarray:
    hz, half_s = rng.uniform(250, 1_400), rng.uniform(0.2, 0.8)

    def one() -> np.ndarray:
        partials = zip((0.5, 1.0, 1.19, 1.5, 2.0, 2.67, 3.0, 4.1), (0.6, 1, 0.7, 0.4, 0.6, 0.3, 0.3, 0.2), strict=True)
        seconds = min(2.5, 5 * half_s)
        return sum(
            loud * swept(np.full(len(times_s(seconds)), hz * ratio)) * dying(seconds, half_s / ratio**0.5)
            for ratio, loud in partials
        )

    return repeated(rng, int(rng.integers(1, 4)), (0.0, 0.5), one)[: 5 * RATE_HZ]


def knocks(rng: Rng) -> np.ndarray:
    hz = rng.uniform(120, 500)

    def one() -> np.ndarray:
        body = swept(np.full(len(times_s(0.25)), hz * rng.uniform(0.9, 1.1))) * dying(0.25, 0.02)
        return body + 0.3 * noise(rng, 0.25) * dying(0.25, 0.004)

    return repeated(rng, int(rng.integers(2, 8)), (0.0, 0.25), one)


def footsteps(rng: Rng) -> np.ndarray:
    pace_s, below_hz = rng.uniform(0.3, 0.6), rng.uniform(600, 4_000)

    def one() -> np.ndarray:
        seconds = rng.uniform(0.06, 0.15)
        return rng.uniform(0.5, 1.2) * low(noise(rng, seconds), below_hz) * hump(round(seconds * RATE_HZ), 0.1)

    return repeated(rng, round(5 / (pace_s + 0.1)), (pace_s * 0.85, pace_s * 1.15), one)[: 5 * RATE_HZ]


def typing(rng: Rng) -> np.ndarray:
    def one() -> np.ndarray:
        return rng.uniform(0.3, 1.2) * banded(noise(rng, 0.05), 1_000, 6_500) * dying(0.05, 0.006)

    return repeated(rng, int(rng.integers(12, 30)), (0.03, 0.25), one)


def clapping(rng: Rng) -> np.ndarray:
    hz = rng.uniform(700, 1_400)

    def one() -> np.ndarray:
        return rng.uniform(0.6, 1.2) * banded(noise(rng, 0.12), round(hz), round(4 * hz)) * dying(0.12, 0.012)

    return repeated(rng, int(rng.integers(6, 22)), (0.08, 0.2), one)


def glass(rng: Rng) -> np.ndarray:
    """A burst, and splinters that ring."""
    seconds = rng.uniform(1.0, 3.0)
    broken = np.zeros(round(seconds * RATE_HZ))
    broken[: RATE_HZ // 4] += banded(noise(rng, 0.25), 1_500, 7_500) * dying(0.25, 0.03) * 2
    for _ in range(rng.integers(15, 50)):
        length_s = rng.uniform(0.05, 0.3)
        first = int(rng.beta(1, 4) * (len(broken) - length_s * RATE_HZ - 1))
        ring = swept(np.full(round(length_s * RATE_HZ), rng.uniform(2_000, 7_000))) * dying(length_s, 0.02)
        broken[first : first + len(ring)] += rng.uniform(0.1, 0.7) * ring[: len(broken) - first]
    return broken


def drops(rng: Rng) -> np.ndarray:
    def one() -> np.ndarray:
        at = np.linspace(0, 1, len(times_s(rng.uniform(0.05, 0.12))))
        return swept(rng.uniform(600, 1_800) * (1 + at)) * hump(len(at), 0.1)

    return repeated(rng, int(rng.integers(4, 12)), (0.1, 0.7), one)


def pouring(rng: Rng) -> np.ndarray:
    seconds = rng.uniform(3, 5)
    water = banded(noise(rng, seconds), 300, 5_000) * (0.3 + wandering(rng, round(seconds * RATE_HZ), 0.08))
    return water * _plateau(seconds, 0.2)


def cough(rng: Rng) -> np.ndarray:
    low_hz = round(rng.uniform(300, 700))

    def one() -> np.ndarray:
        seconds = rng.uniform(0.2, 0.4)
        return banded(noise(rng, seconds), low_hz, 3_500) * hump(round(seconds * RATE_HZ), 0.08)

    return repeated(rng, int(rng.integers(1, 6)), (0.1, 0.8), one)


def snore(rng: Rng) -> np.ndarray:
    def one() -> np.ndarray:
        at = times_s(rng.uniform(0.8, 1.5))
        rattle = np.maximum(0, np.sin(2 * np.pi * rng.uniform(25, 45) * at)) ** 2
        return low(rng.standard_normal(len(at)), 900) * (0.15 + rattle) * hump(len(at), 0.6)

    return repeated(rng, int(rng.integers(2, 4)), (0.5, 1.2), one)[: 5 * RATE_HZ]


def creak(rng: Rng) -> np.ndarray:
    seconds = rng.uniform(0.8, 3.5)
    ticks = np.diff(
        np.floor(np.cumsum(20 + 140 * wandering(rng, round(seconds * RATE_HZ), 0.4)) / RATE_HZ), prepend=0.0
    )
    radius, angle = 0.985, 2 * np.pi * rng.uniform(500, 2_000) / RATE_HZ
    ringing: np.ndarray = lfilter([1.0], [1, -2 * radius * np.cos(angle), radius**2], ticks)
    return ringing * _plateau(seconds, 0.1)


def saw(rng: Rng) -> np.ndarray:
    stroke_hz, seconds = rng.uniform(1.5, 4), rng.uniform(3, 5)
    strokes = np.abs(np.sin(np.pi * stroke_hz * times_s(seconds)))
    return banded(noise(rng, seconds), 800, 7_000) * (0.05 + strokes) * _plateau(seconds)


def thunder(rng: Rng) -> np.ndarray:
    seconds = rng.uniform(3.5, 5)
    rumble = low(noise(rng, seconds), 250) + 0.15 * low(noise(rng, seconds), 2_000) * dying(seconds, 0.3)
    return rumble * (0.2 + wandering(rng, len(rumble), 0.3)) * hump(len(rumble), 0.1)


def motor(rng: Rng, seconds: float = 5.0) -> np.ndarray:
    """Firings of an engine whose speed wanders, and its hiss."""
    pitch_hz = rng.uniform(25, 110) * (0.9 + 0.2 * wandering(rng, round(seconds * RATE_HZ), 1.0))
    return low(swept(pitch_hz, 30, 0.5), 1_500) + 0.5 * banded(noise(rng, seconds), 100, 3_000)


def wind(rng: Rng, seconds: float) -> np.ndarray:
    return low(noise(rng, seconds), rng.uniform(250, 600)) * (0.5 + wandering(rng, round(seconds * RATE_HZ), 2.5))


def waves(rng: Rng, seconds: float) -> np.ndarray:
    swell = 0.35 + 0.65 * np.sin(np.pi * times_s(seconds) / rng.uniform(5, 9)) ** 2
    return low(noise(rng, seconds), 3_000) * swell


def crickets(rng: Rng, seconds: float) -> np.ndarray:
    at = times_s(seconds)
    trill = np.maximum(0, np.sin(2 * np.pi * rng.uniform(25, 45) * at)) * (np.sin(2 * np.pi * 1.3 * at) > -0.5)
    return np.sin(2 * np.pi * rng.uniform(3_500, 5_000) * at) * trill + 0.02 * noise(rng, seconds)


def hum(rng: Rng, seconds: float) -> np.ndarray:
    return swept(np.full(round(seconds * RATE_HZ), float(rng.choice([50, 60]))), 12, 0.7) + 0.3 * low(
        noise(rng, seconds), 800
    )


def _plateau(seconds: float, ramp_s: float = 0.03) -> np.ndarray:
    at = times_s(seconds)
    return np.minimum(1, np.minimum(at, at[::-1]) / ramp_s)


SOUNDS: dict[str, Callable[[Rng], np.ndarray]] = {
    "bark": bark,
    "meow": meow,
    "moo": moo,
    "birds": birds,
    "frog": frog,
    "crow": crow,
    "alarm": alarm,
    "siren": wail,
    "horn": horn,
    "bell": bell,
    "knocks": knocks,
    "footsteps": footsteps,
    "typing": typing,
    "clapping": clapping,
    "glass": glass,
    "drops": drops,
    "pouring": pouring,
    "cough": cough,
    "snore": snore,
    "creak": creak,
    "saw": saw,
    "thunder": thunder,
    "motor": motor,
}
BEDS: dict[str, Callable[[Rng, float], np.ndarray]] = {
    "rain": rain,
    "wind": wind,
    "waves": waves,
    "crickets": crickets,
    "hum": hum,
    "engine": motor,
}
