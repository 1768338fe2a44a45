"""Which notes sound, every eighth of a second: the ground of chords and key.

The log-frequency spectrum is explained by notes with overtones, none of them negative, as Mauch and Dixon do
("Approximate note transcription for the improved identification of difficult chords", 2010). So an overtone does
not count as a note of its own, and the bass is heard apart. The tuning is measured first.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy.ndimage import uniform_filter1d

from annotators.frames import centred_spectra

RATE_HZ = 16_000  # of all that is measured of music
HOP_MS = 125
SIZE_SAMPLES, HOP_SAMPLES = 8_000, RATE_HZ * HOP_MS // 1000  # windows of half a second part the notes of a bass
LOWEST, HIGHEST = 28, 88  # MIDI notes that may sound, E1 to E6
NUM_NOTES = HIGHEST - LOWEST + 1
TOP = 103  # MIDI, of the highest overtone that is looked at
BINS_PER_SEMITONE = 3
NUM_BINS = (TOP - LOWEST + 1) * BINS_PER_SEMITONE
OVERTONES, OVERTONE_DECAY = 10, 0.75  # each is this much of the one below it
ROUNDS = 40  # of the multiplicative update; more changes nothing that is heard
SURROUNDINGS = 12 * BINS_PER_SEMITONE + 1  # an octave, over which the spectrum is made even
TREBLE_FROM, BASS_TO, FADE = 49, 55, 6  # MIDI notes; between the two a note belongs to both in part
TUNING_HZ = (100.0, 2_000.0)
TUNING_STEP = 0.02  # semitones


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Notes:
    strengths: np.ndarray  # shape (frames, notes) from E1 up, in units of their mean; frame i lies around i * HOP_MS
    tuning_semitones: float  # above A4 = 440 Hz, -0.5..0.5
    in_tune: float  # 0..1: how well the partials agree on one grid of semitones; a voice that speaks has 0.05 at most
    clarity: float  # 0..1: how much of the sound the notes explain

    @property
    def treble(self) -> np.ndarray:
        """Pitch classes from C up, without the bass: shape (frames, 12)."""
        return _classes(self.strengths, np.clip((_pitches() - TREBLE_FROM) / FADE, 0, 1))

    @property
    def bass(self) -> np.ndarray:
        return _classes(self.strengths, np.clip((BASS_TO - _pitches()) / FADE, 0, 1))


def notes_of(samples_16k: np.ndarray) -> Notes:
    magnitude = np.sqrt(centred_spectra(samples_16k, SIZE_SAMPLES, HOP_SAMPLES))
    mean = float(magnitude.mean())
    if mean <= 1e-7:
        return Notes(strengths=np.zeros((len(magnitude), NUM_NOTES)), tuning_semitones=0.0, in_tune=0.0, clarity=0.0)
    magnitude = magnitude / mean
    tuning, in_tune = _tuning(magnitude)
    spectra = _evened(magnitude @ _log_bins(round(tuning / TUNING_STEP)))
    strengths = _explained(spectra, _dictionary())
    left = spectra - strengths @ _dictionary()
    return Notes(
        strengths=strengths / max(1e-9, float(strengths.mean())),
        tuning_semitones=tuning,
        in_tune=in_tune,
        clarity=max(0.0, 1 - float(np.sum(left**2) / max(1e-9, np.sum(spectra**2)))),
    )


def pitch_classes_between(classes: np.ndarray, edges_ms: np.ndarray) -> np.ndarray:
    """Means of (frames, 12) between neighbouring edges, shape (edges - 1, 12); windows across an edge are left out."""
    first = np.ceil(edges_ms[:-1] / HOP_MS + 0.4).astype(int)
    last = np.floor(edges_ms[1:] / HOP_MS - 0.4).astype(int) + 1
    middle = np.rint((edges_ms[:-1] + edges_ms[1:]) / 2 / HOP_MS).astype(int)
    first = np.clip(np.where(last > first, first, middle), 0, len(classes) - 1)
    last = np.clip(np.maximum(last, first + 1), 1, len(classes))
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(classes, axis=0)])
    means: np.ndarray = (sums[last] - sums[first]) / (last - first)[:, None]
    return means


def _evened(spectra: np.ndarray) -> np.ndarray:
    """What stands out of its octave, in units of the spread there; loud frames count more, as the fourth root."""
    around = uniform_filter1d(spectra, SURROUNDINGS, axis=1, mode="nearest")
    square = uniform_filter1d(spectra**2, SURROUNDINGS, axis=1, mode="nearest")
    spread = np.sqrt(np.maximum(square - around**2, 0))
    loudness = np.sum(spectra**2, axis=1, keepdims=True) ** 0.25
    evened: np.ndarray = loudness * np.maximum(spectra - around, 0) / (spread + 0.1 * spread.mean() + 1e-9)
    return evened


def _explained(spectra: np.ndarray, dictionary: np.ndarray) -> np.ndarray:
    """Notes, none negative, whose sum comes near the spectra: shape (frames, notes), after Lee and Seung (2001)."""
    wanted, overlap = spectra @ dictionary.T, dictionary @ dictionary.T
    strengths: np.ndarray = wanted.copy()
    for _ in range(ROUNDS):
        strengths *= wanted / (strengths @ overlap + 1e-9)
    return strengths


def _tuning(magnitude: np.ndarray) -> tuple[float, float]:
    """Semitones by which the peaks lie above the grid of A4 = 440 Hz, and how well they agree: a mean on the circle."""
    bin_hz = RATE_HZ / SIZE_SAMPLES
    first, last = (int(hz / bin_hz) for hz in TUNING_HZ)
    level = np.log(magnitude[:, first - 1 : last + 1] + 1e-6)
    before, here, after = level[:, :-2], level[:, 1:-1], level[:, 2:]
    frames, bins = np.nonzero((here > before) & (here >= after) & (here > np.log(3.0)))
    if not len(frames):
        return 0.0, 0.0
    low, top, high = before[frames, bins], here[frames, bins], after[frames, bins]
    shift = 0.5 * (low - high) / np.minimum(low - 2 * top + high, -1e-6)
    semitones = 12 * np.log2((first + bins + np.clip(shift, -0.5, 0.5)) * bin_hz / 440.0)
    weights = np.exp(0.5 * top)
    mean = complex(np.sum(weights * np.exp(2j * np.pi * semitones)) / np.sum(weights))
    return float(np.angle(mean) / (2 * np.pi)), abs(mean)


@lru_cache(maxsize=4)  # some megabytes for each tuning
def _log_bins(tuning_steps: int) -> np.ndarray:
    """Triangles a third of a semitone apart, no narrower than a bin: shape (bins, log bins)."""
    hz = np.maximum(1.0, np.arange(SIZE_SAMPLES // 2 + 1) * RATE_HZ / SIZE_SAMPLES)
    pitch = 69 + 12 * np.log2(hz / 440.0) - tuning_steps * TUNING_STEP
    centres = LOWEST + (np.arange(NUM_BINS) - 1) / BINS_PER_SEMITONE
    centres_hz = 440 * 2 ** ((centres - 69) / 12)
    width = np.maximum(1 / BINS_PER_SEMITONE, 12 / np.log(2) * RATE_HZ / SIZE_SAMPLES / centres_hz)
    triangles = np.maximum(0.0, 1 - np.abs(pitch[:, None] - centres) / width)
    return np.asarray(triangles / triangles.sum(axis=0), np.float32)


@cache
def _dictionary() -> np.ndarray:
    """How each note looks among the log bins, of length 1: shape (notes, log bins)."""
    time_s = np.arange(SIZE_SAMPLES) / RATE_HZ
    hz = 440 * 2 ** ((_pitches() - 69) / 12)
    looks = np.zeros((NUM_NOTES, NUM_BINS))
    for number in range(1, OVERTONES + 1):
        kept = hz * number < 0.48 * RATE_HZ
        tones = np.sin(2 * np.pi * number * hz[kept, None] * time_s) * np.hanning(SIZE_SAMPLES + 1)[:-1]
        looks[kept] += OVERTONE_DECAY ** (number - 1) * (np.abs(np.fft.rfft(tones)) @ _log_bins(0))
    return np.asarray(looks / np.linalg.norm(looks, axis=1, keepdims=True))


def _pitches() -> np.ndarray:
    return np.arange(LOWEST, HIGHEST + 1)


def _classes(strengths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    classes = np.zeros((len(strengths), 12))
    for index in np.flatnonzero(weights):
        classes[:, (LOWEST + index) % 12] += weights[index] * strengths[:, index]
    return classes
