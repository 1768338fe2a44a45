"""`earmark model`: what a model takes, a fresh one, and how far one is from reference activations."""

import dataclasses
import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.show import console, safe
from schemas.errors import ConfigError, InputError

if TYPE_CHECKING:
    from model.config import ModelConfig
    from model.memory import TrainingMemory
    from model.parity import Comparison
    from model.tokens import Tokenizer

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The audio language model: its sizes, its checkpoints.",
)

PARTS = {
    "encoder": "audio encoder",
    "adapter": "adapter",
    "mergers": "DeepStack mergers",
    "embedding": "token embedding",
    "language_layers": "language layers",
    "lm_head": "head",
}
TRAINING = {
    "weights": "weights_bytes",
    "gradients": "gradients_bytes",
    "moments": "moments_bytes",
    "gathered weights": "gathered_bytes",
    "logits": "logits_bytes",
    "activations": "activations_bytes",
    "  or checkpointed": "activations_checkpointed_bytes",
    "together": "total_bytes",
    "together, checkpointed": "total_checkpointed_bytes",
}
NEEDED = ("safetensors", "tokenizers")


@commands.command("show")
def show_size(
    what: Annotated[str, typer.Argument(metavar="SIZE_OR_FOLDER", help="tiny, small, 4b, 8b, or a checkpoint.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, in bytes.")] = False,
) -> None:
    """Tell a model's parameters, and what memory answering and training take.

    \b
    earmark model show 4b
    earmark model show checkpoints/tiny --json
    """
    check_installed()
    from model.memory import GPUS, inference, parameters, training

    config = _config(what)
    answering = inference(config)
    learning = {
        words: [training(config, gpus=gpus, adapters_only=adapters_only) for gpus in GPUS]
        for words, adapters_only in (("everything learns", False), ("adapter and mergers learn", True))
    }
    if as_json:
        counts = parameters(config)
        body = {
            "name": what,
            "config": config.to_json(),
            "parameters": {**dataclasses.asdict(counts), "total": counts.total},
            "inference": dataclasses.asdict(answering),
            "training": {name: [_training_row(memory) for memory in found] for name, found in learning.items()},
        }
        print(json.dumps(body, indent=2))
        return
    audio, language = config.audio_config, config.language_config
    console.print(
        f"{safe(what)}: encoder {audio.encoder_layers} x {audio.d_model}, language {language.num_hidden_layers} x "
        f"{language.hidden_size}, {language.vocab_size:,} tokens, DeepStack {config.num_taps}, "
        f"attention {config.encoder_attention}\n",
        markup=False,
    )
    console.print(_parameter_table(config))
    console.print(
        f"\nweights: {_gib(answering.weights_bfloat16_bytes)} in bfloat16, "
        f"{_gib(answering.weights_float32_bytes)} in float32; keys and values: "
        f"{answering.cache_bytes_per_token:,} bytes a token\n",
        markup=False,
    )
    console.print(_prompt_table(config))
    pack_tokens = learning["everything learns"][0].pack_tokens
    console.print(
        f"\ntraining in bfloat16 with AdamW on packs of {pack_tokens:,} tokens; leave a tenth of each GPU free",
        markup=False,
    )
    for name, found in learning.items():
        console.print()
        console.print(_training_table(name, found))


@commands.command()
def init(
    size: Annotated[str, typer.Argument(metavar="SIZE", help="tiny, small, 4b or 8b.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the checkpoint.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    texts: Annotated[
        Path | None, typer.Option(help="A text file to learn the vocabulary from; without it a token is a byte.")
    ] = None,
) -> None:
    """Write a checkpoint with random weights, to train from nothing.

    \b
    earmark model init tiny checkpoints/tiny
    earmark model init small checkpoints/small --texts captions.txt --seed 1
    """
    check_installed()
    from model.memory import parameters

    config, tokenizer = write_fresh(size, folder, seed=seed, texts=_lines(texts) if texts else ())
    console.print(
        safe(f"{folder}: {parameters(config).total:,} parameters, seed {seed}, {tokenizer.vocab_size:,} tokens")
        + ("" if texts else " (bytes; --texts learns words)"),
        markup=False,
    )


@commands.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A checkpoint with reference activations, cases.safetensors.")],
) -> None:
    """Compare what a checkpoint computes here with reference activations of the published code.

    \b
    earmark model check references/block_4s
    earmark model check references/full
    """
    check_installed()
    from model.parity import check as compare

    found = compare(folder)
    Console(width=200, highlight=False).print(_difference_table(found))  # however narrow: its numbers are never cut
    wrong = [comparison for comparison in found if not comparison.ok]
    if any(comparison.ok and comparison.largest > _least_allowed(found)[comparison.quantity] for comparison in found):
        console.print("of states whose root mean square is above 1, so many times more is allowed", markup=False)
    marked = "; ! marks the others" if wrong else ""
    console.print(f"{len(found) - len(wrong):,} of {len(found):,} are as close as they must be{marked}", markup=False)
    if wrong or not found:
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------------ behind the doors


