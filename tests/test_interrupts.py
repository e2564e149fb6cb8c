"""Ctrl-C, of which the work must hear even where its exception is swallowed."""

import _thread
import os
import signal
import sys
import threading
import time
from contextlib import closing

import pytest

from helpers.swallowing import ctrl_c_that_is_swallowed
from tuneoff.interrupts import (
    interrupts_blocked,
    interrupts_postponed,
    interrupts_remembered,
    raise_if_interrupted,
)
from tuneoff.study import ProcessExecutor


@pytest.mark.subprocess
def test_workers_are_not_waited_for_behind_a_ctrl_c_that_was_swallowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with closing(ProcessExecutor(1)) as executor, pytest.raises(KeyboardInterrupt), interrupts_remembered():
        ctrl_c_that_is_swallowed()
        list(executor.map(time.sleep, [3600.0]))
    assert capsys.readouterr().err == ""


def test_a_swallowed_ctrl_c_is_raised_at_the_end_at_the_latest() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        ctrl_c_that_is_swallowed()
        done.append("the rest")
    assert done == ["the rest"]


def test_a_ctrl_c_is_kept_for_its_own_context_only() -> None:
    handler, told = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == (handler, told)
    raise_if_interrupted()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the system has no signal masks")
def test_ctrl_c_that_another_thread_takes_is_held_back_too() -> None:
    ended, done = threading.Event(), []
    other = threading.Thread(target=ended.wait)
    other.start()  # before the mask, which it would inherit
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_blocked():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            done.append("all workers are started")
    finally:
        ended.set()
        other.join()
    assert done == ["all workers are started"]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signal masks are POSIX")
def test_a_postponed_interrupt_comes_where_the_signal_is_blocked() -> None:
    """As Ray cancels a task: in a process that blocks SIGINT, and without sending one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_postponed():
            _thread.interrupt_main()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_all_postponed_signals_are_remembered() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, interrupts_remembered():
        with pytest.raises(KeyboardInterrupt), interrupts_postponed():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        for number in (signal.SIGTERM, signal.SIGINT):
            assert signal.getsignal(number).received  # type: ignore[union-attr]
    assert caught.type is KeyboardInterrupt
