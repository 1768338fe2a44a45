"""Laws of answering: caching, batching, compiling and streaming change nothing of what is said.

In float32 on the CPU logits differ by rounding alone, less than 1e-5; ids are the same.
"""

import gc
from dataclasses import replace

import pytest
import torch

from model import decoding, generate
from model.attention import KVCache
from model.decoding import decode_step, empty_cache, prefill
from model.generate import Finish, Generator, Request
from model.prompt import Prompt, question, render
from model.sampling import FREE, Sampling, choose, row_seed, uniforms
from model.sizes import TINY
from model.tokens import Tokenizer
from model.vocabulary import build
from schemas.errors import ConfigError, InputError
from tests.models import noise_mel, tiny

torch.set_num_threads(1)

TOKENIZER = Tokenizer(build())
SPECIAL = TOKENIZER.special
GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
SAMPLED = Sampling(max_new_tokens=12, top_k=40, top_p=0.95, seed=5)
MODES = [pytest.param(GREEDY, id="greedy"), pytest.param(SAMPLED, id="sampled")]


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def generator(model):
    return Generator(model, TOKENIZER)


def asked(text: str, *frames: int, system: str | None = None) -> Request:
    mels = tuple(noise_mel(count, seed=count).numpy() for count in frames)
    return Request(prompt=render(question(text, frames, system), TOKENIZER), mels=mels)


REQUESTS = [
    asked("What is heard?", 730),
    asked("Hi"),
    asked("Which of these is louder, and when does each of them begin?", 80, 430, 1201),
    asked("What is heard?", 199),
    asked("A question about nothing at all, but a long one. " * 4),
    asked("", 400, 400),
]


def logits_of(model, request: Request, said: list[int]) -> torch.Tensor:
    """Of the next token, everything computed anew."""
    tokens_BT = torch.tensor([[*request.prompt.ids, *said]])
    heard = None
    if request.mels:
        mel_MF = torch.cat([torch.from_numpy(mel) for mel in request.mels], dim=1)
        heard = model.hear(mel_MF, request.prompt.frames)
    return model.lm_head(model.read(tokens_BT, heard)[:, -1])


@torch.no_grad()
def uncached(model, request: Request, sampling: Sampling, seed: int) -> list[int]:
    said: list[int] = []
    uniform_N = uniforms([seed], sampling.max_new_tokens)[0]
    for step in range(sampling.max_new_tokens):
        logits_BV = logits_of(model, request, said)
        said.append(int(choose(logits_BV, uniform_N[step : step + 1], sampling, barred=SPECIAL.audio).ids_B))
        if said[-1] in (SPECIAL.im_end, SPECIAL.end_of_text):
            break
    return said


@pytest.mark.parametrize("sampling", MODES)
def test_a_cache_changes_nothing(model, generator, sampling):
    answers = generator.generate(REQUESTS, sampling)
    for index, (request, answer) in enumerate(zip(REQUESTS, answers, strict=True)):
        assert list(answer.ids) == uncached(model, request, sampling, row_seed(sampling.seed, index))
    assert len({answer.ids for answer in answers}) == len(answers)  # they are not all alike for a dull reason


@pytest.mark.parametrize("sampling", MODES)
def test_batchmates_change_nothing(generator, sampling):
    seeds = [row_seed(3, index) for index in range(len(REQUESTS))]
    together = generator.generate(REQUESTS, sampling, seeds=seeds)
    for request, seed, among in zip(REQUESTS, seeds, together, strict=True):
        (alone,) = generator.generate([request], sampling, seeds=[seed])
        assert (alone.ids, alone.text, alone.finish) == (among.ids, among.text, among.finish)
        assert alone.logprobs == pytest.approx(among.logprobs, abs=1e-5)
        assert alone.sampling_logprobs == pytest.approx(among.sampling_logprobs, abs=1e-5)


