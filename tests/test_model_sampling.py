"""From logits to tokens: the laws of sampling, against an obvious version and against transformers."""

import math

import pytest
import torch

from model.sampling import FREE, Sampling, choose, filtered, row_seed, uniforms
from schemas.errors import ConfigError

torch.set_num_threads(1)


def logits(rows: int = 4, vocabulary: int = 50, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * 3


def obvious(row: list[float], uniform: float, sampling: Sampling) -> tuple[int, float]:
    """Slow, in plain Python: id and log-probability."""
    if sampling.temperature == 0:
        return row.index(max(row)), 0.0
    x = [value / sampling.temperature for value in row]
    if sampling.top_k:
        least = sorted(x, reverse=True)[: sampling.top_k][-1]
        x = [value if value >= least else -math.inf for value in x]
    weight = [math.exp(value - max(x)) for value in x]
    likely = [w / sum(weight) for w in weight]
    kept, mass = [], 0.0
    for index in sorted(range(len(likely)), key=lambda i: -likely[i]):
        kept.append(index)
        mass += likely[index]
        if mass >= sampling.top_p:
            break
    likely = [p / mass if i in kept else 0.0 for i, p in enumerate(likely)]
    reached = 0.0
    for index, p in enumerate(likely):
        reached += p
        if reached > uniform:
            return index, math.log(p)
    raise AssertionError("the probabilities sum to one")


SETTINGS = [
    pytest.param(Sampling(temperature=0.0), id="greedy"),
    pytest.param(Sampling(top_k=0), id="all tokens"),
    pytest.param(Sampling(top_k=1), id="top-k of one"),
    pytest.param(Sampling(top_k=7, temperature=0.7), id="top-k"),
    pytest.param(Sampling(top_k=1_000), id="top-k above the vocabulary"),
    pytest.param(Sampling(top_k=0, top_p=0.8, temperature=1.5), id="top-p"),
    pytest.param(Sampling(top_k=0, top_p=1e-6), id="top-p of one token"),
    pytest.param(Sampling(top_k=9, top_p=0.6, temperature=2.0), id="both"),
]


@pytest.mark.parametrize("sampling", SETTINGS)
def test_as_the_obvious_version(sampling):
    logits_BV = logits()
    for uniform_B in uniforms([1, 2, 3, 4], 40).T:
        chosen = choose(logits_BV, uniform_B, sampling)
        wanted = [obvious(row, u, sampling) for row, u in zip(logits_BV.tolist(), uniform_B.tolist(), strict=True)]
        assert chosen.ids_B.tolist() == [number for number, _ in wanted]
        torch.testing.assert_close(chosen.sampling_logprob_B, torch.tensor([p for _, p in wanted]), atol=2e-5, rtol=0)
        own = logits_BV.log_softmax(1).gather(1, chosen.ids_B[:, None])[:, 0]
        torch.testing.assert_close(chosen.logprob_B, own)


@pytest.mark.parametrize("sampling", SETTINGS[1:])
@pytest.mark.parametrize("ties", [False, True])
def test_filters_as_transformers_does(sampling, ties):
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits_BV = logits(6, 80, seed=3)
    if ties:
        if sampling.top_p < 1:
            pytest.skip("which of equals top-p keeps is not defined there")
        logits_BV = logits_BV.round()
    wanted = TemperatureLogitsWarper(sampling.temperature)(None, logits_BV)
    if sampling.top_k:
        wanted = TopKLogitsWarper(sampling.top_k)(None, wanted)
    wanted = TopPLogitsWarper(sampling.top_p)(None, wanted)
    torch.testing.assert_close(filtered(logits_BV, sampling), wanted)


def test_frequencies_follow_the_probabilities():
    """Pearson's statistic of 20,000 draws; 60 is beyond the 99.99 % point for 19 degrees of freedom."""
    draws, sampling = 20_000, Sampling(top_k=20, temperature=1.3)
    row_BV = logits(1, 30, seed=5).expand(draws, -1)
    seeds = [row_seed(7, index) for index in range(draws)]
    ids_B = choose(row_BV, uniforms(seeds, 1)[:, 0], sampling).ids_B
    expected_V = filtered(row_BV[:1], sampling).softmax(1)[0].double() * draws
    found_V = ids_B.bincount(minlength=30).double()
    assert (found_V[expected_V == 0] == 0).all()
    kept = expected_V > 0
    assert kept.sum() == 20
    assert ((found_V - expected_V)[kept].square() / expected_V[kept]).sum() < 60


def test_numbers_of_a_row_are_even_and_unrelated():
    uniform_BN = uniforms(range(200), 200)
    assert ((uniform_BN >= 0) & (uniform_BN < 1)).all()
    counts = torch.histc(uniform_BN.flatten(), bins=20, min=0, max=1)
    assert ((counts - 2_000).square() / 2_000).sum() < 55  # 19 degrees of freedom
    apart = torch.corrcoef(uniform_BN) - torch.eye(200)
    assert apart.abs().max() < 0.4
    assert torch.corrcoef(torch.stack([uniform_BN[:, :-1].flatten(), uniform_BN[:, 1:].flatten()]))[0, 1].abs() < 0.02


def test_numbers_of_a_row_depend_on_its_seed_alone():
    alone, among = uniforms([9], 5), uniforms([3, 9, 1 << 62], 12)
    assert torch.equal(alone[0], among[1, :5])
    assert len({row_seed(seed, index) for seed in range(30) for index in range(30)}) == 900


def test_seeds_do_not_begin_within_each_others_numbers():
    """Numbers counted from the seed itself would be those of another seed some steps on."""
    apart = 2 * 0x9E3779B97F4A7C15 % (1 << 64)
    here, there = uniforms([5, 5 + apart], 20)
    assert not set(here.tolist()) & set(there.tolist())


@pytest.mark.parametrize("sampling", SETTINGS)
def test_a_row_does_not_see_its_batchmates(sampling):
    logits_BV, uniform_B = logits(5), uniforms(range(5), 1)[:, 0]
    together = choose(logits_BV, uniform_B, sampling)
    for row in range(5):
        alone = choose(logits_BV[row : row + 1], uniform_B[row : row + 1], sampling)
        assert alone.ids_B == together.ids_B[row]
        assert alone.sampling_logprob_B == together.sampling_logprob_B[row]


def test_equals_stay_and_the_lowest_id_is_the_greedy_one():
    row_BV = torch.tensor([[0.0, 2.0, 1.0, 2.0, 1.0, 1.0, -1.0]])
    left = filtered(row_BV, Sampling(top_k=3))
    assert left.isfinite().tolist() == [[False, True, True, True, True, True, False]]
    assert choose(row_BV, torch.zeros(1), Sampling(temperature=0.0)).ids_B.item() == 1


@pytest.mark.parametrize(("top_p", "kept"), [(0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3), (0.76, 4), (1.0, 4)])
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p, kept):
    left = filtered(torch.tensor([[-torch.inf, 0.0, 0.0, 0.0, 0.0]]), Sampling(top_k=0, top_p=top_p))
    assert left.isfinite().tolist() == [[False, *[index < kept for index in range(4)]]]


