"""Ways to segment a recording: ours, as the recipe has it, and those it is compared with.

Each takes the recording at 16 kHz and gives segments with the kinds of sound they are said to hold. A method that
cannot tell kinds apart says all three, so that no branch misses anything; one that keeps speech alone says speech.
"""

from collections.abc import Callable
from itertools import pairwise

from jobs.recipes import embedded
from schemas.audio import Waveform
from schemas.record import Branch
from schemas.span import Span
from segmenters.activity import ActivityRules, active, runs, stands_out_db
from segmenters.bands import band_levels_db, levels_db
from segmenters.base import FRAME_MS
from segmenters.boundaries import decide
from segmenters.profile import branches_for
from segmenters.vad import SileroVad, at_16k, speech_spans

Kinds = frozenset[Branch]
Segmenter = Callable[[Waveform], list[tuple[Span, Kinds]]]

ANY = frozenset(Branch)
SPEECH = frozenset({Branch.SPEECH})
PAUSE_MS = 1_000  # what pipelines for speech corpora join across
CAP_MS = 30_000


def ours() -> Segmenter:
    """What the pipeline's cut step keeps, and the branches it then calls; follows the recipe."""
    recipe = embedded()
    detector, profiler = recipe.detector.build(), recipe.profiler.build()

    def segment(waveform: Waveform) -> list[tuple[Span, Kinds]]:
        hearing = detector.hear(waveform)
        spans = [Span.of(p.start_ms, p.end_ms) for p in decide(hearing, recipe.rules) if not p.silent]
        profiles = profiler.profile(waveform, hearing, spans)
        return [(span, branches_for(p, recipe.routing)) for span, p in zip(spans, profiles, strict=True)]

    return segment


def fixed(every_ms: int) -> Segmenter:
    """A cut every so often, whatever is heard."""

    def segment(waveform: Waveform) -> list[tuple[Span, Kinds]]:
        ends = [*range(0, waveform.duration_ms, every_ms), waveform.duration_ms]
        return [(Span.of(start, end), ANY) for start, end in pairwise(ends)]

    return segment


def voices() -> Segmenter:
    """The voice detector with its published rules; nothing else is kept."""
    vad = SileroVad()
    return lambda waveform: [(span, SPEECH) for span in _voices(vad, waveform)]


def packed_voices() -> Segmenter:
    """The voice detector's stretches joined across pauses to 30 s at most, as pipelines for speech corpora do."""
    vad = SileroVad()
    return lambda waveform: [(span, SPEECH) for span in packed(_voices(vad, waveform), PAUSE_MS, CAP_MS)]


def packed(spans: list[Span], pause_ms: int, most_ms: int) -> list[Span]:
    """Neighbours joined across short pauses for as long as they fit."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start_ms - joined[-1].end_ms <= pause_ms and span.end_ms - joined[-1].start_ms <= most_ms:
            joined[-1] = Span.of(joined[-1].start_ms, span.end_ms)
        else:
            joined.append(span)
    return joined


def auditok_split() -> Segmenter:
    """The package auditok with its defaults, but for the cap."""
    import auditok

    def segment(waveform: Waveform) -> list[tuple[Span, Kinds]]:
        regions = auditok.split(
            waveform.pcm.tobytes(), sampling_rate=waveform.rate_hz, sample_width=2, channels=1, max_dur=30
        )
        return [(Span.of(round(region.start * 1000), round(region.end * 1000)), ANY) for region in regions]

    return segment


def gate() -> Segmenter:
    """Sound above the adapting background, as our detector hears it, with no decision after it."""
    rules = ActivityRules()

    def segment(waveform: Waveform) -> list[tuple[Span, Kinds]]:
        samples = at_16k(waveform)
        heard = active(stands_out_db(band_levels_db(samples), levels_db(samples), rules), rules)
        whole = Span.of(0, waveform.duration_ms)
        found = (Span.of(first * FRAME_MS, last * FRAME_MS).clipped(whole) for first, last in runs(heard))
        return [(span, ANY) for span in found if span]

    return segment


def _voices(vad: SileroVad, waveform: Waveform) -> list[Span]:
    return speech_spans(vad.probabilities(at_16k(waveform)), waveform.duration_ms, vad.rules)


METHODS: dict[str, Callable[[], Segmenter]] = {
    "ours": ours,
    "fixed 10 s": lambda: fixed(10_000),
    "fixed 30 s": lambda: fixed(30_000),
    "VAD": voices,
    "VAD, packed": packed_voices,
    "auditok": auditok_split,
    "band gate alone": gate,
}
