"""One model for each variant and seed, trained on the shards of `benchmarks.digits` and tested on the others.

Two stages, by the clock. First the encoder alone, under a linear head that tells words in their order (CTC, Graves et
al., ICML 2006): a language model that cannot tell a word from another by what it hears learns the form of the answers,
and then nothing for long. Then everything, by the next token of `[0.32]seven[0.71]`.

The clock counts the processor's time on a CPU, so that two runs side by side learn as much as one alone.

B rows   T tokens   M mel bands   F mel frames   N audio tokens   C classes: the blank and the words
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.digits_data import WORDS
from benchmarks.digits_scores import score
from model.attention import packed_sight, positions_in
from model.frames import num_audio_tokens
from model.generate import Generator, Request
from model.initialise import fresh
from model.mel import Floats, log_mel
from model.model import AudioLM
from model.prompt import DEFAULT_SYSTEM, Sample, question, render, render_sample
from model.sampling import Sampling
from model.sizes import size as size_called
from model.sound import at_16_khz
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.asking.sample import AskRules
from schemas.asking.transcripts import transcribe_words
from schemas.asking.wordings import WORDINGS
from schemas.errors import ConfigError, InputError
from schemas.formats import transcript
from schemas.shard import Status, read_index, read_sample, shards_in
from schemas.store import store_at

QUESTION = WORDINGS["transcribe_words"][0]
MAX_NEW_TOKENS = 200
BLANK = 0


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
    decay_share: float = 0.4  # of each stage, at its end: the rate falls to zero
    weight_decay: float = 0.1
    pack_tokens: int = 512  # on a CPU attention over a longer pack costs more than it saves
    encoder_segments: int = 8  # at once
    max_grad_norm: float = 1.0
    num_looks: int = 5  # at the testing sides, evenly in time; the last is the result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A segment as it is learnt from: what is heard, float16 of shape (128, frames), and what should be told of it."""

    mel_MF: np.ndarray
    words: tuple[transcript.Utterance, ...]  # times from the segment's start
    answer: str

    @property
    def mel32_MF(self) -> Floats:
        return self.mel_MF.astype(np.float32)


class Clock:
    """Seconds of work: of the processor on a CPU, else of the wall."""

    def __init__(self, device: str) -> None:
        self._now = time.process_time if device == "cpu" else time.perf_counter
        self._start_s = self._now()
        self._held_s = 0.0

    def seconds(self) -> float:
        return self._now() - self._start_s - self._held_s

    def without(self, since_s: float) -> None:
        """What happened since `seconds()` was `since_s` does not count."""
        self._held_s += self.seconds() - since_s


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
            found = run_one(sides, size, VARIANTS[name], recipe, seed=seed, device=device)
            body = {"size": size, "variant": name, "seed": seed, "minutes": minutes, "device": device, **found}
            beside = path.with_suffix(".part")
            beside.write_text(json.dumps(body, indent=1) + "\n")
            beside.rename(path)


def run_one(
    sides: dict[str, list[Example]], size: str, variant: Variant, recipe: Recipe, *, seed: int, device: str
) -> dict[str, Any]:
    """What a model of this variant reaches on the testing sides."""
    training = sides["training"]
    config = size_called(size)
    tokenizer = Tokenizer(build(_texts(training), config.language_config.vocab_size))
    special = tokenizer.special
    language = replace(config.language_config, bos_token_id=special.end_of_text, eos_token_id=special.im_end)
    config = replace(
        config,
        audio_token_id=special.audio,
        language_config=language,
        deepstack_num_inject_layers=variant.num_taps,
    )
    model = fresh(config, seed).to(device)
    rng = np.random.default_rng(seed)
    encoder_steps = pretrain_encoder(model, training, recipe, rng, Clock(device))
    clock, curve, looked = Clock(device), [], 0
    whole_s = 60 * recipe.minutes * (1 - recipe.encoder_share)
    steps = targets = 0
    optimiser = _optimiser(model, recipe)
    model.train()
    for pack in packs(training, tokenizer, variant, recipe, rng):
        now_s = clock.seconds()
        if now_s >= whole_s * (looked + 1) / recipe.num_looks:
            looked += 1
            found = {side: told(model, tokenizer, sides[side], variant) for side in ("known", "unknown")}
            clock.without(now_s)
            spent = recipe.minutes * recipe.encoder_share + now_s / 60
            curve.append({"minutes": round(spent, 2), "step": steps, **found})
            print(json.dumps({"seed": seed, "markers": variant.time_markers, "taps": variant.num_taps, **curve[-1]}))
            if looked == recipe.num_looks:
                break
        loss = _loss(model, pack, device)
        _update(model, optimiser, loss, _rate(recipe, steps, now_s / whole_s), recipe)
        steps += 1
        targets += sum(target >= 0 for sample, _ in pack for target in sample.targets)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_segments": len(training),
        "encoder_steps": encoder_steps,
        "steps": steps,
        "targets": targets,
        "curve": curve,
        **{side: curve[-1][side] for side in ("known", "unknown")},
    }