def test_of_a_thousand_equals_top_p_keeps_the_first():
    left = filtered(torch.zeros(2, 1000), Sampling(top_k=0, top_p=0.2505))
    assert left.isfinite().nonzero()[:, 1].tolist() == [*range(251)] * 2


def test_the_last_number_draws_the_last_token_where_a_sum_falls_short_of_one():
    """The sum of 151,936 probabilities in float32 is not one; what is drawn is a share of that sum."""
    row_BV = torch.randn(1, 151_936, generator=torch.Generator().manual_seed(1)) / 100
    total = float(row_BV.softmax(1).cumsum(1)[0, -1])
    assert total != 1
    ids = [choose(row_BV, torch.tensor([u]), Sampling(top_k=0)).ids_B.item() for u in (0.5, 1 - 2**-24)]
    reached_V = row_BV.softmax(1).cumsum(1)[0] / total
    assert ids[0] == int((reached_V > 0.5).nonzero()[0])
    assert ids[1] > 151_900


@pytest.mark.parametrize("sampling", SETTINGS)
@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_what_cannot_be_is_never_chosen(sampling, uniform):
    row_BV = torch.full((1, 10), -torch.inf)
    row_BV[0, [4, 6]] = torch.tensor([1.0, 1.5])
    chosen = choose(row_BV, torch.tensor([uniform]), sampling)
    assert chosen.ids_B.item() in (4, 6)
    assert chosen.logprob_B.isfinite().all()
    assert chosen.sampling_logprob_B.isfinite().all()


