"""What stops a command: Ctrl-C, SIGTERM, a deadline."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import typer

from tuneoff.errors import InputError, shown
from tuneoff.interrupts import DeadlinePassed, Terminated, interrupts_remembered

_INTERRUPTED, _TERMINATED, _LATE = 130, 143, 124
STOPPED: Mapping[int, str] = MappingProxyType(
    {_INTERRUPTED: "Interrupted", _TERMINATED: "Terminated", _LATE: "Stopped at the deadline"}
)
"""Exit codes and what they mean: those of a shell for Ctrl-C and SIGTERM, and that of the command timeout."""


@contextmanager
def ended_by_stops(*, deadline: float | None) -> Iterator[None]:
    """End the command with the code of what stops it; `deadline` is in seconds from now."""
    try:
        with interrupts_remembered(deadline=deadline):
            yield
    except Terminated as error:
        raise typer.Exit(_TERMINATED) from error
    except DeadlinePassed as error:
        raise typer.Exit(_LATE) from error
    # Typer itself returns 130 for a KeyboardInterrupt


def seconds_of(time: str) -> float:
    """Return the seconds of a time such as `3h50m`, `45m` or `90s`.

    Raises:
        InputError: it is none, or not above 0.
    """
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", time)
    numbers = parts.groups(default="0") if parts else ()
    seconds = sum(int(number) * unit for number, unit in zip(numbers, (3600, 60, 1), strict=False))
    if not 0 < seconds < _LONGEST:
        raise InputError(f"--deadline must be a time such as 3h50m, 45m or 90s, but got {shown(time)}")
    return float(seconds)


_LONGEST = 10 * 365 * 24 * 3600
"""Seconds; a timer has an end."""