def check_installed() -> None:
    """Raises ConfigError where what the model needs is not there, and says what to install."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; the model needs the extra "
            "`model`: pip install -c constraints.txt -e '.[model]'"
        )


def _config(what: str) -> "ModelConfig":
    from model.checkpoint import read_config
    from model.sizes import SIZES

    if what in SIZES:
        return SIZES[what]
    if not Path(what).is_dir():
        raise InputError(f"{safe(what)} is neither a size ({', '.join(SIZES)}) nor a folder")
    return read_config(Path(what))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_fresh(
    size: str, folder: Path, *, seed: int = 0, texts: Iterable[str] = (), dtype: str = "float32"
) -> "tuple[ModelConfig, Tokenizer]":
    """A checkpoint with random weights; its vocabulary is learnt from `texts`, or a token is a byte."""
    import torch

    from model import companions
    from model.checkpoint import save
    from model.initialise import fresh
    from model.sizes import size as size_called
    from model.tokens import Tokenizer
    from model.vocabulary import build

    plain = size_called(size)
    tokenizer = Tokenizer(build(texts, plain.language_config.vocab_size))
    config = _speaking(plain, tokenizer)
    save(
        fresh(config, seed, dtype=getattr(torch, dtype)),
        folder,
        config=config,
        write_companions=lambda unnamed: companions.write(unnamed, config, tokenizer),
    )
    return config, tokenizer


def _speaking(config: "ModelConfig", tokenizer: "Tokenizer") -> "ModelConfig":
    """The config with the ids its own vocabulary has."""
    special = tokenizer.special
    return dataclasses.replace(
        config,
        audio_token_id=special.audio,
        language_config=dataclasses.replace(
            config.language_config, bos_token_id=special.end_of_text, eos_token_id=special.im_end
        ),
    )


def _training_row(memory: "TrainingMemory") -> dict[str, Any]:
    return {
        **dataclasses.asdict(memory),
        "state_bytes": memory.state_bytes,
        "total_bytes": memory.total_bytes,
        "total_checkpointed_bytes": memory.total_checkpointed_bytes,
    }


def _table(*names: str) -> Table:
    """A table whose first column is words and the others numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left")
    return table


def _parameter_table(config: "ModelConfig") -> Table:
    from model.memory import BFLOAT16_BYTES, parameters

    counts = parameters(config)
    table = _table("part", "parameters", "share", "bfloat16")
    for part, words in PARTS.items():
        number = getattr(counts, part)
        table.add_row(words, f"{number:,}", f"{100 * number / counts.total:.1f} %", _gib(number * BFLOAT16_BYTES))
    table.add_row("all", f"{counts.total:,}", "", _gib(counts.total * BFLOAT16_BYTES))
    return table


def _prompt_table(config: "ModelConfig") -> Table:
    from model.memory import inference

    table = _table("sound", "prompts", "tokens each", "keys and values", "while encoding")
    for prompt in inference(config).prompts:
        sound = f"{prompt.audio_s} s" if prompt.audio_s < 60 else f"{prompt.audio_s // 60} min"
        table.add_row(
            sound, str(prompt.batch), f"{prompt.prompt_tokens:,}", _gib(prompt.cache_bytes), _gib(prompt.encoder_bytes)
        )
    return table


def _training_table(name: str, found: Sequence["TrainingMemory"]) -> Table:
    table = _table(name, *(f"{memory.gpus} GPU{'' if memory.gpus == 1 else 's'}" for memory in found))
    for words, attribute in TRAINING.items():
        table.add_row(words, *(_gib(getattr(memory, attribute)) for memory in found))
    return table


def _difference_table(found: Sequence["Comparison"]) -> Table:
    """A row for each case, because there may be many, and a column for each quantity."""
    allowed = _least_allowed(found)
    by_place = {(comparison.case, comparison.quantity): comparison for comparison in found}
    table = _table("case", *allowed)
    for case in dict.fromkeys(comparison.case for comparison in found):
        row = [by_place.get((case, quantity)) for quantity in allowed]
        table.add_row(safe(case), *("" if entry is None else _difference(entry) for entry in row))
    table.add_row("allowed", *map(_decimals, allowed.values()), style="dim")
    return table


def _least_allowed(found: Sequence["Comparison"]) -> dict[str, float]:
    allowed: dict[str, float] = {}
    for comparison in found:
        allowed[comparison.quantity] = min(comparison.allowed, allowed.get(comparison.quantity, comparison.allowed))
    return allowed


def _difference(comparison: "Comparison") -> str:
    return f"{_decimals(comparison.largest)}{'' if comparison.ok else '!'}"


def _decimals(number: float) -> str:
    return f"{number:.1e}" if number else "0"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 / 10 else f"{num_bytes / 2**20:,.1f} MiB"
