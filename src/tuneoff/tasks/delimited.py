"""Tables in delimited text: CSV by RFC 4180, TSV as people write it.

In CSV a quoted cell may contain separators, line breaks and doubled quotes; a quote inside an unquoted cell
is literal. TSV is often written without any quoting, so there a quote that starts a cell is literal as well,
unless the next single quote is at the end of a cell.

Two stray quotes look like one quoted cell that contains the rows between them, and these rows would be lost
without an error. A quoted cell of several lines is therefore refused if its lines look like rows. The rules,
from `_Shape.check` on:

1. A line looks like a row if it has as many separators as a row.
2. Separators that a text may well contain ("soft" ones: a comma before a space, a tab that indents) count
   only where the file's cells are often empty at that place, or where every line has as many as a row.
3. In TSV there is a further sign: no program that quotes cells leaves a quote inside an unquoted one. Where
   there is such a quote, the quotes around the lines are literal, and the file is read again without cells of
   several lines.
"""

import csv
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tuneoff.errors import DataError, near_names, shown
from tuneoff.tasks.table import Record, Table

_LONGEST_CELL = 2**31 - 1
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_LINE_END = re.compile(r"\r\n|\r|\n|\Z")
_SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
_SEPARATOR_LINE = re.compile(r"(\"?)sep=(?P<separator>[,;\t|])\1(?=[\r\n])", re.IGNORECASE)
_ROW_LINES_SHARE = 0.75
"""Share of a cell's lines that look like rows at or above which the cell is refused."""
_LOOSE_SHARE = 0.1
"""Share of a column's cells that are empty or begin with a space at or above which the column is loose."""
_CELLS_SHOWN = 5
"""Cells of a first line that a message quotes."""


class _Row(NamedTuple):
    cells: list[str]
    first: int
    """The number of its first line in the file, from 1."""
    lines: tuple[str, ...]
    """Its lines as in the file, with their ends."""
    literal_quote: bool
    """Whether a quote is inside a cell that is not quoted."""


def read_delimited(path: Path, text: str, columns: Sequence[str], *, separator: str) -> Table:
    """Read the rows of a table, with those of the given columns that it has.

    Another separator than the expected one is used if the header has one cell with the expected one and all
    given columns with the other, or if a first line such as `sep=;` names it, as Excel writes it.

    Raises:
        DataError: quotes do not match, a row has another number of cells than the header, or the lines of a
            quoted cell look like rows.
    """
    named = _SEPARATOR_LINE.match(text)
    if named:
        text = text[named.end() :]  # the line end stays, so that line numbers stay correct
    separator = named["separator"] if named else _separator(text, columns, separator)
    if separator != "\t":
        return _table(path, lambda: _csv_rows(path, text, separator), columns, separator)
    try:
        return _table(path, lambda: _tsv_rows(text), columns, separator)
    except DataError:
        if not any(row.literal_quote for row in _tsv_rows(text)):
            raise
    return _table(path, lambda: _tsv_rows(text, line_breaks=False), columns, separator)


def _separator(text: str, columns: Sequence[str], expected: str) -> str:
    first = _first_line(text)
    header = _cells(first, expected)
    if len(header) > 1 or set(columns) <= set(header):
        return expected
    others = [other for other in _SEPARATORS if set(columns) <= set(_cells(first, other))]
    return others[0] if len(others) == 1 else expected


def _first_line(text: str) -> str:
    return next((line.strip("\r\n") for line in _lines(text) if line.strip()), "")


def _cells(line: str, separator: str) -> list[str]:
    csv.field_size_limit(_LONGEST_CELL)
    return next(csv.reader([line], delimiter=separator), [])


def _lines(text: str) -> Iterator[str]:
    return (match[0] for match in _LINE.finditer(text))


def _csv_rows(path: Path, text: str, separator: str) -> Iterator[_Row]:
    # the csv module's default limit, 128 KiB a cell, is too low for long documents
    csv.field_size_limit(_LONGEST_CELL)
    lines: list[str] = []

    # the csv reader does not say which lines a row came from, so they are recorded as it asks for them
    def recorded() -> Iterator[str]:
        for line in _lines(text):
            lines.append(line)
            yield line

    reader = csv.reader(recorded(), delimiter=separator, strict=True)
    first = 1
    try:
        for cells in reader:
            if cells:
                yield _Row(cells, first, tuple(lines), literal_quote=False)
            lines.clear()
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"the quotes of '{path}' do not match in the row from line {first} ({error}); double the quotes "
            "inside quoted cells"
        ) from error


