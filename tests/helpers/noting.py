"""An executor that notes at which node of a Ray cluster, and in which process, each job is begun."""

import os
import signal
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import ray

from tuneoff.study import Context, Lost, OnEvent, Work
from tuneoff.study.events import ignore
from tuneoff.study.ray_executor import RayExecutor

J = TypeVar("J")
R = TypeVar("R")


def noted(folder: Path, node: str, work: Work[J, R], job: J, context: Context) -> R:
    """Do a job, note where it was begun, and wait until one is begun at a node."""
    note = folder / f"{getattr(job, 'name', 'job')}.{time.monotonic_ns()}"
    note.write_text(f"{ray.get_runtime_context().get_node_id()} {os.getpid()}", encoding="utf-8")
    while not any(one.read_text(encoding="utf-8").startswith(node) for one in folder.iterdir()):
        time.sleep(0.05)
    return work(job, context)


class Noting:
    """Notes where jobs are begun, and goes on when one is begun at a node."""

    in_process = False

    def __init__(self, executor: RayExecutor, folder: Path, node: str) -> None:
        folder.mkdir()
        self._executor, self._folder, self._node = executor, folder, node
        self.prepare, self.close = executor.prepare, executor.close

    def map(self, work: Work[J, R], jobs: Sequence[J], on_event: OnEvent = ignore) -> Generator[R | Lost[J]]:
        return self._executor.map(partial(noted, self._folder, self._node, work), jobs, on_event)

    def times(self, job: str) -> int:
        """How often a job was begun."""
        return len(list(self._folder.glob(f"{job}.*")))

    def kill_worker(self, job: str) -> bool:
        """Kill the process of a job that was begun at the node; return whether there is one."""
        for note in self._folder.glob(f"{job}.*"):
            at, pid = note.read_text(encoding="utf-8").split()
            if at == self._node:
                os.kill(int(pid), signal.SIGKILL)
                return True
        return False
