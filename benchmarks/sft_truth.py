"""Shards whose records hold an answer key and nothing else: python -m benchmarks.sft_truth SCENES OUTPUT

SCENES is a folder of recordings with `truth.jsonl`. Every row of one to five events becomes a record: its events are
facts that a person wrote, its words and turns those of the key where there are any; nothing is heard by a model.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.sidecar import label_of, rows_of
from benchmarks.truth import in_ms
from pipeline.decode import decode
from pipeline.lot import Lot
from pipeline.shards import Imprint, write_shard
from pipeline.sources import source_id
from schemas import audioset
from schemas.audio import Waveform
from schemas.record import (
    Branch,
    Branches,
    Caption,
    Claim,
    Clip,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    Quality,
    Segment,
    SoundAnnotation,
    Source,
    SpeechAnnotation,
    Turn,
    Word,
)
from schemas.span import Span
from schemas.store import local_uri, store_at

RATE_HZ = 16_000
MODEL = "key@1"
MOST_EVENTS = 5
AROUND_MS = 400  # kept before the first and after the last event of a record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("output")
    arguments = parser.parse_args()
    store, number = store_at(arguments.output), 0
    for lot_number, scene in enumerate(rows_of(arguments.scenes)):
        clips = list(clips_of(arguments.scenes / scene["scene"], scene))
        number += len(clips)
        lot = Lot(plan="0123456789", number=lot_number, items=tuple(clips))
        write_shard(store, lot, Imprint(recipe="key", config="sha256:0", max_shard_bytes=1 << 32))
    print(f"{number} records -> {arguments.output}")


def clips_of(path: Path, scene: dict[str, Any]) -> Iterator[Clip]:
    with path.open("rb") as file:
        sound = decode(file, RATE_HZ, 0, 600_000).waveform
    source = Source(id=source_id(local_uri(path)), uri=local_uri(path), etag="key", duration_ms=sound.duration_ms)
    events = [event for event in scene["events"] if in_ms(event["offset"]) <= sound.end_ms]
    spans = set()
    for first in range(len(events)):
        for last in range(first, min(len(events), first + MOST_EVENTS)):
            ends_ms = max(in_ms(event["offset"]) for event in events[first : last + 1])
            start_ms, end_ms = in_ms(events[first]["onset"]) - AROUND_MS, ends_ms + AROUND_MS
            spans.add((max(0, start_ms), min(sound.end_ms, end_ms)))
    for start_ms, end_ms in sorted(spans):
        yield clip_of(source, sound, events, Span.of(start_ms, end_ms))


def clip_of(source: Source, sound: Waveform, events: list[dict[str, Any]], span: Span) -> Clip:
    """The record of a stretch: what of the key lies in it, words by their middles."""
    facts: dict[str, list[Fact]] = {"speech": [], "sound": [], "music": []}
    words: list[Word] = []
    turns: list[Turn] = []
    names: dict[str, str] = {}
    classes: dict[str, float] = {}
    for event in events:
        part = Span.of(in_ms(event["onset"]), in_ms(event["offset"])).clipped(span)
        if part is None:
            continue
        label, kind = label_of(event), event["kind"]
        known = audioset.known(label)
        classes[known.coarse if known and known.coarse else "source_ambiguous"] = 1.0
        fact = Fact(
            start_ms=part.start_ms, end_ms=part.end_ms, kind="event", text=label, score=1.0, label=label, human=True
        )
        facts[kind].append(fact)
        if kind == "speech":
            name = names.setdefault(event["source"], f"S{len(names) + 1:02d}")
            turns.append(Turn(start_ms=part.start_ms, end_ms=part.end_ms, speaker=name))
            inside = [
                Word(start_ms=here.start_ms, end_ms=here.end_ms, text=text, score=1.0, speaker=name)
                for text, start, end in event.get("words", ())
                if span.start_ms <= in_ms((start + end) / 2) < span.end_ms
                and (here := Span.of(in_ms(start), in_ms(end)).clipped(span))
            ]
            words += inside
            if inside:
                said = Span.of(inside[0].start_ms, inside[-1].end_ms)
                text = " ".join(word.text for word in inside)
                sentence = replace(fact, start_ms=said.start_ms, end_ms=said.end_ms, kind="transcript", text=text)
                facts[kind].append(replace(sentence, label=None, speaker=name))
    whole = all("words" in e for e in events if e["kind"] == "speech" and overlaps(e, span))
    if not whole:  # a transcript of a part would be a false one of the whole
        words = []
        facts["speech"] = [fact for fact in facts["speech"] if fact.kind != "transcript"]
    branches = Branches(
        speech=SpeechAnnotation(
            **outcome(facts["speech"]),
            language="en" if words else None,
            turns=tuple(turns),
            words=tuple(sorted(words, key=lambda w: w.start_ms)),
        ),
        sound=SoundAnnotation(**outcome(facts["sound"])),
        music=MusicAnnotation(**outcome(facts["music"])),
    )
    claims = tuple(
        Claim(
            start_ms=fact.start_ms,
            end_ms=fact.end_ms,
            text=f"From {(fact.start_ms - span.start_ms) / 1000:.1f} to {(fact.end_ms - span.start_ms) / 1000:.1f} s: "
            f"{fact.text}.",
            branch=Branch(branch),
            evidence=(f"{branch}/{index}",),
            score=1.0,
        )
        for branch, ones in facts.items()
        for index, fact in enumerate(ones)
    )
    return Clip(
        segment=Segment(source=source, start_ms=span.start_ms, end_ms=span.end_ms, profile=Profile(**classes)),
        waveform=sound.cut(span),
        quality=Quality(loudness_lufs=None, peak_db=None, clipped_ratio=0.0, snr_db=None, bandwidth_hz=None),
        branches=branches,
        caption=Caption(text=" ".join(claim.text for claim in claims), claims=claims, merger=MODEL),
    )


def outcome(facts: list[Fact]) -> dict[str, Any]:
    if not facts:
        return {"outcome": Outcome.SKIPPED, "model": MODEL, "reason": "the key holds nothing of it"}
    text = "; ".join(fact.text for fact in facts)
    return {"outcome": Outcome.OK, "model": MODEL, "text": text, "facts": tuple(facts)}


def overlaps(event: dict[str, Any], span: Span) -> bool:
    return in_ms(event["onset"]) < span.end_ms and span.start_ms < in_ms(event["offset"])


if __name__ == "__main__":
    main()
