"""Answers with a block of thought before them.

    <think>\\n{thought}\\n</think>\\n\\n{answer}      a thinking model
    <think>\\n</think>\\n\\n{answer}                  an empty block, as sglang puts before what an instruct model says
    {answer}                                       no block
    <think>\\n{thought}\\n\\n{CUT}\\n</think>\\n\\n...   a block that a server closed at the end of its budget

Read as well: tags in capitals or with spaces, other white space around them, `<thinking>`, a block whose opening tag
stood in the prompt, several blocks (their thoughts are joined), and one that is never closed, which has no answer.
Only what stands after the last closing tag is the answer: what is said before or between blocks is told as unread.
"""

import re
from dataclasses import dataclass

from schemas.errors import SchemaError
from schemas.formats.reading import Unread, same, shown

CUT = "Considering the limited time by the user, I have to give the solution based on the thinking directly now."
"""What Qwen3's servers write, in the model's place, before they close a block at the end of its budget."""

_TAG = re.compile(r"< {0,4}(?P<close>/?) {0,4}(?P<name>think(?:ing)?) {0,4}>", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model says. `thought` is None without a block and "" in an empty one; `cut` is a spent budget."""

    thought: str | None
    answer: str
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedReply:
    """`closed` is False where thinking went on to the end of the text; the answer is empty then."""

    text: str
    reply: Reply
    closed: bool
    unread: tuple[Unread, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the text is, to the character, what `write` makes of its reply."""
        return self.closed and same(write(self.reply), self.text)


def parse(text: str) -> ParsedReply:
    thoughts: list[str] = []
    unread: list[Unread] = []
    done, inside, block = 0, False, False
    for tag in _TAG.finditer(text):
        piece, done, block = text[done : tag.start()].strip(), tag.end(), True
        if tag["close"] or inside:
            thoughts.append(piece)
        elif piece:
            unread.append(Unread(fragment=piece, reason="it stands before a block of thought"))
        if inside and not tag["close"]:
            unread.append(Unread(fragment=tag.group(), reason="it opens a block within a block"))
        inside = not tag["close"]
    rest = text[done:].strip()
    if inside:
        thoughts.append(rest)
        unread.append(Unread(fragment="", reason="the block of thought is not closed, so there is no answer"))
    thought, cut = _uncut("\n\n".join(filter(None, thoughts)))
    reply = Reply(thought=thought if block else None, answer="" if inside else rest, cut=cut)
    return ParsedReply(text=text, reply=reply, closed=not inside, unread=tuple(unread))


def write(reply: Reply) -> str:
    """The reply as `parse` reads it back.

    Raises SchemaError where it would not be: a tag in the thought or in the answer, white space around them, a thought
    that ends like a cut one and is not, one that is cut without a block. `plain` makes any text writable.
    """
    if reply.cut and reply.thought is None:
        raise SchemaError("reply: cut is True and thought is None; a block that was cut has a thought, if an empty one")
    for name, value in (("thought", reply.thought), ("answer", reply.answer)):
        if value and (tag := _TAG.search(value)):
            raise SchemaError(f"reply: {name} holds the tag {shown(tag.group())}; plain() makes it writable")
        if value and value != value.strip():
            raise SchemaError(f"reply: {name} {shown(value)} has white space around it; plain() takes it off")
    if reply.thought is None:
        return reply.answer
    if _uncut(reply.thought) != (reply.thought, False):
        raise SchemaError("reply: the thought ends with the sentence of a spent budget; take it off and set cut")
    lines = ["<think>"]
    lines += [reply.thought] if reply.thought else []
    lines += ["", CUT] if reply.cut else []
    return "\n".join([*lines, "</think>", "", reply.answer])


def plain(text: str) -> str:
    """`text` as it can stand in a thought or an answer: no white space around it, parentheses for the marks of tags,
    and not the sentence of a spent budget at its end."""
    return _uncut(_TAG.sub(r"(\g<close>\g<name>)", text).strip())[0]


def _uncut(thought: str) -> tuple[str, bool]:
    """The thought without the sentence of a spent budget at its end, and whether there was one."""
    end = len(thought)
    while thought.endswith(CUT, 0, end):
        end -= len(CUT)
        while end and thought[end - 1].isspace():
            end -= 1
    return thought[:end], end < len(thought)
