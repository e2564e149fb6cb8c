"""Runs on a Ray cluster, which may be this machine alone: each job is a task, done wherever there is room.

Ray queues the tasks, chooses their nodes and keeps worker processes. What is added here:

- What a session holds (rows and their tokens) and the models are put into Ray's object store once. A worker
  process makes a session of them once, and each run a copy of its model, which takes a tenth of the time that
  reading its files would.
- What happens in a job comes through a queue, which is an actor at the driver's node. `put` returns when an
  event has arrived there, so when a job's result comes, its events are there.
- A job whose worker or node is lost is done once more after all others, on any node; the second time it is
  `Lost`. A run has its checkpoints in the output folder, so it goes on from the last one.

Before the first job a task on each node says which packages and precision it has, and whether it sees the
output folder: a study is done by equals, or not begun.
"""

import os
import pickle
import platform
import signal
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar, final
from uuid import uuid4

import ray
import torch
from accelerate import PartialState
from ray._private import ray_constants
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError, RayTaskError
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuneoff.errors import InputError, TuneoffError, first_line, writing
from tuneoff.interrupts import interrupts_blocked, interrupts_remembered, raise_if_interrupted
from tuneoff.spec import FullSpec, ModelSpec, ResourcesSpec, RunSpec
from tuneoff.study.events import Event, OnEvent, ignore
from tuneoff.study.executor import KILLED, Context, Done, Lost, Raised, Work, outcome_of, settle_process
from tuneoff.training import Session, load_backbone
from tuneoff.training.precision import resolve_dtype

