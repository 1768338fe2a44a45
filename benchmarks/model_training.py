"""What a step of training costs: python -m benchmarks.model_training [--size 4b] [--pack-tokens 8192] [--device cuda]

Full steps as the loops make them: packs of sound and text with document masking, forward and backward pass of the whole
model, clipping, AdamW. Weights are random and packs are made of noise, so nothing is downloaded; a pack holds segments
of 5 to 30 s with answers of 20 to 200 tokens, as shards give. Operations are those of the model (model/flops.py):
what is computed again to save memory does not count. The peak is the data sheet's, or on a CPU the measured one.
"""

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.model_timing import synchronise
from model.examples import Example, Visit
from model.flops import learning, measured_cpu_flops, peak_flops
from model.frames import SAMPLE_RATE_HZ, num_audio_tokens, num_mel_frames
from model.initialise import fresh
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.packing import Layout, Pack, chosen, collate
from model.parts import BETWEEN, Part, learns
from model.prompt import Sample, audio_span
from model.sizes import SIZES
from model.tokens import Tokenizer
from model.training import Rank, TrainingConfig, backward, prepared
from model.vocabulary import build

LENGTHS_S = (5.0, 30.0)
ANSWER_TOKENS = (20, 200)
PROMPT_TOKENS = 40
WAITING = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="4b")
    parser.add_argument("--pack-tokens", type=int, default=8192)
    parser.add_argument("--packs", type=int, default=1, help="a step")
    parser.add_argument("--steps", type=int, default=10, help="that are timed, after 3 that are not")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--adapter", action="store_true", help="only adapter and mergers learn")
    parser.add_argument("--no-recompute", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measured(arguments)
    if arguments.json:
        print(json.dumps(found))
        return
    memory = "" if found["peak_gib"] is None else f", {found['peak_gib']:.1f} GiB at most"
    print(
        f"{arguments.size} on {found['device']}: {found['tokens_per_s']:,.0f} tokens/s, {found['mfu']:.1%} MFU, "
        f"{found['seconds']:.2f} s a step of {found['tokens']:,.0f} tokens ({found['audio_s']:,.0f} s of sound){memory}"
    )


def measured(arguments: argparse.Namespace) -> dict[str, float | str | None]:
    """The medians over the steps that are timed."""
    rank = Rank(device=arguments.device)
    steps = 3 + arguments.steps
    config = TrainingConfig(
        optimiser=OptimiserConfig(lr=1e-5),
        schedule=ScheduleConfig(kind="constant", steps=steps, warmup_steps=1),
        precision=arguments.precision,
        recompute=not arguments.no_recompute,
        compiled=not arguments.no_compile,
    )
    size = SIZES[arguments.size]
    model = prepared(learns(fresh(size), BETWEEN if arguments.adapter else frozenset(Part)), config, rank)
    adamw = optimiser(model, config.optimiser)
    trained = learning(model)
    packs = noise_packs(size.audio_token_id, size.language_config.vocab_size, arguments.pack_tokens)
    seconds, flops, tokens, audio_s = [], [], [], []
    for step in range(steps):
        of_step = [next(packs) for _ in range(arguments.packs)]
        synchronise(arguments.device)
        begun = time.perf_counter()
        loss = backward(model, of_step, Layout.PACKED, rank, ["noise"], trained)
        update(model, adamw, config.schedule, config.optimiser, step)
        synchronise(arguments.device)
        if step >= 3:
            seconds.append(time.perf_counter() - begun)
            flops.append(loss.flops)
            tokens.append(loss.tokens)
            audio_s.append(loss.audio_s)
    on_gpu = arguments.device.startswith("cuda")
    peak = peak_flops(arguments.device) if on_gpu else measured_cpu_flops(getattr(torch, arguments.precision))
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "seconds": float(np.median(seconds)),
        "tokens": float(np.median(tokens)),
        "audio_s": float(np.median(audio_s)),
        "tokens_per_s": sum(tokens) / sum(seconds),
        "mfu": sum(flops) / sum(seconds) / peak if peak else float("nan"),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
    }


def noise_packs(audio_id: int, vocabulary: int, pack_tokens: int) -> Iterator[Pack]:
    """Packs without end, of noise and random tokens that are not the placeholder."""
    chance = np.random.default_rng(0)
    tokenizer = Tokenizer(build())
    waiting: list[Example] = []
    while True:
        while len(waiting) < WAITING:
            waiting.append(noise_example(chance, tokenizer, audio_id, vocabulary))
        indices = set(chosen([example.num_tokens for example in waiting], pack_tokens))
        taken = [example for index, example in enumerate(waiting) if index in indices]
        waiting = [example for index, example in enumerate(waiting) if index not in indices]
        yield collate(taken, pack_tokens, Layout.PACKED, audio_id + 1)


def noise_example(chance: np.random.Generator, tokenizer: Tokenizer, audio_id: int, vocabulary: int) -> Example:
    """A segment as long as shards have them, a question and an answer."""
    sound = (0.1 * chance.standard_normal(int(chance.uniform(*LENGTHS_S) * SAMPLE_RATE_HZ))).astype(np.float32)
    frames = num_mel_frames(len(sound))
    span = audio_span(num_audio_tokens(frames), tokenizer)
    heard = [audio_id if number == tokenizer.special.audio else audio_id + 2 for number in span]
    asked, answer = (
        [int(number) for number in chance.integers(audio_id + 3, vocabulary, count)]
        for count in (PROMPT_TOKENS, int(chance.integers(*ANSWER_TOKENS)))
    )
    ids = (*heard, *asked, *answer)
    targets = (*[-100] * (len(heard) + len(asked) - 1), *answer, -100)
    return Example(
        visit=Visit(source=0, number=0),
        index=0,
        key="noise",
        group="noise",
        task="noise",
        sample=Sample(ids=ids, targets=targets, frames=(frames,)),
        sounds=(sound,),
    )


if __name__ == "__main__":
    main()
