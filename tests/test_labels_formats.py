"""Label files: what is written is read, in every format; what is bad is named by file and line."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid as praat

from pipeline.labels import ctm, own_json, plain_text, rttm, textgrid
from pipeline.labels.parts import MAX_BYTES, MAX_PER_MINUTE, check_density, clean, shown
from schemas.errors import LabelError
from schemas.formats import transcript
from schemas.labels import LabelledSentence, Labels
from schemas.record import Event, Turn, Word

TALK = frozenset({"talk", "talk.wav"})
TIMES = st.tuples(st.integers(0, 100_000), st.integers(1, 50_000)).map(lambda t: (t[0], t[0] + t[1]))
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda t: t[0] not in "<;"
)
TEXTS = st.lists(NAMES, min_size=1, max_size=4).map(" ".join)


def s(time_ms: int) -> str:
    return f"{time_ms / 1000:.3f}"


def in_order(labels):
    return tuple(sorted(labels, key=lambda one: (one.start_ms, one.end_ms)))


def made(kind, rows, *names):
    return [kind(start_ms=a, end_ms=b, **dict(zip(names, rest, strict=True))) for (a, b), *rest in rows]


# ---------------------------------------------------------------------------------- what is written is read


@given(st.lists(st.tuples(TIMES, NAMES), max_size=20))
def test_turns_of_rttm_overlapping_or_not(rows):
    lines = [f"SPEAKER talk 1 {s(a)} {s(b - a)} <NA> <NA> {who} <NA> <NA>" for (a, b), who in rows]
    other = "SPEAKER other 1 0.0 1.0 <NA> <NA> nobody <NA> <NA>"
    file = "\n".join([";; by hand", "SPKR-INFO talk 1 <NA> <NA> <NA> unknown x <NA>", *lines, *([other] * bool(rows))])
    assert rttm.read(file.encode(), "talk.rttm", TALK).turns == in_order(made(Turn, rows, "speaker"))


@given(st.lists(st.tuples(TIMES, NAMES.filter(lambda t: ";;" not in t), st.integers(0, 100)), max_size=20))
def test_words_of_ctm_with_comments_and_confidence(rows):
    lines = [f"talk A {s(a)} {s(b - a)} {word} {sure / 100} ;; heard twice" for (a, b), word, sure in rows]
    read = ctm.read("\n".join([";; by hand", *lines, "other A 0 1 no"][: len(lines) + 1]).encode(), "talk.ctm", TALK)
    want = [Word(start_ms=a, end_ms=b, text=word, score=sure / 100) for (a, b), word, sure in rows]
    assert read.words == in_order(want)


@given(
    st.lists(st.tuples(TIMES, TEXTS), max_size=10), st.lists(st.tuples(TIMES, TEXTS, st.none() | NAMES), max_size=10)
)
def test_json(events, sentences):
    body = {
        "language": "en",
        "events": [{"start": a / 1000, "end": b / 1000, "label": label} for (a, b), label in events],
        "sentences": [{"start": a / 1000, "end": b / 1000, "text": t, "speaker": who} for (a, b), t, who in sentences],
    }
    read = own_json.read(json.dumps(body).encode(), "talk.json", TALK)
    assert read.events == in_order(made(Event, [(*row, 1.0) for row in events], "label", "score"))
    assert read.sentences == in_order(made(LabelledSentence, sentences, "text", "speaker"))
    assert read.language == "en"


def test_json_holds_words_turns_music_and_a_transcript():
    body = {
        "words": [{"start": 0, "end": 1, "text": "hi", "score": 0.5, "speaker": "a"}],
        "turns": [{"start": 0, "end": 1, "speaker": "a"}],
        "music": [{"tempo_bpm": 96, "key": "G major", "meter": "3/4", "instruments": ["Piano"], "text": "a waltz"}],
        "text": "hi there",
    }
    read = own_json.read(json.dumps(body).encode(), "talk.json", TALK)
    assert read.words == (Word(start_ms=0, end_ms=1_000, text="hi", score=0.5, speaker="a"),)
    assert read.turns == (Turn(start_ms=0, end_ms=1_000, speaker="a"),)
    assert (read.music[0].tempo_bpm, read.music[0].meter, read.music[0].start_ms) == (96.0, "3/4", 0)
    assert read.text == "hi there"


def test_a_line_of_the_key_of_scenes():
    events = [
        {"onset": 1.0, "offset": 2.0, "kind": "speech", "label": "speech", "text": "one", "words": [["one", 1.0, 1.4]]},
        {"onset": 3.0, "offset": 4.0, "kind": "speech", "label": "speech"},
        {"onset": 5.0, "offset": 6.0, "kind": "sound", "label": "dog"},
    ]
    row = {"scene": "a.wav", "duration": 9.0, "background": None, "events": events}
    read = own_json.read(json.dumps(row).encode(), "a.json", TALK)
    assert [sentence.text for sentence in read.sentences] == ["one"]
    assert [word.end_ms for word in read.words] == [1_400]
    assert [event.label for event in read.events] == ["Speech", "dog"]


TIERS = st.lists(st.tuples(TIMES, TEXTS), max_size=8).map(
    lambda rows: [(a / 1000, b / 1000, text) for (a, b), text in apart(rows)]
)


def apart(rows):
    """Each moved on behind the last, as intervals of one tier must be."""
    at_ms, moved = 0, []
    for (a, b), text in rows:
        moved.append(((at_ms + a % 500, at_ms + a % 500 + b - a), text))
        at_ms = moved[-1][0][1]
    return moved


def as_praat_writes(tiers, points, form, tmp_path) -> bytes:
    grid = praat.Textgrid(0, 1_000)
    for name, rows in tiers.items():
        grid.addTier(praat.IntervalTier(name, rows, 0, 1_000))
    if points:
        grid.addTier(praat.PointTier("clicks", points, 0, 1_000))
    grid.save(str(tmp_path / "talk.TextGrid"), format=form, includeBlankSpaces=True)
    return (tmp_path / "talk.TextGrid").read_bytes()


@pytest.mark.parametrize("form", ["short_textgrid", "long_textgrid"])
@settings(max_examples=30)
@given(words=TIERS, said=TIERS, events=TIERS)
def test_textgrids_as_praatio_writes_them(form, tmp_path_factory, words, said, events):
    tiers = {"Words": words, "alice": said, "events": events}
    data = as_praat_writes(tiers, [(1.5, "click")], form, tmp_path_factory.mktemp("grids"))
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        read = textgrid.read(data.decode().encode(encoding), "talk.TextGrid", TALK)
        assert [(w.start_ms / 1000, w.end_ms / 1000, w.text) for w in read.words] == words
        assert [(u.start_ms / 1000, u.end_ms / 1000, u.text, u.speaker) for u in read.sentences] == [
            (*row, "alice") for row in said
        ]
        timed = [(e.start_ms / 1000, e.end_ms / 1000, e.label) for e in read.events]
        assert sorted(timed) == sorted([*events, (1.5, 1.501, "click")])


def test_a_textgrid_whose_labels_look_like_its_own_fields(tmp_path):
    text = 'intervals [2]: xmin = 9 "item [1]" <exists> ! 5'
    data = as_praat_writes({"words": [(0.0, 1.0, text)]}, [], "long_textgrid", tmp_path)
    assert [word.text for word in textgrid.read(data, "talk.TextGrid", TALK).words] == [text]


@given(st.lists(st.tuples(TIMES, TEXTS.filter(lambda t: not plain_text.SAID_BY.match(t) and t[0] != '"')), min_size=1))
def test_labels_of_audacity(rows):
    lines = [f"{s(a)}\t{s(b)}\t{label}\n\\\t100.0\t200.0" for (a, b), label in rows]
    read = plain_text.read("\n".join(lines).encode(), "talk.txt", TALK)
    assert read.events == in_order(made(Event, [(*row, 1.0) for row in rows], "label", "score"))


def test_labels_of_audacity_that_are_marked_as_speech():
    data = b'0,5\t1,5\t"hello there"\n2.0\t3.0\tS02: and you\n'
    read = plain_text.read(data, "talk.txt", TALK)
    assert read.sentences == (
        LabelledSentence(start_ms=500, end_ms=1_500, text="hello there"),
        LabelledSentence(start_ms=2_000, end_ms=3_000, text="and you", speaker="S02"),
    )


@given(st.lists(st.tuples(TIMES, TEXTS.map(transcript.plain).filter(bool)), min_size=1, max_size=10))
def test_a_transcript_with_times(rows):
    said = sorted((a // 10 * 10, b // 10 * 10 + 10, text) for (a, b), text in rows)
    file = transcript.write([transcript.Utterance(start_ms=a, end_ms=b, text=text) for a, b, text in said])
    read = plain_text.read(file.encode(), "talk.txt", TALK)
    assert read.sentences == in_order(LabelledSentence(start_ms=a, end_ms=b, text=text) for a, b, text in said)


def test_a_transcript_without_times():
    assert plain_text.read(b"\xef\xbb\xbfHello there.\nHow are you?\n", "talk.txt", TALK).text == (
        "Hello there. How are you?"
    )
    assert plain_text.read(b" \n", "talk.txt", TALK) == Labels(files=("talk.txt",))


# ------------------------------------------------------------------------------------- what is bad is named

TURN = "SPEAKER talk 1 {} {} <NA> <NA> a <NA> <NA>"
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n1\n"IntervalTier"\n"words"\n0\n9\n1\n{}'
BAD: list[tuple[Callable[..., Labels], str, str]] = [
    (rttm.read, "\n" + TURN.format("-1", "1"), r"line 2: its start is -1.0 s; it cannot lie before"),
    (rttm.read, TURN.format("nan", "1"), "line 1: its start is nan; it should be seconds"),
    (rttm.read, TURN.format("1", "-1"), "line 1: its duration is -1.0 s"),
    (rttm.read, TURN.format("1", "1e300"), "line 1: its duration is 1e[+]300 s, which is over 115 days"),
    (rttm.read, "SPEAKER talk 1 0.0", "line 1: 4 fields"),
    (rttm.read, "hello", "line 1: a row of type hello"),
    (rttm.read, TURN.replace("talk", "other").format(0, 1), "line 1: all rows are of other, and none of talk"),
    (ctm.read, "talk A 0 1 hi 7", "line 1: its confidence is 7; it should lie in 0..1"),
    (ctm.read, ";;\ntalk A 0 x hi", "line 2: its duration is x"),
    (ctm.read, "talk A 0", "line 1: 3 fields"),
    (own_json.read, '{"events": [\n{"start": 2, "end": 1, "label": "x"}]}', r"events\[0\]: it ends at 1.000 s, before"),
    (own_json.read, '{"words": [\n{"start": NaN}]}', "NaN is no number"),
    (own_json.read, '{"words":\n [}', "line 2: it is not JSON"),
    (own_json.read, '{"event": []}', "a field 'event' is not known; is 'events' meant"),
    (own_json.read, '{"events": [{"start": 0, "end": true, "label": "x"}]}', r"events\[0\]: its end is True"),
    (own_json.read, '{"events": [{"start": 0, "end": 1, "label": "\\u0000 \\n"}]}', "label is empty"),
    (own_json.read, '{"events": [{"start": 0, "end": 1, "label": 5}]}', "label is 5; it should be text"),
    (own_json.read, '{"music": [{"tempo_bpm": -3}]}', r"music\[0\]: tempo_bpm is -3"),
    (own_json.read, "[" * 100_000, "it is not JSON this can read"),
    (own_json.read, '{"events": [{"start": ' + "9" * 5_000 + "}]}", "it is not JSON this can read"),
    (own_json.read, "[]", "it holds list"),
    (textgrid.read, GRID.format('3\n2\n"hi"'), "line 13: it ends at 2.000 s, before"),
    (textgrid.read, GRID.format('-3\n2\n"hi"'), "line 13: its start is -3.0 s"),
    (textgrid.read, GRID.format('1\n2\n"hi'), "line 14: it ends where a text should stand"),
    (textgrid.read, GRID.format('1\n"hi"'), "line 14: the text 'hi' where a number should stand"),
    (textgrid.read, "hello", "line 1: it ends where a text should stand"),
    (plain_text.read, "0.0\t1.0\tBark\n2.0\t1.0\tMeow", "line 2: it ends at 1.000 s, before"),
    (plain_text.read, "0.0\t1.0\tBark\nBark", "line 2: 1 fields"),
    (plain_text.read, "nan\t1.0\tBark", "line 1: its start is nan"),
    (plain_text.read, "[0.00]one[1.00]\n[2.00]two", "line 2: 'two' cannot be read .no end time"),
]


@pytest.mark.parametrize(("read", "text", "told"), BAD)
def test_a_bad_line_is_named(read, text, told):
    with pytest.raises(LabelError, match=told) as raised:
        read(text.encode(), "talk.x", TALK)
    assert str(raised.value).startswith("talk.x")


@pytest.mark.parametrize("read", [rttm.read, ctm.read, own_json.read, textgrid.read, plain_text.read])
def test_what_is_no_text_is_refused_by_line(read):
    for data, told in ((b"ok\n\xff\xfa", "line 2: it is not UTF-8"), (b"a\nb\0", "line 2: a zero byte")):
        with pytest.raises(LabelError, match=told):
            read(data, "talk.x", TALK)
    with pytest.raises(LabelError, match="a label file has at most"):
        read(b" " * (MAX_BYTES + 1), "talk.x", TALK)


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_whatever_the_bytes_they_are_read_or_refused(data):
    for read in (rttm.read, ctm.read, own_json.read, textgrid.read, plain_text.read):
        try:
            labels = read(data, "talk.x", TALK)
        except LabelError:
            continue
        assert all(clean(e.label) == e.label for e in labels.events)


def test_control_characters_and_line_breaks_of_a_label_are_spaces():
    body = {"events": [{"start": 0, "end": 1, "label": "a\x1b[31m\u202e\u2028 <script>\ud800"}]}
    (event,) = own_json.read(json.dumps(body).encode(), "a.json", TALK).events
    assert event.label == "a [31m <script>"


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (ctm.read, "talk 1 {i} 1 w\n"),
        (rttm.read, "SPEAKER talk 1 {i} 1 <NA> <NA> x <NA> <NA>\n"),
        (plain_text.read, "{i}\t{i}\tBark\n"),
        (plain_text.read, '{i}\t{i}\t"so"\n'),
    ],
)
def test_labels_without_end_are_refused_before_all_are_read(monkeypatch, read, row):
    monkeypatch.setattr("pipeline.labels.parts.MAX_LABELS", 3)
    rows = [row.format(i=i) for i in range(4)]
    assert read("".join(rows[:3]).encode(), "talk.x", TALK)
    with pytest.raises(LabelError, match="over 3 labels"):
        read("".join([*rows, "no row at all\n"]).encode(), "talk.x", TALK)


def test_more_labels_in_a_minute_than_anyone_writes_are_refused():
    def labels(number: int, length_ms: int, step_ms: int) -> Labels:
        starts = range(120_000, 120_000 + number * step_ms, step_ms)
        return Labels(
            files=("a",), events=tuple(Event(start_ms=at, end_ms=at + length_ms, label="x", score=1.0) for at in starts)
        )

    check_density(labels(MAX_PER_MINUTE, 10, 10), "a.txt")
    check_density(labels(3 * MAX_PER_MINUTE, 10, 10), "a.txt")
    with pytest.raises(LabelError, match=r"a.txt: .* touch the minute from 120 s"):
        check_density(labels(MAX_PER_MINUTE + 1, 9, 9), "a.txt")
    with pytest.raises(LabelError, match="touch the minute"):
        check_density(labels(2 * MAX_PER_MINUTE, 300_000, 20), "a.txt")


def test_what_is_shown_of_a_line_fits_into_a_sentence():
    assert shown("a\n" * 9_999_999) == "a " * 38 + "a..."
    assert shown("x" * 80) == "x" * 80
