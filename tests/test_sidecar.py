"""Labels on their way through the route: found, honoured where it is cut, believed before any model."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.labelled import LabelledConfig
from annotators.labelled_speech import overlaps_of
from annotators.merge import TemplateMergerConfig, merged
from jobs.recipes import sidecar
from pipeline.annotate import plan_new, standing, unfinished
from pipeline.labels.beside import LabelsConfig, etag_with, names_beside
from pipeline.plan import plan_of, probed
from pipeline.route import AnnotateConfig, route
from pipeline.sources import find
from pipeline.steps import Cut, Decode, run_local
from schemas.errors import ConfigError
from schemas.labels import LabelledMusic, LabelledSentence, Labels
from schemas.record import (
    Branch,
    Branches,
    Clip,
    Event,
    Fact,
    MusicAnnotation,
    Outcome,
    Profile,
    SoundAnnotation,
    SpeechAnnotation,
    Turn,
    Word,
    skipped,
)
from schemas.shard import read_receipt, shards_in
from schemas.span import Span, union
from schemas.store import Store, store_at
from segmenters.base import Change, Hearing
from segmenters.boundaries import CutRules, decide
from segmenters.labelled import class_of, labelled, placed, profile_as_labelled
from segmenters.seams import seam
from tests.make import beeps, clip, quick, tone, wav_bytes, write_wav
from tests.runs import records_of

SCENES = Path(__file__).parent.parent / ".." / "shared" / "scenes"


# ------------------------------------------------------------------------------------------------ the route


def with_labels(**changes: object) -> AnnotateConfig:
    fakes = quick()
    return quick(
        **(
            {
                "labels": LabelsConfig(),
                "speech": LabelledConfig(branch=Branch.SPEECH, inner=fakes.speech),
                "sound": LabelledConfig(branch=Branch.SOUND, inner=fakes.sound),
                "music": LabelledConfig(branch=Branch.MUSIC, inner=fakes.music),
                "merger": TemplateMergerConfig(),
            }
            | changes
        )
    )


def annotated(source: str, output: str, config: AnnotateConfig) -> tuple[Store, int]:
    """The whole job in this process, and how many lots there were to do."""
    store = store_at(output)
    plans = plan_new(store, source, config, limit=None, passed_over=Counter(), progress=lambda n: None)
    return store, len(list(run_local(route(config, store.root), unfinished(store, plans))))


def put(root: str, name: str, data: bytes) -> None:
    store_at(root).put(name, data)


TALK = beeps((1_000, 2_000), (4_000, 5_500), duration_ms=7_000)
TURNS = b"SPEAKER talk 1 1.000 1.000 <NA> <NA> alice <NA> <NA>\nSPEAKER x 1 4 1 <NA> <NA> bob <NA> <NA>\n"


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path) -> str:
    if request.param == "local":
        return str(tmp_path / "in")
    return f"s3://{request.getfixturevalue('bucket')}/in"


def test_labels_are_read_and_read_anew_when_they_change(root, tmp_path):
    config, out = with_labels(), str(tmp_path / "out")
    put(root, "talk.wav", wav_bytes(TALK))
    put(root, "other.wav", wav_bytes(tone(1_500)))
    put(root, "talk.rttm", TURNS)
    put(root, "talk.wav.txt", b'1.000\t2.000\t"hello there"\n4.0\t5.5\tBark\n')
    store, num_lots = annotated(root, out, config)
    assert num_lots
    text = " ".join(record.caption.text for record in records_of(store))
    assert 'someone says "hello there".' in text
    (speech,) = [r.branches.speech for r in records_of(store) if r.branches.speech.outcome is Outcome.OK]
    assert [(turn.start_ms, turn.end_ms, turn.speaker) for turn in speech.turns] == [(1_000, 2_000, "S01")]
    barks = [f for r in records_of(store) for f in r.branches.sound.facts if f.human]
    assert [(f.start_ms, f.end_ms, f.label, f.score) for f in barks] == [(4_000, 5_500, "Bark", 1.0)]

    assert annotated(root, out, config)[1] == 0

    put(root, "talk.wav.txt", b'1.000\t2.000\t"good bye"\n')
    assert annotated(root, out, config)[1] == 1
    newest = standing(store).plans[-1]
    assert [row.uri.rsplit("/", 1)[-1] for row in newest.rows] == ["talk.wav"]
    assert any('"good bye"' in record.caption.text for record in records_of(store))
    assert annotated(root, out, config)[1] == 0


def test_without_the_setting_nothing_is_read_and_the_samples_are_the_same(tmp_path):
    source = tmp_path / "in"
    write_wav(source / "talk.wav", TALK)
    plain, _ = annotated(str(source), str(tmp_path / "one"), quick())
    (source / "talk.rttm").write_bytes(b"no label file at all")
    again, _ = annotated(str(source), str(tmp_path / "two"), quick())
    tars = [{s.name: st.read(s.name) for s in st.list("shards/") if s.name.endswith(".tar")} for st in (plain, again)]
    assert tars[0] == tars[1]


def test_a_bad_label_file_fails_its_recording_by_line_or_is_noted(tmp_path):
    source = tmp_path / "in"
    write_wav(source / "talk.wav", TALK)
    write_wav(source / "fine.wav", tone(1_500))
    (source / "talk.rttm").write_bytes(TURNS + b"SPEAKER talk 1 -4 1 <NA> <NA> a <NA> <NA>\n")
    store, _ = annotated(str(source), str(tmp_path / "fail"), with_labels())
    (failure,) = standing(store).failures
    assert failure.uri.endswith("talk.wav")
    assert "talk.rttm, line 3: its start is -4.0 s" in (failure.reason or "")
    assert {Path(record.source.uri).name for record in records_of(store)} == {"fine.wav"}

    config = with_labels(labels=LabelsConfig(on_bad="note"))
    store, _ = annotated(str(source), str(tmp_path / "note"), config)
    assert standing(store).failures == ()
    notes = [note for shard in shards_in(store) for note in read_receipt(store, shard).notes]
    assert any("line 3" in note and "annotated without this file" in note for note in notes)

    (source / "talk.rttm").write_bytes(TURNS)  # mended, it is taken up again
    store, num_lots = annotated(str(source), str(tmp_path / "fail"), with_labels())
    assert (num_lots, standing(store).failures) == (1, ())


def test_labels_beyond_the_end_are_clipped_and_told(tmp_path):
    source = tmp_path / "in"
    write_wav(source / "talk.wav", TALK)
    (source / "talk.txt").write_text("4.0\t99.0\tBark\n80.0\t90.0\tMeow\n")
    store, _ = annotated(str(source), str(tmp_path / "out"), with_labels())
    human = [fact for record in records_of(store) for fact in record.branches.sound.facts if fact.human]
    assert {fact.label for fact in human} == {"Bark"}
    assert max(fact.end_ms for fact in human) <= 7_000
    (note,) = [note for shard in shards_in(store) for note in read_receipt(store, shard).notes]
    assert "2 labels go on to 99.00 s, over the end at 7.00 s" in note
    assert "1 of them begin after it" in note


def test_label_files_beside_no_recording_are_counted(tmp_path):
    write_wav(tmp_path / "talk.wav", tone(500))
    for name in ("talk.rttm", "walk.rttm", "talk.wav.json", "photo.jpg"):
        (tmp_path / name).write_text("{}")
    passed_over: Counter[str] = Counter()
    found = list(find(str(tmp_path), passed_over, LabelsConfig()))
    assert (len(found), passed_over) == (1, Counter({".rttm": 1, ".jpg": 1}))


def test_the_etag_follows_every_label_file(tmp_path):
    write_wav(tmp_path / "a.b.wav", tone(500))
    config = LabelsConfig()

    def etag() -> str:
        return next(find(str(tmp_path), Counter(), config)).etag

    assert "a.b.rttm" in names_beside("a.b.wav", config)
    seen = [etag()]
    assert seen[0] == next(find(str(tmp_path), Counter())).etag == etag_with(seen[0], [])
    for name, text in (("a.b.rttm", "x"), ("a.b.wav.txt", "y"), ("a.b.rttm", "longer")):
        (tmp_path / name).write_text(text)
        seen.append(etag())
    (tmp_path / "a.b.wav.txt").unlink()
    seen.append(etag())
    assert len(set(seen)) == 5


def test_a_label_file_that_changes_after_the_plan_is_not_read(tmp_path):
    write_wav(tmp_path / "talk.wav", TALK)
    config = with_labels()
    plan = plan_of(
        [probed(f) for f in find(str(tmp_path), Counter(), config.labels)], config="x", lot_ms=9_000, sequence=0
    )
    (tmp_path / "talk.rttm").write_bytes(TURNS)
    decode = Decode(config.seam_detector.build, config.rate_hz, config.seam_window_ms, config.labels)
    (lot,) = plan.lots()
    assert "label file beside it has changed" in decode(lot).failures[0].reason


def test_a_config_that_cannot_work_is_refused():
    with pytest.raises(ConfigError, match=r"endings holds \.doc; labels are read from \.rttm"):
        LabelsConfig(endings=(".doc",))
    with pytest.raises(ConfigError, match="on_bad='ignore' must be"):
        LabelsConfig(on_bad="ignore")


def test_hostile_names_and_markup_do_no_harm(tmp_path):
    source = tmp_path / "in"
    write_wav(source / "$(touch x)[0.00];.wav", TALK)
    evil = '<script>alert(1)</script> {{7*7}} "said" [0.00][S01] ../../etc\x1b[31m'
    body = {
        "events": [{"start": 4, "end": 5, "label": evil}],
        "sentences": [{"start": 1, "end": 2, "text": evil, "speaker": evil}],
    }
    (source / "$(touch x)[0.00];.json").write_text(json.dumps(body))
    store, _ = annotated(str(source), str(tmp_path / "out"), with_labels())
    assert standing(store).failures == ()
    texts = [record.caption.text for record in records_of(store)]
    assert any("<script>" in text for text in texts)  # told, as what it is: words
    assert not any("\x1b" in text for text in texts)
    said = [claim.text for record in records_of(store) for claim in record.caption.claims if "says" in claim.text]
    assert [text.count('"') for text in said] == [2]


# ------------------------------------------------------------------------------------- where it is cut


def hearing_of(events: list[Event], end_ms: int, seed: int = 0) -> Hearing:
    level_db = np.random.default_rng(seed).normal(-30, 8, end_ms // 10).astype(np.float32)
    changes = tuple(Change(at_ms=at_ms, strength=1.0) for at_ms in range(500, end_ms, 700))
    return Hearing(span=Span.of(0, end_ms), events=tuple(events), changes=changes, level_db=level_db)


@pytest.mark.parametrize("seed", range(8))
def test_no_cut_goes_through_a_labelled_word_or_event(seed):
    """In sound without end, full of clear changes, where every cut costs something."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(60, 900, 400))
    words = tuple(
        Word(start_ms=int(a), end_ms=int(b), text="w", score=1.0) for a, b in edges.reshape(-1, 2) if b < 100_000
    )
    events = tuple(
        Event(start_ms=int(a), end_ms=int(a + rng.integers(2_000, 9_000)), label="Bark", score=1.0)
        for a in range(100_000, 170_000, 10_000)
    )
    labels = Labels(files=("a.ctm",), words=words, events=events)
    drone = Event(start_ms=0, end_ms=200_000, label="Sound", score=1.0)
    rules = CutRules(longest_event_ms=[60_000, 500_000][seed % 2])
    pieces = decide(labelled(hearing_of([drone], 200_000, seed), labels, rules.max_ms), rules)
    assert len(words) > 80
    cuts = [piece.end_ms for piece in pieces[:-1]]
    assert len(cuts) >= 6
    assert max(piece.duration_ms for piece in pieces) <= rules.max_ms
    assert [(cut, one) for cut in cuts for one in (*words, *events) if one.start_ms < cut < one.end_ms] == []
    assert [(a.end_ms, b.start_ms) for a, b in pairwise(pieces) if a.end_ms != b.start_ms] == []


