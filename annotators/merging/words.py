"""Which forms are of one word: "barks", "barking" and "barked" of "bark". Only what English spelling makes certain."""

from functools import lru_cache

VOWELS = "aeiouy"
IRREGULAR = {
    form: base
    for base, forms in {
        "be": "is are was were been being",
        "beat": "beaten",
        "become": "became",
        "begin": "began begun",
        "blow": "blew blown",
        "break": "broke broken",
        "burst": "burst bursts",
        "can": "could",
        "child": "children",
        "come": "came",
        "die": "dying",
        "drive": "drove driven",
        "fall": "fell fallen",
        "fly": "flew flown",
        "give": "gave given",
        "go": "goes went gone",
        "grow": "grew grown",
        "have": "has had having",
        "hear": "heard",
        "hold": "held",
        "keep": "kept",
        "lie": "lying lay lain",
        "make": "made",
        "man": "men",
        "quick": "quicker quickest",
        "ring": "rang rung",
        "rise": "rose risen",
        "run": "ran",
        "say": "said says",
        "sing": "sang sung",
        "speak": "spoke spoken",
        "tell": "told",
        "woman": "women",
    }.items()
    for form in forms.split()
}
IRREGULAR_PLURALS = frozenset({"men", "women", "children", "people", "persons"})
NOT_FORMS = frozenset({"string", "spring", "morning", "evening", "king", "wing", "thing", "nothing", "something"})


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


def in_order(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@lru_cache(maxsize=65_536)
def stems(word: str) -> frozenset[str]:
    """What the word may be a form of, itself among it; two words are forms of one where these meet."""
    word = word.lower().removesuffix("'s").removesuffix("'")
    if base := IRREGULAR.get(word):
        return frozenset({base})
    found = {word}
    if word in NOT_FORMS or len(word) < 4:
        return frozenset(found | ({word[:-1]} if len(word) == 3 and _is_plural(word) else set()))
    for suffix in ("ing", "ed"):
        if word.endswith(suffix):
            found |= _before(word.removesuffix(suffix))
    if word.endswith(("ies", "ied")) and len(word) > 4:
        found.add(f"{word[:-3]}y")
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        found |= {word[:-2], word[:-1]}
    elif _is_plural(word):
        found.add(word[:-1])
    if word.endswith("ly") and len(word) > 5:
        found |= {f"{word[:-3]}y"} if word.endswith("ily") else {word[:-2]}
    return frozenset(found)


def is_plural(word: str) -> bool:
    """Whether it looks like more than one of a thing; a verb may look so too."""
    return word in IRREGULAR_PLURALS or _is_plural(word)


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is", "'s"))


def _before(base: str) -> set[str]:
    """The verbs that a suffix which begins with a vowel may have been put to."""
    if len(base) < 2 or not any(letter in VOWELS for letter in base):
        return set()
    if base[-1] == base[-2] and base[-1] not in "lsze":
        return {base[:-1]}
    if base[-1] == base[-2]:
        return {base, base[:-1]} if base[-1] == "l" else {base, f"{base}e"}
    if len(base) >= 3 and _is_short(base):
        return {f"{base}e"}  # "caring" is of care, as car would double its r
    return {base, f"{base}e"}


def _is_short(base: str) -> bool:
    """Whether one vowel between consonants is all it has: hum, chop."""
    vowels = [letter in VOWELS for letter in base]
    return vowels[-2] and not vowels[-1] and not vowels[-3] and sum(vowels) == 1 and base[-1] not in "wxy"
