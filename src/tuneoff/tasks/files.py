"""Reading of local files: csv, tsv, json, jsonl and parquet."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tuneoff.errors import DataError, unknown_name
from tuneoff.tasks.table import Record, Table

_LONGEST_CELL = 2**31 - 1


def read_file(path: Path, columns: Sequence[str]) -> Table:
    """The rows of a file, with at least those of the wanted columns that it has.

    Raises:
        DataError: the file is missing, unreadable, empty, or not what its ending says.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        kind = unknown_name(path.suffix, _READERS)
        raise DataError(f"a data file's ending must tell its format, but '{path}' has an {kind}")
    data = _content(path)
    if not data.strip():
        raise DataError(f"a data file must hold rows, but '{path}' is empty; give another file")
    return reader(path, data, columns)


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"a data source must be a file, but '{path}' is a folder; name a file in it")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"a data file must exist, but there is no '{path}'; "
            "correct the path (it is relative to the study file's folder)"
        ) from error
    except PermissionError as error:
        raise DataError(
            f"a data file must be readable, but there is no permission to read '{path}'; "
            "change its permissions"
        ) from error
    except OSError as error:
        raise DataError(f"a data file must be readable, but '{path}' is not ({error.strerror})") from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"a data file must be UTF-8 text, but '{path}' is not at line {line} "
            f"(byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from error


def _read_delimited(path: Path, data: bytes, columns: Sequence[str], *, dialect: str) -> Table:
    # the module's limit of 128 KiB a cell is less than a long document
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(_text(path, data), newline=""), dialect=dialect, strict=True)
    records: list[Record] = []
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _checked_header(path, cells)
            elif len(cells) == len(header):
                records.append(Record(f"line {line}", dict(zip(header, cells, strict=True))))
            else:
                raise DataError(
                    f"every row must have as many cells as the header, but '{path}' has {len(cells)} "
                    f"instead of {len(header)} at line {line}; quote cells that hold the separator"
                )
    except csv.Error as error:
        raise DataError(
            f"a {path.suffix} file must have matching quotes, but '{path}' has not in the row "
            f"from line {start} ({error}); double the quotes inside quoted cells"
        ) from error
    return Table(str(path), tuple(header or ()), tuple(records))


def _checked_header(path: Path, header: list[str]) -> list[str]:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(
            f"column names must differ, but '{path}' repeats {repeated} in its header; rename them"
        )
    return header


def _read_csv(path: Path, data: bytes, columns: Sequence[str]) -> Table:
    return _read_delimited(path, data, columns, dialect="excel")


def _read_tsv(path: Path, data: bytes, columns: Sequence[str]) -> Table:
    return _read_delimited(path, data, columns, dialect="excel-tab")


def _read_json(path: Path, data: bytes, columns: Sequence[str]) -> Table:
    values = _parsed(path, _text(path, data), first_line=1)
    if not isinstance(values, list):
        raise DataError(
            f"a .json file must hold a list of objects, but '{path}' holds {_kind(values)}; "
            "an object per line is .jsonl"
        )
    return _objects(path, [(f"row {row}", value) for row, value in enumerate(values)])


def _read_jsonl(path: Path, data: bytes, columns: Sequence[str]) -> Table:
    # not splitlines: a JSON text may hold line separators other than \n
    lines = enumerate(_text(path, data).split("\n"), start=1)
    return _objects(
        path,
        [(f"line {line}", _parsed(path, text, first_line=line)) for line, text in lines if text.strip()],
    )


def _parsed(path: Path, text: str, *, first_line: int) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"a {path.suffix} file must hold valid JSON, but '{path}' does not at line "
            f"{first_line + error.lineno - 1}: {error.msg}; correct it there"
        ) from error
    except RecursionError as error:
        raise DataError(
            f"rows must be flat objects, but '{path}' is nested too deeply; flatten it"
        ) from error
    return value


def _objects(path: Path, values: list[tuple[str, object]]) -> Table:
    records, columns = [], dict[str, None]()
    for place, value in values:
        if not isinstance(value, dict):
            raise DataError(f"every row must be an object, but '{path}' holds {_kind(value)} at {place}")
        records.append(Record(place, value))
        columns.update(dict.fromkeys(value))
    return Table(str(path), tuple(columns), tuple(records))


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _read_parquet(path: Path, data: bytes, columns: Sequence[str]) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        known = tuple(file.schema_arrow.names)
        rows = file.read(columns=[column for column in columns if column in known]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(
            f"a .parquet file must be whole, but '{path}' is not ({cause}); write it anew"
        ) from error
    return Table(str(path), known, tuple(Record(f"row {row}", cells) for row, cells in enumerate(rows)))


_READERS: dict[str, Callable[[Path, bytes, Sequence[str]], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
