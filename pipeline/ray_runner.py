"""The only file of the pipeline that knows Ray.

Each step of the route is a pool of actors; lots flow from pool to pool, a bounded number of them in flight.
The driver holds references and counts, never sound. Ray does placement, processes and the object store;
what is here is the order of the steps and what happens when something dies: the lot goes back to the start,
and after its last try every piece of it becomes a failure row, and the run goes on.
"""

import asyncio
import contextlib
import logging
import math
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from schemas.ray_switches import set_switches

set_switches()

import ray
from ray import cloudpickle
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline.cards import CardUse, CardWatch, check_usable, merged
from pipeline.lot import Lot, Piece, abandoned
from pipeline.steps import Step, Worker, work_timed
from schemas.batches import is_card_lost
from schemas.errors import ClusterError, EarmarkError
from schemas.store import runs
from schemas.weights import MODELS

PLACEMENT_S = 60.0  # a pool that has no place after this is an error, not a wait
ATTEMPTS = 3  # of one lot
STARTS = 3  # of one worker, in a row
STUCK_S = 3_600.0  # one step of one lot; a worker that takes longer is taken for hung and replaced
EMBEDDED_STORE_BYTES = 2 << 30  # what is in flight fits many times over
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PLACES = (
    MODELS,
    "EARMARK_CAPTIONER_URL",
    "EARMARK_CAPTIONER_MODEL",
    "EARMARK_LLM_URL",
    "EARMARK_LLM_MODEL",
    "HF_HUB_OFFLINE",
    "HF_HOME",
)
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the driver of a submitted job
TOKEN_ADVICE = "if it asks for a token, put the cluster's into ~/.ray/auth_token or RAY_AUTH_TOKEN"
NOT_SHIPPED = ["/demo", "/out", "/tests", "/benchmarks", "/*.egg-info", "/.*_cache", "/.hypothesis", "**/__pycache__"]


@dataclass(slots=True)
class Tally:
    """What the driver counted while it ran; the seconds stand in the receipts."""

    workers: dict[str, int] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)  # by the step that died
    cards: list[CardUse] = field(default_factory=list)
    abandoned: int = 0
    ready_s: float = 0.0  # from the call until every worker was built


def run_ray(steps: Sequence[Step], lots: Iterable[Lot[Piece]], tally: Tally) -> Iterator[Any]:
    """Streams lots through the steps and yields what the last step makes of each, as they finish.

    Needs a connected Ray. Raises ClusterError where the pools cannot be placed or a worker cannot start, and
    whatever EarmarkError a step raises about the run as a whole (a full disk, a bucket that is gone).
    """
    sizes = pool_sizes(steps, ray.cluster_resources())
    tally.workers.update(sizes)
    group = _placed(steps, sizes)
    try:
        yield from _Run(steps, sizes, group, tally).results(iter(lots))
    finally:
        with contextlib.suppress(ray.exceptions.RayError, SystemExit):
            ray.util.remove_placement_group(group)


def pool_sizes(steps: Sequence[Step], resources: dict[str, float]) -> dict[str, int]:
    """Workers per step: its share of the machine, at least one; a GPU step gets no more than the GPUs hold."""
    total = sum(step.share for step in steps)
    sizes = {step.name: max(1, math.ceil(resources.get("CPU", 1.0) * step.share / total)) for step in steps}
    gpu_steps = [step for step in steps if step.gpus]
    spare = resources.get("GPU", 0.0) - sum(step.gpus for step in gpu_steps)
    gpu_share = sum(step.share for step in gpu_steps)
    for step in gpu_steps:  # one each, and of the GPUs left over as many as its share of them holds
        sizes[step.name] = 1 + max(0, math.floor(spare * step.share / gpu_share / step.gpus))
    return sizes


def bundles(steps: Sequence[Step], sizes: dict[str, int], cpus: float) -> list[dict[str, float]]:
    """What each worker reserves. All pools must fit at once, so CPU fractions shrink until they do."""
    wanted = sum(step.cpus * sizes[step.name] for step in steps)
    scale = min(1.0, 0.95 * cpus / wanted)
    found = []
    for step in steps:
        cpu = max(0.001, math.floor(step.cpus * scale * 1000) / 1000)
        bundle = {"CPU": cpu} | ({"GPU": step.gpus} if step.gpus else {})
        found += [bundle] * sizes[step.name]
    return found