def _tsv_rows(text: str, *, line_breaks: bool = True) -> Iterator[_Row]:
    """Split tab-separated text into rows; without `line_breaks`, a quoted cell must end in its first line."""
    start, number = 0, 1
    while start < len(text):
        end = _line_end(text, start).start()
        cells, literal_quote = text[start:end].split("\t"), False
        if '"' in text[start:end]:
            # a quoted cell may run on over several lines, so the row's end can move
            cells, literal_quote, end = _cells_with_quotes(text, start, end, line_breaks=line_breaks)
        after = _line_end(text, end).end()
        lines = tuple(_lines(text[start:after]))
        if end > start:
            yield _Row(cells, number, lines, literal_quote)
        start = after
        number += len(lines)


def _cells_with_quotes(
    text: str, position: int, end: int, *, line_breaks: bool
) -> tuple[list[str], bool, int]:
    """Return a row's cells, whether one contains a literal quote, and where the row's last line ends."""
    cells: list[str] = []
    literal_quote = False
    while True:
        close = _closing_quote(text, position, len(text) if line_breaks else end)
        if close is None:
            tab = text.find("\t", position, end)
            stop = end if tab < 0 else tab
            cells.append(text[position:stop])
            literal_quote |= '"' in cells[-1]
        else:
            cells.append(text[position + 1 : close].replace('""', '"'))
            stop = close + 1
            end = max(end, _line_end(text, stop).start())
        if stop == end:
            return cells, literal_quote, end
        position = stop + 1


def _line_end(text: str, position: int) -> re.Match[str]:
    return next(_LINE_END.finditer(text, position))


def _closing_quote(text: str, start: int, stop: int) -> int | None:
    """Return where the quoted cell that begins at `start` ends; None if no such cell begins there."""
    if not text.startswith('"', start):
        return None
    close = text.find('"', start + 1, stop)
    # doubled quotes stand for one quote inside the cell
    while close >= 0 and text.startswith('"', close + 1):
        close = text.find('"', close + 2, stop)
    return close if close >= 0 and text[close + 1 : close + 2] in ("", "\t", "\r", "\n") else None


def _table(path: Path, rows: Callable[[], Iterator[_Row]], columns: Sequence[str], separator: str) -> Table:
    body = rows()
    header = next(body)
    names = header.cells
    end = _end(header.lines[0])
    # a stray quote in the header swallows rows, too; then only its first line tells the number of columns
    _Shape(path, separator, header.lines[0].count(separator) + 1, end, rows).check(header)
    shape = _Shape(path, separator, len(names), end, rows)
    places = {column: names.index(column) for column in columns if column in names}
    records: list[Record] = []
    if len(places) < len(set(columns)):
        return Table(str(path), tuple(names), (), _remark(header, columns, separator))
    for row in body:
        if len(row.lines) > 1:
            shape.check(row)
        if len(row.cells) != len(names):
            raise DataError(
                f"a row of '{path}' has {len(row.cells)} instead of {len(names)} cells at {_place(row)}; "
                f"{_remedy(rows, len(names))}"
            )
        cells = {column: row.cells[index] for column, index in places.items()}
        records.append(Record(f"line {row.first}", cells))
    return Table(str(path), tuple(names), tuple(records))


def _place(row: _Row) -> str:
    last = row.first + len(row.lines) - 1
    if last == row.first:
        return f"line {row.first}"
    return f"line {row.first} (a quoted cell extends to line {last})"


def _remedy(rows: Callable[[], Iterator[_Row]], width: int) -> str:
    if all(len(row.cells) == width + 1 for row in itertools.islice(rows(), 1, None)):
        return (
            "every row has one more, so the first may be a row name as written by R's write.table: write the "
            "table with row.names=FALSE, or with col.names=NA to name that column, too"
        )
    return "quote cells that contain the separator"


def _remark(header: _Row, columns: Sequence[str], separator: str) -> str:
    """Return the likely cause if a column is missing."""
    first = header.lines[0].strip("\r\n")
    counts = {other: first.count(other) for other in _SEPARATORS if other != separator}
    other = max(counts, key=lambda other: counts[other])
    cells = _cells(first, other)
    if counts[other] and (len(header.cells) == 1 or set(columns) <= set(cells)):
        return (
            f". Its columns seem to be separated by {_SEPARATORS[other]}, not by {_SEPARATORS[separator]}: "
            "save it with the right separator, and correct prompt and target if they name other columns"
        )
    if any(near_names(column, header.cells) for column in columns):
        return ""  # the error suggests the column that is meant
    cells_shown = ", ".join(shown(cell) for cell in header.cells[:_CELLS_SHOWN])
    more = ", ..." if len(header.cells) > _CELLS_SHOWN else ""
    return (
        f". Its first line holds {cells_shown}{more}: if that is a row, write a line with the column names "
        "before it"
    )


