"""How fast samples reach a model, beside two libraries: python -m benchmarks.loader OUTPUT [--workers 0,1,2]

OUTPUT holds shards; where it holds none, `--make` segments of 5 to 25 s are put there. All read the same tars with the
same number of processes and make the same log-mel. What each does beyond that is told in the table.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a process, for all of them
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table

from model.catalogue import SourceConfig, catalogue
from model.data import DataConfig, Loader, Work
from model.frames import FRAME_MS, SAMPLE_RATE_HZ, num_mel_frames
from model.mel import log_mel
from model.objectives.mix import kinds_of, sample_of
from model.prompt import question, render_sample
from model.tokens import TOKENIZER_FILE, Tokenizer
from model.vocabulary import build
from pipeline.lot import Lot
from pipeline.shards import Imprint, write_shard
from schemas.asking.sample import AskRules
from schemas.audio import decode_flac
from schemas.shard import Status, parse_record, read_index, read_members, read_tar, shards_in
from schemas.store import Store, store_at

Counts = tuple[int, float]
"""Samples, and seconds of sound."""

GROUP = "instructions"
IN_A_SHARD = 25
BATCH_S = 80.0  # of sound that Lhotse gathers at once
DOES = {
    "ours": "any order, resumable; checks, asks, tokens, log-mel, packs",
    "webdataset": "in tar order; JSON as a dict, log-mel",
    "lhotse": "in tar order, cuts by duration; JSON as a dict, log-mel",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--make", type=int, default=200)
    arguments = parser.parse_args()
    store = store_at(str(arguments.output))
    if not shards_in(store):
        make(store, arguments.make)
    tars = [str(arguments.output / "shards" / f"{shard}.tar") for shard in shards_in(store)]
    table = Table("", "processes", "samples/s", "hours of sound/s", "first after (s)", "what it does")
    with tempfile.TemporaryDirectory() as folder:
        build().save(str(Path(folder) / TOKENIZER_FILE))
        for workers in map(int, arguments.workers.split(",")):
            streams: dict[str, Callable[[], Iterator[Counts]]] = {
                "ours": partial(ours, str(arguments.output), Path(folder), workers),
                "webdataset": partial(by_webdataset, tars, workers),
                "lhotse": partial(by_lhotse, tars, workers),
            }
            for name, stream in streams.items():
                rate, hours, first_s = measured(stream(), arguments.samples)
                table.add_row(name, f"{workers}", f"{rate:.0f}", f"{hours:.2f}", f"{first_s:.1f}", DOES[name])
        console = Console(width=140)
        console.print(table)
        console.print(stages(store, Tokenizer.open(Path(folder)), arguments.samples))


def measured(stream: Iterator[Counts], samples: int) -> tuple[float, float, float]:
    """Samples a second, hours of sound a second, and seconds until the first; a tenth of them is not counted."""
    began = time.perf_counter()
    had, _ = next(stream)
    first_s = time.perf_counter() - began
    while had < samples // 10:
        had += next(stream)[0]
    began, done, sound_s = time.perf_counter(), 0, 0.0
    while done < samples:
        number, seconds = next(stream)
        done, sound_s = done + number, sound_s + seconds
    took_s = time.perf_counter() - began
    stream.close()  # type: ignore[attr-defined]
    return done / took_s, sound_s / 3600 / took_s, first_s


# ------------------------------------------------------------------------------------------------ the three


def ours(output: str, folder: Path, workers: int) -> Iterator[Counts]:
    sources = (SourceConfig(place=output, group=GROUP),)
    config = DataConfig(sources=sources, pack_tokens=2048, workers=workers)
    with Loader(Work(config=config, catalogue=catalogue(sources), tokenizer=folder)) as loader:
        for laid in chain.from_iterable(loader):
            yield len(laid.pack.keys), sum(laid.pack.frames) * FRAME_MS / 1000


def by_webdataset(tars: list[str], workers: int) -> Iterator[Counts]:
    import webdataset

    spread = webdataset.WebDataset(
        tars, shardshuffle=False, workersplitter=webdataset.split_by_worker, empty_check=False
    )
    samples = spread.map(heard_in_members).repeat()
    for frames, _, _ in webdataset.WebLoader(samples, num_workers=workers, batch_size=None):
        yield 1, frames * FRAME_MS / 1000


def heard_in_members(members: dict[str, Any]) -> tuple[int, torch.Tensor, dict[str, Any]]:
    samples, rate_hz = soundfile.read(io.BytesIO(members["flac"]), dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    mel = log_mel(samples)
    return mel.shape[1], torch.from_numpy(mel), json.loads(members["json"])


class Cuts:
    """Lhotse's cuts of all samples of some tars, again and again; `read_tar` does what its own formats' readers do."""

    def __init__(self, tars: list[str]) -> None:
        self._tars = tars

    def __iter__(self) -> Iterator[Any]:
        from lhotse import MonoCut, Recording

        while True:
            for tar in self._tars:
                with Path(tar).open("rb") as file:
                    for key, members in read_tar(file):
                        recording = Recording.from_bytes(members["flac"], key)
                        told = {"told": json.loads(members["json"])}
                        yield MonoCut(
                            id=key, start=0, duration=recording.duration, channel=0, recording=recording, custom=told
                        )


class Mels(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """What Lhotse calls a dataset: from cuts to what is learnt."""

    def __getitem__(self, cuts: Any) -> list[tuple[int, torch.Tensor, dict[str, Any]]]:
        mels = [torch.from_numpy(log_mel(cut.load_audio()[0])) for cut in cuts]
        return [(mel.shape[1], mel, cut.told) for mel, cut in zip(mels, cuts, strict=True)]


def by_lhotse(tars: list[str], workers: int) -> Iterator[Counts]:
    from lhotse import CutSet
    from lhotse.dataset import DynamicCutSampler
    from lhotse.dataset.iterable_dataset import IterableDatasetWrapper

    sampler = DynamicCutSampler(CutSet(Cuts(tars)), max_duration=BATCH_S)
    batches = IterableDatasetWrapper(Mels(), sampler)
    for batch in torch.utils.data.DataLoader(batches, batch_size=None, num_workers=workers):
        yield len(batch), sum(frames for frames, _, _ in batch) * FRAME_MS / 1000


# ------------------------------------------------------------------------------------------------ where time goes


def stages(store: Store, tokenizer: Tokenizer, samples: int) -> Table:
    """What each stage of ours takes of one thread, on average."""
    spent: Counter[str] = Counter()

    @contextmanager
    def told(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        spent[stage] += time.perf_counter() - began

    rules, kinds, done = AskRules(), kinds_of(GROUP), 0
    rows = [(shard, row) for shard in shards_in(store) for row in read_index(store, shard)]
    for visit, (shard, row) in enumerate(islice((one for one in rows if one[1].status is Status.SAMPLE), samples)):
        with told("read the members"):
            members = read_members(store, shard, row)
        with told("parse the record"):
            record = parse_record(members["json"])
        with told("ask"):
            asked = sample_of(record, kinds, rules, visit)
        if asked is None:
            continue
        with told("decode FLAC"):
            sound = decode_flac(members["flac"])
        with told("render"):
            messages = question(asked.question, [num_mel_frames(len(sound.pcm))])
            render_sample(messages, asked.answer, tokenizer, asked.thought)
        with told("log-mel"):
            log_mel(sound.samples)
        done += 1
    table = Table("stage", "ms a sample", "share")
    whole = sum(spent.values())
    for stage, seconds in spent.items():
        table.add_row(stage, f"{1000 * seconds / done:.2f}", f"{100 * seconds / whole:.0f} %")
    return table


def make(store: Store, samples: int) -> None:
    """Segments of 5 to 25 s: words as tones, in noise, with their record."""
    from tests.make_shards import spoken

    lengths = np.random.default_rng(0).integers(7, 40, samples)
    for lot in range(-(-samples // IN_A_SHARD)):
        numbers = range(lot * IN_A_SHARD, min(samples, (lot + 1) * IN_A_SHARD))
        items = tuple(spoken(number, int(lengths[number])) for number in numbers)
        imprint = Imprint(recipe="made", config="c", max_shard_bytes=1 << 30)
        write_shard(store, Lot(plan="0123456789", number=lot, items=items), imprint)


if __name__ == "__main__":
    main()
