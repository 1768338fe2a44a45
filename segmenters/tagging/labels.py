"""Which coarse class each of the 50 labels of ESC-50 belongs to, after the top level of the AudioSet ontology.

"Human sounds" there holds more than voices: breath, hands, steps and meals as well; all of it but speech is our
`human_voice`. "Sounds of things" holds whatever people have made, from engines to bells, and liquids that are poured.
"Natural sounds" are weather, water in the open and fire. A label that a fair listener could put under a second class
names that one in `also`: there the tagger is neither rewarded nor punished.
"""

from dataclasses import dataclass, fields

from schemas.record import Profile

CLASSES = tuple(f.name for f in fields(Profile))  # the columns of the scores
UNTAUGHT = ("singing", "source_ambiguous", "environment")  # no data to learn them from: always 0
TAUGHT = tuple(name for name in CLASSES if name not in UNTAUGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarse:
    """The coarse class of a label, and those it may have as well."""

    name: str
    also: tuple[str, ...] = ()


def _all_of(name: str, *labels: str) -> dict[str, Coarse]:
    return {label: Coarse(name=name) for label in labels}


SPEECH = Coarse(name="speech")
MUSIC = Coarse(name="music")
COARSE: dict[str, Coarse] = {
    **_all_of("animal", "cat", "chirping_birds", "cow", "crickets", "crow", "dog", "frog", "hen", "insects", "pig"),
    **_all_of("animal", "rooster", "sheep"),
    **_all_of("natural_sounds", "crackling_fire", "rain", "sea_waves", "thunderstorm", "wind"),
    **_all_of("human_voice", "breathing", "clapping", "coughing", "crying_baby", "laughing", "sneezing", "snoring"),
    **_all_of("sounds_of_things", "airplane", "can_opening", "car_horn", "chainsaw", "clock_alarm", "clock_tick"),
    **_all_of("sounds_of_things", "door_wood_creaks", "door_wood_knock", "engine", "fireworks", "glass_breaking"),
    **_all_of("sounds_of_things", "hand_saw", "helicopter", "keyboard_typing", "mouse_click", "siren", "train"),
    **_all_of("sounds_of_things", "vacuum_cleaner", "washing_machine"),
    # Bells are instruments too, in AudioSet itself.
    "church_bells": Coarse(name="sounds_of_things", also=("music",)),
    # A tool, but one that is heard inside a mouth.
    "brushing_teeth": Coarse(name="sounds_of_things", also=("human_voice",)),
    # People, but what sounds is a cup or a floor.
    "drinking_sipping": Coarse(name="human_voice", also=("sounds_of_things",)),
    "footsteps": Coarse(name="human_voice", also=("sounds_of_things",)),
    # Water from a tap and water from the sky differ in where they fall, not in how they sound.
    "water_drops": Coarse(name="natural_sounds", also=("sounds_of_things",)),
    "pouring_water": Coarse(name="sounds_of_things", also=("natural_sounds",)),
    "toilet_flush": Coarse(name="sounds_of_things", also=("natural_sounds",)),
}
FINE = tuple(sorted(COARSE))
