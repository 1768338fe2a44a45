"""One caption out of what the branches said, by templates: no model, no guess, the same every time.

Facts are judged one by one by the rules in `OBJECTIONS`; those that pass become sentences, one claim each,
in time order. A sentence says what its facts say and when, in seconds from the segment's start, and no more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from annotators.merging.coherence import differ
from annotators.merging.listing import listed
from annotators.sentences import Told, claims_of, facts_of
from annotators.speech import stretches_of_speech
from schemas.record import Branch, Caption, Clip, Fact, Outcome, Rejected
from schemas.span import Span, covered_ms

MODEL = "templates@3"  # counts up when a rule or a sentence changes
BREATH_MS = 500  # a pause up to here is part of the speech
BANG = "bang"  # a kind of sound that stands out of whatever covers it
HEARD_WHOLE = ("caption", "timeline")  # what a model that hears everything at once says of the sounds


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateMergerConfig:
    min_score: float = 0.2
    max_covered: float = 0.5  # share of a sound that may lie under speech or music
    outweighs: float = 2.0  # of speech and music, one this many times the other's score is believed alone

    def build(self) -> "TemplateMerger":
        return TemplateMerger(self)


class TemplateMerger:
    model = MODEL

    def __init__(self, config: TemplateMergerConfig) -> None:
        self._config = config

    def merge(self, clips: Sequence[Clip]) -> list[Caption]:
        return [merged(clip, self._config) for clip in clips]


def merged(clip: Clip, config: TemplateMergerConfig) -> Caption:
    told = facts_of(clip)
    kept: list[Told] = []
    rejected: list[Rejected] = []
    for one in told:
        if reason := objection(one, clip, config):
            rejected += [Rejected(text=claim.text, reason=reason) for claim in claims_of([one], clip.segment)]
        else:
            kept.append(one)
    claims = claims_of(kept, clip.segment)
    return Caption(text=" ".join(claim.text for claim in claims), claims=tuple(claims), rejected=tuple(rejected))


def objection(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    """Why this fact may not become a sentence: the first of the rules that speaks against it. A person's may."""
    if told.fact.human:
        return None
    return next((reason for rule in OBJECTIONS if (reason := rule(told, clip, config))), None)


def is_outranked(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    """What a person wrote is believed before whatever a model heard of the same."""
    fact = listed(told)
    by_people = (listed(one) for one in facts_of(clip) if one.fact.human)
    other = next((one for one in by_people if differ(fact, one)), None)
    return f"a person says {other.text!r} there, {other.id}" if other else None


def is_unsure(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    score = told.fact.score
    return f"its score {score:.2f} is below {config.min_score:.2f}" if score < config.min_score else None


def is_speech_in_music(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    profile = clip.segment.profile
    outweighed = profile.music > config.outweighs * profile.speech
    if told.branch is not Branch.SPEECH or not outweighed or not _lies_under(told, _music(clip), config):
        return None
    return f"music ({profile.music:.2f}) outweighs speech ({profile.speech:.2f}): it may be singing, or nobody"


def is_music_under_speech(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    profile = clip.segment.profile
    outweighed = profile.speech > config.outweighs * profile.music
    if told.branch is not Branch.MUSIC or not outweighed or not _lies_under(told, _speech(clip), config):
        return None
    return f"speech ({profile.speech:.2f}) outweighs music ({profile.music:.2f}): it may be the melody of a voice"


def is_sound_under_speech(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    if told.branch is not Branch.SOUND or _stands_out(told) or not _lies_under(told, _speech(clip), config):
        return None
    return "it lies under speech and does not stand out"


def is_sound_of_the_music(told: Told, clip: Clip, config: TemplateMergerConfig) -> str | None:
    if told.branch is not Branch.SOUND or _stands_out(told):
        return None
    music = [Told(branch=Branch.MUSIC, index=index, fact=fact) for index, fact in enumerate(_music(clip))]
    believed = [one.fact for one in music if not objection(one, clip, config)]
    if not _lies_under(told, believed, config):
        return None
    return "it lies in the music and does not stand out"


def _stands_out(told: Told) -> bool:
    """Whether it is known apart from what covers it: a bang, or what has a name, as a dog under speech is a dog."""
    return told.fact.kind == BANG or told.fact.kind in HEARD_WHOLE or told.fact.label is not None


def _lies_under(told: Told, covers: Iterable[Span], config: TemplateMergerConfig) -> bool:
    return covered_ms(covers, told.fact) > config.max_covered * told.fact.duration_ms


def _speech(clip: Clip) -> list[Span]:
    """Where someone speaks; turns go on through pauses, and a sound may stand in one."""
    speech = clip.branches.speech
    return stretches_of_speech(clip.segment, BREATH_MS) if speech and speech.outcome is Outcome.OK else []


def _music(clip: Clip) -> tuple[Fact, ...]:
    music = clip.branches.music
    return music.facts if music and music.outcome is Outcome.OK else ()


OBJECTIONS: tuple[Callable[[Told, Clip, TemplateMergerConfig], str | None], ...] = (
    is_outranked,
    is_unsure,
    is_speech_in_music,
    is_music_under_speech,
    is_sound_under_speech,
    is_sound_of_the_music,
)
