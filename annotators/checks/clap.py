"""Asks a model of sound and language whether a claim fits its stretch of sound better than other sentences do.

The model is CLAP (Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and
keyword-to-caption augmentation", ICASSP 2023, section 2): two encoders into one space, trained so that a sound lies
nearer to its own sentence than to those of the other sounds of a batch. A cosine by itself means little, since some
sentences lie near to everything; what was trained is the comparison. So the claim is put beside each of `CONTRASTS`,
and its score is the mean probability, by the softmax over the two at the model's own temperature, that the claim is the
one that belongs to the sound:

    score = mean over c of 1 / (1 + exp(scale * (cos(sound, c) - cos(sound, claim))))

A sentence about something else wins against half of the contrasts, one that is true against nearly all: those that are
true as well, of another sound at the same time, cost it no more than their share. That is why this is not one softmax
over all of them, in which rain loses to the voice that speaks over it.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from annotators.base import Verdict
from annotators.checks.windows import quotes, timeless, window
from schemas.audio import Waveform, resampled
from schemas.batches import in_batches
from schemas.config import aside
from schemas.errors import ConfigError, SchemaError
from schemas.network import device_of, no_bars
from schemas.record import Branch, Claim, Clip
from schemas.weights import Weights, located, model_name

if TYPE_CHECKING:
    import torch

WEIGHTS = Weights(
    name="laion/larger_clap_general",
    revision="ada0c23a36c4e8582805bb38fec3905903f18b41",
    licence="Apache-2.0",
    num_bytes=780_000_000,
    files=("*.json", "*.txt", "*.safetensors", "pytorch_model.bin"),
)

CONTRASTS = (
    "Silence.",
    "Faint background noise in a quiet room.",
    "A man is speaking.",
    "A woman is speaking.",
    "A crowd of people is talking and laughing.",
    "A baby is crying.",
    "Someone is coughing.",
    "People are applauding.",
    "A choir is singing.",
    "A piano is playing.",
    "An electric guitar is playing with drums.",
    "Electronic dance music is playing.",
    "An orchestra is playing.",
    "A dog is barking.",
    "A cat is meowing.",
    "Birds are chirping.",
    "Insects are buzzing.",
    "Rain is falling.",
    "Wind is blowing into a microphone.",
    "Waves are breaking on a beach.",
    "Thunder is rumbling.",
    "A car is driving past.",
    "A train is rolling over rails.",
    "An aeroplane is flying overhead.",
    "A siren is wailing.",
    "A bell is ringing.",
    "A telephone is ringing.",
    "A door is closing.",
    "Footsteps on a hard floor.",
    "Glass is breaking.",
    "A gun is fired.",
    "Someone is typing on a keyboard.",
    "Water is running from a tap.",
    "An engine is idling.",
    "A machine is humming steadily.",
    "Someone is sawing wood.",
)
"""Over the coarse classes of AudioSet, in the manner of captions; no score rests on any one of them."""

UNHEARD = frozenset({"tempo", "meter", "key", "chords", "sections", "dynamics", "lyrics", "transcript", "pause"})
"""Kinds of facts that are measured or read: a claim that rests on these alone is not for CLAP to judge."""

LEAST_MS = 2_000
MAX_TEXT_TOKENS = 77  # as in its training
KEPT_TEXTS = 4_096
SCORE_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ClapCheckConfig:
    """It runs in float32 everywhere: it is small beside the branches, and cosines differ in their third digit.

    `least_score` 0.5 is what a sentence about something else has; it objects to claims that fit no better than that.
    """

    weights: Weights = WEIGHTS
    least_score: float = 0.5
    least_ms: int = LEAST_MS  # of sound around a claim that is shorter; the model hears it repeated to 10 s
    contrasts: tuple[str, ...] = CONTRASTS
    batch_size: int = aside(32)
    device: str | None = aside(None)

    def __post_init__(self) -> None:
        if not 0 <= self.least_score <= 1 or not self.contrasts or self.least_ms < 1:
            raise ConfigError(
                f"the CLAP check has least_score {self.least_score}, {len(self.contrasts)} contrasts and least_ms "
                f"{self.least_ms}; a score lies in 0..1, and of the others there is at least one"
            )

    def build(self) -> "ClapCheck":
        return ClapCheck(self)


class ClapCheck:
    """Judges claims on sounds and music; one that quotes words or tells only measurements gets no score."""

    name = "clap"

    def __init__(self, config: ClapCheckConfig) -> None:
        self._config = config
        self._clap = Clap(config)
        self.model = self._clap.model
        self._contrasts = np.stack([self._clap.of_text(text) for text in config.contrasts])

    def check(self, asked: Sequence[tuple[Clip, Claim]]) -> list[Verdict]:
        windows: dict[int, tuple[int, int, int]] = {}  # of each claim that can be judged
        stretches: dict[tuple[int, int, int], Waveform] = {}  # claims on one stretch of sound share it
        for index, (clip, claim) in enumerate(asked):
            if can_judge(clip, claim):
                stretch = window(clip, claim, self._config.least_ms)
                windows[index] = (id(clip), stretch.start_ms, len(stretch.pcm))
                stretches[windows[index]] = stretch
        pieces = [(key, piece) for key, stretch in stretches.items() for piece in self._clap.pieces(stretch)]
        embeddings = self._clap.of_sounds([piece for _, piece in pieces])
        heard: dict[tuple[int, int, int], list[np.ndarray]] = {}
        for (key, _), embedding in zip(pieces, embeddings, strict=True):
            heard.setdefault(key, []).append(embedding)
        return [
            self._verdict(asked[index][1], heard.get(windows[index], [])) if index in windows else Verdict()
            for index in range(len(asked))
        ]

    def _verdict(self, claim: Claim, sounds: Sequence[np.ndarray]) -> Verdict:
        """By the piece of its sound that fits it best."""
        text = self._clap.of_text(_read(claim))
        scores = [score(sound, text, self._contrasts, self._clap.scale) for sound in sounds]
        if not scores or not all(map(math.isfinite, scores)):
            return Verdict()
        found, least = round(max(scores), SCORE_DIGITS), self._config.least_score
        if found >= least:
            return Verdict(score=found)
        return Verdict(
            score=found, objection=f"the sound fits other sentences better: {found:.2f} of CLAP is below {least:.2f}"
        )


def can_judge(clip: Clip, claim: Claim) -> bool:
    """Whether the claim is about what can be heard as such."""
    if claim.branch is Branch.SPEECH or quotes(claim.text) or not _read(claim):
        return False
    try:
        kinds = {clip.branches.fact(evidence).kind for evidence in claim.evidence}
    except SchemaError:  # evidence that names nothing is for whoever made the claim to refuse
        return False
    return not kinds <= UNHEARD


def score(sound: np.ndarray, claim: np.ndarray, contrasts: np.ndarray, scale: float) -> float:
    """Mean probability that the claim belongs to the sound, and not a contrast. All have length 1."""
    behind = np.clip(scale * (contrasts @ sound - claim @ sound), -60.0, 60.0)
    return float(np.mean(1.0 / (1.0 + np.exp(behind))))


@dataclass(slots=True)
class _Texts:
    """The last so many embeddings of texts."""

    kept: "OrderedDict[str, np.ndarray]" = field(default_factory=OrderedDict)

    def get(self, text: str) -> np.ndarray | None:
        if text in self.kept:
            self.kept.move_to_end(text)
        return self.kept.get(text)

    def put(self, text: str, embedding: np.ndarray) -> None:
        self.kept[text] = embedding
        if len(self.kept) > KEPT_TEXTS:
            self.kept.popitem(last=False)


class Clap:
    """The two encoders: embeddings of length 1, float64 of shape (dimensions,)."""

    def __init__(self, config: ClapCheckConfig) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import ClapModel, ClapProcessor

        no_bars()
        folder = located(config.weights)
        self._device, self._batch_size = device_of(config.device), config.batch_size
        opened: Any = ClapModel.from_pretrained  # gives two things where it is asked to
        try:
            processor = ClapProcessor.from_pretrained(folder, local_files_only=True)
            network, found = opened(folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ConfigError(f"{folder} cannot be opened as a CLAP model: {error}") from error
        if found["missing_keys"]:  # they would be left random
            missing = sorted(found["missing_keys"])
            raise ConfigError(f"{folder} is no whole CLAP model: it lacks {len(missing)} tensors, {missing[0]} first")
        self._extractor, self._tokenizer = processor.feature_extractor, processor.tokenizer
        self._network = network.to(self._device).eval()
        self.model = model_name(config.weights, folder)
        self.scale = float(network.logit_scale_a.detach().exp())
        self._texts = _Texts()

    def pieces(self, waveform: Waveform) -> list[np.ndarray]:
        """The sound at the model's rate, in even pieces no longer than it takes: of a longer one it takes any."""
        rate_hz, most = self._extractor.sampling_rate, int(self._extractor.nb_max_samples)
        samples = resampled(waveform, rate_hz)
        return [piece for piece in np.array_split(samples, max(1, -(-len(samples) // most))) if len(piece)]

    def of_sounds(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        return in_batches(sounds, self._heard, length=lambda _: 1, room=self._batch_size)

    def of_text(self, text: str) -> np.ndarray:
        """Each text goes alone and padded alike, so that its numbers never depend on its neighbours."""
        found = self._texts.get(text)
        if found is None:
            import torch

            given = self._tokenizer(
                [text], padding="max_length", truncation=True, max_length=MAX_TEXT_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                found = _numbers(self._network.get_text_features(**given.to(self._device)))[0]
            self._texts.put(text, found)
        return found

    def _heard(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        import torch

        given = self._extractor(list(sounds), sampling_rate=self._extractor.sampling_rate, return_tensors="pt")
        # a fused model's extractor marks one sound of every batch as long, by chance; none of these is
        is_longer = torch.zeros(len(sounds), 1, dtype=torch.bool)
        with torch.inference_mode():
            features = self._network.get_audio_features(
                input_features=given["input_features"].to(self._device, torch.float32),
                is_longer=is_longer.to(self._device),
            )
        return list(_numbers(features))


def _numbers(features: Any) -> np.ndarray:
    """float64 of shape (batch, dimensions), each row of length 1."""
    found: torch.Tensor = getattr(features, "pooler_output", features)
    rows = found.double().cpu().numpy()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    normed: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return normed


def _read(claim: Claim) -> str:
    """What the model reads of a claim: its sentence without times, as a sentence."""
    text = timeless(claim.text)
    return text[:1].upper() + text[1:] if any(char.isalnum() for char in text) else ""
