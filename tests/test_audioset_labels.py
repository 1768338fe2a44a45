"""The classes of AudioSet: names, ontology, coarse classes, words."""

import re
from dataclasses import fields

import pytest

from schemas import audioset
from schemas.errors import SchemaError
from schemas.record import Profile

NAMES = [label.name for label in audioset.labels()]


def test_the_classes_are_those_of_the_release_in_its_order():
    assert len(NAMES) == len(set(NAMES)) == len({label.mid for label in audioset.labels()}) == 527
    assert (NAMES[0], NAMES[74], NAMES[137], NAMES[300], NAMES[500], NAMES[526]) == (
        "Speech",
        "Dog",
        "Music",
        "Vehicle",
        "Silence",
        "Field recording",
    )
    assert all(re.fullmatch(r"/(m|t|g)/[0-9a-z_]+", label.mid) for label in audioset.labels())


@pytest.mark.parametrize("label", audioset.labels()[::25], ids=lambda label: label.name)
def test_a_class_is_found_by_its_name_however_written_and_by_its_id(label):
    for name in (label.name, label.name.upper(), label.name.replace(" ", "_"), f" {label.name}  "):
        assert audioset.by_name(name) is label
        assert audioset.known(name) is label
    assert audioset.by_mid(label.mid) is audioset.known(label.mid) is label


@pytest.mark.parametrize("name", ["", "dogs", "LABEL_74", "74", "Human sounds", "-"])
def test_what_is_no_class_is_refused_by_name(name):
    assert audioset.known(name) is None
    with pytest.raises(SchemaError, match=re.escape(repr(name))):
        audioset.by_name(name)
    with pytest.raises(SchemaError, match=re.escape(repr(name))):
        audioset.by_mid(name)


@pytest.mark.parametrize(
    ("name", "ancestor"),
    [
        ("Acoustic guitar", "Musical instrument"),
        ("Acoustic guitar", "Music"),
        ("Dog", "Dog"),
        ("Bark", "Dog"),
        ("Bark", "Animal"),
        ("Laughter", "Human voice"),
        ("Cowbell", "Bell"),
        ("Cowbell", "Livestock, farm animals, working animals"),
        ("Rain", "Natural sounds"),
        ("Police car (siren)", "Vehicle"),
        ("Police car (siren)", "Siren"),
        ("Church bell", "Musical instrument"),
        ("Church bell", "Sounds of things"),
        ("Growling", "Dog"),
        ("Growling", "Roaring cats (lions, tigers)"),
        ("Buzz", "Insect"),
        ("Buzz", "Source-ambiguous sounds"),
        ("Static", "Noise"),
    ],
)
def test_a_class_lies_below_all_its_parents(name, ancestor):
    assert audioset.is_a(name, ancestor)


def test_a_class_does_not_lie_below_its_child_or_its_neighbour():
    assert not audioset.is_a("Dog", "Bark")
    assert not audioset.is_a("Laughter", "Singing")
    assert not audioset.is_a("Laughter", "Speech")
    with pytest.raises(SchemaError, match="Woof"):
        audioset.is_a("Dog", "Woof")


def test_nothing_lies_below_itself():
    for name in NAMES:
        assert name not in audioset.ancestors(name)


def test_everything_lies_below_one_of_the_seven_roots():
    roots = {
        "Human sounds",
        "Animal",
        "Music",
        "Natural sounds",
        "Sounds of things",
        "Source-ambiguous sounds",
        "Channel, environment and background",
    }
    assert all(({name} | audioset.ancestors(name)) & roots for name in NAMES)


@pytest.mark.parametrize(
    ("coarse", "names"),
    [
        ("speech", ["Speech", "Male speech, man speaking", "Conversation", "Whispering", "Speech synthesizer"]),
        ("human_voice", ["Laughter", "Baby cry, infant cry", "Cough", "Screaming", "Applause", "Walk, footsteps"]),
        ("singing", ["Singing", "Choir", "Male singing", "Rapping", "Humming", "A capella"]),
        ("music", ["Music", "Piano", "Drum roll", "Jazz", "Sad music", "Song", "Opera"]),
        ("natural_sounds", ["Rain", "Wind", "Thunder", "Waves, surf", "Fire", "Stream"]),
        ("source_ambiguous", ["Bang", "Hiss", "Buzz", "Beep, bleep", "Thump, thud", "Squeak", "Sine wave"]),
        (
            "sounds_of_things",
            ["Siren", "Car", "Door", "Gunshot, gunfire", "Church bell", "Cowbell", "Splash, splatter"],
        ),
        ("environment", ["Inside, small room", "Outside, rural or natural", "White noise", "Radio", "Reverberation"]),
        ("animal", ["Dog", "Bark", "Bird", "Crowing, cock-a-doodle-doo", "Whale vocalization", "Cat", "Insect"]),
        (None, ["Silence"]),
    ],
)
def test_coarse_classes(coarse, names):
    assert [audioset.coarse(name) for name in names] == [coarse] * len(names)


def test_every_class_but_silence_is_of_one_coarse_class():
    coarse = {f.name for f in fields(Profile)}
    assert {label.name for label in audioset.labels() if label.coarse not in coarse} == {"Silence"}
    assert {label.coarse for label in audioset.labels()} == coarse | {None}


def test_whatever_is_sung_is_no_laughter_and_whatever_is_laughed_no_song():
    for name in NAMES:
        if audioset.is_a(name, "Laughter"):
            assert audioset.coarse(name) == "human_voice"
        if audioset.is_a(name, "Singing"):
            assert audioset.coarse(name) == "singing"


@pytest.mark.parametrize(
    ("name", "words"),
    [("Dog", "a dog"), ("Rain", "rain"), ("Vehicle horn, car horn, honking", "a car horn"), ("Owl", "an owl")],
)
def test_words(name, words):
    assert audioset.in_words(name) == words


def test_words_stand_well_in_a_sentence():
    for label in audioset.labels():
        assert re.fullmatch(r"[A-Za-z][A-Za-z' ,-]*[a-z]", label.words), label
        article, _, rest = label.words.partition(" ")
        if article in ("a", "an"):
            vowel = rest[0].lower() in "aeiou" and not rest.startswith(("ukulele", "unit"))
            assert (article == "an") == vowel, label
        assert label.words[0].islower() or label.words.split()[0] in {
            "Latin", "African", "Asian", "Christian", "Christmas", "Carnatic", "Bollywood", "Afrobeat", "Middle",
        }, label  # fmt: skip
    told = [label.words for label in audioset.labels()]
    assert {words for words in told if told.count(words) > 1} == set()
