"""From a task's source to the rows of its splits, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneoff.errors import DataError
from tuneoff.spec import BuiltinSource, FilesSource, HubSource, Source, SplitName
from tuneoff.tasks.builtin import builtin_tables
from tuneoff.tasks.files import read_file
from tuneoff.tasks.hub import hub_tables
from tuneoff.tasks.table import Row, Table, text_rows


@dataclass(frozen=True, slots=True)
class SourceRows:
    """What a source holds: train and test, perhaps validation."""

    splits: Mapping[SplitName, tuple[Row, ...]]
    names: Mapping[SplitName, str]
    """Each split as error messages name it."""
    revision: str | None


def read_source(source: Source, columns: Sequence[str]) -> SourceRows:
    """The wanted columns of all rows of a source.

    Raises:
        DataError: the source cannot be read, or lacks a split, a column or rows.
    """
    tables, revision = _tables(source, columns)
    splits = {split: text_rows(table, columns) for split, table in tables.items()}
    for split, rows in splits.items():
        if not rows:
            raise DataError(f"a split must have rows, but {tables[split].name} has none; give another one")
    return SourceRows(splits, {split: table.name for split, table in tables.items()}, revision)


def _tables(source: Source, columns: Sequence[str]) -> tuple[Mapping[SplitName, Table], str | None]:
    match source:
        case FilesSource():
            return {split: read_file(Path(name), columns) for split, name in source.files.items()}, None
        case HubSource():
            return hub_tables(source, columns)
        case BuiltinSource():
            return builtin_tables(source.builtin), None
