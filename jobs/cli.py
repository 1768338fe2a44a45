"""The doors: `earmark annotate`, `status`, `retry`, `inspect`, `doctor`, `submit`, `demo`, `ask`, `model`, `build`,
`evaluate`."""

import os

# one thread per worker: pools scale by processes, and sums come out the same wherever they are made
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from jobs import show
from jobs.build import commands as build_commands
from jobs.evaluate import evaluate
from jobs.model import check_installed
from jobs.model import commands as model_commands
from jobs.recipes import load
from jobs.train import Stage
from pipeline.annotate import Standing, check_run, plan_new, plan_retry, read_run, standing, unfinished
from pipeline.lot import Lot, Piece
from pipeline.plan import Plan
from pipeline.report import dataset_card, gpu_report, step_reports, totals
from pipeline.route import AnnotateConfig, route
from schemas.errors import EarmarkError, InputError
from schemas.rows import to_row
from schemas.shard import IndexRow, Receipt, Status, read_index, read_record, shards_in
from schemas.store import Store, store_at
from schemas.weights import MODELS, located

CHECKOUT = Path(__file__).resolve().parents[1]

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Raw long audio in, event-preserving captioned WebDataset shards out.",
)

cli.add_typer(model_commands, name="model")
cli.add_typer(build_commands, name="build")
cli.command()(evaluate)

Output = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix that shards are written to.")]
Recipe = Annotated[str, typer.Option(help="The name of a recipe, or file.py:function of your own.")]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster (host:6379, or auto) to work on.")]
Models = Annotated[
    Path | None, typer.Option(help="A folder of models, ORGANISATION/NAME in it, to use before any hub.")
]
Price = Annotated[float | None, typer.Option(min=0, help="What a GPU costs an hour: tells what an hour of sound cost.")]


@cli.command()
def annotate(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="s3://bucket/prefix, folder, file, or manifest.")],
    output: Output,
    recipe: Recipe = "embedded",
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first N recordings.")] = None,
    address: Address = None,
    models: Models = None,
    price: Price = None,
) -> None:
    """Cut, annotate and caption the recordings at INPUT into shards under OUTPUT.

    Finished shards are skipped: the same command resumes an interrupted run.

    \b
    earmark annotate recordings/ shards/
    earmark annotate s3://bucket/raw s3://bucket/shards --address auto
    earmark annotate recordings/ shards/ --recipe gpu --models models/ --price 2.50
    """
    _use_models(models)
    config, modules = load(recipe)
    store = store_at(output)
    store.sweep()
    passed_over: Counter[str] = Counter()
    with show.counting("looking at recordings:") as counting:
        plans = plan_new(store, source, config, limit=limit, passed_over=passed_over, progress=counting)
    if passed_over:
        kinds = ", ".join(f"{n:,} {ending}" for ending, n in passed_over.most_common(8))
        show.console.print(f"passed over, not named like recordings: {kinds}", markup=False)
    _run(store, config, modules, plans, address, price)


@cli.command()
def retry(
    output: Output,
    recipe: Annotated[str | None, typer.Option(help="Needed where the run used a recipe of your own.")] = None,
    address: Address = None,
    models: Models = None,
    price: Price = None,
) -> None:
    """Do again what failed under OUTPUT, and nothing else.

    \b
    earmark retry shards/
    earmark retry s3://bucket/shards --recipe my_recipes.py:night_shift
    """
    _use_models(models)
    store = store_at(output)
    begun = read_run(store)
    config, modules = load(recipe or str(begun.get("recipe")))
    check_run(store, str(begun.get("input")), config)
    before = standing(store)
    plan, changed = plan_retry(store, config, before)
    for failure in changed:
        show.console.print(f"{failure.uri} has changed since: `earmark annotate` takes it up anew", markup=False)
    _run(store, config, modules, [*before.plans, *([plan] if plan else [])], address, price)


@cli.command()
def status(
    output: Output,
    verify: Annotated[bool, typer.Option("--verify", help="Read every shard and compare its SHA-256.")] = False,
) -> None:
    """Tell what is done under OUTPUT, what is left, and what failed.

    \b
    earmark status shards/
    earmark status s3://bucket/shards --verify
    """
    store = store_at(output)
    read_run(store)
    now = standing(store)
    damaged = _verify(store, now.receipts) if verify else []
    for note in (note for receipt in now.receipts for note in receipt.notes):
        show.console.print(f"noted: {show.safe(note)}", markup=False)
    _print_failures(now)
    for sentence in damaged:
        show.console.print(sentence, markup=False)
    if verify and not damaged:
        show.console.print(f"{len(now.receipts):,} shards read: every tar and index is what its receipt says")
    _end(now, damaged=bool(damaged))


