"""Raw rows as a source gives them, and their wanted columns as text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tuneoff.errors import DataError, shown, unknown_name


class Record(NamedTuple):
    """A raw row and its place as error messages name it: `line 3` or `row 2`."""

    place: str
    cells: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """A split as read."""

    name: str
    """The file or hub split, as error messages name it."""
    columns: tuple[str, ...]
    """All columns of the source, in order; a name may be empty or stand more than once."""
    records: tuple[Record, ...]
    """The rows with their cells of the wanted columns."""
    remark: str = ""
    """A sentence on the likely cause if no wanted column is there."""


class Row(NamedTuple):
    """A row's wanted columns as text."""

    number: int
    """Row in the source, from 0."""
    place: str
    """Source and row, as error messages name it."""
    cells: Mapping[str, str]


def text_rows(table: Table, columns: Sequence[str]) -> tuple[Row, ...]:
    """The wanted columns of a table as text; a missing value is empty text.

    Dates and times are as in ISO 8601 with a blank between the two, bytes are read as UTF-8.

    Raises:
        DataError: a column is not there or there twice, or a cell holds something else than a single value.
    """
    for column in columns if table.records or table.columns else ():
        if column not in table.columns:
            raise DataError(_missing(table, column, columns))
        if table.columns.count(column) > 1:
            raise DataError(
                f"column names must differ, but {table.name} has {table.columns.count(column)} columns named "
                f"{shown(column)}; rename them"
            )
    return tuple(_rows(table, columns))


_BEYOND_NAME = re.compile(r"[!:.\[]")


def _missing(table: Table, column: str, columns: Sequence[str]) -> str:
    names = set(table.columns)
    remark = "" if names & set(columns) else table.remark
    parts = (column[: match.start()].strip() for match in _BEYOND_NAME.finditer(column))
    part = next((part for part in parts if part in names), None)
    if part is not None:
        remark = (
            ". Braces in a prompt hold a column's name alone, without conversion, format, attribute or "
            f"index: write {{{part}}}"
        )
    elif not column.replace("-", "_").isidentifier():
        remark += ". If these braces of the prompt are meant literally, double them: {{...}}"
    return (
        f"prompt and target must name columns of the data, but {table.name} has "
        f"{unknown_name(column, names)}{remark}"
    )


def _rows(table: Table, columns: Sequence[str]) -> Iterator[Row]:
    for index, record in enumerate(table.records):
        place = f"{table.name}, {record.place}"
        cells = {column: _cell(record.cells.get(column), place, column) for column in columns}
        yield Row(index, place, cells)


def _cell(value: object, place: str, column: str) -> str:
    # NaN is how data frames write a missing number
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict | tuple):
        raise DataError(
            f"a cell must be text, a number or a truth value, but column {shown(column)} holds "
            f"a {type(value).__name__} at {place}; flatten it"
        )
    text = _text(value, place, column)
    if not text.isascii():
        _check_unicode(text, place, column)
    return text.replace("\r\n", "\n")


def _text(value: object, place: str, column: str) -> str:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"bytes in a cell must be UTF-8 text, but column {shown(column)} holds {shown(value)} at "
                    f"{place}; write it as text"
                ) from error
    return str(value)


def _check_unicode(text: str, place: str, column: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a cell must be valid Unicode, but column {shown(column)} holds half of a surrogate pair at "
            f"{place}; write the character as UTF-8"
        ) from error
