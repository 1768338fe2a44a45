"""Two voices at once, against references: python -m benchmarks.overlap [../shared] [--weights W --voices NAME ...]

With weights that were trained without some voices (`annotators.speakers.train_overlap --without NAME ...`), and those
voices named, the made conversations hold nobody the network has heard. Nobody has trained on the real ones.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

from annotators.speakers.overlap import STEP_MS, WEIGHTS, OverlapDetector, OverlapRules, overlaps_of
from annotators.speech import stretches_of_speech
from benchmarks.conversations import Conversation, converse, real_conversation, segment_of, voices, whole
from schemas.span import Span
from segmenters.embedded import EmbeddedDetector

MADE_MS = 25_000
PLACES = ("clean", "in a room", "over a telephone")  # of made conversations, by their seed
NUM_MADE = 18  # conversations of each number of speakers
SCORES = (0.5, 0.6, 0.65, 0.7, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    conversation: Conversation
    scores: np.ndarray  # shape (steps,)
    speech: list[Span]
    true: np.ndarray  # bool, shape (steps,)

    def marked(self, rules: OverlapRules) -> np.ndarray:
        spans = overlaps_of(self.scores, self.speech, whole(self.conversation), rules)
        return steps_in(spans, len(self.scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("shared", type=Path, nargs="?", default=default, help="the folder with speech and digits")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="an ONNX file as train_overlap writes them")
    parser.add_argument("--voices", nargs="*", default=[], help="who speaks in the made conversations")
    arguments = parser.parse_args()
    overlaps, detector = OverlapDetector(arguments.weights), EmbeddedDetector()
    said_by = voices(arguments.shared, detector)
    said_by = {name: said_by[name] for name in arguments.voices or said_by}
    numbers = [number for number in (1, 2, 3) if number <= len(said_by)]
    made = [converse(said_by, number, 7_000 * number + i, MADE_MS) for number in numbers for i in range(NUM_MADE)]
    real = [real_conversation(file) for file in sorted((arguments.shared / "speech").glob("*.rttm"))]
    heard = [heard_in(one, overlaps, detector) for one in [*made, *real]]
    groups: dict[str, list[Heard]] = {"made": heard[: len(made)]}
    for one in heard:
        name = one.conversation.name
        groups.setdefault(PLACES[int(name.split()[-1]) % 3] if "seed" in name else name, []).append(one)
    print(
        f"{overlaps.model}; steps of {STEP_MS} ms in which two voices sound; precision and recall in % at each score\n"
    )
    print(f"{'':20}{'share':>7}{'AP':>7}" + "".join(f"{score:>12.2f}" for score in SCORES))
    for name, group in groups.items():
        true, scores = np.concatenate([one.true for one in group]), np.concatenate([one.scores for one in group])
        rates = [precision_and_recall(group, OverlapRules(score=score)) for score in SCORES]
        columns = "".join(f"{100 * precision:8.0f}{100 * recall:4.0f}" for precision, recall in rates)
        print(f"{name:20}{100 * true.mean():6.1f}%{average_precision(scores, true):7.2f}{columns}")
    begun = time.process_time()
    for one in made:
        overlaps.hear(one.waveform)
    audio_s = sum(one.waveform.duration_ms for one in made) / 1000
    print(f"\none core: {audio_s / (time.process_time() - begun):.0f} x real time")


def heard_in(conversation: Conversation, overlaps: OverlapDetector, detector: EmbeddedDetector) -> Heard:
    segment = segment_of(whole(conversation), detector.hear(conversation.waveform).events)
    scores = overlaps.hear(conversation.waveform)
    return Heard(
        conversation=conversation,
        scores=scores,
        speech=stretches_of_speech(segment, 0),
        true=at_once(conversation, len(scores)),
    )


def at_once(conversation: Conversation, num_steps: int) -> np.ndarray:
    """Whether two or more truly speak in each step: bool, shape (steps,)."""
    speakers = {said.speaker for said in conversation.said}
    lines = [steps_in([s for s in conversation.said if s.speaker == name], num_steps) for name in speakers]
    return np.sum(lines, axis=0) >= 2


def steps_in(spans: Sequence[Span], num_steps: int) -> np.ndarray:
    inside = np.zeros(num_steps, bool)
    for span in spans:
        inside[round(span.start_ms / STEP_MS) : round(span.end_ms / STEP_MS)] = True
    return inside


def precision_and_recall(group: Sequence[Heard], rules: OverlapRules) -> tuple[float, float]:
    marked, true = (np.concatenate(part) for part in zip(*((o.marked(rules), o.true) for o in group), strict=True))
    right = float((marked & true).sum())
    return right / max(1, marked.sum()), right / max(1, true.sum())


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """Mean over the true steps of the precision among all that score no less."""
    found = true[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float((precision * found).sum() / max(1, found.sum()))


if __name__ == "__main__":
    main()
