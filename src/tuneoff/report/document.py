"""A report before it has a format: sections of text, tables and figures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tuneoff.results import ReportFolder


class Link(NamedTuple):
    """A text that leads to a file, relative to the report's folder."""

    text: str
    href: str


Cell = str | Link


class Statement(NamedTuple):
    """A sentence, and where its evidence is."""

    text: str
    evidence: Link


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; the first `left` columns hold text, and the last one if it says so."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: int = 1
    caption: str = ""
    ends_in_text: bool = False

    def holds_text(self, column: int) -> bool:
        """Whether a column, counted from 0, holds text."""
        return column < self.left or (self.ends_in_text and column == len(self.columns) - 1)


@dataclass(frozen=True)
class Figure:
    """A PNG picture and the name of its file, without the ending."""

    stem: str
    caption: str
    png: bytes

    @property
    def href(self) -> str:
        """The picture's place, relative to the report's folder."""
        return ReportFolder(Path()).figure(self.stem).as_posix()

    @property
    def width(self) -> int:
        """The width to show it at: half its pixels, as it is drawn at twice the density."""
        return int.from_bytes(self.png[16:20], "big") // 2  # the first field of a PNG's header


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    embedded: bool = True
    """Whether a format of linked files shows the figures, or only links to them."""


@dataclass(frozen=True)
class Document:
    """A title, what to know first, and sections."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]

    def with_tables(self, title: str, tables: tuple[Table, ...]) -> "Document":
        """The document with other tables in the section of a title."""
        changed = (replace(one, tables=tables) if one.title == title else one for one in self.sections)
        return replace(self, sections=tuple(changed))
