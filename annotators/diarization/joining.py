"""Who said which word: words and turns laid over each other. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from schemas.record import Turn, Word


def joined(words: Sequence[Word], exclusive: Sequence[Turn], reach_ms: int) -> list[Word]:
    """The words, each with who said it.

    That is who speaks for most of the word; where nobody does, whose turn is nearest and no farther than `reach_ms`;
    else nobody. Of equals it is the earlier one. `exclusive` is in time order, and one speaks at a time.
    """
    starts_ms = [turn.start_ms for turn in exclusive]
    return [replace(word, speaker=_speaker(word, exclusive, starts_ms, reach_ms)) for word in words]


def _speaker(word: Word, exclusive: Sequence[Turn], starts_ms: Sequence[int], reach_ms: int) -> str | None:
    before = bisect_right(starts_ms, word.start_ms) - 1  # the last turn that begins no later than the word
    spoken_ms: dict[str, int] = {}
    for turn in exclusive[max(0, before) :]:
        if turn.start_ms >= word.end_ms:
            break
        if shared_ms := turn.overlap_ms(word):
            spoken_ms[turn.speaker] = spoken_ms.get(turn.speaker, 0) + shared_ms
    if spoken_ms:
        return max(spoken_ms, key=spoken_ms.__getitem__)
    neighbours = exclusive[max(0, before) : before + 2]
    near = [(max(word.start_ms - turn.end_ms, turn.start_ms - word.end_ms), turn.speaker) for turn in neighbours]
    distance_ms, speaker = min(near, key=lambda pair: pair[0], default=(reach_ms + 1, ""))
    return speaker if distance_ms <= reach_ms else None
