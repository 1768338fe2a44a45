"""Who speaks when, and what is said, against references: python -m benchmarks.speech [../shared/speech]

Diarization error by pyannote.metrics (extra `bench`) on recordings with a .rttm beside them and on conversations
made of single voices; word error on the sample that the package pyannote.audio carries, where it is installed.
"""

import argparse
import importlib.util
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import soundfile

from annotators.dnsmos import Dnsmos
from annotators.speakers.encoder import SpeakerEncoder
from annotators.speakers.overlap import OverlapDetector, OverlapRules, met, overlaps_of
from annotators.speakers.turns import TurnRules, turns_of, window_starts_ms
from annotators.speech import SpeechConfig, stretches_of_speech
from benchmarks.conversations import Conversation, Said, converse, real_conversation, segment_of, voices, whole
from benchmarks.overlap import heard_in, precision_and_recall
from schemas.audio import Waveform
from schemas.record import Clip, Event, Turn, Word
from schemas.span import Span
from segmenters.boundaries import CutRules, decide
from segmenters.embedded import EmbeddedDetector

COLLARS_S = (0.0, 0.25, 0.5)  # in total around each edge of the reference: half before and half after it
NUM_MADE = 10  # conversations of each number of speakers
MADE_MS = 25_000
ENDS_AT_PAUSES = TurnRules(pause_ms=0)
EVERYTHING = SpeechConfig(min_score=0.0, min_sentence_score=0.0, min_variety=0.0, min_words_per_s=0.0, min_voiced=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Span):
    """One line of an .stm file."""

    words: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "speech"
    parser.add_argument("speech", type=Path, nargs="?", default=default, help="recordings, some with an .rttm")
    folder: Path = parser.parse_args().speech
    if importlib.util.find_spec("pyannote.metrics") is None:
        sys.exit("pyannote.metrics is not installed; mend with: pip install -c constraints.txt -e '.[bench]'")
    detector, encoder = EmbeddedDetector(), SpeakerEncoder()
    sample = pyannote_sample()
    real = [real_conversation(file) for file in sorted(folder.glob("*.rttm"))] if folder.is_dir() else []
    if not real and sample:
        real = [real_conversation(sample / "sample.rttm")]
    made = made_conversations(folder.parent, detector)
    if not real + made:
        print(f"{folder} holds no recordings with references, and pyannote.audio with its sample is not installed")
    else:
        print_diarization(real, made, detector, encoder)
        print_overlaps(real, made, detector)
        print_speed((real + made)[0], detector, encoder)
    if sample:
        print_words(sample, detector)
    else:
        print("words: pyannote.audio, whose sample has a transcript, is not installed")


# ------------------------------------------------------------------------------------------- who speaks when


def print_diarization(
    real: Sequence[Conversation], made: Sequence[Conversation], detector: EmbeddedDetector, encoder: SpeakerEncoder
) -> None:
    print("diarization error in %; missed speech, false alarm and wrong speaker are parts of the second column")
    print("collar: seconds in total around each edge of the reference, half of it on each side")
    print(f"a turn goes on through pauses of its speaker up to {TurnRules().pause_ms} ms\n")
    print(f"{'':34}{'overlap scored, collar':^24}{'missed':>8}{'false':>7}{'wrong':>7}{'overlap left out':>18}")
    print(f"{'':34}" + "".join(f"{collar:8.2f}" for collar in COLLARS_S) + f"{'':22}{0.25:18.2f}")
    groups = {one.name: [one] for one in real}
    for one in made:
        groups.setdefault(one.name.split(",")[0], []).append(one)
    if made:
        groups["all made conversations"] = list(made)
    for name, conversations in groups.items():
        print_row(name, [(one, [(whole(one), turns(one, detector, encoder))]) for one in conversations])
    print("\nwith turns that end at every pause:")
    for name, conversations in groups.items():
        if name not in {"1 speakers", "2 speakers", "3 speakers", "4 speakers"}:
            print_row(
                name, [(one, [(whole(one), turns(one, detector, encoder, ENDS_AT_PAUSES))]) for one in conversations]
            )
    print("\nwith turns that never meet in an overlap:")
    for name, conversations in groups.items():
        if name not in {"1 speakers", "2 speakers", "3 speakers", "4 speakers"}:
            print_row(name, [(one, [(whole(one), turns(one, detector, encoder, meet=False))]) for one in conversations])
    print("\nas the pipeline cuts them, each segment with speakers of its own:")
    for one in real:
        print_row(one.name, [(one, in_segments(one, detector, encoder))])
    right = sum(len({t.speaker for t in turns(one, detector, encoder)}) == speakers(one) for one in made)
    if made:
        print(f"\nthe number of speakers is right in {right} of {len(made)} made conversations")


