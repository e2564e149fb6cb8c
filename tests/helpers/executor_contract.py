"""What every executor must do, and work that its processes can import."""

import multiprocessing
import os
import threading
import time
from abc import ABC, abstractmethod
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import DataError
from tuneoff.results import CurvePoint, RunRecord, Timings
from tuneoff.spec import expand
from tuneoff.study import Context, Event, Executor, Job, PointLogged, RunStarted, do_job
from tuneoff.study.events import ignore
from tuneoff.training import Session

_BEAMS = 10**18
"""More than a tensor can have, so that a run with so many fails."""


def refuse(job: Job, context: Context) -> RunRecord:
    raise DataError(f"cannot use the data of {job.spec.task_name}")


def whose(job: object, context: Context) -> int:
    """The process that a job is done in."""
    return os.getpid()


POINT = CurvePoint(step=1, loss=0.5)


def announce(job: Job, context: Context) -> str:
    """The id of a run, which begins and logs a point."""
    context.emit(RunStarted(job.spec))
    context.emit(PointLogged(job.spec, POINT))
    return job.spec.run_id


def note(folder: Path) -> Session:
    """Leaves the name of its process in a folder, once."""
    (folder / str(os.getpid())).touch(exist_ok=False)
    return Session()


def await_no_children() -> None:
    # the pool's own thread notes the end of its workers, and needs a moment for it
    for _ in range(600):
        if not multiprocessing.active_children():
            break
        time.sleep(0.1)
    assert multiprocessing.active_children() == []


def stay(job: Job, context: Context, first: str) -> RunRecord:
    """Ends the first job, and stays with any other."""
    if job.spec.run_id != first:
        threading.Event().wait()
    return RunRecord(run_id=job.spec.run_id, spec=job.spec, state="complete")


def small_jobs(folder: Path) -> list[Job]:
    """Two tuned runs, the first of which fails, and two zero-shot ones."""
    task = (
        "tasks.beams={kind: summarization, source: {files: {train: train.csv, test: test.csv}}, "
        "prompt: '{text}', target: text, allow_target_in_prompt: true, "
        f"max_new_tokens: 2, num_beams: {_BEAMS}}}"
    )
    study = small.spec(folder, [task, "train_sizes=[8]", "ablations={}"])
    jobs = [Job(run, folder / run.run_id) for run in expand(study)]
    return sorted(jobs, key=lambda job: (job.spec.task_name, job.spec.method_name == "zero_shot"))


class ExecutorContract(ABC):
    """The behaviour that every executor inherits."""

    @classmethod
    @abstractmethod
    def executor(cls) -> Executor:
        """The executor under test."""

    @pytest.fixture(scope="class")
    @classmethod
    def jobs(cls, tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
        return small_jobs(tmp_path_factory.mktemp("jobs"))

    @pytest.fixture(scope="class")
    @classmethod
    def records(cls, jobs: list[Job]) -> list[RunRecord]:
        with closing(cls.executor()) as executor:
            return list(executor.map(do_job, jobs))

    def test_each_job_gives_its_record_once(self, jobs: list[Job], records: list[RunRecord]) -> None:
        assert sorted(record.run_id for record in records) == sorted(job.spec.run_id for job in jobs)
        assert all(record.spec.run_id == record.run_id for record in records)

    def test_a_failing_run_becomes_a_record_and_the_others_go_on(self, records: list[RunRecord]) -> None:
        states = {(record.spec.task_name, record.state) for record in records}
        assert states == {("beams", "failed"), ("films", "complete")}

    def test_a_failing_run_says_why_and_leaves_its_traceback(
        self, jobs: list[Job], records: list[RunRecord]
    ) -> None:
        failed = next(record for record in records if record.state == "failed")
        assert failed.failure is not None
        assert failed.failure.kind == "RuntimeError"
        assert str(_BEAMS) in failed.failure.message
        folder = next(job.folder for job in jobs if job.spec.run_id == failed.run_id)
        assert failed.failure.message in (folder / "error.log").read_text(encoding="utf-8")

    def test_records_are_those_of_the_work_itself_but_for_times(
        self, jobs: list[Job], records: list[RunRecord], tmp_path: Path
    ) -> None:
        job = next(job for job in jobs if (job.spec.task_name, job.spec.method_name) == ("films", "lora"))
        (record,) = [record for record in records if record.run_id == job.spec.run_id]
        alone = do_job(job._replace(folder=tmp_path / "alone"), Context(Session(), ignore))
        assert isinstance(record.timings, Timings)
        assert record.model_dump(exclude={"timings"}) == alone.model_dump(exclude={"timings"})
        for name in ("predictions.parquet", "curve.jsonl", "adapter/adapter.safetensors"):
            assert (job.folder / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()

    def test_what_happens_in_the_work_reaches_the_caller_in_order(self, jobs: list[Job]) -> None:
        events: list[Event] = []
        with closing(self.executor()) as executor:
            assert sorted(executor.map(announce, jobs, events.append)) == sorted(
                job.spec.run_id for job in jobs
            )
        first = {job.spec.run_id: [RunStarted(job.spec), PointLogged(job.spec, POINT)] for job in jobs}
        for run_id, expected in first.items():
            assert [one for one in events if one.run.run_id == run_id] == expected  # type: ignore[union-attr]

    def test_bad_input_in_the_work_reaches_the_caller(self, jobs: list[Job]) -> None:
        with pytest.raises(DataError, match="cannot use the data of beams"):
            list(self.executor().map(refuse, jobs[:1]))

    def test_no_jobs_give_no_records(self) -> None:
        with closing(self.executor()) as executor:
            assert list(executor.map(do_job, [])) == []

    def test_it_works_again_after_it_was_closed(self, jobs: list[Job]) -> None:
        with closing(self.executor()) as executor:
            executor.close()
            assert len(list(executor.map(whose, jobs))) == len(jobs)

    def test_closing_it_ends_the_work(self, jobs: list[Job]) -> None:
        first = jobs[0].spec.run_id
        records = self.executor().map(partial(stay, first=first), jobs)
        assert next(records).run_id == first
        records.close()
        await_no_children()
