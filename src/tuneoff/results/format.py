"""JSON files in an output folder: their format number, and checksums.

Each JSON file has a checksum of its own content. A record also has the checksums of all other files of its
run, so that any later change of any file is noticed.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from tuneoff.errors import DamagedError, NewerFormatError, shown
from tuneoff.spec import Spec
from tuneoff.spec.load import FORMAT
from tuneoff.spec.run import S, digest_of

_CHECKSUMMED = 2
"""The first format whose files carry a checksum."""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise ValueError(f"a file must be named by its path inside the run's folder, but got {shown(name)}")
    return name


InnerPath = Annotated[str, AfterValidator(_inside)]
"""A file's path relative to the folder of its run, which it cannot leave."""


class FileChecksum(Spec):
    """Size and SHA-256 of a file when its run ended."""

    bytes: int
    sha256: str


def dump_json(spec: Spec) -> str:
    """Return a spec as the text of a JSON file, with the number of the format and a checksum."""
    content = {"format": FORMAT, **spec.model_dump(mode="json")}
    return json.dumps(content | {"checksum": digest_of(content)}, indent=2, ensure_ascii=False) + "\n"


def read_json(kind: type[S], path: Path) -> tuple[S, tuple[str, ...]]:
    """Return the spec in a JSON file, and the names of fields that this version does not know and ignores.

    Raises:
        DamagedError: the file cannot be read, or was changed after it was written.
        NewerFormatError: it was written by a newer version.
    """
    with damaged_if_unreadable(path, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        number = content.get("format", 1)
        check_format(path, number)
        checksum = content.pop("checksum", None)
        if checksum != (digest_of(content) if number >= _CHECKSUMMED else None):
            raise ValueError("it was changed after it was written")
        content.pop("format", None)
        return _known_fields(kind, content)


def check_format(path: Path, number: object) -> None:
    """Check the number of a file's format.

    Raises:
        ValueError: no version has written such a number.
        NewerFormatError: a newer version has written the file.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"format is {shown(number)}")
    if number > FORMAT:
        raise NewerFormatError(
            f"{path} was written by a newer version of tuneoff (format {number}, this one reads up to "
            f"{FORMAT}); upgrade tuneoff, or give another --out"
        )


def _known_fields(kind: type[S], content: dict[str, Any]) -> tuple[S, tuple[str, ...]]:
    """Return the spec without its unknown fields, and their dotted names.

    A later version of the same format may have added them.

    Raises:
        pydantic.ValidationError: anything else is wrong with it.
    """
    try:
        return kind.model_validate_json(json.dumps(content)), ()
    except ValidationError as error:
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
        if not unknown or len(unknown) < error.error_count():
            raise
    for *parents, name in unknown:
        # follow the steps of pydantic's error to the mapping that holds the field; among them are the chosen
        # kinds of unions, which are no keys of the content: ("spec", "method", "lora", "rank")
        parent: Any = content
        for step in parents:
            if isinstance(step, int) or step in parent:
                parent = parent[step]
        del parent[name]
    names = tuple(".".join(str(step) for step in place) for place in unknown)
    return kind.model_validate_json(json.dumps(content)), names


def file_checksum(path: Path) -> FileChecksum:
    """Return size and SHA-256 of a file."""
    with path.open("rb") as file:
        return FileChecksum(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def file_checksums(folder: Path) -> dict[str, FileChecksum]:
    """Return the checksums of all files in a run's folder, by relative path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_checksum(path) for path in paths}


@contextmanager
def damaged_if_unreadable(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn a failure to read a file in this context, or one of the given errors, into a `DamagedError`."""
    unreadable: tuple[type[Exception], ...] = (ValidationError, UnicodeDecodeError, OSError, *errors)
    try:
        yield
    except unreadable as error:
        raise DamagedError(f"{path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case ValidationError():
            detail = error.errors()[0]
            return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error).partition("\n")[0] or type(error).__name__
