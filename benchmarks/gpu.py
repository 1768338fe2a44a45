"""What the recipe `gpu` costs: python -m benchmarks.gpu [--size tiny|full] [--hours H] [--recordings FOLDER]

All models of the recipe with random weights, `tiny` or at their published dimensions (`full`), through Ray on the GPUs
there are, or on the processors where there is none. What is printed: each step's share of the work, how busy the GPUs
were, audio-hours per GPU-hour, and with --price what an hour of sound costs.

Two things differ from a run with trained weights. Random decoders hardly ever end, so each is held to --tokens for one
window or question (Whisper, Parakeet and the captioner alike; trained ones write fewer in most). And the language model
that merges is a thread that answers at once, so its time is not in the figures; --llm URL asks a real one.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from annotators.base import Question, Reply, Transcriber
from annotators.recognition.whisper import WhisperConfig, WhisperTranscriber
from annotators.trained_music import TrainedMusicConfig
from annotators.trained_sound import TrainedSoundConfig
from annotators.trained_speech import TrainedSpeechConfig
from benchmarks.gpu_models import PUBLISHED
from benchmarks.processes import family, own_kib
from jobs import show
from jobs.demo import make_recordings
from jobs.doctor import models_in
from jobs.own_captioner import OwnCaptioner, OwnCaptionerConfig
from jobs.recipes import gpu
from pipeline.annotate import plan_new, unfinished
from pipeline.ray_runner import Tally, connected, run_ray
from pipeline.report import gpu_report, step_reports
from pipeline.route import CPU_GEAR, AnnotateConfig, route
from schemas.store import store_at
from schemas.weights import MODELS
from tests.chat_server import ChatServer
from tests.honest_writer import writes
from tests.make_models import MAKERS, write_models

CHECKOUT = Path(__file__).resolve().parents[1]
DEMO_S = 126  # of sound in one set of recordings of the demo, about
LEAST_LOT_MS = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedWhisper(WhisperConfig):
    max_tokens: int = 96  # of one window of 30 s

    def build(self) -> Transcriber:
        transcriber = WhisperTranscriber(self)
        transcriber._options = replace(transcriber._options, max_new_tokens=self.max_tokens)
        return transcriber


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCaptioner(OwnCaptionerConfig):
    max_tokens: int = 96  # of one answer

    def build(self) -> "Bounded":
        return Bounded(self)


class Bounded(OwnCaptioner):
    def __init__(self, config: BoundedCaptioner) -> None:
        super().__init__(config)
        self._max_tokens = config.max_tokens

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        return super().ask([replace(one, max_tokens=min(one.max_tokens, self._max_tokens)) for one in questions])


def bounded(config: AnnotateConfig, max_tokens: int) -> AnnotateConfig:
    """The recipe with every decoder held to so many tokens."""
    speech, sound, music = config.speech, config.sound, config.music
    assert isinstance(speech, TrainedSpeechConfig)
    assert isinstance(sound, TrainedSoundConfig)
    assert isinstance(music, TrainedMusicConfig)
    captioner = BoundedCaptioner(checkpoint=speech.captioner.checkpoint, max_tokens=max_tokens)
    whisper = BoundedWhisper(max_tokens=max_tokens)
    second = replace(speech.second, config=replace(speech.second.config, max_tokens=max_tokens))
    return replace(
        config,
        speech=replace(speech, transcriber=whisper, second=second, captioner=captioner),
        sound=replace(sound, captioner=captioner),
        music=replace(music, transcriber=whisper, captioner=captioner),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--hours", type=float, default=0.07, help="of sound made here, about")
    parser.add_argument("--recordings", type=Path, help="a folder of recordings, in place of made ones")
    parser.add_argument("--models", type=Path, help="where the random models are kept from run to run")
    parser.add_argument("--tokens", type=int, default=96, help="that a decoder writes at most, each time")
    parser.add_argument("--lot-s", type=int, help="sound in one lot; default: an eighth of all, 2 to 20 minutes")
    parser.add_argument("--price", type=float, help="of a GPU, an hour")
    parser.add_argument("--llm", help="the URL of a real language model; EARMARK_LLM_MODEL names it")
    arguments = parser.parse_args()
    os.environ.pop("EARMARK_CAPTIONER_URL", None)  # the captioner is one of the models measured
    folder = Path(tempfile.mkdtemp(prefix="earmark-bench-"))
    try:
        with ExitStack() as stack:
            if arguments.llm:
                os.environ["EARMARK_LLM_URL"] = arguments.llm
            else:
                name = os.environ.setdefault("EARMARK_LLM_MODEL", "at-once")
                os.environ["EARMARK_LLM_URL"] = stack.enter_context(ChatServer(writes, model=name)).url
            measure(arguments, folder)
    finally:
        shutil.rmtree(folder)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    has_gpu = torch.cuda.is_available()
    config = bounded(gpu(), arguments.tokens)
    models = (arguments.models or folder / "models").resolve()
    missing = [weights for weights in models_in(config) if not (models / weights.name).is_dir()]
    begun = time.monotonic()
    write_models(models, missing, MAKERS if arguments.size == "tiny" else PUBLISHED)
    print(f"{len(missing)} models written in {time.monotonic() - begun:.0f} s ({arguments.size}, random weights)")
    os.environ |= {MODELS: str(models), "HF_HUB_OFFLINE": "1"}
    recordings = arguments.recordings or made(folder / "in", arguments.hours)
    lot_ms = arguments.lot_s * 1000 if arguments.lot_s else round(arguments.hours * 3_600_000 / 8)
    lot_ms = min(config.lot_ms, max(LEAST_LOT_MS, lot_ms))
    config = replace(config, lot_ms=lot_ms, gear=config.gear if has_gpu else CPU_GEAR)
    run(config, recordings, folder / "out", arguments)


def made(folder: Path, hours: float) -> Path:
    for number in range(max(1, round(hours * 3600 / DEMO_S))):
        make_recordings(folder / str(number))
    return folder


def run(config: AnnotateConfig, recordings: Path, output: Path, arguments: argparse.Namespace) -> None:
    store, tally = store_at(str(output)), Tally()
    plans = plan_new(store, str(recordings), config, limit=None, passed_over=Counter(), progress=lambda number: None)
    lots = list(unfinished(store, plans))
    with Memory() as memory, connected(None, code=CHECKOUT):
        begun = time.monotonic()
        receipts = list(run_ray(route(config, store.root), lots, tally))
        wall_s = time.monotonic() - begun
    reports = step_reports(receipts, workers=tally.workers, wall_s=wall_s, retries=tally.retries)
    audio_ms = sum(receipt.audio_ms for receipt in receipts)
    print(
        f"{len(lots)} lots of {config.lot_ms / 1000:.0f} s, at most {arguments.tokens} tokens a window or question; "
        f"the language model {'is ' + arguments.llm if arguments.llm else 'answers at once'}\n"
        f"workers built in {tally.ready_s:.0f} of {wall_s:.0f} s, once in a run: measure on hours of sound\n"
    )
    show.console.print(show.step_table(reports))
    segments, failures = sum(r.samples for r in receipts), sum(r.failures for r in receipts)
    print(
        f"\n{show.duration(wall_s)} for {show.duration(audio_ms / 1000)} of sound: "
        f"{audio_ms / 1000 / wall_s:.1f} x real time; {segments} segments, {failures} failures; "
        f"{memory.peak_kib / 2**20:.1f} GiB of memory at most, all processes"
    )
    report = gpu_report(reports, tally.cards, audio_ms=audio_ms, wall_s=wall_s, price=arguments.price)
    print(show.gpu_line(report) if report else "no GPU here: every step ran on processors")


class Memory:
    """The most that this process and all below it held at one time, asked every second."""

    def __init__(self) -> None:
        self.peak_kib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            self.peak_kib = max(self.peak_kib, sum(map(own_kib, family(os.getpid()))))


if __name__ == "__main__":
    main()