@cli.command()
def inspect(
    where: Annotated[str, typer.Argument(metavar="SHARD_OR_OUTPUT", help="An output, or one of its shards (.tar).")],
    key: Annotated[str | None, typer.Option(help="Only the segments whose key begins so.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most N.")] = 10,
    everything: Annotated[bool, typer.Option("--all", help="Silent stretches as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, whole records.")] = False,
) -> None:
    """Show segments and failures, reading only the bytes shown, also from S3.

    \b
    earmark inspect shards/ --limit 3
    earmark inspect s3://bucket/shards/shards/0a1b2c3d4e-000017.tar --json
    """
    store, shards = _shards(where)
    left = limit
    for shard in shards:
        for row in read_index(store, shard):
            if left and row.key.startswith(key or "") and (everything or row.status is not Status.SILENCE):
                _show_row(store, shard, row, as_json)
                left -= 1
        if not left:
            return
    if left == limit:
        raise InputError(f"{where} holds nothing{f' whose key begins with {key!r}' if key else ''}")


@cli.command()
def demo(folder: Annotated[Path, typer.Argument(help="Where to write the recordings.")]) -> None:
    """Make a few recordings of synthetic sound to try the other commands on.

    \b
    earmark demo demo/recordings
    earmark annotate demo/recordings demo/shards
    """
    from jobs.demo import make_recordings

    for path in make_recordings(folder):
        show.console.print(str(path), markup=False)


@cli.command()
def ask(
    checkpoint: Annotated[Path, typer.Argument(help="The folder of a model.")],
    words: Annotated[list[str], typer.Argument(metavar="AUDIO... QUESTION", help="Recordings, then the question.")],
    start: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Hear each recording from here on.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Hear it up to here.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Say at most so many tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="How freely to choose; 0 is always the likeliest.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Choose among the K likeliest; 0 is all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Choose among the likeliest that make up P.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another answer.")] = None,
    thinking_budget: Annotated[int | None, typer.Option(help="Tokens to think for; 0 is no thinking.")] = None,
    thinking: Annotated[bool, typer.Option(help="Show thoughts.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU where there is one.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; as stored.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the model: slow to begin, then faster.")] = False,
) -> None:
    """Ask a model about recordings.

    Choosing is as the model's generation_config.json has it, unless told otherwise here.

    \b
    earmark ask models/MOSS-Audio-4B-Instruct street.flac "What happens, and when?"
    earmark ask models/tiny a.wav b.wav "Which is louder?" --end 30 --temperature 0
    """
    *audios, question = words
    if not audios:
        raise typer.BadParameter(
            f"there is a recording or a question missing beside {show.safe(question)!r}; give both"
        )
    if os.path.isfile(question):  # Path.is_file raises for a long question
        raise typer.BadParameter(f"the question is missing: the last argument is the file {show.safe(question)}")
    check_installed()
    from jobs.ask import Ask
    from jobs.ask import ask as answer

    overrides = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
        "thinking_budget": thinking_budget,
    }
    asked = Ask(
        checkpoint=checkpoint,
        audios=tuple(Path(audio) for audio in audios),
        question=question,
        start_s=start,
        end_s=end,
        shows_thoughts=thinking,
        device=device,
        dtype=dtype,
        compiled=compiled,
    )
    answer(asked, overrides)


