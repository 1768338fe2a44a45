"""CTM: words with times. One row a word; `;;` begins a comment.

    talk A 12.340 0.320 hello 0.98

Fields as NIST's sclite documents them: recording, channel, start, duration, word, and a confidence that may be
missing. What stands after a row's `;;` is no part of it. Rows of other recordings are passed over, and so are words
that are none: fillers in angle brackets (`<eps>`) and marks of alternatives (`<ALT>`).
"""

from pipeline.labels.parts import Place, check_number, decoded, labels_of, lasting, lines_of, share, words_in
from pipeline.labels.rttm import NOTHING, of_others
from schemas.labels import Labels
from schemas.record import Word


def read(data: bytes, file: str, recordings: frozenset[str]) -> Labels:
    """The words of the recording, which the rows may call by any of these names."""
    words: list[Word] = []
    others: set[str] = set()
    last: Place | None = None
    num_own = 0
    for place, line in lines_of(decoded(data, file), file):
        fields = line.partition(";;")[0].split()
        if not fields:
            continue
        if len(fields) not in (5, 6):
            raise place.error(
                f"{len(fields)} fields; a row has 5 or 6: recording, channel, start, duration, word, confidence"
            )
        last = place
        if fields[0] not in recordings:
            others.add(fields[0])
            continue
        num_own += 1
        if fields[4].startswith("<") and fields[4].endswith(">"):
            continue
        heard = lasting(fields[2], fields[3], place)
        score = 1.0 if len(fields) < 6 or fields[5] in (NOTHING, "NA") else share(fields[5], "its confidence", place)
        text = words_in(fields[4], "its word", place)
        words.append(Word(start_ms=heard.start_ms, end_ms=heard.end_ms, text=text, score=score))
        check_number(len(words), file)
    if last and not num_own:
        raise of_others(last, others, recordings)
    return labels_of(file, words=words)
