"""Clips with sound made of arithmetic, for the tests of the annotators."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from annotators.merge import TemplateMergerConfig
from annotators.quality import measure
from schemas.audio import Waveform
from schemas.record import Annotation, Branches, Clip, Event, Profile, Provenance, Record, Segment, Source

RATE_HZ = 16_000


def quiet(duration_ms: int) -> np.ndarray:
    """float64, shape (time,), like all the others."""
    return np.zeros(duration_ms * RATE_HZ // 1000)


def tone(duration_ms: int, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ)


def noise(duration_ms: int, level: float = 0.1, seed: int = 5) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(duration_ms * RATE_HZ // 1000)


def band(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """What lies between the two, cut out of the spectrum."""
    spectrum, hz = np.fft.rfft(samples), np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return np.fft.irfft(np.where((hz >= low_hz) & (hz <= high_hz), spectrum, 0), len(samples))


def plucked(notes: Sequence[int], duration_ms: int = 500) -> np.ndarray:
    """MIDI notes struck together, with three partials each, dying away."""
    time_s = np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ
    partials = [(440 * 2 ** ((note - 69) / 12) * n, 1 / n) for note in notes for n in (1, 2, 3)]
    struck = sum(level * np.sin(2 * np.pi * hz * time_s) for hz, level in partials)
    return 0.05 * struck * np.exp(-4 * time_s) * np.minimum(1, time_s * 200)


def four_chords(gaps_ms: Sequence[float]) -> np.ndarray:
    """C, Am, F and G, four beats of each, struck at every beat with the root an octave below."""
    chords = ([60, 64, 67], [57, 60, 64], [53, 57, 60], [55, 59, 62])
    beats = [(chords[beat // 4 % 4], round(gap_ms)) for beat, gap_ms in enumerate(gaps_ms)]
    return np.concatenate([plucked([chord[0] - 12, *chord], gap_ms) for chord, gap_ms in beats])


def babble(duration_ms: int, seed: int, level: float = 0.05) -> np.ndarray:
    """Syllables of a quarter of a second, each at its own pitch, in noise of that level."""
    drawn = np.random.default_rng(seed)
    syllables = [tone(250, hz) * np.hanning(4_000) for hz in drawn.uniform(90, 400, duration_ms // 250)]
    return np.concatenate(syllables) + noise(250 * len(syllables), level, seed)


def event(start_ms: int, end_ms: int, label: str = "Sound", score: float = 1.0) -> Event:
    return Event(start_ms=start_ms, end_ms=end_ms, label=label, score=score)


def clip(
    samples: np.ndarray,
    *events: Event,
    start_ms: int = 0,
    profile: Profile | None = None,
    branches: Branches | None = None,
) -> Clip:
    """A segment that begins at `start_ms` of its recording; events count from there too."""
    waveform = Waveform.from_float(samples, RATE_HZ, start_ms)
    end_ms = max(waveform.end_ms, start_ms + 1)
    segment = Segment(
        source=Source(id="a1", uri="/nowhere/a1.wav", etag="e", duration_ms=end_ms),
        start_ms=start_ms,
        end_ms=end_ms,
        profile=profile or Profile(),
        events=events,
    )
    return Clip(segment=segment, waveform=waveform, branches=branches or Branches())


def held_in_a_record(made: Clip, branch: str, told: Annotation) -> Record:
    """A record refuses whatever leaves the segment, and claims that point nowhere."""
    whole = replace(made, branches=made.branches.having(branch, told), quality=measure(made.waveform))
    (caption,) = TemplateMergerConfig().build().merge([whole])
    return Record(
        key=made.segment.key,
        source=made.segment.source,
        start_ms=made.segment.start_ms,
        end_ms=made.segment.end_ms,
        profile=made.segment.profile,
        events=made.segment.events,
        branches=whole.branches,
        caption=caption,
        quality=whole.quality,
        provenance=Provenance(recipe="test", config="sha256:0", models=(told.model,)),
    )
