"""What a data source holds: its splits, and the texts of each column."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuneoff.errors import DataError, shown
from tuneoff.spec import FilesSource, HubSource, Source, SplitName
from tuneoff.tasks.sources import read_tables
from tuneoff.tasks.table import Table, text_rows

TEST_SHARE = 0.2
"""Of a single file, the share of rows that becomes the test split."""
_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".gz")
_SPLITS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
"""Names of files that stand for a split."""
_MOST_ROWS = 20_000
"""Rows that are looked at."""


@dataclass(frozen=True)
class Column:
    """The cells of a column as text, without empty ones."""

    name: str
    cells: tuple[str, ...]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each cell occurs."""
        return Counter(self.cells)

    @cached_property
    def words(self) -> float:
        """The mean number of words, separated by spaces."""
        return sum(len(cell.split()) for cell in self.cells) / len(self.cells) if self.cells else 0.0


@dataclass(frozen=True)
class Look:
    """A source, and what its train split holds."""

    source: Source
    splits: Mapping[SplitName, int]
    """Rows of each split."""
    columns: tuple[Column, ...]
    """Of the first 20,000 rows; columns that are empty, or hold lists or objects, are left out."""


def source_of(data: str) -> Source:
    """Return the source that a path or a hub id stands for: a file, a folder of splits, or a data set.

    Raises:
        DataError: there is nothing of the kind.
    """
    path = Path(data)
    if path.is_dir():
        files = _split_files(path)
        return FilesSource(files=files, test_share=None if "test" in files else TEST_SHARE)
    if path.is_file() or path.suffix.lower() in _ENDINGS:
        return FilesSource(files={"train": str(path.absolute())}, test_share=TEST_SHARE)
    if data.count("/") > 1 or data.startswith((".", "/", "~")):
        raise DataError(f"there is no file or folder {shown(data)}; give a data file, a folder or a hub id")
    return HubSource(hub=data)


def _split_files(folder: Path) -> dict[SplitName, str]:
    """Return the file of each split in a folder.

    Raises:
        DataError: no file has the name of the train split, or two files are of one split.
    """
    found: dict[SplitName, str] = {}
    for path in sorted(folder.iterdir()):
        split = _SPLITS.get(path.name.partition(".")[0].lower())
        if split is None or path.suffix.lower() not in _ENDINGS:
            continue
        if split in found:
            raise DataError(
                f"'{folder}' has two files for {split}, '{Path(found[split]).name}' and '{path.name}'; "
                "remove one, or write the study by hand"
            )
        found[split] = str(path.absolute())
    if "train" not in found:
        raise DataError(
            f"'{folder}' has no file named train (train.csv, train.jsonl, ...); give the data file itself, "
            "or name its files train, validation and test"
        )
    return found


def study_name(data: str) -> str:
    """Return a name for study and task: that of the file, the folder or the data set."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(data).name.partition(".")[0]).strip("-_")
    return name[:60] or "study"


def look_at(source: Source) -> Look:
    """Read a source.

    Raises:
        DataError: it cannot be read, or has no rows.
    """
    names = read_tables(source, ())[0]["train"].columns
    usable = [name for name in dict.fromkeys(names) if name and names.count(name) == 1]
    tables, _ = read_tables(source, usable)
    train = tables["train"]
    if not train.records:
        raise DataError(f"{train.name} has no rows; give another file or split")
    return Look(
        source=source,
        splits={split: len(table.records) for split, table in tables.items()},
        columns=tuple(column for name in usable if (column := _column(train, name)) is not None),
    )


def _column(table: Table, name: str) -> Column | None:
    first = Table(table.name, table.columns, table.records[:_MOST_ROWS])
    try:
        cells = [row.cells[name] for row in text_rows(first, [name])]
    except DataError:  # lists or objects
        return None
    filled = tuple(cell for cell in cells if cell.strip())
    return Column(name, filled) if filled else None
