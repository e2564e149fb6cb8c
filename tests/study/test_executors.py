"""Both executors on one machine."""

import os
import signal
import threading
import time

import pytest

from executor_contract import ExecutorContract, die
from tuneoff.errors import InputError, TuneoffError
from tuneoff.study import InlineExecutor, Job, ProcessExecutor, executor


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


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the system has no signal masks")
def test_ctrl_c_that_another_thread_takes_is_held_back_too() -> None:
    ended, done = threading.Event(), []
    other = threading.Thread(target=ended.wait)
    other.start()  # before the mask, which it would inherit
    try:
        with pytest.raises(KeyboardInterrupt), executor._interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            done.append("all workers are started")
    finally:
        ended.set()
        other.join()
    assert done == ["all workers are started"]
