"""Work that ends its own worker process, as the system does where memory runs out."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from tuneoff.results import RunRecord
from tuneoff.spec import RunSpec
from tuneoff.study import Context, Job, Lost, OnEvent, ProcessExecutor, Work, tune
from tuneoff.study.events import ignore
from tuneoff.training import Session

J = TypeVar("J")
R = TypeVar("R")
HELD = "held"
"""A file that says that the driver reads no results."""


class Attempt(NamedTuple):
    """A job for `attempt`."""

    name: str
    folder: Path
    """Where each attempt leaves a file."""
    ends: tuple[Literal["killed", "exit", "killed while sending", "interrupt"], ...] = ()
    """How the first attempts end; later ones succeed."""

    @property
    def times(self) -> int:
        """How often it was begun."""
        return len(list(self.folder.glob(f"{self.name}.*")))


def attempt(job: Attempt, context: Context) -> str | bytes:
    """The name of a job, where it does not end otherwise."""
    number = job.times
    (job.folder / f"{job.name}.{number}").touch(exist_ok=False)
    match job.ends[number : number + 1]:
        case ("killed",):
            kill_oneself()
        case ("exit",):
            os._exit(9)
        case ("killed while sending",):
            while not (job.folder / HELD).exists():
                time.sleep(0.02)
            threading.Timer(0.3, kill_oneself).start()
            return bytes(10_000_000)  # more than a connection holds while nobody reads
        case ("interrupt",):
            driver = multiprocessing.parent_process()
            assert driver is not None
            assert driver.pid is not None
            os.kill(driver.pid, signal.SIGINT)
            threading.Event().wait()
    return job.name


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse_to_start() -> Session:
    raise ValueError("no room")


def killed_at_first(folder: Path, times: int) -> Session:
    """A preparation that ends its worker the first times."""
    number = len(list(folder.iterdir()))
    (folder / f"{number}.{os.getpid()}").touch()
    if number < times:
        kill_oneself()
    return Session()


class Unportable(Exception):
    """An exception that another process cannot put together again."""

    def __init__(self, one: object, other: object) -> None:
        super().__init__(f"{one} and {other}")


def raise_unportable(job: object, context: Context) -> None:
    raise Unportable(job, "more")


class Killing:
    """Two worker processes that do what `work` makes of the work they are given."""

    in_process = False

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work, self._workers = work, ProcessExecutor(workers=2)
        self.prepare, self.close = self._workers.prepare, self._workers.close

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        return self._workers.map(partial(self._work, work), jobs, on_event)


def killed_in_run(fatal: str, work: Work[J, R], job: J, context: Context) -> R:
    """Does a job, unless it is a run whose id begins so, which leaves half a line of its curve."""
    if isinstance(job, Job) and job.spec.run_id.startswith(fatal):
        job.folder.mkdir(exist_ok=True)
        (job.folder / "curve.jsonl").write_text('{"step": ', encoding="utf-8")
        kill_oneself()
    return work(job, context)


def killed_with_whole_batches(work: Work[J, R], job: J, context: Context) -> R:
    """Does a job, unless it is a run that reads its batches as they are."""
    if isinstance(job, Job) and job.parts == 1:
        kill_oneself()
    return work(job, context)


def killed_in_trial(fatal: tuple[str, ...], work: Work[J, R], job: J, context: Context) -> R:
    """Does a job, unless it is a search that comes to a trial whose folder is named so."""
    run_trial = tune.run_trial

    def or_die(spec: RunSpec, folder: Path, **options: Any) -> RunRecord:
        if folder.name in fatal:
            kill_oneself()
        return run_trial(spec, folder, **options)

    tune.run_trial = or_die
    try:
        return work(job, context)
    finally:
        tune.run_trial = run_trial
