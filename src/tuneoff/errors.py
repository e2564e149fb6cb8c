"""The errors that tuneoff raises, and how their messages quote values.

    TuneoffError
    |-- InputError          an input cannot be used (exit code 2)
    |   |-- StudyError      the study file or a --set override
    |   |-- DataError       a file or hub data set, or the rows in it
    |   |-- ModelError      a checkpoint: its path, its files or its architecture
    |   `-- StoreError      the output folder: permission, space, another study's data
    |       |-- DamagedError      a file in it was changed after it was written
    |       `-- NewerFormatError  a file in it was written by a newer version
    |-- UnfitError          a model cannot carry a method (that of a failed run, not an exit code)
    |-- DivergedError       a loss or gradient is not finite (a run's state, not an exit code)
    `-- StoppedError        a run is stopped early

Each message says what is wrong, where, and what to do.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LONGEST_VALUE = 200
"""Characters of a value that a message quotes."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]+@")
"""The user and password in a URL."""


class TuneoffError(Exception):
    """Base of all errors that tuneoff raises itself."""


class InputError(TuneoffError):
    """An input of the user cannot be used."""


class StudyError(InputError):
    """The study file or an override of it is wrong."""


class DataError(InputError):
    """A data source is missing, unreadable or has unusable rows."""


class ModelError(InputError):
    """A checkpoint is missing, unreachable, incomplete or of another architecture."""


class StoreError(InputError):
    """The output folder cannot be written or belongs to another study."""


class DamagedError(StoreError):
    """A file in an output folder was changed after it was written."""


class NewerFormatError(StoreError):
    """A file in an output folder was written by a newer version of tuneoff."""


class UnfitError(TuneoffError):
    """A model cannot carry a method, while it can carry others."""


class DivergedError(TuneoffError):
    """The loss or a gradient of a run is not finite."""


class StoppedError(TuneoffError):
    """Raised to stop a run early, for example by the pruner."""


def shown(value: object) -> str:
    """Return a value as messages quote it: its repr, cut to 200 characters.

    A repr escapes control characters, bidirectional marks and others that do not print.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to print integers of many thousand digits
        return f"{type(value).__name__} too large to show"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text):,} characters)"


def first_line(error: Exception, *, longest: int = LONGEST_VALUE) -> str:
    """Return the first line of an error's message that is not blank, cut to `longest` characters.

    Messages of other libraries can contain whole stack traces, quote values in full, and passwords in URLs.
    """
    text = without_credentials(str(error))
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= longest else f"{line[:longest]}... ({len(line):,} characters)"


def is_memory_error(error: Exception) -> bool:
    """Return whether memory was exhausted, maybe for a library that was to be loaded."""
    if isinstance(error, ImportError):  # the words of the C library, which adds any other reason behind them
        return str(error).endswith((": failed to map segment from shared object", ": Cannot allocate memory"))
    return isinstance(error, MemoryError)


def without_credentials(text: str) -> str:
    """Return a text with `***` for the user and password of each URL in it."""
    return _CREDENTIALS.sub("***@", text)


def visible(text: str) -> str:
    """Return a text with escapes for characters that would change how others are displayed.

    These are control characters, bidirectional marks, line separators except the newline, and halves of
    surrogate pairs. Tabs, the joiners that scripts and emoji need, and all other characters stay.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not hidden or character in "\n\t\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode()


def near_names(name: str, names: Sequence[str]) -> list[str]:
    """Return up to three names that are spelled much like `name`; none if there are more than 1,000."""
    # cut, since comparing long texts is slow, and no name is one
    return difflib.get_close_matches(name[:LONGEST_VALUE], names, n=3) if len(names) <= 1000 else []


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Return a phrase for a message: the unknown name, near matches, and all known names if they are few."""
    return f"unknown name {shown(name)}{suggestions(name, known)}"


def suggestions(name: str, known: Iterable[str]) -> str:
    """Return the end of a message on an unknown name: near matches, and all known names if they are few."""
    names = sorted(known)
    near = near_names(name, names)
    hint = f"; did you mean {' or '.join(map(shown, near))}?" if near else ""
    short = len(names) <= 20 and sum(map(len, names)) <= 2 * LONGEST_VALUE
    listing = ", ".join(one if one.isprintable() else shown(one) for one in names)
    return f"{hint} (known: {listing})" if short else hint


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write in this context into a `StoreError` about the path."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write '{path}': {error.strerror or error}; free space, get permission, or write to "
            "another folder (finished results are kept)"
        ) from error
