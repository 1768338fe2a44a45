"""The parts of the model card that follow from what was trained on: the hash of the weights, and who must be named."""

import hashlib
import re
from collections.abc import Iterable, Mapping

ATTRIBUTIONS = "## Attributions"


def with_facts(card: str, weights: bytes, clips: Iterable[Mapping[str, str]]) -> str:
    """The card with the hash of these weights, and with the authors of those clips that are CC-BY."""
    card = re.sub(r"^SHA-256: .*$", f"SHA-256: `{hashlib.sha256(weights).hexdigest()}`", card, flags=re.MULTILINE)
    kept = card.partition(ATTRIBUTIONS)[0]
    named = [
        f"- `{clip['file']}`: {clip['title'].strip()}, by {clip['author'].strip()}"
        for clip in clips
        if clip["licence"] == "CC-BY"
    ]
    lead = [
        ATTRIBUTIONS,
        "",
        "Sounds by these people of Freesound, under CC-BY, were cut to clips by ESC-50 (Karol J. Piczak, 2015) and",
        "altered in training as described above:",
        "",
    ]
    return kept + "\n".join([*lead, *named]) + "\n"
