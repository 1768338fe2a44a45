"""The nouns of the project, in the order a recording earns them.

    Source -> Segment(profile, events) -> an annotation per branch -> Caption(claims) -> Record

Every time is in milliseconds from the start of the recording (`schemas/span.py`). Texts that carry
times of their own, the transcript `[0.00]text[2.01]` and the caption, count seconds from the start of the
segment, because that is what someone hears who opens the sample.
"""

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.audio import Waveform
from schemas.errors import SchemaError
from schemas.formats.speech_caption import SpeechCaption
from schemas.span import Span

if TYPE_CHECKING:
    from schemas.labels import Labels  # which is made of the nouns below


class Branch(StrEnum):
    """Who listens. The order is the order of the route and of the record."""

    SPEECH = "speech"
    SOUND = "sound"
    MUSIC = "music"


class Outcome(StrEnum):
    """What became of one branch on one segment."""

    OK = "ok"
    SKIPPED = "skipped"  # the branch had nothing to describe
    FAILED = "failed"  # the branch should have spoken and could not


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One recording where it lies."""

    id: str  # stable, unique, without dot or slash
    uri: str
    etag: str  # what changes when the content does: the store's etag, or size and mtime
    duration_ms: int


def key_of(source: Source, start_ms: int, end_ms: int) -> str:
    """Stable name of a stretch of a recording; WebDataset ends a key at the first dot, so it has none."""
    return f"{source.id}-{start_ms:09d}-{end_ms:09d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How much of each coarse class a segment holds, 0..1. The classes are not exclusive."""

    speech: float = 0.0
    human_voice: float = 0.0
    singing: float = 0.0
    music: float = 0.0
    natural_sounds: float = 0.0
    source_ambiguous: float = 0.0
    sounds_of_things: float = 0.0
    environment: float = 0.0
    animal: float = 0.0

    def __post_init__(self) -> None:
        for f in fields(self):
            if not 0.0 <= getattr(self, f.name) <= 1.0:
                raise SchemaError(f"profile.{f.name} is {getattr(self, f.name)}; a score lies in 0..1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Span):
    """One thing a detector heard."""

    label: str  # an AudioSet display name ("Dog"), or "Sound" where the detector cannot know
    score: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Span):
    """A piece of one recording, cut where events begin or end."""

    source: Source
    profile: Profile = Profile()
    events: tuple[Event, ...] = ()  # clipped to this segment

    @property
    def key(self) -> str:
        return key_of(self.source, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Span):
    """One thing a branch knows of a segment: what a claim can point at, as `branch/index`."""

    kind: str  # short and closed per branch: "transcript", "voice", "burst", "tempo", "key", ...
    text: str  # plain words without times, e.g. "a broadband burst"
    score: float  # 0..1: how sure the annotator is
    label: str | None = None  # the AudioSet display name of what is heard, where it has one
    speaker: str | None = None  # whose it is, as in `Turn.speaker`, where it is somebody's
    human: bool = False  # a person wrote it: it outranks whatever a model heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Span):
    """One speaker speaks."""

    speaker: str  # "S01", "S02", ... inside one segment, in the order they begin
    score: float = 1.0  # 0..1: how sure it is this speaker and not another of the segment
    overlap: bool | None = None  # whether another speaks at the same time; None where that was not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Word(Span):
    text: str
    score: float  # 0..1
    speaker: str | None = None  # as in `Turn.speaker`; None where that is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One of those who speak in a segment."""

    name: str  # as in `Turn.speaker`
    voice: str | None = None  # "V01", ...: the same in all segments of one recording that were heard together
    description: SpeechCaption | None = None  # as an audio language model describes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What one branch says of one segment."""

    outcome: Outcome
    model: str  # "name@revision" of what spoke
    reason: str | None = None  # why it was skipped or failed
    text: str = ""  # the branch's own caption or transcript
    facts: tuple[Fact, ...] = ()  # in time order; what the caption may claim
    caption: str = ""  # what an audio language model says of it, in its own words
    prompts: tuple[str, ...] = ()  # SHA-256 of each prompt that was put to a language model

    def __post_init__(self) -> None:
        if self.outcome is not Outcome.OK and not self.reason:
            raise SchemaError(f"{type(self).__name__} by {self.model} is {self.outcome} without a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechAnnotation(Annotation):
    """`text` is the transcript by sentence, `[0.00]hello there[1.20][1.90]how are you[2.75]`, in seconds."""

    language: str | None = None  # ISO 639-1
    turns: tuple[Turn, ...] = ()
    words: tuple[Word, ...] = ()
    pauses: tuple[Span, ...] = ()  # between the first and the last of the speech
    overlaps: tuple[Span, ...] = ()  # where two voices are heard at once; music hides them
    pitch_hz: float | None = None  # median of the voiced frames
    pitch_range_semitones: float | None = None  # 10th to 90th percentile
    rate_wpm: float | None = None  # words a minute of speech, pauses left out
    loudness_db: float | None = None  # RMS of the speech, dB relative to full scale
    score: float | None = None  # 0..1: how sure the recogniser is of its words
    language_score: float | None = None  # 0..1
    speakers: tuple[Speaker, ...] = ()
    second_text: str | None = None  # what a second recogniser understood
    disagreement: float | None = None  # word or character error rate between the two; may pass 1
    doubts: tuple[str, ...] = ()  # what speaks against the words, rule by rule, whether or not they are told


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundAnnotation(Annotation):
    """`facts` are the sounds, each with its physical description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chord(Span):
    name: str  # "C", "Am", "N" where no chord fits
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Span):
    """A part of a piece of music."""

    label: str  # "A", "B", ...: the same letter where the music comes back, within one segment
    score: float  # 0..1: how clearly it is parted from its neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo(Span):
    """A stretch of music at one tempo."""

    bpm: float
    score: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpan(Span):
    """A stretch of music in one key."""

    name: str  # "G major"
    score: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicAnnotation(Annotation):
    tempo_bpm: float | None = None
    beats_ms: tuple[int, ...] = ()
    key: str | None = None  # "G major"
    key_score: float | None = None
    chords: tuple[Chord, ...] = ()
    dynamics: str | None = None  # "steady", "rising", "falling", "varied"
    tempo_score: float | None = None  # 0..1, like all scores
    meter: str | None = None  # "4/4", "3/4", "6/8"
    meter_score: float | None = None
    downbeats_ms: tuple[int, ...] = ()  # those of the beats that begin a bar
    sections: tuple[Section, ...] = ()
    tuning_cents: float | None = None  # above A4 = 440 Hz
    tempi: tuple[Tempo, ...] = ()  # where the tempo changes, the curve of it; one where it does not
    keys: tuple[KeySpan, ...] = ()  # where the key changes, each in turn; one where it does not
    instruments: tuple[Event, ...] = ()  # AudioSet names, as the tagger hears them
    lyrics: tuple[Word, ...] = ()
    lyrics_language: str | None = None  # ISO 639-1


def skipped(branch: Branch, model: str, reason: str) -> Annotation:
    """The annotation of a branch that had nothing to describe."""
    kinds: dict[Branch, type[Annotation]] = {
        Branch.SPEECH: SpeechAnnotation,
        Branch.SOUND: SoundAnnotation,
        Branch.MUSIC: MusicAnnotation,
    }
    return kinds[branch](outcome=Outcome.SKIPPED, model=model, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """One annotation per branch; None until the branch has spoken."""

    speech: SpeechAnnotation | None = None
    sound: SoundAnnotation | None = None
    music: MusicAnnotation | None = None

    def get(self, branch: Branch) -> Annotation | None:
        annotation: Annotation | None = getattr(self, branch.value)
        return annotation

    def having(self, branch: Branch, annotation: Annotation) -> "Branches":
        """A copy in which this branch has spoken."""
        return replace(self, **{branch.value: annotation})  # type: ignore[arg-type]

    def fact(self, evidence: str) -> Fact:
        """The fact that an evidence id such as `sound/0` names. Raises SchemaError where there is none."""
        name, _, index = evidence.partition("/")
        annotation = self.get(Branch(name)) if name in list(Branch) else None
        facts = annotation.facts if annotation else ()
        if not index.isdecimal() or int(index) >= len(facts):
            raise SchemaError(f"evidence {evidence!r} names no fact; {name!r} has {len(facts)}")
        return facts[int(index)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the audio, asked again, says of one claim."""

    name: str  # "clap", "events", "probe"
    score: float  # 0..1: how well the two agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Span):
    """One sentence of a caption, and the facts it rests on. It cannot be built without them."""

    text: str
    branch: Branch
    evidence: tuple[str, ...]  # "sound/0": the first fact of the sound branch
    score: float
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        Span.__post_init__(self)
        if not self.evidence:
            raise SchemaError(f"the claim {self.text!r} has no evidence")
        if not self.text.strip():
            raise SchemaError(f"a claim on {', '.join(self.evidence)} says nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A sentence that was not let into the caption, and why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """The merged claims in time order; `text` is their sentences and nothing else."""

    text: str
    claims: tuple[Claim, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    merger: str = ""  # "name@revision" of what wrote it
    note: str | None = None  # why another wrote it than was meant to
    prompts: tuple[str, ...] = ()  # SHA-256 of each prompt that was put to a language model

    def __post_init__(self) -> None:
        if self.text != " ".join(claim.text for claim in self.claims):
            raise SchemaError(f"the caption {self.text!r} is not the sentences of its {len(self.claims)} claims")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What can be measured of the sound itself; None where the piece is too short or too quiet to measure."""

    loudness_lufs: float | None  # integrated, ITU-R BS.1770-4 (momentary blocks of 400 ms)
    peak_db: float | None  # largest sample, dB relative to full scale
    clipped_ratio: float  # share of samples at full scale
    snr_db: float | None  # loud frames against quiet frames (95th to 10th percentile of 20 ms levels)
    bandwidth_hz: int | None  # below it lies all but 0.1 % of the energy
    dnsmos_overall: float | None = None  # 1..5: what listeners would say of the speech (ITU-T P.835); None without any
    dnsmos_signal: float | None = None  # of the voice alone
    dnsmos_background: float | None = None  # of what lies behind it; 5 is none
    dnsmos_p808: float | None = None  # of the whole, asked in the other way (ITU-T P.808)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    recipe: str
    config: str  # "sha256:..." of the whole config
    models: tuple[str, ...]  # "name@revision", sorted
    prompts: tuple[str, ...] = ()  # SHA-256 of each prompt that was put to a language model, sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A segment with its sound, on its way through the branches."""

    segment: Segment
    waveform: Waveform
    quality: Quality | None = None
    branches: Branches = field(default_factory=Branches)
    caption: Caption | None = None
    labels: "Labels | None" = None  # what a person wrote down of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Span):
    """All that is known of one segment. What does not fit together cannot be built."""

    key: str
    source: Source
    profile: Profile
    events: tuple[Event, ...]
    branches: Branches
    caption: Caption
    quality: Quality
    provenance: Provenance

    def __post_init__(self) -> None:
        Span.__post_init__(self)
        if self.key != key_of(self.source, self.start_ms, self.end_ms):
            raise SchemaError(f"key {self.key!r} does not name [{self.start_ms}, {self.end_ms}) ms of {self.source.id}")
        inside: list[tuple[str, Span]] = [(f"event {e.label}", e) for e in self.events]
        inside += [(f"claim {c.text!r}", c) for c in self.caption.claims]
        for branch in Branch:
            if annotation := self.branches.get(branch):
                inside += [(f"{branch} fact {fact.text!r}", fact) for fact in annotation.facts]
        if speech := self.branches.speech:
            inside += [(f"word {word.text!r}", word) for word in speech.words]
            inside += [(f"turn of {turn.speaker}", turn) for turn in speech.turns]
            inside += [("pause", pause) for pause in speech.pauses]
            inside += [("overlap", overlap) for overlap in speech.overlaps]
        if music := self.branches.music:
            inside += [(f"chord {chord.name}", chord) for chord in music.chords]
            inside += [(f"section {section.label}", section) for section in music.sections]
            inside += [(f"tempo {tempo.bpm:g}", tempo) for tempo in music.tempi]
            inside += [(f"key {key.name}", key) for key in music.keys]
            inside += [(f"instrument {event.label}", event) for event in music.instruments]
            inside += [(f"sung word {word.text!r}", word) for word in music.lyrics]
            inside += [("beat", Span.of(at_ms, at_ms + 1)) for at_ms in (*music.beats_ms, *music.downbeats_ms)]
        for what, span in inside:
            if not self.contains(span):
                raise SchemaError(
                    f"{self.key}: {what} at [{span.start_ms}, {span.end_ms}) ms leaves its segment "
                    f"[{self.start_ms}, {self.end_ms}) ms"
                )
        for claim in self.caption.claims:
            for evidence in claim.evidence:
                self.branches.fact(evidence)
