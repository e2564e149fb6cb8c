"""Raw rows of a source, and the columns that a task uses as text."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tuneoff.errors import DataError, shown, suggestions


class Record(NamedTuple):
    """A raw row, and where it is for error messages: `line 3` or `row 2`."""

    place: str
    cells: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """A split as read."""

    name: str
    """The file or hub split, as error messages name it."""
    columns: tuple[str, ...]
    """All columns of the source, in order; a name may be empty or repeated."""
    records: tuple[Record, ...]
    """The rows, with the cells of the columns asked for."""
    remark: str = ""
    """A sentence on the likely cause if none of the columns asked for exists."""


class Row(NamedTuple):
    """The columns of a row that a task uses, as text."""

    number: int
    """Row in the source, from 0."""
    place: str
    """Source and row, as error messages name it."""
    cells: Mapping[str, str]
    lists: frozenset[str] = frozenset()
    """Columns whose cell is a list, written as JSON."""

    @property
    def lacks_text(self) -> bool:
        """Whether a cell has nothing but space."""
        return not all(text.strip() for text in self.cells.values())

    def texts(self, column: str) -> tuple[str, ...]:
        """Return the texts of a cell: those of a list, or the one that it is."""
        cell = self.cells[column]
        return tuple(json.loads(cell)) if column in self.lists else (cell,)


def text_rows(table: Table, columns: Sequence[str], *, lists: Collection[str] = ()) -> tuple[Row, ...]:
    """Return the given columns of a table as text; a missing value or a list without text becomes empty text.

    Dates and times are written as in ISO 8601 with a space between the two; bytes are read as UTF-8. A cell
    of the columns `lists` may be a list of single values, and becomes JSON.

    Raises:
        DataError: a column is missing or repeated, or a cell holds something else than a single value.
    """
    for column in columns if table.records or table.columns else ():
        if column not in table.columns:
            raise DataError(_missing(table, column, columns))
        if table.columns.count(column) > 1:
            raise DataError(
                f"{table.name} has {table.columns.count(column)} columns named {shown(column)}; rename them"
            )
    return tuple(_rows(table, columns, lists))


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
        f"{table.name} has no column {shown(column)} (used in prompt or target)"
        f"{suggestions(column, names)}{remark}"
    )


def _rows(table: Table, columns: Sequence[str], lists: Collection[str]) -> Iterator[Row]:
    for index, record in enumerate(table.records):
        place = f"{table.name}, {record.place}"
        listed = frozenset(column for column in lists if isinstance(record.cells.get(column), list))
        cells = {
            column: (_list if column in listed else _cell)(record.cells.get(column), place, column)
            for column in columns
        }
        yield Row(index, place, cells, listed)


def _list(value: Any, place: str, column: str) -> str:
    texts = [_cell(one, place, column) for one in value]
    return json.dumps(texts, ensure_ascii=False) if any(text.strip() for text in texts) else ""


def _cell(value: object, place: str, column: str) -> str:
    # NaN is how data frames write a missing number
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict | tuple):
        raise DataError(
            f"{place}: column {shown(column)} holds a {type(value).__name__}, but a cell must be text, a "
            "number or a truth value; flatten it"
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
                    f"{place}: column {shown(column)} holds bytes that are not UTF-8 ({shown(value)}); write "
                    "them as text"
                ) from error
    return str(value)


def _check_unicode(text: str, place: str, column: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place}: column {shown(column)} holds half of a surrogate pair; write the character as UTF-8"
        ) from error
