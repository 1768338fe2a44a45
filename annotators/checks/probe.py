"""Asks an audio language model whether a claim is heard: yes or no."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from annotators.base import Captioner, Question, Verdict
from annotators.captions.prompts import probe
from annotators.checks.windows import timeless, window
from schemas.config import Builds
from schemas.errors import ConfigError
from schemas.record import Claim, Clip

_ANSWER = re.compile(r"\W{0,8}(?P<word>yes|no)\b\W{0,8}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCheckConfig:
    """A model that wrote the claim agrees with it too easily: ask another one."""

    captioner: Builds[Captioner]
    least_ms: int = 3_000  # of sound around a claim that is shorter
    max_tokens: int = 16  # for the word; a model that thinks first needs more

    def __post_init__(self) -> None:
        if self.least_ms < 1 or self.max_tokens < 1:
            raise ConfigError(f"a probe of {self.least_ms} ms and {self.max_tokens} tokens cannot be; both must be > 0")

    def build(self) -> "ProbeCheck":
        return ProbeCheck(self)


class ProbeCheck:
    name = "probe"

    def __init__(self, config: ProbeCheckConfig) -> None:
        self._config = config
        self._captioner = config.captioner.build()
        self.model = self._captioner.model

    def check(self, asked: Sequence[tuple[Clip, Claim]]) -> list[Verdict]:
        questions = [
            Question(
                waveform=window(clip, claim, self._config.least_ms),
                text=probe(timeless(claim.text) or claim.text),
                max_tokens=self._config.max_tokens,
            )
            for clip, claim in asked
        ]
        return [verdict(None if reply.error else reply.text) for reply in self._captioner.ask(questions)]


def verdict(answer: str | None) -> Verdict:
    """Of an answer that is the word yes or no and nothing else; any other is no answer."""
    match = _ANSWER.fullmatch(answer.strip()) if answer is not None else None
    if not match:
        return Verdict()
    if match["word"].lower() == "yes":
        return Verdict(score=1.0)
    return Verdict(score=0.0, objection="asked again, the model does not hear it")