@pytest.mark.parametrize("seed", range(8))
def test_no_seam_goes_through_a_labelled_word(seed):
    """Where the sound goes on and on, and its quietest moment and clearest changes lie inside words."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(150, 900, 60))
    words = tuple(Word(start_ms=int(a), end_ms=int(b), text="w", score=1.0) for a, b in edges.reshape(-1, 2))
    hearing = hearing_of([Event(start_ms=0, end_ms=20_000, label="Sound", score=1.0)], 20_000, seed)
    at_ms = seam(labelled(hearing, Labels(files=("a.ctm",), words=words), 60_000), 10_000)
    assert not [word for word in words if word.start_ms < at_ms < word.end_ms]


def test_human_events_replace_the_detector_s_of_the_same_kind_and_no_others():
    heard = [
        Event(start_ms=0, end_ms=9_000, label="Speech", score=0.6),
        Event(start_ms=1_000, end_ms=3_000, label="Sound", score=0.5),
        Event(start_ms=1_000, end_ms=3_000, label="Music", score=0.5),
    ]
    labels = Labels(
        files=("a",),
        words=(Word(start_ms=1_000, end_ms=2_900, text="hi", score=1.0),),
        events=(Event(start_ms=1_200, end_ms=2_000, label="meow", score=1.0),),
    )
    events = labelled(hearing_of(heard, 10_000), labels, 30_000).events
    assert [(e.start_ms, e.end_ms, e.label, e.score) for e in events] == [
        (0, 1_000, "Speech", 0.6),
        (1_000, 2_900, "Speech", 1.0),
        (1_000, 3_000, "Music", 0.5),
        (1_200, 2_000, "Meow", 1.0),
        (2_900, 9_000, "Speech", 0.6),
    ]


def test_what_a_person_heard_has_score_1_for_its_class():
    def profile(*names: str) -> Profile:
        events = tuple(Event(start_ms=0, end_ms=9, label=name, score=1.0) for name in names)
        return profile_as_labelled(Profile(speech=0.3, source_ambiguous=0.7), Labels(files=("a",), events=events))

    assert profile("Singing", "Bark") == Profile(speech=0.3, singing=1.0, animal=1.0)
    assert profile("Speech", "Music") == Profile(speech=1.0, music=1.0)
    assert profile("whatever this is") == Profile(speech=0.3, source_ambiguous=1.0)
    assert profile("Silence") == Profile(speech=0.3, source_ambiguous=0.7)
    assert class_of("Silence") is None


def test_a_transcript_without_times_is_told_of_a_recording_that_is_one_segment():
    labels = Labels(files=("a.txt",), text="hello there")
    hearing = hearing_of([Event(start_ms=1_000, end_ms=2_000, label="Speech", score=1.0)], 5_000)
    one, notes = placed(labels, 5_000, [Span.of(500, 2_500)], hearing)
    assert one.sentences == (LabelledSentence(start_ms=1_000, end_ms=2_000, text="hello there"),)
    assert notes == []
    for duration_ms, loud in ((5_000, [Span.of(0, 1_000), Span.of(1_000, 2_000)]), (9_000, [Span.of(0, 5_000)])):
        several, notes = placed(labels, duration_ms, loud, hearing)
        assert (several.sentences, several.text) == ((), None)
        assert "a transcript without times is told only of a recording that is one segment" in notes[0]


def test_a_cut_gives_each_word_to_one_piece_and_says_what_sentence_it_parts():
    words = tuple(Word(start_ms=a, end_ms=a + 400, text=f"w{a}", score=1.0) for a in range(0, 2_000, 500))
    timed = LabelledSentence(start_ms=0, end_ms=1_900, text=" ".join(w.text for w in words))
    untimed = LabelledSentence(start_ms=3_000, end_ms=5_000, text="no times")
    labels = Labels(files=("a",), words=words, sentences=(timed, untimed))
    pieces = [labels.cut(Span.of(0, 750)), labels.cut(Span.of(750, 4_000)), labels.cut(Span.of(4_000, 6_000))]
    assert tuple(word.text for piece in pieces for word in piece.words) == tuple(word.text for word in words)
    assert [s.text for piece in pieces for s in piece.sentences] == ["w0 w500", "w1000 w1500"]
    assert ["its words have no times" in " ".join(piece.notes) for piece in pieces] == [False, True, True]


# --------------------------------------------------------------------------------------- who is believed


@pytest.fixture
def heard() -> dict[Branch, object]:
    """What models made of two seconds, all of it surer than anything."""
    whole = {"start_ms": 0, "end_ms": 2_000, "score": 1.0}
    return {
        Branch.SPEECH: SpeechAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            text="[0.00]recognise beach[2.00]",
            words=(Word(start_ms=0, end_ms=2_000, text="beach", score=1.0),),
            turns=(Turn(start_ms=0, end_ms=2_000, speaker="S01"),),
            facts=(
                Fact(kind="transcript", text="wreck a nice beach", **whole),
                Fact(kind="voice", text="a low voice", **(whole | {"end_ms": 900})),
            ),
            pitch_hz=99.0,
        ),
        Branch.SOUND: SoundAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            facts=(
                Fact(kind="event", text="a cat", label="Meow", **whole),
                Fact(kind="burst", text="a burst", **whole),
            ),
        ),
        Branch.MUSIC: MusicAnnotation(
            outcome=Outcome.OK,
            model="ears@1",
            facts=(Fact(kind="tempo", text="about 90 beats a minute", **whole), Fact(kind="key", text="C", **whole)),
            tempo_bpm=90.0,
        ),
    }


class Said:
    """A config whose annotator says what it was given."""

    def __init__(self, branch: Branch, annotation: object) -> None:
        self.branch, self.annotation, self.model = branch, annotation, "ears@1"

    def build(self) -> "Said":
        return self

    def annotate(self, clips):
        return [self.annotation for _ in clips]


def told(branch: Branch, inner: object, labels: Labels | None) -> object:
    annotator = LabelledConfig(branch=branch, inner=Said(branch, inner)).build()
    (annotation,) = annotator.annotate([replace(clip(), labels=labels)])
    return annotation


LABELS = Labels(
    files=("a",),
    sentences=(
        LabelledSentence(start_ms=0, end_ms=900, text="recognise [0.50]", speaker="bob"),
        LabelledSentence(start_ms=900, end_ms=2_000, text="speech", speaker="al"),
    ),
    events=(
        Event(start_ms=100, end_ms=1_900, label="Bark", score=1.0),
        Event(start_ms=0, end_ms=50, label="my_own thing", score=1.0),
        Event(start_ms=0, end_ms=2_000, label="Music", score=1.0),
        Event(start_ms=500, end_ms=2_000, label="Singing", score=1.0),
    ),
    language="en",
    speakers=("zoe", "bob", "al"),
)


def test_clips_without_labels_keep_what_was_heard(heard):
    for branch, annotation in heard.items():
        assert told(branch, annotation, None) is annotation
        assert told(branch, annotation, Labels(files=("a",))) is annotation


def test_speech_is_the_person_s_and_what_adds_to_it(heard):
    speech = told(Branch.SPEECH, heard[Branch.SPEECH], LABELS)
    assert (speech.outcome, speech.model, speech.language, speech.pitch_hz) == (
        Outcome.OK,
        "labels@2+ears@1",
        "en",
        99.0,
    )
    assert speech.text == "[0.00]recognise (0.50)[0.90][0.90]speech[2.00]"
    assert [(f.kind, f.text, f.speaker, f.human) for f in speech.facts if f.kind != "voices"] == [
        ("transcript", "recognise (0.50)", "S01", True),
        ("voice", "a low voice", None, False),
        ("transcript", "speech", "S02", True),
    ]
    assert [(turn.speaker, turn.start_ms) for turn in speech.turns] == [("S01", 0), ("S02", 900)]
    assert [(one.name, one.voice) for one in speech.speakers] == [("S01", "V02"), ("S02", "V03")]
    assert speech.words == ()


def test_sounds_are_the_person_s_with_how_they_are_made_up(heard):
    sound = told(Branch.SOUND, heard[Branch.SOUND], LABELS)
    assert [(f.kind, f.label, f.text, f.human) for f in sound.facts] == [
        ("event", None, "my own thing", True),
        ("burst", None, "a burst", False),
        ("event", "Bark", sound.facts[2].text, True),
    ]


def test_music_is_the_person_s_with_what_was_measured(heard):
    music = told(Branch.MUSIC, heard[Branch.MUSIC], LABELS)
    assert [(f.kind, f.human) for f in music.facts] == [
        ("music", True),
        ("key", False),
        ("tempo", False),
        ("singing", True),
    ]


def test_what_is_measured_of_music_holds_where_the_person_heard_it(heard):
    def facts(start_ms: int) -> list[tuple[int, int, str]]:
        music = Event(start_ms=start_ms, end_ms=2_000, label="Music", score=1.0)
        annotation = told(Branch.MUSIC, heard[Branch.MUSIC], Labels(files=("a",), events=(music,)))
        return [(fact.start_ms, fact.end_ms, fact.kind) for fact in annotation.facts]

    assert facts(300) == [(300, 2_000, "music"), (300, 2_000, "key"), (300, 2_000, "tempo")]
    assert facts(900) == [(900, 2_000, "music")]


def test_that_somebody_speaks_is_told_where_nobody_says_more(heard):
    speech = Event(start_ms=0, end_ms=2_000, label="Speech", score=1.0)
    man = Event(start_ms=0, end_ms=2_000, label="Male speech, man speaking", score=1.0)
    for events, silent, kinds in (
        ((speech,), False, ["transcript", "voice"]),
        ((speech,), True, ["speech"]),
        ((speech, man), False, ["speech", "transcript", "voice"]),
    ):
        inner = skipped(Branch.SPEECH, "ears@1", "none") if silent else heard[Branch.SPEECH]
        annotation = told(Branch.SPEECH, inner, Labels(files=("a",), events=events))
        assert sorted(fact.kind for fact in annotation.facts) == kinds


@pytest.mark.parametrize("branch", list(Branch))
def test_a_person_is_heard_where_the_inner_annotator_is_silent(branch):
    annotation = told(branch, skipped(branch, "ears@1", "nothing here"), LABELS)
    assert annotation.outcome is Outcome.OK
    assert annotation.facts
    assert all(fact.human and fact.score == 1.0 for fact in annotation.facts)


def test_a_person_s_instruments_kinds_and_moods_are_told_with_the_music():
    whole = {"start_ms": 0, "end_ms": 2_000}
    music = LabelledMusic(**whole, instruments=("Piano", "a saw"), text="a slow waltz")
    events = tuple(Event(**whole, label=name, score=1.0) for name in ("Jazz", "Sad music", "Song"))
    inner = MusicAnnotation(
        outcome=Outcome.OK,
        model="ears@1",
        facts=(Fact(**whole, kind="instrument", text="a guitar", label="Guitar", score=1.0),),
    )
    said = told(Branch.MUSIC, inner, Labels(files=("a",), music=(music,), events=events))
    merged_clip = replace(clip(), branches=Branches(music=said))
    (caption,) = TemplateMergerConfig().build().merge([merged_clip])
    (known,) = [claim.text for claim in caption.claims if "music runs" in claim.text.lower()]
    assert "heard as jazz heard as sad music with a piano and a saw" in known.replace(",", "")
    assert sorted(claim.text for claim in caption.claims if claim.text != known) == [
        "From 0.0 to 2.0 s a slow waltz.",
        "From 0.0 to 2.0 s a song.",
    ]
    assert "guitar" not in caption.text


def test_of_what_is_measured_in_a_named_sound_the_likest_is_told_with_it():
    def fact(end_ms: int, text: str, **more: object) -> Fact:
        kind = "event" if "human" in more else "repeated"
        return Fact(start_ms=0, end_ms=end_ms, kind=kind, text=text, score=0.9, **more)

    facts = (fact(1_200, "3 bursts"), fact(1_900, "5 bursts"), fact(2_000, "coughing", human=True, label="Cough"))
    sounds = SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=facts)
    caption = merged(replace(clip(), branches=Branches(sound=sounds)), TemplateMergerConfig())
    assert "From 0.0 to 2.0 s coughing, 5 bursts." in [claim.text for claim in caption.claims]


SPEAKERS = st.sampled_from("abc")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), SPEAKERS), max_size=9))
def test_two_speak_at_once_where_turns_of_two_meet(rows):
    turns = [Turn(start_ms=start, end_ms=start + length, speaker=name) for start, length, name in rows]
    at_once = {t for span in overlaps_of(turns) for t in range(span.start_ms, span.end_ms)}
    speaking = [{turn.speaker for turn in turns if turn.start_ms <= t < turn.end_ms} for t in range(70)]
    assert at_once == {t for t, names in enumerate(speaking) if len(names) > 1}


def test_turns_at_once_and_words_alone():
    labels = Labels(
        files=("a",),
        turns=(Turn(start_ms=0, end_ms=1_500, speaker="b"), Turn(start_ms=500, end_ms=2_000, speaker="a")),
        words=tuple(Word(start_ms=a, end_ms=a + 100, text=f"w{a}", score=1.0) for a in (0, 200, 1_200)),
    )
    speech = told(Branch.SPEECH, skipped(Branch.SPEECH, "ears@1", "none"), labels)
    assert speech.text == "[0.00]w0 w200[0.30][1.20]w1200[1.30]"
    assert (speech.words, speech.overlaps) == (labels.words, (Span.of(500, 1_500),))
    assert {(f.kind, f.text) for f in speech.facts} >= {
        ("overlap", "two voices speak at once"),
        ("voices", "two voices are heard"),
    }


def test_the_merger_lets_no_model_speak_against_a_person():
    def caption(*facts: Fact, profile: Profile) -> tuple[list[str], list[str]]:
        sound = SoundAnnotation(outcome=Outcome.OK, model="m@1", facts=facts)
        event = Event(start_ms=0, end_ms=2_000, label="Speech", score=1.0)
        speech = SpeechAnnotation(outcome=Outcome.OK, model="m@1")
        one: Clip = clip(branches=Branches(sound=sound, speech=speech))
        one = replace(one, segment=replace(one.segment, profile=profile, events=(event,)))
        (made,) = TemplateMergerConfig().build().merge([one])
        return [claim.text for claim in made.claims], [rejected.reason for rejected in made.rejected]

    human = Fact(start_ms=0, end_ms=2_000, kind="event", text="a bark", score=0.01, human=True)
    model = Fact(start_ms=0, end_ms=2_000, kind="event", text="a meow", score=1.0)
    told_texts, reasons = caption(human, model, profile=Profile(speech=1.0))
    assert told_texts == ["From 0.0 to 2.0 s a bark."]  # under speech, and unsure: a person says so
    assert reasons == ["a person says 'a bark' there, sound/0"]
    assert caption(replace(human, text=" \x00"), profile=Profile()) == ([], [])
    measured = replace(model, kind="bang", text="a burst", end_ms=1_800)
    elsewhere = replace(model, kind="bang", text="a click", end_ms=100)
    assert caption(human, measured, elsewhere, profile=Profile(animal=1.0))[0] == [
        "At 0.0 s a click.",
        "From 0.0 to 2.0 s a bark, a burst.",
    ]


# ----------------------------------------------------------------------------------------- the whole recipe


@pytest.mark.slow
def test_the_recipe_on_scenes_cuts_no_labelled_word(tmp_path):
    """Events that overlap in chains longer than the longest piece have to be cut somewhere; no others are."""
    from benchmarks.sidecar import write_sidecars
    from pipeline.labels.beside import read_labels

    if not (SCENES / "truth.jsonl").is_file():
        pytest.skip("the composed scenes are not beside this checkout")
    write_sidecars(SCENES, tmp_path)
    for extra in sorted(tmp_path.iterdir())[12:]:
        extra.unlink()
    config = sidecar()
    decode = Decode(config.seam_detector.build, config.rate_hz, config.seam_window_ms, config.labels)
    cut = Cut(config.detector.build, config.rules, config.profiler.build)
    found = [probed(one) for one in find(str(tmp_path), Counter(), config.labels)]
    num_words = 0
    for lot in plan_of(found, config="x", lot_ms=config.lot_ms, sequence=0).lots():
        done = cut(decode(lot))
        assert done.failures == ()
        for piece in lot.items:
            labels, _ = read_labels(piece.source.uri, piece.source.duration_ms, config.labels)
            segments = [*(one.segment for one in done.items), *done.silences]
            cuts = {one.start_ms for one in segments if one.source.uri == piece.source.uri}
            num_words += len(labels.words)
            assert not [w for w in labels.words for at_ms in cuts if w.start_ms < at_ms < w.end_ms]
            wholes = [*labels.events, *labels.sentences]
            chains = union([*wholes, *labels.words])
            for one in wholes:
                if any(one.start_ms < at_ms < one.end_ms for at_ms in cuts):
                    assert max(c.duration_ms for c in chains if c.contains(one)) > config.rules.max_ms
    assert num_words
