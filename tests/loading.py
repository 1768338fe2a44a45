"""Data to load in tests: a folder with a tokenizer, work on sources, and whether packs are the same."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from model.catalogue import SourceConfig, SourceKind, catalogue
from model.data import DataConfig, Loader, Work
from model.examples import Damaged, Example, ExampleReader, Passed, Visit
from model.lanes import Laid, Lane, LaneState
from model.tokens import TOKENIZER_FILE
from model.vocabulary import build
from tests import make_shards

MEMBERS = ("tokens_BT", "targets_BT", "documents_BT", "mel_MF")


def tokenizer_in(folder: Path) -> Path:
    """A byte-level tokenizer, as every checkpoint of ours has it."""
    folder.mkdir(parents=True, exist_ok=True)
    build().save(str(folder / TOKENIZER_FILE))
    return folder


def mixed(folder: Path, num_shards: int = 3, each: int = 5) -> tuple[SourceConfig, ...]:
    """Speech, captions and text, as in pretraining."""
    make_shards.shards(folder / "shards", num_shards, each)
    return (
        SourceConfig(place=str(folder / "shards"), group="asr"),
        SourceConfig(place=str(folder / "shards"), group="captions"),
        SourceConfig(place=str(make_shards.texts(folder / "texts")), kind=SourceKind.TEXT, group="text"),
    )


def work_on(folder: Path, sources: tuple[SourceConfig, ...], **changes: object) -> Work:
    known = {"pack_tokens": 700, "window": 4, "workers": 0, "packs_per_step": 2}
    config = DataConfig(sources=sources, **(known | changes))  # type: ignore[arg-type]
    return Work(config=config, catalogue=catalogue(sources), tokenizer=tokenizer_in(folder / "tokenizer"))


def reader_of(folder: Path, source: SourceConfig, **changes: object) -> ExampleReader:
    return work_on(folder, (source,), **changes).reader()


def read_round(reader: ExampleReader, source: int = 0) -> tuple[list[Example], list[Passed], list[Damaged]]:
    """What a round over a source gives."""
    found: tuple[list[Example], list[Passed], list[Damaged]] = ([], [], [])
    for number in range(reader.catalogue.sources[source].num_items):
        read = reader.read(Visit(source=source, number=number))
        if isinstance(read, tuple):
            found[0].extend(read)
        elif isinstance(read, Passed):
            found[1].append(read)
        else:
            found[2].append(read)
    return found


def laid_of(work: Work, lane: int, packs: int, state: LaneState | None = None) -> list[Laid]:
    """The next packs of a lane."""
    with ThreadPoolExecutor(2) as readers:
        return list(islice(Lane(lane, work.lane_config(), work.reader(), readers, state), packs))


def loaded(work: Work, steps: int, **place: object) -> tuple[list[list[Laid]], dict[int, LaneState]]:
    """The packs of so many steps of a rank, and where its lanes are then."""
    with Loader(work, **place) as loader:  # type: ignore[arg-type]
        found = list(islice(loader, steps))
        return found, loader.states()


def bits(laid: Laid) -> tuple[object, ...]:
    """All that a pack is, to be compared."""
    arrays = [getattr(laid.pack, name) for name in MEMBERS]
    told = (laid.pack.frames, laid.pack.lengths, laid.pack.groups, laid.pack.keys)
    return (*((array.dtype.str, array.shape, array.tobytes()) for array in arrays), *told)
