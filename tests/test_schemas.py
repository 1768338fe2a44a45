"""The nouns refuse what does not fit together, and survive the way into rows and back."""

import itertools
import json
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audio import Waveform, decode_flac, encode_flac
from schemas.errors import DecodeError, SchemaError
from schemas.record import (
    Branches,
    Caption,
    Chord,
    Claim,
    MusicAnnotation,
    Outcome,
    Profile,
    Record,
    Section,
    SoundAnnotation,
    Word,
)
from schemas.rows import arrow_schema, from_row, to_row
from schemas.shard import IndexRow, Receipt, from_members, parse_record, to_members
from schemas.span import Span, Union, covered_ms, ms_of, sample_at, union
from tests.make import branches, caption, claim, record, tone, waveform


def song() -> MusicAnnotation:
    """Of two seconds, with everything a song can have."""
    return MusicAnnotation(
        outcome=Outcome.OK,
        model="ears@1",
        tempo_bpm=120.0,
        tempo_score=0.9,
        beats_ms=(0, 500, 1_000, 1_999),
        downbeats_ms=(0,),
        meter="4/4",
        meter_score=0.8,
        key="G major",
        key_score=0.7,
        chords=(Chord(start_ms=0, end_ms=2_000, name="G", score=0.6),),
        sections=(
            Section(start_ms=0, end_ms=1_000, label="A", score=0.5),
            Section(start_ms=1_000, end_ms=2_000, label="B", score=0.5),
        ),
        tuning_cents=-12.5,
    )


spans = st.tuples(st.integers(0, 500), st.integers(1, 500)).map(lambda p: Span.of(p[0], p[0] + p[1]))


def test_a_span_is_never_empty_or_negative():
    for start_ms, end_ms in [(5, 5), (6, 5), (-1, 5)]:
        with pytest.raises(SchemaError, match="empty or negative"):
            Span.of(start_ms, end_ms)


@given(st.lists(spans, max_size=12), spans)
def test_a_union_covers_what_its_spans_cover(some, within):
    covered = {t for span in some for t in range(span.start_ms, span.end_ms)}
    merged = union(some)
    assert {t for span in merged for t in range(span.start_ms, span.end_ms)} == covered
    assert Union(some).meets(within) is any(span.overlap_ms(within) for span in some)
    assert all(a.end_ms < b.start_ms for a, b in itertools.pairwise(merged))
    assert covered_ms(some, within) == len(covered & set(range(within.start_ms, within.end_ms)))


@given(st.integers(0, 10**9), st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 192_000]))
def test_time_survives_the_way_to_samples_and_back(time_ms, rate_hz):
    assert ms_of(sample_at(time_ms, rate_hz), rate_hz) in (time_ms, time_ms + 1)


def test_pieces_of_a_waveform_joined_are_the_whole():
    whole = waveform(tone(1_003), start_ms=7)
    pieces = [whole.cut(Span.of(a, b)) for a, b in [(7, 100), (100, 731), (731, whole.end_ms)]]
    assert [sample for piece in pieces for sample in piece.pcm] == list(whole.pcm)


def test_flac_gives_back_every_sample():
    sound = waveform(tone(500), start_ms=40)
    again = decode_flac(encode_flac(sound), start_ms=40)
    assert (again.pcm == sound.pcm).all()
    assert (again.rate_hz, again.start_ms) == (sound.rate_hz, sound.start_ms)


def test_what_is_no_flac_is_an_error_of_ours():
    with pytest.raises(DecodeError, match="cannot be read"):
        decode_flac(b"not flac at all")


def test_a_float_louder_than_full_scale_is_clipped_not_wrapped():
    assert Waveform.from_float(tone(10) * 100, 16_000).pcm.max() == 32_767


def test_a_claim_without_evidence_cannot_be_built():
    with pytest.raises(SchemaError, match="has no evidence"):
        claim(evidence=())


@pytest.mark.parametrize("evidence", ["sound/1", "music/0", "smell/0", "sound", "sound/-1", "sound/²"])
def test_evidence_that_names_no_fact_cannot_be_recorded(evidence):
    with pytest.raises(SchemaError, match="names no fact"):
        record(caption=caption(claim(evidence=(evidence,))))


