"""Can a model learn what is said, and when? Spoken digits, from recordings to shards to word error rate and shift.

    python -m benchmarks.digits data OUT --shared FOLDER [--hours 1.2] [--unknown nicolas]
    python -m benchmarks.digits run OUT [--minutes 20] [--seeds 0,1,2] [--variants markers,no-markers,no-deepstack]
    python -m benchmarks.digits table OUT

`data` strings recordings from FOLDER/digits, FOLDER/music and FOLDER/clips (`benchmarks/digits_data.py`) and annotates
them with the recipe `sidecar` into shards: OUT/shards/training, and two for testing, `known` (other takes of the
training's speakers) and `unknown` (a speaker never heard). `run` trains and tests one model for each variant and seed,
in OUT/runs, and leaves OUT/results/<size>-<variant>-<seed>.json; those that are there are not made again. `table` tells
the results and draws OUT/digits.png.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from benchmarks.digits_data import TESTING, TRAINING, compose_all, sides

SIDES = ("training", "known", "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data")
    data.add_argument("out", type=Path)
    data.add_argument("--shared", type=Path, required=True)
    data.add_argument("--hours", type=float, default=1.2, help="of training recordings")
    data.add_argument("--test-hours", type=float, default=0.1, help="of each testing side")
    data.add_argument("--unknown", default="nicolas", help="the speaker left out of training")
    data.add_argument("--seed", type=int, default=0)
    run = commands.add_parser("run")
    run.add_argument("out", type=Path)
    run.add_argument("--size", default="tiny")
    run.add_argument("--minutes", type=float, default=20.0, help="of training: of the processor, or of the GPU's clock")
    run.add_argument("--seeds", default="0,1,2")
    run.add_argument("--variants", default="markers,no-markers,no-deepstack")
    run.add_argument("--device", default="cpu")
    table = commands.add_parser("table")
    table.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "data":
        make_data(
            arguments.out,
            arguments.shared,
            unknown=arguments.unknown,
            hours=arguments.hours,
            test_hours=arguments.test_hours,
            seed=arguments.seed,
        )
    elif arguments.command == "run":
        from benchmarks.digits_training import run_all

        run_all(
            arguments.out,
            size=arguments.size,
            minutes=arguments.minutes,
            seeds=[int(seed) for seed in arguments.seeds.split(",")],
            variants=arguments.variants.split(","),
            device=arguments.device,
        )
    else:
        from benchmarks.digits_table import tell

        tell(arguments.out)


def make_data(out: Path, shared: Path, *, unknown: str, hours: float, test_hours: float, seed: int) -> None:
    """Recordings, their labels, and the shards that the pipeline makes of them."""
    found = sides(shared, unknown)
    for number, side in enumerate(SIDES):
        rules = TRAINING if side == "training" else TESTING
        length_h = hours if side == "training" else test_hours
        recordings = compose_all(out / "recordings" / side, getattr(found, side), rules, length_h, 3 * seed + number)
        num_words = sum(len(recording.words) for recording in recordings)
        num_samples = annotate(out / "recordings" / side, out / "shards" / side)
        num_exact = exact_words(out / "shards" / side)
        print(
            f"{side}: {length_h:g} h, {num_words} words, {num_samples} segments; {num_exact} words in them are "
            "the labels' to the millisecond",
            flush=True,
        )


def annotate(recordings: Path, output: Path) -> int:
    """The recipe `sidecar` in this process; how many segments its shards hold."""
    from jobs.recipes import sidecar
    from pipeline.annotate import plan_new, unfinished
    from pipeline.route import route
    from pipeline.steps import run_local
    from schemas.shard import read_receipt, shards_in
    from schemas.store import store_at

    config = sidecar()
    store = store_at(str(output))
    plans = plan_new(store, str(recordings), config, limit=None, passed_over=Counter(), progress=lambda _: None)
    for _ in run_local(route(config, store.root), unfinished(store, plans)):
        pass
    return sum(read_receipt(store, shard).samples for shard in shards_in(store))


def exact_words(output: Path) -> int:
    """How many words of the records stand in the labels beside their recordings with the same text and times."""
    from schemas.shard import Status, read_index, read_record, shards_in
    from schemas.store import store_at

    store = store_at(str(output))
    num_exact = 0
    for shard in shards_in(store):
        for row in read_index(store, shard):
            if row.status is not Status.SAMPLE:
                continue
            record = read_record(store, shard, row)
            recording = Path(record.source.uri.removeprefix("file://"))
            labelled = {
                (word["text"], round(1000 * word["start"]), round(1000 * word["end"]))
                for word in json.loads(recording.with_suffix(".json").read_text())["words"]
            }
            said = record.branches.speech.words if record.branches.speech else ()
            num_exact += sum((word.text, word.start_ms, word.end_ms) in labelled for word in said)
    return num_exact


if __name__ == "__main__":
    main()
