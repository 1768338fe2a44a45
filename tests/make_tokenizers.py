"""Tokenizers for the tests: the published layout in small, with the words of the prompt at their published ids."""

import functools
import json

import tokenizers
from tokenizers import pre_tokenizers

PUBLISHED_CONTROL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *(f"<|slot_{number}|>" for number in range(151_646, 151_654)),
    "<|vision_pad|>",  # where a placeholder goes
    *(f"<|slot_{number}|>" for number in range(151_655, 151_657)),
    "<tool_call>",
    "</tool_call>",
    *(f"<|slot_{number}|>" for number in range(151_659, 151_667)),
    "<think>",
    "</think>",
]
FIRST_CONTROL = 151_643
NOT_SPECIAL = {"<tool_call>", "</tool_call>", "<think>", "</think>"}

PUBLISHED_WORDS = {
    "system": 8948,
    "You": 2610,
    "Ġare": 525,
    "Ġa": 264,
    "Ġhelpful": 10950,
    "Ġassistant": 17847,
    "user": 872,
    "assistant": 77091,
    "ĊĊ": 271,
}
"""Ġ is how a byte-level vocabulary writes a blank, Ċ a line feed."""


@functools.cache
def published() -> tokenizers.Tokenizer:
    """Bytes at 0 to 255 in GPT-2's order ('0' is 15), the words above with merges that lead to them, 151,643 ids in
    all, then the control tokens; the ids in between are never made. Without the audio strings, as on the hub."""
    return tokenizers.Tokenizer.from_str(json.dumps(published_body()))


def published_body() -> dict:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    merges = []
    taken = set(PUBLISHED_WORDS.values())
    spare = iter(number for number in range(256, FIRST_CONTROL) if number not in taken)
    for word, number in PUBLISHED_WORDS.items():
        for stop in range(2, len(word) + 1):
            if word[:stop] not in vocabulary:
                vocabulary[word[:stop]] = (
                    number if stop == len(word) else PUBLISHED_WORDS.get(word[:stop]) or next(spare)
                )
                merges.append([word[: stop - 1], word[stop - 1]])
    vocabulary |= {f"never made {number}": number for number in spare}
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": FIRST_CONTROL + n,
                "content": text,
                "special": text not in NOT_SPECIAL,
                **dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False),
            }
            for n, text in enumerate(PUBLISHED_CONTROL)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {
                        "Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                    },
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
