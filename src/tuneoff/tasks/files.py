"""Local files: csv, tsv, json, jsonl and parquet, each also with .gz."""

import codecs
import gzip
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tuneoff.errors import DataError, shown, suggestions
from tuneoff.tasks.arrow import arrow_records, too_large
from tuneoff.tasks.delimited import read_delimited
from tuneoff.tasks.table import Record, Table

MOST_UNPACKED = 4 * 2**30
"""The most bytes that a compressed file may unpack to."""

_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SIGNATURES = {
    b"\x1f\x8b": "gzip data; add .gz to its name",
    b"PK\x03\x04": "a zip archive or an Excel sheet; export it as .csv",
    b"\xd0\xcf\x11\xe0": "an old Excel sheet; export it as .csv",
    b"BZh": "bzip2 data; unpack it",
    b"\xfd7zXZ": "xz data; unpack it",
    b"\x28\xb5\x2f\xfd": "zstd data; unpack it",
    b"PAR1": "Parquet; name it .parquet",
    b"ARROW1": "Arrow; save it as .parquet",
}
_PART = 1 << 20
"""Bytes that are unpacked at a time."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_PACKED_ENDINGS = (".bz2", ".xz", ".zip", ".zst", ".7z", ".tar", ".tgz")


def read_file(
    path: Path, columns: Sequence[str], *, lists: Collection[str] = (), most_unpacked: int = MOST_UNPACKED
) -> Table:
    """Read the rows of a file, with those of the given columns that it has; `lists` may hold lists.

    Raises:
        DataError: the file is missing, unreadable, empty, or not of the type that its ending names; it
            changes while it is read, or unpacks to more than `most_unpacked` bytes.
    """
    packed, ending = path.suffix.lower() == ".gz", _ending(path)
    if not is_table(path):
        raise DataError(_unknown_ending(path, ending))
    with _opened(path) as file, unchanged(path, file):
        content = io.BytesIO(_unpacked(path, file, most_unpacked)) if packed else file
        if ending == ".parquet":
            return _read_parquet(path, content, columns, lists, most_unpacked)
        text = _text(path, content.read())
    if not text.strip():
        raise DataError(f"'{path}' is empty; give a file with rows")
    return _TEXT_READERS[ending](path, text, columns)


def is_table(path: Path) -> bool:
    """Return whether a file's ending is one that `read_file` reads."""
    return _ending(path) in ENDINGS


def _ending(path: Path) -> str:
    packed = path.suffix.lower() == ".gz"
    return Path(path.stem).suffix.lower() if packed else path.suffix.lower()


def read_lines(path: Path) -> tuple[str, ...]:
    """Read the lines of a text file, without blank ones and without spaces at their ends.

    Raises:
        DataError: the file is missing, unreadable or not text, or changes while it is read.
    """
    with _opened(path) as file, unchanged(path, file):
        text = _text(path, file.read())
    # not splitlines: a text may hold other line separators
    lines = (line.strip() for line in _LINE_ENDS.split(text))
    return tuple(line for line in lines if line)


def _unknown_ending(path: Path, ending: str) -> str:
    if ending in _PACKED_ENDINGS:
        return f"'{path}' is compressed, and only gzip (.csv.gz) is supported; unpack it"
    hint = suggestions(ending, ENDINGS)
    return f"unsupported file type {shown(ending)} of '{path}'{hint}"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError(f"'{path}' is a folder; give a file in it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise DataError(f"'{path}' is a pipe or a device; write its content to a file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        cause = f"'{path}' is a broken link" if path.is_symlink() else f"there is no file '{path}'"
        raise DataError(
            f"{cause}; correct the path (in a study, it is relative to the study file's folder)"
        ) from error
    except PermissionError as error:
        raise DataError(f"no permission to read '{path}'; change its permissions") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}' ({error.strerror}); check the file and its disk") from error


@contextmanager
def unchanged(path: Path, file: BinaryIO) -> Iterator[None]:
    """Check that an open file does not change in this context, in which it is read.

    Raises:
        DataError: the file was written to in the meantime.
    """
    before = _state(file)
    changed = f"'{path}' changed while it was read; try again when it is complete"
    try:
        yield
    except DataError as error:
        if _state(file) != before:
            raise DataError(changed) from error
        raise
    if _state(file) != before:
        raise DataError(changed)


