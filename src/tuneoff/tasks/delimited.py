"""Tables in delimited text: CSV as RFC 4180 has it, TSV as people write it.

In CSV a quoted cell may hold separators, line breaks and doubled quotes; a quote inside another cell is
itself. TSV is often written without any quoting, so a quote that starts a cell there is itself as well,
unless the next single quote stands at the end of a cell.

Two stray quotes look like one quoted cell that holds the rows between them. A cell whose lines would be
rows by themselves is therefore refused. Commas and tabs that a text may well hold count for this where
each line has as many as a row, or where the file has cells that are empty there. In TSV there is a further
sign: no program that quotes cells leaves a quote inside an unquoted one. Where one is found, the quotes
around such lines are literal.
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
_LOOSE_SHARE = 0.1
_CELLS_SHOWN = 5


class _Row(NamedTuple):
    cells: list[str]
    first: int
    """Number of its first line in the file, from 1."""
    lines: tuple[str, ...]
    """Its lines as they stand in the file, with their ends."""
    literal_quote: bool
    """A quote is left in a cell that is not quoted."""


def read_delimited(path: Path, text: str, columns: Sequence[str], *, separator: str) -> Table:
    """The rows of a table in text, with the wanted columns that it has.

    Another separator than the expected one is taken where the header is one cell without it and has
    all wanted columns with the other, and where a first line such as `sep=;` names it, as Excel writes it.

    Raises:
        DataError: quotes do not match, a row has another number of cells than the header, or a quoted cell
            looks like swallowed rows.
    """
    named = _SEPARATOR_LINE.match(text)
    if named:
        text = text[named.end() :]  # its line end stays, so that the lines keep their numbers
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
    # the module's limit of 128 KiB a cell is less than a long document
    csv.field_size_limit(_LONGEST_CELL)
    lines: list[str] = []

    def remembered() -> Iterator[str]:
        for line in _lines(text):
            lines.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=separator, strict=True)
    first = 1
    try:
        for cells in reader:
            if cells:
                yield _Row(cells, first, tuple(lines), literal_quote=False)
            lines.clear()
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"a {path.suffix} file must have matching quotes, but '{path}' has not in the row "
            f"from line {first} ({error}); double the quotes inside quoted cells"
        ) from error


def _tsv_rows(text: str, *, line_breaks: bool = True) -> Iterator[_Row]:
    """Rows of tab-separated text; without `line_breaks`, a quoted cell must end in its first line."""
    start, number = 0, 1
    while start < len(text):
        end = _line_end(text, start).start()
        cells, literal_quote = text[start:end].split("\t"), False
        if '"' in text[start:end]:
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
    """The cells of a tab-separated row, whether one holds a literal quote, and where its last line ends."""
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
    """Where the quoted cell that begins at `start` ends; None if no such cell begins there."""
    if not text.startswith('"', start):
        return None
    close = text.find('"', start + 1, stop)
    while close >= 0 and text.startswith('"', close + 1):
        close = text.find('"', close + 2, stop)
    return close if close >= 0 and text[close + 1 : close + 2] in ("", "\t", "\r", "\n") else None


def _table(path: Path, rows: Callable[[], Iterator[_Row]], columns: Sequence[str], separator: str) -> Table:
    body = rows()
    header = next(body)
    names = header.cells
    end = _end(header.lines[0])
    _Shape(path, separator, header.lines[0].count(separator) + 1, end, rows).check(header)
    shape = _Shape(path, separator, len(names), end, rows)
    wanted = {column: names.index(column) for column in columns if column in names}
    records: list[Record] = []
    if len(wanted) < len(set(columns)):
        return Table(str(path), tuple(names), (), _remark(header, columns, separator))
    for row in body:
        if len(row.lines) > 1:
            shape.check(row)
        if len(row.cells) != len(names):
            raise DataError(
                f"every row must have as many cells as the header, but '{path}' has {len(row.cells)} "
                f"instead of {len(names)} at {_place(row)}; {_remedy(rows, len(names))}"
            )
        cells = {column: row.cells[index] for column, index in wanted.items()}
        records.append(Record(f"line {row.first}", cells))
    return Table(str(path), tuple(names), tuple(records))


def _place(row: _Row) -> str:
    last = row.first + len(row.lines) - 1
    if last == row.first:
        return f"line {row.first}"
    return f"line {row.first} (a quoted cell runs on to line {last})"


def _remedy(rows: Callable[[], Iterator[_Row]], width: int) -> str:
    if all(len(row.cells) == width + 1 for row in itertools.islice(rows(), 1, None)):
        return (
            "every row has one more, so the first may be a row name as R's write.table writes it: "
            "write the table with row.names=FALSE, or with col.names=NA to name that column, too"
        )
    return "quote cells that hold the separator"


def _remark(header: _Row, columns: Sequence[str], separator: str) -> str:
    """The likely cause of no wanted column being there."""
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
        return ""  # the error names the column that is meant
    told = ", ".join(shown(cell) for cell in header.cells[:_CELLS_SHOWN])
    more = ", ..." if len(header.cells) > _CELLS_SHOWN else ""
    return (
        f". Its first line holds {told}{more}: if that is a row, put a line with the column names before it"
    )


@dataclass(frozen=True)
class _Shape:
    """What a row of a file looks like, to find rows inside of quoted cells."""

    path: Path
    separator: str
    width: int
    """Cells in a row."""
    line_end: str
    rows: Callable[[], Iterator[_Row]]

    def check(self, row: _Row) -> None:
        """Refuse a row of several lines most of which would be rows by themselves.

        They are none if they end otherwise than the file's rows: with a bare line feed, for instance, where
        rows end with carriage return and line feed.
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
            f"a quoted cell must not look like rows, but in '{self.path}' one runs from line {row.first} to "
            f"line {last} over lines of {self.width} cells each ({example}, ...), as stray "
            f"quotes make it. If they are rows, remove the stray quotes in lines {row.first} and {last}, or "
            "quote those cells whole and double the quotes inside; if it is one cell, write the data as "
            ".jsonl"
        )

    def _mostly_rows(self, lines: Sequence[str]) -> bool:
        """Whether most lines have the separators of a row.

        Soft ones (see `_soft`) do not count, except in a column whose cells are so elsewhere in the file.
        """
        return sum(map(self._is_row, lines)) >= _ROW_LINES_SHARE * len(lines)

    def _is_row(self, line: str) -> bool:
        soft = self._soft(line)
        if soft.count(False) == self.width - 1:
            return True
        if len(soft) != self.width - 1:
            return False
        # a soft tab shows an empty cell before it, another soft separator a cell after it
        shift = 0 if self.separator == "\t" else 1
        return all(column in self._loose_columns for column, one in enumerate(soft, shift) if one)

    def _all_may_be_rows(self, row: _Row, lines: Sequence[str]) -> bool:
        """Whether every line has exactly the separators of a row, and they are not just those of a text.

        In a text all separators are soft. Where they are, its lines are taken for rows only if no other
        cell of the file runs over several lines: a program that wrote such texts has mostly written more.
        """
        soft = [self._soft(line) for line in lines]
        if any(len(line) != self.width - 1 for line in soft):
            return False
        column = next((index for index, cell in enumerate(row.cells) if _BREAK.search(cell)), 0)
        within = [*soft[0][column:], *(one for line in soft[1:-1] for one in line), *soft[-1][:column]]
        return not all(within) or self._long_rows == 1

    def _soft(self, line: str) -> list[bool]:
        """For each separator outside of quoted cells, whether a text may well hold it.

        So it may a tab that indents a line, a comma that a blank or the line's end follows, and a semicolon
        that is part of a smiley.
        """
        mark = re.escape(self.separator)
        bare = re.sub(rf'(?:^|(?<={mark}))"(?:[^"]|"")*"(?={mark}|$)', "Q", line.strip("\r\n"))
        if self.separator == "\t":
            indent = len(bare) - len(bare.lstrip("\t"))
            return [index < indent for index in range(bare.count("\t"))]
        return [_SOFT.match(bare, match.end()) is not None for match in re.finditer(mark, bare)]

    @functools.cached_property
    def _loose_columns(self) -> frozenset[int]:
        """Columns of which a tenth of the cells or more are empty or begin with a blank."""
        soft, total = Counter[int](), 0
        for row in self.rows():
            total += 1
            soft.update(column for column, cell in enumerate(row.cells) if not cell[:1].strip())
        return frozenset(column for column, count in soft.items() if count >= _LOOSE_SHARE * total)

    @functools.cached_property
    def _long_rows(self) -> int:
        """Number of rows of several lines."""
        return sum(len(row.lines) > 1 for row in self.rows())


_SOFT = re.compile(r"[ \t\u00a0\u3000]|$|-?\)")
_BREAK = re.compile(r"[\r\n]")


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