def _placed(steps: Sequence[Step], sizes: dict[str, int]) -> PlacementGroup:
    """Reserves all pools together, or says what is missing."""
    wanted = bundles(steps, sizes, ray.cluster_resources().get("CPU", 0.0))
    group: PlacementGroup = placement_group(wanted, strategy="PACK")
    if group.wait(PLACEMENT_S):
        return group
    ray.util.remove_placement_group(group)
    need: Counter[str] = Counter()
    for bundle in wanted:
        need.update(bundle)
    free, pools = ray.available_resources(), ", ".join(f"{name} x {size}" for name, size in sizes.items())
    lacking = [f"{n:g} {kind} of which {free.get(kind, 0.0):g} are free" for kind, n in need.items()]
    raise ClusterError(
        f"the pools ({pools}) found no place within {PLACEMENT_S:.0f} s: they need {' and '.join(lacking)}; "
        "wait for other jobs to end, add nodes, or use a recipe that needs less"
    )


class _Actor:
    """One worker in its own process."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._worker: Worker | None = None
        self._cards: CardWatch | None = None

    def build(self, pickled_step: bytes) -> int:
        """Loads what the step needs; a call of its own, so that what it raises comes back whole."""
        step: Step = cloudpickle.loads(pickled_step)
        if step.gpus:
            check_usable()
        self._step, self._worker = step, step.build()
        self._cards = CardWatch() if step.gpus else None
        return os.getpid()

    def work(self, lot: Lot[Any], *, last: bool) -> tuple[Any, Any]:
        """(what the driver may see, what goes to the next step): sound never passes through the driver."""
        assert self._worker is not None, "a worker is given lots only after build() has returned"
        assert self._step is not None, "and has its step then"
        done = work_timed(self._step, self._worker, lot)
        return (done, None) if last else (None, done)

    def cards(self) -> list[CardUse]:
        """How busy the cards were on which this worker computes."""
        return self._cards.uses() if self._cards else []


@dataclass(slots=True)
class _Place:
    """One slot of a pool and the actor that stands in it now."""

    step: int
    bundle: int
    actor: Any = None
    starts: int = 0  # in a row, without one that could be built


@dataclass(slots=True)
class _Going:
    """A lot under way: what it was at the start, and where its present form lies."""

    lot: Lot[Piece]
    step: int = 0
    here: Any = None  # an object reference, once the first step is done


@dataclass(slots=True)
class _Call:
    """What a worker is doing now."""

    place: _Place
    since: float
    going: _Going | None = None  # None: it is starting
    result: Any = None  # a reference to the lot one step on


class _Run:
    """The state of one run: which places are idle, which lots wait where, and what is being worked on."""

    def __init__(self, steps: Sequence[Step], sizes: dict[str, int], group: PlacementGroup, tally: Tally) -> None:
        self._steps, self._group, self._tally = steps, group, tally
        self._pickled = [cloudpickle.dumps(step) for step in steps]
        self._begun, self._num_building = time.monotonic(), sum(sizes.values())
        self._max_in_flight = 2 * max(sizes.values()) + 2
        self._waiting: list[deque[_Going]] = [deque() for _ in steps]
        self._idle: list[list[_Place]] = [[] for _ in steps]
        self._calls: dict[Any, _Call] = {}
        order = [index for index, step in enumerate(steps) for _ in range(sizes[step.name])]
        for bundle, index in enumerate(order):
            self._start(_Place(step=index, bundle=bundle))

    def results(self, lots: Iterator[Lot[Piece]]) -> Iterator[Any]:
        """Admits lots, hands them on, and yields what comes out at the end, until nothing is in flight."""
        in_flight = 0
        while True:
            while in_flight < self._max_in_flight and (lot := next(lots, None)):
                self._waiting[0].append(_Going(lot))
                in_flight += 1
            if not in_flight:
                self._tally.cards = self._card_uses()
                return
            self._dispatch()
            done, _ = ray.wait(list(self._calls), num_returns=1, timeout=5.0)
            for ref in done:
                arrived = self._finish(self._calls.pop(ref), ref)
                if arrived is not None:
                    in_flight -= 1
                    yield arrived
            self._end_stuck()

    def _dispatch(self) -> None:
        """Gives waiting lots to idle workers, the furthest along first, so that memory empties before it fills."""
        for index in reversed(range(len(self._steps))):
            while self._waiting[index] and self._idle[index]:
                place, going = self._idle[index].pop(), self._waiting[index].popleft()
                work = place.actor.work.options(num_returns=2)
                seen, result = work.remote(going.here or going.lot, last=index + 1 == len(self._steps))
                self._calls[seen] = _Call(place=place, since=time.monotonic(), going=going, result=result)

    def _finish(self, call: _Call, ref: Any) -> Any:
        """What the last step made of a lot, or None: the lot has moved on, gone back, or a worker has started."""
        place, going = call.place, call.going
        try:
            seen = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            if going is None or isinstance(error.cause, EarmarkError):
                raise _said(error, self._steps[place.step].name) from None
            if is_card_lost(error.cause):  # to this process; its memory is not to be trusted either
                ray.kill(place.actor)
                self._start(place)
            else:
                self._idle[place.step].append(place)
            self._again(going, f"{type(error.cause).__name__}: {error.cause}")
            return None
        except ray.exceptions.RayError as error:
            self._start(place)
            if going is not None:
                self._again(going, f"{type(error).__name__}: the worker died")
            return None

        self._idle[place.step].append(place)
        place.starts = 0
        if going is None:
            self._num_building -= 1
            if self._num_building == 0:
                self._tally.ready_s = time.monotonic() - self._begun
            return None
        if place.step + 1 == len(self._steps):
            return seen
        going.step, going.here = place.step + 1, call.result
        self._waiting[going.step].append(going)
        return None

    def _again(self, going: _Going, exception: str) -> None:
        """Back to the start; or, after the last try, straight to the store as failures."""
        step = self._steps[going.step].name
        self._tally.retries[step] += 1
        lot = going.lot
        if lot.attempts < ATTEMPTS:
            self._waiting[0].append(_Going(replace(lot, attempts=lot.attempts + 1)))
            return
        last = len(self._steps) - 1
        if going.step == last:
            raise ClusterError(f"shard {lot.shard} could not be written in {ATTEMPTS} tries ({exception})")
        self._tally.abandoned += 1
        reason = f"given up after {ATTEMPTS} tries; each time {step} ended with {exception}"
        self._waiting[last].append(_Going(lot, step=last, here=ray.put(abandoned(lot, step, reason, exception))))

    def _start(self, place: _Place) -> None:
        """A fresh actor for a place; one that keeps dying before it is built ends the run."""
        step = self._steps[place.step]
        place.starts += 1
        if place.starts > STARTS:
            raise ClusterError(
                f"a worker of the step {step.name!r} died {STARTS} times in a row while it was built; is there "
                f"enough memory ({step.cpus:g} CPU, {step.gpus:g} GPU each)? `earmark doctor` tells what it needs"
            )
        bundle = self._group.bundle_specs[place.bundle]
        place.actor = (
            ray.remote(_Actor)
            .options(
                num_cpus=bundle["CPU"],
                num_gpus=bundle.get("GPU", 0),
                max_restarts=0,  # a dead actor is replaced here, where it is known which lot it held
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group=self._group, placement_group_bundle_index=place.bundle
                ),
            )
            .remote()
        )
        self._calls[place.actor.build.remote(self._pickled[place.step])] = _Call(place=place, since=time.monotonic())

    def _card_uses(self) -> list[CardUse]:
        """How busy each card was, as the workers on it saw; one that does not answer costs its word alone."""
        asked = [place.actor.cards.remote() for idle in self._idle for place in idle if self._steps[place.step].gpus]
        seen: list[CardUse] = []
        for ref in asked:
            with contextlib.suppress(ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
                seen += ray.get(ref, timeout=5.0)
        return merged(seen)

    def _end_stuck(self) -> None:
        for call in self._calls.values():
            if time.monotonic() - call.since > STUCK_S:
                ray.kill(call.place.actor)


def _said(error: ray.exceptions.RayTaskError, step: str) -> Exception:
    """What a worker raised about the run as a whole, as itself; anything else is our bug and keeps its traceback."""
    if isinstance(error.cause, EarmarkError):
        return type(error.cause)(str(error.cause))
    return ClusterError(f"a worker of the step {step!r} could not be built: {error}")


# ------------------------------------------------------------------------------------------- connecting


@contextlib.contextmanager
def connected(address: str | None, *, code: Path, by_value: Sequence[ModuleType] = ()) -> Iterator[None]:
    """Ray for the time of a run: embedded and ended with it, or a running cluster joined and left.

    `code` is the checkout, which a cluster is sent; modules `by_value` (a user's recipe file) travel inside
    what is pickled. Raises ClusterError where there is no cluster at the address.
    """
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    _hush()
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if address is not None and address.startswith("ray://"):
        raise ClusterError(f"{address}: the Ray client is not used here; submit the command as a job instead")
    folder = None if address else _session_folder()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if folder is not None:
            os.environ.update(ONE_THREAD)  # inherited by every worker
            ray.init(include_dashboard=False, object_store_memory=EMBEDDED_STORE_BYTES, _temp_dir=str(folder), **quiet)
        else:
            _join(address, code, quiet)
        with contextlib.suppress(ValueError):  # outside the main thread nobody may set one, Ray neither
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in place, which exits without a word
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _join(address: str | None, code: Path, quiet: dict[str, Any]) -> None:
    """A job has its code from whoever submitted it; anyone else sends it along."""
    shipped = None if IN_A_JOB in os.environ else _shipped(code)
    try:
        ray.init(address=address, runtime_env=shipped, **quiet)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        raise ClusterError(f"no Ray cluster answers at {address}: {first_line(error)}; {TOKEN_ADVICE}") from error


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _shipped(code: Path) -> dict[str, Any]:
    """The checkout, and where models lie. Keys and tokens are not sent: a cluster has its own."""
    told = {name: os.environ[name] for name in PLACES if name in os.environ}
    return {"working_dir": str(code), "excludes": NOT_SHIPPED, "env_vars": ONE_THREAD | told}


def _hush() -> None:
    """What Ray would announce on every run: that a token guards the cluster, and each file it does not ship."""
    for name in ("authentication.authentication_token_setup", "runtime_env.packaging", "runtime_env.working_dir"):
        logging.getLogger(f"ray._private.{name}").setLevel(logging.ERROR)
    logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.ERROR)


def _session_folder() -> Path:
    """Where the embedded Ray keeps its sockets and logs; what killed runs left there is cleared away."""
    base = Path(tempfile.gettempdir())
    for old in base.glob("earmark-ray-*-*"):
        pid = old.name.split("-")[2]
        if pid.isdecimal() and not runs(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"earmark-ray-{os.getpid()}-", dir=base))


def submit_job(address: str, arguments: Sequence[str], *, code: Path, wait: bool) -> tuple[str, bool]:
    """Sends `python -m jobs ARGUMENTS` with the checkout to a cluster; the job's name, and whether it ended well."""
    from ray.job_submission import JobStatus, JobSubmissionClient

    _hush()
    try:
        client = JobSubmissionClient(address)
        name = client.submit_job(
            entrypoint=shlex.join(["python", "-m", "jobs", *arguments]),
            runtime_env=_shipped(code),
        )
        if not wait:
            return name, True
        asyncio.run(_follow(client, name))
        return name, client.get_job_status(name) is JobStatus.SUCCEEDED
    except (ConnectionError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        raise ClusterError(f"no job server answers at {address}: {first_line(error)}; {TOKEN_ADVICE}") from error


async def _follow(client: Any, name: str) -> None:
    async for text in client.tail_job_logs(name):
        sys.stdout.write(text)
