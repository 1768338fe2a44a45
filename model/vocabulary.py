"""A vocabulary in Qwen's layout for models that start from nothing: control tokens, the 256 bytes, learnt merges."""

import json
from collections.abc import Iterable

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from schemas.errors import ConfigError

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
)
"""Each one's place is its id."""

READ_AS_TEXT = ("<think>", "</think>")
"""Those that decoders keep: thoughts are found in what the model says by these, as in Qwen3."""

SMALLEST = len(CONTROL) + 256

WORDS = "|".join(
    (
        r"'(?i:[sdmt]|ll|re|ve)(?!\p{L})",  # it|'s
        r" ?[\p{L}\p{M}]+",
        r"\p{N}",  # each digit alone: time markers, and numbers that are read place by place
        r" ?[^\s\p{L}\p{M}\p{N}]+",
        r"[^\S\r\n]*[\r\n]+",
        r"\s+(?!\S)",  # blanks but the last, which belongs to the word
        r"\s",
    )
)
"""What a merge never reaches across. Every character is in exactly one match."""


def build(texts: Iterable[str] = (), size: int = 16_384) -> tokenizers.Tokenizer:
    """A vocabulary of up to `size` tokens, learnt from `texts`; without texts a token is a byte.

    The same texts give the same vocabulary. Raises ConfigError for a size below control tokens and bytes.
    """
    if size < SMALLEST:
        raise ConfigError(f"a vocabulary of {size} is too small; control tokens and bytes alone are {SMALLEST}")
    fresh = tokenizers.Tokenizer(models.BPE())
    fresh.normalizer = normalizers.NFC()
    fresh.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fresh.decoder = decoders.ByteLevel()
    fresh.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[AddedToken(text, normalized=False) for text in CONTROL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=32,
        show_progress=False,
    )
    fresh.train_from_iterator(texts, trainer)
    body = json.loads(fresh.to_str())
    for token in body["added_tokens"]:  # the trainer marks all of them special
        token["special"] = token["content"] not in READ_AS_TEXT
    return tokenizers.Tokenizer.from_str(json.dumps(body))
