"""Multiple choice: one option is true by the record, and the others are certainly not."""

from collections.abc import Sequence

from schemas import audioset
from schemas.asking.heard import Heard, heard_in
from schemas.asking.kin import akin, coarse_classes, related
from schemas.asking.sample import AskRules, TaskSample, draw
from schemas.asking.sounds import countable, drawn, starts_apart
from schemas.asking.wordings import ask
from schemas.formats import choice
from schemas.record import Branch, Outcome, Record

OPTIONS = 4
NO_NAMES = ("sound", "silence")  # labels that name nothing

DISTRACTORS = (
    "Accordion",
    "Fixed-wing aircraft, airplane",
    "Applause",
    "Bicycle bell",
    "Bleat",
    "Camera",
    "Car alarm",
    "Cat",
    "Chainsaw",
    "Church bell",
    "Clock",
    "Cough",
    "Cattle, bovinae",
    "Cricket",
    "Dog",
    "Door",
    "Drill",
    "Engine",
    "Fireworks",
    "Walk, footsteps",
    "Frog",
    "Glass",
    "Gunshot, gunfire",
    "Hammer",
    "Helicopter",
    "Horse",
    "Typing",
    "Laughter",
    "Waves, surf",
    "Pig",
    "Rain",
    "Crowing, cock-a-doodle-doo",
    "Sawing",
    "Siren",
    "Sneeze",
    "Snoring",
    "Telephone",
    "Thunder",
    "Toilet flush",
    "Train",
    "Vacuum cleaner",
    "Wind",
)
"""Things a listener would not mistake; those for which the record gives any reason are left out."""


def choice_present(record: Record, rules: AskRules) -> list[TaskSample]:
    """Which of four is heard; nothing that is written of this record is akin to the other three."""
    heard = heard_in(record, rules)
    known = [label for label in heard.labels if audioset.known(label)]  # as the others are, or its looks tell
    samples: list[TaskSample] = []
    for index, label in enumerate(drawn(record, rules, "choice_present", known)):
        right = heard.of(label)
        absent = certainly_absent(record, heard, by_hand=all(one.human for one in heard.named))
        if len(absent) < OPTIONS - 1:
            continue
        absent = sorted(absent, key=lambda name: draw(rules.seed, "absent", record.key, index, name))
        evidence = tuple(e for one in right for e in one.evidence)
        samples += _sample(record, rules, "choice_present", index, label, absent[: OPTIONS - 1], evidence)
    return samples


def choice_first(record: Record, rules: AskRules) -> list[TaskSample]:
    """Which of up to four that are all heard begins first."""
    heard = heard_in(record, rules)
    alone = [label for label in heard.labels if heard.stands_alone(label)]
    for place, first in enumerate(alone):
        later = [label for label in alone[place + 1 :] if starts_apart(heard, first, label, rules)]
        if len(later) >= 2 and len(later) == len(alone) - place - 1:
            later = sorted(later, key=lambda name: draw(rules.seed, "later", record.key, name))[: OPTIONS - 1]
            evidence = tuple(e for label in (first, *later) for e in heard.of(label)[0].evidence)
            return _sample(record, rules, "choice_first", 0, first, later, evidence)
    return []


def choice_count(record: Record, rules: AskRules) -> list[TaskSample]:
    """How many times a thing is heard, among numbers near by."""
    heard = heard_in(record, rules)
    samples: list[TaskSample] = []
    for index, label in enumerate(drawn(record, rules, "choice_count", countable(heard, rules))):
        number = len(heard.of(label))
        near = [other for other in range(max(1, number - 3), number + 4) if other != number]
        near.sort(key=lambda other: draw(rules.seed, "near", record.key, index, other))
        evidence = tuple(e for one in heard.of(label) for e in one.evidence)
        others = [str(other) for other in near[: OPTIONS - 1]]
        samples += _sample(record, rules, "choice_count", index, str(number), others, evidence, label=label)
    return samples


def certainly_absent(record: Record, heard: Heard, *, by_hand: bool) -> list[str]:
    """Distractors that no event, fact, instrument or sentence of the record is akin to.

    A person who named the sounds would have named these too. Where a model did, what is of one family with anything it
    heard, surely or not, is left out as well: it may have been mistaken for it; and nothing is certain where there are
    sounds without a name, or with one of which AudioSet knows no word: "woof" may be a dog.
    """
    if not by_hand and heard.unexplained:
        return []
    labels = {event.label for event in record.events}
    texts = [record.caption.text, *(claim.text for claim in record.caption.claims)]
    for branch in Branch:
        said = record.branches.get(branch)
        if said is None:
            continue
        if said.outcome is Outcome.FAILED and not by_hand:
            return []
        labels |= {fact.label for fact in said.facts if fact.label}
        if branch is not Branch.SPEECH:
            texts += [said.text, said.caption, *(fact.text for fact in said.facts)]
    if music := record.branches.music:
        labels |= {one.label for one in music.instruments}
    if any(not coarse_classes(label) for label in labels if label.casefold() not in NO_NAMES):
        return []
    kindred = akin if by_hand else related
    named = [*labels, *(word for text in texts for word in text.split())]
    return [name for name in DISTRACTORS if not any(kindred(name, other) for other in named)]


def _sample(
    record: Record,
    rules: AskRules,
    task: str,
    index: int,
    right: str,
    others: Sequence[str],
    evidence: tuple[str, ...],
    **told: str,
) -> list[TaskSample]:
    options = sorted([right, *others], key=lambda name: draw(rules.seed, "letters", record.key, task, index, name))
    letter = choice.LETTERS[options.index(right)]
    listed = "\n".join(f"{choice.LETTERS[i]}. {name}" for i, name in enumerate(options))
    answer = choice.write(letter, num_options=len(options))
    letters = ", ".join(choice.LETTERS[: len(options) - 1]) + f" and {choice.LETTERS[len(options) - 1]}"
    return [ask(record, rules, task, answer, evidence, index=index, options=listed, letters=letters, **told)]