def print_row(name: str, heard: Sequence[tuple[Conversation, Sequence[tuple[Span, Sequence[Turn]]]]]) -> None:
    rates = [diarization_error(heard, collar, skip_overlap=False) for collar in COLLARS_S]
    parts = rates[1]
    total = max(parts["total"], 1e-9)
    shares = [100 * parts[part] / total for part in ("missed detection", "false alarm", "confusion")]
    without = diarization_error(heard, 0.25, skip_overlap=True)
    columns = "".join(f"{100 * rate['rate']:8.1f}" for rate in rates)
    print(f"{name:34}{columns}{shares[0]:8.1f}{shares[1]:7.1f}{shares[2]:7.1f}{100 * without['rate']:18.1f}")


def diarization_error(
    heard: Sequence[tuple[Conversation, Sequence[tuple[Span, Sequence[Turn]]]]], collar_s: float, skip_overlap: bool
) -> dict[str, Any]:
    """The parts of the error in seconds, and its rate, over all of them; speakers are matched span by span."""
    from pyannote.core import Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    metric = DiarizationErrorRate(collar=collar_s, skip_overlap=skip_overlap)
    for conversation, spans in heard:
        for span, hypothesis in spans:
            within = Timeline([seconds(span)])
            metric(labelled(conversation.said).crop(within), labelled(hypothesis), uem=within)
    return {**metric[:], "rate": abs(metric)}


def labelled(turns: Sequence[Said] | Sequence[Turn]) -> Any:
    from pyannote.core import Annotation

    annotation = Annotation()
    for track, turn in enumerate(turns):
        annotation[seconds(turn), track] = turn.speaker
    return annotation


def seconds(span: Span) -> Any:
    from pyannote.core import Segment as Seconds

    return Seconds(span.start_ms / 1000, span.end_ms / 1000)


def turns(
    conversation: Conversation,
    detector: EmbeddedDetector,
    encoder: SpeakerEncoder,
    rules: TurnRules | None = None,
    meet: bool = True,
) -> list[Turn]:
    """Of the whole, as one segment."""
    events = detector.hear(conversation.waveform).events
    return turns_in(whole(conversation), events, conversation.waveform, encoder, rules or TurnRules(), meet)


def in_segments(
    conversation: Conversation, detector: EmbeddedDetector, encoder: SpeakerEncoder
) -> list[tuple[Span, list[Turn]]]:
    hearing = detector.hear(conversation.waveform)
    spans = [Span.of(piece.start_ms, piece.end_ms) for piece in decide(hearing, CutRules())]
    return [
        (span, turns_in(span, hearing.events, conversation.waveform.cut(span), encoder, TurnRules())) for span in spans
    ]


def turns_in(
    span: Span,
    events: Sequence[Event],
    waveform: Waveform,
    encoder: SpeakerEncoder,
    rules: TurnRules,
    meet: bool = True,
) -> list[Turn]:
    speech = stretches_of_speech(segment_of(span, events), 0)
    if not speech:
        return []
    starts_ms = window_starts_ms(speech, span, rules)
    embeddings = encoder.hear(waveform, speech, starts_ms, rules.window_ms)
    turns = turns_of(embeddings, starts_ms, speech, span, rules)
    if not meet:
        return turns
    overlaps = overlaps_of(overlap_detector().hear(waveform), speech, span, OverlapRules())
    return met(turns, overlaps, OverlapRules().reach_ms)


@cache
def overlap_detector() -> OverlapDetector:
    return OverlapDetector()


def speakers(conversation: Conversation) -> int:
    return len({said.speaker for said in conversation.said})


def made_conversations(shared: Path, detector: EmbeddedDetector) -> list[Conversation]:
    said_by = voices(shared, detector)
    numbers = [number for number in (1, 2, 3, 4) if number <= len(said_by)]
    return [converse(said_by, number, 1_000 * number + i, MADE_MS) for number in numbers for i in range(NUM_MADE)]


