"""Runs on a Ray cluster, which may be this machine alone: each job is a task, done wherever there is room.

Ray queues the tasks, chooses their nodes and keeps worker processes. What is added here:

- What a session holds (rows and their tokens) and the models are put into Ray's object store once. A worker
  process makes a session of them once, and each run a copy of its model, which takes a tenth of the time that
  reading its files would.
- What happens in a job comes through a queue, which is an actor at the driver's node. `put` returns when an
  event has arrived there, so when a job's result comes, its events are there. There is one queue as long as
  the driver is on the cluster: a further one would take a worker process that has imported torch.
- A job whose worker or node is lost is done once more after all others, on any node; the second time it is
  `Lost`. A run has its checkpoints in the output folder, so it goes on from the last one.
"""

import pickle
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, final

import ray
import torch
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuneoff.errors import StudyError, TuneoffError, first_line
from tuneoff.interrupts import interrupts_remembered, raise_if_interrupted
from tuneoff.spec import FullSpec, ModelSpec, ResourcesSpec, RunSpec
from tuneoff.study.estimate import measure_costs
from tuneoff.study.events import Event, OnEvent, ignore
from tuneoff.study.executor import KILLED, Context, Done, Lost, Raised, Work, outcome_of, settle_process
from tuneoff.study.ray_cluster import amounts_of, check_fitting, check_nodes, join, most
from tuneoff.training import Session, load_backbone

J = TypeVar("J")
R = TypeVar("R")
_MOST_SUBMITTED = 1000
"""Jobs that Ray is given at a time."""
_EVERY = 0.2
"""Seconds between two looks for events while no result comes."""
_PROCESS_BYTES = 1_000_000_000
"""Memory of a worker process beside weights, before any is measured."""
_COPIES_OF_TRAINED = 5
"""Of weights that are trained: with their gradients, Adam's two moments, and the best ones so far."""
_SPARE = 1.25
"""The memory that a task asks for, over what was measured on a few batches."""
_STOP_SECONDS = 10.0
"""Seconds that jobs have for a last checkpoint when they are stopped."""
_NUMBERS = count()
"""Of each `map` of this process."""


@final
class RayExecutor:
    """One task of a Ray cluster for each job, with the resources that the study asks for."""

    in_process = False

    def __init__(
        self,
        folder: Path,
        resources: ResourcesSpec,
        runs: Sequence[RunSpec] = (),
        *,
        address: str | None = None,
    ) -> None:
        """Join the cluster at `address` or `RAY_ADDRESS`; without either, start one on this machine.

        `folder` is the output folder, and `runs` are all that may be done.

        Raises:
            InputError: there is no cluster there, or no node has the resources.
        """
        self._folder = folder
        self._runs = runs
        self._unmeasured: list[_Probe] = []
        self._models = {run.model: 1 for run in runs}
        """How many copies of a model's weights a run may hold."""
        self._models |= {run.model: _COPIES_OF_TRAINED for run in runs if isinstance(run.method, FullSpec)}
        if not ray.is_initialized():
            join(address)
        self.resources = amounts_of(resources)
        """What each task takes, by Ray's names."""
        self._threads = max(1, int(resources.cpus))
        self._setup: Any = ray.put(_Setup(Session, {}))
        check_fitting(self.resources, f"what `resources` asks for, {resources.in_words()}")

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register a function that each worker process calls once to make its session, and ask all nodes.

        Raises:
            InputError: a node has other packages or another precision, or does not see the output folder; a
                model cannot be used.
        """
        models, needed = {}, 0
        for model, copies in self._models.items():
            backbone = load_backbone(model)
            models[model] = ray.put(backbone)
            needed = max(needed, copies * backbone.model.get_memory_footprint())
        if needed and "memory" not in self.resources:
            self.resources["memory"] = needed + _PROCESS_BYTES
            words = f"the {needed + _PROCESS_BYTES:,} bytes of memory that a run takes for its weights alone"
            check_fitting(self.resources, f"{words} (`resources: {{memory: ...}}` says otherwise)")
            trained = {(run.task_name, run.method_name): run for run in self._runs if run.trained_by is None}
            self._unmeasured = [_Probe(run) for run in trained.values()]
        self._setup = ray.put(_Setup(setup, models))
        check_nodes(self.resources, self._folder)

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield the result of `work` for each job, as they end; `work` must be importable on all nodes.

        Raises:
            TuneoffError: a worker cannot make its session.
        """
        lost_once: list[J] = []
        if not jobs:
            return
        self._measure_memory()
        events = _Events(on_event)
        for result in self._map_once(work, jobs, events):
            if isinstance(result, Lost):
                lost_once.append(result.job)
            else:
                yield result
        yield from self._map_once(work, lost_once, events)

    def close(self) -> None:
        """Do nothing: the work ends with each `map`, and the cluster stays for the next."""

    def _map_once(self, work: Work[J, R], jobs: Sequence[J], events: "_Events") -> Generator[R | Lost[J]]:
        """Yield the result of each job, or a `Lost` if its worker or node ended."""
        waiting = deque(jobs)
        submitted: dict[Any, J] = {}
        try:
            while waiting or submitted:
                raise_if_interrupted()
                while waiting and len(submitted) < _MOST_SUBMITTED:
                    job = waiting.popleft()
                    submitted[self._submit(work, job, events)] = job
                ended, _ = ray.wait(list(submitted), timeout=_EVERY)
                events.pass_on()
                for reference in ended:
                    yield _result(submitted.pop(reference), reference)
        except KeyboardInterrupt:
            raise_if_interrupted()  # Ray makes a plain one of what SIGTERM and a deadline raise
            raise
        finally:
            _stop(list(submitted))

    def _measure_memory(self) -> None:
        """Let tasks ask for what `plan` measures, of the method that takes most, if the study asks for none.

        Without a measurement they go on to ask for what the weights take.
        """
        probes, self._unmeasured = self._unmeasured, []
        found = list(self._map_once(_peak_memory, probes, _Events(ignore))) if probes else []
        peaks = [peak for peak in found if isinstance(peak, int)]
        if peaks:  # it fits where it was measured, if not with so much to spare
            self.resources["memory"] = min(int(_SPARE * max(peaks)), most("memory"))

    def _submit(self, work: Work[J, R], job: J, events: "_Events") -> Any:
        name = getattr(job, "name", type(job).__name__)
        task = _do.options(name=name, scheduling_strategy="SPREAD", **self.resources)
        # in a tuple, or Ray would make it anew for each task
        return task.remote((self._setup,), pickle.dumps((work, job)), self._threads, events.sender)


