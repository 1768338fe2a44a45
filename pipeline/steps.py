"""The workers of the route. Each takes a lot and hands it back one step further on; each is built ready.

What each makes of a lot: Lot[Piece] -> Decode -> Lot[Recording] -> Cut -> Lot[Clip] -> Measure -> Lot[Clip] ->
Annotate (one for each branch) -> Lot[Clip] -> Merge -> Lot[Clip] -> Write -> Receipt.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, Protocol

from annotators.base import Annotator, Merger, Meter
from pipeline.decode import Decoded, decode
from pipeline.labels.beside import LabelsConfig, read_labels
from pipeline.lot import Failure, Lot, Piece, Recording, attempted, failed
from pipeline.sources import found_at
from schemas.errors import DecodeError
from schemas.labels import Labels
from schemas.record import Caption, Clip, Segment, skipped
from schemas.span import Span
from schemas.store import place
from segmenters.base import Detector, Profiler
from segmenters.boundaries import CutRules, decide
from segmenters.labelled import labelled, placed, profile_as_labelled
from segmenters.names import told
from segmenters.profile import Routing, branches_for
from segmenters.seams import seam

ENDS_EARLY_MS = 1_000  # headers may be off by a little; more than this missing is a failure of its own
BATCH_CLIPS = 32


class Worker(Protocol):
    """One step of the route, ready to work."""

    def __call__(self, lot: Lot[Any]) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the route: who works there and what one of them costs."""

    name: str
    build: Callable[[], Worker]
    share: float  # of the machine's time, against the other steps: how many workers it gets
    cpus: float = 1.0  # one worker at work
    gpus: float = 0.0


def run_local(steps: Sequence[Step], lots: Iterable[Lot[Piece]]) -> Iterator[Any]:
    """All steps in this process, one lot after another: for tests, notebooks and one bad file."""
    workers = [(step, step.build()) for step in steps]
    for lot in lots:
        done: Any = lot
        for step, worker in workers:
            done = work_timed(step, worker, done)
        yield done