def print_overlaps(real: Sequence[Conversation], made: Sequence[Conversation], detector: EmbeddedDetector) -> None:
    rules, rates = OverlapRules(), list[str]()
    for name, group in [("made conversations", made), *((one.name, [one]) for one in real)]:
        if group:
            precision, recall = precision_and_recall(
                [heard_in(one, overlap_detector(), detector) for one in group], rules
            )
            rates.append(f"{name} {100 * precision:.0f} and {100 * recall:.0f} %")
    print("\ntwo voices at once, precision and recall: " + ", ".join(rates))


def print_speed(
    conversation: Conversation, detector: EmbeddedDetector, encoder: SpeakerEncoder, repeat: int = 5
) -> None:
    rules, span = TurnRules(), whole(conversation)
    speech = stretches_of_speech(segment_of(span, detector.hear(conversation.waveform).events), 0)
    starts_ms = window_starts_ms(speech, span, rules)
    overlap_detector().hear(conversation.waveform)
    beginning = time.process_time()
    for _ in range(repeat):
        overlap_detector().hear(conversation.waveform)
    begun = time.process_time()
    for _ in range(repeat):
        embeddings = encoder.hear(conversation.waveform, speech, starts_ms, rules.window_ms)
    encoded = time.process_time()
    for _ in range(repeat):
        turns_of(embeddings, starts_ms, speech, span, rules)
    audio_s, decided = repeat * span.duration_ms / 1000, time.process_time()
    dnsmos = Dnsmos()
    built = time.process_time()
    dnsmos.hear(conversation.waveform)
    listened = time.process_time()
    print(
        f"\none core, on {conversation.name}: encoder {audio_s / (encoded - begun):.0f} x real time, "
        f"turns from embeddings {audio_s / (decided - encoded):.0f} x, "
        f"overlaps {audio_s / (begun - beginning):.0f} x, "
        f"DNSMOS {span.duration_ms / 1000 / (listened - built):.0f} x\n"
    )


# ------------------------------------------------------------------------------------------------ what is said


def pyannote_sample() -> Path | None:
    """The folder of the sample that pyannote.audio carries, found without importing it."""
    spec = importlib.util.find_spec("pyannote")
    folders = (Path(place) / "audio" / "sample" for place in (spec.submodule_search_locations or []) if spec)
    return next((folder for folder in folders if (folder / "sample.stm").is_file()), None)


def print_words(sample: Path, detector: EmbeddedDetector) -> None:
    lines = [line_of(text) for text in (sample / "sample.stm").read_text().splitlines() if text.strip()]
    samples, rate_hz = soundfile.read(sample / "sample.wav")
    waveform = Waveform.from_float(samples, rate_hz)
    span = Span.of(0, waveform.duration_ms)
    clip = Clip(segment=segment_of(span, detector.hear(waveform).events), waveform=waveform)
    said = [(word, at_ms) for line in lines for word, at_ms in timed(line)]
    heard: Any = EVERYTHING.build().annotate([clip])[0]
    told: Any = SpeechConfig().build().annotate([clip])[0]
    sentences = [fact for fact in told.facts if fact.kind == "transcript"]
    in_told = [word for word, at_ms in said if any(fact.start_ms <= at_ms < fact.end_ms for fact in sentences)]
    print(f"words: {sample}/sample.wav, a telephone call of two people, {len(said)} words")
    errors = edits([word for word, _ in said], texts(heard.words))
    print(f"  of all {len(heard.words)} words recognised: word error {100 * errors / len(said):.0f} %")
    if told.words:
        errors = edits(in_told, texts(told.words))
        print(f"  of the {len(told.words)} words let out: word error {100 * errors / max(1, len(in_told)):.0f} %")
    else:
        print("  no words are let out")
    print(f"  {len(said) - len(in_told)} of {len(said)} reference words lie where words are withheld")
    print(f"  reason: {told.reason}" if told.reason else "")


def line_of(text: str) -> Line:
    _, _, _, start_s, end_s, said = text.split(maxsplit=5)
    return Line(start_ms=round(1000 * float(start_s)), end_ms=round(1000 * float(end_s)), words=tuple(plain(said)))


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def texts(words: Sequence[Word]) -> list[str]:
    return plain(" ".join(word.text for word in words))


def timed(line: Line) -> list[tuple[str, float]]:
    """Each word with the moment where it would lie if all took the same time."""
    return [(word, line.start_ms + (i + 0.5) * line.duration_ms / len(line.words)) for i, word in enumerate(line.words)]


def edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to add, leave out or replace."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, word in enumerate(heard, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (expected != word))
    return row[-1]


if __name__ == "__main__":
    main()