def _state(file: BinaryIO) -> tuple[int, int]:
    """Return size and time of the last change."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _unpacked(path: Path, file: BinaryIO, most_bytes: int) -> bytes:
    unpacked = bytearray()
    try:
        # in parts: to read that many bytes at once reserves memory for all of them
        for part in iter(partial(gzip.GzipFile(fileobj=file).read, _PART), b""):
            unpacked += part
            if len(unpacked) > most_bytes:
                raise DataError(too_large(f"'{path}'", most_bytes))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is not a complete gzip file ({error}); write it again") from error
    return bytes(unpacked)


def _text(path: Path, data: bytes) -> str:
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(_no_text(path, data, error.start)) from error
    if "\0" in text:
        raise DataError(_no_text(path, data, data.index(b"\0")))
    return text


def _no_text(path: Path, data: bytes, position: int) -> str:
    kind = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)
    if kind is not None:
        return f"'{path}' is not text but {kind}"
    line = data.count(b"\n", 0, position) + 1
    return f"'{path}' is not UTF-8 text: byte 0x{data[position]:02x} at line {line}; save it as UTF-8"


def _read_json(path: Path, text: str, columns: Sequence[str]) -> Table:
    if _holds_lines(text, columns):
        return _read_jsonl(path, text, columns)
    values = _parsed(path, text, columns)
    if not isinstance(values, list):
        raise DataError(
            f"'{path}' holds {_kind(values)}, but a .json file must hold a list of objects; write a list of "
            "rows, or a row per line"
        )
    return _objects(path, ((f"row {row}", value) for row, value in enumerate(values)), columns)


def _holds_lines(text: str, columns: Sequence[str]) -> bool:
    """Return whether a JSON text is an object per line, as `Dataset.to_json` writes it."""
    first, _, rest = text.strip().partition("\n")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and (bool(rest) or set(columns) <= row.keys())


def _read_jsonl(path: Path, text: str, columns: Sequence[str]) -> Table:
    # not splitlines: a JSON text may hold other line separators
    lines = enumerate(_LINE_ENDS.split(text), start=1)
    values = (
        (f"line {line}", _parsed(path, content, columns, line=line))
        for line, content in lines
        if content.strip()
    )
    return _objects(path, values, columns)


def _parsed(path: Path, text: str, columns: Sequence[str], *, line: int = 1) -> object:
    def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = [name for name in columns if names.count(name) > 1]
            if repeated:
                raise ValueError(f"an object repeats the key '{repeated[0]}'")
        return row

    try:
        value: object = json.loads(text, object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise DataError(
            f"'{path}' is not valid JSON at line {line + error.lineno - 1}: {error.msg}; correct it there"
        ) from error
    except ValueError as error:
        cause = str(error).partition(":")[0]
        raise DataError(f"cannot read '{path}' from line {line} on: {cause}; correct it") from error
    except RecursionError as error:
        raise DataError(f"'{path}' is nested too deeply; write rows as flat objects") from error
    return value


def _objects(path: Path, values: Iterator[tuple[str, object]], columns: Sequence[str]) -> Table:
    records, known = [], dict[str, None]()
    for place, value in values:
        if not isinstance(value, dict):
            raise DataError(
                f"'{path}' holds {_kind(value)} at {place}, but every row must be an object; write each row "
                "as {column: value, ...}"
            )
        records.append(Record(place, {column: value[column] for column in columns if column in value}))
        known.update(dict.fromkeys(value))
    return Table(str(path), tuple(known), tuple(records))


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _read_parquet(
    path: Path, file: BinaryIO, columns: Sequence[str], lists: Collection[str], most_unpacked: int
) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        # in this thread alone, as `results/parquet.py` says
        parquet = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        names = parquet.schema_arrow.names
        present = [column for column in columns if names.count(column) == 1]
        schema = pyarrow.schema([parquet.schema_arrow.field(column) for column in present])
        batches = parquet.iter_batches(columns=present, use_threads=False)
        records = arrow_records(f"'{path}'", schema, batches, lists=lists, most_bytes=most_unpacked)
    except (pyarrow.ArrowException, OSError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"cannot read '{path}' as Parquet ({cause}); write it again") from error
    return Table(str(path), tuple(names), records)


_TEXT_READERS: dict[str, Callable[[Path, str, Sequence[str]], Table]] = {
    ".csv": partial(read_delimited, separator=","),
    ".tsv": partial(read_delimited, separator="\t"),
    ".json": _read_json,
    ".jsonl": _read_jsonl,
}
ENDINGS = (*_TEXT_READERS, ".parquet")
"""Of the names of files that `read_file` reads, without .gz."""
