"""Ctrl-C, SIGTERM (which batch queues send) and a deadline: handled by the main process, and never lost."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType, MappingProxyType

Handler = Callable[[int, FrameType | None], object]


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the work is to be stopped as by Ctrl-C."""


class DeadlinePassed(KeyboardInterrupt):
    """The time for the work is over."""


_ERRORS: Mapping[signal.Signals, type[KeyboardInterrupt]] = MappingProxyType(
    {
        signal.SIGINT: KeyboardInterrupt,
        signal.SIGTERM: Terminated,
        signal.SIGALRM: DeadlinePassed,
    }
)
"""What stops the work, and what it raises."""


class _Remembering:
    """A handler of a signal that remembers it, and then does what the handler before it does."""

    def __init__(self, before: Handler) -> None:
        self._before = before
        self.received = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._before(number, frame)


def raise_when_terminated() -> None:
    """Let SIGTERM raise `Terminated` in this process, where it would end it."""
    signal.signal(signal.SIGTERM, _raise_error)


def _raise_error(number: int, frame: FrameType | None) -> None:
    raise _ERRORS[signal.Signals(number)]


@contextmanager
def interrupts_remembered(*, deadline: float | None = None) -> Iterator[None]:
    """Remember each Ctrl-C and SIGTERM of this context for `raise_if_interrupted`, besides raising them.

    They raise KeyboardInterrupt and its kin `Terminated`, and a deadline, in seconds, `DeadlinePassed`. The
    exception alone can get lost: Python ignores it in a `__del__`, and pydantic during validation.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = sys.unraisablehook
    with ExitStack() as stack:
        for number in _ERRORS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                signal.signal(number, _Remembering(before if callable(before) else _raise_error))
                stack.callback(signal.signal, number, before)
        if deadline is not None:
            signal.setitimer(signal.ITIMER_REAL, deadline)
            stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        # a KeyboardInterrupt that got lost is raised below, so Python need not report it
        stack.callback(setattr, sys, "unraisablehook", hook)
        sys.unraisablehook = lambda lost: (
            None if isinstance(lost.exc_value, KeyboardInterrupt) else hook(lost)
        )
        yield
        raise_if_interrupted()


def raise_if_interrupted() -> None:
    """Raise if the work is to be stopped; to be called between pieces of it.

    Raises:
        KeyboardInterrupt: in the context of `interrupts_remembered`; or one of its kin.
    """
    for number, error in _ERRORS.items():
        handler = signal.getsignal(number)
        if isinstance(handler, _Remembering) and handler.received:
            raise error


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in this context; processes started in it inherit the block for good.

    A terminal sends Ctrl-C to the whole process group, but the main process decides when workers end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # the mask holds for this thread only: a library's thread can receive the signal, and Python then runs
        # the handler in this thread all the same, perhaps while a worker is started, which would die of half
        # a message
        with interrupts_postponed():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_postponed() -> Iterator[None]:
    """Postpone what Ctrl-C, SIGTERM and a deadline do to the end of this context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: signal.signal(number, lambda one, frame: received.append(one)) for number in _ERRORS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        with ExitStack() as stack:  # all are called, whatever the others raise
            for number in dict.fromkeys(received):
                stack.callback(_do_now, number, before[signal.Signals(number)])


def _do_now(number: int, handler: object) -> None:
    """Do what a signal does, even where it is blocked: a library can have passed it on without sending it."""
    if callable(handler):
        handler(number, None)
    else:
        signal.raise_signal(number)
