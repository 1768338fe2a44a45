"""Tempo, meter, key, chords, parts and instruments of music."""

from collections.abc import Sequence

from schemas.asking.sample import AskRules, TaskSample, draw, line, music_of, name_of, second, timeline_of
from schemas.asking.wordings import ask
from schemas.record import Chord, Record
from schemas.span import Span

NO_CHORD = "N"
FIELDS = "branches.music"


def music_facts(record: Record, rules: AskRules) -> list[TaskSample]:
    """Tempo and key where the music keeps to one, the meter, the instruments."""
    music = music_of(record)
    if not music:
        return []
    answers: list[tuple[str, str, str]] = []
    if music.tempo_bpm and (music.tempo_score or 0) >= rules.min_score and len(music.tempi) <= 1:
        answers.append(("tempo", f"{int(music.tempo_bpm + 0.5)} BPM", "tempo_bpm"))
    if music.meter and (music.meter_score or 0) >= rules.min_score:
        answers.append(("meter", line(music.meter), "meter"))
    if music.key and (music.key_score or 0) >= rules.min_score and len({key.name for key in music.keys}) <= 1:
        answers.append(("key", line(music.key), "key"))
    if music.instruments and min(one.score for one in music.instruments) >= rules.min_score:
        in_order = sorted(music.instruments, key=lambda one: (one.start_ms, one.end_ms))
        names = dict.fromkeys(name_of(one.label) for one in in_order)
        answers.append(("instruments", "; ".join(name for name in names if name), "instruments"))
    return [
        ask(record, rules, task, answer, (f"{FIELDS}.{field}",)) for task, answer, field in answers if answer.strip()
    ]


def chords(record: Record, rules: AskRules) -> list[TaskSample]:
    """The chord at a moment, and the whole progression where all of it is sure."""
    music = music_of(record)
    if not music or not music.chords:
        return []
    samples: list[TaskSample] = []
    clear = [
        (index, chord)
        for index, chord in enumerate(music.chords)
        if chord.score >= rules.min_score and chord.name != NO_CHORD and chord.duration_ms > 2 * rules.edge_ms + 20
        if not any(other is not chord and other.overlap_ms(chord) for other in music.chords)
    ]
    clear.sort(key=lambda one: draw(rules.seed, "chord", record.key, one[0]))
    for index, chord in clear[: rules.per_record]:
        at_ms = record.start_ms + ((chord.start_ms + chord.end_ms) // 2 - record.start_ms) // 10 * 10
        told, evidence = {"at": second(record, at_ms)}, (f"{FIELDS}.chords/{index}",)
        samples.append(ask(record, rules, "chord_at", line(chord.name), evidence, index=len(samples), **told))
    if min(chord.score for chord in music.chords) >= rules.min_score and {c.name for c in music.chords} != {NO_CHORD}:
        samples += _listed(record, rules, "chords", music.chords, [chord.name for chord in music.chords])
    return samples


def sections(record: Record, rules: AskRules) -> list[TaskSample]:
    """The parts of the music by letters, from when to when."""
    music = music_of(record)
    if not music or not music.sections or min(part.score for part in music.sections) < rules.min_score:
        return []
    return _listed(record, rules, "sections", music.sections, [part.label for part in music.sections])


def _listed(
    record: Record, rules: AskRules, task: str, spans: Sequence[Span | Chord], names: Sequence[str]
) -> list[TaskSample]:
    in_order = sorted(zip(spans, names, strict=True), key=lambda one: (one[0].start_ms, one[0].end_ms))
    answer = timeline_of(record, ((span, line(name)) for span, name in in_order))
    return [ask(record, rules, task, answer, (f"{FIELDS}.{task}",))] if answer else []
