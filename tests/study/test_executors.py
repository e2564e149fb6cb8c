"""Both executors on one machine."""

import pytest

from executor_contract import ExecutorContract, die
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