@torch.no_grad()
def test_logits_of_a_batch_are_those_of_each_alone(model):
    def read(requests):
        cache = empty_cache(model, len(requests), 1024)
        return prefill(model, [(r.prompt, r.mels) for r in requests], cache, padding=0), cache

    logits_BV, cache = read(REQUESTS)
    assert cache.lengths_B.tolist() == [len(request.prompt.ids) for request in REQUESTS]
    for row, request in enumerate(REQUESTS):
        torch.testing.assert_close(logits_BV[row : row + 1], logits_of(model, request, []), atol=1e-5, rtol=0)
        torch.testing.assert_close(logits_BV[row : row + 1], read([request])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_tokens", [1, 600, 1_100, 1 << 20])
@pytest.mark.parametrize("sampling", MODES)
def test_how_requests_are_split_changes_nothing(model, generator, sampling, batch_tokens):
    wanted = [answer.ids for answer in generator.generate(REQUESTS, sampling)]
    split = Generator(model, TOKENIZER, batch_tokens=batch_tokens)
    assert [answer.ids for answer in split.generate(REQUESTS, sampling)] == wanted


def test_a_budget_bounds_the_caches(model, monkeypatch):
    rooms, empty = [], KVCache.empty
    monkeypatch.setattr(
        KVCache, "empty", lambda n, shape, **kw: rooms.append((shape[0], shape[2])) or empty(n, shape, **kw)
    )
    Generator(model, TOKENIZER, batch_tokens=1_100).generate(REQUESTS, GREEDY)
    assert sum(rows for rows, _ in rooms) == len(REQUESTS)
    assert len(rooms) > 1
    assert all(rows * room <= 1_100 for rows, room in rooms)
    assert all(room % 256 == 0 for _, room in rooms)


@pytest.mark.parametrize("prefill_tokens", [1, 300, 1_000])
def test_how_prompts_are_read_together_changes_nothing(generator, monkeypatch, prefill_tokens):
    wanted = [answer.ids for answer in generator.generate(REQUESTS, GREEDY)]
    monkeypatch.setattr(decoding, "PREFILL_TOKENS", prefill_tokens)
    assert [answer.ids for answer in generator.generate(REQUESTS, GREEDY)] == wanted


@pytest.mark.parametrize("prefill_tokens", [1, 300, 1_000, 1 << 20])
def test_prompts_are_read_together_as_far_as_they_fit(monkeypatch, prefill_tokens):
    monkeypatch.setattr(decoding, "PREFILL_TOKENS", prefill_tokens)
    lengths = [len(request.prompt.ids) for request in REQUESTS]
    groups = list(decoding._groups([(request.prompt, request.mels) for request in REQUESTS]))
    assert [row for group in groups for row in range(group.start, group.stop)] == list(range(len(lengths)))
    for group in groups:
        size = group.stop - group.start
        assert size == 1 or max(lengths[group]) * size <= prefill_tokens
        if group.stop < len(lengths):
            assert max(lengths[group.start : group.stop + 1]) * (size + 1) > prefill_tokens


def test_the_same_question_is_read_once_and_answered_differently(model, generator, monkeypatch):
    times, hear = [], model.hear
    monkeypatch.setattr(model, "hear", lambda mel, frames: times.append(list(frames)) or hear(mel, frames))
    same, other = (
        REQUESTS[0],
        Request(prompt=asked("Why?", 199, 730).prompt, mels=(REQUESTS[3].mels[0], REQUESTS[0].mels[0])),
    )
    answers = generator.generate([same, other, same, same], SAMPLED, seeds=[1, 2, 3, 1])
    assert sorted(map(sorted, times)) == [[199, 730]]
    assert answers[0] == answers[3]
    assert answers[0].ids != answers[2].ids
    monkeypatch.undo()
    for request, seed, answer in zip([same, other, same], [1, 2, 3], answers, strict=False):
        assert generator.generate([request], SAMPLED, seeds=[seed])[0].ids == answer.ids


def test_the_same_question_about_another_audio_is_another(model, generator):
    first = asked("What is heard?", 199)
    second = Request(prompt=first.prompt, mels=(noise_mel(199, seed=77).numpy(),))
    together = generator.generate([first, second], GREEDY)
    assert together[0].logprobs != pytest.approx(together[1].logprobs, abs=1e-3)
    for request, answer in zip([first, second], together, strict=True):
        assert list(answer.ids) == uncached(model, request, GREEDY, 0)


@torch.no_grad()
def test_a_step_moves_only_the_rows_that_speak(model):
    cache = empty_cache(model, 2, 256)
    prefill(model, [(REQUESTS[1].prompt, ()), (REQUESTS[4].prompt, ())], cache, padding=0)
    before, kept = cache.lengths_B.tolist(), torch.stack(cache.keys_BGSK)
    tokens_B, free_B = torch.tensor([70, 71]), torch.tensor([FREE, FREE])
    decode_step(model, tokens_B, cache, torch.tensor([True, False]), torch.zeros(2), free_B, GREEDY, SPECIAL.audio)
    assert cache.lengths_B.tolist() == [before[0] + 1, before[1]]
    for row, length in enumerate(before):  # what was held stays
        assert torch.equal(torch.stack(cache.keys_BGSK)[:, row, :, :length], kept[:, row, :, :length])


def test_the_likeliest_ids_are_the_greedy_answer(model, generator):
    answers = generator.generate(REQUESTS, replace(GREEDY, stop_ids=()))
    ids_BN = decoding.greedy_ids(model, [(request.prompt, request.mels) for request in REQUESTS], 12)
    assert ids_BN.tolist() == [list(answer.ids) for answer in answers]


@pytest.mark.parametrize("sampling", MODES)
def test_a_stream_is_the_answer(generator, sampling):
    tokens = [[] for _ in REQUESTS]
    for step in generator.stream(REQUESTS, sampling):
        assert len({said.index for said in step}) == len(step)
        for said in step:
            assert not tokens[said.index] or tokens[said.index][-1].finish is None
            tokens[said.index].append(said)
    for said, answer in zip(tokens, generator.generate(REQUESTS, sampling), strict=True):
        assert tuple(token.id for token in said) == answer.ids
        assert tuple(token.logprob for token in said) == answer.logprobs
        assert said[-1].finish == answer.finish


def test_a_seed_decides(generator):
    def ids(seed):
        return [answer.ids for answer in generator.generate(REQUESTS[:2] * 2, replace(SAMPLED, seed=seed))]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert ids(1)[0] != ids(1)[2]  # the same request twice


def test_logprobs_are_the_models_own(model, generator):
    (answer,) = generator.generate(REQUESTS[:1], replace(SAMPLED, temperature=0.7))
    for step in range(len(answer.ids)):
        with torch.no_grad():
            own = logits_of(model, REQUESTS[0], list(answer.ids[:step])).log_softmax(1)[0, answer.ids[step]]
        assert answer.logprobs[step] == pytest.approx(float(own), abs=1e-4)
    assert all(drawn <= 0 for drawn in answer.sampling_logprobs)
    assert answer.sampling_logprobs != answer.logprobs


def test_stop_ids_end_an_answer_and_nothing_else_does(generator):
    free = replace(GREEDY, stop_ids=())
    (answer,) = generator.generate(REQUESTS[:1], free)
    assert (len(answer.ids), answer.finish) == (12, Finish.LENGTH)
    stop = answer.ids[7]
    until = answer.ids[: answer.ids.index(stop) + 1]
    (stopped,) = generator.generate(REQUESTS[:1], replace(free, stop_ids=(stop, 511)))
    assert (stopped.ids, stopped.finish) == (until, Finish.STOP)
    last = replace(free, stop_ids=(stop,), max_new_tokens=len(until))
    assert generator.generate(REQUESTS[:1], last)[0].finish is Finish.STOP


def test_rows_that_ended_let_the_others_speak_on(generator):
    free = replace(GREEDY, stop_ids=(), max_new_tokens=16)
    wanted = generator.generate(REQUESTS, free)
    stop = wanted[1].ids[2]
    for answer, whole in zip(generator.generate(REQUESTS, replace(free, stop_ids=(stop,))), wanted, strict=True):
        until = whole.ids.index(stop) + 1 if stop in whole.ids else 16
        assert answer.ids == whole.ids[:until]


def test_the_tokenizers_ends_are_the_stop_ids():
    """A model that says `<|im_end|>` whatever it hears, and one that says `<|endoftext|>`."""
    for end in (SPECIAL.im_end, SPECIAL.end_of_text):
        model = tiny()
        model.lm_head.weight.data.zero_()
        model.language_model.norm.weight.data.zero_()
        generator = Generator(model, TOKENIZER)
        model.lm_head.register_forward_hook(lambda head, x, y, end=end: y.index_fill(-1, torch.tensor([end]), 9.0))
        (answer,) = generator.generate(REQUESTS[:1], GREEDY)
        assert (answer.ids, answer.text, answer.finish) == ((end,), "", Finish.STOP)


# ------------------------------------------------------------------------------------------ thoughts


@pytest.mark.parametrize("budget", [0, 1, 4])
@pytest.mark.parametrize("sampling", MODES)
def test_a_thought_is_closed_when_its_budget_is_spent(generator, sampling, budget):
    """The prompt opens the thought, so the first tokens are thought; then it is closed as the format has it."""
    prompt = Prompt(ids=(*REQUESTS[1].prompt.ids, SPECIAL.think), frames=())
    free = replace(sampling, stop_ids=())
    (open_ended,) = generator.generate([Request(prompt=prompt)], free)
    (answer,) = generator.generate([Request(prompt=prompt), *REQUESTS[:2]], replace(free, thinking_budget=budget))[:1]
    closing = (*TOKENIZER.encode("\n"), SPECIAL.end_think, *TOKENIZER.encode("\n\n"))
    assert SPECIAL.end_think not in open_ended.ids[:budget]
    assert answer.ids[:budget] == open_ended.ids[:budget]
    assert answer.ids[budget : budget + len(closing)] == closing
    forced = [index for index, is_forced in enumerate(answer.is_forced) if is_forced]
    assert forced == list(range(budget, budget + len(closing)))
    assert all(answer.sampling_logprobs[index] == 0 for index in forced)
    assert all(answer.logprobs[index] < 0 for index in forced)
    assert answer.thinking == TOKENIZER.decode(answer.ids[:budget]).strip("\n")
    assert answer.text == TOKENIZER.decode(answer.ids[budget + len(closing) :]).lstrip("\n")


def test_no_budget_is_a_budget_never_spent(generator):
    prompt = Prompt(ids=(*REQUESTS[1].prompt.ids, SPECIAL.think), frames=())
    without, ample = (
        generator.generate([Request(prompt=prompt)], replace(SAMPLED, thinking_budget=budget)) for budget in (None, 99)
    )
    assert without == ample


# ------------------------------------------------------------------------------------------ limits, and what is left


@pytest.mark.parametrize("step_tokens", [1, 256])
def test_an_answer_ends_where_the_positions_do(monkeypatch, step_tokens):
    """With no room to spare, a row that has ended must stay where it is while the other speaks on."""
    monkeypatch.setattr(generate, "ROOM_STEP_TOKENS", step_tokens)
    model = tiny(config=replace(TINY, language_config=replace(TINY.language_config, max_position_embeddings=64)))
    generator, free = Generator(model, TOKENIZER), replace(GREEDY, stop_ids=(), max_new_tokens=100)

    def of(length):
        return Request(prompt=Prompt(ids=tuple(range(10, 10 + length)), frames=()))

    short, long = generator.generate([of(40), of(63)], free)
    assert (len(short.ids), len(long.ids)) == (24, 1)
    assert short.finish is long.finish is Finish.LENGTH
    with pytest.raises(InputError, match=r"request 1: a prompt of 64 tokens.*64 positions"):
        generator.stream([of(10), of(64)], free)  # told at once, not when it is read


def test_a_prompt_of_one_token(model, generator):
    request = Request(prompt=Prompt(ids=(70,), frames=()))
    (answer,) = generator.generate([request], GREEDY)
    assert list(answer.ids) == uncached(model, request, GREEDY, 0)
    assert generator.generate([request, REQUESTS[0]], GREEDY)[0].ids == answer.ids
    assert generator.generate([], GREEDY) == []


def num_caches() -> int:
    return sum(type(held) is KVCache for held in gc.get_objects())


def test_a_stream_given_up_leaves_nothing_behind():
    model = tiny().train()
    model.audio_encoder.eval()
    before = {name: module.training for name, module in model.named_modules()}
    caches_before = num_caches()
    generator = Generator(model, TOKENIZER)
    stream = generator.stream(REQUESTS, SAMPLED)
    next(stream), next(stream)
    assert num_caches() == caches_before + 1
    assert not model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    stream.close()
    assert {name: module.training for name, module in model.named_modules()} == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert num_caches() == caches_before
    loss = model(torch.tensor([[70, 71, 72]])).sum()
    loss.backward()  # the weights are as trainable as before
    assert [a.ids for a in generator.generate(REQUESTS, SAMPLED)] == [
        a.ids for a in Generator(tiny(), TOKENIZER).generate(REQUESTS, SAMPLED)
    ]


def test_a_request_whose_audio_is_another_is_refused():
    prompt = REQUESTS[0].prompt
    for mels in ((), (noise_mel(729).numpy(),), (noise_mel(730).numpy()[:80],), (noise_mel(730).numpy(),) * 2):
        with pytest.raises(InputError, match=r"audios of \[730\] mel frames"):
            Request(prompt=prompt, mels=mels)
    with pytest.raises(InputError, match="empty"):
        Request(prompt=Prompt(ids=(), frames=()))


def test_another_models_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="audio_token_id"):
        Generator(tiny(config=replace(TINY, audio_token_id=261)), TOKENIZER)


def test_half_precision_stays_half(model):
    half = tiny().to(torch.bfloat16)
    assert empty_cache(half, 1, 256).keys_BGSK[0].dtype == torch.bfloat16
    answers = Generator(half, TOKENIZER).generate(REQUESTS, SAMPLED)
    assert all(answer.ids for answer in answers)
    assert all(isinstance(value, float) for value in answers[0].logprobs)


# ------------------------------------------------------------------------------------------ compiled


@pytest.mark.slow
@pytest.mark.parametrize("sampling", MODES)
def test_the_compiled_step_is_the_same(model, generator, sampling):
    compiled = Generator(model, TOKENIZER, compiled=True)

    def agree(requests, sampling):
        eager, fast = (maker.generate(requests, sampling) for maker in (generator, compiled))
        assert [answer.ids for answer in eager] == [answer.ids for answer in fast]
        for one, other in zip(eager, fast, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)

    agree(REQUESTS[:3], replace(sampling, stop_ids=()))
    with torch._dynamo.config.patch(error_on_recompile=True):  # other prompts, seeds, limits and stops: the same shapes
        agree([REQUESTS[3], *REQUESTS[:3]], replace(sampling, seed=9, max_new_tokens=5, thinking_budget=2))
