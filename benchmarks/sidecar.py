"""Scenes with what a person would have labelled beside each: python -m benchmarks.sidecar SCENES OUT

SCENES is a folder of recordings with their answer key `truth.jsonl` (python -m benchmarks.scenes). OUT gets a copy of
each recording and, beside it, a JSON file of labels made from the key: `scene_00.ogg` and `scene_00.json`.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.truth import TRUTH, read_rows
from schemas.errors import InputError

AUDIOSET_NAMES = {  # of the labels of ESC-50; four that AudioSet does not have are told in plain words
    "airplane": "Fixed-wing aircraft, airplane",
    "brushing_teeth": "Toothbrush",
    "can_opening": "a can being opened",
    "car_horn": "Vehicle horn, car horn, honking",
    "cat": "Meow",
    "chirping_birds": "Chirp, tweet",
    "church_bells": "Church bell",
    "clapping": "Clapping",
    "clock_alarm": "Alarm clock",
    "clock_tick": "Tick-tock",
    "coughing": "Cough",
    "cow": "Moo",
    "crackling_fire": "Fire",
    "crickets": "Cricket",
    "crow": "Caw",
    "crying_baby": "Baby cry, infant cry",
    "dog": "Bark",
    "door_wood_creaks": "Creak",
    "door_wood_knock": "Knock",
    "drinking_sipping": "someone sipping a drink",
    "engine": "Engine",
    "fireworks": "Fireworks",
    "footsteps": "Walk, footsteps",
    "frog": "Croak",
    "glass_breaking": "Shatter",
    "hand_saw": "Sawing",
    "hen": "Cluck",
    "insects": "Insect",
    "keyboard_typing": "Typing",
    "laughing": "Laughter",
    "mouse_click": "mouse clicks",
    "pig": "Oink",
    "pouring_water": "Pour",
    "rooster": "Crowing, cock-a-doodle-doo",
    "sea_waves": "Waves, surf",
    "sheep": "Bleat",
    "sneezing": "Sneeze",
    "thunderstorm": "Thunderstorm",
    "toilet_flush": "Toilet flush",
    "train": "Train",
    "vacuum_cleaner": "Vacuum cleaner",
    "washing_machine": "a washing machine",
    "water_drops": "Drip",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    print(f"{write_sidecars(arguments.scenes, arguments.out)} recordings with labels -> {arguments.out}")


def write_sidecars(scenes: Path, out: Path) -> int:
    """Copies the recordings that the key tells of and writes a label file beside each; how many there are.

    Raises InputError where there is no key.
    """
    rows = rows_of(scenes)
    out.mkdir(parents=True, exist_ok=True)
    for row in rows:
        shutil.copy(scenes / row["scene"], out)
        body = json.dumps(labels_row(row), indent=1, ensure_ascii=False)
        (out / row["scene"]).with_suffix(".json").write_text(body + "\n")
    return len(rows)


def rows_of(scenes: Path) -> list[dict[str, Any]]:
    """The lines of the answer key, with the words of the speech where it tells them."""
    if not (scenes / TRUTH).is_file():
        raise InputError(f"{scenes / TRUTH} is not there; `python -m benchmarks.scenes {scenes}` makes one")
    return read_rows(scenes / TRUTH)


def labels_row(scene: dict[str, Any]) -> dict[str, Any]:
    """The labels of one scene, as `pipeline/labels/own_json.py` reads them; times are in seconds."""
    body: dict[str, list[dict[str, Any]]] = {"sentences": [], "words": [], "events": []}
    for event in scene["events"]:
        span = {"start": event["onset"], "end": event["offset"]}
        body["words"] += [{"start": start, "end": end, "text": word} for word, start, end in event.get("words", ())]
        if "text" in event:
            body["sentences"].append(span | {"text": event["text"]})
        else:
            body["events"].append(span | {"label": label_of(event)})
    return body


def label_of(event: dict[str, Any]) -> str:
    """The AudioSet name of what is heard, or plain words."""
    if event["kind"] in ("speech", "music"):
        return str(event["kind"]).capitalize()
    label: str = event["label"]
    return AUDIOSET_NAMES.get(label, label.replace("_", " ").capitalize())


if __name__ == "__main__":
    main()
