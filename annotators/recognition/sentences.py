"""From words to sentences, and sentences as a transcript says them: `[0.00]hello there[1.20]`.

A sentence ends where the writing says so, at a long pause, and where another speaks. What is too long even so is parted
at its longest pauses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from annotators.recognition.stretches import text_of
from schemas.formats.transcript import Utterance, plain, write
from schemas.record import Word
from schemas.span import Span

ENDS = frozenset(".!?…。！？｡．؟۔।॥။។።")
CLOSING = "\"'”’»›)]}）］】」』〉》"
ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "e.g", "i.e", "bzw", "z.b", "mme"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceRules:
    pause_ms: int = 800  # a longer one ends the sentence
    max_ms: int = 15_000
    min_ms: int = 1_000  # of a part, where a long sentence is parted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence(Span):
    """Words that belong together, of one speaker."""

    words: tuple[Word, ...]
    language: str | None = None  # ISO 639-1; by the letters where it is not known

    @property
    def text(self) -> str:
        return text_of((word.text for word in self.words), self.language)

    @property
    def score(self) -> float:
        return mean_score(self.words)

    @property
    def speaker(self) -> str | None:
        return self.words[0].speaker


def mean_score(words: Sequence[Word]) -> float:
    return round(sum(word.score for word in words) / len(words), 3)


def sentence_of(words: Sequence[Word], language: str | None = None) -> Sentence:
    end_ms = max(word.end_ms for word in words)
    return Sentence(start_ms=words[0].start_ms, end_ms=end_ms, words=tuple(words), language=language)


def sentences_of(
    words: Sequence[Word], rules: SentenceRules | None = None, language: str | None = None
) -> list[Sentence]:
    """The words, which stand in time order, by sentence; every word is in exactly one."""
    rules = rules or SentenceRules()
    parts: list[list[Word]] = []
    for word in words:
        last = parts[-1][-1] if parts else None
        if last and last.speaker == word.speaker and not _ends(last, word, rules):
            parts[-1].append(word)
        else:
            parts.append([word])
    return [sentence_of(piece, language) for part in parts for piece in _short_enough(part, rules)]


def _ends(last: Word, word: Word, rules: SentenceRules) -> bool:
    return word.start_ms - last.end_ms > rules.pause_ms or is_end(last.text)


def is_end(text: str) -> bool:
    """Whether a sentence ends with this word: neither at an abbreviation nor at an initial.

    >>> [is_end(text) for text in ("there.", "好。", "he?»", "Dr.", "J.", "3.5", "so")]
    [True, True, True, False, False, False, False]
    """
    text = text.rstrip(CLOSING)
    if not text or text[-1] not in ENDS:
        return False
    word = text[:-1].lstrip("(\"'“‘«¿¡[")
    initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    return text[-1] != "." or not (initial or word.lower() in ABBREVIATIONS)


def _short_enough(words: list[Word], rules: SentenceRules) -> list[list[Word]]:
    """The words in parts of at most `max_ms`, cut at the longest pause each time, the earliest of equals."""
    done: list[list[Word]] = []
    left = [words]
    while left:
        part = left.pop()
        whole_ms = part[-1].end_ms - part[0].start_ms
        if whole_ms <= rules.max_ms or len(part) < 2:
            done.append(part)
            continue
        at = max(range(1, len(part)), key=lambda index: (_fitness(part, index, rules), -index))
        left += [part[at:], part[:at]]
    return done


def _fitness(part: Sequence[Word], at: int, rules: SentenceRules) -> tuple[bool, int, int]:
    """Of a cut before this word: neither part is a scrap, the pause is long, and the parts are of one length."""
    last, word = part[at - 1], part[at]
    before_ms, after_ms = last.end_ms - part[0].start_ms, part[-1].end_ms - word.start_ms
    return min(before_ms, after_ms) >= rules.min_ms, word.start_ms - last.end_ms, min(before_ms, after_ms)


def written(sentences: Sequence[Sentence], segment: Span, *, speakers: bool = False) -> str:
    """The transcript of a segment, in seconds from its start; `speakers` says who as well, `[0.00][S01]hi[1.20]`.

    What would be read as a time or a speaker is made harmless; a sentence of which nothing is left is not told.
    """
    items = [
        Utterance(
            start_ms=max(0, sentence.start_ms - segment.start_ms),
            end_ms=min(sentence.end_ms, segment.end_ms) - segment.start_ms,
            text=text,
            speaker=sentence.speaker if speakers else None,
        )
        for sentence in sentences
        if (text := plain(sentence.text)) and sentence.overlap_ms(segment)
    ]
    return write(sorted(items, key=lambda item: (item.start_ms, item.end_ms)))
