"""Where runs are done: in this process, or in several on this machine."""

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
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, final

import torch

from tuneoff.errors import TuneoffError
from tuneoff.interrupts import interrupts_blocked, raise_if_interrupted
from tuneoff.spec import RunRecord, RunSpec

if sys.platform == "linux":
    _CONTEXT = multiprocessing.get_context("forkserver")
else:  # libraries that torch stands on do not survive a fork
    _CONTEXT = multiprocessing.get_context("spawn")
_RUNNER = "tuneoff.study.runner"
_KILLED = -9
"""Exit code of a process that the system killed; Linux does so when memory runs out."""
_STARTS = 3
"""So many workers may end before their first job, one after another, where no other is at work."""
_PATIENCE = 10.0
"""Seconds that a process has to end when it should."""
J = TypeVar("J")
R = TypeVar("R")


class Job(NamedTuple):
    """A run to do and the folder to leave things in."""

    spec: RunSpec
    folder: Path


Work = Callable[[Job], RunRecord]


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
        return f"its worker process {_ending(self.exit_code)} twice, the second time alone, {remedy}"


class Executor(Protocol):
    """Does jobs and gives what comes of each as they end, in any order. `close` it at the end."""

    in_process: bool
    """Whether work is done in the caller's own process, so that it may call back."""

    def prepare(self, setup: Callable[[], None]) -> None:
        """What other processes than the caller's own are to do before their first job."""

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R | Lost[J]]:
        """Yield what `work` makes of each job; its exception ends the iteration, closing ends the work.

        A job that cannot be done, because the process that does it ends, gives a `Lost`.
        """
        ...

    def close(self) -> None:
        """Ends whatever waits for further jobs."""


@final
class InlineExecutor:
    """One job after another in this process, with all its threads."""

    in_process = True

    def prepare(self, setup: Callable[[], None]) -> None:
        """Has no other process."""

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R]:
        """What `work` makes of each job, in order."""
        yield from map(work, jobs)

    def close(self) -> None:
        """Has nothing to end."""


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
        self._setup: Callable[[], None] | None = None
        self._pool: list[_Worker] = []
        _start_server()

    def prepare(self, setup: Callable[[], None]) -> None:
        """What each worker is to do before its first job; `setup` must be one that can be pickled."""
        self._setup = setup

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R | Lost[J]]:
        """Yield what `work` makes of each job, as they end; `work` must be importable by the workers.

        A job whose worker ends is done once more, alone and after all others: memory that is too small for
        several may do for one.

        Raises:
            TuneoffError: workers cannot start.
        """
        again: list[J] = []
        try:
            for result in self._once(work, jobs, self.workers):
                if isinstance(result, Lost):
                    again.append(result.job)
                else:
                    yield result
            if again:
                self.close()
            for job in again:
                yield from self._once(work, [job], 1)
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

    def _once(self, work: Callable[[J], R], jobs: Sequence[J], workers: int) -> Generator[R | Lost[J]]:
        """Yield what comes of each job, tried once by one of so many workers."""
        waiting, unready = deque(jobs), 0
        self._pool = [worker for worker in self._pool if worker.process.is_alive()]
        while True:
            raise_if_interrupted()
            with interrupts_blocked():
                self._hand_out(work, waiting, workers)
            busy: dict[object, _Worker] = {one.connection: one for one in self._pool if one.busy}
            if not busy:
                return
            # a wait without end was seen to sleep over a Ctrl-C that came as it began
            for heard in wait([one.connection for one in busy.values()], timeout=1):
                worker = busy[heard]
                try:
                    reply = worker.reply()
                except EOFError:
                    self._pool.remove(worker)
                    exit_code = worker.end()
                    if worker.ready:
                        yield Lost(worker.job, exit_code)
                        continue
                    # not the job's fault; those that are left do without this worker
                    waiting.appendleft(worker.job)
                    unready, workers = unready + 1, max(1, len(self._pool))
                    if unready >= _STARTS and not self._pool:
                        raise TuneoffError(
                            f"a worker process must live to its first job, but {unready} in a row did not: "
                            f"the last {_ending(exit_code)}; free memory, or do without --executor process "
                            "(what is complete is kept)"
                        ) from None
                    continue
                if worker.ready:
                    worker.busy = False
                    yield reply
                else:
                    worker.ready, unready = True, 0

    def _hand_out(self, work: Callable[[J], R], waiting: deque[J], workers: int) -> None:
        """Give jobs to idle workers, and to new ones while there are fewer than so many."""
        idle = [worker for worker in self._pool if not worker.busy]
        while waiting and (idle or len(self._pool) < workers):
            if not idle:
                idle.append(_Worker(self.threads, self._setup))
                self._pool += idle
            idle.pop().hand_out(work, waiting.popleft())


class _Worker:
    """A process that does one job after another, and the connection to it."""

    def __init__(self, threads: int, setup: Callable[[], None] | None) -> None:
        self.connection, its_end = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(its_end, threads, setup), daemon=True)
        self.ready = False
        """It has said that it can begin."""
        self.busy = False
        self.job: Any = None
        with its_end, suppress(OSError, EOFError):  # a process that did not start is found as one that ended
            self.process.start()

    def hand_out(self, work: Callable[[J], R], job: J) -> None:
        """Give a job to the worker, which must be idle."""
        self.busy, self.job = True, job
        with suppress(OSError):  # it has ended, and its reply says so
            self.connection.send((work, job))

    def reply(self) -> Any:
        """Return what the job gave; the first reply is None, and says that the worker is ready.

        Raises:
            EOFError: the process has ended, perhaps in the midst of its reply.
            Exception: what the job raised.
        """
        try:
            value, error = self.connection.recv()
        except OSError as ended:
            raise EOFError from ended
        if error is None:
            return value
        if self.ready:
            raise error
        raise TuneoffError(f"a worker process cannot start: {error}") from error

    def end(self) -> int | None:
        """Wait for the process to end, and return its exit code; None if it was never started."""
        self.connection.close()
        if self.process.pid is None:
            return None
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def _ending(exit_code: int | None) -> str:
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
        _CONTEXT.set_forkserver_preload([_RUNNER])
        with interrupts_blocked():
            forkserver.ensure_running()


def _serve(driver: Connection, threads: int, setup: Callable[[], None] | None) -> None:
    """Send a reply once this worker is ready, then one for each job until the connection is closed."""
    # for systems without signal masks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        driver.send_bytes(_reply(setup or (lambda: None)))
        while True:
            work, job = driver.recv()
            driver.send_bytes(_reply(partial(work, job)))


def _reply(work: Callable[[], object]) -> bytes:
    """Return a pickled pair: what the work gives, and what it raises."""
    try:
        return pickle.dumps((work(), None))
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            reply = pickle.dumps((None, error))
            pickle.loads(reply)
        except Exception:  # not every exception can be taken apart and put together again
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
        return reply


def _end_with_parent() -> None:
    """Ends this worker when the process that started it has ended, however it did: no one asks for more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
