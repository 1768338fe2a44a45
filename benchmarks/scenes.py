"""Long recordings with an exact answer key: python -m benchmarks.scenes OUT [--count 24] [--seed 1] [--sounds FOLDER]

Each scene lays speech, music and other sounds one after another, some over the end of the last, some scenes over
rain or an engine, and is written in one of eight containers and rates. What was put where is in `truth.jsonl`. The
sounds are made by arithmetic, or are the real ones of a folder: clips/<label>__<id>.ogg, music/, speech/ and digits/.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import soxr

from benchmarks.containers import CONTAINERS
from benchmarks.library import FolderOfSounds, Library, MadeSounds, Sound
from benchmarks.truth import TRUTH, Background, Scene, TrueEvent, write_truth
from jobs.demo import at_db
from schemas.record import Branch
from schemas.span import Span, union

FRAME_MS = 20
AUDIBLE_DB = 38.0  # below the loudest frame of a sound: what is weaker is not heard in it
HEARD_ON_MS = 300  # a pause up to this long does not part a region
FADE_MS = 10  # at both ends of every sound, so that none begins with a click
HIGHEST_PEAK = 0.95  # of one sound
LONG_TURNS = LONG_MUSIC, LONG_RAIN = 3, 6  # which of every eight scenes hold a long event
LONG_NUMBER = 3  # which of the sounds drawn it is
KINDS = (Branch.SOUND, Branch.SPEECH, Branch.MUSIC)
LEVELS_DB = {Branch.SPEECH: (-26, -19), Branch.MUSIC: (-28, -20), Branch.SOUND: (-32, -20)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRules:
    """How scenes are laid out; spans are drawn evenly between two ends."""

    duration_s: tuple[float, float] = (63, 149)
    kinds: tuple[float, float, float] = (0.43, 0.36, 0.21)  # shares of sound, speech and music
    gap_s: tuple[float, float] = (0.25, 3.0)  # between one event and the next
    overlaps: float = 0.26  # share of events that begin before the last one has ended
    overlap_s: tuple[float, float] = (0.3, 2.5)
    music_s: tuple[float, float] = (8, 25)
    has_background: float = 0.42  # share of scenes
    background_db: tuple[float, float] = (-52, -42)
    floor_db: tuple[float, float] = (-75, -70)  # of the noise of the recorder
    long_music_s: tuple[float, float] = (26, 29)  # in one scene of every eight
    long_rain_s: tuple[float, float] = (62, 90)  # in another


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """A sound at the rate and level it has in the scene; times count from its own start."""

    samples: np.ndarray  # shape (time,), a whole number of frames
    kind: Branch
    label: str
    source: str
    level_db: float
    duration_ms: int
    regions: tuple[Span, ...]

    def at(self, start_ms: int) -> TrueEvent:
        return TrueEvent(
            start_ms=start_ms,
            end_ms=start_ms + self.duration_ms,
            kind=self.kind,
            label=self.label,
            source=self.source,
            level_db=self.level_db,
            regions=tuple(Span.of(start_ms + region.start_ms, start_ms + region.end_ms) for region in self.regions),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sounds", type=Path, help="a folder of real sounds; without it they are made")
    arguments = parser.parse_args()
    library = FolderOfSounds(arguments.sounds) if arguments.sounds else MadeSounds()
    scenes = make_scenes(arguments.out, library, arguments.count, arguments.seed)
    hours = sum(scene.duration_ms for scene in scenes) / 3_600_000
    print(
        f"{len(scenes)} scenes, {hours:.2f} h, {sum(len(scene.events) for scene in scenes)} events -> {arguments.out}"
    )


def make_scenes(
    folder: Path, library: Library, num_scenes: int, seed: int, rules: SceneRules | None = None
) -> list[Scene]:
    """Writes the scenes and their answer key. A scene depends on its number and the seed alone."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = []
    for index in range(num_scenes):
        container = CONTAINERS[index % len(CONTAINERS)]
        name = f"scene_{index:02d}.{container.suffix}"
        rng = np.random.default_rng((seed, index))
        samples, scene = compose(library, rng, container.rate_hz, name, index % 8, rules or SceneRules())
        container.write(folder / name, samples)
        scenes.append(scene)
    write_truth(folder / TRUTH, scenes)
    return scenes