@cli.command()
def train(
    stage: Annotated[Stage, typer.Argument(metavar="STAGE", help="encoder, adapter, pretrain, sft, reasoning or rl.")],
    data: Annotated[list[str], typer.Option(help="Annotated shards, or conversations; may be given several times.")],
    checkpoint: Annotated[Path, typer.Option(help="The run's own folder; the same command goes on there.")],
    start: Annotated[Path, typer.Option(help="The checkpoint to begin from; `earmark model init` makes one.")],
    text: Annotated[list[str] | None, typer.Option(help="Folders or files of text, .txt or .jsonl.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates in all.")] = 1000,
    lr: Annotated[float | None, typer.Option(help="The highest learning rate, instead of the stage's own.")] = None,
    packs_per_step: Annotated[int, typer.Option(min=1, help="Packs a step over all ranks: the batch.")] = 8,
    pack_tokens: Annotated[int, typer.Option(min=64, help="Tokens of a pack.")] = 8192,
    lora: Annotated[int | None, typer.Option(min=1, help="Learn low-rank additions of this rank alone.")] = None,
    decoder_layers: Annotated[int, typer.Option(min=1, help="Of the decoder that teaches the encoder.")] = 4,
    prompts_per_step: Annotated[int, typer.Option(min=1, help="rl: prompts a step over all ranks.")] = 128,
    answers: Annotated[int, typer.Option(min=2, help="rl: answers to each prompt.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="rl: of an answer.")] = 2048,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16; on a GPU bfloat16.")] = None,
    recompute: Annotated[bool, typer.Option("--recompute", help="Keep less for the backward pass.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the layers.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another order.")] = 0,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="How sure what is taught must be.")] = 0.5,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damaged sample.")] = False,
    no_time_markers: Annotated[bool, typer.Option("--no-time-markers", help="For an ablation.")] = False,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; without it what there is.")] = None,
    ranks: Annotated[int, typer.Option(min=1, help="Processes that share the model; several run on Ray.")] = 1,
    address: Address = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data, for each rank.")] = 2,
    snapshot_every: Annotated[int, typer.Option(min=1, help="Steps between two snapshots.")] = 500,
) -> None:
    """Train a model from shards, through one of the stages, and write it as a checkpoint into CHECKPOINT/model.

    The same command goes on where a run was broken off.

    \b
    earmark train pretrain --data shards/ --text texts/ --start checkpoints/small --checkpoint runs/one
    earmark train sft --data shards/ --start runs/one/model --checkpoint runs/two --ranks 8 --address auto
    """
    from jobs.train import Train
    from jobs.train import train as run_stage

    check_installed()
    run_stage(
        Train(
            stage=stage,
            data=tuple(data),
            text=tuple(text or ()),
            start=start,
            folder=checkpoint,
            steps=steps,
            lr=lr,
            packs_per_step=packs_per_step,
            pack_tokens=pack_tokens,
            lora=lora,
            decoder_layers=decoder_layers,
            prompts_per_step=prompts_per_step,
            answers=answers,
            max_new_tokens=max_new_tokens,
            precision=precision,
            recompute=recompute,
            compiled=compiled,
            seed=seed,
            min_score=min_score,
            strict=strict,
            time_markers=not no_time_markers,
            device=device,
            ranks=ranks,
            address=address,
            workers=workers,
            snapshot_every=snapshot_every,
        )
    )


