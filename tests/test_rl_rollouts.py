"""Log-probabilities of answers read again are those of each answer read alone, in value and in gradient."""

import random

import pytest
import torch

from model.attention import packed_sight
from model.generate import Answer, Finish, Generator, Request
from model.head import LanguageHead
from model.prompt import question, render
from model.rollouts import Rollout, idle_pack, logprobs, packed
from model.sampling import Sampling
from model.tokens import Tokenizer
from model.vocabulary import build
from tests.models import noise_mel, tiny

TOKENIZER = Tokenizer(build())
SPECIAL = TOKENIZER.special


def asked(text: str, *frames: int) -> Request:
    mels = tuple(noise_mel(count, seed=count).numpy() for count in frames)
    return Request(prompt=render(question(text, frames, None), TOKENIZER), mels=mels)


def answer(seed: int, length: int, forced: tuple[int, ...] = ()) -> Answer:
    chance = random.Random(seed)
    ids = tuple(chance.randrange(10, 260) for _ in range(length))
    return Answer(
        ids=ids,
        text="",
        thinking="",
        finish=Finish.STOP,
        logprobs=(0.0,) * length,
        sampling_logprobs=tuple(-chance.random() for _ in ids),
        is_forced=tuple(index in forced for index in range(length)),
    )


def rollouts() -> list[Rollout]:
    """Three prompts, with sound, without, and with two sounds; answers of one token and of many."""
    requests = (asked("What is heard?", 230), asked("And now?"), asked("Both?", 80, 130))
    return [
        Rollout(request=request, answer=answer(10 * place + index, length, forced), advantage=float(place - index))
        for place, request in enumerate(requests)
        for index, (length, forced) in enumerate(((7, ()), (1, ()), (12, (3, 4, 11))))
    ]


def alone(model, rollout: Rollout, temperature: float) -> torch.Tensor:
    """The obvious version: prompt and answer by themselves, the whole softmax."""
    request, ids = rollout.request, rollout.answer.ids
    mel = torch.cat([torch.from_numpy(mel) for mel in request.mels], dim=1) if request.mels else None
    logits_BTV = model(torch.tensor([[*request.prompt.ids, *ids]]), mel, request.prompt.frames)
    logits_TV = logits_BTV[0, len(request.prompt.ids) - 1 : -1] / temperature
    said_T = logits_TV.log_softmax(1)[torch.arange(len(ids)), torch.tensor(ids)]
    return said_T[~torch.tensor(rollout.answer.is_forced)]


@pytest.mark.parametrize("pack_tokens", [1, 128, 300, 4096])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_packed_answers_have_the_log_probabilities_and_gradients_of_each_alone(pack_tokens, temperature):
    given, models = rollouts(), (tiny(), tiny())
    packs = list(packed(given, pack_tokens, SPECIAL))
    found = [logprobs(models[0], pack, temperature).logprob_N for pack in packs]
    wanted = [alone(models[1], rollout, temperature) for rollout in given]
    torch.testing.assert_close(torch.cat(found), torch.cat(wanted), atol=2e-5, rtol=0)
    weights = torch.randn(len(torch.cat(wanted)), generator=torch.Generator().manual_seed(1))
    for values in (found, wanted):
        (torch.cat(values) * weights).sum().backward()
    for (name, own), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        scale = other.grad.abs().max()
        torch.testing.assert_close(own.grad / scale, other.grad / scale, atol=2e-4, rtol=0, msg=name)


def test_every_drawn_token_is_learnt_once_with_what_belongs_to_it_and_none_that_was_forced():
    given = rollouts()
    packs = list(packed(given, 200, SPECIAL))
    free = [
        (number, drawn, rollout.advantage)
        for rollout in given
        for number, drawn, forced in zip(
            rollout.answer.ids, rollout.answer.sampling_logprobs, rollout.answer.is_forced, strict=True
        )
        if not forced
    ]
    ids, drawn, worth = (
        torch.cat([getattr(pack, name) for pack in packs]) for name in ("ids_N", "drawn_N", "advantage_N")
    )
    assert ids.tolist() == [number for number, _, _ in free]
    assert drawn.tolist() == pytest.approx([value for _, value, _ in free])
    assert worth.tolist() == [value for _, _, value in free]
    assert len(packs) > 1
    assert all(len(pack.tokens_T) <= 256 for pack in packs)  # the bound, up to the next multiple of 128