def pretrain_encoder(
    model: AudioLM, training: Sequence[Example], recipe: Recipe, rng: np.random.Generator, clock: Clock
) -> int:
    """Teaches the encoder which words there are, in their order and without their times; how many steps it took."""
    encoder, device = model.audio_encoder.train(), model.lm_head.weight.device
    torch.manual_seed(int(rng.integers(1 << 31)))
    head = nn.Linear(model.config.audio_config.output_dim, 1 + len(WORDS)).to(device)
    both = nn.ModuleList([encoder, head])
    optimiser = _optimiser(both, recipe)
    whole_s = 60 * recipe.minutes * recipe.encoder_share
    steps = 0
    while (now_s := clock.seconds()) < whole_s:
        drawn = [training[index] for index in rng.integers(len(training), size=recipe.encoder_segments)]
        frames = [example.mel_MF.shape[1] for example in drawn]
        mel_MF = torch.from_numpy(np.concatenate([example.mel32_MF for example in drawn], axis=1)).to(device)
        audio_ND, _ = encoder(mel_MF, frames)
        lengths = [num_audio_tokens(count) for count in frames]
        logprobs = head(audio_ND).log_softmax(dim=-1).split(lengths)
        words = [1 + WORDS.index(word.text) for example in drawn for word in example.words]
        loss = F.ctc_loss(
            nn.utils.rnn.pad_sequence(list(logprobs)),
            torch.tensor(words, device=device),
            torch.tensor(lengths),
            torch.tensor([len(example.words) for example in drawn]),
            blank=BLANK,
            zero_infinity=True,
        )
        _update(both, optimiser, loss, _rate(recipe, steps, now_s / whole_s), recipe)
        steps += 1
    return steps


def examples(output: Path) -> list[Example]:
    """The segments of the shards at `output` that may be asked for every word and its times, if these were labelled.

    A recogniser now and then hears a word in what nobody labelled; that is no truth to be tested by. Raises InputError where there are none.
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
                mel_MF = log_mel(at_16_khz([waveform.samples], waveform.rate_hz)).astype(np.float16)
                words = transcript.parse(task.answer).items
                found.append(Example(mel_MF=mel_MF, words=words, answer=task.answer))
    if not found:
        raise InputError(f"{output} holds no segment with words; `python -m benchmarks.digits data` makes some")
    return found


def packs(
    training: Sequence[Example], tokenizer: Tokenizer, variant: Variant, recipe: Recipe, rng: np.random.Generator
) -> Iterator[list[tuple[Sample, Floats]]]:
    """Samples that fill a row, without end, in another order each round."""
    pack: list[tuple[Sample, Floats]] = []
    while True:
        for index in rng.permutation(len(training)):
            example = training[index]
            messages = question(QUESTION, [example.mel_MF.shape[1]])
            sample = render_sample(messages, example.answer, tokenizer, time_markers=variant.time_markers)
            if pack and sum(len(one.ids) for one, _ in pack) + len(sample.ids) > recipe.pack_tokens:
                yield pack
                pack = []
            pack.append((sample, example.mel32_MF))


def told(model: AudioLM, tokenizer: Tokenizer, tested: Sequence[Example], variant: Variant) -> dict[str, float | None]:
    """Scores of the model's likeliest answers."""
    requests = []
    for example in tested:
        messages = question(QUESTION, [example.mel_MF.shape[1]])
        prompt = render(messages, tokenizer, time_markers=variant.time_markers)
        requests.append(Request(prompt=prompt, mels=(example.mel32_MF,)))
    sampling = Sampling(temperature=0.0, max_new_tokens=MAX_NEW_TOKENS)
    answers = Generator(model, tokenizer).generate(requests, sampling)
    read = [transcript.parse(answer.text) for answer in answers]
    scores = score([(example.words, one.items) for example, one in zip(tested, read, strict=True)])
    well_formed = sum(one.well_formed for one in read) / len(read)
    return {**scores.to_json(), "well_formed": round(well_formed, 4), "num_segments": len(tested)}


def _loss(model: AudioLM, pack: Sequence[tuple[Sample, Floats]], device: str) -> Tensor:
    tokens_BT = torch.tensor([[token for sample, _ in pack for token in sample.ids]], device=device)
    targets_BT = torch.tensor([[target for sample, _ in pack for target in sample.targets]], device=device)
    numbers = [[number for number, (sample, _) in enumerate(pack) for _ in sample.ids]]
    documents_BT = torch.tensor(numbers, device=device)
    mel_MF = torch.from_numpy(np.concatenate([mel for _, mel in pack], axis=1)).to(device)
    heard = model.hear(mel_MF, [mel.shape[1] for _, mel in pack])
    sight = packed_sight(documents_BT, in_blocks=False)
    states_BTE = model.read(tokens_BT, heard, positions_BT=positions_in(documents_BT), sight=sight)
    return model.lm_head.loss(states_BTE, targets_BT).mean


def _optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in module.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in module.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95))


def _rate(recipe: Recipe, step: int, done: float) -> float:
    """Rises over the first steps, stays, and falls to zero over the last of the time; `done` is the share gone by."""
    rising = min(1.0, (step + 1) / recipe.warmup_steps)
    return recipe.rate * rising * min(1.0, max(0.0, 1 - done) / recipe.decay_share)


def _update(module: nn.Module, optimiser: torch.optim.AdamW, loss: Tensor, rate: float, recipe: Recipe) -> None:
    loss.backward()
    for group in optimiser.param_groups:
        group["lr"] = rate
    nn.utils.clip_grad_norm_(module.parameters(), recipe.max_grad_norm)
    if math.isfinite(loss.item()):
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _texts(training: Sequence[Example]) -> list[str]:
    """What the vocabulary is learnt from: the prompt and the answers."""
    prompt = [f"system\n{DEFAULT_SYSTEM}", "user\n", "assistant\n", QUESTION]
    return [text for example in training for text in (*prompt, example.answer)]
