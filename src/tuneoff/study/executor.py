"""Where runs are done: in this process, or in several on this machine.

`work` is a function of a job and of its `Context`: what the process that does the job has at hand.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, final

import torch

from tuneoff.errors import TuneoffError
from tuneoff.interrupts import interrupts_blocked, raise_if_interrupted
from tuneoff.kernels import keep_freed_memory
from tuneoff.spec import RunSpec
from tuneoff.study.events import Event, OnEvent, ignore
from tuneoff.training import Session

if sys.platform == "linux":
    _CONTEXT = multiprocessing.get_context("forkserver")
else:  # libraries that torch stands on do not survive a fork
    _CONTEXT = multiprocessing.get_context("spawn")
_PRELOADED = ["tuneoff.study.runner"]
"""Imported once, in the process that workers are forked from."""
_KILLED = -9
"""Exit code of a process that the system killed; Linux does so when memory runs out."""
_MOST_FAILED_STARTS = 3
"""So many workers may end before their first job, one after another, where no other is at work."""
_JOIN_SECONDS = 10.0
"""Seconds that a process has to end when it should."""
J = TypeVar("J")
R = TypeVar("R")


class Job(NamedTuple):
    """A run to do and the folder to leave things in."""

    spec: RunSpec
    folder: Path


@dataclass(frozen=True)
class Context:
    """What a process has at hand for every job."""

    session: Session
    emit: OnEvent
    """To be called with what happens; it reaches the process that runs the study."""


Work = Callable[[J, Context], R]


class Lost(NamedTuple, Generic[J]):
    """A job that ended its worker process twice, the second time alone."""

    job: J
    exit_code: int | None
    """Exit code of the process, negative for a signal; None if it is not known."""

    @property
    def state(self) -> Literal["out_of_memory", "failed"]:
        """The state of a run or trial that ends so."""
        return "out_of_memory" if self.exit_code == _KILLED else "failed"

    @property
    def message(self) -> str:
        """What happened, and what to do."""
        remedy = (
            "most likely because memory ran out; free memory, or make the batches, the texts or the model "
            "smaller"
            if self.state == "out_of_memory"
            else "without an error in Python; the library that ended it may have said why on standard error"
        )
        return f"its worker process {_how_it_ended(self.exit_code)} twice, the second time alone, {remedy}"


class Executor(Protocol):
    """Does jobs and gives what comes of each as they end, in any order. `close` it at the end."""

    in_process: bool
    """Jobs are done one after another in the caller's own process."""

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register what makes the session of each process that does jobs, once before its first."""

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield what `work` makes of each job; its exception ends the iteration, closing ends the work.

        What jobs emit goes to `on_event`, in this process. A job that cannot be done, because the process
        that does it ends, gives a `Lost`.
        """
        ...

    def close(self) -> None:
        """End whatever waits for further jobs."""


@final
class InlineExecutor:
    """One job after another in this process, with all its threads."""

    in_process = True

    def __init__(self) -> None:
        self._setup: Callable[[], Session] = Session

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register what makes the session of the next jobs."""
        self._setup = setup

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R]:
        """Yield what `work` makes of each job, in order."""
        keep_freed_memory()
        context = Context(self._setup(), on_event)
        for job in jobs:
            yield work(job, context)

    def close(self) -> None:
        """Do nothing: no process waits."""


@final
class ProcessExecutor:
    """Several worker processes; together their threads fit the cores.

    They stay for further jobs, with the rows and encodings that they know. Each has a connection of its own:
    one that is killed, at whatever moment, takes only its own job with it.
    """

    in_process = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.threads = max(1, torch.get_num_threads() // workers)
        self._setup: Callable[[], Session] = Session
        self._pool: list[_Worker] = []
        _start_server()

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register what makes the session of each worker; it must be possible to pickle it."""
        self._setup = setup

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield what `work` makes of each job, as they end; `work` must be importable by the workers.

        A job whose worker ends is done once more, alone and after all others: memory that is too small for
        several may do for one.

        Raises:
            TuneoffError: workers cannot start.
        """
        again: list[J] = []
        try:
            for result in self._map_once(work, jobs, self.workers, on_event):
                if isinstance(result, Lost):
                    again.append(result.job)
                else:
                    yield result
            if again:
                self.close()
            for job in again:
                yield from self._map_once(work, [job], 1, on_event)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the workers, whatever they are doing."""
        pool, self._pool = self._pool, []
        for worker in pool:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in pool:
            worker.end()

    def _map_once(
        self, work: Work[J, R], jobs: Sequence[J], workers: int, on_event: OnEvent
    ) -> Generator[R | Lost[J]]:
        """Yield what comes of each job, tried once by one of so many workers."""
        queue, failed_starts = deque(jobs), 0
        self._pool = [worker for worker in self._pool if worker.process.is_alive()]
        while True:
            raise_if_interrupted()
            with interrupts_blocked():
                self._hand_out(work, queue, workers)
            busy: dict[object, _Worker] = {one.connection: one for one in self._pool if one.busy}
            if not busy:
                return
            # a wait without end was seen to sleep over a Ctrl-C that came as it began
            for connection in wait([one.connection for one in busy.values()], timeout=1):
                worker = busy[connection]
                try:
                    reply = worker.receive()
                except EOFError:
                    self._pool.remove(worker)
                    exit_code = worker.end()
                    if worker.ready:
                        yield Lost(worker.job, exit_code)
                        continue
                    # not the job's fault; those that are left do without this worker
                    queue.appendleft(worker.job)
                    failed_starts, workers = failed_starts + 1, max(1, len(self._pool))
                    if failed_starts >= _MOST_FAILED_STARTS and not self._pool:
                        raise TuneoffError(
                            f"no worker process reached its first job: {failed_starts} in a row ended, "
                            f"and the last {_how_it_ended(exit_code)}; free memory, or run without "
                            "--executor process (finished runs are kept)"
                        ) from None
                    continue
                match reply:
                    case _Ready():
                        worker.ready, failed_starts = True, 0
                    case _Emitted(event):
                        on_event(event)
                    case _Done(value):
                        worker.busy = False
                        yield value

    def _hand_out(self, work: Work[J, R], queue: deque[J], workers: int) -> None:
        """Give jobs to idle workers, and to new ones while there are fewer than so many."""
        idle = [worker for worker in self._pool if not worker.busy]
        while queue and (idle or len(self._pool) < workers):
            if not idle:
                idle.append(_Worker(self.threads, self._setup))
                self._pool += idle
            idle.pop().hand_out(work, queue.popleft())