@pytest.mark.parametrize("sampling", SETTINGS)
def test_a_barred_id_is_never_drawn_and_costs_the_model_nothing(sampling):
    row_BV = logits(1, 12)
    likeliest = int(row_BV.argmax())
    chosen = choose(row_BV, torch.tensor([0.5]), sampling, barred=likeliest)
    assert chosen.ids_B.item() != likeliest
    assert chosen.logprob_B == row_BV.log_softmax(1)[0, chosen.ids_B]


def test_a_forced_id_is_said_and_was_not_drawn():
    logits_BV, uniform_B = logits(3), torch.tensor([0.1, 0.5, 0.9])
    free = choose(logits_BV, uniform_B, Sampling())
    chosen = choose(logits_BV, uniform_B, Sampling(), forced_B=torch.tensor([FREE, 31, FREE]))
    assert chosen.ids_B.tolist() == [free.ids_B[0], 31, free.ids_B[2]]
    assert chosen.sampling_logprob_B.tolist() == [free.sampling_logprob_B[0], 0.0, free.sampling_logprob_B[2]]
    assert chosen.logprob_B[1] == logits_BV.log_softmax(1)[1, 31]


@pytest.mark.parametrize("sampling", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_arithmetic_is_float32(sampling, dtype):
    rough_BV, uniform_B = logits().to(dtype), uniforms(range(4), 1)[:, 0]
    chosen, exact = (choose(x, uniform_B, sampling) for x in (rough_BV, rough_BV.float()))
    assert chosen.logprob_B.dtype == chosen.sampling_logprob_B.dtype == torch.float32
    assert torch.equal(chosen.ids_B, exact.ids_B)
    assert torch.equal(chosen.sampling_logprob_B, exact.sampling_logprob_B)


def test_a_whole_vocabulary_is_summed_well_enough():
    """151,936 equal tokens: the token drawn is where the number points, to a few in the whole."""
    uniform_B = torch.tensor([0.0, 0.25, 0.5, 0.999])
    ids_B = choose(torch.zeros(4, 151_936), uniform_B, Sampling(top_k=0)).ids_B
    torch.testing.assert_close(ids_B / 151_936, uniform_B, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": 1e-9}, "0 takes the likeliest"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"thinking_budget": -2}, "thinking_budget is -2"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1 << 63}, "seed is 9223372036854775808"),
        ({"stop_ids": (-3,)}, "stop_ids holds -3"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Sampling(**setting)


def test_settings_come_from_a_generation_config():
    found = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "do_sample": True, "eos_token_id": [1, 2], "other": {}}
    assert Sampling.from_json(found) == Sampling(temperature=0.6, top_k=20, top_p=0.95)
    assert Sampling.from_json({"do_sample": False, "temperature": 0.6}).temperature == 0
    assert Sampling.from_json({}) == Sampling()
    for wrong in ({"top_k": "many"}, {"top_p": True}, {"top_k": 1.5}, {"temperature": -1}, {"top_k": math.inf}):
        with pytest.raises(ConfigError, match="generation_config"):
            Sampling.from_json(wrong)
