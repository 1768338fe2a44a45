"""What a run says at its end, reckoned from the receipts alone, and the card it leaves beside the shards."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.annotate import Standing
from pipeline.cards import CardUse
from schemas.shard import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One line of the table."""

    step: str
    workers: int
    seconds: float  # workers' time, wall
    cpu_seconds: float
    audio_hours_per_worker_hour: float
    busy: float  # share of the workers' time in this run that was work
    retries: int
    gpus: float = 0.0  # of all its workers together
    audio_hours_per_gpu_hour: float | None = None  # while they work, by the share of a card they hold


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """What the run made of its graphics cards."""

    num_cards: float  # seen; or reserved, where none could be watched
    busy: float | None  # mean over the cards, 0..1; None where none could be watched
    peak_bytes: int | None  # of the fullest card
    audio_hours_per_gpu_hour: float
    cost_per_audio_hour: float | None  # in the currency of the price


def step_reports(
    receipts: Sequence[Receipt], *, workers: Mapping[str, int], wall_s: float, retries: Mapping[str, int]
) -> list[StepReport]:
    """One report per step, in the order of the route."""
    audio_h = sum(receipt.audio_ms for receipt in receipts) / 3_600_000
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}
    gpu_seconds: dict[str, float] = {}
    gpus: dict[str, float] = {}
    for receipt in receipts:
        for step in receipt.steps:
            seconds[step.step] = seconds.get(step.step, 0.0) + step.seconds
            cpu_seconds[step.step] = cpu_seconds.get(step.step, 0.0) + step.cpu_seconds
            gpu_seconds[step.step] = gpu_seconds.get(step.step, 0.0) + step.seconds * step.gpus
            gpus[step.step] = step.gpus
    return [
        StepReport(
            step=step,
            workers=workers.get(step, 1),
            seconds=spent,
            cpu_seconds=cpu_seconds[step],
            audio_hours_per_worker_hour=audio_h / (spent / 3600) if spent else 0.0,
            busy=spent / (wall_s * workers.get(step, 1)) if wall_s else 0.0,
            retries=retries.get(step, 0),
            gpus=gpus[step] * workers.get(step, 1),
            audio_hours_per_gpu_hour=audio_h / (gpu_seconds[step] / 3600) if gpu_seconds[step] else None,
        )
        for step, spent in seconds.items()
    ]


def gpu_report(
    reports: Sequence[StepReport], cards: Sequence[CardUse], *, audio_ms: int, wall_s: float, price: float | None
) -> GpuReport | None:
    """Cards, hours and money of a run in which a step held a part of a card; None where none did.

    `price` is what one card costs an hour. Cards are counted whole for the whole run, however little was held of them.
    """
    reserved = sum(report.gpus for report in reports)
    if not reserved or not wall_s:
        return None
    num_cards = len(cards) or reserved
    gpu_h, audio_h = num_cards * wall_s / 3600, audio_ms / 3_600_000
    return GpuReport(
        num_cards=num_cards,
        busy=sum(card.busy for card in cards) / len(cards) if cards else None,
        peak_bytes=max((card.peak_bytes for card in cards), default=None),
        audio_hours_per_gpu_hour=audio_h / gpu_h,
        cost_per_audio_hour=price * gpu_h / audio_h if price is not None and audio_h else None,
    )


def totals(standing: Standing) -> str:
    """What there is, in one line: the last of every run."""
    receipts = standing.receipts
    hours = sum(plan.audio_ms for plan in standing.plans) / 3_600_000
    return (
        f"{standing.num_recordings:,} recordings, {hours:.2f} h -> {len(receipts):,} of {standing.num_lots:,} shards, "
        f"{sum(r.samples for r in receipts):,} segments ({sum(r.sample_ms for r in receipts) / 3_600_000:.2f} h), "
        f"{sum(r.silences for r in receipts):,} silent stretches, {len(standing.failures):,} failures"
    )


def dataset_card(standing: Standing, *, recipe: str, rate_hz: int) -> str:
    """The README of an output: what is in it, how it was made, and how to open it."""
    receipts = standing.receipts
    models = sorted({model for receipt in receipts for model in receipt.models})
    size = _size_category(sum(receipt.samples for receipt in receipts))
    sources_h = sum(receipt.audio_ms for receipt in receipts) / 3_600_000
    samples_h = sum(receipt.sample_ms for receipt in receipts) / 3_600_000
    reasons = Counter(f"{row.step}: {row.reason}" for row in standing.failures).most_common(20)
    lines = [
        "---",
        "license: other",
        "task_categories: [automatic-speech-recognition, audio-classification]",
        "tags: [audio, webdataset, captions]",
        f"size_categories: [{size}]",
        "configs:",
        "- config_name: default",
        "  data_files: shards/*.tar",
        "---",
        "",
        "# Captioned audio segments",
        "",
        f"{sum(r.samples for r in receipts):,} segments ({samples_h:.2f} h) cut at event boundaries out of "
        f"{standing.num_recordings:,} recordings ({sources_h:.2f} h), in {len(receipts):,} shards. "
        f"{sum(r.silences for r in receipts):,} silent stretches and {len(standing.failures):,} failures stand in "
        "the indexes and are not written as samples.",
        "",
        "| file | holds |",
        "|---|---|",
        f"| `shards/*.tar` | WebDataset: `<key>.flac` (16-bit mono, {rate_hz:,} Hz) and `<key>.json` (the record) |",
        "| `shards/*.parquet` | index: one row a segment, silence and failure, with byte offsets into the tar |",
        "| `shards/*.json` | receipt: counts, SHA-256 of tar and index, config fingerprint, models, seconds per step |",
        "| `plan/*.parquet` | which recordings there were, and which shard each went into |",
        "| `run.json` | the config as it was run |",
        "",
        "Times are milliseconds from the start of the recording. The licence and the rights of the recordings are "
        "those of their sources, which `source.uri` of every record names.",
        "",
        f"Made with the recipe `{recipe}`. What listened: {', '.join(models) or 'nothing yet'}.",
    ]
    if reasons:
        lines += ["", "## Failures", "", "| number | reason |", "|---|---|"]
        lines += [f"| {n} | {' '.join(reason.split()).replace('|', '/')} |" for reason, n in reasons]
    return "\n".join(lines) + "\n"


def _size_category(num_samples: int) -> str:
    """The Hub's words for sizes."""
    for limit, words in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if num_samples < limit:
            return words
    return "n>1M"
