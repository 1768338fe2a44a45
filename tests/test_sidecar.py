"""Labels on their way through the route: found, read, honoured where it is cut."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from annotators.labelled import LabelledConfig
from annotators.merge import TemplateMergerConfig
from jobs.recipes import sidecar
from pipeline.annotate import plan_new, standing, unfinished
from pipeline.labels.beside import LabelsConfig, etag_with, names_beside
from pipeline.plan import plan_of, probed
from pipeline.route import AnnotateConfig, route
from pipeline.sources import find
from pipeline.steps import Cut, Decode, run_local
from schemas import audioset
from schemas.errors import ConfigError
from schemas.labels import LabelledSentence, Labels
from schemas.record import Branch, Event, Outcome, Profile, Word
from schemas.shard import read_receipt, shards_in
from schemas.span import Span, union
from schemas.store import Store, store_at
from segmenters.base import Change, Hearing
from segmenters.boundaries import CutRules, decide
from segmenters.labelled import labelled, placed, profile_as_labelled
from segmenters.seams import seam
from tests.make import beeps, quick, tone, wav_bytes, write_wav
from tests.runs import records_of

SCENES = Path(__file__).parents[2] / "shared" / "scenes"


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
    assert audioset.class_of("Silence") is None


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
