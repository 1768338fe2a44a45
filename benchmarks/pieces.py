"""Pieces of music with known answers, composed and played by arithmetic: the sound of `benchmarks.music`.

A seed fixes a piece to the last sample. Composition (meter, form, functional harmony, rhythm) is here; the
instruments are in `benchmarks/instruments.py`, in two bands that share none, so that what was tuned on one can
be checked on the other.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.instruments import BANDS, RATE_HZ, Band, room

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TICKS = 12  # to a beat: halves, thirds and quarters all lie on one
QUALITIES = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "m7": (0, 3, 7, 10)}

# Degrees in semitones above the tonic, with a quality; several to a form part, one or two to a bar.
MAJOR_TURNS = (
    "0 7 9m 5", "0 9m 5 7", "0 5 7 0", "0 4m 5 7", "0 5 0 7", "0 2m 7 0", "2m 7 0 0", "0 7 5 0", "9m 5 0 7",
    "0 2 7 0", "0 5 5m 0", "0 10 5 0", "5 7 0 9m", "5 0 2m 7",
)  # fmt: skip
MINOR_TURNS = (
    "0m 5m 7 0m", "0m 8 3 10", "0m 10 8 7", "0m 5m 0m 7", "0m 8 5m 7", "0m 7m 5m 0m", "0m 3 10 7", "5m 0m 7 0m",
    "8 10 0m 0m", "3 10 5m 7", "0m 5m 10 3",
)  # fmt: skip
FORMS = ("AABA", "ABAB", "AABB", "ABA", "ABAC", "AB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A stretch of a piece with a name: a chord or a section."""

    start_s: float
    end_s: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    samples: np.ndarray  # float64, shape (time,), at 16 kHz
    tempo_bpm: float
    meter: str
    beats_s: np.ndarray
    downbeats_s: np.ndarray
    key: str
    chords: tuple[Named, ...]
    sections: tuple[Named, ...]
    traits: tuple[str, ...]  # "drums", "syncopated", "swing", ...
    keys: tuple[Named, ...] = ()  # one where it does not change
    tempo_change_s: tuple[float, float] | None = None  # from when to when it does


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a piece on its way; nothing by default."""

    tempo_ratio: float = 1.0  # of the tempo at the end to that at the beginning
    tempo_from: float = 0.5  # share of the bars, after which it begins to change
    tempo_to: float = 0.5  # share, after which it no longer does; the same for a step
    semitones: int = 0  # the tonic rises by, with the section that begins nearest to the middle
    other_mode: bool = False  # and major turns minor, or minor major


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    part: str  # "chords", "bass", "melody", or a drum
    at: float  # ticks
    length: float  # ticks
    pitch: float  # MIDI; of no meaning for drums
    loud: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How one section is played."""

    comping: str
    bass: str
    busy: float  # share of melody places that sound
    level: float


