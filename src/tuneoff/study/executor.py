"""Where runs are done: in this process, or in several worker processes on this machine.

`work` is a function of a job and of the `Context` of the process that does the job.

The life of a worker process:

1. It is forked from a server process (`worker_server.py`) that has imported torch and the rest, but runs
   nothing: the start is fast, and no lock or thread of the caller is copied, as it would be by a fork of the
   caller.
2. It makes its session by `setup`, and sends `_Ready`.
3. It receives a job, sends `_Emitted` for each event and `Done` or `Raised` at the end, and waits for the
   next job.
4. It ends when its connection is closed, when it is terminated by `close` (then a run under way writes a
   checkpoint), or when its parent has ended.

Each worker has a pipe of its own. With a queue that all share, a worker that is killed while it holds the
queue's lock, or in the midst of a message, would leave the others waiting forever. With a pipe each, its end
is read as the end of that pipe, and only its own job is lost.

A lost job is tried a second time, alone and after all others, as most are lost for lack of memory. If its
worker ends again, the job ends as `Lost`.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, final

import torch

from tuneoff import worker_server
from tuneoff.errors import TuneoffError
from tuneoff.interrupts import interrupts_blocked, raise_if_interrupted, raise_when_terminated
from tuneoff.kernels import keep_freed_memory
from tuneoff.results import RunRecord
from tuneoff.spec import RunSpec
from tuneoff.study.events import Event, OnEvent, ignore
from tuneoff.training import Session

KILLED = -9
"""Exit code of a process that the system killed; Linux does so when memory runs out."""
_MOST_FAILED_STARTS = 3
"""Workers that may end before their first job, one after another, while no other is at work."""
_JOIN_SECONDS = 10.0
"""Seconds to wait for a process to end before it is killed."""
J = TypeVar("J")
R = TypeVar("R")


class Job(NamedTuple):
    """A run to do and the folder to write into."""

    spec: RunSpec
    folder: Path
    trained: RunRecord | None = None
    """The record of a run that is finished but for what it forgets, which is measured on its weights."""
    trained_by: RunRecord | None = None
    """Of a mixture, the record of the run whose weights this one tests."""
    parts: int = 1
    """Parts in which each batch is read, for lack of memory."""

    @property
    def name(self) -> str:
        """Return the run's id."""
        return self.spec.run_id


@dataclass(frozen=True)
class Context:
    """What a process has for all its jobs."""

    session: Session
    emit: OnEvent
    """Sends an event to the process that runs the study."""


Work = Callable[[J, Context], R]


class Lost(NamedTuple, Generic[J]):
    """A job whose worker process ended before it, twice, the second time with no other worker running."""

    job: J
    exit_code: int | None
    """Exit code of the process, negative for a signal; None if it is not known."""
    how: str | None = None
    """How it ended, where the executor knows that in other words."""

    @property
    def state(self) -> Literal["out_of_memory", "failed"]:
        """The state of the run or trial."""
        return "out_of_memory" if self.exit_code == KILLED else "failed"

    @property
    def message(self) -> str:
        """Say what happened, and what to do."""
        remedy = (
            "most likely because memory ran out; free memory, or make the batches, the texts or the model "
            "smaller"
            if self.state == "out_of_memory"
            else "without an error in Python; the library that ended it may have said why on standard error"
        )
        how = self.how or _how_it_ended(self.exit_code)
        alone = "" if self.how else ", the second time alone"
        return f"its worker process {how} twice{alone}, {remedy}"


class Executor(Protocol):
    """Does jobs and yields their results as they end, in any order. `close` it at the end."""

    in_process: bool
    """Jobs are done one after another in the caller's own process."""

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register a function that each process calls once, before its first job, to make its session."""

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield the result of `work` for each job.

        An exception of `work` ends the iteration; closing the generator ends the work. Events that jobs emit
        are passed to `on_event` in this process. A job whose process ends before it gives a `Lost`.
        """
        ...

    def close(self) -> None:
        """End the processes that wait for further jobs."""


