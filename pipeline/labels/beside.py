"""Label files beside a recording: which they are, what is read from them, and what tells that they changed.

Those of `talk.wav` are `talk.rttm` and `talk.wav.rttm`, and so with every other ending. All that are there are read,
and together they are the labels of the recording.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal, TypeVar

from pipeline.labels import ctm, own_json, plain_text, rttm, textgrid
from pipeline.labels.parts import MAX_BYTES, check_density, shown
from schemas.errors import ConfigError, LabelError, StoreError
from schemas.labels import Labels
from schemas.span import Span
from schemas.store import Store, Stored, place

READERS: dict[str, Callable[[bytes, str, frozenset[str]], Labels]] = {
    ".rttm": rttm.read,
    ".ctm": ctm.read,
    ".json": own_json.read,
    ".TextGrid": textgrid.read,
    ".txt": plain_text.read,
}

S = TypeVar("S", bound=Span)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsConfig:
    """Which label files beside a recording are read, and what becomes of it where one of them is bad."""

    endings: tuple[str, ...] = tuple(READERS)  # leave out `.txt` or `.json` where those are something else
    on_bad: Literal["fail", "note"] = "fail"  # the recording fails, or is annotated without that file

    def __post_init__(self) -> None:
        if unknown := [ending for ending in self.endings if ending not in READERS]:
            raise ConfigError(f"endings holds {', '.join(unknown)}; labels are read from {', '.join(READERS)}")
        if self.on_bad not in ("fail", "note"):
            raise ConfigError(f"on_bad={self.on_bad!r} must be 'fail' or 'note'")


def names_beside(name: str, config: LabelsConfig) -> list[str]:
    """What label files of this recording would be called, in the order they are read."""
    stem = str(PurePosixPath(name).with_suffix(""))
    return [f"{base}{ending}" for ending in config.endings for base in (stem, name)]


def is_label_file(name: str, config: LabelsConfig) -> bool:
    return PurePosixPath(name).suffix in config.endings


def beside(store: Store, name: str, config: LabelsConfig) -> list[Stored]:
    """The label files of a recording, as they lie there now."""
    return [stored for beside in names_beside(name, config) if (stored := store.stat(beside))]


def etag_with(etag: str, files: Sequence[Stored]) -> str:
    """What changes when the recording does, or any of its label files, or which there are."""
    if not etag or not files:
        return etag
    told = "\n".join(f"{PurePosixPath(file.name).name}\t{file.etag}" for file in files)
    return f"{etag}+{hashlib.sha256(told.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def read_labels(uri: str, duration_ms: int, config: LabelsConfig) -> tuple[Labels | None, list[str]]:
    """The labels of a recording that lasts so long, and what had to be put up with to read them.

    None where there are no label files. Raises LabelError where one is bad and the config wants that to fail.
    """
    store, name = place(uri)
    recordings = frozenset({PurePosixPath(name).stem, PurePosixPath(name).name})
    read: list[Labels] = []
    notes: list[str] = []
    for stored in beside(store, name, config):
        try:
            labels = _read(store, stored, recordings)
            within, clipped = inside(labels, duration_ms)
            check_density(within, PurePosixPath(stored.name).name)
        except (LabelError, StoreError) as error:
            if config.on_bad == "fail":
                raise
            notes.append(f"{error}; it is annotated without this file")
            continue
        read.append(within)
        notes += [f"{shown(PurePosixPath(stored.name).name)}: {note}" for note in (*labels.notes, *clipped)]
    return (together(read) if read else None), notes


def inside(labels: Labels, duration_ms: int) -> tuple[Labels, list[str]]:
    """The labels clipped to the recording, and a note where any of them went over its end."""
    whole = Span.of(0, max(1, duration_ms))
    over = [
        one
        for kind in (labels.words, labels.turns, labels.sentences, labels.events)
        for one in kind
        if one.end_ms > whole.end_ms
    ]
    clipped = replace(
        labels,
        words=_clipped(labels.words, whole),
        turns=_clipped(labels.turns, whole),
        sentences=_clipped(labels.sentences, whole),
        events=_clipped(labels.events, whole),
        music=_clipped(labels.music, whole),
    )
    if not over:
        return clipped, []
    beyond = sum(one.start_ms >= whole.end_ms for one in over)
    last_s = max(one.end_ms for one in over) / 1000
    note = f"{len(over)} labels go on to {last_s:.2f} s, over the end at {whole.end_ms / 1000:.2f} s, and are clipped"
    return clipped, [f"{note}; {beyond} of them begin after it and are left out" if beyond else note]


def together(read: Sequence[Labels]) -> Labels:
    """One of several: everything each says; of languages and transcripts without times, the first."""
    languages = [labels.language for labels in read if labels.language]
    texts = [labels.text for labels in read if labels.text]
    merged = Labels(
        files=tuple(file for labels in read for file in labels.files),
        words=_in_order(labels.words for labels in read),
        turns=_in_order(labels.turns for labels in read),
        sentences=_in_order(labels.sentences for labels in read),
        events=_in_order(labels.events for labels in read),
        music=_in_order(labels.music for labels in read),
        language=languages[0] if languages else None,
        text=texts[0] if texts else None,
    )
    return replace(merged, speakers=merged.named())


def _read(store: Store, stored: Stored, recordings: frozenset[str]) -> Labels:
    """By its uri in what is kept, and by its name alone in complaints."""
    file = PurePosixPath(stored.name).name
    if stored.num_bytes > MAX_BYTES:
        raise LabelError(f"{shown(file)}: {stored.num_bytes} bytes; a label file has at most {MAX_BYTES}")
    reader = READERS[PurePosixPath(stored.name).suffix]
    return replace(reader(store.read(stored.name), file, recordings), files=(store.uri(stored.name),))


def _clipped(many: tuple[S, ...], whole: Span) -> tuple[S, ...]:
    return tuple(replace(one, end_ms=min(one.end_ms, whole.end_ms)) for one in many if one.start_ms < whole.end_ms)


def _in_order(kinds: Iterable[tuple[S, ...]]) -> tuple[S, ...]:
    """All of them by time, each once."""
    each = dict.fromkeys(one for kind in kinds for one in kind)
    return tuple(sorted(each, key=lambda one: (one.start_ms, one.end_ms)))