def compose(seed: int, band: str = "workshop", change: Change = Change()) -> Piece:
    """One piece of 20 to 30 s, or as much longer as it slows down. `band` is a key of `instruments.BANDS`."""
    rng = np.random.default_rng([seed, len(band)])
    meter = str(rng.choice(["4/4", "3/4", "6/8"], p=[0.6, 0.25, 0.15]))
    beats_a_bar = {"4/4": 4, "3/4": 3, "6/8": 2}[meter]
    bpm = float(np.exp(rng.uniform(np.log(60), np.log(180 if meter != "6/8" else 120))))
    has_drums, syncopated = bool(rng.random() < 0.66), bool(rng.random() < 0.33)
    swing = float(rng.uniform(0.58, 0.67)) if meter == "4/4" and rng.random() < 0.2 else 0.5
    is_minor, tonic = bool(rng.random() < 0.42), int(rng.integers(12))
    form, part_bars = _form(rng, bar_s=beats_a_bar * 60 / bpm)

    num_bars = len(form) * part_bars
    changing = [beats_a_bar * round(share * num_bars) for share in (change.tempo_from, change.tempo_to)]
    beats_s = _beat_times(rng, bpm, num_bars * beats_a_bar, change.tempo_ratio, changing)
    turns = _turns(rng, is_minor, form)
    turned = min(range(1, len(form)), key=lambda index: abs(index - len(form) / 2))
    home = [(tonic, is_minor, turns)]
    if change.semitones or change.other_mode:
        then_minor = is_minor != change.other_mode
        then_turns = _turns(np.random.default_rng([seed, 12]), then_minor, form) if change.other_mode else turns
        home.append(((tonic + change.semitones) % 12, then_minor, then_turns))
    styles = {letter: _style(rng, meter, syncopated) for letter in sorted(set(form))}
    drums = {letter: int(rng.integers(3)) for letter in sorted(set(form))}
    per_bar = int(rng.choice([1, 2])) if beats_a_bar != 3 and bpm < 110 else 1
    notes: list[Note] = []
    spans: list[tuple[int, int, str]] = []  # ticks
    for index, letter in enumerate(form):
        tonic, is_minor, turns = home[-1] if index >= turned else home[0]
        for bar in range(part_bars):
            at_bar = index * part_bars + bar
            is_last = at_bar == len(form) * part_bars - 1 and rng.random() < 0.8
            chords = [turns[letter][(bar * per_bar + k) % 4] for k in range(per_bar)]
            if is_last:
                chords = [(0, "m" if is_minor else "")]
            start, size = at_bar * beats_a_bar * TICKS, beats_a_bar * TICKS
            for k, (degree, quality) in enumerate(chords):
                first, last = start + k * size // len(chords), start + (k + 1) * size // len(chords)
                root = (tonic + degree) % 12
                spans.append(
                    (first, last, NAMES[root] + ("m" if quality.startswith("m") and quality[:3] != "maj" else ""))
                )
                pitches = [(root + step) for step in QUALITIES[quality]]
                notes += _comping(rng, styles[letter], pitches, first, last, meter)
                notes += _bass(rng, styles[letter], pitches, first, last, meter)
                notes += _melody(rng, styles[letter], pitches, tonic, is_minor, first, last, meter, syncopated)
            if has_drums:
                notes += _drums(rng, drums[letter], start, meter, swing != 0.5, syncopated)
    samples = _played(rng, notes, beats_s, swing, BANDS[band])
    part_beats = part_bars * beats_a_bar
    names = [f"{NAMES[at]} {'minor' if minor else 'major'}" for at, minor, _ in home]
    traits = [("drums", has_drums), ("syncopated", syncopated), ("swing", swing != 0.5), ("minor", home[0][1])]
    turn_s, end_s = beats_s[turned * part_beats], beats_s[-1]
    return Piece(
        samples=samples,
        tempo_bpm=60 * (len(beats_s) - 1) / float(beats_s[-1] - beats_s[0]),
        meter=meter,
        beats_s=beats_s[:-1],
        downbeats_s=beats_s[:-1:beats_a_bar],
        key=names[0],
        chords=_merged([(_at(beats_s, a), _at(beats_s, b), name) for a, b, name in spans]),
        sections=_merged(
            [(beats_s[i * part_beats], beats_s[(i + 1) * part_beats], letter) for i, letter in enumerate(form)]
        ),
        traits=tuple(name for name, holds in traits if holds),
        keys=_merged([(beats_s[0], turn_s, names[0]), (turn_s, end_s, names[-1])]),
        tempo_change_s=(beats_s[changing[0]], beats_s[changing[1]]) if change.tempo_ratio != 1 else None,
    )


def _beat_times(rng: np.random.Generator, bpm: float, num_beats: int, ratio: float, changing: list[int]) -> np.ndarray:
    """Seconds of every beat and of the end; the tempo wanders by about a per cent, and changes between two beats."""
    wander = np.cumsum(rng.standard_normal(num_beats)) if rng.random() < 0.5 else np.zeros(num_beats)
    drift = 1 + 0.01 * wander / max(1e-9, np.abs(wander).max())
    first, last = changing
    changed = np.clip((np.arange(num_beats) - first + 0.5) / max(1, last - first), 0, 1)
    if first == last:
        changed = (np.arange(num_beats) >= first).astype(float)
    gaps_s = 60 / bpm * drift / ratio**changed
    return rng.uniform(0.05, 0.8) + np.concatenate([[0.0], np.cumsum(gaps_s)])


def _form(rng: np.random.Generator, bar_s: float) -> tuple[str, int]:
    """A form and the bars of one of its parts, so that all of it lasts 20 to 30 s, or nearly."""
    fitting = [(f, n) for f in FORMS for n in (1, 2, 3, 4, 6, 8) if 20 <= len(f) * n * bar_s <= 29]
    best = max(min(n, 4) for _, n in fitting)  # parts of four bars or more where they fit
    form, part_bars = [one for one in fitting if one[1] >= best][int(rng.integers(sum(n >= best for _, n in fitting)))]
    return form, part_bars


def _turns(rng: np.random.Generator, is_minor: bool, form: str) -> dict[str, list[tuple[int, str]]]:
    """A turn for each letter, no two alike."""
    turns: dict[str, list[tuple[int, str]]] = {}
    for letter in sorted(set(form)):
        turn = _turn(rng, is_minor, first=letter == "A")
        while [degree for degree, _ in turn] in [[degree for degree, _ in other] for other in turns.values()]:
            turn = _turn(rng, is_minor, first=False)
        turns[letter] = turn
    return turns