class _Worker:
    """A process that does one job after another, and the connection to it."""

    def __init__(self, threads: int, setup: Callable[[], Session]) -> None:
        self.connection, worker_end = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_worker_main, args=(worker_end, threads, setup), daemon=True)
        self.ready = False
        """It has said that it can begin."""
        self.busy = False
        self.job: Any = None
        with (
            worker_end,
            suppress(OSError, EOFError),
        ):  # a process that did not start is found as one that ended
            self.process.start()

    def hand_out(self, work: Work[J, R], job: J) -> None:
        """Give a job to the worker, which must be idle."""
        self.busy, self.job = True, job
        with suppress(OSError):  # it has ended, and its reply says so
            self.connection.send((work, job))

    def receive(self) -> "_Ready | _Emitted | _Done":
        """Return the worker's next message.

        Raises:
            EOFError: the process has ended, perhaps in the midst of a message.
            Exception: what the job raised.
        """
        try:
            message = self.connection.recv()
        except OSError as ended:
            raise EOFError from ended
        if not isinstance(message, _Raised):
            return message
        if self.ready:
            raise message.error
        raise TuneoffError(f"a worker process cannot start: {message.error}") from message.error

    def end(self) -> int | None:
        """Wait for the process to end, and return its exit code; None if it was never started."""
        self.connection.close()
        if self.process.pid is None:
            return None
        self.process.join(_JOIN_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


class _Ready(NamedTuple):
    """A worker can begin."""


class _Emitted(NamedTuple):
    """Something happens in a job."""

    event: Event


class _Done(NamedTuple):
    """A job is done."""

    value: Any


class _Raised(NamedTuple):
    """A job, or the start of a worker, has failed."""

    error: Exception


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "did not start"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"was killed by {names.get(-exit_code, f'signal {-exit_code}')}"


def _start_server() -> None:
    """Starts the process that workers are forked from; it imports what they need while this one goes on."""
    if os.name == "posix":
        # it unblocks signals behind itself, so it must not be started with the server, nor with a worker
        resource_tracker.ensure_running()
    if sys.platform == "linux":
        _CONTEXT.set_forkserver_preload(_PRELOADED)
        with interrupts_blocked():
            forkserver.ensure_running()


def _worker_main(driver: Connection, threads: int, setup: Callable[[], Session]) -> None:
    """Say that this worker is ready, then what comes of each job, until the connection is closed."""
    # for systems without signal masks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def emit(event: Event) -> None:
        driver.send(_Emitted(event))

    with suppress(EOFError, OSError):
        try:
            context = Context(setup(), emit)
        except Exception as error:
            driver.send_bytes(_pickled_error(error))
            return
        driver.send(_Ready())
        while True:
            work, job = driver.recv()
            driver.send_bytes(_pickled_outcome(work, job, context))


def _pickled_outcome(work: Callable[[Any, Context], object], job: object, context: Context) -> bytes:
    """Return what the work makes of a job, or what it raises, pickled."""
    try:
        return pickle.dumps(_Done(work(job, context)))
    except Exception as error:
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    error.add_note("".join(traceback.format_exception(error)))
    try:
        message = pickle.dumps(_Raised(error))
        pickle.loads(message)
    except Exception:  # not every exception can be taken apart and put together again
        return pickle.dumps(_Raised(RuntimeError(f"{type(error).__name__}: {error}")))
    return message


def _end_with_parent() -> None:
    """Ends this worker when the process that started it has ended, however it did: no one asks for more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
