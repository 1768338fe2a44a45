"""What a captioning language model may say, and what is let through: python -m benchmarks.merge [--attacks N]

The model is a server on loopback that answers as a good one would, or invents, or fails, over real HTTP. Whether an
invention is in a caption is decided by what was put in, not by what verified it.
"""

import argparse
import random
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from annotators.captions.chat import ChatConfig
from annotators.merging.cases import VerifyingRules
from annotators.merging.lexicon import FUNCTION
from annotators.merging.listing import Listing
from annotators.merging.merger import LlmMergerConfig, prepared
from annotators.merging.reading import Proposal
from annotators.merging.verifying import judged
from benchmarks.merge_attacks import KINDS, Attack, attack
from benchmarks.merge_captions import honest, rows
from benchmarks.merge_cases import case
from benchmarks.merge_mutations import mutations
from schemas.record import Branch, Caption, Claim, Clip, Rejected
from tests.chat_server import Answer, ChatServer, Request
from tests.honest_writer import answering

NUM_SEGMENTS = 40  # for each kind of failing server
SHOWN = 58  # characters of a reason
UNASKED = LlmMergerConfig(chat=ChatConfig(url="http://127.0.0.1:1/v1", model="none"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", type=int, default=500, help="in all, of every kind alike")
    parser.add_argument("--mutations", type=int, default=6_000, help="single words put in at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=0, help="how many mutations that stand are shown")
    arguments = parser.parse_args()
    true_claims(arguments.seed)
    inventions(arguments.attacks, arguments.seed)
    servers()
    words_at_random(arguments.mutations, arguments.seed, arguments.examples)


def true_claims(seed: int) -> None:
    asked: Counter[str] = Counter()
    stand: Counter[str] = Counter()
    for number in range(seed + 50_000, seed + 50_300):
        made = case(number)
        listing = prepared(made.clip, UNASKED).listing
        for claim in honest(made, random.Random(number)):
            if set(claim.row["evidence"]) <= listing.by_id.keys():
                asked[claim.style] += 1
                stand[claim.style] += isinstance(verified(claim.row, listing), Claim)
    print(f"true claims in {len(asked)} styles: {stand.total()} of {asked.total()} stand")
    for style in sorted(style for style in asked if stand[style] < asked[style]):
        print(f"  {style}: {stand[style]} of {asked[style]}")


def inventions(number: int, seed: int) -> None:
    """Each in an answer of true claims, all put to one server."""
    made = [one for index, kind in enumerate(KINDS) for one in _of_kind(kind, seed + 10_000 * index, number)]
    answers: dict[str, Any] = {}
    with ChatServer(answering(answers)) as server:
        config = _config(server.url)
        for one in made:
            answers[prepared(one.made.clip, config).listing.document] = one.answer
        captions = config.build().merge([one.made.clip for one in made])
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    through: Counter[str] = Counter()
    for one, caption in zip(made, captions, strict=True):
        through[one.kind] += one.through(caption)
        reasons[one.kind].update(item.reason for item in caption.rejected if item.text[:40] == one.text[:40])
    print(f"\n{'invention':22} {'asked':>5} {'through':>7}  why most of them are rejected")
    for kind, count in Counter(one.kind for one in made).items():
        reason = reasons[kind].most_common(1)[0][0] if reasons[kind] else ""
        print(f"{kind:22} {count:5} {through[kind]:7}  {reason[:SHOWN]}")
    print(f"{'all':22} {len(made):5} {through.total():7}")


def servers() -> None:
    """What becomes of captions where the model fails."""
    cases = {number: case(number) for number in range(70_000, 70_000 + NUM_SEGMENTS)}
    clips = [made.clip for made in cases.values()]
    good = {
        prepared(made.clip, UNASKED).listing.document: {"claims": rows(honest(made, random.Random(number)))}
        for number, made in cases.items()
    }
    print(f"\n{'server':22} {'captions':>8} {'its own':>7} {'templates':>9}  the note")
    for name, answer in {"good": answering(good), **SERVERS}.items():
        with ChatServer(answer) as server:
            config = LlmMergerConfig(chat=_chat(server.url, timeout_s=5.0, retries=0))
            _print_row(name, config.build().merge(clips), clips)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        _print_row("connection refused", _config(url).build().merge(clips), clips)


def verified(row: dict[str, Any], listing: Listing) -> Claim | Rejected:
    """What becomes of a claim that a model wrote so."""
    proposal = Proposal(
        text=row["text"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        branch=Branch(row["branch"]),
        evidence=tuple(row["evidence"]),
    )
    return judged(proposal, listing, VerifyingRules())


def words_at_random(number: int, seed: int, examples: int) -> None:
    asked: Counter[tuple[str, str]] = Counter()
    stand: Counter[tuple[str, str]] = Counter()
    strange: Counter[tuple[str, str]] = Counter()
    shown: list[str] = []
    for one in islice(mutations(seed), number):
        listing = prepared(one.made.clip, UNASKED).listing
        if not set(one.row["evidence"]) <= listing.by_id.keys():
            continue
        kind = (one.source, one.how)
        asked[kind] += 1
        if not isinstance(verified(one.row, listing), Claim):
            continue
        stand[kind] += 1
        if one.word.lower() not in FUNCTION and not one.is_of_its_facts:
            strange[kind] += 1
            shown.append(f"  {one.word!r}: {one.row['text']}")
    print(f"\n{'a word of':12} {'put in by':9} {'asked':>6} {'stand':>6} {'not of its facts, nor a function word':>38}")
    for kind in sorted(asked):
        print(f"{kind[0]:12} {kind[1]:9} {asked[kind]:6} {stand[kind]:6} {strange[kind]:38}")
    print(f"{'all':12} {'':9} {asked.total():6} {stand.total():6} {strange.total():38}")
    print("\n".join(shown[:examples]))


def _of_kind(kind: str, seed: int, number: int) -> Iterator[Attack]:
    each = -(-number // len(KINDS))
    return islice((one for offset in range(20_000) if (one := attack(seed + offset, kind))), each)


def _config(url: str) -> LlmMergerConfig:
    return LlmMergerConfig(chat=_chat(url))


def _chat(url: str, timeout_s: float = 60.0, retries: int = 3) -> ChatConfig:
    return ChatConfig(url=url, model="tiny", retries=retries, timeout_s=timeout_s, connect_s=2.0)


def _print_row(name: str, captions: list[Caption], clips: list[Clip]) -> None:
    own = sum("tiny" in caption.merger for caption in captions)
    notes = Counter(caption.note for caption in captions if caption.note)
    note = notes.most_common(1)[0][0] if notes else ""
    print(f"{name:22} {len(captions):8} {own:7} {len(clips) - own:9}  {note[:110]}")


SERVERS: dict[str, Callable[[Request], Any]] = {
    "broken JSON": lambda request: '{"claims": [{"text": "A dog',
    "HTML": lambda request: "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>",
    "prose": lambda request: "I'm sorry, but I cannot listen to audio.",
    "empty": lambda request: Answer(text=""),
    "truncated": lambda request: Answer(text='{"claims": [', finish="length"),
    "status 500": lambda request: Answer(status=500, raw=b"out of memory"),
    "status 429": lambda request: Answer(status=429, raw=b"slow down"),
    "slow": lambda request: Answer(never=True),
    "cut off": lambda request: Answer(text="{}" * 500, closes_after=40),
    "nested deeply": lambda request: "[" * 50_000,
    "huge": lambda request: "x" * 900_000,
    "a list of nothing": lambda request: {"claims": []},
    "wrong types": lambda request: {"claims": [{"text": 7, "start_s": "a", "end_s": None, "branch": 1, "evidence": 3}]},
}


if __name__ == "__main__":
    main()