def test_a_caption_is_its_claims_and_nothing_else():
    with pytest.raises(SchemaError, match="is not the sentences"):
        Caption(text="A tone. And a dog!", claims=(claim(),))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"caption": caption(claim(start_ms=1_000, end_ms=2_001))}, id="a claim"),
        pytest.param(
            {
                "branches": replace(
                    branches(),
                    speech=replace(
                        branches().speech, words=(Word(start_ms=1_900, end_ms=2_100, text="hi", score=0.5),)
                    ),
                )
            },
            id="a word",
        ),
        pytest.param(
            {"branches": replace(branches(), speech=replace(branches().speech, overlaps=(Span.of(1_900, 2_100),)))},
            id="an overlap",
        ),
        *(
            pytest.param({"branches": replace(branches(), music=replace(song(), **{what: (out,)}))}, id=what)
            for what, out in {
                "chords": Chord(start_ms=1_000, end_ms=2_001, name="C", score=0.5),
                "sections": Section(start_ms=1_000, end_ms=2_001, label="B", score=0.5),
                "beats_ms": 2_000,
                "downbeats_ms": 2_000,
            }.items()
        ),
    ],
)
def test_nothing_leaves_its_segment(changes):
    with pytest.raises(SchemaError, match="leaves its segment"):
        record(**changes)


def test_a_branch_that_says_nothing_says_why():
    with pytest.raises(SchemaError, match="without a reason"):
        SoundAnnotation(outcome=Outcome.SKIPPED, model="ears@1")


def test_a_score_lies_between_zero_and_one():
    with pytest.raises(SchemaError, match=r"profile\.music is 1\.5"):
        Profile(music=1.5)


# ------------------------------------------------------------------------------------------------ rows


def test_music_survives_arrow_and_json():
    made = record(branches=replace(branches(), music=song()))
    table = pa.Table.from_pylist([to_row(made)], schema=arrow_schema(Record))
    assert from_row(Record, table.to_pylist()[0]) == made
    assert from_row(Record, json.loads(json.dumps(to_row(made)))) == made


def test_a_record_written_before_meters_and_sections_is_still_read():
    row = to_row(record(branches=replace(branches(), music=song())))
    new = ("tempo_score", "meter", "meter_score", "downbeats_ms", "sections", "tuning_cents")
    for name in new:
        del row["branches"]["music"][name]
    music = from_row(Record, row).branches.music
    assert [getattr(music, name) for name in new] == [None, None, None, (), (), None]


def test_a_record_survives_arrow():
    table = pa.Table.from_pylist([to_row(record())], schema=arrow_schema(Record))
    assert from_row(Record, table.to_pylist()[0]) == record()


def test_a_record_survives_json():
    assert from_row(Record, json.loads(json.dumps(to_row(record())))) == record()


def test_a_sample_survives_its_members():
    sound = waveform(tone(2_000))
    again, heard = from_members(to_members(record(), sound))
    assert again == record()
    assert (heard.pcm == sound.pcm).all()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"captoin": ""}, r"has no field \['captoin'\]"),
        ({"key": 7}, r"Record\.key should be str, not 7"),
        ({"start_ms": True}, r"should be int, not True"),
        ({"events": "dog"}, r"should be a list"),
        ({"profile": []}, r"Profile should be an object"),
        ({"branches": {"sound": {"outcome": "great", "model": "m"}}}, r"it can be \['ok', 'skipped', 'failed'\]"),
        ({"key": "x" * 500}, "does not name"),
    ],
)
def test_a_row_that_breaks_the_contract_is_told_by_field(row, words):
    with pytest.raises(SchemaError, match=words):
        from_row(Record, to_row(record()) | row)


def test_a_missing_field_is_told_by_name():
    row = to_row(record())
    del row["quality"]
    with pytest.raises(SchemaError, match=r"lacks \['quality'\]"):
        from_row(Record, row)


@dataclass(frozen=True)
class Free:
    metadata: dict


def test_free_metadata_has_no_place_in_a_row():
    with pytest.raises(SchemaError, match="metadata"):
        arrow_schema(Free)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"version": 1}'),
        *(
            b'{"version": 99, "record": {}}',
            b'{"version": 1, "record": {"start_ms": NaN}}',
            b'{"version": 1, "record": []}',
        ),
    ],
)
def test_hostile_json_does_no_harm(data):
    with pytest.raises(SchemaError):
        parse_record(data)


def test_schemas_of_everything_on_disk_can_be_derived():
    for noun in (Record, IndexRow, Receipt, Claim, Branches):
        assert len(arrow_schema(noun)) == len(noun.__dataclass_fields__)
