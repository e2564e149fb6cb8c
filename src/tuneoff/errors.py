"""The errors that tuneoff raises on purpose.

    TuneoffError
    |-- InputError          what the user gave cannot be used (exit code 2)
    |   |-- StudyError      the study file or a --set override
    |   |-- DataError       a file or hub data set, or the rows in it
    |   |-- ModelError      a checkpoint: its place, its files or its family
    |   `-- StoreError      the output folder: permission, space, another study's data
    |       |-- DamagedError      a file in it is not as it was written
    |       `-- NewerFormatError  a file in it was written by a newer version
    |-- DivergedError       a loss or gradient stopped being finite (a run's state, not an exit code)
    `-- StoppedError        a run is to be stopped early

Each message gives the rule, the value and the remedy.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LONGEST_VALUE = 200
"""Characters of a value that a message quotes."""


class TuneoffError(Exception):
    """Base of all errors raised on purpose."""


class InputError(TuneoffError):
    """Something given by the user cannot be used."""


class StudyError(InputError):
    """The study file or an override of it is wrong."""


class DataError(InputError):
    """A data source is missing, unreadable or has unusable rows."""


class ModelError(InputError):
    """A checkpoint is missing, unreachable, incomplete or of another family."""


class StoreError(InputError):
    """The output folder cannot be written or belongs to another study."""


class DamagedError(StoreError):
    """A file in an output folder is not as it was written."""


class NewerFormatError(StoreError):
    """A file in an output folder was written by a newer version of tuneoff."""


class DivergedError(TuneoffError):
    """The loss or a gradient of a run is not finite."""


class StoppedError(TuneoffError):
    """A run is to go no further."""


def shown(value: object) -> str:
    """Return a value as messages quote it: its repr, cut to 200 characters.

    A repr escapes control, bidirectional and other characters that do not print.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to write integers of many thousand digits
        return f"{type(value).__name__} too large to show"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text):,} characters)"


def first_line(error: Exception, *, longest: int = LONGEST_VALUE) -> str:
    """Return the first line of an error's message that is not blank, cut to so many characters.

    Errors of other libraries hold whole stacks and quote values in full.
    """
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= longest else f"{line[:longest]}... ({len(line):,} characters)"


def visible(text: str) -> str:
    """Return a text with an escape in place of each character that would change how others are shown.

    Control and bidirectional characters, separators of lines but for the newline, halves of surrogate
    pairs. Tabs, the joiners that scripts and emoji need and all other characters stay.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not hidden or character in "\n\t\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode()


def near_names(name: str, names: Sequence[str]) -> list[str]:
    """Return up to three names that are written much like another; none of more than 1,000."""
    # to compare long texts takes long, and no name is one
    return difflib.get_close_matches(name[:LONGEST_VALUE], names, n=3) if len(names) <= 1000 else []


def unknown_name(name: str, known: Iterable[str]) -> str:
    """A phrase that names what is unknown, its near matches, and what is known where that is short."""
    names = sorted(known)
    near = near_names(name, names)
    hint = f"; did you mean {' or '.join(map(shown, near))}?" if near else ""
    short = len(names) <= 20 and sum(map(len, names)) <= 2 * LONGEST_VALUE
    told = ", ".join(one if one.isprintable() else shown(one) for one in names)
    listing = f" (known: {told})" if short else ""
    return f"unknown name {shown(name)}{hint}{listing}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context in which a failure to write becomes a `StoreError` about the path."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"'{path}' must be writable, but: {error.strerror or error}; free space, get permission, or "
            "give another folder with --out (what is complete is kept)"
        ) from error
