"""RTTM: who speaks when. One SPEAKER row a turn, and turns may overlap.

    SPEAKER talk 1 12.340 3.210 <NA> <NA> alice <NA> <NA>

Fields as in NIST's Rich Transcription evaluation plan (RT-09), appendix A: type, recording, channel, start, duration,
words, kind, speaker, confidence, look-ahead. Other types of row are passed over, and so are rows of other recordings.
"""

from pipeline.labels.parts import Place, check_number, decoded, labels_of, lasting, lines_of, share, shown, words_in
from schemas.labels import Labels
from schemas.record import Turn

OTHER_ROWS = frozenset(
    (
        *("NOSCORE", "NO_RT_METADATA", "SEGMENT", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "SU", "IP"),
        *("CB", "A/P", "SPKR-INFO", "NOSPEAKER"),
    )
)
NOTHING = "<NA>"


def read(data: bytes, file: str, recordings: frozenset[str]) -> Labels:
    """The turns of the recording, which the rows may call by any of these names."""
    turns: list[Turn] = []
    others: set[str] = set()
    last: Place | None = None
    for place, line in lines_of(decoded(data, file), file):
        fields = line.split()
        if fields[0].startswith(";"):
            continue
        if fields[0].upper() in OTHER_ROWS:
            continue
        if fields[0].upper() != "SPEAKER":
            raise place.error(f"a row of type {shown(fields[0])}; it should begin with SPEAKER")
        if len(fields) < 8:
            raise place.error(f"{len(fields)} fields; a SPEAKER row has 9 or 10, the 8th of them the speaker")
        last = place
        if fields[1] not in recordings:
            others.add(fields[1])
            continue
        heard = lasting(fields[3], fields[4], place)
        score = 1.0 if len(fields) < 9 or fields[8] == NOTHING else share(fields[8], "its confidence", place)
        speaker = words_in(fields[7], "its speaker", place)
        turns.append(Turn(start_ms=heard.start_ms, end_ms=heard.end_ms, speaker=speaker, score=score))
        check_number(len(turns), file)
    if last and not turns:
        raise of_others(last, others, recordings)
    return labels_of(file, turns=turns)


def of_others(place: Place, others: set[str], recordings: frozenset[str]) -> Exception:
    """What is wrong with a file whose rows are all of other recordings."""
    names = ", ".join(shown(name) for name in sorted(others)[:3])
    return place.error(f"all rows are of {names}, and none of {' or '.join(sorted(recordings))}; name them so")
