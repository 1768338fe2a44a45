"""The music branch of trained models keeps its contract whatever a recogniser or a captioner makes of the sound."""

from dataclasses import dataclass, replace

import pytest

from annotators.base import Reply, Transcript
from annotators.lyrics import LyricsRules, lyrics_of, singing_in
from annotators.merge import TemplateMergerConfig
from annotators.music import MusicConfig
from annotators.trained_music import TrainedMusicConfig
from schemas.record import Branch, Branches, Outcome, Profile, Word
from schemas.span import Span
from tests.branch_parts import Answers
from tests.make_clips import clip, event, four_chords, quiet

SONG = four_chords([500] * 24)
START_MS = 2_000
SUNG, INSTRUMENTAL = Profile(music=0.9, singing=0.6), Profile(music=0.9)


@dataclass(frozen=True)
class Writes:
    """A recogniser that writes the same words into whatever it is given."""

    text: str
    score: float = 0.9
    model = "writes@1"

    def build(self):
        return self

    def transcribe(self, stretches, language=None):
        return [self._of(stretch) for stretch in stretches]

    def _of(self, stretch):
        words = tuple(
            Word(
                start_ms=stretch.start_ms + 600 * i,
                end_ms=stretch.start_ms + 600 * i + 500,
                text=text,
                score=self.score,
            )
            for i, text in enumerate(self.text.split())
        )
        return Transcript(text=self.text, words=words, language="en", score=self.score)


def describes(reply):
    return Answers(answer=lambda _: reply)


def song(*events, profile=INSTRUMENTAL):
    return clip(SONG, *events, start_ms=START_MS, profile=profile)


def said(heard, **parts):
    (annotation,) = TrainedMusicConfig(**parts).build().annotate([heard])
    return annotation


def kinds(annotation):
    return [fact.kind for fact in annotation.facts]


def test_what_is_measured_is_what_the_embedded_branch_measures():
    trained, embedded = said(song()), MusicConfig().build().annotate([song()])[0]
    assert replace(trained, model=embedded.model) == embedded


def test_instruments_and_genres_are_told_by_their_names():
    heard = song(
        event(START_MS, 14_000, "Music"),
        event(START_MS, 14_000, "Acoustic guitar", 0.8),
        event(START_MS, 14_000, "Guitar", 0.9),
        event(4_000, 6_000, "Trumpet", 0.6),
        event(START_MS, 14_000, "Folk music", 0.5),
        event(5_000, 6_000, "Dog", 0.9),
        event(5_000, 6_000, "Piano", 0.1),
    )
    annotation = said(heard)
    assert [one.label for one in annotation.instruments] == ["Acoustic guitar", "Trumpet"]
    told = {(fact.kind, fact.label, fact.start_ms, fact.end_ms) for fact in annotation.facts if fact.label}
    assert told == {
        ("instrument", "Acoustic guitar", START_MS, 14_000),
        ("instrument", "Trumpet", 4_000, 6_000),
        ("genre", "Folk music", START_MS, 14_000),
    }
    caption = TemplateMergerConfig().build().merge([replace(heard, branches=Branches(music=annotation))])[0]
    assert "with an acoustic guitar" in caption.claims[0].text
    assert "From 2.0 to 4.0 s a trumpet in the music." in caption.text


def test_a_recogniser_is_not_asked_where_nobody_sings():
    annotation = said(song(), transcriber=Writes("so far away from home"))
    assert annotation.lyrics == ()
    assert "lyrics" not in kinds(annotation)


@pytest.mark.parametrize(
    "heard", [song(profile=SUNG), song(event(START_MS, 14_000, "Female singing", 0.7))], ids=["profile", "event"]
)
def test_what_is_sung_is_told_with_its_times(heard):
    annotation = said(heard, transcriber=Writes("so far away from home"))
    assert [word.text for word in annotation.lyrics] == ["so", "far", "away", "from", "home"]
    assert annotation.lyrics_language == "en"
    (line,) = [fact for fact in annotation.facts if fact.kind == "lyrics"]
    assert (line.text, line.start_ms) == ("so far away from home", annotation.lyrics[0].start_ms)
    caption = TemplateMergerConfig().build().merge([replace(heard, branches=Branches(music=annotation))])[0]
    assert 'someone sings "so far away from home".' in caption.text


