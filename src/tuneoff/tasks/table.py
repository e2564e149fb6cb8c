"""Raw rows as a source gives them, and their wanted columns as text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuneoff.errors import DataError, unknown_name


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
    records: tuple[Record, ...]


class Row(NamedTuple):
    """A row's wanted columns as text."""

    number: int
    """Row in the source, from 0."""
    place: str
    """Source and row, as error messages name it."""
    cells: Mapping[str, str]


def text_rows(table: Table, columns: Sequence[str]) -> tuple[Row, ...]:
    """The wanted columns of a table as text; a missing value is empty text.

    Raises:
        DataError: a column is not there, or a cell holds something else than text, a number or a truth value.
    """
    for column in columns if table.records else ():
        if column not in table.columns:
            raise DataError(
                f"prompt and target must name columns of the data, but {table.name} has "
                f"{unknown_name(column, table.columns)}"
            )
    return tuple(_rows(table, columns))


def _rows(table: Table, columns: Sequence[str]) -> Iterator[Row]:
    for index, record in enumerate(table.records):
        place = f"{table.name}, {record.place}"
        cells = {column: _cell(record.cells.get(column), place, column) for column in columns}
        yield Row(index, place, cells)


def _cell(value: object, place: str, column: str) -> str:
    # NaN is how data frames write a missing number
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict | bytes):
        raise DataError(
            f"a cell must be text, a number or a truth value, but column '{column}' holds "
            f"a {type(value).__name__} at {place}; flatten it"
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text.isascii():
        _check_unicode(text, place, column)
    return text.replace("\r\n", "\n")


def _check_unicode(text: str, place: str, column: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a cell must be valid Unicode, but column '{column}' holds half of a surrogate pair at {place}; "
            "write the character as UTF-8"
        ) from error
