"""Which names may stand for one and the same thing: a bark and a dog, a dog and an animal; but not a dog and a cat.

The families are those of the AudioSet ontology (Gemmeke et al., 2017), as far as they are common: words for any member,
then the members, each with the words it goes by.
"""

import re
from functools import lru_cache

_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "animal wild domestic pet livestock farm",
        (
            "dog bark howl growl yip whimper canine puppy",
            "cat meow purr hiss caterwaul kitten",
            "cow moo cattle bovinae",
            "pig oink hog",
            "sheep bleat goat",
            "horse neigh clop",
            "fowl hen cluck chicken rooster crow cock turkey gobble duck quack goose honk",
            "bird chirp chirping tweet squawk coo pigeon owl hoot crow caw fowl",
            "frog croak ribbit",
            "insect cricket chirp chirping bee wasp buzz fly mosquito",
            "mouse rat rodent",
            "snake rattle hiss",
            "lion tiger roar",
        ),
    ),
    (
        "speech speak speaker talk conversation narration monologue dialogue voice vocal human male female man woman "
        "child person babble whisper shout yell chatter crowd",
        (
            "sing song choir rap hum chant yodel",
            "scream shout yell",
            "baby infant cry sob wail",
            "laugh giggle chuckle",
        ),
    ),
    (
        "music musical song melody instrument band orchestra ensemble tune pop rock jazz classical lyrics",
        (
            "guitar string strum",
            "piano keyboard synthesizer",
            "organ",
            "drum percussion cymbal",
            "bass",
            "violin fiddle string cello",
            "trumpet brass trombone horn",
            "saxophone flute clarinet woodwind",
            "harp",
            "bell chime",
            "sing choir vocal rap",
        ),
    ),
    (
        "human body mouth respiratory",
        (
            "breath gasp sigh snore",
            "cough throat",
            "sneeze sniff",
            "laugh laughter giggle chuckle",
            "cry sob wail baby infant",
            "clap applause cheer",
            "footstep footsteps walk run step",
            "chew bite eat",
            "drink sip swallow",
        ),
    ),
    (
        "water liquid",
        (
            "rain raindrop drizzle drip drop drops",
            "ocean sea wave waves surf",
            "stream waterfall",
            "pour fill gurgle splash",
            "toilet flush",
            "tap faucet sink bath",
        ),
    ),
    ("weather storm outside nature", ("wind gust breeze rustle leaves", "rain drizzle", "thunder thunderstorm")),
    ("fire", ("crackle burn flame",)),
    (
        "vehicle engine motor traffic transport machine mechanical",
        (
            "car truck bus motorcycle traffic road idle accelerate",
            "train rail railroad subway",
            "airplane aircraft helicopter jet plane propeller",
            "boat ship",
            "chainsaw lawn mower",
            "vacuum cleaner",
            "washing washer",
            "fan",
        ),
    ),
    (
        "alarm alert signal",
        (
            "siren ambulance police fire",
            "bell ring church doorbell chime",
            "telephone phone ringtone ring",
            "horn honk beep toot car",
            "clock watch ring beep tick",
            "smoke beep",
        ),
    ),
    ("wood domestic", ("door knock slam creak squeak tap", "cupboard drawer", "saw hand")),
    ("click computer button switch", ("mouse", "keyboard type typewriter typing", "camera")),
    ("tool", ("saw hand chainsaw", "drill", "hammer", "sand file")),
    ("explosion bang boom burst", ("gunshot gunfire gun", "firework fireworks firecracker", "thunder")),
    ("glass", ("shatter break smash crash", "chink clink dishes pots pans cutlery")),
    ("scrape rub scratch brush", ("teeth tooth toothbrush",)),
    ("noise", ("static hiss hum white pink buzz",)),
)
_EMPTY = frozenset(("a", "an", "and", "of", "in", "on", "the", "to", "other", "sound", "small", "large", "big", "room"))
_WORD = re.compile(r"[^\W_]+")


def akin(one: str, other: str) -> bool:
    """Whether what is called `one` may be the very thing that is called `other`."""
    return bool(_words(one) & _words(other)) or any(
        (a == 0) or (b == 0) or a == b
        for family, a in _places(one)
        for other_family, b in _places(other)
        if family == other_family
    )


def related(one: str, other: str) -> bool:
    """Whether the two are of one family, and so perhaps mistaken for each other."""
    families = {family for family, _ in _places(one)}
    return akin(one, other) or any(family in families for family, _ in _places(other))


@lru_cache(maxsize=4096)
def _words(label: str) -> frozenset[str]:
    stems = [_stem(word) for word in _WORD.findall(label.casefold())]
    return frozenset(stems) - _EMPTY or frozenset(stems)


@lru_cache(maxsize=4096)
def _places(label: str) -> frozenset[tuple[int, int]]:
    """Family and member of each of its words; member 0 is the family at large."""
    words = _words(label)
    return frozenset(
        (family, member)
        for family, members in enumerate(_STEMS)
        for member, stems in enumerate(members)
        if stems & words
    )


def _stem(word: str) -> str:
    """Without the endings that tell one from several, and a thing from its doing."""
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


_STEMS = tuple(
    tuple(frozenset(_stem(word) for word in words.split()) for words in (general, *members))
    for general, members in _FAMILIES
)
