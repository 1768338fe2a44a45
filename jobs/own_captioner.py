"""A checkpoint of `model/` as the audio language model that the branches ask: what was trained here annotates the
next round. The published MOSS-Audio checkpoints have the same layout and open the same way.

    sound = SoundConfig(..., captioner=OwnCaptionerConfig(checkpoint=Weights(name="./checkpoints/small")))
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from annotators.base import Question, Reply
from annotators.captions.prompts import schema_in_words
from schemas.audio import resampled
from schemas.batches import in_batches, sparing
from schemas.config import aside
from schemas.errors import ConfigError, InputError
from schemas.network import device_of
from schemas.weights import Weights, located, model_name

if TYPE_CHECKING:
    from model.generate import Answer, Request

RATE_HZ = 16_000
MOSS_AUDIO_4B = Weights(
    name="OpenMOSS-Team/MOSS-Audio-4B-Instruct",
    licence="Apache-2.0",
    num_bytes=10_450_000_000,
    files=("*.json", "*.safetensors", "*.txt", "*.jinja"),
)
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCaptionerConfig:
    """The likeliest token is always taken, so the same clips give the same answers."""

    checkpoint: Weights  # of `earmark model init`, of training, or a published one
    device: str | None = aside(None)
    dtype: str | None = None  # as stored on an accelerator, float32 on a processor
    batch_tokens: int = aside(65_536)  # the room for keys and values of the questions that are answered at once
    compiled: bool = False  # pays after some hundreds of tokens

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ConfigError(f"dtype of the captioner is {self.dtype!r}; it must be one of {', '.join(DTYPES)}")

    def build(self) -> "OwnCaptioner":
        return OwnCaptioner(self)


class OwnCaptioner:
    def __init__(self, config: OwnCaptionerConfig) -> None:
        import torch

        from model.checkpoint import load, read_config
        from model.generate import Generator
        from model.tokens import Tokenizer

        folder = located(config.checkpoint)
        described = read_config(folder)
        tokenizer = Tokenizer.open(folder)
        tokenizer.check(described)
        device = device_of(config.device)
        wish = config.dtype or ("float32" if device == "cpu" else None)
        dtype: torch.dtype | None = getattr(torch, wish) if wish else None
        self.model = model_name(config.checkpoint, folder)
        self._positions = described.language_config.max_position_embeddings
        self._tokenizer, self._batch_tokens = tokenizer, config.batch_tokens
        self._generator = Generator(
            load(folder, dtype=dtype, device=device),
            tokenizer,
            batch_tokens=config.batch_tokens,
            compiled=config.compiled,
        )

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        requests: dict[int, Request] = {}
        for index, question in enumerate(questions):
            try:
                requests[index] = self._request(question)
            except InputError as error:
                replies[index] = Reply(text="", error=str(error))
        for max_tokens, indices in _by_limit(questions, requests):
            here = sparing(
                [requests[index] for index in indices],
                partial(self._replies, max_tokens=max_tokens),
                lambda _, why: Reply(text="", error=why),
                self.model,
            )
            replies |= dict(zip(indices, here, strict=True))
        return [replies[index] for index in range(len(questions))]

    def _request(self, question: Question) -> "Request":
        """Raises InputError for sound that cannot be heard, or does not fit with the answer."""
        from model.generate import Request
        from model.mel import log_mel
        from model.prompt import check_fits, render
        from model.prompt import question as asked

        mel = log_mel(resampled(question.waveform, RATE_HZ))
        text = question.text
        if question.schema is not None:
            text = f"{text}\n{schema_in_words(question.schema)}"
        frames = [mel.shape[1]]
        prompt = render(asked(text, frames), self._tokenizer, time_markers=self._tokenizer.time_markers)
        check_fits(len(prompt.ids), frames, self._positions, question.max_tokens)
        return Request(prompt=prompt, mels=(mel,))

    def _replies(self, requests: Sequence["Request"], max_tokens: int) -> list[Reply]:
        from model.sampling import Sampling

        sampling = Sampling(temperature=0.0, max_new_tokens=max_tokens)
        answers = in_batches(
            requests,
            lambda batch: self._generator.generate(batch, sampling),
            length=lambda request: len(request.prompt.ids) + max_tokens,
            room=self._batch_tokens,
        )
        return [_reply(answer, max_tokens) for answer in answers]


def _by_limit(questions: Sequence[Question], asked: "dict[int, Request]") -> Iterator[tuple[int, list[int]]]:
    """Those with the same limit are answered together."""
    for limit in sorted({questions[index].max_tokens for index in asked}):
        yield limit, [index for index in asked if questions[index].max_tokens == limit]


def _reply(answer: "Answer", max_tokens: int) -> Reply:
    if answer.finish == "length":
        return Reply(text="", error=f"the answer was cut off at its limit of {max_tokens:,} tokens")
    text = answer.text.strip()
    return Reply(text=text, error=None if text else "the answer is empty")
