"""Measure what a Ray cluster costs: short stub runs on local nodes, and a whole study of many.

    python benchmarks/cluster.py nodes [RUNS]      # wall time on 1, 2 and 3 nodes of two runs each
    python benchmarks/cluster.py study [RUNS]      # driver, folder, status and report of a long study

A stub run leaves the record, curve and predictions of a real one on a random model, and emits its events; for
`nodes` it sleeps for a second first, as these nodes have no processors of their own.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from growth import a_study, sizes_of, tuneoff
from tuneoff.results import RunRecord, StudyFolder, read_curve, read_records
from tuneoff.spec import ResourcesSpec, dump_study, expand
from tuneoff.study import Context, Job, Lost, OnEvent, PointLogged, RunStarted, Work, run_study
from tuneoff.study.events import ignore
from tuneoff.study.ray_executor import RayExecutor

PLACES = 2
"""Runs at a time on each node."""


def stub(real: Path, seconds: float, work: object, job: Job, context: Context) -> RunRecord:
    """Do as if a run was done: leave what a real one with the same method has left."""
    context.emit(RunStarted(job.spec))
    time.sleep(seconds)
    pattern = next(one for one in read_records(real) if one.spec.method_name == job.spec.method_name)
    source = StudyFolder(real).run(pattern.run_id)
    ignored = shutil.ignore_patterns(source.adapter.name, source.record.name)
    shutil.copytree(source.path, job.folder, ignore=ignored, dirs_exist_ok=True)
    for point in read_curve(source):
        context.emit(PointLogged(job.spec, point))
    files = {name: one for name, one in pattern.files.items() if (job.folder / name).exists()}
    return pattern.model_copy(update={"run_id": job.spec.run_id, "spec": job.spec, "files": files})


def nothing(job: int, context: Context) -> int:
    """Take a moment, so that all workers are needed."""
    time.sleep(0.5)
    return job


class Stubs:
    """A Ray executor whose runs are stubs."""

    in_process = False

    def __init__(self, executor: RayExecutor, real: Path, seconds: float) -> None:
        self._executor, self._real, self._seconds = executor, real, seconds
        self.prepare, self.close = executor.prepare, executor.close

    def map(
        self, work: Work[Any, Any], jobs: Sequence[Any], on_event: OnEvent = ignore
    ) -> Generator[Any | Lost[Any]]:
        """Yield the record of a stub for each job."""
        return self._executor.map(partial(stub, self._real, self._seconds, work), jobs, on_event)


@contextmanager
def cluster(nodes: int) -> Iterator[None]:
    """Join a cluster of so many nodes on this machine."""
    head = {"num_cpus": PLACES, "include_dashboard": False}
    running = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes - 1):
        running.add_node(num_cpus=PLACES)
    ray.init(address=running.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()
        running.shutdown()


def do_study(runs: int, real: Path, folder: Path, seconds: float) -> tuple[int, float]:
    """Do a study of about so many stub runs on the cluster; return how many, and the seconds of the runs."""
    study = a_study(max(1, runs // 4))
    executor = RayExecutor(folder, ResourcesSpec(), expand(study))
    list(executor.map(nothing, range(8 * PLACES)))  # workers have imported torch before the clock starts
    started = time.perf_counter()
    run_study(study, folder, executor=Stubs(executor, real, seconds))
    return len(expand(study)), time.perf_counter() - started


def nodes(runs: int, real: Path, folder: Path) -> None:
    """Print the wall time and the overhead of each run, for 1, 2 and 3 nodes."""
    for count in (1, 2, 3):
        with cluster(count):
            done, taken = do_study(runs, real, folder / f"nodes{count}", seconds=1.0)
        ideal = done / (PLACES * count)
        overhead = 1000 * PLACES * count * (taken - ideal) / done
        print(f"{count} nodes: {done} runs of 1 s in {taken:.1f} s, {overhead:.0f} ms a run more", flush=True)


def study(runs: int, real: Path, folder: Path) -> None:
    """Print what a study of so many runs takes."""
    with cluster(1):
        done, taken = do_study(runs, real, folder / "study", seconds=0.0)
        memory = psutil.Process().memory_info().rss / 2**20
    print(
        f"{done} runs: {taken:.0f} s, {1000 * taken / done:.1f} ms each; driver: {memory:.0f} MiB", flush=True
    )
    for command in ("status", "report"):
        print(f"{command}: {tuneoff(command, str(folder / 'study'))}", flush=True)
    sizes_of(folder / "study")


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["nodes", "study"])
    parser.add_argument("runs", type=int, nargs="?")
    arguments = parser.parse_args()
    # worker processes import this file; and they are not to yield to the driver
    paths = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, paths)), RAY_worker_niceness="0")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "study.yaml")
        path.write_text(dump_study(a_study(1)), encoding="utf-8")
        tuneoff("run", str(path), "--out", f"{name}/real")
        if arguments.what == "nodes":
            nodes(arguments.runs or 120, Path(name, "real"), Path(name))
        else:
            study(arguments.runs or 10_000, Path(name, "real"), Path(name))


if __name__ == "__main__":
    import cluster  # by its name, so that workers find its functions

    cluster.main()
