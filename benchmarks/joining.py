"""Voices found again from window to window, and words joined to turns: python -m benchmarks.joining [../shared]

Who speaks when is taken from the references (a .rttm beside a recording, or a conversation made of single voices), so
that what is measured is the stitching and the joining alone. In every window the speakers are called by names drawn
at random. Their embeddings are either made (the same direction for the same speaker, and noise) or those of the
encoder that the embedded recipe carries, which is not the one pyannote listens with.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from annotators.diarization.joining import joined
from annotators.diarization.turns import Heard, Spoken, TurnRules, diarizations_of
from annotators.diarization.windows import Window, laid_out
from annotators.speakers.encoder import SpeakerEncoder
from benchmarks.conversations import Conversation, Said, converse, real_conversation, voices, whole
from benchmarks.speech import diarization_error
from schemas.record import Turn, Word
from schemas.span import Span
from segmenters.embedded import EmbeddedDetector

CLIP_MS = 10_000
WINDOWS_MS = (20_000, 40_000, 300_000)
LIKENESS = (0.5, 0.6, 0.7, 0.8)  # of the encoder's embeddings
EVERY = TurnRules(min_ms=1, min_overlap_ms=1)
JITTERS_MS = (0, 50, 100, 200, 400)
REACH_MS = 500
MADE_MS = 90_000
NUM_MADE = 4  # conversations of each number of speakers

Embed = Callable[[str, Sequence[Span]], np.ndarray | None]
Listener = Callable[[Conversation], Embed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("shared", type=Path, nargs="?", default=default, help="a folder with speech/ and digits/")
    shared: Path = parser.parse_args().shared
    real = [real_conversation(file) for file in sorted((shared / "speech").glob("*.rttm"))]
    if not real:
        sys.exit(f"{shared} holds no recordings with references")
    said_by = voices(shared, EmbeddedDetector())
    numbers = [number for number in (2, 3, 4) if number <= len(said_by)]
    made = [converse(said_by, number, 10 * number + i, MADE_MS) for number in numbers for i in range(NUM_MADE)]
    print_stitching(real, made)
    print_joining([*real, *made])


def print_stitching(real: Sequence[Conversation], made: Sequence[Conversation]) -> None:
    print("diarization error in %, no collar, overlap scored; reference turns, called by other names in every window\n")
    print(f"{'windows of at most':32}" + "".join(f"{ms / 1000:8.0f} s" for ms in WINDOWS_MS))
    for one in real:
        print_rates(f"{one.name}, made embeddings", [one], made_voice, 0.5)
    if not made:
        return
    print_rates(f"{len(made)} made, made embeddings", made, made_voice, 0.5)
    encoder = SpeakerEncoder()
    for likeness in LIKENESS:
        print_rates(f"{len(made)} made, encoder, {likeness}", made, lambda one: encoded(one, encoder), likeness)


def print_rates(name: str, conversations: Sequence[Conversation], listener: Listener, likeness: float) -> None:
    rates = [error(conversations, window_ms, listener, likeness) for window_ms in WINDOWS_MS]
    print(f"{name:32}" + "".join(f"{100 * rate:10.2f}" for rate in rates))


def error(conversations: Sequence[Conversation], window_ms: int, listener: Listener, likeness: float) -> float:
    told = []
    for one in conversations:
        listen = listener(one)
        clips = [Span.of(ms, ms + CLIP_MS) for ms in range(0, one.waveform.duration_ms, CLIP_MS)]
        heard = [heard_in(window, one, listen, n) for n, window in enumerate(laid_out(clips, window_ms, 1_000))]
        turns = []
        for part in diarizations_of(clips, heard, likeness, EVERY):
            voice_of = {speaker.name: speaker.voice or speaker.name for speaker in part.speakers}
            turns += [Turn(start_ms=t.start_ms, end_ms=t.end_ms, speaker=voice_of[t.speaker]) for t in part.turns]
        told.append((one, [(whole(one), turns)]))
    return float(diarization_error(told, 0.0, skip_overlap=False)["rate"])


def heard_in(window: Window, conversation: Conversation, embed: Embed, seed: int) -> Heard:
    """What a listener without fault hears in this window, the speakers in any order."""
    parts = [(one.speaker, part) for one in conversation.said for p in window.pieces if (part := one.clipped(p))]
    here = [str(name) for name in np.random.default_rng(seed).permutation(sorted({name for name, _ in parts}))]
    spoken = tuple(Spoken(start_ms=p.start_ms, end_ms=p.end_ms, voice=here.index(name)) for name, p in parts)
    embeddings = tuple(embed(name, [part for who, part in parts if who == name]) for name in here)
    return Heard(spoken=spoken, exclusive=spoken, embeddings=embeddings)


def made_voice(conversation: Conversation) -> Embed:
    """Directions at right angles, and noise a fifth as long."""
    names = sorted({one.speaker for one in conversation.said})
    drawn = np.random.default_rng(len(names))
    directions = np.linalg.qr(drawn.standard_normal((64, 64)))[0]

    def embed(name: str, parts: Sequence[Span]) -> np.ndarray:
        return np.asarray(directions[names.index(name)] + 0.2 * drawn.standard_normal(64) / 8)

    return embed


def encoded(conversation: Conversation, encoder: SpeakerEncoder) -> Embed:
    """The mean over windows of 1.2 s in what the speaker says in this window."""

    def embed(name: str, parts: Sequence[Span]) -> np.ndarray | None:
        starts_ms = [ms for part in parts for ms in range(part.start_ms, part.end_ms - 600, 600)]
        if not starts_ms:
            return None
        return np.asarray(encoder.hear(conversation.waveform, parts, starts_ms, 1_200).mean(axis=0))

    return embed


def print_joining(conversations: Sequence[Conversation]) -> None:
    print(
        "\nwords of 150 to 500 ms drawn in the turns of the references, their times moved at random by up to so much:"
    )
    print("whose they are, right in %; of all words, and of the first and the last of every turn\n")
    print(f"{'up to':>8}{'all':>10}{'at edges':>10}{'words':>8}")
    for jitter_ms in JITTERS_MS:
        right: list[bool] = []
        at_edges: list[bool] = []
        for one in conversations:
            turns = alone(one.said)
            drawn = np.random.default_rng(jitter_ms)
            for turn in turns:
                words = words_in(turn, jitter_ms, drawn)
                found = [word.speaker == turn.speaker for word in joined(words, turns, REACH_MS)]
                right += found
                at_edges += [found[index] for index in {0, len(found) - 1}]
        print(f"{jitter_ms:5} ms{100 * np.mean(right):10.1f}{100 * np.mean(at_edges):10.1f}{len(right):8}")


def words_in(turn: Turn, jitter_ms: int, drawn: np.random.Generator) -> list[Word]:
    """One after the other, each moved by up to `jitter_ms`."""
    words, at_ms = [], turn.start_ms
    while at_ms < turn.end_ms:
        end_ms = min(turn.end_ms, at_ms + int(drawn.integers(150, 500)))
        start_ms = max(0, at_ms + int(drawn.integers(-jitter_ms, jitter_ms + 1)))
        words.append(Word(start_ms=start_ms, end_ms=start_ms + end_ms - at_ms, text="so", score=1.0))
        at_ms = end_ms
    return words


def alone(said: Sequence[Said]) -> list[Turn]:
    """The turns one at a time: who begins has the floor until they end or another begins."""
    turns: list[Turn] = []
    for one in sorted(said, key=lambda one: one.start_ms):
        if turns and turns[-1].end_ms > one.start_ms:
            last = turns.pop()
            if last.start_ms < one.start_ms:
                turns.append(Turn(start_ms=last.start_ms, end_ms=one.start_ms, speaker=last.speaker))
        turns.append(Turn(start_ms=one.start_ms, end_ms=one.end_ms, speaker=one.speaker))
    return turns


if __name__ == "__main__":
    main()
