"""From a task's source to the rows of its splits, as text."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneoff.errors import DataError, shown
from tuneoff.spec import BuiltinSource, ClassificationSpec, FilesSource, HubSource, Source, SplitName, Task
from tuneoff.tasks.builtin import builtin_tables
from tuneoff.tasks.files import read_file
from tuneoff.tasks.hub import hub_tables
from tuneoff.tasks.table import Row, Table, text_rows


@dataclass(frozen=True, slots=True)
class SourceRows:
    """The rows of a source by split: train, test and perhaps validation."""

    splits: Mapping[SplitName, tuple[Row, ...]]
    names: Mapping[SplitName, str]
    """Each split as error messages name it."""
    revision: str | None


def read_source(source: Source, columns: Sequence[str], *, lists: Collection[str] = ()) -> SourceRows:
    """Read the given columns of all rows of a source; a cell of `lists` may be a list.

    Raises:
        DataError: the source cannot be read, or lacks a split, a column or rows.
    """
    tables, revision = read_tables(source, columns, lists=lists)
    _check_columns(source, tables, columns)
    splits = {split: text_rows(table, columns, lists=lists) for split, table in tables.items()}
    for split, rows in splits.items():
        if not rows:
            raise DataError(f"{tables[split].name} has no rows; give another file or split")
    return SourceRows(splits, {split: table.name for split, table in tables.items()}, revision)


def check_answers(spec: Task, read: SourceRows) -> None:
    """Refuse splits whose targets are hidden, as the labels -1 of GLUE's test splits.

    Raises:
        DataError: all targets of a split are -1, which is no label, or all are empty.
    """
    labels = spec.labels if isinstance(spec, ClassificationSpec) else {}
    for split, rows in read.splits.items():
        values = {row.cells[spec.target].strip() for row in rows}
        if len(values) == 1 and values <= _HIDDEN - labels.keys():
            raise DataError(
                f"{read.names[split]} has no answers: column {shown(spec.target)} holds "
                f"{shown(values.pop())} in all rows; {_other_split(spec.source, split)}"
            )


_HIDDEN = {"-1", "-1.0", ""}


def _check_columns(source: Source, tables: Mapping[SplitName, Table], columns: Sequence[str]) -> None:
    for split, table in tables.items():
        for column in columns if table.columns else ():
            having = sum(column in other.columns for other in tables.values())
            if column not in table.columns and having == len(tables) - 1 > 0:
                raise DataError(
                    f"{table.name} has no column {shown(column)}, which the other splits have; add it, or if "
                    f"the answers of this split are hidden, {_other_split(source, split)}"
                )


def _other_split(source: Source, split: SplitName) -> str:
    """Return the remedy for a split without answers."""
    if split != "test":
        return "give another split"
    if isinstance(source, HubSource):
        remedy = f"{{hub: {source.hub}, splits: {{test: validation}}}}"
    else:
        remedy = "{files: {train: ..., test: the validation file}}"
    return (
        f"test on the validation split, with source: {remedy} (a part of train is then used for validation)"
    )


def read_tables(
    source: Source, columns: Sequence[str], *, lists: Collection[str] = ()
) -> tuple[Mapping[SplitName, Table], str | None]:
    """Read the given columns of each split, as they are, and the revision of a hub's data set.

    Raises:
        DataError: the source cannot be read.
    """
    match source:
        case FilesSource(files=files):
            return {split: read_file(Path(name), columns, lists=lists) for split, name in files.items()}, None
        case HubSource():
            return hub_tables(source, columns, lists=lists)
        case BuiltinSource():
            return builtin_tables(source.builtin), None
