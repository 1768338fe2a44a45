"""One model for each variant and seed, trained on the shards of `benchmarks.digits` and tested on the others.

First the encoder alone, under a linear head that tells words in their order (CTC, Graves et al., ICML 2006), in a loop
of this file; then everything, by `model.pretrain`, on the one task of words with their times. Without the first, a
language model that cannot tell a word from another by what it hears learns the form of the answers, and then nothing
for long.

Time is the processor's on a CPU, so that two runs side by side learn as much as one alone, and the clock's on a GPU.

M mel bands   F mel frames   N audio tokens
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.digits_data import WORDS
from model import companions
from model.catalogue import SourceConfig, catalogue
from model.checkpoint import load, save
from model.config import ModelConfig
from model.data import DataConfig, Work
from model.evaluation.errors import total, word_errors
from model.evaluation.shift import aas
from model.frames import num_audio_tokens
from model.generate import Generator, Request
from model.initialise import fresh
from model.mel import log_mel
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser
from model.parts import Part, learns
from model.pretrain import PretrainConfig, pretrain
from model.prompt import DEFAULT_SYSTEM, question, render
from model.sampling import Sampling
from model.sizes import size as size_called
from model.snapshots import Snapshots
from model.sound import at_16_khz
from model.tokens import Tokenizer
from model.training import SNAPSHOTS, Rank, TrainingConfig
from model.vocabulary import build
from schemas.asking.sample import AskRules
from schemas.asking.transcripts import transcribe_words
from schemas.asking.wordings import WORDINGS
from schemas.errors import ConfigError, InputError
from schemas.formats import transcript
from schemas.shard import Status, read_index, read_sample, shards_in
from schemas.store import store_at

QUESTIONS = WORDINGS["transcribe_words"]
MAX_NEW_TOKENS = 200
BLANK = 0
PACE_STEPS = 30, 130  # two short runs, whose difference is so many steps' time


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    time_markers: bool = True
    num_taps: int = 3


VARIANTS = {
    "markers": Variant(),
    "no-markers": Variant(time_markers=False),
    "no-deepstack": Variant(num_taps=0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained. The figures were found for `tiny` on one core."""

    minutes: float = 20.0
    encoder_share: float = 0.2  # of that, for the encoder alone
    rate: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.4  # of each stage, at its end: the rate falls
    pack_tokens: int = 512  # on a CPU attention over a longer pack costs more than it saves
    encoder_segments: int = 8  # at once
    num_looks: int = 5  # at the testing sides, evenly in time; the last is the result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A segment as it is learnt from: what is heard, float16 of shape (128, frames), and what should be told of it."""

    mel: np.ndarray
    words: tuple[transcript.Utterance, ...]  # times from the segment's start
    answer: str


