"""A report before it has a format: sections of text, tables and figures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tuneoff.reporting.formatting import ABSENT
from tuneoff.reporting.titles import Title
from tuneoff.results import ReportFolder


class Link(NamedTuple):
    """A text that leads to a file, relative to the report's folder."""

    text: str
    href: str


MOST_ROWS = 1000
"""Rows of a table about single runs that a page shows; a file beside it has all."""
Entry = str | Link
"""What a table has in one column of one row."""


class Statement(NamedTuple):
    """A sentence, and where its evidence is."""

    text: str
    evidence: Link


@dataclass(frozen=True)
class Table:
    """Rows of entries under columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    text_columns: int = 1
    """The number of columns, from the left, that hold text and not numbers."""
    caption: str = ""
    ends_in_text: bool = False
    """Whether the last column holds text as well."""

    @property
    def lacks_entries(self) -> bool:
        """Whether an entry is absent, so that its sign needs an explanation."""
        return any(entry == ABSENT for row in self.rows for entry in row)

    def shortened(self, file: str) -> "Table":
        """Return the table with at most `MOST_ROWS` rows, and a caption that says which file has all."""
        return self.parts(file)[0]

    def parts(self, file: str) -> tuple["Table", ...]:
        """Return tables of at most `MOST_ROWS` rows each, with captions that say which file has all."""
        count = len(self.rows)
        if count <= MOST_ROWS:
            return (self,)
        found = []
        for start in range(0, count, MOST_ROWS):
            rows = self.rows[start : start + MOST_ROWS]
            caption = f"Rows {start + 1:,} to {start + len(rows):,} of {count:,}; {file} has all."
            found.append(replace(self, rows=rows, caption=caption))
        return tuple(found)

    def holds_text(self, column: int) -> bool:
        """Return whether a column, counted from 0, holds text."""
        return column < self.text_columns or (self.ends_in_text and column == len(self.columns) - 1)


@dataclass(frozen=True)
class Figure:
    """A picture in two formats, and the name of its files, without the ending."""

    stem: str
    caption: str
    png: bytes
    svg: bytes

    @property
    def href(self) -> str:
        """The PNG's place, relative to the report's folder."""
        return ReportFolder(Path()).figure(self.stem, "png").as_posix()


@dataclass(frozen=True)
class Section:
    """A heading with its text, tables and figures."""

    title: Title
    paragraphs: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Document:
    """A title, an introduction, and sections."""

    title: str
    introduction: tuple[str, ...]
    sections: tuple[Section, ...]

    def with_tables(self, title: Title, tables: tuple[Table, ...]) -> "Document":
        """Return the document with other tables in the section of a title."""
        changed = (replace(one, tables=tables) if one.title == title else one for one in self.sections)
        return replace(self, sections=tuple(changed))

    def without_figures(self) -> "Document":
        """Return the document without its figures, and without the sections that have nothing else."""
        kept = (replace(one, figures=()) for one in self.sections if one.tables or one.statements)
        return replace(self, sections=tuple(kept))
