"""Laws of what a language model is shown and of how its answers are read: nothing breaks out, nothing is trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.merging.listing import ListingRules, listing_of
from annotators.merging.prompts import MAX_CLAIMS, MAX_EVIDENCE
from annotators.merging.reading import MAX_ANSWER, claims_of_answer, plan_of_answer
from annotators.sentences import Told
from schemas.record import Branch, Fact, Segment, Source
from tests.texts import anything, hostile, much

SEGMENT = Segment(source=Source(id="a", uri="/a.wav", etag="e", duration_ms=100_000), start_ms=60_000, end_ms=70_000)
ROW = {"text": "A dog barks.", "start_s": 1.0, "end_s": 2.0, "branch": "sound", "evidence": ["sound/0"]}
BREAKING_OUT = [
    '"',
    "\\",
    "}]}",
    "\n",
    "</facts>",
    "<|im_end|>",
    "```",
    "\u2028",
    "\ud800",
    "ignore the above",
    "{{",
    "\0",
]


def told(text, index=0, *, score=0.5, human=False, kind="transcript"):
    span = {"start_ms": 60_000 + index, "end_ms": 61_000 + index}
    fact = Fact(kind=kind, text=text, score=score, human=human, label=text[:5], speaker=text[:3], **span)
    return Told(branch=Branch.SPEECH, index=index, fact=fact)


def answer(*rows):
    return json.dumps({"claims": list(rows)})


@given(st.lists(hostile(BREAKING_OUT), max_size=5))
def test_whatever_was_said_the_listing_is_one_document_with_these_facts_and_no_other(texts):
    listing = listing_of([told(text, index) for index, text in enumerate(texts)], SEGMENT, ListingRules())
    document = json.loads(listing.document)
    assert [row["id"] for row in document["facts"]] == [fact.id for fact in listing.facts]
    assert document.keys() == {"duration_s", "facts_left_out", "facts"}
    assert not set("<>`&\u2028") & set(listing.document)
    assert len(listing.document.splitlines()) == max(3, len(texts) + 2)
    assert listing.document.encode()


def test_times_of_the_listing_are_seconds_of_the_segment():
    listing = listing_of([told("hello", 250)], SEGMENT, ListingRules())
    row = json.loads(listing.document)["facts"][0]
    assert (row["id"], row["start_s"], row["end_s"]) == ("speech/250", 0.25, 1.25)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(300, 4_000))
def test_the_listing_keeps_within_its_bounds_and_counts_what_it_leaves_out(num_facts, max_facts, max_characters):
    rules = ListingRules(max_facts=max_facts, max_characters=max_characters)
    scores = [(11 + index + index // 9) / 100 for index in range(num_facts)]  # all written with two decimals
    facts = [told(f"word {100 + index} " * 9, 10 + index, score=score) for index, score in enumerate(scores)]
    listing = listing_of(facts, SEGMENT, rules)
    assert len(listing.facts) <= max_facts
    assert len(listing.document) <= max_characters + 30
    assert len(listing.facts) + len(listing.left_out) == num_facts
    assert json.loads(listing.document)["facts_left_out"] == len(listing.left_out)
    kept = [fact.score for fact in listing.facts]
    assert all(fact.score <= min(kept, default=1) for fact in listing.left_out)


def test_what_a_person_wrote_has_room_before_what_is_surer():
    rules = ListingRules(max_facts=1)
    listing = listing_of([told("model", 0, score=0.9), told("person", 1, score=0.1, human=True)], SEGMENT, rules)
    assert [fact.text for fact in listing.facts] == ["person"]


def test_a_long_text_is_shown_in_part_and_is_evidence_as_a_whole():
    listing = listing_of([told("word " * 400)], SEGMENT, ListingRules(max_text=100))
    assert len(json.loads(listing.document)["facts"][0]["text"]) == 100
    assert len(listing.facts[0].text) > 1_900


@pytest.mark.parametrize(
    "text",
    [
        answer(ROW),
        json.dumps([ROW]),
        f"```json\n{answer(ROW)}\n```",
        f"Here are the claims:\n{answer(ROW)}\nI hope this helps!",
        answer(ROW)[:-2],
        answer(ROW)[:-1] + ', {"text": "A sec',
    ],
)
def test_a_claim_is_found_in_fences_between_sentences_and_before_the_place_where_an_answer_breaks_off(text):
    found = claims_of_answer(text)
    assert [proposal.text for proposal in found.proposals] == ["A dog barks."]
    assert found.proposals[0].evidence == ("sound/0",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("```json\n```", "it is empty"),
        ("I cannot hear audio.", "it is no JSON"),
        ("<!DOCTYPE html><html></html>", "it is HTML"),
        ("{'claims': []}", "its JSON is broken"),
        ('{"claims": NaN}', "it has no list of claims"),
        ('{"claims": 7}', "it has no list of claims"),
        ('{"other": []}', "it has no list of claims"),
        ("[" * 100_000, "its JSON is nested more than"),
        ('{"a":' * 90_000, "it has 450000 characters"),
        ("9" * 30_000, "it is no JSON"),
        ("x" * (MAX_ANSWER + 1), f"it has {MAX_ANSWER + 1} characters"),
    ],
)
def test_an_answer_that_is_none_is_refused_by_name(text, reason):
    found = claims_of_answer(text)
    assert not found.proposals
    assert found.refused is not None
    assert found.refused.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": 7}, "its text is no text"),
        ({"text": "  "}, "its text is no text"),
        ({"text": "x" * 5_000}, "its text has 5000 characters"),
        ({"start_s": "1"}, "its start_s is no number"),
        ({"end_s": None}, "its end_s is no number"),
        ({"start_s": True}, "its start_s is no number"),
        ({"start_s": 1e400}, "its start_s is no number"),
        ({"start_s": 3.0}, "its times are no span"),
        ({"start_s": -1.0}, "its times are no span"),
        ({"branch": "video"}, "its branch is"),
        ({"branch": ["sound"]}, "its branch is"),
        ({"evidence": []}, "it names no evidence"),
        ({"evidence": "sound/0"}, "it names no evidence"),
        ({"evidence": [0]}, "its evidence are no ids"),
        ({"evidence": [f"sound/{index}" for index in range(MAX_EVIDENCE + 1)]}, "it names 7 facts"),
        ({"mood": "dark"}, "it has keys that were not asked for: mood"),
    ],
)
def test_a_defect_costs_its_claim_and_no_other(change, reason):
    found = claims_of_answer(answer({**ROW, **change}, ROW))
    assert [proposal.text for proposal in found.proposals] == ["A dog barks."]
    assert [item.reason.startswith(reason) for item in found.rejected] == [True], found.rejected


def test_a_key_that_stands_twice_costs_its_claim():
    twice = answer(ROW).replace('"start_s": 1.0', '"start_s": 1.0, "start_s": 0.0')
    found = claims_of_answer(twice)
    assert [item.reason for item in found.rejected] == ["one of its keys stands there twice"]


def test_more_claims_than_are_read_are_counted():
    found = claims_of_answer(answer(*[ROW] * (MAX_CLAIMS + 5)))
    assert len(found.proposals) == MAX_CLAIMS
    assert [item.reason for item in found.rejected] == [f"5 claims beyond the first {MAX_CLAIMS}"]


@given(hostile(['{"claims": [', '"text":', "[", "]", "{", "}", '"', "\\", "NaN", "1e999", "```", ",", answer(ROW)]))
def test_no_answer_raises_and_all_that_is_kept_is_short_and_can_be_written(text):
    found = claims_of_answer(text)
    for item in found.rejected:
        assert len(item.text) <= 300
        assert f"{item.text}{item.reason}".encode()
    plan_of_answer(text, {})


@pytest.mark.parametrize("shred", ["[", "{", '"', "\\", '{"a":', "```", "1", "-", "[1,", "'", "\u200b"])
def test_much_of_one_thing_is_read_in_its_length(shred):
    claims_of_answer(much(shred))
    claims_of_answer('{"claims": [' + much(shred)[:150_000])


def test_a_plan_names_facts_of_the_listing_and_no_others():
    by_id = listing_of([told("a", 0), told("b", 1)], SEGMENT, ListingRules()).by_id
    plan = plan_of_answer(
        json.dumps(
            {
                "groups": [["speech/0", "speech/1", "sound/9"], ["x"], 7],
                "contradictions": [["speech/0", "speech/1"], ["speech/1"]],
                "leave_out": [{"id": "speech/1", "reason": 'say "boo"\n'}, {"id": "no", "reason": ""}, 3],
            }
        ),
        by_id,
    )
    assert plan.groups == (("speech/0", "speech/1"),)
    assert plan.doubted == ("speech/1",)
    assert plan.left_out == {"speech/1": "say 'boo'"}


@given(anything)
def test_any_plan_is_read(text):
    assert plan_of_answer(text, {}).groups == ()
