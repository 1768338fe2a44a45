"""What a fact lets one say: its words and what stands for them, its numbers, whose it is, and what it says is not."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from annotators.merging import lexicon
from annotators.merging.listing import Listed
from annotators.merging.numbers import Number, Sort, numbers_of
from annotators.merging.tokens import Heard, Piece, Token, heard_of, tokens_of
from annotators.merging.words import stems, words_of
from schemas import audioset
from schemas.record import Branch

SPEAKER = re.compile(r"[Ss]0*([1-9][0-9]{0,3})", re.ASCII)
BRIEF_MS = 1_000
NEAR, NEAR_OF_A_VOICE = 3, 4  # words; all that is told of a voice is of one thing
ASIDE = re.compile(r"\([^)]*\)")
TOO_WIDE = frozenset({"Music", "Musical instrument"})  # a church bell lies below them and makes no music


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One cited fact, ready to be asked what of a sentence it holds."""

    fact: Listed
    stems: frozenset[str]  # of the words that may be said of it
    plain: frozenset[str]  # its own words as written, in lower case
    written: frozenset[str]  # the same with their capitals: chords are told apart by these
    numbers: tuple[Number, ...]
    denied: frozenset[str]  # stems of what it says is not there
    speakers: frozenset[int]
    heard: Heard | None = None  # what may be quoted
    places: tuple[frozenset[str], ...] = ()  # for each word of its text, numbers with them, the stems that it licenses

    def licenses(self, word: str, *, denied: bool = False) -> bool:
        return bool(stems(word) & (self.denied if denied else self.stems))

    def are_near(self, word: str, other: str) -> bool:
        """Whether two words stand near each other in its text; so do those that it does not owe to its text."""
        reach = NEAR_OF_A_VOICE if self.fact.branch is Branch.SPEECH else NEAR
        ones = [place for place, held in enumerate(self.places) if held & stems(word)]
        others = [place for place, held in enumerate(self.places) if held & stems(other)]
        return not ones or not others or any(abs(a - b) <= reach for a in ones for b in others)

    def holds(self, number: Number) -> bool:
        return any(number.same(own) for own in self.numbers)


@lru_cache(maxsize=1_024)
def evidence_of(fact: Listed) -> Evidence:
    is_heard = fact.kind in lexicon.HEARD_KINDS
    tokens = () if is_heard else tokens_of(fact.text)
    own = tokens + (tokens_of(fact.label) if fact.label else ())
    denied = _denied(tokens) | words_of(lexicon.NEGATED_BY_KIND.get(fact.kind, ""))
    said = _stems(_content(own)) | _phrases(tokens) | _ancestors(fact.label)
    said |= {"brief", "short"} if fact.duration_ms <= BRIEF_MS else set()
    said = lexicon.with_synonyms(frozenset(said)) | _kind_words(fact)
    said |= {verb for thing, verb in lexicon.TYPICAL.items() if thing in said}
    said |= {"ask"} if is_heard and "?" in fact.text else set()
    if fact.speaker and not SPEAKER.fullmatch(fact.speaker):
        said |= {fact.speaker.lower()}
    return Evidence(
        fact=fact,
        stems=frozenset(said - denied - lexicon.FUNCTION),
        plain=frozenset(token.word for token in own),
        written=frozenset(token.text for token in own),
        numbers=(*numbers_of(tokens), *_ratios(fact)),
        denied=denied,
        speakers=_speakers(fact, tokens),
        heard=heard_of(fact.text) if is_heard else None,
        places=_places(tokens),
    )


def _places(tokens: tuple[Token, ...]) -> tuple[frozenset[str], ...]:
    said = (token for token in tokens if token.piece is Piece.WORD and token.word not in lexicon.FUNCTION)
    return tuple(lexicon.with_synonyms(stems(token.word)) for token in said)


def _content(tokens: tuple[Token, ...]) -> list[str]:
    return [token.word for token in tokens if token.piece is Piece.WORD and token.word not in lexicon.NEGATIONS]


def _stems(words: list[str]) -> frozenset[str]:
    return frozenset[str]().union(*(stems(word) for word in words))


def _kind_words(fact: Listed) -> frozenset[str]:
    return words_of(lexicon.KIND_WORDS.get(fact.kind, lexicon.BRANCH_WORDS[fact.branch.value]))


def _phrases(tokens: tuple[Token, ...]) -> frozenset[str]:
    words = [token.word for token in tokens]
    found: set[str] = set()
    for first, second in pairwise(words):
        for phrase, also in lexicon.PHRASES.items():
            if phrase[0] in stems(first) and phrase[1] in stems(second):
                found |= words_of(also)
    return frozenset(found)


def _ancestors(label: str | None) -> frozenset[str]:
    """The words of the classes that a class lies below: a bark is of a dog, and of an animal."""
    known = audioset.known(label) if label else None
    if known is None:
        return frozenset()
    names = [name for name in audioset.ancestors(known.name) if audioset.known(name)]
    words = [known.words, *(ASIDE.sub("", name) for name in names if name not in TOO_WIDE)]
    return _stems([token.word for text in words for token in tokens_of(text) if token.piece is Piece.WORD])


def _ratios(fact: Listed) -> list[Number]:
    """ "in four" is 4/4."""
    if fact.kind != "meter":
        return []
    found = [ratio for word, ratio in lexicon.METERS.items() if word in fact.text.replace("-", " ").split()]
    return [Number(sort=Sort.RATIO, value=0.0, text=ratio, first=0, last=0) for ratio in found]


def _denied(tokens: tuple[Token, ...]) -> frozenset[str]:
    found: set[str] = set()
    for index in negated(tokens):
        found |= stems(tokens[index].word)
    return lexicon.with_synonyms(frozenset(found)) if found else frozenset()


def negated(tokens: tuple[Token, ...]) -> list[int]:
    """Which words stand under a negation: those that follow it up to a mark, or to a word that joins."""
    found: list[int] = []
    under = False
    for index, token in enumerate(tokens):
        if is_negation(token):
            under, begun = True, False
        elif under and token.word == "one" and tokens[index - 1].word == "no":
            continue  # "no one" is nobody
        elif under and token.piece is Piece.WORD and token.word not in lexicon.FUNCTION:
            found.append(index)
            begun = True
        elif under and ((token.piece is Piece.MARK and token.text != "-") or begun):
            under = False
    return found


def is_negation(token: Token) -> bool:
    is_one = token.word in lexicon.NEGATIONS or token.word in lexicon.DENIALS or token.word.endswith("n't")
    return is_one and token.piece is Piece.WORD


def _speakers(fact: Listed, tokens: tuple[Token, ...]) -> frozenset[int]:
    found = {int(match[1])} if fact.speaker and (match := SPEAKER.fullmatch(fact.speaker)) else set()
    for number in numbers_of(tokens):
        after = tokens[number.last].word if number.last < len(tokens) else ""
        before = tokens[number.first - 1].word if number.first else ""
        named = number.sort is Sort.ORDINAL and after in lexicon.PERSONS
        if named or (number.sort is Sort.COUNT and before == "speaker"):
            found.add(int(number.value))
    return frozenset(found)
