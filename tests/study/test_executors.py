"""Both executors on one machine."""

import multiprocessing
import os
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from executor_contract import ExecutorContract, await_no_children, die, note, whose
from tuneoff.errors import InputError, TuneoffError
from tuneoff.study import InlineExecutor, Job, ProcessExecutor


class TestInlineExecutor(ExecutorContract):
    @classmethod
    def executor(cls) -> InlineExecutor:
        return InlineExecutor()


class TestProcessExecutor(ExecutorContract):
    @classmethod
    def executor(cls) -> ProcessExecutor:
        return ProcessExecutor(workers=2)

    def test_a_killed_worker_is_told_with_the_way_on(self, jobs: list[Job]) -> None:
        with pytest.raises(
            TuneoffError, match=r"a worker process was killed, .* with fewer --workers"
        ) as caught:
            list(self.executor().map(die, jobs[:1]))
        assert not isinstance(caught.value, InputError)

    def test_its_workers_stay_for_further_jobs_until_it_is_closed(self, jobs: list[Job]) -> None:
        await_no_children()
        with closing(self.executor()) as executor:
            workers = []
            for _ in range(2):
                done_by = set(executor.map(whose, jobs))
                workers.append({child.pid for child in multiprocessing.active_children()})
                assert done_by <= workers[-1]
            assert workers[0] == workers[1]
        await_no_children()

    def test_each_worker_prepares_once_before_its_first_job(self, jobs: list[Job], tmp_path: Path) -> None:
        with closing(self.executor()) as executor:
            executor.prepare(partial(note, tmp_path))
            done_by = {str(worker) for _ in range(2) for worker in executor.map(whose, jobs)}
        prepared = {path.name for path in tmp_path.iterdir()}
        assert done_by <= prepared
        assert len(prepared) <= 2
        assert str(os.getpid()) not in prepared