J = TypeVar("J")
R = TypeVar("R")
_MOST_SUBMITTED = 1000
"""Jobs that Ray is given at a time."""
_EVERY = 0.2
"""Seconds between two looks for events while no result comes."""
_LONGEST_CONNECT = 10.0
"""Seconds to reach the head of a cluster."""
_LONGEST_ANSWER = 300.0
"""Seconds that a node may take to import torch and answer."""
_PROCESS_BYTES = 1_000_000_000
"""Memory of a worker process beside weights."""
_COPIES_OF_TRAINED = 5
"""Of weights that are trained: with their gradients, Adam's two moments, and the best ones so far."""
_STOP_SECONDS = 10.0
"""Seconds that jobs have for a last checkpoint when they are stopped."""


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
        self._models = {run.model: 1 for run in runs}
        """How many copies of a model's weights a run may hold."""
        self._models |= {run.model: _COPIES_OF_TRAINED for run in runs if isinstance(run.method, FullSpec)}
        if not ray.is_initialized():
            _join(address)
        self.resources = _amounts(resources)
        """What each task takes, by Ray's names."""
        self._threads = max(1, int(resources.cpus))
        self._setup: Any = ray.put(_Setup(Session, {}))
        _check_fitting(self.resources, f"what `resources` asks for, {resources.in_words()}")

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
            _check_fitting(self.resources, f"{words} (`resources: {{memory: ...}}` says otherwise)")
        self._setup = ray.put(_Setup(setup, models))
        self._check_nodes()

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield the result of `work` for each job, as they end; `work` must be importable on all nodes.

        Raises:
            TuneoffError: a worker cannot make its session.
        """
        lost_once: list[J] = []
        if not jobs:
            return
        with closing(_Events(on_event)) as events:
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

    def _submit(self, work: Work[J, R], job: J, events: "_Events") -> Any:
        name = getattr(job, "name", type(job).__name__)
        task = _do.options(name=name, scheduling_strategy="SPREAD", **self.resources)
        # in a tuple, or Ray would make it anew for each task
        return task.remote((self._setup,), pickle.dumps((work, job)), self._threads, events.queue)

    def _check_nodes(self) -> None:
        """Raise `InputError` unless all nodes that can do runs have what this one has."""
        token = self._folder / f".seen-by-all-{uuid4().hex}"
        with writing(token):
            self._folder.mkdir(parents=True, exist_ok=True)
            token.touch()
        try:
            asked = {
                f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})": _answer.options(
                    name="tuneoff: check of the node",
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                    **self.resources,
                ).remote(str(token.absolute()))
                for node in _fitting(self.resources)
            }
            answers = {name: _answered(name, reference) for name, reference in asked.items()}
        finally:
            token.unlink(missing_ok=True)
        check_equal(answers, _packages(), self._folder)


class _Events:
    """What happens in the jobs, on its way to the caller."""

    def __init__(self, on_event: OnEvent) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._on_event = on_event

    def pass_on(self) -> None:
        """Give the caller all events that have come."""
        for event in self.queue.get_nowait_batch(self.queue.qsize()):
            self._on_event(pickle.loads(event))

    def close(self) -> None:
        with suppress(RayError):
            self.queue.shutdown(force=True)


def _join(address: str | None) -> None:
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # one of our own tells nobody of its use
    where = {"address": address} if address else {"address": "local", "_node_ip_address": "127.0.0.1"}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        # Ctrl-C is the driver's; Ray's processes must not hear of it
        with interrupts_blocked(), nullcontext() if address else _heard_here_alone():
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster can be used {f'at {address}' if address else 'on this machine'}: "
            f"{first_line(error)}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray sets its own, which ends the process at once
    heard_at = [node["NodeManagerAddress"] for node in _nodes()]
    if not address and not all(ip_address(one).is_loopback for one in heard_at):
        ray.shutdown()
        raise InputError(
            f"a Ray cluster of one's own must be heard by this machine alone, but Ray has put it at "
            f"{', '.join(heard_at)}; start one that is as closed as you need it, and give --address"
        )


@contextmanager
def _heard_here_alone() -> Iterator[None]:
    """Let the processes of a cluster that Ray starts in this context listen at the loopback address alone.

    Ray takes 127.0.0.1 for the machine's address in its network, and listens at all of its addresses, unless
    clusters of several machines are off. It reads that from the environment when it is imported.
    """
    variable, enabled = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    before = os.environ.get(variable)
    os.environ[variable] = "0"  # for the processes that it starts
    ray_constants.ENABLE_RAY_CLUSTER = False  # for this one, which has imported it
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
        ray_constants.ENABLE_RAY_CLUSTER = enabled


def _check_answers(address: str) -> None:
    """Check that somebody listens at an address such as node:6379: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return  # `auto`, or of a kind that Ray reads itself
    try:
        socket.create_connection((host, int(port)), timeout=_LONGEST_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster can be used at {address}: {first_line(error)}") from error


def _amounts(resources: ResourcesSpec) -> dict[str, float]:
    """Return what a task takes, as Ray names it; where GPUs are left open, one if the cluster has any."""
    gpus = resources.gpus
    if gpus is None:
        gpus = min(1.0, max(node["Resources"].get("GPU", 0.0) for node in _nodes()))
    amounts = {"num_cpus": resources.cpus, "num_gpus": gpus}
    return amounts if resources.memory_bytes is None else amounts | {"memory": resources.memory_bytes}


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(amounts: dict[str, float]) -> list[dict[str, Any]]:
    """Return the nodes that have as much as a task takes."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    return [
        node
        for node in _nodes()
        if all(node["Resources"].get(names[name], 0.0) >= amount for name, amount in amounts.items())
    ]


def _check_fitting(amounts: dict[str, float], words: str) -> None:
    """Check that a node has as much as a task takes.

    Raises:
        InputError: none has.
    """
    if not _fitting(amounts):
        raise InputError(f"no node of the Ray cluster has {words}; ask for less, or start a node that has it")


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
def _do(setup: tuple[Any], job: bytes, threads: int, events: Queue) -> bytes:
    """Do a job in a worker process, and return its outcome."""
    torch.set_num_threads(threads)
    session = _session(*setup)

    def emit(event: Event) -> None:
        events.put(pickle.dumps(event))  # the queue's process need not know what an event is

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


@dataclass(frozen=True)
class NodeAnswer:
    """What a node says of itself."""

    has: dict[str, str]
    """Packages, device and precision, each of which must be that of all others."""
    sees_folder: bool


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _answer(token: str) -> NodeAnswer:
    device = PartialState().device
    has = _packages()
    has |= {"device": device.type, "precision (training.dtype: auto)": resolve_dtype("auto", device)}
    return NodeAnswer(has, Path(token).exists())


def _packages() -> dict[str, str]:
    packages = {package: version(package) for package in ("tuneoff", "torch", "transformers")}
    return {"Python": platform.python_version(), **packages}


def _answered(name: str, reference: Any) -> NodeAnswer:
    try:
        answer: NodeAnswer = ray.get(reference, timeout=_LONGEST_ANSWER)
    except GetTimeoutError:
        raise InputError(
            f"node {name} of the Ray cluster has not answered in {_LONGEST_ANSWER:.0f} s; see that it is idle"
        ) from None
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        raise InputError(
            f"node {name} of the Ray cluster cannot do runs: {first_line(cause)}; every node needs the same "
            "tuneoff[train,ray]"
        ) from error
    return answer


def check_equal(answers: dict[str, NodeAnswer], packages: dict[str, str], folder: Path) -> None:
    """Check that nodes, by name, are equal, have the packages of this machine, and see the output folder.

    Raises:
        InputError: they do not.
    """
    for name, answer in answers.items():
        if not answer.sees_folder:
            raise InputError(
                f"all nodes must share the output folder, but node {name} has no {folder.absolute()}; give "
                "an --out that all of them see"
            )
    first, reference = next(iter(answers.items()))
    for name, answer in answers.items():
        for what, value in answer.has.items():
            wanted, where = (
                (packages[what], "here") if what in packages else (reference.has[what], f"on node {first}")
            )
            if value != wanted:
                raise InputError(
                    f"all nodes must be equal, or the runs are not, but {what} is {value} on node {name} and "
                    f"{wanted} {where}; make them equal, or leave one out"
                )
