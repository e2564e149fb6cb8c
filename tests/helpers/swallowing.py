"""A Ctrl-C whose exception nobody gets."""

import signal


def ctrl_c_that_is_swallowed() -> None:
    """What Ctrl-C does in the midst of a `__del__`, whose exceptions Python ignores."""
    _Dying()


class _Dying:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)