@pytest.mark.parametrize("text", ["Thank you for watching!", "Thanks for watching.", "la " * 40])
def test_what_recognisers_write_into_music_is_withheld_with_the_reason(text):
    annotation = said(song(profile=SUNG), transcriber=Writes(text))
    assert annotation.outcome is Outcome.OK
    assert annotation.lyrics == ()
    assert annotation.reason.startswith("lyrics withheld: ")


def test_words_nobody_is_sure_of_are_withheld():
    annotation = said(song(profile=SUNG), transcriber=Writes("so far away", score=0.1))
    assert annotation.lyrics == ()
    assert "sure of 'so far away' by 0.10" in annotation.reason


@pytest.mark.parametrize(("text", "told"), [("", []), ("la la", ["la la"])])
def test_a_recogniser_that_does_not_answer_is_not_taken_for_silence(text, told):
    stretch = Span.of(0, 3_000)
    words = tuple(Word(start_ms=500 * i, end_ms=500 * i + 400, text=w, score=0.9) for i, w in enumerate(text.split()))
    heard = Transcript(text=text, words=words, score=0.9, error="it hung up")
    lyrics = lyrics_of([(stretch, heard)], LyricsRules())
    assert ([line.text for line in lyrics.lines], lyrics.withheld) == (told, ("it hung up",))


def test_words_stay_inside_their_stretch():
    stretch = Span.of(1_000, 3_000)
    words = [Word(start_ms=at, end_ms=at + 900, text=f"w{at}", score=0.9) for at in (500, 1_500, 2_500, 3_500)]
    told = lyrics_of([(stretch, Transcript(text="w w w w", words=tuple(words), score=0.9))], LyricsRules())
    assert all(stretch.contains(word) for line in told.lines for word in line.words)
    assert sum(len(line.words) for line in told.lines) == 3


def test_singing_is_looked_for_where_it_was_heard():
    heard = song(event(4_000, 7_000, "Singing", 0.7), event(12_000, 13_000, "Choir", 0.1))
    assert singing_in(heard, Span.of(START_MS, 14_000), LyricsRules()) == [Span.of(3_500, 7_500)]


def test_a_captioner_describes_it_and_each_sentence_is_a_fact():
    annotation = said(song(), captioner=describes(Reply(text="A calm tune on a harp. It repeats four chords.")))
    assert annotation.caption == "A calm tune on a harp. It repeats four chords."
    assert [fact.text for fact in annotation.facts if fact.kind == "caption"] == [
        "a calm tune on a harp",
        "it repeats four chords",
    ]
    assert len(annotation.prompts) == 1
    assert annotation.reason is None


@pytest.mark.parametrize("reply", [Reply(text="", error="no server"), Reply(text=" "), Reply(text="No music.")])
def test_a_captioner_that_fails_costs_its_caption_alone(reply):
    annotation = said(song(), captioner=describes(reply))
    assert annotation.outcome is Outcome.OK
    assert annotation.caption == ""
    assert "caption" not in kinds(annotation)
    assert "the captioner" in annotation.reason


def test_every_clip_has_its_answer_in_order_and_the_same_one_each_time():
    clips = [song(profile=SUNG), clip(quiet(3_000)), song()]
    annotator = TrainedMusicConfig(transcriber=Writes("so far"), captioner=describes(Reply(text="A tune."))).build()
    once, again = annotator.annotate(clips), annotator.annotate(clips[::-1])[::-1]
    assert once == again
    assert [one.outcome for one in once] == [Outcome.OK, Outcome.SKIPPED, Outcome.OK]
    assert {one.model for one in once} == {annotator.model}
    assert annotator.branch is Branch.MUSIC
    assert all(song().segment.contains(fact) and 0 <= fact.score <= 1 for one in once for fact in one.facts)


@pytest.mark.slow
def test_a_checkpoint_of_whisper_keeps_the_contract(tmp_path):
    from annotators.recognition.whisper import WhisperConfig
    from schemas.weights import Weights
    from tests.make_recognisers import tiny_whisper

    folder = tiny_whisper(tmp_path / "whisper")
    whisper = WhisperConfig(weights=Weights(name=str(folder)), device="cpu")
    annotation = said(song(profile=SUNG), transcriber=whisper, lyrics=LyricsRules(min_score=0.0))
    assert annotation.outcome is Outcome.OK
    assert all(song().segment.contains(word) for word in annotation.lyrics)
    assert bool(annotation.lyrics) != bool(annotation.reason)
