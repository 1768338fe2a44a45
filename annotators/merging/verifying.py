"""Whether a claim of a language model says what its evidence says, and no more: rules, read from the top.

The law is at the end of `OBJECTIONS`: every word of a claim is licensed by a fact that it cites, or stands in a closed
list (`lexicon`). The rules before it name what is wrong more exactly. None of them trusts the model, and none asks one.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from annotators.merging import lexicon
from annotators.merging.cases import Case, VerifyingRules, hull_of, in_context, proposed_ms
from annotators.merging.clauses import has_times, is_chord, means_more_than_one, parsed, quoted_by
from annotators.merging.coherence import are_of_one_thing, contradiction
from annotators.merging.evidence import Evidence, is_negation
from annotators.merging.listing import Listing
from annotators.merging.numbers import VAGUE, Number, Sort
from annotators.merging.ordering import is_out_of_order
from annotators.merging.quoting import is_negated, names_another_speaker, quotes_what_was_not_heard
from annotators.merging.reading import Proposal, shown
from annotators.merging.times import agree_together, agrees
from annotators.merging.tokens import Piece, Token, heard_of, sentence_of
from annotators.merging.words import is_plural, stems
from schemas import audioset
from schemas.record import Claim, Rejected


def verified(proposals: Sequence[Proposal], listing: Listing, rules: VerifyingRules) -> list[Claim | Rejected]:
    """One claim, or why it is none, for each proposal, in order."""
    return [judged(proposal, listing, rules) for proposal in proposals]


def judged(proposal: Proposal, listing: Listing, rules: VerifyingRules) -> Claim | Rejected:
    by_id = listing.by_id
    cited = tuple(in_context(by_id[one], listing) for one in proposal.evidence if one in by_id)
    text = proposal.text[: 4 * rules.max_letters]
    case = Case(
        proposal=proposal,
        parsed=parsed(sentence_of(text), cited, listing.segment, rules.tolerance_ms),
        cited=cited,
        listing=listing,
        rules=rules,
    )
    reason = next((reason for rule in OBJECTIONS if (reason := rule(case))), None)
    return Rejected(text=shown(proposal.text), reason=reason) if reason else _claim(case)


def is_too_long(case: Case) -> str | None:
    length = len(case.proposal.text)
    return f"it has {length} letters; {case.rules.max_letters} are allowed" if length > case.rules.max_letters else None


def names_no_such_fact(case: Case) -> str | None:
    by_id = case.listing.by_id
    unknown = [one for one in case.proposal.evidence if one not in by_id]
    return f"its evidence {shown(unknown[0])[:40]!r} names no fact of this segment" if unknown else None


def names_another_branch(case: Case) -> str | None:
    branch = case.proposal.branch
    if branch in {one.fact.branch for one in case.cited}:
        return None
    return f"it is said to be of {branch}, and no fact it cites is"


def rests_on_what_is_contradicted(case: Case) -> str | None:
    for one in case.cited:
        if reason := contradiction(one.fact, case.listing.facts):
            return f"it rests on {one.fact.id}, but {reason}"
    return None


def leaves_its_evidence(case: Case) -> str | None:
    start_ms, end_ms = proposed_ms(case)
    near_ms = case.rules.tolerance_ms
    hull = hull_of(case.cited)
    if start_ms < hull.start_ms - near_ms or end_ms > hull.end_ms + near_ms:
        first, last = ((at_ms - case.segment.start_ms) / 1000 for at_ms in (hull.start_ms, hull.end_ms))
        proposal = case.proposal
        return f"its span {proposal.start_s:g}-{proposal.end_s:g} s leaves its evidence at {first:g}-{last:g} s"
    for one in case.cited:
        if end_ms < one.fact.start_ms - near_ms or start_ms > one.fact.end_ms + near_ms:
            return f"its span does not meet {one.fact.id}"
    return None


def is_not_written_plainly(case: Case) -> str | None:
    if case.parsed.sentence.defect:
        return case.parsed.sentence.defect
    for token, before in zip(case.parsed.tokens, (None, *case.parsed.tokens), strict=False):
        if before and before.word == token.word and token.piece is Piece.WORD:
            return f"it says {token.text!r} twice over"
        if token.piece is Piece.QUOTE or token.text.isascii():
            continue
        if not any(token.text in one.written for one in case.cited):
            return f"{token.text!r} is not written in plain letters, and no cited fact has it"
    return None


def tells_another_time(case: Case) -> str | None:
    facts = [one.fact for one in case.cited if has_times(one)]
    for time in case.parsed.times:
        alone = any(agrees(time, fact, case.segment) for fact in facts)
        if not alone and not agree_together(time, facts, case.segment):
            words = " ".join(token.text for token in case.parsed.tokens[time.first : time.last])
            return f"nothing in its evidence is at {words!r}"
    return None


def tells_another_number(case: Case) -> str | None:
    for number in case.parsed.numbers:
        clause = case.parsed.clause_at(number.first)
        holding = [one for one in clause.evidence if one.holds(number)]
        if not holding and not _counts_speakers(case, number):
            return f"the number {number.text!r} is not in its evidence"
        after = next((i for i in range(number.last, clause.last) if i in case.parsed.content), None)
        if holding and after == number.last and not any(one in case.parsed.licensing(after) for one in holding):
            return f"no fact has {number.text!r} of {case.parsed.tokens[after].text!r}"
    return next((reason for one in case.cited if (reason := _turns_numbers(one, case.parsed.numbers))), None)


def denies_what_is_not_denied(case: Case) -> str | None:
    tokens = case.parsed.tokens
    for index, token in enumerate(tokens):
        if not is_negation(token) or token.piece is Piece.QUOTE:
            continue
        if token.word in lexicon.DENIALS:
            return f"it denies something with {token.text!r}"
        following = next((i for i in range(index + 1, len(tokens)) if i in case.parsed.under_negation), None)
        clause = case.parsed.clause_at(index)
        if any(is_negation(tokens[i]) for i in range(index + 1, clause.last)):
            return f"{token.text!r} is denied again"
        if following is None:
            return f"it denies something with {token.text!r}"
    for index in sorted(case.parsed.under_negation):
        if index in case.parsed.content and not case.parsed.licensing(index):
            return f"it denies {tokens[index].text!r}, and its evidence does not"
        if index not in case.parsed.content:
            return f"it denies {tokens[index].text!r}"
    return None


def tells_another_count(case: Case) -> str | None:
    """Plurals, and words for many."""
    known = {number for one in case.cited for number in one.speakers}
    for index in sorted(case.parsed.content):
        token = case.parsed.tokens[index]
        held = case.parsed.licensing(index)
        if not held and token.word in VAGUE:
            return f"{token.text!r} is a count that its evidence does not hold"
        if token.word in lexicon.PERSON_NOUNS and held:
            if len(known) < 2 and means_more_than_one(case.parsed.tokens, index, held):
                return f"{token.text!r} are more than its evidence has"
        elif held and is_plural(token.word) and means_more_than_one(case.parsed.tokens, index, held):
            if any(token.word == word for one in held for word in one.stems):
                continue
            return f"{token.text!r} are more than its evidence has"
    return None


def names_another_attribute(case: Case) -> str | None:
    for token in _unlicensed(case):
        name = next((lexicon.ATTRIBUTE_OF[stem] for stem in stems(token.word) if stem in lexicon.ATTRIBUTE_OF), None)
        if name:
            return f"{token.text!r} tells of {name}, and its evidence does not"
    return None


def names_another_sound(case: Case) -> str | None:
    for token in _unlicensed(case):
        if stems(token.word) & _sound_words():
            return f"{token.text!r} names a sound that is not in its evidence"
    return None


def has_a_word_of_its_own(case: Case) -> str | None:
    return next((f"no fact it cites holds the word {token.text!r}" for token in _unlicensed(case)), None)


def mixes_its_evidence(case: Case) -> str | None:
    """Neighbouring words are of one thing: "a loud siren" is no mixture of a loud dog and a siren."""
    words = case.parsed
    for clause in words.clauses:
        inside = [index for index in range(clause.first, clause.last) if index in words.content]
        for one, other in pairwise(inside):
            between = {token.word for token in words.tokens[one + 1 : other] if token.piece is not Piece.MARK}
            of_one, of_other = words.licensing(one), words.licensing(other)
            if is_chord(words.tokens[one].text.capitalize()) and words.tokens[other].word in lexicon.OF_A_NOTE:
                together = any(_has_both(a, words.tokens[one], words.tokens[other]) for a in of_one)
            else:
                together = _belong_together(of_one, of_other, words.tokens[one].word, words.tokens[other].word)
            if between <= lexicon.COPULAS and not together:
                return f"no fact has {words.tokens[one].text!r} of {words.tokens[other].text!r}"
    return None


def tells_another_extent(case: Case) -> str | None:
    for index, token in enumerate(case.parsed.tokens):
        if token.word not in lexicon.THROUGHOUT or token.piece is not Piece.WORD:
            continue
        needed_ms = case.rules.covers_all * case.segment.duration_ms
        covering = case.parsed.clause_at(index).evidence
        if not any(has_times(one) and one.fact.overlap_ms(case.segment) >= needed_ms for one in covering):
            return f"nothing in its evidence goes on {token.text!r}"
    if any(token.word in lexicon.AT_LAST for token in case.parsed.tokens):
        last = max(fact.start_ms for fact in case.listing.facts)
        if all(one.fact.start_ms < last for one in case.cited):
            return "it tells as the last what is not"
    return None


def tells_another_order(case: Case) -> str | None:
    return is_out_of_order(case.parsed, case.rules.tolerance_ms)


def says_nothing(case: Case) -> str | None:
    has_words = case.parsed.content or case.parsed.numbers or case.parsed.sentence.quotes
    return None if has_words else "it says nothing of its evidence"


OBJECTIONS: tuple[Callable[[Case], str | None], ...] = (
    is_too_long,
    names_no_such_fact,
    names_another_branch,
    rests_on_what_is_contradicted,
    leaves_its_evidence,
    is_not_written_plainly,
    quotes_what_was_not_heard,
    names_another_speaker,
    tells_another_time,
    denies_what_is_not_denied,
    tells_another_number,
    tells_another_count,
    names_another_attribute,
    names_another_sound,
    has_a_word_of_its_own,
    mixes_its_evidence,
    tells_another_extent,
    tells_another_order,
    says_nothing,
)


def _unlicensed(case: Case) -> list[Token]:
    content = sorted(case.parsed.content)
    return [case.parsed.tokens[index] for index in content if not case.parsed.licensing(index)]


def _belong_together(one: Sequence[Evidence], other: Sequence[Evidence], word: str, next_word: str) -> bool:
    return any(a.are_near(word, next_word) if a is b else are_of_one_thing(a.fact, b.fact) for a in one for b in other)


def _has_both(evidence: Evidence, note: Token, sort: Token) -> bool:
    """Whether the fact names just this key or chord."""
    return f"{note.text.capitalize()} {sort.word}" in " ".join(evidence.fact.text.split())


def _turns_numbers(evidence: Evidence, numbers: Sequence[Number]) -> str | None:
    """Numbers of one fact stand in its order: what rises from 200 to 400 does not rise from 400 to 200."""
    places = [[place for place, own in enumerate(evidence.numbers) if own.same(number)] for number in numbers]
    least = 0
    for number, held in zip(numbers, places, strict=True):
        if held and max(held) < least:
            return f"{number.text!r} stands elsewhere in {evidence.fact.id}"
        least = max(least, min(held, default=0))
    return None


def _counts_speakers(case: Case, number: Number) -> bool:
    known = {one for evidence in case.cited for one in evidence.speakers}
    after = case.parsed.tokens[number.last].word if number.last < len(case.parsed.tokens) else ""
    counted = after in lexicon.PERSON_NOUNS or number.text.lower() == "both"
    return number.sort is Sort.COUNT and counted and len(known) == number.value and number.value >= 2


def _claim(case: Case) -> Claim:
    """As it stands in the caption: quotations as they were heard, times within the evidence."""
    start_ms, end_ms = proposed_ms(case)
    hull = hull_of(case.cited)
    start_ms = min(max(start_ms, hull.start_ms), hull.end_ms - 1)
    end_ms = max(min(end_ms, hull.end_ms), start_ms + 1)
    return Claim(
        start_ms=start_ms,
        end_ms=end_ms,
        text=_written(case),
        branch=case.proposal.branch,
        evidence=case.proposal.evidence,
        score=min(one.fact.score for one in case.cited),
    )


def _written(case: Case) -> str:
    text, at = "", 0
    sentence = case.parsed.sentence
    for quote in sentence.quotes:
        said = quoted_by(quote, case.cited)[0].heard
        words = heard_of(quote.text).words
        if said is None:
            continue
        run = next((run for run in said.runs(words) if not is_negated(said.words[max(0, run - 2) : run])), 0)
        text += f'{sentence.text[at : quote.start]}"{said.written(run, run + len(words) - 1)}"'
        at = quote.end
    text += sentence.text[at:]
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text.rstrip(',;:')}."


@cache
def _sound_words() -> frozenset[str]:
    words = {word for label in audioset.labels() for word in label.name.lower().replace(",", " ").split()}
    return frozenset(words) | lexicon.SOUND_WORDS
