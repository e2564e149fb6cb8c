"""Where runs are done: in this process, or in several on this machine."""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, final

import torch

from tuneoff.errors import TuneoffError
from tuneoff.spec import RunRecord, RunSpec


class Job(NamedTuple):
    """A run to do and the folder to leave things in."""

    spec: RunSpec
    folder: Path


Work = Callable[[Job], RunRecord]


class Executor(Protocol):
    """Does jobs and gives their records as they end, in any order."""

    def map(self, work: Work, jobs: Sequence[Job]) -> Generator[RunRecord]:
        """The record of each job. An exception of `work` ends the iteration; closing it ends the work."""
        ...


@final
class InlineExecutor:
    """One job after another in this process, with all its threads."""

    def map(self, work: Work, jobs: Sequence[Job]) -> Generator[RunRecord]:
        """The record of each job, in order."""
        yield from map(work, jobs)


@final
class ProcessExecutor:
    """Several worker processes; together their threads fit the cores."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.threads = max(1, torch.get_num_threads() // workers)

    def map(self, work: Work, jobs: Sequence[Job]) -> Generator[RunRecord]:
        """The record of each job, as they end; `work` must be importable by the workers.

        Raises:
            TuneoffError: a worker was killed.
        """
        pool = ProcessPoolExecutor(
            self.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=torch.set_num_threads,
            initargs=(self.threads,),
        )
        workers_before = set(multiprocessing.active_children())
        try:
            with _interrupts_ignored():
                futures = [pool.submit(work, job) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise TuneoffError(
                "a worker process was killed, most likely for want of memory; what is complete is kept: "
                "the same command goes on, better with fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - workers_before:
                worker.terminate()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A context whose child processes ignore Ctrl-C from their start on.

    It reaches the whole group, and the driver decides what becomes of the workers.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
