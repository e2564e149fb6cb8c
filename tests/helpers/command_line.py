"""The command line, called in this process."""

import contextlib
import hashlib
import io
from pathlib import Path
from typing import NamedTuple

from tuneoff.cli import main


class Outcome(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def tuneoff(*arguments: str | Path) -> Outcome:
    """The outcome of `tuneoff` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int | None)
    return Outcome(code or 0, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file in a folder, by its path; folders as such too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }
