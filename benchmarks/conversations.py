"""Conversations made of recordings of single voices, so that who speaks when is known.

Every voice is cut at its pauses into utterances; a conversation draws some voices and lets them take turns, with
pauses between most and overlaps between some. The same seed gives the same conversation. Readers are cut where the
detector under test hears them pause, so missed speech and false alarms are judged kindly; who speaks is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

from schemas.audio import Waveform
from schemas.record import Event, Profile, Segment, Source
from schemas.span import Span, ms_of, union
from segmenters.embedded import EmbeddedDetector

RATE_HZ = 16_000
READ_ALOUD = ("libri_1088", "libri_198", "libri_2412", "libri_3436")  # what the names of a voice's files begin with
COUNTING = ("george", "jackson", "nicolas")
SHORTEST_MS, LONGEST_MS = 500, 7_000  # of an utterance
LEVEL_DB = -26.0
NOISE_DB = -62.0
ROOM_S = 0.35  # until an echo has fallen by 60 dB


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Span):
    """Who truly speaks when."""

    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversation:
    name: str
    waveform: Waveform
    said: tuple[Said, ...]


def voices(shared: Path, detector: EmbeddedDetector) -> dict[str, list[np.ndarray]]:
    """Utterances by voice, float64 at 16 kHz and at one level; none where the recordings are not there."""
    found: dict[str, list[np.ndarray]] = {}
    for voice in READ_ALOUD:
        for file in sorted((shared / "speech").glob(f"{voice}*")):
            found.setdefault(voice, []).extend(_utterances(_read(file), detector))
    for speaker in COUNTING:
        digits = sorted((shared / "digits").glob(f"*_{speaker}_*.wav"))
        if digits:
            found[speaker] = _counted(digits, np.random.default_rng(len(speaker)))
    return found


def converse(said_by: dict[str, list[np.ndarray]], num_speakers: int, seed: int, duration_ms: int) -> Conversation:
    """About as long as asked for, or until all is said; everybody speaks at least once, and nothing is said twice.

    Every third is heard in a room, every third over a telephone.
    """
    random = np.random.default_rng(seed)
    chosen = [str(name) for name in random.choice(sorted(said_by), num_speakers, replace=False)]
    gains_db = {name: random.uniform(-4, 4) for name in chosen}
    samples = np.zeros(2 * duration_ms * RATE_HZ // 1000)
    said: list[Said] = []
    now, last = int(random.integers(0, RATE_HZ)), ""
    unsaid = {name: [said_by[name][i] for i in random.permutation(len(said_by[name]))] for name in chosen}
    order = list(chosen)
    while now < len(samples) // 2 or order:
        order = order or _willing(unsaid, last)
        if not order:
            break
        speaker = order.pop(0) if len(said) < num_speakers else str(random.choice(order))
        order = order if len(said) < num_speakers - 1 else []
        utterance = unsaid[speaker].pop() * 10 ** (gains_db[speaker] / 20)
        overlaps = bool(said) and speaker != last and random.random() < 0.25
        pause_ms = -int(random.integers(200, 900)) if overlaps else int(random.integers(80, 1_200))
        now = max(0, now + pause_ms * RATE_HZ // 1000)
        if now + len(utterance) > len(samples):
            break
        samples[now : now + len(utterance)] += utterance
        span = {"start_ms": now * 1000 // RATE_HZ, "end_ms": (now + len(utterance)) * 1000 // RATE_HZ}
        said.append(Said(**span, speaker=speaker))
        now, last = now + len(utterance), speaker
    samples = (np.array, _in_a_room, _over_a_telephone)[seed % 3](samples[: now + RATE_HZ // 2])
    samples += 10 ** (NOISE_DB / 20) * random.standard_normal(len(samples))
    name = f"{num_speakers} speakers, seed {seed}"
    return Conversation(name=name, waveform=Waveform.from_float(samples, RATE_HZ), said=tuple(said))


def whole(conversation: Conversation) -> Span:
    return Span.of(0, conversation.waveform.duration_ms)


def segment_of(span: Span, events: Sequence[Event]) -> Segment:
    inside = tuple(
        replace(event, start_ms=part.start_ms, end_ms=part.end_ms) for event in events if (part := event.clipped(span))
    )
    source = Source(id="one", uri="one", etag="", duration_ms=span.end_ms)
    profile = Profile(speech=1.0)
    return Segment(source=source, start_ms=span.start_ms, end_ms=span.end_ms, profile=profile, events=inside)


def real_conversation(rttm: Path) -> Conversation:
    samples, rate_hz = soundfile.read(rttm.with_suffix(".wav"))
    said = []
    for line in rttm.read_text().splitlines():
        _, _, _, start_s, duration_s, _, _, speaker, *_ = line.split()
        start_ms, duration_ms = round(1000 * float(start_s)), round(1000 * float(duration_s))
        said.append(Said(start_ms=start_ms, end_ms=start_ms + duration_ms, speaker=speaker))
    return Conversation(name=rttm.stem, waveform=Waveform.from_float(samples, rate_hz), said=tuple(said))


def _willing(unsaid: dict[str, list[np.ndarray]], last: str) -> list[str]:
    """Who has something left to say; whoever spoke last only where nobody else has."""
    return [name for name in unsaid if unsaid[name] and name != last] or [name for name in unsaid if unsaid[name]]


def _in_a_room(samples: np.ndarray) -> np.ndarray:
    time_s = np.arange(int(ROOM_S * RATE_HZ)) / RATE_HZ
    echoes = 0.05 * np.random.default_rng(7).standard_normal(len(time_s)) * 10 ** (-3 * time_s / ROOM_S)
    echoes[0] = 1.0
    return np.asarray(fftconvolve(samples, echoes)[: len(samples)])


def _over_a_telephone(samples: np.ndarray) -> np.ndarray:
    return np.asarray(sosfilt(butter(4, (300, 3_400), "bandpass", fs=RATE_HZ, output="sos"), samples))


def _read(file: Path) -> np.ndarray:
    samples, rate_hz = soundfile.read(file)
    return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ))


def _utterances(samples: np.ndarray, detector: EmbeddedDetector) -> list[np.ndarray]:
    """What lies between the pauses, the long ones in two."""
    heard = detector.hear(Waveform.from_float(samples, RATE_HZ))
    parts: list[Span] = []
    for part in union((event for event in heard.events if event.label == "Speech"), bridge_ms=200):
        middle_ms = (part.start_ms + part.end_ms) // 2
        long = part.duration_ms > LONGEST_MS
        parts += [Span.of(part.start_ms, middle_ms), Span.of(middle_ms, part.end_ms)] if long else [part]
    kept = [part for part in parts if part.duration_ms >= SHORTEST_MS]
    return [_levelled(samples[part.start_ms * 16 : part.end_ms * 16]) for part in kept]


def _counted(digits: Sequence[Path], random: np.random.Generator, num_utterances: int = 8) -> list[np.ndarray]:
    """Digits counted out with short pauses, some seconds at a time."""
    utterances = []
    for _ in range(num_utterances):
        spoken = [_read(digits[i]) for i in random.integers(len(digits), size=random.integers(3, 9))]
        pauses = [np.zeros(int(random.integers(40, 180)) * RATE_HZ // 1000) for _ in spoken]
        utterances.append(
            _levelled(np.concatenate([part for pair in zip(spoken, pauses, strict=True) for part in pair][:-1]))
        )
    return [utterance for utterance in utterances if ms_of(len(utterance), RATE_HZ) >= SHORTEST_MS]


def _levelled(samples: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(samples))))
    return samples * (10 ** (LEVEL_DB / 20) / max(rms, 1e-9))