@final
class InlineExecutor:
    """One job after another in this process, with all its threads."""

    in_process = True

    def __init__(self) -> None:
        self._setup: Callable[[], Session] = Session

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register the function that makes the session of the next jobs."""
        self._setup = setup

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R]:
        """Yield the result of `work` for each job, in order."""
        keep_freed_memory()
        context = Context(self._setup(), on_event)
        for job in jobs:
            yield work(job, context)

    def close(self) -> None:
        """Do nothing: no process waits."""


@final
class ProcessExecutor:
    """Several worker processes that share the threads of this one.

    They stay alive for further jobs, with the rows and encoder outputs that their sessions cache.
    """

    in_process = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.threads = max(1, torch.get_num_threads() // workers)
        self._setup: Callable[[], Session] = Session
        self._pool: list[_Worker] = []
        worker_server.start()

    def prepare(self, setup: Callable[[], Session]) -> None:
        """Register the function that makes the session of each worker; it must be picklable."""
        self._setup = setup

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        """Yield the result of `work` for each job, as they end; `work` must be importable by the workers.

        A job whose worker ends is done once more, alone and after all others: memory that is too small for
        several jobs may be enough for one.

        Raises:
            TuneoffError: workers cannot start.
        """
        lost_once: list[J] = []
        try:
            for result in self._map_once(work, jobs, self.workers, on_event):
                if isinstance(result, Lost):
                    lost_once.append(result.job)
                else:
                    yield result
            if lost_once:
                self.close()  # idle workers hold memory, too
            for job in lost_once:
                yield from self._map_once(work, [job], 1, on_event)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        pool, self._pool = self._pool, []
        for worker in pool:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in pool:
            worker.end()

    def _map_once(
        self, work: Work[J, R], jobs: Sequence[J], workers: int, on_event: OnEvent
    ) -> Generator[R | Lost[J]]:
        """Yield the result of each job, or a `Lost` if its worker ended; `workers` jobs at a time."""
        queue, failed_starts = deque(jobs), 0
        self._pool = [worker for worker in self._pool if worker.process.is_alive()]
        while True:
            raise_if_interrupted()
            with interrupts_blocked():
                self._hand_out(work, queue, workers)
            busy: dict[object, _Worker] = {one.connection: one for one in self._pool if one.busy}
            if not busy:
                return
            # a wait without timeout was seen to miss a Ctrl-C that came just as it began
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
                    # it ended before it took up the job, so the job is not the cause and goes back to the
                    # front of the queue; the remaining workers go on without a replacement
                    queue.appendleft(worker.job)
                    failed_starts += 1
                    workers = max(1, len(self._pool))
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
                    case Done(value):
                        worker.busy = False
                        yield value

    def _hand_out(self, work: Work[J, R], queue: deque[J], workers: int) -> None:
        """Give queued jobs to idle workers, and to new ones as long as there are fewer than `workers`."""
        idle = [worker for worker in self._pool if not worker.busy]
        while queue and (idle or len(self._pool) < workers):
            if idle:
                worker = idle.pop()
            else:
                worker = _Worker(self.threads, self._setup)
                self._pool.append(worker)
            worker.hand_out(work, queue.popleft())


class _Worker:
    """The driver's side of a worker process: the process, the connection to it, and the job it is doing."""

    def __init__(self, threads: int, setup: Callable[[], Session]) -> None:
        context = worker_server.CONTEXT
        self.connection, worker_end = context.Pipe()
        self.process = context.Process(target=_worker_main, args=(worker_end, threads, setup), daemon=True)
        self.ready = False
        """It has made its session."""
        self.busy = False
        self.job: Any = None
        # closes this side's copy of the worker's end, or the end of the process would not end the connection;
        # a process that did not start is found later as one that has ended
        with worker_end, suppress(OSError, EOFError):
            self.process.start()

    def hand_out(self, work: Work[J, R], job: J) -> None:
        """Give a job to the worker, which must be idle."""
        self.busy, self.job = True, job
        with suppress(OSError):  # it has ended, and its reply says so
            self.connection.send((work, job))

    def receive(self) -> "_Ready | _Emitted | Done":
        """Return the worker's next message.

        Raises:
            EOFError: the process has ended, perhaps in the midst of a message.
            Exception: what the job raised.
        """
        try:
            message = self.connection.recv()
        except OSError as ended:
            raise EOFError from ended
        if not isinstance(message, Raised):
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
    """The worker has made its session."""


class _Emitted(NamedTuple):
    """An event of the job under way."""

    event: Event


class Done(NamedTuple):
    """The result of a job."""

    value: Any


class Raised(NamedTuple):
    """The exception of a job, or of `setup`."""

    error: Exception


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "did not start"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"was killed by {names.get(-exit_code, f'signal {-exit_code}')}"


def _worker_main(driver: Connection, threads: int, setup: Callable[[], Session]) -> None:
    """Run a worker: make its session, then do one job after another until the connection is closed."""
    # Ctrl-C reaches all processes of a terminal, but the driver alone decides what it ends. The signal is
    # blocked already where systems have signal masks; this is for the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    settle_process()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def emit(event: Event) -> None:
        driver.send(_Emitted(event))

    raise_when_terminated()  # so that a run under way writes a checkpoint
    with suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            context = Context(setup(), emit)
        except Exception as error:
            driver.send_bytes(_pickled_error(error))
            return
        driver.send(_Ready())
        while True:
            work, job = driver.recv()
            driver.send_bytes(outcome_of(work, job, context))


def settle_process() -> None:
    """Make a worker process fast for many runs."""
    keep_freed_memory()
    gc.freeze()  # what is imported lives as long as the process; runs that collect garbage need not search it


def outcome_of(work: Callable[[Any, Context], object], job: object, context: Context) -> bytes:
    """Do a job, and return a `Done` with its result or a `Raised` with its exception, pickled."""
    # pickled here and not by `send`, so that a result that cannot be pickled is an error of the job
    try:
        return pickle.dumps(Done(work(job, context)))
    except Exception as error:
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    """Return an exception with its traceback as a note, pickled; its text alone if it cannot be unpickled."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        message = pickle.dumps(Raised(error))
        pickle.loads(message)
    except Exception:  # for instance one whose class takes other arguments than its message
        return pickle.dumps(Raised(RuntimeError(f"{type(error).__name__}: {error}")))
    return message


def _end_with_parent() -> None:
    """End this worker when its parent has ended, even in the midst of a job: nobody reads its result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
