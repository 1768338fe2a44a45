"""Who speaks when inside one segment: windows of embedded voice become turns. Pure: nothing here listens.

Windows are grouped by how alike their embeddings are, starting with more groups than there will be. In turn, the
likeliest path through the groups is found, the groups are drawn anew from it, and the two most alike become one,
until no two are alike enough to be one voice. Voices that speak at the same time are not told apart: the louder
one gets the turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.errors import ConfigError
from schemas.record import Turn
from schemas.span import Span

STEP_MS = 100  # of the path, and so what the edge between two turns is known to
ROUNDS = 6  # of path and groups in turn, before two groups become one
PURE = 0.8  # share of a window that one voice has, for the window to stand for it
USUAL = 0.76  # likeness of two windows of one voice, in speech of many kinds
SURE_AFTER = 20  # pairs of windows, before a group's own likeness counts more than the usual one
EDGE_MS = 200  # a turn does not change nearer than this to where speech begins or ends


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules:
    window_ms: int = 1_200  # heard at once: shorter ones tell voices apart less well, longer ones blur the edges
    hop_ms: int = 300
    min_spoken: float = 0.7  # share of speech in a window that may stand for a voice
    most_voices: int = 6
    alike: float = 0.7  # mean likeness of their windows from which two groups are one voice
    steadier: float = 0.5  # of what their own windows are more alike than usual, so much more it takes
    doubt: float = 0.08  # likeness given to a group of one second of speech, to longer ones accordingly less
    min_voice_ms: int = 800  # who speaks less than this in all is taken for the one most alike
    change: float = 0.3  # likeness that a change of voice costs on the path; half across a pause
    pause_ms: int = 1_000  # a turn goes on through a pause of its speaker up to here

    def __post_init__(self) -> None:
        if min(self.window_ms, self.hop_ms, self.most_voices) < 1:
            raise ConfigError(
                f"window_ms={self.window_ms}, hop_ms={self.hop_ms} and most_voices={self.most_voices} "
                "must be at least 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voices:
    """What was heard in the windows, and where they lie on the path."""

    embeddings: np.ndarray  # of length 1, float32, shape (windows, 256)
    starts_ms: np.ndarray  # from the segment's start, int, shape (windows,)
    usable: np.ndarray  # enough speech to stand for a voice: bool, shape (windows,)
    spoken: np.ndarray  # bool, shape (steps,)
    inside: np.ndarray  # of the spoken steps, those inside each window: float, shape (windows, steps)
    weights: np.ndarray  # what each window counts for at each step: float, shape (steps, windows), rows sum to 1


def window_starts_ms(speech: Sequence[Span], whole: Span, rules: TurnRules) -> list[int]:
    """Where to listen, in ms from the start of `whole`: windows whose middle lies at speech."""
    last_ms = max(0, whole.duration_ms - rules.window_ms) // 10 * 10
    starts_ms = [*range(0, last_ms, rules.hop_ms), last_ms]
    ends = (0, last_ms)
    return [ms for ms in starts_ms if _is_at_speech(ms, ms in ends, speech, whole, rules)]


def turns_of(
    embeddings: np.ndarray, starts_ms: Sequence[int], speech: Sequence[Span], whole: Span, rules: TurnRules
) -> list[Turn]:
    """Turns in time order, "S01" the first to speak; all of the speech is somebody's. `speech` lies within `whole`."""
    voices = voices_at(embeddings, np.asarray(starts_ms, dtype=int), speech, whole, rules)
    if voices.usable.sum() < 2:
        return bridged(_named(speech, [0] * len(speech), [1.0] * len(speech)), rules.pause_ms)
    path, sureness = path_of(voices, rules)
    pieces = [piece for stretch in speech for piece in _parted(stretch, path, whole)]
    middles = [min(len(path) - 1, ((p.start_ms + p.end_ms) // 2 - whole.start_ms) // STEP_MS) for p in pieces]
    scores = [float(sureness[_steps(piece, whole)].mean()) for piece in pieces]
    return bridged(_named(pieces, [int(path[step]) for step in middles], scores), rules.pause_ms)


def voices_at(
    embeddings: np.ndarray, starts_ms: np.ndarray, speech: Sequence[Span], whole: Span, rules: TurnRules
) -> Voices:
    num_steps = whole.duration_ms // STEP_MS + 1
    middles_ms = np.arange(num_steps) * STEP_MS + STEP_MS / 2
    spoken = np.zeros(num_steps, bool)
    for span in speech:
        spoken |= (middles_ms >= span.start_ms - whole.start_ms) & (middles_ms < span.end_ms - whole.start_ms)
    after = middles_ms[None, :] - starts_ms[:, None]
    inside = ((after > 0) & (after < rules.window_ms)) * spoken[None, :].astype(np.float64)
    nearness = np.maximum(0, 1 - np.abs(after - rules.window_ms / 2) / (rules.window_ms / 2)).T
    usable = inside.sum(axis=1) * STEP_MS >= rules.min_spoken * rules.window_ms
    return Voices(
        embeddings=embeddings,
        starts_ms=starts_ms,
        usable=usable,
        spoken=spoken,
        inside=inside,
        weights=nearness / np.maximum(nearness.sum(axis=1, keepdims=True), 1e-9),
    )


def path_of(voices: Voices, rules: TurnRules) -> tuple[np.ndarray, np.ndarray]:
    """The voice at each step, int of shape (steps,), and how sure it is this one of them, 0..1, likewise."""
    labels = _first_groups(voices.embeddings[voices.usable], rules.most_voices)
    while True:
        means = _means(voices.embeddings[voices.usable], labels)
        for _ in range(ROUNDS):
            path = likeliest(voices, means, rules.change)
            means = _redrawn(voices, path, len(means))
        path = likeliest(voices, means, rules.change)
        shares = _shares(voices, path, len(means))[voices.usable]
        kept, labels = np.unique(shares.argmax(axis=1), return_inverse=True)
        if len(kept) == 1:
            return np.zeros_like(path), np.ones(len(path))
        pair = _one_voice(voices, shares[:, kept], np.array([_spoken_ms(voices, path, k) for k in kept]), rules)
        if pair is None:
            return path, _sureness(voices.weights @ (voices.embeddings @ means.T), path)
        _, labels = np.unique(np.where(labels == pair[0], pair[1], labels), return_inverse=True)


def likeliest(voices: Voices, means: np.ndarray, change: float) -> np.ndarray:
    """The path along which likeness, less what its changes cost, adds up to most: int, shape (steps,)."""
    likeness = voices.weights @ (voices.embeddings @ means.T) * voices.spoken[:, None]
    best = likeness[0].copy()
    came_from = np.zeros(likeness.shape, dtype=int)
    stays = np.arange(likeness.shape[1])
    for step in range(1, len(likeness)):
        cost = change if voices.spoken[step] and voices.spoken[step - 1] else change / 2
        changed = best.max() - cost
        came_from[step] = np.where(best >= changed, stays, best.argmax())
        best = np.maximum(best, changed) + likeness[step]
    path = np.full(len(likeness), best.argmax())
    for step in range(len(path) - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def bridged(turns: Sequence[Turn], pause_ms: int) -> list[Turn]:
    """Turns of one speaker with no more than a pause between them, as one; the longer counts for more of its score."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        if last is None or last.speaker != turn.speaker or turn.start_ms - last.end_ms > pause_ms:
            joined.append(turn)
            continue
        weighted = last.score * last.duration_ms + turn.score * turn.duration_ms
        score = round(weighted / (last.duration_ms + turn.duration_ms), 3)
        joined[-1] = Turn(start_ms=last.start_ms, end_ms=turn.end_ms, speaker=turn.speaker, score=score)
    return joined


def _is_at_speech(start_ms: int, is_at_end: bool, speech: Sequence[Span], whole: Span, rules: TurnRules) -> bool:
    """Whether someone speaks around the window's middle; anywhere in it, where there is no window further out."""
    middle_ms = whole.start_ms + start_ms + rules.window_ms // 2
    reach_ms = rules.window_ms // 2 + 10 if is_at_end else rules.hop_ms + STEP_MS
    return any(s.start_ms < middle_ms + reach_ms and middle_ms - reach_ms < s.end_ms for s in speech)


def _first_groups(embeddings: np.ndarray, num_groups: int) -> np.ndarray:
    """Groups of windows by mean likeness: int, shape (windows,)."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    apart = np.maximum(0, 1 - embeddings @ embeddings.T).astype(np.float64)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), "average")
    return np.asarray(fcluster(tree, num_groups, "maxclust") - 1)


def _means(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The direction of each group, shape (groups, 256)."""
    sums = np.stack([embeddings[labels == label].sum(axis=0) for label in range(labels.max() + 1)])
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def _shares(voices: Voices, path: np.ndarray, num_voices: int) -> np.ndarray:
    """How much of each window each voice has, shape (windows, voices)."""
    spoken = voices.inside @ np.eye(num_voices)[path]
    return np.asarray(spoken / np.maximum(spoken.sum(axis=1, keepdims=True), 1))


def _redrawn(voices: Voices, path: np.ndarray, num_voices: int) -> np.ndarray:
    """The groups' directions, from the windows that the path gives them; a group without windows is gone."""
    shares = _shares(voices, path, num_voices)
    drawn = []
    for voice in range(num_voices):
        pure = voices.usable & (shares[:, voice] >= PURE)
        mostly = pure if pure.any() else voices.usable & (shares[:, voice] >= 0.5)
        if mostly.any():
            drawn.append(_means(voices.embeddings[mostly], np.zeros(mostly.sum(), dtype=int)))
    if not drawn:  # no window is mostly of one voice: they are as good as one
        drawn.append(_means(voices.embeddings[voices.usable], np.zeros(voices.usable.sum(), dtype=int)))
    return np.concatenate(drawn)


def _spoken_ms(voices: Voices, path: np.ndarray, voice: int) -> int:
    return int(np.sum((path == voice) & voices.spoken)) * STEP_MS


def _one_voice(voices: Voices, shares: np.ndarray, spoken_ms: np.ndarray, rules: TurnRules) -> tuple[int, int] | None:
    """The two groups that are most likely one voice, if any: those most alike, or one too short to be told."""
    likeness = _likeness(voices, shares, rules)
    likeness += rules.doubt * 1000 / np.maximum(np.minimum(spoken_ms[:, None], spoken_ms[None, :]), STEP_MS)
    np.fill_diagonal(likeness, -np.inf)
    one, other = np.unravel_index(likeness.argmax(), likeness.shape)
    if likeness[one, other] >= rules.alike:
        return int(one), int(other)
    shortest = int(spoken_ms.argmin())
    if spoken_ms[shortest] < rules.min_voice_ms:
        return shortest, int(likeness[shortest].argmax())
    return None


def _likeness(voices: Voices, shares: np.ndarray, rules: TurnRules) -> np.ndarray:
    """Mean likeness of the groups' pure windows that share no sound, shape (groups, groups).

    It is lowered where the groups' own windows are more alike than usual: in a steady recording it takes more.
    """
    embeddings, starts_ms = voices.embeddings[voices.usable], voices.starts_ms[voices.usable]
    alike = embeddings @ embeddings.T
    apart = np.abs(starts_ms[:, None] - starts_ms[None, :]) >= rules.window_ms
    pure = (shares >= PURE).astype(np.float64)
    pairs, total = pure.T @ apart @ pure, pure.T @ (alike * apart) @ pure
    near_pairs, near_total = pure.T @ np.ones_like(alike) @ pure, pure.T @ alike @ pure
    nearby = np.where(near_pairs > 0, near_total / np.maximum(near_pairs, 1), 1.0)  # nothing pure: it is no voice
    own = (total.diagonal() + SURE_AFTER * USUAL) / (pairs.diagonal() + SURE_AFTER)
    steadiness = (own[:, None] + own[None, :]) / 2 - USUAL
    return np.asarray(np.where(pairs > 0, total / np.maximum(pairs, 1), nearby) - rules.steadier * steadiness)


def _sureness(likeness: np.ndarray, path: np.ndarray) -> np.ndarray:
    """From how far the voice leads the next; in made conversations a close call is right two times in three."""
    steps = np.arange(len(path))
    own = likeness[steps, path]
    others = likeness.copy()
    others[steps, path] = -np.inf
    return np.asarray(1 - 0.35 * np.exp(-np.maximum(0, own - others.max(axis=1)) / 0.05))


def _parted(stretch: Span, path: np.ndarray, whole: Span) -> list[Span]:
    """The stretch parted where the voice changes."""
    changes = np.flatnonzero(np.diff(path)) + 1
    marks_ms = (whole.start_ms + int(step) * STEP_MS for step in changes)
    inner_ms = [at_ms for at_ms in marks_ms if stretch.start_ms + EDGE_MS <= at_ms <= stretch.end_ms - EDGE_MS]
    edges_ms = [stretch.start_ms, *inner_ms, stretch.end_ms]
    return [Span.of(start_ms, end_ms) for start_ms, end_ms in pairwise(edges_ms)]


def _steps(piece: Span, whole: Span) -> slice:
    first = (piece.start_ms - whole.start_ms) // STEP_MS
    return slice(first, max(first + 1, (piece.end_ms - whole.start_ms) // STEP_MS))


def _named(pieces: Sequence[Span], voices: Sequence[int], scores: Sequence[float]) -> list[Turn]:
    names: dict[int, str] = {}
    for voice in voices:
        names.setdefault(voice, f"S{len(names) + 1:02d}")
    return [
        Turn(start_ms=piece.start_ms, end_ms=piece.end_ms, speaker=names[voice], score=round(score, 3))
        for piece, voice, score in zip(pieces, voices, scores, strict=True)
    ]
