"""Where runs are done: in this process, or in several on this machine."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, final

import torch

from tuneoff.errors import TuneoffError
from tuneoff.interrupts import interrupts_held, raise_if_interrupted
from tuneoff.spec import RunRecord, RunSpec

_START = "forkserver" if sys.platform == "linux" else "spawn"
"""How workers come to be: elsewhere, libraries that torch stands on do not survive a fork."""
_RUNNER = "tuneoff.study.runner"
J = TypeVar("J")
R = TypeVar("R")


class Job(NamedTuple):
    """A run to do and the folder to leave things in."""

    spec: RunSpec
    folder: Path


Work = Callable[[Job], RunRecord]


class Executor(Protocol):
    """Does jobs and gives what comes of each as they end, in any order. `close` it at the end."""

    in_process: bool
    """Whether work is done in the caller's own process, so that it may call back."""

    def prepare(self, setup: Callable[[], None]) -> None:
        """What other processes than the caller's own are to do before their first job."""

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R]:
        """What `work` makes of each job; its exception ends the iteration, closing ends the work."""
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

    They stay for further jobs, with the rows and encodings that they know.
    """

    in_process = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.threads = max(1, torch.get_num_threads() // workers)
        self._setup: Callable[[], None] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()
        _start_server()

    def prepare(self, setup: Callable[[], None]) -> None:
        """What each worker is to do before its first job; `setup` must be one that can be pickled."""
        self._setup = setup

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R]:
        """What `work` makes of each job, as they end; `work` must be importable by the workers.

        Raises:
            TuneoffError: a worker was killed.
        """
        try:
            yield from self._results(work, jobs)
        except BrokenProcessPool as error:
            self.close()
            raise TuneoffError(
                "a worker process was killed, most likely for want of memory; what is complete is kept: "
                "the same command goes on, better with fewer --workers"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the workers, whatever they are doing."""
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - self._others:
            worker.terminate()
        self._pool = None

    def _results(self, work: Callable[[J], R], jobs: Sequence[J]) -> Generator[R]:
        raise_if_interrupted()
        pool = self._started()
        with interrupts_held():
            pending = {pool.submit(work, job) for job in jobs}
        while pending:
            raise_if_interrupted()
            # a wait without end was seen to sleep over a Ctrl-C that came as it began
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._others = set(multiprocessing.active_children())
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context(_START),
                initializer=_start_worker,
                initargs=(self.threads, self._setup),
            )
        return self._pool


def _start_server() -> None:
    """Starts the process that workers are forked from; it imports what they need while this one goes on."""
    if os.name == "posix":
        # it unblocks signals behind itself, so it must not be started with the server, nor with a worker
        resource_tracker.ensure_running()
    if _START == "forkserver":
        multiprocessing.set_forkserver_preload([_RUNNER])
        with interrupts_held():
            forkserver.ensure_running()


def _start_worker(threads: int, setup: Callable[[], None] | None) -> None:
    # for systems without signal masks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if setup is not None:
        setup()


def _end_with_parent() -> None:
    """Ends this worker when the process that started it has ended, however it did: no one asks for more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
