"""Shards to learn from: spoken words and named sounds at known times, written by the pipeline's own writer."""

import json
from pathlib import Path

import numpy as np

from pipeline.lot import Lot
from pipeline.shards import Imprint, write_shard
from schemas.audio import Waveform
from schemas.record import (
    Branches,
    Caption,
    Claim,
    Clip,
    Fact,
    Outcome,
    Profile,
    Segment,
    SoundAnnotation,
    SpeechAnnotation,
    Word,
    skipped,
)
from schemas.store import Store, store_at
from tests import make

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LABELS = ("Bark", "Rain", "Siren", "Meow", "Typing")
HZ = {word: 200.0 + 90 * index for index, word in enumerate(WORDS)}


def spoken(number: int) -> Clip:
    """Words as tones of their own, one to five of them, and one named sound; the number decides all."""
    chance = np.random.default_rng(number)
    told = [WORDS[index] for index in chance.integers(0, 10, 1 + number % 5)]
    starts = [300 + 600 * index + int(chance.integers(0, 20)) * 10 for index in range(len(told))]
    length_ms = 300 + 600 * len(told) + 700
    samples = 0.003 * chance.standard_normal(length_ms * 16)
    for word, start_ms in zip(told, starts, strict=True):
        samples[start_ms * 16 : (start_ms + 300) * 16] += make.tone(300, HZ[word])
    words = tuple(
        Word(start_ms=start, end_ms=start + 300, text=word, score=1.0, speaker="S01")
        for word, start in zip(told, starts, strict=True)
    )
    said = Fact(
        start_ms=words[0].start_ms,
        end_ms=words[-1].end_ms,
        kind="transcript",
        text=" ".join(told),
        score=1.0,
        speaker="S01",
        human=True,
    )
    label = LABELS[number % 5]
    heard = Fact(
        start_ms=length_ms - 500, end_ms=length_ms, kind="event", text=label.lower(), label=label, score=1.0, human=True
    )
    branches = Branches(
        speech=SpeechAnnotation(outcome=Outcome.OK, model="m@1", language="en", words=words, facts=(said,)),
        sound=SoundAnnotation(outcome=Outcome.OK, model="m@1", text=label.lower(), facts=(heard,)),
        music=skipped("music", "m@1", "none"),  # type: ignore[arg-type]
    )
    claim = Claim(
        start_ms=heard.start_ms,
        end_ms=heard.end_ms,
        text=f"Towards the end {label.lower()} is heard.",
        branch="sound",  # type: ignore[arg-type]
        evidence=("sound/0",),
        score=1.0,
    )
    source = make.source(f"r{number}", length_ms)
    return Clip(
        segment=Segment(source=source, start_ms=0, end_ms=length_ms, profile=Profile(speech=1.0, animal=0.5)),
        waveform=Waveform.from_float(samples, make.RATE_HZ),
        quality=make.quality(),
        branches=branches,
        caption=Caption(text=claim.text, claims=(claim,)),
    )


def shards(folder: Path | str, num_shards: int = 3, each: int = 5, first: int = 0) -> Store:
    """An output of so many shards with so many samples each."""
    store = store_at(str(folder))
    for lot in range(num_shards):
        items = tuple(spoken(first + each * lot + index) for index in range(each))
        write_shard(
            store,
            Lot(plan="0123456789", number=first + lot, items=items),
            Imprint(recipe="r", config="c", max_shard_bytes=1 << 30),
        )
    return store


def texts(folder: Path, num_documents: int = 7) -> Path:
    """Documents of one to some hundred words, two to a line-by-line file and the rest alone."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = [" ".join(WORDS[(n + i) % 10] for i in range(1 + 17 * n)) for n in range(num_documents)]
    lines = [json.dumps({"text": document}) for document in documents[:2]]
    (folder / "lines.jsonl").write_text("\n".join(lines) + "\n")
    for number, document in enumerate(documents[2:]):
        (folder / f"alone-{number}.txt").write_text(document)
    return folder