def compose(
    library: Library, rng: np.random.Generator, rate_hz: int, name: str, turn: int, rules: SceneRules
) -> tuple[np.ndarray, Scene]:
    """The sound of one scene, of shape (time,), and its line of the key; `turn` says which of eight scenes it is."""
    duration_ms, at_ms = round(rng.uniform(*rules.duration_s) * 1000), 0
    sounds: list[Ready] = []
    events: list[TrueEvent] = []
    for number, ready in enumerate(_drawn(library, rng, rate_hz, turn, rules)):
        start_ms = _start_ms(rng, at_ms, min(ready.duration_ms, events[-1].duration_ms) if events else 0, rules)
        if number == LONG_NUMBER and turn in LONG_TURNS:
            duration_ms = max(duration_ms, start_ms) + ready.duration_ms  # time is made for it
        elif start_ms + ready.duration_ms > duration_ms:
            if number < LONG_NUMBER and turn in LONG_TURNS:
                continue
            break
        sounds.append(ready)
        events.append(ready.at(start_ms))
        at_ms = max(at_ms, events[-1].end_ms)
    mixed, background = _floor(library, rng, rate_hz, duration_ms, rules)
    for ready, event in zip(sounds, events, strict=True):
        first = event.start_ms * rate_hz // 1000
        mixed[first : first + len(ready.samples)] += ready.samples
    in_order = tuple(sorted(events, key=lambda event: event.start_ms))
    return mixed, Scene(name=name, duration_ms=duration_ms, background=background, events=in_order)


def _drawn(library: Library, rng: np.random.Generator, rate_hz: int, turn: int, rules: SceneRules) -> Iterator[Ready]:
    """Sounds without end, with a long one among them where it is the scene's turn."""
    for number in count():
        if number == LONG_NUMBER and turn == LONG_MUSIC:
            sound, kind = library.music(rng, rng.uniform(*rules.long_music_s)), Branch.MUSIC
        elif number == LONG_NUMBER and turn == LONG_RAIN:
            sound, kind = library.bed(rng, rng.uniform(*rules.long_rain_s), "rain"), Branch.SOUND
        else:
            kind = KINDS[rng.choice(len(KINDS), p=rules.kinds)]
            if kind is Branch.MUSIC:
                sound = library.music(rng, rng.uniform(*rules.music_s))
            else:
                sound = library.speech(rng) if kind is Branch.SPEECH else library.sound(rng)
        yield made_ready(sound, kind, rate_hz, rng.uniform(*LEVELS_DB[kind]))


def made_ready(sound: Sound, kind: Branch, rate_hz: int, level_db: float) -> Ready:
    """Resampled, without the quiet before and after, faded at its ends and set to its level."""
    samples = soxr.resample(sound.samples, sound.rate_hz, rate_hz, quality="HQ")
    heard = audible(samples, rate_hz)
    frame = FRAME_MS * rate_hz // 1000
    samples = samples[heard[0].start_ms // FRAME_MS * frame : heard[-1].end_ms // FRAME_MS * frame]
    ramp = np.minimum(1, np.arange(len(samples)) / (FADE_MS * rate_hz / 1000))
    samples = at_db(samples * ramp * ramp[::-1], level_db)
    samples = np.clip(samples, -HIGHEST_PEAK, HIGHEST_PEAK)  # as recorders do
    return Ready(
        samples=samples,
        kind=kind,
        label=sound.label,
        source=sound.source,
        level_db=round(10 * float(np.log10(np.mean(samples**2))), 1),
        duration_ms=len(samples) // frame * FRAME_MS,
        regions=audible(samples, rate_hz),
    )


def audible(samples: np.ndarray, rate_hz: int) -> tuple[Span, ...]:
    """Where a sound by itself comes near its loudest frame, short pauses closed; at least the loudest frame."""
    size = FRAME_MS * rate_hz // 1000
    power = np.mean(samples[: len(samples) // size * size].reshape(-1, size) ** 2, axis=1)
    near = np.flatnonzero(power >= power.max() * 10 ** (-AUDIBLE_DB / 10))
    frames = (Span.of(frame * FRAME_MS, (frame + 1) * FRAME_MS) for frame in near.tolist())
    return tuple(union(frames, bridge_ms=HEARD_ON_MS))


def _start_ms(rng: np.random.Generator, at_ms: int, shorter_ms: int, rules: SceneRules) -> int:
    """When the next event begins: after a pause, or before the end of the last, by half of the shorter at most."""
    overlap_ms, gap_ms = (1000 * rng.uniform(*ends) for ends in (rules.overlap_s, rules.gap_s))
    if rng.random() < rules.overlaps and shorter_ms / 2 >= 1000 * rules.overlap_s[0]:
        return at_ms - round(min(overlap_ms, shorter_ms / 2))
    return at_ms + round(gap_ms)


def _floor(
    library: Library, rng: np.random.Generator, rate_hz: int, duration_ms: int, rules: SceneRules
) -> tuple[np.ndarray, Background | None]:
    """What is to be heard where no event is: the noise of the recorder, and in some scenes a background."""
    num_samples = -(-duration_ms * rate_hz // 1000)
    floor = at_db(rng.standard_normal(num_samples), rng.uniform(*rules.floor_db))
    if rng.random() >= rules.has_background:
        return floor, None
    bed, level_db = library.bed(rng, duration_ms / 1000 + 1), round(float(rng.uniform(*rules.background_db)), 1)
    samples = soxr.resample(bed.samples, bed.rate_hz, rate_hz, quality="HQ")[:num_samples]
    return floor + at_db(samples, level_db), Background(label=bed.label, level_db=level_db)


if __name__ == "__main__":
    main()
