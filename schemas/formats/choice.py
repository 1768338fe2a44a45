"""Answers to multiple choice: one letter, of as many as there are options, and nothing else.

Read as well: "(b)", "**B.** a dog barks", "Answer: B", "The answer is B", "答案是B", "\\boxed{B}", a letter on a
line of its own, lower case where it cannot be a word, and an option's own text where the options are given. An answer
is never made up: where no letter stands out, where several do, where the letter is not offered, or where the text after
it is that of another option, there is none, and `unread` says why.

A reply with a block of thought goes through `thinking.parse` first: this reads what comes after the block.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.errors import SchemaError
from schemas.formats.reading import Unread, alike, same, shown

REST_CHARACTERS = 400
"""So much after a letter is compared with the options' texts."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_OPENED = r"[\s*_`\"'“”‘’(\[{<$#>-]{0,12}"
_CLOSED = r"[\s*_`\"'“”‘’)\]}>$.,:;!。、-]{0,12}"
_ALONE = re.compile(rf"{_OPENED}(?:(?:option|choice|选项) ?)?{_OPENED}([A-Z]){_CLOSED}", re.ASCII | re.IGNORECASE)
_LEADING = re.compile(rf"{_OPENED}([A-Z])[*_]{{0,3}}(?:[)\]:、]|\.(?![A-Za-z0-9])| -)", re.ASCII | re.IGNORECASE)
_LISTED = re.compile(r"(?<![A-Za-z0-9])([A-Z])[*_]{0,3}(?:[)\]:、]|\.(?![A-Za-z0-9]))", re.ASCII)
_CUE = (
    r"\b(?:answer|choice)(?:\s{1,4}(?:is|would be|should be|must be))?|\b(?:choose|chose|pick|select)\b"
    r"|\boption(?:\s{1,4}is\b|\s?:)|答案(?:应该是|应该为|应为|是|为)?|选择?"
)
_CUED = re.compile(
    rf"(?:(?:{_CUE})[\s:=>*_`\"'“”‘’(\[{{$-]{{0,12}}(?:(?:option|choice|选项)\s{{1,2}})?|\\boxed\{{\s?(?:\\text\{{)?)"
    r"[(\[*_\"]{0,4}([A-Z])(?![A-Za-z0-9'’])",
    re.ASCII | re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\bnot|n't|n’t|\bnever|\bwrong|\bincorrect|不|错误)[\s*_]{0,3}(?:the )?\Z", re.IGNORECASE)
_WORD_NEXT = re.compile(
    r"[#♯♭]|[ \t]{1,4}(?!(?:because|since|as|due|based|given|or|and)\b)[A-Za-z]", re.ASCII | re.IGNORECASE
)
_ANOTHER = re.compile(
    r"[\s*_)\]}.,]{0,6}(?:\b(?:or|and)\b|/|,|&|、|或|和)[\s*_(\[{]{0,6}(?:(?:or|and|option)\s)?([A-Z])(?![A-Za-z0-9'’])",
    re.ASCII | re.IGNORECASE,
)
_ANSWER_IS = re.compile(
    r"\s*(?:the )?(?:correct |right )?(?:answer(?: is)?|答案是?)[\s:]{0,4}", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedChoice:
    """`answer` is a letter, or None with the reason in `unread`."""

    text: str
    answer: str | None
    unread: tuple[Unread, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the text is the letter and nothing else."""
        return self.answer is not None and same(self.answer, self.text)

    @property
    def index(self) -> int | None:
        """The place of the answer among the options, from 0."""
        return None if self.answer is None else LETTERS.index(self.answer)


def parse(text: str, *, num_options: int = 4, options: Sequence[str] = ()) -> ParsedChoice:
    """The letter that `text` answers, of `num_options`, or of `options` where their texts are given.

    Raises SchemaError only for a number of options that there are no letters for.
    """
    offered = _offered(len(options) or num_options)
    found = _found(alike(text), options)
    letters = sorted({letter for letter, _ in found})
    if not letters:
        reason = "no letter is given as the answer"
    elif len(letters) > 1:
        reason = f"{', '.join(letters)} are given as answers"
    elif letters[0] not in offered:
        reason = f"{letters[0]} is not offered; there are {', '.join(offered)}"
    elif other := _contradicted(letters[0], [rest for _, rest in found], options):
        reason = f"{letters[0]} is given with the text of {other}"
    else:
        return ParsedChoice(text=text, answer=letters[0], unread=())
    return ParsedChoice(text=text, answer=None, unread=(Unread(fragment=text.strip(), reason=reason),))


def write(answer: str, *, num_options: int = 4) -> str:
    """The letter. Raises SchemaError for anything that is not one of the letters offered."""
    offered = _offered(num_options)
    if answer not in tuple(offered):
        raise SchemaError(f"answer {shown(answer)} is not offered; there are {', '.join(offered)}")
    return answer


def _offered(num_options: int) -> str:
    if not 1 <= num_options <= len(LETTERS):
        raise SchemaError(f"{num_options} options; there are letters for 1 to {len(LETTERS)}")
    return LETTERS[:num_options]


def _found(text: str, options: Sequence[str]) -> list[tuple[str, str]]:
    """The letters that the surest of all signs gives, each with the rest of its line."""
    if alone := _ALONE.fullmatch(text.strip()):
        return [(alone[1].upper(), "")]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (
        list(_cued(text))
        or [(alone[1].upper(), "") for line in lines if (alone := _ALONE.fullmatch(line))]
        or _leading(lines)
        or [(letter, "") for letter in _told(text, options)]
    )


def _cued(text: str) -> Iterator[tuple[str, str]]:
    """What is called the answer. "The answer is a bird" does not call A the answer."""
    for cued in _CUED.finditer(text):
        if _DENIED.search(text[max(0, cued.start() - 24) : cued.start()]):
            continue
        if _is_word(text, cued.end()):
            continue
        end = cued.end()
        yield cued[1].upper(), text[end : end + REST_CHARACTERS].partition("\n")[0]
        while (another := _ANOTHER.match(text, end)) and not _is_word(text, another.end()):
            yield another[1].upper(), ""
            end = another.end()


def _is_word(text: str, end: int) -> bool:
    """Whether the letter that ends there goes on as words do: "a bird", "I think", "C major", "F#"."""
    return _WORD_NEXT.match(text, end) is not None


def _leading(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Letters that lines begin with, as lists do, and with them all others that look like items of a list."""
    leading = [
        (match[1].upper(), line[match.end() :][:REST_CHARACTERS]) for line in lines if (match := _LEADING.match(line))
    ]
    return leading and leading + [(letter, "") for line in lines for letter in _LISTED.findall(line)]


def _told(text: str, options: Sequence[str]) -> list[str]:
    """The options whose text is all that is said."""
    prefix = _ANSWER_IS.match(text)
    said = {_bare(text), _bare(text[prefix.end() :] if prefix else text)} - {""}
    return [LETTERS[index] for index, option in enumerate(options) if _bare(option) in said]


def _contradicted(letter: str, rests: Sequence[str], options: Sequence[str]) -> str | None:
    """The letter of the one other option whose text stands after this letter."""
    for rest in {_bare(rest) for rest in rests[:8]}:
        alike_options = [LETTERS[index] for index, option in enumerate(options) if rest and _bare(option) == rest]
        if alike_options and letter not in alike_options:
            return alike_options[0]
    return None


def _bare(text: str) -> str:
    """Letters and digits alone, without case."""
    return "".join(letter for letter in alike(text).casefold() if letter.isalnum())