@dataclass(frozen=True)
class _Shape:
    """What a row of a file looks like, to find rows inside quoted cells."""

    path: Path
    separator: str
    width: int
    """Cells in a row."""
    line_end: str
    rows: Callable[[], Iterator[_Row]]

    def check(self, row: _Row) -> None:
        """Refuse a row of several lines if most of them look like rows.

        They are none if their line ends differ from those of the file's rows: a program that ends rows with
        carriage return and line feed often leaves bare line feeds inside cells.

        Raises:
            DataError: they look like rows.
        """
        inner = {_end(line) for line in row.lines[:-1]}
        if not inner or self.width == 1 or (self.line_end not in inner and _end(row.lines[-1]) not in inner):
            return
        lines = [line for line in row.lines if line.strip(" \r\n") not in ("", '"')]
        if len(lines) < 2 or not (self._mostly_rows(lines) or self._all_may_be_rows(row, lines)):
            return
        last = row.first + len(row.lines) - 1
        example = shown(lines[0].strip("\r\n"))
        raise DataError(
            f"a quoted cell of '{self.path}' extends from line {row.first} to line {last}, and its lines "
            f"look like rows of {self.width} cells ({example}, ...), which stray quotes can cause. If they "
            f"are rows, remove the stray quotes in lines {row.first} and {last}, or quote those cells whole "
            "and double the quotes inside; if it is one cell, write the data as .jsonl"
        )

    def _mostly_rows(self, lines: Sequence[str]) -> bool:
        """Return whether most lines have the separators of a row.

        Soft ones (see `_soft`) count only next to a loose column, whose cells look so elsewhere in the file.
        """
        return sum(map(self._is_row, lines)) >= _ROW_LINES_SHARE * len(lines)

    def _is_row(self, line: str) -> bool:
        soft = self._soft(line)
        if soft.count(False) == self.width - 1:
            return True
        if len(soft) != self.width - 1:
            return False
        # a soft tab stands after an empty cell; any other soft separator before a cell that begins with a
        # space, or before an empty one
        shift = 0 if self.separator == "\t" else 1
        return all(column in self._loose_columns for column, is_soft in enumerate(soft, shift) if is_soft)

    def _all_may_be_rows(self, row: _Row, lines: Sequence[str]) -> bool:
        """Return whether every line has as many separators as a row, and not only those of a text.

        In a text all separators are soft. If they are, the lines count as rows only if no other cell of the
        file has several lines: a file with one such text usually has more of them.
        """
        soft = [self._soft(line) for line in lines]
        if any(len(line) != self.width - 1 for line in soft):
            return False
        column = next((index for index, cell in enumerate(row.cells) if _BREAK.search(cell)), 0)
        # separators inside the cell: in the first line after its start, in the last one before its end
        inside = soft[0][column:] + soft[-1][:column]
        for line in soft[1:-1]:
            inside += line
        return not all(inside) or self._long_rows == 1

    def _soft(self, line: str) -> list[bool]:
        """Return for each separator outside quoted cells whether a text may well contain it.

        Soft are a tab that indents a line, any other separator before a space or the line's end, and a
        semicolon that is part of a smiley.
        """
        mark = re.escape(self.separator)
        # each quoted cell becomes the letter Q, so that only separators between cells are left
        bare = re.sub(rf'(?:^|(?<={mark}))"(?:[^"]|"")*"(?={mark}|$)', "Q", line.strip("\r\n"))
        if self.separator == "\t":
            indent = len(bare) - len(bare.lstrip("\t"))
            return [index < indent for index in range(bare.count("\t"))]
        return [_SOFT.match(bare, match.end()) is not None for match in re.finditer(mark, bare)]

    @functools.cached_property
    def _loose_columns(self) -> frozenset[int]:
        """Return the columns of which a tenth of the cells or more are empty or begin with a space."""
        soft, total = Counter[int](), 0
        for row in self.rows():
            total += 1
            soft.update(column for column, cell in enumerate(row.cells) if not cell[:1].strip())
        return frozenset(column for column, count in soft.items() if count >= _LOOSE_SHARE * total)

    @functools.cached_property
    def _long_rows(self) -> int:
        """Count the rows of several lines."""
        return sum(len(row.lines) > 1 for row in self.rows())


_SOFT = re.compile(r"[ \t\u00a0\u3000]|$|-?\)")
"""What follows a soft separator: a space, the end of the line, or the rest of a smiley."""
_BREAK = re.compile(r"[\r\n]")


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
