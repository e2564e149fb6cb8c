"""Ctrl-C: handled by the main process only, and never lost."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class _Remembering:
    """A handler of Ctrl-C that remembers it, and then does what the handler before it does."""

    def __init__(self, before: Callable[[int, FrameType | None], object]) -> None:
        self._before = before
        self.received = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._before(number, frame)


@contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Remember each Ctrl-C of this context for `raise_if_interrupted`, besides raising KeyboardInterrupt.

    The exception alone can get lost: Python ignores it in a `__del__`, and pydantic during validation.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = sys.unraisablehook
    # a KeyboardInterrupt that got lost is raised below, so Python need not report it
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, KeyboardInterrupt) else hook(lost)
    signal.signal(signal.SIGINT, _Remembering(before))
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed; to be called between pieces of work.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed in the context of `interrupts_remembered`.
    """
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, _Remembering) and handler.received:
        raise KeyboardInterrupt


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
        with _handler_postponed():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handler_postponed() -> Iterator[None]:
    """Postpone the handling of Ctrl-C to the end of this context.

    The signal mask holds for this thread only. A library's thread can receive the signal, and Python then
    runs the handler in this thread all the same: perhaps while a worker is started, which would die of half
    a message.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)