@dataclass(frozen=True)
class _Probe:
    """A run of which a few steps are done, to see what it takes."""

    run: RunSpec

    @property
    def name(self) -> str:
        """Say what it is."""
        return f"tuneoff: memory of {self.run.cell_slug}"


def _peak_memory(probe: _Probe, context: Context) -> int | None:
    """Return the most memory that a worker process takes for a run, in bytes; None where nothing tells."""
    try:
        found = measure_costs([probe.run], context.session)
    except StudyError:  # too large even for a few steps, which the run itself will say
        return None
    return next((cost.memory for cost in found.costs.values()), None)


class _Events:
    """What happens in the jobs of one `map`, on its way to the caller."""

    def __init__(self, on_event: OnEvent) -> None:
        self._queue = _queue(ray.get_runtime_context().get_job_id())
        self._on_event = on_event
        self._number = next(_NUMBERS)

    @property
    def sender(self) -> "_Sender":
        """Return what a task sends its events with."""
        return _Sender(self._queue, self._number)

    def pass_on(self) -> None:
        """Give the caller all events that have come; a task that an earlier `map` has ended has none."""
        for number, event in self._queue.get_nowait_batch(self._queue.qsize()):
            if number == self._number:
                self._on_event(pickle.loads(event))


@dataclass(frozen=True)
class _Sender:
    """Sends the events of a job."""

    queue: Queue
    number: int
    """Of the `map` that the job belongs to."""

    def __call__(self, event: Event) -> None:
        content = pickle.dumps(event)  # here, as the queue's process need not know what an event is
        self.queue.put((self.number, content))


@lru_cache(maxsize=1)
def _queue(driver: str) -> Queue:
    """Return the queue of a driver, by the id that Ray gives it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})


def _result(job: J, reference: Any) -> Any:
    """Return the result of a task that has ended; a `Lost` if its worker or its node is no more.

    Raises:
        TuneoffError: its worker could not make its session.
        Exception: what the work raised.
    """
    try:
        outcome = pickle.loads(ray.get(reference))
    except RayTaskError as error:
        raise TuneoffError(f"a worker process cannot start: {first_line(error.cause)}") from error
    except RayError as error:
        exit_code = KILLED if isinstance(error, OutOfMemoryError) else None
        return Lost(job, exit_code, f"was lost on the Ray cluster ({first_line(error)})")
    if isinstance(outcome, Raised):
        raise outcome.error
    assert isinstance(outcome, Done)
    return outcome.value


def _stop(tasks: list[Any]) -> None:
    """End tasks: they write a checkpoint where they can, and are killed where they do not end."""
    with suppress(RayError):
        for task in tasks:
            ray.cancel(task)
        _, staying = ray.wait(tasks, num_returns=len(tasks), timeout=_STOP_SECONDS) if tasks else ([], [])
        for task in staying:
            ray.cancel(task, force=True)


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _do(setup: tuple[Any], job: bytes, threads: int, emit: _Sender) -> bytes:
    """Do a job in a worker process, and return its outcome."""
    torch.set_num_threads(threads)
    session = _session(*setup)
    work, content = pickle.loads(job)
    with interrupts_remembered():  # Ray cancels a task by a KeyboardInterrupt, which its own code can swallow
        return outcome_of(work, content, Context(session, emit))


@dataclass(frozen=True)
class _Setup:
    """What worker processes make their sessions of."""

    make: Callable[[], Session]
    models: dict[ModelSpec, Any]
    """References to the models in the object store."""


@lru_cache(maxsize=1)
def _session(reference: Any) -> Session:
    """Return the session of this worker process."""
    settle_process()
    setup: _Setup = ray.get(reference)
    session = setup.make()
    if setup.models:
        session.load_backbone = lambda model: ray.get(setup.models[model])  # another copy each time
    return session