@cli.command()
def doctor(
    output: Annotated[str | None, typer.Argument(help="An output to try reading and writing.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Look for all that this recipe needs: models, servers.")] = None,
    models: Models = None,
) -> None:
    """Tell what is installed, what each recipe needs, what is missing, and the command that mends it.

    \b
    earmark doctor
    earmark doctor s3://bucket/shards
    earmark doctor --recipe gpu --models models/
    """
    from jobs.doctor import findings

    _use_models(models)
    well = True
    for finding in findings(output, load(recipe)[0] if recipe else None):
        mark = "ok     " if finding.ok else "missing" if finding.needed else "absent "
        show.console.print(f"{mark} {finding.what:<24} {finding.detail}", markup=False)
        well = well and (finding.ok or not finding.needed)
    if not well:
        raise typer.Exit(1)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context,
    address: Annotated[str, typer.Option(help="The cluster's job server, http://head:8265.")],
    wait: Annotated[bool, typer.Option(help="Follow the job's output until it ends.")] = True,
) -> None:
    """Send a command of this program to a Ray cluster as a job.

    \b
    earmark submit --address http://head:8265 -- annotate s3://bucket/raw s3://bucket/shards
    earmark submit --address http://head:8265 --no-wait -- retry s3://bucket/shards
    """
    from pipeline.ray_runner import submit_job

    if not context.args:
        raise InputError("there is nothing to submit; write the command after --, such as -- annotate INPUT OUTPUT")
    arguments = [*context.args, "--address", "auto"] if context.args[0] in ("annotate", "retry") else context.args
    name, ended_well = submit_job(address, arguments, code=CHECKOUT, wait=wait)
    show.console.print(f"job {name}" + ("" if wait else " is on its way"), markup=False)
    if wait and not ended_well:
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line: our own errors become one line and exit code 1; others keep their traceback."""
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        cli(standalone_mode=True)
    except EarmarkError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


# ------------------------------------------------------------------------------------------ behind the doors


def _interrupted(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _use_models(models: Path | None) -> None:
    """Every process of the run looks there first; where it is does not enter the config."""
    if models is None:
        return
    if not models.is_dir():
        raise InputError(f"--models {models} is no folder; `earmark doctor --recipe gpu` tells what belongs into it")
    os.environ[MODELS] = str(models.resolve())


def _run(
    store: Store,
    config: AnnotateConfig,
    modules: list[ModuleType],
    plans: list[Plan],
    address: str | None,
    price: float | None,
) -> None:
    """Does every lot that has no receipt yet, and tells how it went."""
    planned_ms = {lot.shard: _planned_ms(lot) for plan in plans for lot in plan.lots()}
    left = list(unfinished(store, plans))
    if left:
        if address is None:  # on a cluster it is the workers' machines that must have them
            _fetch_models(config)
        receipts, begun = [], time.monotonic()
        from pipeline.ray_runner import Tally, connected, run_ray

        tally = Tally()
        total_ms = sum(planned_ms.values())
        done_ms = total_ms - sum(planned_ms[lot.shard] for lot in left)
        try:
            with (
                connected(address, code=CHECKOUT, by_value=modules),
                show.RunProgress(total_ms=total_ms, done_ms=done_ms, num_lots=len(left)) as progress,
            ):
                begun = time.monotonic()
                for receipt in run_ray(route(config, store.root), left, tally):
                    receipts.append(receipt)
                    progress.add(receipt, planned_ms[receipt.shard])
        except KeyboardInterrupt:
            show.console.print("\nstopped; what is finished is kept, and the same command goes on from here")
            raise
        wall_s = time.monotonic() - begun
        reports = step_reports(receipts, workers=tally.workers, wall_s=wall_s, retries=tally.retries)
        show.console.print(show.step_table(reports))
        audio_ms = sum(receipt.audio_ms for receipt in receipts)
        audio_s = audio_ms / 1000
        show.console.print(
            f"{show.duration(wall_s)} for {show.duration(audio_s)} of sound: {audio_s / wall_s:.1f} x real time"
        )
        if gpus := gpu_report(reports, tally.cards, audio_ms=audio_ms, wall_s=wall_s, price=price):
            show.console.print(show.gpu_line(gpus))
    else:
        show.console.print("nothing is left to do")
    now = standing(store)
    card = dataset_card(now, recipe=config.recipe, rate_hz=config.rate_hz)
    store.put("README.md", card.encode())
    _print_failures(now)
    _end(now)


def _fetch_models(config: AnnotateConfig) -> None:
    """Has every model of the config here before any worker starts, which would each fetch it for itself.

    Raises ConfigError for the first that is not here and cannot be fetched.
    """
    from jobs.doctor import models_in

    for weights in models_in(config):
        located(weights)


def _planned_ms(lot: Lot[Piece]) -> int:
    return sum(piece.end_ms - piece.start_ms for piece in lot.items)


def _print_failures(now: Standing) -> None:
    for line in show.failure_lines(now.failures):
        show.console.print(line, markup=False)


def _end(now: Standing, damaged: bool = False) -> None:
    """The last line, and an exit code that agrees with it."""
    show.console.print(totals(now), markup=False)
    if now.failures or damaged or not now.is_done:
        raise typer.Exit(1)


def _verify(store: Store, receipts: tuple[Receipt, ...]) -> list[str]:
    import hashlib

    damaged = []
    for receipt in receipts:
        for ending, wanted in ((".tar", receipt.tar_sha256), (".parquet", receipt.index_sha256)):
            name = f"shards/{receipt.shard}{ending}"
            if store.stat(name) is None:
                damaged.append(f"{store.uri(name)} is gone; remove its receipt {receipt.shard}.json and run again")
                continue
            with store.open(name) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if found != wanted:
                damaged.append(
                    f"{store.uri(name)} is damaged: SHA-256 {found[:12]}… where the receipt says {wanted[:12]}…; "
                    f"remove its receipt {receipt.shard}.json and run again"
                )
    return damaged


def _shards(where: str) -> tuple[Store, list[str]]:
    """The store, and the shards meant: all of an output, or the one named."""
    if where.endswith((".tar", ".parquet", ".json")):
        folder, _, file = where.rpartition("/")
        output = folder.removesuffix("/shards") if folder.endswith("/shards") else f"{folder or '.'}/.."
        return store_at(output), [file.rpartition(".")[0]]
    store = store_at(where)
    read_run(store)
    return store, shards_in(store)


def _show_row(store: Store, shard: str, row: IndexRow, as_json: bool) -> None:
    if row.status is not Status.SAMPLE:
        print(json.dumps({"index": to_row(row)}, ensure_ascii=False)) if as_json else print(show.index_line(row))
        return
    record = read_record(store, shard, row)
    if as_json:
        print(json.dumps({"index": to_row(row), "record": to_row(record)}, ensure_ascii=False))
    else:
        print(show.record_text(record))


if __name__ == "__main__":
    main()
