"""`earmark build`: sets for training, made of annotated shards."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from jobs.show import console, counting, safe
from pipeline.instructions.build import BuildConfig, BuildReceipt, build
from schemas.asking.sample import AskRules
from schemas.asking.tasks import TASKS, Mix
from schemas.errors import ConfigError
from schemas.store import store_at

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Sets for training, made of annotated shards.",
)

COLUMNS = 45  # of the table, beside the example


@commands.callback()
def _builds() -> None:
    """Sets for training, made of annotated shards."""


@commands.command()
def sft(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="Annotated shards: a folder or s3://bucket/prefix.")],
    dest: Annotated[str, typer.Argument(metavar="DEST", help="An empty folder or s3:// prefix for the set.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Make N samples in all; without it, all there are.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these, parted by commas.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other questions.")] = 0,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="How sure a model must have been.")] = 0.5,
    per_record: Annotated[int, typer.Option(min=1, help="At most N samples of one record.")] = Mix().per_record,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damaged shard or record.")] = False,
) -> None:
    """Make instruction samples for fine-tuning, each answer from its record's evidence.

    DEST gets sft-00000.jsonl in MOSS-Audio's conversation format, the sound in audio/ (addressed relative to DEST), and
    build.json. The same shards and options give the same bytes; the same command goes on where one was stopped.

    \b
    earmark build sft shards/ sft/ --limit 10000
    earmark build sft s3://bucket/shards s3://bucket/sft --tasks transcribe,when,timeline --seed 1
    """
    config = BuildConfig(
        rules=AskRules(seed=seed, min_score=min_score),
        mix=Mix(tasks=_named(tasks), per_record=per_record),
        limit=limit,
    )
    with counting("reading records:") as progress:
        receipt, made = build(store_at(output), store_at(dest), config, strict=strict, progress=progress)
    console.print(_table(receipt))
    for trouble in receipt.damaged[:20]:
        where = f"{trouble.shard} {trouble.key}" if trouble.key else trouble.shard
        console.print(safe(f"DAMAGED {where}: {trouble.reason}"), markup=False)
    if not made:
        console.print("nothing is left to do")
    console.print(safe(_last_line(receipt, dest)), markup=False)


def _named(tasks: str | None) -> tuple[str, ...]:
    """The tasks asked for, in the order of all."""
    if tasks is None:
        return TASKS
    names = {name.strip() for name in tasks.split(",") if name.strip()}
    if unknown := sorted(names - set(TASKS)):
        raise ConfigError(f"there is no task {', '.join(map(repr, unknown))}; there is {', '.join(TASKS)}")
    return tuple(task for task in TASKS if task in names)


def _table(receipt: BuildReceipt) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("samples", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    table.add_column("for example", no_wrap=True)
    for row in receipt.tasks:
        if row.possible:
            example = f"{row.question} -> {row.answer}" if row.question else ""
            table.add_row(row.task, f"{row.taken:,}", f"{row.possible:,}", _short(example))
    return table


def _short(text: str) -> Text:
    """On one line of what room the other columns leave; a Chinese character takes that of two letters."""
    short = Text(safe(text.replace("\n", " / ")))
    short.truncate(max(20, console.width - COLUMNS), overflow="ellipsis")
    return short


def _last_line(receipt: BuildReceipt, dest: str) -> str:
    left = ", ".join(f"{one.number:,} {one.what} left out ({one.reason})" for one in receipt.omitted if one.number)
    damage = ""
    if receipt.damaged_shards:
        damage = f"; {receipt.damaged_shards:,} shards and {receipt.damaged_records:,} of their records were damaged"
    return (
        f"{receipt.shards:,} shards, {receipt.records:,} records -> {receipt.samples:,} samples of "
        f"{receipt.records_used:,} records in {receipt.parts:,} parts at {dest}"
        f"{f'; {left}' if left else ''}{damage}"
    )