def _turn(rng: np.random.Generator, is_minor: bool, first: bool) -> list[tuple[int, str]]:
    """Four chords; the first part mostly begins at home."""
    turns = MINOR_TURNS if is_minor else MAJOR_TURNS
    words = str(rng.choice(turns[:7] if first else turns)).split()
    chords = [(int(word.rstrip("m")), "m" if word.endswith("m") else "") for word in words]
    if rng.random() < 0.35:  # thirds on top
        coloured = {"m": "m7", "": "maj7"}
        chords = [
            (d, "7" if d in (7, 2) and not q else coloured[q]) if rng.random() < 0.6 else (d, q) for d, q in chords
        ]
    return chords


def _style(rng: np.random.Generator, meter: str, syncopated: bool) -> Style:
    comping = ["held", "blocks", "arpeggio", "after"]
    if syncopated and meter != "6/8":
        comping = ["pushed", "pushed", "arpeggio", "after"]
    return Style(
        comping=str(rng.choice(comping)),
        bass=str(rng.choice(["long", "beats", "walk"])),
        busy=float(rng.uniform(0.25, 0.8)),
        level=float(rng.uniform(0.6, 1.0)),
    )


def _voiced(rng: np.random.Generator, pitches: list[int], low: int) -> list[int]:
    """The pitch classes as MIDI notes from `low` up, in some inversion."""
    turn = int(rng.integers(len(pitches)))
    return sorted(low + (pitch - low) % 12 + (12 if i < turn else 0) for i, pitch in enumerate(pitches))