def run_all(
    out: Path, *, size: str, minutes: float, seeds: Sequence[int], variants: Sequence[str], device: str
) -> None:
    """Trains what has no result yet, seed by seed. Raises ConfigError for a variant there is not."""
    if unknown := set(variants) - VARIANTS.keys():
        raise ConfigError(f"there is no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    if device == "cpu":
        torch.set_num_threads(1)
    recipe = Recipe(minutes=minutes)
    results = out / "results"
    results.mkdir(exist_ok=True)
    sides = {side: examples(out / "shards" / side) for side in ("training", "known", "unknown")}
    for seed in seeds:
        for name in variants:
            path = results / f"{size}-{name}-{seed}.json"
            if path.exists():
                continue
            run = out / "runs" / path.stem
            found = run_one(sides, out / "shards" / "training", run, size, VARIANTS[name], recipe, seed, device)
            body = {"size": size, "variant": name, "seed": seed, "minutes": minutes, "device": device, **found}
            beside = path.with_suffix(".part")
            beside.write_text(json.dumps(body, indent=1) + "\n")
            beside.rename(path)
            print(json.dumps(body), flush=True)


def run_one(
    sides: dict[str, list[Example]],
    shards: Path,
    run: Path,
    size: str,
    variant: Variant,
    recipe: Recipe,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """What a model of this variant reaches on the testing sides. `run` is a folder that is not there yet."""
    now = time.process_time if device == "cpu" else time.perf_counter
    begun_s = now()
    tokenizer = Tokenizer(build(_texts(sides["training"]), size_called(size).language_config.vocab_size))
    config = _config(size_called(size), tokenizer, variant)
    model = fresh(config, seed).to(device)
    encoder_steps = teach_encoder(model, sides["training"], recipe, np.random.default_rng(seed), now)
    start = run / "start"
    save(
        model.cpu(),
        start,
        config=config,
        write_companions=lambda unnamed: companions.write(unnamed, config, tokenizer),
    )
    work = _work(shards, start, variant, recipe, seed)
    train = partial(_pretrained, start, work, recipe, seed=seed, device=device)
    spent_s = []
    for steps in PACE_STEPS:
        before_s = now()
        train(run / f"pace-{steps}", steps)
        spent_s.append(now() - before_s)
    left_s = 60 * recipe.minutes * (1 - recipe.encoder_share)
    step_s = (spent_s[1] - spent_s[0]) / (PACE_STEPS[1] - PACE_STEPS[0])
    num_steps = max(PACE_STEPS[1], round(left_s / step_s))
    before_s = now()
    trained = load(train(run / "whole", num_steps)).to(device)
    spent = (now() - before_s) / 60
    tested = {side: sides[side] for side in ("known", "unknown")}
    looks = {
        step: {side: told(then, tokenizer, found, variant) for side, found in tested.items()}
        for step, then in _looked_at(run / "whole", learns(load(start), frozenset(Part)).to(device))
    }
    before = recipe.minutes * recipe.encoder_share
    return {
        "parameters": sum(parameter.numel() for parameter in trained.parameters()),
        "training_segments": len(sides["training"]),
        "encoder_steps": encoder_steps,
        "steps": num_steps,
        "minutes_spent": round(spent + before, 2),
        "minutes_with_all": round((now() - begun_s) / 60, 2),
        "curve": [{"minutes": round(before + spent * step / num_steps, 2), **found} for step, found in looks.items()],
        **{side: told(trained, tokenizer, found, variant) for side, found in tested.items()},
    }


def _looked_at(run: Path, model: AudioLM) -> Iterator[tuple[int, AudioLM]]:
    """The model as it was at each snapshot of a run."""
    adamw = optimiser(model, OptimiserConfig(lr=1.0))
    for path in sorted((run / SNAPSHOTS).iterdir()):
        step = int(path.name.rpartition("-")[2])
        Snapshots(folder=run / SNAPSHOTS).load(step, model, adamw)
        yield step, model


def _pretrained(start: Path, work: Work, recipe: Recipe, folder: Path, steps: int, *, seed: int, device: str) -> Path:
    warmup_steps = min(recipe.warmup_steps, steps // 4)
    schedule = ScheduleConfig(
        kind="wsd", steps=steps, warmup_steps=warmup_steps, decay_share=recipe.decay_share, end_ratio=0.01
    )
    training = TrainingConfig(
        optimiser=OptimiserConfig(lr=recipe.rate),
        schedule=schedule,
        seed=seed,
        snapshot_every=-(-steps // recipe.num_looks),
        keep=recipe.num_looks,
    )
    return pretrain(start, work, PretrainConfig(stage=2, training=training), folder, Rank(device=device))


def _work(shards: Path, tokenizer: Path, variant: Variant, recipe: Recipe, seed: int) -> Work:
    """The one task, from the shards of the training side."""
    data = DataConfig(
        sources=(SourceConfig(place=str(shards), group="asr", kinds=("word_times",)),),
        pack_tokens=recipe.pack_tokens,
        seed=seed,
        time_markers=variant.time_markers,
        workers=0,
    )
    return Work(config=data, catalogue=catalogue(data.sources), tokenizer=tokenizer)


def _config(config: ModelConfig, tokenizer: Tokenizer, variant: Variant) -> ModelConfig:
    special = tokenizer.special
    language = replace(config.language_config, bos_token_id=special.end_of_text, eos_token_id=special.im_end)
    return replace(
        config,
        audio_token_id=special.audio,
        language_config=language,
        deepstack_num_inject_layers=variant.num_taps,
    )


def teach_encoder(
    model: AudioLM,
    training: Sequence[Example],
    recipe: Recipe,
    rng: np.random.Generator,
    now: Callable[[], float],
) -> int:
    """Teaches the encoder which words there are, in their order and without their times; how many steps it took."""
    encoder, device = model.audio_encoder.train(), model.lm_head.weight.device
    torch.manual_seed(int(rng.integers(1 << 31)))
    head = nn.Linear(model.config.audio_config.output_dim, 1 + len(WORDS)).to(device)
    both = nn.ModuleList([encoder, head])
    adamw = optimiser(both, OptimiserConfig(lr=recipe.rate, betas=(0.9, 0.98)))
    whole_s, begun_s, steps = 60 * recipe.minutes * recipe.encoder_share, now(), 0
    while (done := (now() - begun_s) / whole_s) < 1:
        drawn = [training[index] for index in rng.integers(len(training), size=recipe.encoder_segments)]
        ctc_loss(encoder, head, drawn).backward()
        for group in adamw.param_groups:
            group["lr"] = recipe.rate * min(1.0, (steps + 1) / recipe.warmup_steps, (1 - done) / recipe.decay_share)
        nn.utils.clip_grad_norm_(both.parameters(), 1.0, error_if_nonfinite=True)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        steps += 1
    return steps


def ctc_loss(encoder: nn.Module, head: nn.Module, drawn: Sequence[Example]) -> Tensor:
    """How unlikely the head finds the words of the segments, in their order."""
    frames = [example.mel.shape[1] for example in drawn]
    device = next(encoder.parameters()).device
    mel_MF = torch.from_numpy(np.concatenate([example.mel for example in drawn], axis=1).astype(np.float32))
    audio_ND, _ = encoder(mel_MF.to(device), frames)
    lengths = [num_audio_tokens(count) for count in frames]
    logprobs = head(audio_ND).log_softmax(dim=-1).split(lengths)
    return F.ctc_loss(
        nn.utils.rnn.pad_sequence(list(logprobs)),
        torch.tensor([1 + WORDS.index(word.text) for example in drawn for word in example.words], device=device),
        torch.tensor(lengths),
        torch.tensor([len(example.words) for example in drawn]),
        blank=BLANK,
        zero_infinity=True,
    )


def examples(output: Path) -> list[Example]:
    """The segments of the shards at `output` that may be asked for every word and its times, if these were labelled.

    A recogniser now and then hears a word in what nobody labelled; that is no truth to be tested by. Raises InputError
    where there are none.
    """
    store = store_at(str(output))
    found = []
    for shard in shards_in(store):
        for row in read_index(store, shard):
            if row.status is not Status.SAMPLE:
                continue
            record, waveform = read_sample(store, shard, row)
            speech = record.branches.speech
            if speech is None or not any(fact.human for fact in speech.facts):
                continue
            for task in transcribe_words(record, AskRules()):
                mel = log_mel(at_16_khz([waveform.samples], waveform.rate_hz)).astype(np.float16)
                words = transcript.parse(task.answer).items
                found.append(Example(mel=mel, words=words, answer=task.answer))
    if not found:
        raise InputError(f"{output} holds no segment with words; `python -m benchmarks.digits data` makes some")
    return found


def told(model: AudioLM, tokenizer: Tokenizer, tested: Sequence[Example], variant: Variant) -> dict[str, float | None]:
    """Scores of the model's likeliest answers; shifts are of the words that are right."""
    requests = []
    for example in tested:
        messages = question(QUESTIONS[0], [example.mel.shape[1]])
        prompt = render(messages, tokenizer, time_markers=variant.time_markers)
        requests.append(Request(prompt=prompt, mels=(example.mel.astype(np.float32),)))
    sampling = Sampling(temperature=0.0, max_new_tokens=MAX_NEW_TOKENS)
    read = [transcript.parse(answer.text) for answer in Generator(model, tokenizer).generate(requests, sampling)]
    pairs = [(example.words, one.items) for example, one in zip(tested, read, strict=True)]
    edits = total(word_errors(_said(truth), _said(found)) for truth, found in pairs)
    shifts_ms = [abs(shift_ms) for truth, found in pairs for shift_ms in aas(truth, found).shifts_ms]
    num_words = sum(len(truth) for truth, _ in pairs)
    return {
        "wer": round(edits.rate, 4),
        "aas_ms": round(float(np.mean(shifts_ms)), 1) if shifts_ms else None,
        "median_shift_ms": median(shifts_ms) if shifts_ms else None,
        "matched": round(len(shifts_ms) / 2 / num_words, 4),
        "well_formed": round(sum(one.well_formed for one in read) / len(read), 4),
        "num_words": num_words,
        "num_segments": len(tested),
    }


def _said(words: Sequence[transcript.Utterance]) -> str:
    return " ".join(word.text for word in words)


def _texts(training: Sequence[Example]) -> list[str]:
    """What the vocabulary is learnt from: the prompt and the answers."""
    prompt = [f"system\n{DEFAULT_SYSTEM}", "user\n", "assistant\n", *QUESTIONS]
    return [text for example in training for text in (*prompt, example.answer)]
