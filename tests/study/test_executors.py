"""Both executors on one machine."""

import multiprocessing
import os
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from helpers.executor_contract import ExecutorContract, await_no_children, note, whose
from helpers.killing import (
    HELD,
    Attempt,
    attempt,
    kill_oneself,
    killed_at_first,
    raise_unportable,
    refuse_to_start,
)
from tuneoff.errors import InputError, TuneoffError
from tuneoff.interrupts import interrupts_remembered
from tuneoff.study import InlineExecutor, Job, Lost, ProcessExecutor

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


class TestInlineExecutor(ExecutorContract):
    @classmethod
    def executor(cls) -> InlineExecutor:
        return InlineExecutor()


@pytest.mark.subprocess
class TestProcessExecutor(ExecutorContract):
    @classmethod
    def executor(cls) -> ProcessExecutor:
        return ProcessExecutor(workers=2)

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

    @posix
    def test_jobs_that_kill_their_workers_are_lost_after_a_second_attempt_and_the_others_done(
        self, tmp_path: Path
    ) -> None:
        fatal = [Attempt(name, tmp_path, ("killed", "killed")) for name in "bd"]
        once = Attempt("c", tmp_path, ("killed",))
        other = [Attempt(name, tmp_path) for name in "aefg"]
        jobs = [other[0], fatal[0], once, fatal[1], *other[1:]]
        with closing(self.executor()) as executor:
            results = list(executor.map(attempt, jobs))
            lost = [result for result in results if isinstance(result, Lost)]
            assert sorted(lost) == [Lost(job, -9) for job in fatal]  # in any order
            assert sorted(result for result in results if isinstance(result, str)) == list("acefg")
            assert {job.name: job.times for job in jobs} == dict.fromkeys("bcd", 2) | dict.fromkeys("aefg", 1)
            assert list(executor.map(attempt, [Attempt("again", tmp_path)])) == ["again"]

    @posix
    def test_the_second_attempt_is_alone_and_last(self, tmp_path: Path) -> None:
        jobs = [Attempt("a", tmp_path, ("killed",)), *(Attempt(name, tmp_path) for name in "bcd")]
        with closing(self.executor()) as executor:
            results = executor.map(attempt, jobs)
            assert {next(results) for _ in range(3)} == set("bcd")
            assert next(results) == "a"
            assert len(multiprocessing.active_children()) == 1
            assert list(results) == []

    def test_a_worker_that_ends_by_itself_is_lost_with_its_exit_code(self, tmp_path: Path) -> None:
        with closing(self.executor()) as executor:
            (lost,) = executor.map(attempt, [Attempt("a", tmp_path, ("exit", "exit"))])
        assert isinstance(lost, Lost)
        assert (lost.exit_code, lost.state) == (9, "failed")
        assert "ended with exit code 9 twice, the second time alone" in lost.message

    def test_a_job_lost_to_a_kill_ran_out_of_memory_most_likely(self) -> None:
        assert Lost("job", -9).state == "out_of_memory"
        assert "was killed by SIGKILL twice" in Lost("job", -9).message
        assert "memory ran out; free memory, or make the batches" in Lost("job", -9).message
        assert Lost("job", -11).state == "failed"
        assert "was killed by SIGSEGV twice" in Lost("job", -11).message

    @posix
    def test_a_worker_that_is_killed_while_it_sends_its_result_hangs_nothing(self, tmp_path: Path) -> None:
        half = Attempt("half", tmp_path, ("killed while sending",))
        with closing(self.executor()) as executor:
            results = executor.map(attempt, [Attempt("a", tmp_path), half])
            assert next(results) == "a"
            (tmp_path / HELD).touch()
            while len(multiprocessing.active_children()) > 1:
                time.sleep(0.02)
            assert list(results) == ["half"]
        assert half.times == 2

    @posix
    def test_workers_that_are_killed_between_jobs_are_replaced(self, tmp_path: Path) -> None:
        with closing(self.executor()) as executor:
            list(executor.map(attempt, [Attempt(name, tmp_path) for name in "ab"]))
            for worker in multiprocessing.active_children():
                worker.kill()
                worker.join()
            again = [Attempt(name, tmp_path) for name in "cd"]
            assert sorted(str(name) for name in executor.map(attempt, again)) == ["c", "d"]
        assert [job.times for job in again] == [1, 1]

    @posix
    def test_a_worker_that_is_killed_before_its_first_job_costs_no_attempt(self, tmp_path: Path) -> None:
        (tmp_path / "starts").mkdir()
        job = Attempt("a", tmp_path)
        with closing(ProcessExecutor(workers=1)) as executor:
            executor.prepare(partial(killed_at_first, tmp_path / "starts", 2))
            assert list(executor.map(attempt, [job])) == ["a"]
        assert job.times == 1

    @posix
    def test_workers_that_never_live_to_a_job_are_one_error(self, tmp_path: Path) -> None:
        executor = self.executor()
        executor.prepare(kill_oneself)  # type: ignore[arg-type]
        with pytest.raises(
            TuneoffError, match=r"in a row ended, and the last was killed by SIGKILL; free"
        ) as caught:
            list(executor.map(attempt, [Attempt(name, tmp_path) for name in "abcdef"]))
        assert not isinstance(caught.value, InputError)
        assert multiprocessing.active_children() == []

    def test_a_preparation_that_fails_is_one_error(self, tmp_path: Path) -> None:
        executor = self.executor()
        executor.prepare(refuse_to_start)
        with pytest.raises(TuneoffError, match="a worker process cannot start: no room"):
            list(executor.map(attempt, [Attempt(name, tmp_path) for name in "abc"]))
        assert multiprocessing.active_children() == []

    def test_an_exception_that_does_not_travel_is_reported_in_words(self) -> None:
        with pytest.raises(RuntimeError, match="Unportable: 1 and more"):
            list(self.executor().map(raise_unportable, [1]))

    @posix
    def test_ctrl_c_in_a_second_attempt_ends_the_work(self, tmp_path: Path) -> None:
        jobs = [Attempt("a", tmp_path, ("killed", "interrupt")), Attempt("b", tmp_path)]
        results = []
        with pytest.raises(KeyboardInterrupt), interrupts_remembered():
            results += self.executor().map(attempt, jobs)
        assert multiprocessing.active_children() == []
        assert [job.times for job in jobs] == [2, 1]