def _comping(
    rng: np.random.Generator, style: Style, pitches: list[int], first: int, last: int, meter: str
) -> list[Note]:
    chord, loud = _voiced(rng, pitches, 52), 0.5 * style.level
    step = TICKS // 3 if meter == "6/8" else TICKS // 2
    if style.comping == "held":
        places = [(first, last - first)]
    elif style.comping == "blocks":
        places = [(at, TICKS - 1) for at in range(first, last, TICKS)]
    elif style.comping == "after":  # oom-pah, or the off-beats
        rest = [at for at in range(first, last, TICKS) if (at - first) // TICKS % {"3/4": 3}.get(meter, 2)]
        eighths = range(first + step, last, step * (1 if meter == "6/8" else 2))
        places = [(at, step) for at in (rest if meter == "3/4" or rng.random() < 0.5 else eighths)]
    elif style.comping == "pushed":  # three and three and two
        places = [(at, length * step - 1) for at, length in _threes(first, last, step)]
    else:
        return [
            Note(part="chords", at=at, length=2 * step, pitch=chord[i % len(chord)], loud=loud)
            for i, at in enumerate(range(first, last, step))
        ]
    return [Note(part="chords", at=at, length=n, pitch=pitch, loud=loud) for at, n in places for pitch in chord]


def _threes(first: int, last: int, step: int) -> list[tuple[int, int]]:
    places, at = [], first
    for length in (3, 3, 2) * 8:
        if at < last:
            places.append((at, min(length, (last - at) // step)))
        at += length * step
    return places


def _bass(rng: np.random.Generator, style: Style, pitches: list[int], first: int, last: int, meter: str) -> list[Note]:
    root, third, fifth = (36 + (pitch - 36) % 12 for pitch in pitches[:3])
    inverted = rng.random() < 0.12
    if style.bass == "long":
        line = [(first, last - first, third if inverted else root)]
    elif style.bass == "beats":
        line = [(at, TICKS, root if i % 2 == 0 else fifth) for i, at in enumerate(range(first, last, TICKS))]
        line = line[:1] if meter == "3/4" else line
    else:
        walk = (root, third, fifth, third + 12 if rng.random() < 0.3 else root)
        line = [(at, TICKS, walk[i % 4]) for i, at in enumerate(range(first, last, TICKS))]
    return [Note(part="bass", at=at, length=n, pitch=pitch, loud=0.9 * style.level) for at, n, pitch in line]


def _melody(
    rng: np.random.Generator, style: Style, pitches: list[int], tonic: int, is_minor: bool,
    first: int, last: int, meter: str, syncopated: bool,
) -> list[Note]:  # fmt: skip
    """Chord notes on strong places, notes of the scale between them; ahead of the beat where syncopated."""
    scale = [(tonic + s) % 12 for s in ((0, 2, 3, 5, 7, 8, 10) if is_minor else (0, 2, 4, 5, 7, 9, 11))]
    step = TICKS // 3 if meter == "6/8" else TICKS // 2
    notes: list[Note] = []
    here = 67 + int(rng.integers(8))
    for at in range(first, last, step):
        strong = (at - first) % TICKS == 0
        if rng.random() > style.busy * (1.2 if strong else 0.8):
            continue
        classes = [p % 12 for p in pitches] if strong or rng.random() < 0.4 else scale
        near = [p for p in range(60, 85) if p % 12 in classes and abs(p - here) <= 7]
        here = int(rng.choice(near)) if near else here
        early = step if syncopated and strong and at > 0 and rng.random() < 0.5 else 0
        length = step * int(rng.integers(1, 4))
        notes.append(Note(part="melody", at=at - early, length=length, pitch=here, loud=0.8 if strong else 0.65))
    return notes


def _drums(rng: np.random.Generator, pattern: int, start: int, meter: str, swung: bool, syncopated: bool) -> list[Note]:
    half = TICKS // 2
    if meter == "4/4":
        kicks = ([0, 24], [0, 12, 24, 36], [0, 18, 24, 42])[2 if syncopated else pattern]
        snares = ([12, 36], [12, 36], [12, 36, 42])[pattern]
        hats = list(range(0, 48, half)) if pattern or swung else list(range(0, 48, TICKS))
    elif meter == "3/4":
        kicks, snares = ([0], [0], [0, 30])[pattern], ([12, 24], [24], [12, 24])[pattern]
        hats = list(range(0, 36, half if pattern == 1 else TICKS))
    else:
        kicks, snares, hats = ([0], [0, 20], [0, 12])[pattern], [12], list(range(0, 24, 4))
    hits = [("kick", at, 1.0) for at in kicks] + [("snare", at, 0.7) for at in snares]
    hits += [("hat", at, 0.35 if at % TICKS == 0 else 0.22) for at in hats]
    return [
        Note(part=part, at=start + at, length=half, pitch=0, loud=loud * float(rng.uniform(0.85, 1.0)))
        for part, at, loud in hits
    ]


def _played(rng: np.random.Generator, notes: list[Note], beats_s: np.ndarray, swing: float, band: Band) -> np.ndarray:
    """All notes on the band's instruments, a little human, in a room, with some noise."""
    chosen = {part: str(rng.choice(sorted(players))) for part, players in band.players.items()}
    cents, late_s = rng.uniform(-40, 40) if rng.random() < 0.5 else 0.0, float(rng.uniform(0.0, 0.012))
    dry = np.zeros(int((beats_s[-1] + 1.0) * RATE_HZ))
    for note in notes:
        start_s = max(0.0, _at(beats_s, _swung(note.at, swing)) + late_s * rng.standard_normal())
        length_s = max(0.05, _at(beats_s, note.at + note.length) - _at(beats_s, note.at))
        if note.part in chosen:
            hz = 440 * 2 ** ((note.pitch - 69 + cents / 100) / 12)
            sound = band.players[note.part][chosen[note.part]](hz, length_s, rng)
        else:
            sound = band.drums[note.part](rng)
        first = int(start_s * RATE_HZ)
        sound = sound[: len(dry) - first] * note.loud * float(rng.uniform(0.85, 1.0)) * band.levels.get(note.part, 1.0)
        dry[first : first + len(sound)] += sound
    wet = room(dry, rng, decay_s=float(rng.uniform(0.2, 1.2)), share=float(rng.uniform(0.0, 0.35)))
    wet *= 10 ** (rng.uniform(-24, -14) / 20) / np.sqrt(np.mean(wet**2))
    return np.clip(wet + 10 ** (rng.uniform(-70, -45) / 20) * rng.standard_normal(len(wet)), -1, 1)


def _swung(at: float, swing: float) -> float:
    """The second half of a beat, from `swing` of it on."""
    beat, within = divmod(at / TICKS, 1)
    bent = within * 2 * swing if within < 0.5 else swing + (within - 0.5) * 2 * (1 - swing)
    return (beat + bent) * TICKS


def _at(beats_s: np.ndarray, ticks: float) -> float:
    return float(np.interp(ticks / TICKS, np.arange(len(beats_s)), beats_s))


def _merged(stretches: list[tuple[float, float, str]]) -> tuple[Named, ...]:
    merged: list[Named] = []
    for start_s, end_s, name in stretches:
        if merged and merged[-1].name == name:
            start_s = merged.pop().start_s
        merged.append(Named(start_s=float(start_s), end_s=float(end_s), name=name))
    return tuple(merged)
