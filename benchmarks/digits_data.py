"""Recordings of spoken digits with exact word times: the data of `benchmarks.digits`.

A speaker says phrases of a few digits; under some lies music or a steady sound, between some something else is heard.
Beside each recording lies a file of labels (`pipeline/labels/own_json.py`), from what was put where. Speakers, sounds
and music of the training side are others than those of the testing side.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.library import Sound
from benchmarks.scenes import Ready, audible, made_ready
from benchmarks.sidecar import label_of
from jobs.demo import at_db
from schemas.errors import ConfigError, InputError
from schemas.record import Branch, Event, Word
from schemas.span import Span

RATE_HZ = 16_000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOT_FREE = "CC-BY-NC"
TESTED = 4  # one of so many sounds is for testing
TEST_TAKES = 5  # of each digit and speaker, as the corpus advises


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitRules:
    """How recordings are laid out; spans are drawn evenly between two ends.

    Few digits are as likely as many on a scale of ratios: what is short is learnt first. A pause is long enough that
    phrases become segments of their own.
    """

    phrases: tuple[int, int] = (6, 12)  # of a recording
    digits: tuple[int, int] = (1, 8)  # of a phrase
    gap_s: tuple[float, float] = (0.1, 0.8)  # between digits of a phrase
    pause_s: tuple[float, float] = (1.4, 2.0)  # between phrases
    speech_db: tuple[float, float] = (-30, -18)  # of a phrase
    level_db: float = 3.0  # how far a digit may be louder or softer than its phrase
    floor_db: tuple[float, float] = (-75, -60)  # of the noise of the recorder
    has_bed: float = 0.5  # share of phrases with music or a sound beneath
    below_db: tuple[float, float] = (6, 30)  # how far it lies below the speech
    bed_s: tuple[float, float] = (0.1, 0.5)  # that it begins before the phrase, and goes on after it
    has_sound: float = 0.25  # share of pauses in which something is heard
    sound_db: tuple[float, float] = (-38, -22)
    sound_s: float = 1.5  # at most
    speed: tuple[float, float] = (1.0, 1.0)  # of a recording's speaker, by resampling: the pitch goes with it

    def __post_init__(self) -> None:
        for name in ("phrases", "digits"):
            least, most = getattr(self, name)
            if not 1 <= least <= most:
                raise ConfigError(f"{name} is {least}..{most}; it must be a range that begins at 1 or more")
        if not 0 < self.speed[0] <= self.speed[1]:
            raise ConfigError(f"speed is {self.speed}; it must be a range above zero")


TRAINING = DigitRules(speed=(0.82, 1.22))
TESTING = DigitRules(digits=(2, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounds:
    """The files of one side, training or testing."""

    speakers: tuple[str, ...]
    digits: tuple[Path, ...]  # `{digit}_{speaker}_{n}.wav`
    clips: tuple[Path, ...]  # `{label}__{id}.ogg`
    music: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What is heard, and the labels a person would give it; all times are exact."""

    samples: np.ndarray  # float64, shape (time,), at RATE_HZ
    speaker: str
    words: tuple[Word, ...]
    sentences: tuple[Span, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """No take of a digit, no sound and no piece of music of the testing sides is on the training side."""

    training: Sounds
    known: Sounds  # the speakers of the training side
    unknown: Sounds  # a speaker who was never heard


def sides(shared: Path, unknown: str) -> Sides:
    """What there is for training and for testing; `unknown` is the speaker left out of training.

    `shared` holds digits/, clips/ with clips.json, and music/. Sounds whose licence forbids commercial use are left
    out. Raises InputError where something is missing.
    """
    digits = sorted((shared / "digits").glob("*_*_*.wav"))
    clips = _free_clips(shared / "clips")
    music = sorted((shared / "music").glob("*.ogg"))
    speakers = sorted({speaker_of(path) for path in digits})
    if unknown not in speakers or len(speakers) < 2 or not clips or len(music) < 2:
        raise InputError(
            f"{shared} has digits of {', '.join(speakers) or 'nobody'}, {len(clips)} free clips and {len(music)} "
            f"pieces of music; it takes digits of {unknown} and of others, clips, and two pieces or more"
        )
    known = tuple(name for name in speakers if name != unknown)
    tested_clips = tuple(path for path in clips if _number(path.name) % TESTED == 0)
    tested_music = tuple(music[: max(1, len(music) // 3)])
    return Sides(
        training=Sounds(
            speakers=known,
            digits=tuple(path for path in digits if speaker_of(path) in known and _take(path) >= TEST_TAKES),
            clips=tuple(path for path in clips if path not in tested_clips),
            music=tuple(path for path in music if path not in tested_music),
        ),
        known=Sounds(
            speakers=known,
            digits=tuple(path for path in digits if speaker_of(path) in known and _take(path) < TEST_TAKES),
            clips=tested_clips,
            music=tested_music,
        ),
        unknown=Sounds(
            speakers=(unknown,),
            digits=tuple(path for path in digits if speaker_of(path) == unknown),
            clips=tested_clips,
            music=tested_music,
        ),
    )


def speaker_of(path: Path) -> str:
    return path.stem.split("_")[1]


def _take(path: Path) -> int:
    return int(path.stem.split("_")[2])


def word_of(path: Path) -> str:
    return WORDS[int(path.stem.split("_")[0])]


def compose(sounds: Sounds, rng: np.random.Generator, rules: DigitRules) -> Recording:
    """One recording of one speaker. It depends on the generator alone."""
    speaker = sounds.speakers[rng.integers(len(sounds.speakers))]
    takes = [path for path in sounds.digits if speaker_of(path) == speaker]
    speed = float(rng.uniform(*rules.speed))
    laid: list[tuple[int, Ready]] = []
    words: list[Word] = []
    sentences: list[Span] = []
    events: list[Event] = []
    at_ms = _ms(rng, rules.pause_s)
    for _ in range(rng.integers(rules.phrases[0], rules.phrases[1] + 1)):
        level_db = rng.uniform(*rules.speech_db)
        first_ms = at_ms
        for _ in range(_num_digits(rng, rules)):
            path = takes[rng.integers(len(takes))]
            loud_db = level_db + rng.uniform(-rules.level_db, rules.level_db)
            said = made_ready(_sound(path, speed), Branch.SPEECH, RATE_HZ, loud_db)
            laid.append((at_ms, said))
            span = Span.of(at_ms, at_ms + said.duration_ms)
            words.append(Word(start_ms=span.start_ms, end_ms=span.end_ms, text=word_of(path), score=1.0))
            at_ms = span.end_ms + _ms(rng, rules.gap_s)
        sentences.append(Span.of(first_ms, words[-1].end_ms))
        if rng.random() < rules.has_bed:
            before_ms, after_ms = _ms(rng, rules.bed_s), _ms(rng, rules.bed_s)
            under = Span.of(first_ms - before_ms, words[-1].end_ms + after_ms)
            bed = _bed(sounds, rng, under.duration_ms, level_db - rng.uniform(*rules.below_db))
            laid.append((under.start_ms, bed))
            events.append(_event(under.start_ms, bed))
        at_ms = sentences[-1].end_ms + _ms(rng, rules.pause_s)
        if rng.random() < rules.has_sound:
            path = sounds.clips[rng.integers(len(sounds.clips))]
            sound = _cut(_sound(path), rng, rules.sound_s)
            heard = made_ready(sound, Branch.SOUND, RATE_HZ, rng.uniform(*rules.sound_db))
            laid.append((at_ms, heard))
            events.append(_event(at_ms, heard))
            at_ms += heard.duration_ms + _ms(rng, rules.pause_s)
    samples = at_db(rng.standard_normal(at_ms * RATE_HZ // 1000), rng.uniform(*rules.floor_db))
    for start_ms, ready in laid:
        first = start_ms * RATE_HZ // 1000
        samples[first : first + len(ready.samples)] += ready.samples[: len(samples) - first]
    return Recording(
        samples=np.clip(samples, -1.0, 1.0),
        speaker=speaker,
        words=tuple(words),
        sentences=tuple(sentences),
        events=tuple(sorted(events, key=lambda event: event.start_ms)),
    )


def write(recording: Recording, path: Path) -> None:
    """The recording as FLAC, and its labels beside it."""
    soundfile.write(path, recording.samples, RATE_HZ, subtype="PCM_16")
    path.with_suffix(".json").write_text(json.dumps(labels(recording)) + "\n")


def labels(recording: Recording) -> dict[str, Any]:
    """As `pipeline/labels/own_json.py` reads them; times are in seconds."""
    sentences = []
    for span in recording.sentences:
        said = " ".join(word.text for word in recording.words if span.contains(word))
        sentences.append(_times(span) | {"text": said, "speaker": recording.speaker})
    return {
        "language": "en",
        "words": [_times(word) | {"text": word.text, "speaker": recording.speaker} for word in recording.words],
        "sentences": sentences,
        "events": [_times(event) | {"label": event.label} for event in recording.events],
    }


def compose_all(folder: Path, sounds: Sounds, rules: DigitRules, hours: float, seed: int) -> Iterator[Recording]:
    """Writes recordings of so many hours together to `folder`. Number n depends on n and the seed alone."""
    folder.mkdir(parents=True, exist_ok=True)
    left = round(hours * 3600 * RATE_HZ)
    number = 0
    while left > 0:
        recording = compose(sounds, np.random.default_rng((seed, number)), rules)
        write(recording, folder / f"digits_{number:04d}.flac")
        yield recording
        left -= len(recording.samples)
        number += 1


def _num_digits(rng: np.random.Generator, rules: DigitRules) -> int:
    least, most = rules.digits
    return int(np.exp(rng.uniform(np.log(least), np.log(most + 1))))


def _bed(sounds: Sounds, rng: np.random.Generator, duration_ms: int, level_db: float) -> Ready:
    """Music or a sound of that length, without its quiet ends, repeated where it is shorter."""
    kind = Branch.MUSIC if rng.random() < 0.5 else Branch.SOUND
    paths: Sequence[Path] = sounds.music if kind is Branch.MUSIC else sounds.clips
    sound = _sound(paths[rng.integers(len(paths))])
    whole = np.concatenate([_part(sound, part) for part in audible(sound.samples, sound.rate_hz)])
    turned = np.roll(whole, -int(rng.integers(len(whole))))
    return made_ready(
        replace(sound, samples=np.resize(turned, duration_ms * sound.rate_hz // 1000)), kind, RATE_HZ, level_db
    )


def _part(sound: Sound, span: Span) -> np.ndarray:
    return sound.samples[span.start_ms * sound.rate_hz // 1000 : span.end_ms * sound.rate_hz // 1000]


def _cut(sound: Sound, rng: np.random.Generator, seconds: float) -> Sound:
    """Its loudest stretch of so many seconds at most begins near the start."""
    length = round(rng.uniform(0.4, seconds) * sound.rate_hz)
    loud = np.convolve(sound.samples**2, np.ones(sound.rate_hz // 10), "valid")
    first = min(int(loud.argmax()), max(0, len(sound.samples) - length))
    return replace(sound, samples=sound.samples[first : first + length])


def _event(start_ms: int, ready: Ready) -> Event:
    label = label_of({"kind": str(ready.kind), "label": ready.label})
    return Event(start_ms=start_ms, end_ms=start_ms + ready.duration_ms, label=label, score=1.0)


@lru_cache(maxsize=2048)
def _read(path: Path) -> tuple[np.ndarray, int]:
    samples, rate_hz = soundfile.read(path, always_2d=True)
    return samples.mean(axis=1), rate_hz


def _sound(path: Path, speed: float = 1.0) -> Sound:
    samples, rate_hz = _read(path)
    label = path.stem.partition("__")[0]
    return Sound(samples=samples, rate_hz=round(rate_hz * speed), label=label, source=path.name)


def _free_clips(folder: Path) -> list[Path]:
    listing = folder / "clips.json"
    if not listing.is_file():
        raise InputError(f"{listing} is not there; it tells the licence of each clip")
    rows = json.loads(listing.read_text())
    return sorted(folder / row["file"] for row in rows if row["licence"] != NOT_FREE)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _ms(rng: np.random.Generator, ends_s: tuple[float, float]) -> int:
    return round(1000 * rng.uniform(*ends_s))


def _times(span: Span) -> dict[str, Any]:
    return {"start": span.start_ms / 1000, "end": span.end_ms / 1000}
