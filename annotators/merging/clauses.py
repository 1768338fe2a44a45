"""A proposal laid open: its clauses, whom and when each speaks of, and which of the cited facts each may rest on.

A sentence on two facts must not give to one what belongs to the other. So each clause is held against those cited
facts alone that agree with the times and the speakers it names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from annotators.merging import lexicon
from annotators.merging.coherence import is_told_with
from annotators.merging.evidence import SPEAKER, Evidence, is_negation, negated
from annotators.merging.numbers import Number, Sort, numbers_of
from annotators.merging.times import Means, Time, agree_together, agrees, times_of
from annotators.merging.tokens import Piece, Sentence, Token, heard_of
from annotators.merging.words import stems
from schemas.record import Branch, Segment

ENDS = frozenset(",;:.!?()")
NUMBERED = frozenset({"speaker", "voice", "person", "singer", "talker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A speaker who is named; `number` is None for "another speaker"."""

    number: int | None
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    first: int
    last: int
    times: tuple[Time, ...]
    speakers: frozenset[int]  # named in it, or quoted
    evidence: tuple[Evidence, ...]  # what it may rest on


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`content` are the indices of tokens that must be licensed; what is left is function words and marks."""

    sentence: Sentence
    numbers: tuple[Number, ...]  # those that are no times and no names
    times: tuple[Time, ...]
    mentions: tuple[Mention, ...]
    content: frozenset[int]
    under_negation: frozenset[int]
    clauses: tuple[Clause, ...]

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.sentence.tokens

    def clause_at(self, index: int) -> Clause:
        return next(clause for clause in self.clauses if clause.first <= index < clause.last)

    def licensing(self, index: int) -> tuple[Evidence, ...]:
        """The cited facts that hold this word, of those that its clause may rest on."""
        token, denied = self.tokens[index], index in self.under_negation
        return tuple(one for one in self.clause_at(index).evidence if licenses(one, token, denied=denied))


def parsed(sentence: Sentence, cited: Sequence[Evidence], segment: Segment, tolerance_ms: float) -> Parsed:
    tokens = sentence.tokens
    numbers = numbers_of(tokens)
    times = times_of(tokens, numbers, segment, tolerance_ms)
    mentions = mentions_of(tokens, numbers)
    named = {index for mention in mentions for index in range(mention.first, mention.last)}
    timed = {index for time in times for index in range(time.first, time.last)}
    counted = [n for n in numbers if n.first not in timed and n.first not in named]
    spent = named | timed | {index for number in counted for index in range(number.first, number.last)}
    content = frozenset(
        index
        for index, token in enumerate(tokens)
        if index not in spent
        and token.piece is Piece.WORD
        and not is_negation(token)
        and not (token.word == "one" and index and tokens[index - 1].word == "no")
        and (token.word not in lexicon.FUNCTION or is_name(tokens, index))
    )
    bounds = _bounds(tokens, numbers)
    clauses = [_clause(tokens, first, last, times, mentions, cited) for first, last in bounds]
    clauses = _joined(clauses, tokens, content, counted)
    clauses = [_narrowed(clause, cited, segment, tolerance_ms) for clause in _with_speakers(clauses)]
    clauses = [_meanwhile(clause, tokens, cited, tolerance_ms) for clause in clauses]
    return Parsed(
        sentence=sentence,
        numbers=tuple(counted),
        times=tuple(times),
        mentions=tuple(mentions),
        content=content,
        under_negation=frozenset(negated(tokens)),
        clauses=tuple(clauses),
    )


def licenses(evidence: Evidence, token: Token, *, denied: bool = False) -> bool:
    if is_chord(token.text) or token.text == "a":
        return (token.text.capitalize() if token.text == "a" else token.text) in evidence.written
    if not token.text.isascii():
        return token.text in evidence.written
    return evidence.licenses(token.word, denied=denied)


def is_name(tokens: Sequence[Token], index: int) -> bool:
    """Whether a word that could be the article is the name of a note, a chord or a part."""
    token = tokens[index]
    if token.word != "a":
        return False
    after = [one.word for one in tokens[index + 1 : index + 4] if one.text != "-"]
    if after and after[0] in lexicon.OF_A_NOTE:
        return after[1:2] not in (["key"], ["chord"], ["scale"])
    begins = index == 0 or tokens[index - 1].text in ".!?"
    return token.text == "A" and not begins


def is_chord(text: str) -> bool:
    return text[:1] in tuple("ABCDEFG") and text[1:] in _CHORD_ENDS


_CHORD_ENDS = frozenset(
    sign + kind
    for sign in ("", "#", "b")
    for kind in ("", "m", "7", "m7", "maj7", "maj", "min", "dim", "aug", "sus2", "sus4", "6", "m6", "9")
)


def mentions_of(tokens: Sequence[Token], numbers: Sequence[Number]) -> list[Mention]:
    found: list[Mention] = []
    by_first = {number.first: number for number in numbers}
    for index, token in enumerate(tokens):
        number = by_first.get(index)
        before = tokens[index - 1].word if index else ""
        if token.piece is Piece.WORD and (name := SPEAKER.fullmatch(token.text)):
            found.append(Mention(number=int(name[1]), first=index, last=index + 1))
        elif number and _is_of_a_person(number, before, tokens):
            found.append(Mention(number=int(number.value), first=index, last=number.last))
        elif token.word in lexicon.OTHERS and _word(tokens, index + 1) in lexicon.PERSONS | {"one"}:
            found.append(Mention(number=None, first=index, last=index + 1))
    return found


def _is_of_a_person(number: Number, before: str, tokens: Sequence[Token]) -> bool:
    """ "speaker 2", "the second voice"."""
    if number.sort is Sort.COUNT:
        return before in NUMBERED
    return number.sort is Sort.ORDINAL and _word(tokens, number.last) in lexicon.PERSONS | {"one"}


def has_times(evidence: Evidence) -> bool:
    """Whether its span is that of what it tells of."""
    return evidence.fact.kind not in lexicon.UNTIMED_KINDS


def quoted_by(quote: Token, cited: Iterable[Evidence]) -> list[Evidence]:
    """The cited facts in which these words stand one after the other."""
    words = heard_of(quote.text).words
    return [one for one in cited if one.heard and one.heard.runs(words)]


def _word(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].word if index < len(tokens) else ""


def _bounds(tokens: Sequence[Token], numbers: Sequence[Number]) -> list[tuple[int, int]]:
    """Where clauses begin and end; a word that joins begins one."""
    inside = {index for number in numbers for index in range(number.first, number.last)}
    for one, other in pairwise(numbers):
        if other.first - one.last == 1:  # "between 1 and 2 s"
            inside.add(one.last)
    starts = {0}
    for index, token in enumerate(tokens):
        if index in inside:
            continue
        if token.piece is Piece.MARK and token.text in ENDS:
            starts.add(index + 1)
        elif token.word in lexicon.CLAUSES and token.piece is Piece.WORD:
            starts.add(index)
    places = sorted(start for start in starts if start < len(tokens))
    return list(pairwise([*places, len(tokens)]))


def _clause(
    tokens: Sequence[Token],
    first: int,
    last: int,
    times: Sequence[Time],
    mentions: Sequence[Mention],
    cited: Sequence[Evidence],
) -> Clause:
    speakers = {mention.number for mention in mentions if first <= mention.first < last and mention.number is not None}
    for token in tokens[first:last]:
        if token.piece is Piece.QUOTE:
            speakers |= {number for one in quoted_by(token, cited) for number in one.speakers}
    return Clause(
        first=first,
        last=last,
        times=tuple(time for time in times if first <= time.first < last),
        speakers=frozenset(speakers),
        evidence=tuple(cited),
    )


def _joined(
    clauses: Sequence[Clause], tokens: Sequence[Token], content: frozenset[int], numbers: Sequence[Number]
) -> list[Clause]:
    """Clauses that say nothing but when go to the next one, or to the one before where the next has its own time."""
    counted = {number.first for number in numbers}

    def is_bare(clause: Clause) -> bool:
        return not any(
            index in content or index in counted or tokens[index].piece is Piece.QUOTE
            for index in range(clause.first, clause.last)
        )

    joined: list[Clause] = []
    waiting: Clause | None = None
    for clause in clauses:
        if waiting and not (clause.times and joined and waiting.times):
            clause, waiting = _sum(waiting, clause), None
        elif waiting:
            joined[-1], waiting = _sum(joined[-1], waiting), None
        if is_bare(clause):
            waiting = clause
        else:
            joined.append(clause)
    if waiting:
        joined = [*joined[:-1], _sum(joined[-1], waiting)] if joined else [waiting]
    return joined


def _sum(one: Clause, other: Clause) -> Clause:
    return replace(one, last=other.last, times=one.times + other.times, speakers=one.speakers | other.speakers)


def _with_speakers(clauses: Sequence[Clause]) -> list[Clause]:
    """Who was named last is spoken of still; what stands before any name is of the first."""
    current = next((clause.speakers for clause in clauses if clause.speakers), frozenset[int]())
    found: list[Clause] = []
    for clause in clauses:
        current = clause.speakers or current
        found.append(replace(clause, speakers=current))
    return found


def _narrowed(clause: Clause, cited: Sequence[Evidence], segment: Segment, tolerance_ms: float) -> Clause:
    left = [one for one in cited if not clause.speakers or not one.speakers or one.speakers & clause.speakers]
    of_them = left
    for time in clause.times:
        if time.means is Means.LATER or agree_together(time, [one.fact for one in left if has_times(one)], segment):
            continue
        left = [one for one in left if has_times(one) and agrees(time, one.fact, segment)]
    left = [
        one for one in of_them if one in left or any(is_told_with(one.fact, other.fact, tolerance_ms) for other in left)
    ]
    return replace(clause, evidence=tuple(left))


def _meanwhile(clause: Clause, tokens: Sequence[Token], cited: Sequence[Evidence], tolerance_ms: float) -> Clause:
    """How a voice sounds that says something is told by what was heard of it just then."""
    quotes = [token for token in tokens if token.piece is Piece.QUOTE]
    own = [token for token in quotes if tokens[clause.first].start <= token.start < tokens[clause.last - 1].end]
    if not (own or (len(quotes) == 1 and not clause.times)):
        return clause
    spans = [one.fact for quote in own or quotes for one in quoted_by(quote, cited)]
    left = [
        one
        for one in clause.evidence
        if one.fact.branch is not Branch.SPEECH
        or any(
            one.fact.start_ms <= span.end_ms + tolerance_ms and span.start_ms <= one.fact.end_ms + tolerance_ms
            for span in spans
        )
    ]
    return replace(clause, evidence=tuple(left))


def means_more_than_one(tokens: Sequence[Token], index: int, evidence: Iterable[Evidence]) -> bool:
    """Whether a plural stands here for what the facts know as one."""
    word = tokens[index].word
    is_verb = bool(stems(word) & lexicon.VERBS) and _word(tokens, index + 1) not in lexicon.OF_SEVERAL
    return not is_verb and not any(word in one.plain or _has_plural(one, word) for one in evidence)


def _has_plural(evidence: Evidence, word: str) -> bool:
    """A synonym may be in the plural where the fact's own word is."""
    return any(number.sort is Sort.COUNT and number.value > 1 for number in evidence.numbers) and evidence.licenses(
        word
    )