def work_timed(step: Step, worker: Worker, lot: Lot[Any]) -> Any:
    """One step of one lot, with the seconds it took written on it."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = worker(lot)
    if isinstance(done, Lot):
        return done.timed(step.name, time.perf_counter() - wall, time.process_time() - cpu, step.gpus)
    return done  # the last step's answer is no lot; it has told its time itself


class Decode:
    """Finds the seams of each piece, and reads the sound between them."""

    def __init__(
        self,
        seam_detector: Callable[[], Detector],
        rate_hz: int,
        seam_window_ms: int,
        labels: LabelsConfig | None = None,
    ) -> None:
        self._detector, self._rate_hz, self._window_ms = seam_detector(), rate_hz, seam_window_ms
        self._labels = labels

    def __call__(self, lot: Lot[Piece]) -> Lot[Recording]:
        recordings: list[Recording] = []
        failures: list[Failure] = []
        for piece in lot.items:
            heard, failure = attempted(self._read, piece, failed(piece, "decode"))
            if heard is not None:
                recordings.append(heard[0])
                failures += heard[1]
            failures += [failure] if failure else []
        audio_ms = sum(recording.waveform.duration_ms for recording in recordings)
        notes = [f"{r.source.uri}: {r.note}" for r in recordings if r.note]
        return lot.then(recordings, failures=failures, notes=notes, audio_ms=audio_ms)

    def _read(self, piece: Piece) -> tuple[Recording, list[Failure]]:
        """The sound, and a failure for whatever part of it the header promises and the file does not hold."""
        if piece.error is not None:
            raise DecodeError(piece.error)
        self._check_unchanged(piece)
        labels, notes = self._read_labels(piece)
        start_ms = self._seam(piece, piece.start_ms, labels) if piece.seam_before else piece.start_ms
        end_ms = self._seam(piece, piece.end_ms, labels) if piece.seam_after else piece.end_ms
        to_the_end = not piece.seam_after and piece.end_ms == piece.source.duration_ms
        # a header that promises too little is not believed; one that lies grossly must not fill the memory
        limit_ms = 2 * end_ms - start_ms + 60_000 if to_the_end else end_ms
        with _opened(piece) as file:
            decoded = decode(file, self._rate_hz, start_ms, limit_ms)
        recording = Recording(
            source=piece.source,
            waveform=decoded.waveform,
            note="; ".join([*_notes(decoded), *notes]) or None,
            labels=labels,
        )
        heard_to_ms = decoded.waveform.end_ms
        blank = Failure(source=piece.source, start_ms=heard_to_ms, end_ms=end_ms, step="decode")
        if to_the_end and heard_to_ms >= limit_ms:
            reason = f"it goes on beyond {limit_ms / 1000:.0f} s where its header promises {end_ms / 1000:.0f} s"
            return recording, [replace(blank, end_ms=heard_to_ms + 1, reason=reason)]
        missing_ms = end_ms - heard_to_ms
        if missing_ms <= ENDS_EARLY_MS or (decoded.duration_is_guessed and not decoded.trouble):
            return recording, []
        reason = f"{missing_ms / 1000:.1f} s of sound are missing: it ends at {heard_to_ms / 1000:.1f} s"
        return recording, [replace(blank, reason=f"{reason} ({decoded.trouble})" if decoded.trouble else reason)]

    def _read_labels(self, piece: Piece) -> tuple[Labels | None, list[str]]:
        if self._labels is None:
            return None, []
        return read_labels(piece.source.uri, piece.source.duration_ms, self._labels)

    def _seam(self, piece: Piece, nominal_ms: int, labels: Labels | None) -> int:
        """Both neighbours call this with the same stretch of the same bytes, and so agree."""
        half = self._window_ms // 2
        with _opened(piece) as file:
            decoded = decode(file, self._rate_hz, nominal_ms - half, nominal_ms + half)
        hearing = self._detector.hear(decoded.waveform)
        at_ms: int = seam(labelled(hearing, labels, self._window_ms) if labels else hearing, nominal_ms)
        return at_ms

    def _check_unchanged(self, piece: Piece) -> None:
        now = found_at(piece.source.uri, piece.source.id, self._labels)
        if not now.etag:
            raise DecodeError("it is gone since it was planned")
        if now.etag != piece.source.etag:
            what = "it or a label file beside it" if self._labels else "it"
            raise DecodeError(f"{what} has changed since it was planned; run again to plan what is there now")


def _notes(decoded: Decoded) -> list[str]:
    notes = [decoded.trouble] if decoded.trouble else []
    return notes + [f"{decoded.num_repaired} samples are not numbers and became zero"] * bool(decoded.num_repaired)


def _opened(piece: Piece) -> Any:
    store, name = place(piece.source.uri)
    return store.open(name)


class Cut:
    """Hears each recording, decides where to cut, and scores every piece."""

    def __init__(self, detector: Callable[[], Detector], rules: CutRules, profiler: Callable[[], Profiler]) -> None:
        self._detector, self._rules, self._profiler = detector(), rules, profiler()

    def __call__(self, lot: Lot[Recording]) -> Lot[Clip]:
        clips: list[Clip] = []
        silences: list[Segment] = []
        failures: list[Failure] = []
        notes: list[str] = []
        for recording in lot.items:
            sound = recording.waveform
            blank = Failure(source=recording.source, start_ms=sound.start_ms, end_ms=sound.end_ms, step="cut")
            cut, failure = attempted(self._cut, recording, blank)
            clips += cut[0] if cut else []
            silences += cut[1] if cut else []
            notes += [f"{recording.source.uri}: {note}" for note in cut[2]] if cut else []
            failures += [failure] if failure else []
        models = (self._detector.model, self._profiler.model)
        return lot.then(clips, silences=silences, failures=failures, notes=notes, models=models)

    def _cut(self, recording: Recording) -> tuple[list[Clip], list[Segment], list[str]]:
        sound, labels = recording.waveform, recording.labels
        hearing = self._detector.hear(sound)
        if labels:
            hearing = labelled(hearing, labels, self._rules.max_ms)
        pieces = decide(hearing, self._rules)
        loud = [Span.of(piece.start_ms, piece.end_ms) for piece in pieces if not piece.silent]
        if labels is not None:
            labels, notes = placed(labels, recording.source.duration_ms, loud, hearing)
        else:
            notes = []
        heard = told(hearing)
        clips = []
        for span, profile in zip(loud, self._profiler.profile(sound, hearing, loud), strict=True):
            own = labels.cut(span) if labels else None
            notes += own.notes if own else ()
            profile = profile_as_labelled(profile, own) if own else profile
            events = tuple(
                replace(event, start_ms=inside.start_ms, end_ms=inside.end_ms)
                for event in heard
                if (inside := event.clipped(span))
            )
            segment = Segment(
                source=recording.source, start_ms=span.start_ms, end_ms=span.end_ms, profile=profile, events=events
            )
            clips.append(Clip(segment=segment, waveform=sound.cut(span), labels=own))
        silences = [
            Segment(source=recording.source, start_ms=piece.start_ms, end_ms=piece.end_ms)
            for piece in pieces
            if piece.silent
        ]
        return clips, silences, notes


class Measure:
    """Measures how good the sound of each clip is."""

    def __init__(self, meter: Callable[[], Meter]) -> None:
        self._meter = meter()

    def __call__(self, lot: Lot[Clip]) -> Lot[Clip]:
        return _in_batches(lot, "quality", self._measure, BATCH_CLIPS, models=(self._meter.model,))

    def _measure(self, clips: Sequence[Clip]) -> list[Clip]:
        measured = self._meter.measure(clips)
        _check_count(self._meter.model, len(measured), len(clips))
        return [replace(clip, quality=quality) for clip, quality in zip(clips, measured, strict=True)]


class Annotate:
    """Lets one branch speak about the clips whose profile calls for it, and holds it to its contract."""

    def __init__(self, annotator: Callable[[], Annotator], routing: Routing, batch_clips: int = BATCH_CLIPS) -> None:
        self._annotator, self._routing, self._batch_clips = annotator(), routing, batch_clips

    def __call__(self, lot: Lot[Clip]) -> Lot[Clip]:
        return _in_batches(lot, self._annotator.branch.value, self._annotate, self._batch_clips)

    def _annotate(self, clips: Sequence[Clip]) -> list[Clip]:
        branch, model = self._annotator.branch, self._annotator.model
        called = [branch in branches_for(clip.segment.profile, self._routing) for clip in clips]
        told = self._annotator.annotate(list(compress(clips, called)))
        _check_count(model, len(told), sum(called))
        nothing, told_in_order = skipped(branch, model, f"the profile shows too little {branch}"), iter(told)
        said = [next(told_in_order) if is_called else nothing for is_called in called]
        return [
            replace(clip, branches=clip.branches.having(branch, annotation))
            for clip, annotation in zip(clips, said, strict=True)
        ]


class Merge:
    """Makes one caption per clip of what the branches said."""

    def __init__(self, merger: Callable[[], Merger], batch_clips: int = BATCH_CLIPS) -> None:
        self._merger, self._batch_clips = merger(), batch_clips

    def __call__(self, lot: Lot[Clip]) -> Lot[Clip]:
        return _in_batches(lot, "merge", self._merge, self._batch_clips, models=(self._merger.model,))

    def _merge(self, clips: Sequence[Clip]) -> list[Clip]:
        captions: list[Caption] = self._merger.merge(clips)
        _check_count(self._merger.model, len(captions), len(clips))
        return [replace(clip, caption=caption) for clip, caption in zip(clips, captions, strict=True)]


def _in_batches(
    lot: Lot[Clip],
    step: str,
    work: Callable[[Sequence[Clip]], list[Clip]],
    batch_clips: int,
    models: tuple[str, ...] = (),
) -> Lot[Clip]:
    """In batches; one that trips is done again in halves of halves, so that only the clip at fault is lost."""
    clips: list[Clip] = []
    failures: list[Failure] = []
    left = [lot.items[start : start + batch_clips] for start in range(0, len(lot.items), batch_clips)]
    while left:
        batch = left.pop(0)
        done, failure = _attempted_on(work, batch, step)
        if done is not None:
            clips += done
        elif len(batch) > 1:
            middle = len(batch) // 2
            left[:0] = [batch[:middle], batch[middle:]]
        else:
            failures += [failure] if failure else []
    return lot.then(clips, failures=failures, models=models)


def _attempted_on(
    work: Callable[[Sequence[Clip]], list[Clip]], clips: Sequence[Clip], step: str
) -> tuple[list[Clip] | None, Failure | None]:
    segment = clips[0].segment
    blank = Failure(source=segment.source, start_ms=segment.start_ms, end_ms=segment.end_ms, step=step)
    return attempted(work, clips, blank)


def _check_count(model: str, num_answers: int, num_clips: int) -> None:
    if num_answers != num_clips:
        raise RuntimeError(f"{model}: {num_answers} answers for {num_clips} clips")
