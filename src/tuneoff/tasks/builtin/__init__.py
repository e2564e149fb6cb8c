"""Data sets that tuneoff generates itself, equal on every machine: `reviews` and `dialogues`.

docs/builtin_tasks.md shows what they look like and what they test.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from tuneoff.errors import DataError, shown, suggestions
from tuneoff.spec import SplitName
from tuneoff.tasks.builtin.dialogues import Dialogue, dialogue_rows, dialogues_in_order
from tuneoff.tasks.builtin.draw import SIZES
from tuneoff.tasks.builtin.reviews import Review, review_rows, reviews_in_order
from tuneoff.tasks.table import Record, Table

__all__ = ["SIZES", "builtin_tables", "first_training_rows"]


class _DataSet(NamedTuple):
    """A data set, generated at once or row by row, and what its users see of a row."""

    rows: Callable[[], Mapping[SplitName, tuple[Any, ...]]]
    in_order: Callable[[], Iterator[tuple[SplitName, Any]]]
    cells: Callable[[Any], dict[str, str]]


def builtin_tables(name: str) -> dict[SplitName, Table]:
    """Generate the splits of a builtin data set.

    Raises:
        DataError: no data set has this name.
    """
    if name not in _BUILTIN:
        raise DataError(f"there is no builtin data set {shown(name)}{suggestions(name, _BUILTIN)}")
    found = _BUILTIN[name]
    return {
        split: _table(f"builtin data {name}, split {split}", [found.cells(row) for row in rows])
        for split, rows in found.rows().items()
    }


def first_training_rows(name: str, count: int) -> list[dict[str, str]]:
    """Generate only the first training rows of a builtin data set: the cells of each by column."""
    found = _BUILTIN[name]
    return [found.cells(row) for _, row in islice(found.in_order(), count)]


def _table(name: str, rows: list[dict[str, str]]) -> Table:
    records = tuple(Record(f"row {number}", row) for number, row in enumerate(rows))
    return Table(name, tuple(rows[0]), records)


def _review_cells(row: Review) -> dict[str, str]:
    return {"text": row.text, "label": str(row.label), "level": row.level}


def _dialogue_cells(row: Dialogue) -> dict[str, str]:
    return {"dialogue": row.dialogue, "summary": row.summary, "level": row.level}


_BUILTIN: Mapping[str, _DataSet] = {
    "reviews": _DataSet(review_rows, reviews_in_order, _review_cells),
    "dialogues": _DataSet(dialogue_rows, dialogues_in_order, _dialogue_cells),
}
