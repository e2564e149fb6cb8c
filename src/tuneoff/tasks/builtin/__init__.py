"""Data sets that tuneoff generates itself, equal on every machine: `reviews` and `dialogues`.

docs/builtin_tasks.md shows what they look like and what they test.
"""

from collections.abc import Callable, Mapping

from tuneoff.errors import DataError, shown, suggestions
from tuneoff.spec import SplitName
from tuneoff.tasks.builtin.dialogues import dialogue_rows
from tuneoff.tasks.builtin.draw import SIZES
from tuneoff.tasks.builtin.reviews import review_rows
from tuneoff.tasks.table import Record, Table

__all__ = ["SIZES", "builtin_tables"]


def builtin_tables(name: str) -> dict[SplitName, Table]:
    """Generate the splits of a builtin data set.

    Raises:
        DataError: no data set has this name.
    """
    if name not in _BUILTIN:
        raise DataError(f"there is no builtin data set {shown(name)}{suggestions(name, _BUILTIN)}")
    return {
        split: _table(f"builtin data {name}, split {split}", rows) for split, rows in _BUILTIN[name]().items()
    }


def _table(name: str, rows: list[dict[str, str]]) -> Table:
    records = tuple(Record(f"row {number}", row) for number, row in enumerate(rows))
    return Table(name, tuple(rows[0]), records)


def _reviews() -> dict[SplitName, list[dict[str, str]]]:
    return {
        split: [{"text": row.text, "label": str(row.label), "level": row.level} for row in rows]
        for split, rows in review_rows().items()
    }


def _dialogues() -> dict[SplitName, list[dict[str, str]]]:
    return {
        split: [{"dialogue": row.dialogue, "summary": row.summary, "level": row.level} for row in rows]
        for split, rows in dialogue_rows().items()
    }


_BUILTIN: Mapping[str, Callable[[], dict[SplitName, list[dict[str, str]]]]] = {
    "reviews": _reviews,
    "dialogues": _dialogues,
}
