"""Ctrl-C: heard by the first process alone, and never lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

_SIGNALS: ContextVar[list[int] | None] = ContextVar("_SIGNALS", default=None)
"""Those that came in the present context of `interrupts_kept`."""


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """A context in which a Ctrl-C is kept for `raise_if_interrupted`, beside what it does otherwise.

    The exception alone can get lost: Python ignores it in a `__del__`, and pydantic while it checks types.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append(number)
        before(number, frame)

    tell = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, KeyboardInterrupt) else tell(lost)
    signal.signal(signal.SIGINT, keep)
    token = _SIGNALS.set(came)
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = tell
        _SIGNALS.reset(token)


def raise_if_interrupted() -> None:
    """To be called between pieces of work.

    Raises:
        KeyboardInterrupt: Ctrl-C has come in the context of `interrupts_kept`.
    """
    if _SIGNALS.get():
        raise KeyboardInterrupt


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A context that holds Ctrl-C back until its end, and for good from processes started in it.

    It reaches the whole group, and the driver decides what becomes of the workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _handler_held():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handler_held() -> Iterator[None]:
    """A context at whose end Ctrl-C is handled that came in it.

    The mask is this thread's alone. A thread of some library can take the signal, and Python then runs the
    handler here all the same: in the midst of starting a worker, which would die of half a message.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