def test_a_prompt_is_read_and_heard_once_for_all_its_answers_in_a_row():
    request = asked("What is heard?", 230)
    many = [Rollout(request=request, answer=answer(seed, 9), advantage=1.0) for seed in range(16)]
    (pack,) = packed(many, 4096, SPECIAL)
    assert len(pack.asked) == 1
    assert int((pack.tokens_T == SPECIAL.audio).sum()) == 29
    assert len(pack.tokens_T) < len(request.prompt.ids) + 16 * 8 + 128


@torch.no_grad()
def test_answers_are_as_likely_when_read_again_as_when_they_were_said():
    model = tiny()
    requests = [asked("What is heard?", 230)] * 3 + [asked("And?")] * 2
    answers = Generator(model, TOKENIZER).generate(requests, Sampling(max_new_tokens=10, seed=3))
    given = [Rollout(request=r, answer=a, advantage=0.0) for r, a in zip(requests, answers, strict=True)]
    (pack,) = packed(given, 4096, SPECIAL)
    again = logprobs(model, pack, 1.0).logprob_N
    said = torch.tensor([value for answer in answers for value in answer.logprobs])
    torch.testing.assert_close(again, said, atol=2e-5, rtol=0)
    assert again.lt(pack.drawn_N).all()  # they were drawn from fifty tokens


def test_a_row_that_teaches_nothing_gives_every_weight_a_gradient_of_zero():
    model = tiny()
    logprobs(model, idle_pack(SPECIAL), 1.0).logprob_N.sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name  # so that ranks that share the model agree on what is reduced
        assert not weight.grad.any(), name


@pytest.mark.parametrize("at_once", [1, 7, 64, 4096])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probabilities_in_slices_are_those_of_the_whole_softmax(at_once, temperature):
    torch.manual_seed(0)
    head = LanguageHead(24, 300)
    x_NE, ids_N, weights_N = torch.randn(50, 24, requires_grad=True), torch.randint(0, 300, (50,)), torch.randn(50)
    found = head.logprobs(x_NE, ids_N, temperature=temperature, at_once=at_once)
    (found.logprob_N * weights_N).sum().backward()
    gradients = [x_NE.grad, head.weight.grad]
    x_NE.grad, head.weight.grad = None, None
    whole_NV = (head(x_NE) / temperature).log_softmax(1)
    wanted_N = whole_NV.gather(1, ids_N[:, None])[:, 0]
    (wanted_N * weights_N).sum().backward()
    torch.testing.assert_close(found.logprob_N, wanted_N)
    torch.testing.assert_close(found.entropy_N, -(whole_NV.exp() * whole_NV).sum(1).detach())
    assert not found.entropy_N.requires_grad
    for own, other in zip(gradients, (x_NE.grad, head.weight.grad), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_who_sees_whom_when_answers_share_a_prompt_is_as_the_obvious_version_says(seed):
    chance = random.Random(seed)
    documents, answers = [], []
    for document in range(chance.randint(1, 4)):
        for place in range(chance.randint(1, 5)):
            length = chance.randint(1, 6)
            documents += [document] * length
            answers += [place] * length
    seen = packed_sight(torch.tensor([documents]), torch.tensor([answers]), in_blocks=False)[0, 0]
    for query in range(len(documents)):
        for key in range(len(documents)):
            own = documents[query] == documents[key] and answers[key] in (0, answers[query])
            assert bool(seen[query, key]) is (own and key <= query)
    plain = packed_sight(torch.tensor([documents]), in_blocks=False)
    assert torch.equal(plain, packed_sight(torch.tensor([documents]), torch.zeros(1, len(documents)), in_blocks=False))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_masks_of_blocks_show_the_same(seed):
    torch.manual_seed(seed)
    documents = torch.sort(torch.randint(0, 3, (1, 256)))[0]
    answers = torch.randint(0, 4, (1, 256))
    plain = packed_sight(documents, answers, in_blocks=False)[0, 0]
    blocks = packed_sight(documents, answers, in_blocks=True)
    from torch.nn.attention.flex_attention import create_mask

    assert torch.equal(create_mask(blocks.mask_mod, 1, 1, 256, 256, device="cpu")[0, 0], plain)
