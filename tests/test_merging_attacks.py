"""Nothing that is invented gets into a caption, whatever the language model says, and what is true beside it does."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.captions.chat import ChatConfig
from annotators.merging.cases import VerifyingRules
from annotators.merging.merger import LlmMergerConfig, prepared
from annotators.merging.reading import Proposal
from annotators.merging.verifying import judged
from benchmarks.merge_attacks import KINDS, attack, attacks, plain
from benchmarks.merge_cases import case, honest
from schemas.record import Branch, Caption, Claim
from tests.chat_server import ChatServer
from tests.honest_writer import is_writing
from tests.test_merging_rules import UNASKED

NUM_ATTACKS = 500
REPEATED = ("it tells again", "it leaves out words")


def letters(text):
    return "".join(letter for letter in plain(text) if letter.isalnum())


def config(server, **changes):
    return LlmMergerConfig(chat=ChatConfig(url=server.url, model=server.model, **changes))


def answering(answers_by_document):
    """The server's answers: no plan, and the claims that belong to the facts it is shown."""

    def answer(request):
        if not is_writing(request):
            return {"groups": [], "contradictions": [], "leave_out": []}
        document = next(document for document in answers_by_document if document in request.text)
        return answers_by_document[document]

    return answer


@pytest.mark.slow
def test_none_of_five_hundred_inventions_gets_through_and_what_is_true_beside_them_does():
    made = attacks(NUM_ATTACKS)
    assert {one.kind for one in made} == set(KINDS)
    answers = {}
    with ChatServer(answering(answers)) as server:
        merging = config(server)
        listings = [prepared(one.made.clip, merging).listing for one in made]
        answers |= {listing.document: one.answer for listing, one in zip(listings, made, strict=True)}
        assert len(answers) == NUM_ATTACKS
        captions = merging.build().merge([one.made.clip for one in made])
        assert len(server.requests) >= 2 * NUM_ATTACKS
    assert not [caption.note for caption in captions if caption.note and "no plan" in caption.note]
    through = [(one.kind, one.text) for one, caption in zip(made, captions, strict=True) if one.through(caption)]
    assert through == []
    told = wanted = 0
    for one, listing, caption in zip(made, listings, captions, strict=True):
        said = {letters(claim.text) for claim in caption.claims}
        repeated = {letters(item.text) for item in caption.rejected if item.reason.startswith(REPEATED)}
        rest = [claim for claim in one.rest if set(claim.row["evidence"]) <= listing.by_id.keys()]
        wanted += len(rest)
        told += sum(letters(claim.row["text"]) in said | repeated for claim in rest)
    assert wanted > 5 * NUM_ATTACKS
    assert told >= 0.98 * wanted


def test_the_inventions_are_seen_where_nobody_verifies():
    """The attacks can be counted: put into a caption unverified, every one is seen."""
    for seed, kind in enumerate(KINDS):
        one = next(one for offset in range(500) if (one := attack(1_000 * seed + offset, kind)))
        row = next(row for row in one.answer["claims"] if row["text"] == one.text)
        start_ms = one.made.clip.segment.start_ms
        claim = Claim(
            start_ms=start_ms + round(1_000 * row["start_s"]),
            end_ms=start_ms + round(1_000 * row["end_s"]) + 1,
            text=one.text,
            branch=Branch(row["branch"]),
            evidence=tuple(row["evidence"]),
            score=1.0,
        )

        assert one.through(Caption(text=claim.text, claims=(claim,))), (kind, one.text)


@pytest.mark.parametrize("style_seed", [1, 2])
def test_nine_of_ten_true_claims_stand(style_seed):
    stands = asked = 0
    for seed in range(style_seed * 10_000, style_seed * 10_000 + 60):
        made = case(seed)
        listing = prepared(made.clip, UNASKED).listing
        for claim in honest(made, random.Random(seed)):
            if set(claim.row["evidence"]) <= listing.by_id.keys():
                asked += 1
                stands += isinstance(judged(proposal(claim.row), listing, VerifyingRules()), Claim)
    assert asked > 300
    assert stands >= 0.98 * asked


def proposal(row):
    return Proposal(
        text=row["text"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        branch=Branch(row["branch"]),
        evidence=tuple(row["evidence"]),
    )


WORDS = st.text(st.characters(categories=["Ll"], max_codepoint=0x7F), min_size=3, max_size=12)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 300), WORDS, st.randoms(use_true_random=False))
def test_a_word_that_no_list_and_no_fact_has_rejects_the_claim(seed, word, rng):
    made = case(seed)
    listing = prepared(made.clip, UNASKED).listing
    claims = [claim for claim in honest(made, rng) if set(claim.row["evidence"]) <= listing.by_id.keys()]
    if not claims:
        return
    claim = rng.choice(claims)
    strange = f"zq{word}"
    text = f"{claim.row['text'].rstrip('.')} {strange}."
    done = judged(proposal({**claim.row, "text": text}), listing, VerifyingRules())
    assert not isinstance(done, Claim)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 300), st.text(max_size=300) | st.text(st.sampled_from("\"'“”0123:.,- asSof\u200b٩９"), max_size=80)
)
def test_no_text_breaks_the_rules(seed, text):
    made = case(seed)
    told = prepared(made.clip, UNASKED).listing
    if not told.facts:
        return
    first = told.facts[0]
    offset_ms = made.clip.segment.start_ms
    row = {
        "text": text or "x",
        "start_s": (first.start_ms - offset_ms) / 1000,
        "end_s": (first.end_ms - offset_ms) / 1000,
        "branch": first.branch.value,
        "evidence": [first.id],
    }
    done = judged(proposal(row), told, VerifyingRules())
    if isinstance(done, Claim):
        assert done.text.count('"') % 2 == 0
        assert done.start_ms >= first.start_ms
        assert done.end_ms <= first.end_ms
